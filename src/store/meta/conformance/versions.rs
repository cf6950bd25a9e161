//! Versions: what writes and deletes make of them, and how they are read.

use super::*;
use crate::model::bucket::Visibility;
use crate::model::listing::{VersionPage, VersionQuery};
use crate::model::lock::{
    BucketLock, DefaultRetention, ObjectLock, Retention, RetentionMode, RetentionPeriod,
};
use crate::model::object::Version;
use crate::model::settings::BucketChange;
use crate::model::upload::Upload;
use crate::model::version::{VersionId, VersionRef, Versioning};
use crate::store::meta::{Amendment, Changed};

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    a_bucket_without_versions_makes_none(open().await).await;
    writes_keep_what_they_replace(open().await).await;
    a_delete_hides_and_a_delete_of_a_version_removes(open().await).await;
    a_suspended_bucket_has_one_version_without_an_id(open().await).await;
    later_versions_are_newer_whatever_the_clock_says(open().await).await;
    listings_show_every_version_once(open().await).await;
    listings_go_on_after_what_was_deleted(open().await).await;
    locked_versions_stay(open().await).await;
    a_bucket_with_versions_is_not_empty(open().await).await;
    locks_are_of_buckets_with_an_object_lock(open().await).await;
    a_default_retention_is_not_shortened_by_a_clock_that_jumps_back(open().await).await;
    a_bucket_goes_once_nothing_in_it_is_locked(open().await).await;
    random_changes_are_as_in_a_model(open().await).await;
}

async fn set(store: &Store, versioning: Versioning) {
    store.change_bucket(&id("bucket"), BucketChange::Versioning(versioning)).await.unwrap();
    assert_eq!(store.bucket(&id("bucket")).await.unwrap().unwrap().versioning, versioning);
}

/// A write of this content at a moment.
fn put_at(content: &str, at: u64) -> ObjectChange {
    let file = file(content);
    let version = Some(VersionId::new(Timestamp(at), [at as u8; 8]));
    let object = Object { modified_at: Timestamp(at), version, ..object(&file) };
    ObjectChange::Put(Box::new(object), Some(Box::new(file)))
}

fn delete_at(at: u64) -> Deletion {
    Deletion::of_current(Timestamp(at), [at as u8; 8])
}

fn delete_version(version: VersionRef) -> Deletion {
    Deletion { version: Some(version), ..delete_at(1_000_000) }
}

async fn make(store: &Store, bucket: &Bucket, name: &str, change: ObjectChange) -> Changed {
    store.change(bucket.uid, &key(name), &WriteCondition::default(), change).await.unwrap()
}

async fn delete(store: &Store, bucket: &Bucket, name: &str, deletion: Deletion) -> Changed {
    make(store, bucket, name, ObjectChange::Delete(deletion)).await
}

async fn current(store: &Store, bucket: &Bucket, name: &str) -> Option<FileHash> {
    store.object(bucket.uid, &key(name)).await.unwrap().map(|object| object.file)
}

async fn list(store: &Store, bucket: &Bucket, query: VersionQuery) -> VersionPage {
    store.list_versions(bucket.uid, &query).await.unwrap()
}

/// All versions as `key=content` (`-` for a delete marker), `!` before the current ones.
async fn shown(store: &Store, bucket: &Bucket, contents: &[&str]) -> Vec<String> {
    let page = list(store, bucket, VersionQuery { limit: 1000, ..VersionQuery::default() }).await;
    let content = |version: &Version| match version {
        Version::Marker(_) => "-".to_owned(),
        Version::Object(object) => {
            let is_it = |content: &&&str| file(content).record.hash == object.file;
            contents.iter().find(is_it).map_or("?".to_owned(), |content| (*content).to_owned())
        }
    };
    let mark = |is_latest: bool| if is_latest { "!" } else { "" };
    let versions = page.versions.iter();
    versions
        .map(|entry| format!("{}{}={}", mark(entry.is_latest), entry.key, content(&entry.version)))
        .collect()
}

