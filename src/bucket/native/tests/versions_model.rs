//! Several tasks write, delete, copy, remove and lock versions at random, in a bucket whose versioning is switched on and off
//! meanwhile and in one with object lock, while gc runs. Each task knows what versions its keys must have.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::model::Rng;
use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions};
use crate::store::pack::PackStore;
use crate::store::throttle::Throttle;

const TASKS: u64 = 3;
const STEPS: usize = 80;
const KEYS: u64 = 4;

/// When retentions end: long after the test.
const FAR: Timestamp = Timestamp(32_503_680_000_000);

/// The bucket whose versioning changes, and the one with object lock.
fn ids() -> [BucketId; 2] {
    ["changing", "locked"].map(|name| BucketId { name: BucketName::new(name).unwrap(), ..bucket_id() })
}

/// A version: its name, its content if it is an object, and what locks it.
#[derive(Debug, Clone)]
struct Known {
    name: VersionRef,
    content: Option<Bytes>,
    lock: ObjectLock,
}

/// The versions of keys by bucket and key, of each the newest first.
type Model = BTreeMap<(usize, String), Vec<Known>>;

struct Task {
    buckets: Arc<NativeBuckets>,
    rng: Rng,
    number: u64,
    model: Model,
}

impl Task {
    /// A bucket and one of the task's keys in it.
    fn place(&mut self) -> (usize, String) {
        (self.rng.below(2) as usize, format!("{}-{}", self.number, self.rng.below(KEYS)))
    }

    /// One of the versions of a key.
    fn pick(&mut self, place: &(usize, String)) -> Option<(usize, Known)> {
        let versions = self.model.get(place).filter(|versions| !versions.is_empty())?;
        let at = self.rng.below(versions.len() as u64) as usize;
        Some((at, versions[at].clone()))
    }

    async fn step(&mut self) {
        let place = self.place();
        match self.rng.below(20) {
            0..6 => self.put(place).await,
            6..9 => self.delete(place).await,
            9..13 => self.remove(place).await,
            13 => self.copy(place).await,
            14 => self.switch().await,
            15 | 16 => self.lock(place).await,
            17 => self.list().await,
            _ => self.read(place).await,
        }
    }

    fn made(&mut self, place: (usize, String), known: Known) {
        let versions = self.model.entry(place).or_default();
        if known.name == VersionRef::Null {
            versions.retain(|version| version.name != VersionRef::Null);
        }
        versions.insert(0, known);
    }

    async fn put(&mut self, place: (usize, String)) {
        let seed = self.rng.below(40);
        let content = noise(seed, 1_000 + 7_000 * seed as usize);
        let lock = ObjectLock { legal_hold: place.0 == 1 && seed == 0, ..ObjectLock::default() };
        let write = ObjectWrite { lock, ..write(&place.1, payload(&content)) };
        let object = self.buckets.write(&ids()[place.0], write).await.unwrap();
        self.made(place, Known { name: object.version.into(), content: Some(content), lock });
    }

    async fn copy(&mut self, place: (usize, String)) {
        let from = self.place();
        let Some((_, source)) = self.pick(&from) else { return };
        let copy = ObjectCopy {
            source: CopySource {
                version: Some(source.name),
                ..CopySource::current(ids()[from.0].clone(), key(&from.1))
            },
            key: key(&place.1),
            changes: AttributeChanges::default(),
            checksum: None,
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
        };
        let copied = self.buckets.copy(&ids()[place.0], copy).await;
        if source.content.is_none() {
            assert!(matches!(copied, Err(BucketError::IsDeleteMarker { .. })));
            return;
        }
        let Copied { made, source: of } = copied.unwrap();
        assert_eq!(VersionRef::from(of), source.name);
        self.made(place, Known { name: made.version.into(), lock: ObjectLock::default(), ..source });
    }

    async fn change(&self, place: &(usize, String), delete: ObjectDelete) -> Result<Changed, BucketError> {
        self.buckets.delete(&ids()[place.0], vec![delete]).await.unwrap().pop().unwrap()
    }

    async fn delete(&mut self, place: (usize, String)) {
        let changed = self.change(&place, ObjectDelete::current(key(&place.1))).await.unwrap();
        assert!(changed.is_marker);
        let name = changed.version.unwrap();
        self.made(place, Known { name, content: None, lock: ObjectLock::default() });
    }

    async fn remove(&mut self, place: (usize, String)) {
        let Some((at, known)) = self.pick(&place) else { return };
        let bypasses_governance = self.rng.below(3) == 0;
        let version = Some(known.name);
        let delete = ObjectDelete { version, bypasses_governance, ..ObjectDelete::current(key(&place.1)) };
        let removed = self.change(&place, delete).await;
        if known.lock.forbids_delete(Timestamp(0), bypasses_governance) {
            assert!(matches!(removed, Err(BucketError::Locked(_))), "{removed:?}");
            return;
        }
        assert_eq!(removed.unwrap(), Changed { version, is_marker: known.content.is_none() });
        self.model.get_mut(&place).unwrap().remove(at);
    }

    async fn switch(&mut self) {
        let versioning = if self.rng.below(2) == 0 { Versioning::Enabled } else { Versioning::Suspended };
        let [changing, locked] = ids();
        self.buckets.change_bucket(&changing, BucketChange::Versioning(versioning)).await.unwrap();
        let refused =
            self.buckets.change_bucket(&locked, BucketChange::Versioning(Versioning::Suspended)).await;
        assert!(matches!(refused, Err(BucketError::BucketState(_))));
    }

