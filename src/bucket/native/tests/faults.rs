//! Faults of the disk: each refuses the request in clear words, loses nothing acknowledged, lists nothing half, and
//! the store works again when it is over, without a restart.

use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions};
use crate::store::pack::PackStore;
use crate::store::scrub::{ScrubCursor, ScrubError, scrub};
use crate::store::simulated::faults::{FailingPacks, Faults, Operation, failing_place};
use crate::store::simulated::{Disk, SimulatedPacks, simulated_place};
use crate::store::throttle::Throttle;

/// How long a store may take to notice that its disk works again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store whose packs and whose metadata can fail apart.
pub(super) struct Rig {
    pub(super) buckets: Arc<NativeBuckets>,
    disk: Arc<Disk>,
    pub(super) packs: Arc<Faults>,
    meta: Arc<Faults>,
}

impl Rig {
    fn start(disk: &Arc<Disk>) -> Self {
        let (packs, meta) = (Arc::<Faults>::default(), Arc::<Faults>::default());
        let inner = Arc::new(SimulatedPacks(Arc::clone(disk)));
        let failing = Arc::new(FailingPacks { inner, faults: Arc::clone(&packs) });
        let rows = EmbeddedMeta::open_at(failing_place(simulated_place(disk), Arc::clone(&meta)));
        let index = Arc::new(MemoryIndex::default());
        let store = LocalStore::assemble(Arc::new(rows.unwrap()), failing, index, 1 << 20).unwrap();
        let buckets = Arc::new(NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap());
        Self { buckets, disk: Arc::clone(disk), packs, meta }
    }

    /// With one object, `old`.
    pub(super) async fn new() -> Self {
        let rig = Self::start(&Arc::default());
        rig.buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
        put(&rig.buckets, "old", &noise(1, 1_300_000)).await;
        rig
    }

    pub(super) async fn try_put(&self, name: &str, data: &Bytes) -> Result<Object, BucketError> {
        self.buckets.write(&bucket_id(), write(name, payload(data))).await
    }