async fn a_bucket_without_versions_makes_none(store: Store) {
    let bucket = bucket(&store).await;
    assert_eq!(make(&store, &bucket, "k", put_at("a", 1)).await, Changed::default());
    assert_eq!(make(&store, &bucket, "k", put_at("b", 2)).await, Changed::default());
    assert_eq!(shown(&store, &bucket, &["a", "b"]).await, ["!k=b"]);
    assert_eq!(store.object(bucket.uid, &key("k")).await.unwrap().unwrap().version, None);
    let null = store.version(bucket.uid, &key("k"), VersionRef::Null).await.unwrap();
    assert!(matches!(null, Some(Version::Object(_))));
    assert_eq!(delete(&store, &bucket, "k", delete_at(3)).await, Changed::default());
    assert!(shown(&store, &bucket, &[]).await.is_empty());
    make(&store, &bucket, "k", put_at("a", 4)).await;
    delete(&store, &bucket, "k", delete_version(VersionRef::Null)).await;
    assert!(shown(&store, &bucket, &[]).await.is_empty(), "null names what has no id");
    assert_eq!(store.file(&file("a").record.hash).await.unwrap(), None);
}

async fn writes_keep_what_they_replace(store: Store) {
    let bucket = bucket(&store).await;
    make(&store, &bucket, "k", put_at("null", 1)).await;
    set(&store, Versioning::Enabled).await;
    let first = make(&store, &bucket, "k", put_at("a", 2)).await;
    let second = make(&store, &bucket, "k", put_at("b", 3)).await;
    assert_ne!(first.version, second.version);
    assert_eq!(shown(&store, &bucket, &["a", "b", "null"]).await, ["!k=b", "k=a", "k=null"]);
    for (version, content) in [(first.version, "a"), (second.version, "b"), (Some(VersionRef::Null), "null")]
    {
        let found = store.version(bucket.uid, &key("k"), version.unwrap()).await.unwrap();
        let object = found.and_then(Version::into_object).unwrap();
        assert_eq!(object.file, file(content).record.hash);
        assert_eq!(VersionRef::from(object.version), version.unwrap());
    }
    let unknown = VersionId { random: 0, ..second.version.unwrap().id().unwrap() };
    assert_eq!(store.version(bucket.uid, &key("k"), VersionRef::Id(unknown)).await.unwrap(), None);
    let stats = store.version_stats(bucket.uid).await.unwrap();
    assert_eq!((stats.bytes, stats.objects, stats.delete_markers), (5, 2, 0));
    assert_eq!(store.bucket_stats(bucket.uid).await.unwrap().objects, 1);
}

async fn a_delete_hides_and_a_delete_of_a_version_removes(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    let first = make(&store, &bucket, "k", put_at("a", 2)).await;
    let marker = delete(&store, &bucket, "k", delete_at(3)).await;
    assert!(marker.is_marker);
    assert_eq!(current(&store, &bucket, "k").await, None);
    let latest = store.latest(bucket.uid, &key("k")).await.unwrap().unwrap();
    assert_eq!((latest.name(), latest.into_object()), (marker.version.unwrap(), None));
    assert_eq!(shown(&store, &bucket, &["a"]).await, ["!k=-", "k=a"]);
    // Of what was never there, too.
    assert!(delete(&store, &bucket, "none", delete_at(4)).await.is_marker);
    let undone = delete(&store, &bucket, "k", delete_version(marker.version.unwrap())).await;
    assert_eq!(undone, marker);
    assert_eq!(current(&store, &bucket, "k").await, Some(file("a").record.hash));
    let second = make(&store, &bucket, "k", put_at("b", 5)).await;
    assert_eq!(delete(&store, &bucket, "k", delete_version(second.version.unwrap())).await, second);
    assert_eq!(
        current(&store, &bucket, "k").await,
        Some(file("a").record.hash),
        "the one before it is current"
    );
    delete(&store, &bucket, "k", delete_version(first.version.unwrap())).await;
    assert_eq!(shown(&store, &bucket, &[]).await, ["!none=-"]);
    for content in ["a", "b"] {
        assert_eq!(store.file(&file(content).record.hash).await.unwrap(), None);
    }
    let again = delete(&store, &bucket, "k", delete_version(first.version.unwrap())).await;
    assert_eq!(again.version, first.version, "what is gone may be deleted again");
}

