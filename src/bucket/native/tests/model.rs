//! Several tasks put (also slowly, so that uploads of overlapping content run side by side), overwrite, copy, delete, upload in parts, abort and go away in the middle, while gc, rewriting
//! and compaction run all the time (and are themselves dropped in the middle), and check finds every moment in between
//! sound. Each task knows what its keys must hold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions, GcReport};
use crate::store::pack::PackStore;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::throttle::Throttle;

const TASKS: u64 = 4;
const STEPS: usize = 60;
const KEYS: u64 = 6;

/// Random numbers, the same for the same seed.
pub(super) struct Rng(blake3::OutputReader);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }

    /// Content made of pieces that other objects have too, whole or in part.
    fn content(&mut self) -> Bytes {
        let mut content = Vec::new();
        for _ in 0..=self.below(3) {
            let piece = noise(self.below(12), 600_000);
            let start = [0, self.below(500_000) as usize][self.below(2) as usize];
            let end = start + self.below(600_000 - start as u64) as usize;
            content.extend_from_slice(&piece[start..end]);
        }
        content.into()
    }
}

struct Task {
    buckets: Arc<NativeBuckets>,
    rng: Rng,
    number: u64,
    model: BTreeMap<String, Bytes>,
}

impl Task {
    fn name(&mut self) -> String {
        format!("{}-{}", self.number, self.rng.below(KEYS))
    }

    async fn step(&mut self) {
        let name = self.name();
        match self.rng.below(20) {
            0..7 => self.put(name).await,
            7..10 => self.delete(&name).await,
            10..12 => self.copy(name).await,
            12 => self.multipart(name).await,
            13 => self.abort(name).await,
            14 => self.break_off(&name).await,
            15 => self.go_away().await,
            16 => self.put_slowly(name, false).await,
            17 => self.put_slowly(name, true).await,
            _ => self.read(&name).await,
        }
    }

    async fn put(&mut self, name: String) {
        let data = self.rng.content();
        put(&self.buckets, &name, &data).await;
        self.model.insert(name, data);
    }

    /// A write of content that others write at the same time, with rests between its pieces; it may break off in the end.
    async fn put_slowly(&mut self, name: String, breaks_off: bool) {
        let data: Bytes = [noise(self.rng.below(2) + 100, 1_500_000), self.rng.content()].concat().into();
        let rest = Duration::from_micros(self.rng.below(1500));
        let pieces = payload(&data).body.then(move |piece| async move {
            tokio::time::sleep(rest).await;
            piece
        });
        if breaks_off {
            let whole = data.len() / 70_001;
            let cut = pieces.take(whole).chain(stream::iter([Err("connection reset".into())]));
            let broken = Payload { body: Box::pin(cut), ..payload(&data) };
            self.buckets.write(&bucket_id(), write(&name, broken)).await.unwrap_err();
            return;
        }
        let slow = Payload { body: Box::pin(pieces), ..payload(&data) };
        self.buckets.write(&bucket_id(), write(&name, slow)).await.unwrap();
        self.model.insert(name, data);
    }

    async fn delete(&mut self, name: &str) {
        let delete = ObjectDelete::current(key(name));
        self.buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
        self.model.remove(name);
    }

    async fn copy(&mut self, name: String) {
        let from = self.name();
        let Some(data) = self.model.get(&from).cloned() else {
            return;
        };
        let copy = ObjectCopy {
            source: source(&from),
            key: key(&name),
            changes: AttributeChanges::default(),
            checksum: None,
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
        };
        self.buckets.copy(&bucket_id(), copy).await.unwrap();
        self.model.insert(name, data);
    }

    async fn begin(&mut self, name: &str) -> UploadRef {
        let new = NewUpload {
            key: key(name),
            attributes: Attributes::default(),
            checksum: None,
            lock: ObjectLock::default(),
        };
        let upload = self.buckets.create_upload(&bucket_id(), new).await.unwrap();
        UploadRef { key: upload.key, id: upload.id }
    }

    /// A large part, and as the second one a range of another object.
    async fn multipart(&mut self, name: String) {
        let upload = self.begin(&name).await;
        let mut data = [noise(self.rng.below(3), 5 << 20), self.rng.content()].concat();
        let mut parts = vec![
            self.buckets.write_part(&bucket_id(), &upload, 1, payload(&data.clone().into())).await.unwrap(),
        ];
        let from = self.name();
        if let Some(other) = self.model.get(&from).filter(|other| other.len() > 2) {
            let (first, last) = (other.len() as u64 / 3, other.len() as u64 - 1);
            let range = Some(ByteRange::Bounded(first, last));
            let copied = self.buckets.copy_part(&bucket_id(), &upload, 2, &source(&from), range).await;
            parts.push(copied.unwrap().made);
            data.extend_from_slice(&other[first as usize..]);
        }
        let named = parts.iter().map(|part| CompletedPart {
            number: part.number,
            etag: hex::encode(part.md5),
            checksum: None,
        });
        let completion = UploadCompletion { parts: named.collect(), ..UploadCompletion::default() };
        let object = self.buckets.complete_upload(&bucket_id(), &upload, completion).await.unwrap();
        assert_eq!(object.file, hash_of(&data));
        self.model.insert(name, data.into());
    }

