//! Lifecycle rules: what is in the index of what is due, and what ending it does.

use std::collections::BTreeSet;

use super::*;
use crate::model::lifecycle::{
    Day, Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, Rule, RulesInForce,
};
use crate::model::listing::VersionQuery;
use crate::model::lock::{BucketLock, Retention, RetentionMode};
use crate::model::object::Version;
use crate::model::settings::{BucketChange, Tags};
use crate::model::version::{Stamp, VersionId, VersionRef, Versioning};
use crate::store::meta::{Amendment, DueEntry, DuePlace, DueWhat, Expiry};

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    what_is_due_is_found_by_time_and_ended(open().await).await;
    a_bucket_without_rules_has_no_row(open().await).await;
    other_rules_are_another_index(open().await).await;
    only_versions_beyond_those_kept_are_due(open().await).await;
    a_marker_that_is_left_alone_is_due(open().await).await;
    what_is_no_longer_due_stays(open().await).await;
    a_filling_is_gone_on_with_anywhere(open().await).await;
    random_changes_keep_the_index(open().await).await;
}

/// A day, in milliseconds.
const DAY: u64 = 100;

/// When random changes begin to lock versions, some way through their run.
const LOCKED_FROM: u64 = 11_000;

fn rule(id: &str, prefix: &str) -> Rule {
    let (form, prefix) = (FilterForm::Plain, Some(prefix.to_owned()));
    let filter = Filter { form, prefix, tags: Tags::new(), larger_than: None, smaller_than: None };
    let (id, is_enabled) = (id.to_owned(), true);
    Rule { id, is_enabled, filter, expiration: None, noncurrent: None, abort_after_days: None }
}

fn days(id: &str, prefix: &str, days: u32) -> Rule {
    Rule { expiration: Some(Expiration::Days(days)), ..rule(id, prefix) }
}

fn noncurrent(days: u32, newer_kept: u32) -> Rule {
    Rule { noncurrent: Some(NoncurrentExpiration { days, newer_kept }), ..rule("noncurrent", "") }
}

async fn set_rules(store: &Store, rules: Vec<Rule>) {
    store.set_lifecycle_day(Day::Debug(DAY)).await.unwrap();
    let lifecycle = (!rules.is_empty()).then(|| Lifecycle { rules, ..Lifecycle::default() });
    store.change_bucket(&id("bucket"), BucketChange::Lifecycle(lifecycle.clone())).await.unwrap();
    let found = store.bucket(&id("bucket")).await.unwrap().unwrap().lifecycle;
    assert_eq!(found.map(|rules| (*rules.lifecycle).clone()), lifecycle);
}

async fn keep_versions(store: &Store, versioning: Versioning) {
    store.change_bucket(&id("bucket"), BucketChange::Versioning(versioning)).await.unwrap();
}

/// Lets versions be locked; refused of a bucket that does not keep them.
async fn lock_versions(store: &Store) -> Result<(), MetaError> {
    store.change_bucket(&id("bucket"), BucketChange::ObjectLock(BucketLock::default())).await
}

async fn fill(store: &Store) {
    while store.index_step(2).await.unwrap() {}
}

fn put_at(content: &str, at: u64) -> ObjectChange {
    let file = file(content);
    let version = Some(VersionId::new(Timestamp(at), [at as u8; 8]));
    let object = Object { modified_at: Timestamp(at), version, ..object(&file) };
    ObjectChange::Put(Box::new(object), Some(Box::new(file)))
}

fn delete_at(at: u64) -> ObjectChange {
    ObjectChange::Delete(Deletion::of_current(Timestamp(at), [at as u8; 8]))
}

async fn due(store: &Store, bucket: &Bucket, now: u64) -> Vec<DueEntry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (items, last) = store.due(bucket.uid, Timestamp(now), after.as_ref(), 2).await.unwrap();
        all.extend(items.into_iter().map(|item| item.entry));
        after = last;
        if after.is_none() {
            return all;
        }
    }
}