async fn a_suspended_bucket_has_one_version_without_an_id(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    make(&store, &bucket, "k", put_at("a", 2)).await;
    set(&store, Versioning::Suspended).await;
    let null = make(&store, &bucket, "k", put_at("b", 3)).await;
    assert_eq!(null.version, Some(VersionRef::Null));
    make(&store, &bucket, "k", put_at("c", 4)).await;
    assert_eq!(shown(&store, &bucket, &["a", "b", "c"]).await, ["!k=c", "k=a"]);
    let marker = delete(&store, &bucket, "k", delete_at(5)).await;
    assert_eq!((marker.version, marker.is_marker), (Some(VersionRef::Null), true));
    assert_eq!(shown(&store, &bucket, &["a"]).await, ["!k=-", "k=a"]);
    delete(&store, &bucket, "k", delete_at(6)).await;
    assert_eq!(shown(&store, &bucket, &["a"]).await, ["!k=-", "k=a"]);
    set(&store, Versioning::Enabled).await;
    make(&store, &bucket, "k", put_at("d", 7)).await;
    set(&store, Versioning::Suspended).await;
    make(&store, &bucket, "k", put_at("e", 8)).await;
    assert_eq!(shown(&store, &bucket, &["a", "d", "e"]).await, ["!k=e", "k=d", "k=a"]);
}

async fn later_versions_are_newer_whatever_the_clock_says(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    for (content, at) in [("a", 100), ("b", 100), ("c", 5), ("d", 100)] {
        make(&store, &bucket, "k", put_at(content, at)).await;
    }
    assert_eq!(shown(&store, &bucket, &["a", "b", "c", "d"]).await, ["!k=d", "k=c", "k=b", "k=a"]);
    set(&store, Versioning::Suspended).await;
    make(&store, &bucket, "k", put_at("e", 1)).await;
    set(&store, Versioning::Enabled).await;
    make(&store, &bucket, "k", put_at("f", 1)).await;
    delete(&store, &bucket, "k", delete_at(0)).await;
    let all = shown(&store, &bucket, &["a", "b", "c", "d", "e", "f"]).await;
    assert_eq!(all, ["!k=-", "k=f", "k=e", "k=d", "k=c", "k=b", "k=a"]);
}

async fn listings_show_every_version_once(store: Store) {
    let bucket = bucket(&store).await;
    make(&store, &bucket, "a/1", put_at("x", 1)).await;
    set(&store, Versioning::Enabled).await;
    for (at, name) in (2..).zip(["a/1", "a/2", "b", "b", "c/1", "b", "d"]) {
        make(&store, &bucket, name, put_at("x", at)).await;
    }
    delete(&store, &bucket, "b", delete_at(20)).await;
    delete(&store, &bucket, "c/1", delete_at(21)).await;
    let whole = list(&store, &bucket, VersionQuery { limit: 1000, ..VersionQuery::default() }).await;
    assert_eq!((whole.versions.len(), whole.next), (10, None));
    assert_eq!(whole.versions.iter().filter(|entry| entry.is_latest).count(), 5);
    for limit in 1..=11 {
        let (mut all, mut query) = (Vec::new(), VersionQuery { limit, ..VersionQuery::default() });
        loop {
            let page = list(&store, &bucket, query.clone()).await;
            assert!(page.versions.len() <= limit);
            all.extend(page.versions);
            let Some((key, version)) = page.next else { break };
            (query.key_marker, query.version_marker) = (Some(key), version);
        }
        assert_eq!(all, whole.versions, "pages of {limit}");
    }
    let rolled = |marker: Option<&str>, limit| VersionQuery {
        delimiter: Some("/".to_owned()),
        key_marker: marker.map(str::to_owned),
        limit,
        ..VersionQuery::default()
    };
    let page = list(&store, &bucket, rolled(None, 1000)).await;
    assert_eq!((page.common_prefixes, page.versions.len()), (vec!["a/".to_owned(), "c/".to_owned()], 5));
    let page = list(&store, &bucket, rolled(None, 1)).await;
    assert_eq!((page.common_prefixes, page.next), (vec!["a/".to_owned()], Some(("a/".to_owned(), None))));
    let page = list(&store, &bucket, rolled(Some("a/"), 1)).await;
    assert_eq!(page.versions[0].key, key("b"));
    let below = VersionQuery { prefix: "a/".to_owned(), limit: 1000, ..VersionQuery::default() };
    assert_eq!(list(&store, &bucket, below).await.versions.len(), 3);
    let after = VersionQuery { key_marker: Some("b".to_owned()), limit: 1000, ..VersionQuery::default() };
    assert_eq!(list(&store, &bucket, after).await.versions.len(), 3);
}

