//! A gc pass that dies at any step: what was there before is there after a restart, and the next pass ends the work.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcError, GcOptions};
use crate::store::meta::MetaStore;
use crate::store::pack::{PackId, PackStore, PackWriter};
use crate::store::throttle::Throttle;

/// Packs whose every change fails from some step on, as if the process were gone.
#[derive(Clone)]
struct Dying {
    packs: MemoryPacks,
    /// Changes that still succeed.
    left: Arc<AtomicUsize>,
}

impl Dying {
    fn step(&self) -> io::Result<()> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| io::Error::other("the power is gone"))
    }

    fn writer(&self, inner: Box<dyn PackWriter>) -> Box<dyn PackWriter> {
        Box::new(DyingWriter { inner, power: self.clone() })
    }
}

impl PackStore for Dying {
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        self.step()?;
        Ok(self.writer(self.packs.create(id)?))
    }

    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>> {
        Ok(self.writer(self.packs.reopen(id, len)?))
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        self.packs.read(id, offset, len)
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        self.packs.list()
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        self.step()?;
        self.packs.delete(id)
    }
}

struct DyingWriter {
    inner: Box<dyn PackWriter>,
    power: Dying,
}

impl PackWriter for DyingWriter {
    fn id(&self) -> PackId {
        self.inner.id()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.power.step().is_err() {
            // What was under way may have come half through.
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("the power is gone"));
        }
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.power.step()?;
        self.inner.sync()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.power.step()?;
        self.inner.truncate(len)
    }
}

/// The buckets of these packs and rows, as after a start.
fn start(meta: &Arc<EmbeddedMeta>, packs: &Dying) -> NativeBuckets {
    let index = Arc::new(MemoryIndex::default());
    let store = LocalStore::assemble(Arc::clone(meta) as _, Arc::new(packs.clone()), index, 300_000).unwrap();
    NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap()
}

async fn pass(buckets: &NativeBuckets) -> Result<(), GcError> {
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    let options = GcOptions { patience: Duration::from_millis(20), ..GcOptions::default() };
    collector.pass(&options, &Throttle::default()).await.map(drop)
}

#[tokio::test]
async fn a_pass_that_dies_at_any_step_loses_nothing() {
    for steps in 0.. {
        let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let packs = Dying { packs: MemoryPacks::default(), left: Arc::new(AtomicUsize::new(usize::MAX)) };
        let buckets = start(&meta, &packs);
        buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
        let large = noise(100, 2_000_000);
        put(&buckets, "large", &large).await;
        let mut kept = vec![("part".to_owned(), large.slice(1_000_000..1_300_000))];
        put(&buckets, "part", &kept[0].1).await;
        for number in 0..18 {
            let data = noise(number, 40_000);
            put(&buckets, &number.to_string(), &data).await;
            if number % 6 == 0 {
                kept.push((number.to_string(), data));
            }
        }
        let page = ListQuery { limit: 100, ..ListQuery::default() };
        for (name, _) in buckets.list(&bucket_id(), &page).await.unwrap().objects {
            if !kept.iter().any(|(kept, _)| kept == name.as_str()) {
                let delete = ObjectDelete::current(name);
                buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
            }
        }
        packs.left.store(steps, Ordering::Relaxed);
        let died = pass(&buckets).await.is_err();
        for (name, data) in &kept {
            assert_eq!(get(&buckets, name, None).await, *data, "{name}, while the power was gone at {steps}");
        }
        drop(buckets);
        packs.left.store(usize::MAX, Ordering::Relaxed);
        let buckets = start(&meta, &packs);
        for _ in 0..2 {
            let report = check(buckets.store(), &Throttle::default()).await.unwrap();
            assert!(report.is_clean(), "after {steps} steps: {}", report.table());
            for (name, data) in &kept {
                assert_eq!(get(&buckets, name, None).await, *data, "{name} after {steps} steps");
            }
            pass(&buckets).await.unwrap();
        }
        let live: u64 = meta.packs().await.unwrap().iter().map(|pack| pack.live_bytes).sum();
        let bytes: u64 = packs.list().unwrap().iter().map(|(_, len)| len).sum();
        assert!(bytes <= 2 * live, "{bytes} bytes for {live} after {steps} steps");
        if !died {
            assert!(steps > 8, "a pass has more steps than {steps}");
            return;
        }
    }
}
