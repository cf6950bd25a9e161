//! Power cuts in transactions that touch versions: afterwards a key has the versions that were acknowledged, and those of the
//! change under way or not, and nothing else.

use super::power_cut::start;
use super::*;
use crate::store::check::check;
use crate::store::simulated::Disk;
use crate::store::throttle::Throttle;

/// A change of the scenario.
#[derive(Debug, Clone, Copy)]
enum Step {
    Switch(Versioning),
    Put(&'static str, u64),
    Delete(&'static str),
    /// Removes one of the versions of a key for good: 0 is the newest.
    Remove(&'static str, usize),
    /// Puts the newest version of a key under a legal hold, or lifts it.
    Hold(&'static str, bool),
    Lock,
}

use Step::{Delete, Hold, Lock, Put, Remove, Switch};

const SCENARIO: [Step; 24] = [
    Put("a", 1),
    Switch(Versioning::Enabled),
    Put("a", 2),
    Put("b", 3),
    Put("a", 1),
    Delete("a"),
    Delete("b"),
    Remove("a", 0),
    Remove("a", 0),
    Put("a", 4),
    Switch(Versioning::Suspended),
    Put("a", 5),
    Put("a", 6),
    Delete("a"),
    Remove("a", 0),
    Put("b", 7),
    Switch(Versioning::Enabled),
    Lock,
    Put("b", 8),
    Hold("b", true),
    Delete("b"),
    Remove("b", 0),
    Hold("b", false),
    Remove("b", 0),
];

/// Of each key the seeds of its versions, the newest first; `None` is a delete marker.
type Versions = Vec<(&'static str, Vec<(Option<u64>, bool)>)>;

/// What is known of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    versioning: Versioning,
    /// With each version whether it is the one without an id.
    versions: Versions,
}

impl Known {
    fn of(&mut self, key: &'static str) -> &mut Vec<(Option<u64>, bool)> {
        let at = self.versions.iter().position(|(name, _)| *name == key).unwrap();
        &mut self.versions[at].1
    }

    fn make(&mut self, key: &'static str, content: Option<u64>) {
        let is_null = self.versioning != Versioning::Enabled;
        let versions = self.of(key);
        if is_null {
            versions.retain(|(_, is_null)| !is_null);
        }
        versions.insert(0, (content, is_null));
    }

    fn after(&self, step: Step) -> Self {
        let mut after = self.clone();
        match step {
            Switch(versioning) => after.versioning = versioning,
            Put(key, seed) => after.make(key, Some(seed)),
            Delete(key) => after.make(key, None),
            Remove(key, at) => drop(after.of(key).remove(at)),
            Hold(..) | Lock => {}
        }
        after
    }
}

fn content(seed: u64) -> Bytes {
    noise(seed, 20_000 * seed as usize)
}

async fn newest(on: &NativeBuckets, name: &str) -> Result<Vec<VersionRef>, BucketError> {
    let query = VersionQuery { prefix: name.to_owned(), limit: 100, ..VersionQuery::default() };
    let listed = on.list_versions(&bucket_id(), &query).await?.versions;
    Ok(listed.iter().map(|entry| entry.version.name()).collect())
}

async fn take(on: &NativeBuckets, step: Step) -> Result<(), BucketError> {
    let id = bucket_id();
    let delete = async |delete| on.delete(&id, vec![delete]).await?.pop().unwrap().map(drop);
    match step {
        Switch(versioning) => on.change_bucket(&id, BucketChange::Versioning(versioning)).await,
        Lock => on.change_bucket(&id, BucketChange::ObjectLock(BucketLock::default())).await,
        Put(name, seed) => on.write(&id, write(name, payload(&content(seed)))).await.map(drop),
        Delete(name) => delete(ObjectDelete::current(key(name))).await,
        Remove(name, at) => {
            let version = Some(newest(on, name).await?[at]);
            delete(ObjectDelete { version, ..ObjectDelete::current(key(name)) }).await
        }
        Hold(name, is_on) => {
            let name = key(name);
            let hold = on.lock_object(&id, ObjectRef::current(&name), LockChange::LegalHold(is_on)).await;
            hold.map(drop)
        }
    }
}

/// Takes steps until one fails; answers what is acknowledged, and what may be there instead.
async fn work(on: &NativeBuckets) -> (Known, Known) {
    let mut known =
        Known { versioning: Versioning::Off, versions: vec![("a", Vec::new()), ("b", Vec::new())] };
    for step in SCENARIO {
        let after = known.after(step);
        if take(on, step).await.is_err() {
            return (known, after);
        }
        known = after;
    }
    (known.clone(), known)
}

/// What is in the bucket.
async fn found(on: &NativeBuckets) -> Known {
    let id = bucket_id();
    let mut found = Known { versioning: on.bucket(&id).await.unwrap().versioning, versions: Vec::new() };
    for name in ["a", "b"] {
        let mut versions = Vec::new();
        for version in newest(on, name).await.unwrap() {
            let (key, is_null) = (key(name), version == VersionRef::Null);
            let read = on.read(&id, ObjectRef { key: &key, version: Some(version) }, None).await;
            let seed = match read {
                Err(BucketError::IsDeleteMarker { .. }) => None,
                read => {
                    let pieces: Vec<Bytes> = read.unwrap().body.try_collect().await.unwrap();
                    let bytes = pieces.concat();
                    Some((1..9).find(|seed| content(*seed) == bytes).unwrap())
                }
            };
            versions.push((seed, is_null));
        }
        let current = on.object(&id, ObjectRef::current(&key(name))).await.is_ok();
        assert_eq!(current, matches!(versions.first(), Some((Some(_), _))), "{name}: {versions:?}");
        found.versions.push((name, versions));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_leaves_the_versions_that_were_acknowledged() {
    let disk = Arc::new(Disk::default());
    let buckets = start(&disk, &Arc::default()).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    let made = disk.operations();
    let (known, _) = work(&buckets).await;
    assert_eq!(found(&buckets).await, known, "the scenario goes through");
    let operations = disk.operations();
    drop(buckets);
    for at in (made + 1..=operations).step_by(3) {
        let disk = Arc::new(Disk::default());
        let buckets = start(&disk, &Arc::default()).unwrap();
        buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
        disk.cut_at(at);
        let (acknowledged, under_way) = work(&buckets).await;
        drop(buckets);
        let disk = Arc::new(disk.power_cut(at));
        let buckets = start(&disk, &Arc::default()).unwrap();
        let found = found(&buckets).await;
        assert!(
            found == acknowledged || found == under_way,
            "cut at operation {at} of {operations}: {found:?}, not {acknowledged:?} or {under_way:?}"
        );
        let report = check(buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "cut at operation {at}: {}", report.table());
    }
}