    async fn lock(&mut self, (bucket, name): (usize, String)) {
        let Some((at, known)) = self.pick(&(bucket, name.clone())) else { return };
        let mut lock = known.lock;
        let change = if self.rng.below(2) == 0 {
            lock.legal_hold = !lock.legal_hold;
            LockChange::LegalHold(lock.legal_hold)
        } else {
            lock.retention = Some(Retention { mode: RetentionMode::Governance, until: FAR });
            LockChange::Retention { retention: lock.retention, bypasses_governance: false }
        };
        let key = key(&name);
        let object = ObjectRef { key: &key, version: Some(known.name) };
        let changed = self.buckets.lock_object(&ids()[bucket], object, change).await;
        match (bucket, &known.content) {
            (0, _) => assert!(matches!(changed, Err(BucketError::NoObjectLock(_)))),
            (_, None) => assert!(matches!(changed, Err(BucketError::IsDeleteMarker { .. }))),
            _ => {
                assert_eq!(changed.unwrap().version, Some(known.name));
                self.model.get_mut(&(bucket, name)).unwrap()[at].lock = lock;
            }
        }
    }

    /// Reads what is current, and a version.
    async fn read(&mut self, place: (usize, String)) {
        let (id, key) = (&ids()[place.0], key(&place.1));
        let current = self.model.get(&place).and_then(|versions| versions.first()).cloned();
        let named = self.pick(&place).map(|(_, known)| known);
        for (version, known) in [(None, current), (named.as_ref().map(|known| known.name), named.clone())] {
            let read = self.buckets.read(id, ObjectRef { key: &key, version }, None).await;
            match (known, version) {
                (None, None) => assert!(matches!(read, Err(BucketError::NoSuchKey(_)))),
                (None, Some(_)) => unreachable!("a version that is named is known"),
                (Some(Known { content: None, .. }), None) => {
                    assert!(matches!(read, Err(BucketError::Deleted { .. })));
                }
                (Some(Known { content: None, .. }), Some(_)) => {
                    assert!(matches!(read, Err(BucketError::IsDeleteMarker { .. })));
                }
                (Some(Known { content: Some(content), lock, .. }), _) => {
                    let read = read.unwrap();
                    assert_eq!(read.object.lock, lock);
                    let pieces: Vec<Bytes> = read.body.try_collect().await.unwrap();
                    assert_eq!(pieces.concat(), content);
                }
            }
        }
    }

    /// Lists all versions of the task in pages of any size.
    async fn list(&mut self) {
        let bucket = self.rng.below(2) as usize;
        let prefix = format!("{}-", self.number);
        let limit = 1 + self.rng.below(7) as usize;
        let mut query = VersionQuery { prefix, limit, ..VersionQuery::default() };
        let mut expected = Vec::new();
        for ((_, name), versions) in self.model.iter().filter(|((of, _), _)| *of == bucket) {
            for (at, known) in versions.iter().enumerate() {
                expected.push((name.clone(), known.clone(), at == 0));
            }
        }
        let mut expected = expected.into_iter();
        loop {
            let page = self.buckets.list_versions(&ids()[bucket], &query).await.unwrap();
            for entry in page.versions {
                let (name, known, is_latest) = expected.next().unwrap();
                assert_eq!((entry.key.as_str(), entry.is_latest), (name.as_str(), is_latest));
                assert_eq!(entry.version.name(), known.name);
                let file = entry.version.into_object().map(|object| object.file);
                assert_eq!(file, known.content.as_ref().map(|content| hash_of(content)));
            }
            let Some((key, version)) = page.next else { break };
            (query.key_marker, query.version_marker) = (Some(key), version);
        }
        assert!(expected.next().is_none(), "nothing is left out");
    }

    /// Removes everything, however it is locked.
    async fn clear(&mut self) {
        for (place, versions) in std::mem::take(&mut self.model) {
            for known in versions {
                let name = key(&place.1);
                let version = Some(known.name);
                if known.lock.legal_hold {
                    let object = ObjectRef { key: &name, version };
                    let lift = LockChange::LegalHold(false);
                    self.buckets.lock_object(&ids()[place.0], object, lift).await.unwrap();
                }
                let delete =
                    ObjectDelete { version, bypasses_governance: true, ..ObjectDelete::current(name) };
                self.change(&place, delete).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_as_in_a_model_whatever_happens_at_the_same_time() {
    let (buckets, packs) = small_packs().await;
    let [changing, locked] = ids();
    buckets.create_bucket(&changing, Visibility::Private).await.unwrap();
    buckets.change_bucket(&changing, BucketChange::Versioning(Versioning::Enabled)).await.unwrap();
    buckets.create_locked_bucket(&locked, Visibility::Private).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, at_gc) = (Arc::clone(&is_over), Arc::clone(&buckets));
    let collecting = tokio::spawn(async move {
        let collector = Collector::new(Arc::clone(at_gc.store()), Arc::clone(&at_gc.ambient.clock));
        while !over.load(Ordering::Relaxed) {
            collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
            let report = check(at_gc.store(), &Throttle::default()).await.unwrap();
            assert!(report.is_clean(), "{}", report.table());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let tasks = (0..TASKS).map(|number| {
        let mut task =
            Task { buckets: Arc::clone(&buckets), rng: Rng::new(19 + number), number, model: Model::new() };
        tokio::spawn(async move {
            for _ in 0..STEPS {
                task.step().await;
            }
            task.list().await;
            task
        })
    });
    let mut done = futures::future::try_join_all(tasks).await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    collecting.await.unwrap();
    for task in &mut done {
        task.clear().await;
    }
    for id in [changing, locked, bucket_id()] {
        buckets.delete_bucket(&id, DeleteBucket::IfEmpty).await.unwrap();
    }
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    assert_eq!(packs.list().unwrap(), [], "everything is given back");
}