async fn due_keys(store: &Store, bucket: &Bucket, now: u64) -> Vec<String> {
    due(store, bucket, now).await.into_iter().map(|entry| entry.key.as_str().to_owned()).collect()
}

async fn expire(store: &Store, bucket: &Bucket, now: u64) -> Vec<Expiry> {
    let due = due(store, bucket, now).await.into_iter().map(|entry| (entry, [7; 8])).collect();
    store.expire(bucket.uid, due, Timestamp(now)).await.unwrap()
}

/// Whether every index is what it must be.
async fn assert_kept(store: &Store, bucket: &Bucket) {
    let view = store.view().await.unwrap();
    let (mut place, mut expected, mut is_filled) = (Some(DuePlace::start()), 0, true);
    while let Some(from) = place {
        let Some(found) = view.check_due(bucket.uid, &from, 3).await.unwrap() else {
            is_filled = false;
            break;
        };
        assert_eq!(found.missing, []);
        expected += found.expected;
        place = found.next;
    }
    if is_filled {
        assert_eq!(view.due_rows(Some(bucket.uid)).await.unwrap(), expected);
    }
    assert_eq!(view.due_rows(None).await.unwrap(), 0);
}

async fn what_is_due_is_found_by_time_and_ended(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "logs/old", put_at("a", 10)).await.unwrap();
    change(&store, &bucket, "data", put_at("b", 10)).await.unwrap();
    set_rules(&store, vec![days("logs", "logs/", 1)]).await;
    change(&store, &bucket, "logs/new", put_at("c", 50)).await.unwrap();
    fill(&store).await;
    assert_kept(&store, &bucket).await;
    assert!(due_keys(&store, &bucket, 109).await.is_empty());
    assert_eq!(due_keys(&store, &bucket, 110).await, ["logs/old"]);
    assert_eq!(due_keys(&store, &bucket, 1000).await, ["logs/old", "logs/new"]);
    assert_eq!(store.count_due(bucket.uid, Timestamp(1000)).await.unwrap(), 2);
    let done = expire(&store, &bucket, 120).await;
    let [Expiry::Done(item, None)] = &done[..] else { panic!("{done:?}") };
    assert_eq!((item.rule.as_str(), item.size), ("logs", 1));
    assert_eq!(store.object(bucket.uid, &key("logs/old")).await.unwrap(), None);
    assert_eq!(due_keys(&store, &bucket, 1000).await, ["logs/new"]);
    let upload = upload("logs/up", 20);
    store.create_upload(bucket.uid, &upload).await.unwrap();
    set_rules(&store, vec![Rule { abort_after_days: Some(1), ..rule("abort", "logs/") }]).await;
    fill(&store).await;
    assert_eq!(due_keys(&store, &bucket, 1000).await, ["logs/up"]);
    assert!(matches!(expire(&store, &bucket, 1000).await[..], [Expiry::Done(..)]));
    assert_eq!(store.uploads(bucket.uid, ("", ""), 9).await.unwrap(), []);
    assert_kept(&store, &bucket).await;
}

async fn a_bucket_without_rules_has_no_row(store: Store) {
    let bucket = bucket(&store).await;
    set_rules(&store, vec![days("all", "", 1)]).await;
    for name in ["a", "b", "c"] {
        change(&store, &bucket, name, put_at("x", 1)).await.unwrap();
    }
    fill(&store).await;
    assert_eq!(store.buckets_with_rules().await.unwrap(), [bucket.uid]);
    set_rules(&store, Vec::new()).await;
    change(&store, &bucket, "d", put_at("x", 1)).await.unwrap();
    fill(&store).await;
    assert!(due(&store, &bucket, u64::MAX - 1).await.is_empty());
    assert_eq!(store.view().await.unwrap().due_rows(None).await.unwrap(), 0);
    assert_eq!(store.buckets_with_rules().await.unwrap(), []);
    // Nor has one that is gone.
    set_rules(&store, vec![days("all", "", 1)]).await;
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    fill(&store).await;
    assert_eq!(store.view().await.unwrap().due_rows(None).await.unwrap(), 0);
    assert!(!store.index_step(9).await.unwrap());
}