    async fn abort(&mut self, name: String) {
        let upload = self.begin(&name).await;
        let part = payload(&self.rng.content());
        self.buckets.write_part(&bucket_id(), &upload, 1, part).await.unwrap();
        self.buckets.abort_upload(&bucket_id(), &upload).await.unwrap();
    }

    async fn break_off(&mut self, name: &str) {
        let data = self.rng.content();
        let cut = payload(&data).body.take(3).chain(stream::iter([Err("connection reset".into())]));
        let broken = Payload { body: Box::pin(cut), ..payload(&data) };
        self.buckets.write(&bucket_id(), write(name, broken)).await.unwrap_err();
    }

    /// A write whose caller goes away at any moment may be seen or not, whole.
    async fn go_away(&mut self) {
        let data = self.rng.content();
        let name = format!("left-{}", hash_of(&data));
        let id = bucket_id();
        let writing = self.buckets.write(&id, write(&name, payload(&data)));
        let patience = Duration::from_micros(self.rng.below(8000));
        drop(tokio::time::timeout(patience, writing).await);
    }

    async fn read(&mut self, name: &str) {
        if let Some(data) = self.model.get(name) {
            assert_eq!(get(&self.buckets, name, None).await, *data);
        } else {
            let read = self.buckets.object(&bucket_id(), ObjectRef::current(&key(name))).await;
            assert!(matches!(read, Err(BucketError::NoSuchKey(_))));
        }
    }
}

/// Reads and deletes the objects of writers who went away; some may be on their way still.
async fn delete_what_was_left(buckets: &NativeBuckets, task: &mut Task) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let all = ListQuery { limit: 1000, ..ListQuery::default() };
    for (name, object) in buckets.list(&bucket_id(), &all).await.unwrap().objects {
        assert_eq!(name.as_str(), format!("left-{}", object.file));
        assert_eq!(hash_of(&get(buckets, name.as_str(), None).await), object.file);
        task.delete(name.as_str()).await;
    }
}

async fn assert_clean(buckets: &NativeBuckets) {
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
}

/// Collects and checks until told to stop; answers all that was done.
async fn keep(buckets: Arc<NativeBuckets>, collector: Arc<Collector>, stop: Arc<AtomicBool>) -> GcReport {
    let options = GcOptions { patience: Duration::from_millis(30), ..GcOptions::default() };
    let mut sum = GcReport::default();
    let mut rng = Rng::new(0);
    while !stop.load(Ordering::Relaxed) {
        let patience = [Duration::from_micros(rng.below(20_000)), Duration::MAX][rng.below(2) as usize];
        let throttle = Throttle::default();
        let Ok(report) = tokio::time::timeout(patience, collector.pass(&options, &throttle)).await else {
            continue;
        };
        let report = report.unwrap();
        sum.xorbs_removed += report.xorbs_removed;
        sum.xorbs_compacted += report.xorbs_compacted;
        sum.packs_rewritten += report.packs_rewritten;
        sum.packs_deleted += report.packs_deleted;
        assert_eq!(report.frames_damaged, 0);
        assert_clean(&buckets).await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn objects_stay_what_they_are_while_everything_is_collected() {
    // More of them for a long run.
    let seeds = std::env::var("XETGATE_MODEL_SEEDS").map_or(4, |seeds| seeds.parse().unwrap());
    let first: u64 = std::env::var("XETGATE_MODEL_FIRST_SEED").map_or(0, |first| first.parse().unwrap());
    for seed in first..first + seeds {
        let (buckets, packs) = small_packs().await;
        let clock = Arc::clone(&buckets.ambient.clock);
        let collector = Arc::new(Collector::new(Arc::clone(buckets.store()), clock));
        let stop = Arc::new(AtomicBool::new(false));
        let keeper = tokio::spawn(keep(Arc::clone(&buckets), Arc::clone(&collector), Arc::clone(&stop)));
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let (buckets, rng) = (Arc::clone(&buckets), Rng::new(seed * TASKS + number));
                let mut task = Task { buckets, rng, number, model: BTreeMap::new() };
                tokio::spawn(async move {
                    for _ in 0..STEPS {
                        task.step().await;
                    }
                    task
                })
            })
            .collect();
        let mut done = Vec::new();
        for task in tasks {
            done.push(task.await.unwrap());
        }
        stop.store(true, Ordering::Relaxed);
        let kept = keeper.await.unwrap();
        println!("seed {seed}: {}", kept.table());
        assert!(kept.xorbs_removed > 0 && kept.packs_rewritten > 0);
        assert_clean(&buckets).await;
        let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
        assert_eq!(report.damages, []);
        for task in &mut done {
            for (name, data) in std::mem::take(&mut task.model) {
                assert_eq!(get(&buckets, &name, None).await, data, "{name}");
                task.delete(&name).await;
            }
        }
        delete_what_was_left(&buckets, &mut done[0]).await;
        collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
        assert_clean(&buckets).await;
        assert_eq!(packs.list().unwrap(), [], "everything is given back");
    }
}