/// A client that empties a bucket page by page deletes the very version that the next page is to begin after.
async fn listings_go_on_after_what_was_deleted(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    for at in 1..=7 {
        make(&store, &bucket, "a", put_at(&format!("a{at}"), at)).await;
        make(&store, &bucket, "b", put_at(&format!("b{at}"), at)).await;
    }
    delete(&store, &bucket, "b", delete_at(8)).await;
    delete(&store, &bucket, "b", delete_at(9)).await;
    let (mut seen, mut latest) = (0, Vec::new());
    let mut query = VersionQuery { limit: 3, ..VersionQuery::default() };
    loop {
        let page = list(&store, &bucket, query.clone()).await;
        for entry in page.versions {
            let deleted = delete_version(entry.version.name());
            delete(&store, &bucket, entry.key.as_str(), deleted).await;
            seen += 1;
            latest.extend(entry.is_latest.then(|| entry.key.as_str().to_owned()));
        }
        let Some((key, version)) = page.next else { break };
        (query.key_marker, query.version_marker) = (Some(key), version);
    }
    assert_eq!(seen, 16);
    // Each page but the first begins with what has become the latest of its key.
    assert_eq!(latest, ["a", "a", "a", "b", "b", "b", "b"]);
    assert!(shown(&store, &bucket, &[]).await.is_empty());
    store.delete_bucket(&id("bucket"), false, Timestamp(0)).await.unwrap();
}

const LOCK: BucketChange = BucketChange::ObjectLock(BucketLock { default_retention: None });

async fn locked_bucket(store: &Store) -> Bucket {
    store.create_locked_bucket(&id("bucket"), Visibility::Private, Timestamp(1)).await.unwrap()
}

async fn locks_are_of_buckets_with_an_object_lock(store: Store) {
    let bucket = bucket(&store).await;
    let change = async |change| store.change_bucket(&bucket.id, change).await;
    let hold = ObjectLock { legal_hold: true, ..ObjectLock::default() };
    let put = |lock, at| match put_at("a", at) {
        ObjectChange::Put(object, file) => ObjectChange::Put(Box::new(Object { lock, ..*object }), file),
        other => other,
    };
    for versioning in [Versioning::Off, Versioning::Suspended, Versioning::Enabled] {
        change(BucketChange::Versioning(versioning)).await.unwrap();
        if versioning != Versioning::Enabled {
            assert!(matches!(change(LOCK).await, Err(MetaError::BucketState(_))));
        }
        let everything = WriteCondition::default();
        let refused = store.change(bucket.uid, &key("k"), &everything, put(hold, 2)).await;
        assert!(matches!(refused, Err(MetaError::NoObjectLock)));
        make(&store, &bucket, "k", put(ObjectLock::default(), 2)).await;
        let amend = ObjectChange::Amend(None, Amendment::LegalHold(true));
        let refused = store.change(bucket.uid, &key("k"), &everything, amend).await;
        assert!(matches!(refused, Err(MetaError::NoObjectLock)));
    }
    let upload = Upload { lock: hold, ..super::upload("k", 2) };
    assert!(matches!(store.create_upload(bucket.uid, &upload).await, Err(MetaError::NoObjectLock)));
    change(LOCK).await.unwrap();
    let suspended = change(BucketChange::Versioning(Versioning::Suspended)).await;
    assert!(matches!(suspended, Err(MetaError::BucketState(_))));
    store.create_upload(bucket.uid, &upload).await.unwrap();
    assert_eq!(store.upload(bucket.uid, &key("k"), &upload.id).await.unwrap(), Some(upload));
    let version = make(&store, &bucket, "k", put(hold, 3)).await.version.unwrap();
    let remove = ObjectChange::Delete(delete_version(version));
    let refused = store.change(bucket.uid, &key("k"), &WriteCondition::default(), remove).await;
    assert!(matches!(refused, Err(MetaError::Locked)));
}