async fn other_rules_are_another_index(store: Store) {
    let bucket = bucket(&store).await;
    for name in ["a/1", "a/2", "b/1"] {
        change(&store, &bucket, name, put_at("x", 1)).await.unwrap();
    }
    set_rules(&store, vec![days("a", "a/", 1)]).await;
    fill(&store).await;
    set_rules(&store, vec![days("b", "b/", 1)]).await;
    // From here on, the new rules hold, whether the index is filled or not.
    change(&store, &bucket, "b/2", put_at("x", 1)).await.unwrap();
    change(&store, &bucket, "a/3", put_at("x", 1)).await.unwrap();
    assert_eq!(due_keys(&store, &bucket, 1000).await, ["b/2"]);
    fill(&store).await;
    assert_eq!(due_keys(&store, &bucket, 1000).await, ["b/1", "b/2"]);
    assert_kept(&store, &bucket).await;
    // A day of another length is as good as other rules.
    store.set_lifecycle_day(Day::Debug(5)).await.unwrap();
    fill(&store).await;
    assert_eq!(due_keys(&store, &bucket, 6).await, ["b/1", "b/2"]);
    assert_kept(&store, &bucket).await;
}

async fn only_versions_beyond_those_kept_are_due(store: Store) {
    let bucket = bucket(&store).await;
    keep_versions(&store, Versioning::Enabled).await;
    set_rules(&store, vec![noncurrent(1, 2)]).await;
    for at in 1..=6 {
        change(&store, &bucket, "k", put_at(&at.to_string(), at)).await.unwrap();
        assert_kept(&store, &bucket).await;
        assert_eq!(due(&store, &bucket, 1000).await.len() as u64, at.saturating_sub(3));
    }
    let entries = due(&store, &bucket, 1000).await;
    // Each since the next one came.
    assert_eq!(entries.iter().map(|entry| entry.at.0).collect::<Vec<_>>(), [102, 103, 104]);
    assert_eq!(expire(&store, &bucket, 103).await.len(), 2);
    let query = VersionQuery { limit: 100, ..VersionQuery::default() };
    assert_eq!(store.list_versions(bucket.uid, &query).await.unwrap().versions.len(), 4);
    assert_kept(&store, &bucket).await;
}

async fn a_marker_that_is_left_alone_is_due(store: Store) {
    let bucket = bucket(&store).await;
    keep_versions(&store, Versioning::Enabled).await;
    let markers = Rule { expiration: Some(Expiration::LoneMarkers(true)), ..rule("markers", "") };
    set_rules(&store, vec![markers, noncurrent(1, 0)]).await;
    change(&store, &bucket, "k", put_at("a", 1)).await.unwrap();
    change(&store, &bucket, "k", delete_at(2)).await.unwrap();
    assert!(due(&store, &bucket, 50).await.is_empty(), "a version is behind the marker");
    expire(&store, &bucket, 102).await;
    let left = due(&store, &bucket, 102).await;
    assert!(matches!(left[..], [DueEntry { what: DueWhat::LoneMarker(_), .. }]), "{left:?}");
    expire(&store, &bucket, 102).await;
    assert_eq!(store.latest(bucket.uid, &key("k")).await.unwrap(), None);
    set_rules(&store, vec![days("days", "", 3)]).await;
    change(&store, &bucket, "l", put_at("a", 200)).await.unwrap();
    let done = expire(&store, &bucket, 500).await;
    let [Expiry::Done(_, Some(marker))] = &done[..] else { panic!("{done:?}") };
    assert_eq!(store.latest(bucket.uid, &key("l")).await.unwrap().unwrap().name(), *marker);
    assert!(due(&store, &bucket, 5000).await.is_empty(), "the object is behind the marker");
    assert_kept(&store, &bucket).await;
}