    /// Ends all faults and waits until a write is taken again; without a restart.
    pub(super) async fn mend(&self) {
        assert!(self.packs.mend() + self.meta.mend() > 0, "the fault was never met");
        let again = async {
            while let Err(error) = self.try_put("mended", &noise(2, 10_000)).await {
                assert!(matches!(error, BucketError::Unavailable(_)), "{error:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, again).await.expect("the store works again");
    }

    /// Everything is as acknowledged. `maybe` was not acknowledged: it is whole or not there.
    pub(super) async fn assert_whole(&self, maybe: (&str, &Bytes)) {
        assert_eq!(get(&self.buckets, "old", None).await, noise(1, 1_300_000));
        let page = ListQuery { limit: 100, ..ListQuery::default() };
        for (name, _) in self.buckets.list(&bucket_id(), &page).await.unwrap().objects {
            match name.as_str() {
                "old" | "mended" => {}
                name => {
                    assert_eq!(name, maybe.0);
                    assert_eq!(get(&self.buckets, name, None).await, *maybe.1);
                }
            }
        }
        let report = check(self.buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "{}", report.table());
        let report = scrub(self.buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
        assert_eq!(report.damages, []);
    }
}

/// Which of the two that a fault means is said: there is no space, or it does not work now.
fn is_said(error: &BucketError, errno: Errno) -> bool {
    match error {
        BucketError::StorageFull(_) => errno == Errno::NOSPC || errno == Errno::DQUOT,
        BucketError::Unavailable(_) => errno != Errno::NOSPC && errno != Errno::DQUOT,
        _ => false,
    }
}

#[tokio::test]
async fn a_fault_of_the_packs_refuses_the_write_and_passes() {
    use Operation::{Create, Sync, Truncate, Write};
    // A small body goes through the shared writer, a large one streams to a pack of its own.
    for len in [20_000, 1_500_000] {
        for (operation, errno) in [
            (Write, Errno::NOSPC),
            (Write, Errno::DQUOT),
            (Write, Errno::IO),
            (Sync, Errno::IO),
            (Sync, Errno::NOSPC),
            (Create, Errno::ROFS),
            (Create, Errno::MFILE),
        ] {
            let rig = Rig::new().await;
            rig.packs.fail(operation, errno);
            if operation == Write && errno == Errno::IO {
                // Not even taking it back goes well.
                rig.packs.fail(Truncate, errno);
            }
            let data = noise(3, len);
            let error = rig.try_put("new", &data).await.unwrap_err();
            assert!(is_said(&error, errno), "{operation:?} {errno:?}: {error:?}");
            assert_eq!(get(&rig.buckets, "old", None).await, noise(1, 1_300_000), "it can be read meanwhile");
            rig.mend().await;
            let missing = rig.buckets.object(&bucket_id(), ObjectRef::current(&key("new"))).await;
            assert!(matches!(missing, Err(BucketError::NoSuchKey(_))), "its transaction was never begun");
            rig.assert_whole(("new", &data)).await;
            put(&rig.buckets, "new", &data).await;
            rig.assert_whole(("new", &data)).await;
        }
    }
}

#[tokio::test]
async fn a_fault_of_the_metadata_refuses_the_write_and_passes() {
    use Operation::{Open, Sync, Write};
    for (operation, errno, spared) in [
        (Write, Errno::NOSPC, 0),
        (Write, Errno::IO, 3),
        (Write, Errno::ROFS, 0),
        (Sync, Errno::IO, 0),
        (Sync, Errno::NOSPC, 0),
    ] {
        for cannot_open in [false, true] {
            let rig = Rig::new().await;
            rig.meta.fail(operation, errno);
            rig.meta.spare(spared);
            if cannot_open {
                rig.meta.fail(Open, Errno::MFILE);
            }
            let data = noise(3, 20_000);
            let error = rig.try_put("new", &data).await.unwrap_err();
            assert!(is_said(&error, errno), "{operation:?} {errno:?}: {error:?}");
            if cannot_open {
                let refused =
                    rig.buckets.object(&bucket_id(), ObjectRef::current(&key("old"))).await.unwrap_err();
                assert!(matches!(refused, BucketError::Unavailable(_)), "{refused:?}");
                let refused = rig.try_put("new", &data).await.unwrap_err();
                assert!(matches!(refused, BucketError::Unavailable(_)), "{refused:?}");
            }
            rig.mend().await;
            rig.assert_whole(("new", &data)).await;
            put(&rig.buckets, "new", &data).await;
            rig.assert_whole(("new", &data)).await;
        }
    }
}

#[tokio::test]
async fn metadata_that_cannot_grow_refuses_the_write_and_passes() {
    let rig = Rig::new().await;
    rig.meta.fail(Operation::Grow, Errno::NOSPC);
    let (data, mut taken) = (noise(3, 20_000), 0);
    let error = loop {
        // Rows of a size that no client may send, for the file to be full soon.
        let attributes = Attributes { content_type: Some("x".repeat(300_000)), ..Attributes::default() };
        let write = ObjectWrite { attributes, ..write("new", payload(&data)) };
        match rig.buckets.write(&bucket_id(), write).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 500, "it has to grow at some time");
    };
    assert!(is_said(&error, Errno::NOSPC), "after {taken}: {error:?}");
    rig.mend().await;
    rig.assert_whole(("new", &data)).await;
    put(&rig.buckets, "new", &data).await;
    rig.assert_whole(("new", &data)).await;
}

#[tokio::test]
async fn a_pack_that_cannot_be_deleted_is_deleted_later() {
    for errno in [Errno::IO, Errno::ROFS] {
        let rig = Rig::new().await;
        let files = || SimulatedPacks(Arc::clone(&rig.disk)).list().unwrap().len();
        let data = noise(3, 1_500_000);
        put(&rig.buckets, "new", &data).await;
        let before = files();
        let delete = ObjectDelete::current(key("new"));
        rig.buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
        let collector = Collector::new(Arc::clone(rig.buckets.store()), Ambient::system().clock);
        rig.packs.fail(Operation::Delete, errno);
        let collected = collector.pass(&GcOptions::default(), &Throttle::default()).await;
        assert!(collected.is_err(), "it is said");
        assert_eq!(files(), before);
        rig.mend().await;
        rig.assert_whole(("new", &data)).await;
        let report = collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
        assert_eq!(report.packs_deleted, 1, "{}", report.table());
        put(&rig.buckets, "new", &data).await;
        rig.assert_whole(("new", &data)).await;
    }
}

#[tokio::test]
async fn a_metadata_read_that_fails_is_no_end_of_reading() {
    let rig = Rig::new().await;
    // A new opening has nothing in its cache.
    let rig = Rig::start(&Arc::new(rig.disk.power_cut(0)));
    rig.meta.fail(Operation::Read, Errno::IO);
    let page = ListQuery { limit: 100, ..ListQuery::default() };
    let mut refused = 0;
    for _ in 0..100 {
        if let Err(error) = rig.try_put("new", &noise(3, 20_000)).await {
            assert!(matches!(error, BucketError::Unavailable(_)), "{error:?}");
            refused += 1;
        }
        refused += u64::from(rig.buckets.list(&bucket_id(), &page).await.is_err());
        if refused > 3 {
            break;
        }
    }
    if refused > 0 {
        rig.mend().await;
    }
    rig.meta.mend();
    rig.assert_whole(("new", &noise(3, 20_000))).await;
}

#[tokio::test]
async fn a_pack_that_cannot_be_read_is_not_called_damaged() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let rig = Rig::new().await;
        rig.packs.fail(Operation::Read, errno);
        let read = rig.buckets.read(&bucket_id(), ObjectRef::current(&key("old")), None).await.unwrap();
        let error = read.body.try_collect::<Vec<Bytes>>().await.unwrap_err();
        assert!(matches!(error, BucketError::Unavailable(_)), "{error:?}");
        let scrubbed = scrub(rig.buckets.store(), ScrubCursor::default(), &Throttle::default()).await;
        assert!(matches!(scrubbed, Err(ScrubError::Packs(_))));
        rig.mend().await;
        rig.assert_whole(("", &Bytes::new())).await;
    }
}

#[tokio::test]
async fn a_sector_that_cannot_be_read_is_found_by_scrub() {
    let rig = Rig::new().await;
    rig.packs.fail(Operation::Read, Errno::IO);
    let read = rig.buckets.read(&bucket_id(), ObjectRef::current(&key("old")), None).await.unwrap();
    assert!(read.body.try_collect::<Vec<Bytes>>().await.is_err());
    let report = scrub(rig.buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!(report.damages[0].objects, ["ada/b/old"]);
    rig.mend().await;
    rig.assert_whole(("", &Bytes::new())).await;
}

/// Guards against trusting the page cache: after a failed sync the kernel shows what it has lost as if it were stored.
#[tokio::test]
async fn what_a_failed_sync_has_lost_takes_nothing_acknowledged_with_it() {
    for syncs_before in 0..4 {
        for seed in 0..8 {
            let rig = Rig::new().await;
            let data = noise(3, 20_000);
            // The first sync of a put is its pack's, then come those of its transaction.
            let lost = noise(4, 20_000);
            if syncs_before > 0 {
                // As if the pack's had gone well: its bytes are known already.
                put(&rig.buckets, "old-copy", &lost).await;
                let delete = ObjectDelete::current(key("old-copy"));
                rig.buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
            }
            rig.disk.fail_syncs(syncs_before.max(1));
            let _ = rig.try_put("new", &lost).await;
            rig.disk.fail_syncs(0);
            let again = async {
                while rig.try_put("mended", &noise(2, 10_000)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(PATIENCE, again).await.expect("the store works again");
            put(&rig.buckets, "new", &data).await;
            let after = Rig::start(&Arc::new(rig.disk.power_cut(seed)));
            assert_eq!(get(&after.buckets, "mended", None).await, noise(2, 10_000));
            assert_eq!(get(&after.buckets, "new", None).await, data);
            after.assert_whole(("new", &data)).await;
        }
    }
}