async fn a_default_retention_is_not_shortened_by_a_clock_that_jumps_back(store: Store) {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let bucket = locked_bucket(&store).await;
    let default = DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Days(1) };
    let lock = BucketLock { default_retention: Some(default) };
    store.change_bucket(&bucket.id, BucketChange::ObjectLock(lock)).await.unwrap();
    for (at, until) in [(5_000, 5_000 + DAY), (1_000, 5_000 + DAY), (6_000, 6_000 + DAY)] {
        make(&store, &bucket, "k", put_at("a", at)).await;
        let object = store.object(bucket.uid, &key("k")).await.unwrap().unwrap();
        assert_eq!(object.lock.retention.unwrap().until, Timestamp(until), "written at {at}");
        // Whatever the clock says, what was locked before is locked.
        for now in [0, at, until - 1] {
            let deletion = Deletion { at: Timestamp(now), ..delete_version(object.version.into()) };
            let everything = WriteCondition::default();
            let delete = ObjectChange::Delete(deletion);
            let refused = store.change(bucket.uid, &key("k"), &everything, delete).await;
            assert!(matches!(refused, Err(MetaError::Locked)), "at {now}");
        }
    }
}

async fn a_bucket_goes_once_nothing_in_it_is_locked(store: Store) {
    let bucket = locked_bucket(&store).await;
    let first = make(&store, &bucket, "k", put_at("a", 2)).await.version.unwrap();
    make(&store, &bucket, "k", put_at("b", 3)).await;
    let retention = Some(Retention { mode: RetentionMode::Governance, until: Timestamp(1_000) });
    let retain = Amendment::Retention { retention, now: Timestamp(4), bypasses_governance: false };
    for version in [Some(first), None] {
        make(&store, &bucket, "k", ObjectChange::Amend(version, retain.clone())).await;
        let refused = store.delete_bucket(&bucket.id, true, Timestamp(999)).await;
        assert!(matches!(refused, Err(MetaError::Locked)));
        assert_eq!(shown(&store, &bucket, &["a", "b"]).await, ["!k=b", "k=a"]);
    }
    // Its name may change: what is in it stays locked.
    store.move_bucket(&bucket.id, &id("moved")).await.unwrap();
    assert!(matches!(store.delete_bucket(&id("moved"), true, Timestamp(999)).await, Err(MetaError::Locked)));
    store.delete_bucket(&id("moved"), true, Timestamp(1_000)).await.unwrap();
}

async fn locked_versions_stay(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    store.change_bucket(&bucket.id, LOCK).await.unwrap();
    let version = make(&store, &bucket, "k", put_at("a", 2)).await.version.unwrap();
    let amend = |amendment| ObjectChange::Amend(Some(version), amendment);
    let until = |mode, until| Amendment::Retention {
        retention: Some(Retention { mode, until: Timestamp(until) }),
        now: Timestamp(10),
        bypasses_governance: false,
    };
    make(&store, &bucket, "k", amend(until(RetentionMode::Governance, 2_000_000))).await;
    let everything = WriteCondition::default();
    let name = key("k");
    let try_to = async |change| store.change(bucket.uid, &name, &everything, change).await;
    let remove = delete_version(version);
    assert!(matches!(try_to(ObjectChange::Delete(remove)).await, Err(MetaError::Locked)));
    assert!(matches!(try_to(amend(until(RetentionMode::Governance, 50))).await, Err(MetaError::Locked)));
    // A write hides it, and a marker too: neither removes it.
    make(&store, &bucket, "k", put_at("b", 3)).await;
    delete(&store, &bucket, "k", delete_at(4)).await;
    assert!(matches!(try_to(ObjectChange::Delete(remove)).await, Err(MetaError::Locked)));
    make(&store, &bucket, "k", amend(Amendment::LegalHold(true))).await;
    let bypass = Deletion { bypasses_governance: true, ..remove };
    assert!(matches!(try_to(ObjectChange::Delete(bypass)).await, Err(MetaError::Locked)), "it is held");
    make(&store, &bucket, "k", amend(Amendment::LegalHold(false))).await;
    try_to(ObjectChange::Delete(bypass)).await.unwrap();
    assert_eq!(shown(&store, &bucket, &["b"]).await, ["!k=-", "k=b"]);
    let gone = try_to(amend(Amendment::LegalHold(true))).await;
    assert!(matches!(gone, Err(MetaError::NoSuchVersion)));
}

async fn a_bucket_with_versions_is_not_empty(store: Store) {
    let bucket = bucket(&store).await;
    set(&store, Versioning::Enabled).await;
    make(&store, &bucket, "k", put_at("a", 2)).await;
    delete(&store, &bucket, "k", delete_at(3)).await;
    assert!(matches!(
        store.delete_bucket(&bucket.id, false, Timestamp(0)).await,
        Err(MetaError::BucketNotEmpty)
    ));
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert_eq!(store.file(&file("a").record.hash).await.unwrap(), None);
    let again = super::bucket(&store).await;
    assert_eq!(again.versioning, Versioning::Off);
    assert!(shown(&store, &again, &[]).await.is_empty());
}