async fn what_is_no_longer_due_stays(store: Store) {
    let bucket = bucket(&store).await;
    set_rules(&store, vec![days("all", "", 1)]).await;
    change(&store, &bucket, "k", put_at("a", 1)).await.unwrap();
    let found = due(&store, &bucket, 200).await;
    change(&store, &bucket, "k", put_at("a", 150)).await.unwrap();
    let asked = found.into_iter().map(|entry| (entry, [1; 8])).collect();
    assert_eq!(store.expire(bucket.uid, asked, Timestamp(200)).await.unwrap(), [Expiry::NotDue]);
    assert!(store.object(bucket.uid, &key("k")).await.unwrap().is_some(), "it was written again");
    let found = due(&store, &bucket, 300).await;
    set_rules(&store, vec![days("other", "x", 1)]).await;
    let asked: Vec<_> = found.into_iter().map(|entry| (entry, [1; 8])).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(store.expire(bucket.uid, asked, Timestamp(300)).await.unwrap(), [Expiry::NotDue]);
    assert!(store.object(bucket.uid, &key("k")).await.unwrap().is_some(), "no rule is about it any more");
    // What is locked is due when it is free.
    keep_versions(&store, Versioning::Enabled).await;
    lock_versions(&store).await.unwrap();
    set_rules(&store, vec![noncurrent(1, 0)]).await;
    change(&store, &bucket, "k", put_at("b", 400)).await.unwrap();
    let lock = |amendment| ObjectChange::Amend(Some(VersionRef::Null), amendment);
    let retention = Some(Retention { mode: RetentionMode::Compliance, until: Timestamp(900) });
    let retain = Amendment::Retention { retention, now: Timestamp(400), bypasses_governance: false };
    change(&store, &bucket, "k", lock(retain)).await.unwrap();
    fill(&store).await;
    assert!(due(&store, &bucket, 899).await.is_empty());
    assert_eq!(due(&store, &bucket, 900).await.len(), 1);
    change(&store, &bucket, "k", lock(Amendment::LegalHold(true))).await.unwrap();
    assert!(due(&store, &bucket, 9000).await.is_empty());
    change(&store, &bucket, "k", lock(Amendment::LegalHold(false))).await.unwrap();
    assert_eq!(expire(&store, &bucket, 900).await.len(), 1);
    assert_kept(&store, &bucket).await;
}

async fn a_filling_is_gone_on_with_anywhere(store: Store) {
    let bucket = bucket(&store).await;
    keep_versions(&store, Versioning::Enabled).await;
    for at in 1..=40 {
        change(&store, &bucket, "many", put_at("x", at)).await.unwrap();
        change(&store, &bucket, &format!("n{at}"), put_at("x", at)).await.unwrap();
    }
    set_rules(&store, vec![noncurrent(1, 3), days("all", "", 9)]).await;
    let mut at = 100;
    while store.index_step(3).await.unwrap() {
        // Changes go on meanwhile, before and behind what is filled.
        at += 1;
        change(&store, &bucket, "many", put_at("y", at)).await.unwrap();
        change(&store, &bucket, &format!("n{}", at % 40), delete_at(at)).await.unwrap();
        let of = at % 45;
        let (name, old) = (key("many"), VersionId::new(Timestamp(of), [of as u8; 8]));
        if let Some(version) = store.version(bucket.uid, &name, VersionRef::Id(old)).await.unwrap() {
            let of = Deletion::of_current(Timestamp(at), [1; 8]);
            let gone = Deletion { version: Some(version.name()), ..of };
            change(&store, &bucket, "many", ObjectChange::Delete(gone)).await.unwrap();
        }
    }
    assert_kept(&store, &bucket).await;
    assert_eq!(naive(&store, &bucket, 5000).await, due(&store, &bucket, 5000).await.into_iter().collect());
}

/// What must be due, worked out from a listing of everything.
async fn naive(store: &Store, bucket: &Bucket, now: u64) -> BTreeSet<DueEntry> {
    let present = store.bucket(&bucket.id).await.unwrap().unwrap();
    let Some(rules) = present.lifecycle else { return BTreeSet::new() };
    let query = VersionQuery { limit: 10_000, ..VersionQuery::default() };
    let listed = store.list_versions(bucket.uid, &query).await.unwrap().versions;
    let mut all = BTreeSet::new();
    let time = |version: &Version| match version {
        Version::Object(object) => object.modified_at,
        Version::Marker(marker) => marker.made_at,
    };
    for (index, entry) in listed.iter().enumerate() {
        let newer: Vec<_> = listed[..index].iter().filter(|other| other.key == entry.key).collect();
        let is_alone = listed.iter().filter(|other| other.key == entry.key).count() == 1;
        let found = match (&entry.version, newer.last()) {
            (version, Some(next)) => {
                let since = time(&next.version);
                let due = rules.of_noncurrent(entry.key.as_str(), version, since, newer.len() - 1);
                due.map(|due| (due.at, DueWhat::Noncurrent(Stamp(0))))
            }
            (Version::Object(object), None) => {
                rules.of_current(entry.key.as_str(), object).map(|due| (due.at, DueWhat::Current))
            }
            (Version::Marker(marker), None) => rules
                .of_lone_marker(entry.key.as_str(), marker.made_at)
                .filter(|_| is_alone)
                .map(|due| (due.at, DueWhat::LoneMarker(Stamp(0)))),
        };
        let Some((at, what)) = found.filter(|(at, _)| at.0 <= now) else { continue };
        let what = with_stamp(store, bucket, entry, what).await;
        all.insert(DueEntry { at, key: entry.key.clone(), what });
    }
    all.extend(naive_uploads(store, bucket, &rules, now).await);
    all
}

/// The stamp of a version, which listings do not show.
async fn with_stamp(
    store: &Store,
    bucket: &Bucket,
    entry: &crate::model::listing::VersionEntry,
    what: DueWhat,
) -> DueWhat {
    let stamp = match entry.version.name() {
        VersionRef::Id(id) => Some(id.stamp),
        VersionRef::Null => store.view().await.unwrap().null_version(bucket.uid, &entry.key).await.unwrap(),
    };
    match what {
        DueWhat::Noncurrent(_) => DueWhat::Noncurrent(stamp.unwrap()),
        DueWhat::LoneMarker(_) => DueWhat::LoneMarker(stamp.unwrap()),
        what => what,
    }
}

async fn naive_uploads(store: &Store, bucket: &Bucket, rules: &RulesInForce, now: u64) -> Vec<DueEntry> {
    let uploads = store.uploads(bucket.uid, ("", ""), 10_000).await.unwrap();
    let due = |upload: Upload| {
        let at = rules.of_upload(upload.key.as_str(), upload.created_at)?.at;
        (at.0 <= now).then_some(DueEntry { at, key: upload.key, what: DueWhat::Upload(upload.id) })
    };
    uploads.into_iter().filter_map(due).collect()
}

/// A small random generator; its seed is always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn rules(&mut self) -> Vec<Rule> {
        let count = self.below(4);
        (0..count).map(|number| self.rule(number)).collect()
    }

    fn rule(&mut self, number: u64) -> Rule {
        let prefix = ["", "k", "k0", "k1"][self.below(4) as usize];
        let mut rule = rule(&number.to_string(), prefix);
        if self.below(3) == 0 {
            rule.filter.tags.insert("t".to_owned(), "1".to_owned());
        }
        if self.below(4) == 0 {
            rule.filter.larger_than = Some(1);
        }
        let some_days = 1 + self.below(3) as u32;
        rule.expiration = match self.below(4) {
            0 => Some(Expiration::Days(some_days)),
            1 => Some(Expiration::Date(Timestamp(self.below(9000)))),
            2 => Some(Expiration::LoneMarkers(true)),
            _ => None,
        };
        let newer_kept = [0, 0, 1, 2, 4][self.below(5) as usize];
        let days = some_days;
        rule.noncurrent = (self.below(2) == 0).then_some(NoncurrentExpiration { days, newer_kept });
        rule.abort_after_days = (self.below(3) == 0).then_some(1);
        rule.is_enabled = self.below(6) > 0;
        rule
    }
}