/// A version of the model: its name, and its content if it is an object.
type Entry = (VersionRef, Option<u64>);

/// What a key is in the model: its versions, the newest first.
#[derive(Default)]
struct ModelKey(Vec<Entry>);

impl ModelKey {
    fn write(&mut self, made: VersionRef, content: Option<u64>) {
        if made == VersionRef::Null {
            self.0.retain(|(name, _)| *name != VersionRef::Null);
        }
        self.0.insert(0, (made, content));
    }

    fn current(&self) -> Option<u64> {
        self.0.first().and_then(|(_, content)| *content)
    }
}

/// A small random generator; its seed is always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn random_changes_are_as_in_a_model(store: Store) {
    let bucket = bucket(&store).await;
    let mut random = Random(19);
    let mut versioning = Versioning::Off;
    let mut model: [ModelKey; 3] = Default::default();
    for step in 1..400_u64 {
        let at = 1 + random.below(50);
        let which = random.below(3) as usize;
        let name = format!("k{which}");
        match random.below(10) {
            0 => {
                versioning = if random.below(2) == 0 { Versioning::Enabled } else { Versioning::Suspended };
                set(&store, versioning).await;
            }
            1..=4 => {
                let content = random.below(6);
                let put = put_at(&content.to_string(), at * 300 + step);
                let made = make(&store, &bucket, &name, put).await;
                if versioning == Versioning::Off {
                    model[which].0.clear();
                }
                model[which].write(made.version.unwrap_or(VersionRef::Null), Some(content));
            }
            5 | 6 => {
                let made = delete(&store, &bucket, &name, delete_at(at * 300 + step)).await;
                match made.version {
                    None => model[which].0.clear(),
                    Some(version) => model[which].write(version, None),
                }
            }
            _ if !model[which].0.is_empty() => {
                let one = random.below(model[which].0.len() as u64) as usize;
                let (version, content) = model[which].0.remove(one);
                let removed = delete(&store, &bucket, &name, delete_version(version)).await;
                assert_eq!(
                    (removed.version, removed.is_marker),
                    (Some(version), content.is_none()),
                    "{step}"
                );
            }
            _ => {}
        }
        check_model(&store, &bucket, &model, step).await;
    }
}

async fn check_model(store: &Store, bucket: &Bucket, model: &[ModelKey], step: u64) {
    let hash = |content: u64| file(&content.to_string()).record.hash;
    let page = list(store, bucket, VersionQuery { limit: 1000, ..VersionQuery::default() }).await;
    let mut listed = page.versions.into_iter();
    let (mut objects, mut kept) = (0, 0);
    for (which, known) in model.iter().enumerate() {
        let name = format!("k{which}");
        assert_eq!(current(store, bucket, &name).await, known.current().map(hash), "{name} at step {step}");
        objects += u64::from(known.current().is_some());
        for (index, (version, content)) in known.0.iter().enumerate() {
            let entry = listed.next().unwrap();
            assert_eq!((entry.key.as_str(), entry.is_latest), (name.as_str(), index == 0), "step {step}");
            assert_eq!(entry.version.name(), *version, "{name} at step {step}");
            let found = entry.version.into_object().map(|object| object.file);
            assert_eq!(found, content.map(hash), "{name} at step {step}");
            kept += u64::from(content.is_some());
        }
    }
    assert!(listed.next().is_none(), "step {step}");
    assert_eq!(store.bucket_stats(bucket.uid).await.unwrap().objects, objects);
    assert_eq!(store.version_stats(bucket.uid).await.unwrap().objects, kept - objects);
    for content in 0..6 {
        let uses =
            model.iter().flat_map(|key| &key.0).filter(|(_, used)| *used == Some(content)).count() as u64;
        let view = store.view().await.unwrap();
        assert_eq!(view.objects_of_file(bucket.uid, &hash(content)).await.unwrap(), uses, "step {step}");
        assert_eq!(store.file(&hash(content)).await.unwrap().is_some(), uses > 0, "step {step}");
    }
}