async fn random_changes_keep_the_index(store: Store) {
    let bucket = bucket(&store).await;
    store.set_lifecycle_day(Day::Debug(DAY)).await.unwrap();
    let mut random = Random(1902);
    let mut now = 1;
    for step in 0..1500_u64 {
        now += random.below(30);
        random_change(&store, &bucket, &mut random, now).await;
        let is_filled = !store.index_step(1 + random.below(7) as usize).await.unwrap();
        assert_kept(&store, &bucket).await;
        if is_filled {
            let expected = naive(&store, &bucket, now).await;
            let found: BTreeSet<_> = due(&store, &bucket, now).await.into_iter().collect();
            assert_eq!(found, expected, "at step {step}");
        }
        if random.below(12) == 0 {
            for outcome in expire(&store, &bucket, now).await {
                // One may have made another's time later: the version before it, say.
                assert!(!matches!(outcome, Expiry::Locked), "at step {step}");
            }
            assert_kept(&store, &bucket).await;
        }
    }
}

async fn random_change(store: &Store, bucket: &Bucket, random: &mut Random, now: u64) {
    let name = format!("k{}", random.below(3));
    let everything = WriteCondition::default();
    let listed = async |store: &Store| {
        let query = VersionQuery { limit: 10_000, ..VersionQuery::default() };
        store.list_versions(bucket.uid, &query).await.unwrap().versions
    };
    match random.below(16) {
        0 => {
            let rules = random.rules();
            set_rules(store, rules).await;
        }
        1 => {
            let which = [Versioning::Enabled, Versioning::Enabled, Versioning::Suspended];
            let versioning = BucketChange::Versioning(which[random.below(3) as usize]);
            // Refused once versions can be locked.
            let _ = store.change_bucket(&bucket.id, versioning).await;
            if now > LOCKED_FROM {
                let _ = lock_versions(store).await;
            }
        }
        2..=6 => {
            let content = "x".repeat(1 + random.below(3) as usize);
            let mut put = put_at(&content, now);
            if let ObjectChange::Put(object, _) = &mut put
                && random.below(2) == 0
            {
                object.attributes.tags.insert("t".to_owned(), random.below(3).to_string());
            }
            change(store, bucket, &name, put).await.unwrap();
        }
        7 | 8 => change(store, bucket, &name, delete_at(now)).await.unwrap(),
        9 => {
            let upload = upload(&name, now);
            store.create_upload(bucket.uid, &upload).await.unwrap();
        }
        10 => {
            if let Some(upload) = store.uploads(bucket.uid, ("", ""), 1).await.unwrap().first() {
                store.abort_upload(bucket.uid, &upload.key, &upload.id).await.unwrap();
            }
        }
        kind => {
            let all = listed(store).await;
            if all.is_empty() {
                return;
            }
            let entry = &all[random.below(all.len() as u64) as usize];
            let version = Some(entry.version.name());
            let of_it = match kind {
                11..=13 => {
                    let of = Deletion::of_current(Timestamp(now), [1; 8]);
                    ObjectChange::Delete(Deletion { version, ..of })
                }
                14 => {
                    let tags = [("t".to_owned(), random.below(3).to_string())].into();
                    ObjectChange::Amend(version, Amendment::Tags(tags))
                }
                _ => ObjectChange::Amend(version, Amendment::LegalHold(random.below(2) == 0)),
            };
            // Markers have no tags and no lock, and what is held stays.
            let _ = store.change(bucket.uid, &entry.key, &everything, of_it).await;
        }
    }
}
