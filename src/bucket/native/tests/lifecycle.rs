//! Passes over lifecycle rules.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::power_cut::start;
use super::*;
use crate::model::clock::{Clock, ManualClock};
use crate::model::lifecycle::{Day, Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, Rule};
use crate::store::check::check;
use crate::store::lifecycle::{Expirer, LifecycleError, LifecycleOptions, LifecycleReport, Witness};
use crate::store::simulated::Disk;
use crate::store::throttle::Throttle;

/// A day, in milliseconds.
const DAY: u64 = 1000;

fn rule(id: &str, prefix: &str) -> Rule {
    let (form, prefix) = (FilterForm::Plain, Some(prefix.to_owned()));
    let filter = Filter { form, prefix, tags: Tags::new(), larger_than: None, smaller_than: None };
    let (id, is_enabled) = (id.to_owned(), true);
    Rule { id, is_enabled, filter, expiration: None, noncurrent: None, abort_after_days: None }
}

fn days(id: &str, prefix: &str, days: u32) -> Rule {
    Rule { expiration: Some(Expiration::Days(days)), ..rule(id, prefix) }
}

async fn set_rules(buckets: &NativeBuckets, rules: Vec<Rule>) {
    buckets.store().meta.set_lifecycle_day(Day::Debug(DAY)).await.unwrap();
    let lifecycle = Lifecycle { rules, ..Lifecycle::default() };
    lifecycle.check().unwrap();
    buckets.change_bucket(&bucket_id(), BucketChange::Lifecycle(Some(lifecycle))).await.unwrap();
}

/// Buckets with a clock that is moved by hand, and with this many objects.
async fn filled(objects: u64) -> (NativeBuckets, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
    let ambient = Ambient { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Ambient::system() };
    let buckets = NativeBuckets::in_memory(ambient).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    for number in 0..objects {
        put(&buckets, &format!("logs/{number:03}"), &noise(number, 50)).await;
    }
    put(&buckets, "kept", &noise(1000, 50)).await;
    (buckets, clock)
}

/// What was ended: lines for people.
type Told = Arc<Mutex<Vec<String>>>;

fn expirer(buckets: &NativeBuckets) -> (Expirer, Told) {
    let told = Told::default();
    let told_to = Arc::clone(&told);
    let witness: Witness = Arc::new(move |ended| told_to.lock().unwrap().push(ended.line()));
    (Expirer::new(Arc::clone(buckets.store()), buckets.ambient.clone(), witness), told)
}

async fn pass(buckets: &NativeBuckets) -> LifecycleReport {
    expirer(buckets).0.pass(false, &Throttle::default()).await.unwrap()
}

async fn listed(buckets: &NativeBuckets) -> Vec<String> {
    let page = ListQuery { limit: 1000, ..ListQuery::default() };
    let objects = buckets.list(&bucket_id(), &page).await.unwrap().objects;
    objects.into_iter().map(|(key, _)| key.as_str().to_owned()).collect()
}

async fn assert_sound(buckets: &NativeBuckets) {
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
}

#[tokio::test]
async fn a_pass_ends_what_is_due_and_says_so() {
    let (buckets, clock) = filled(250).await;
    set_rules(&buckets, vec![days("logs & co", "logs/", 2)]).await;
    assert_eq!(pass(&buckets).await, LifecycleReport::default());
    clock.advance_ms(2 * DAY);
    let (expirer, told) = expirer(&buckets);
    let preview = expirer.pass(true, &Throttle::default()).await.unwrap();
    assert_eq!((preview.objects, preview.bytes, listed(&buckets).await.len()), (250, 12_500, 251));
    let done = expirer.pass(false, &Throttle::default()).await.unwrap();
    assert_eq!(LifecycleReport { dry_run: true, ..done.clone() }, preview);
    assert_eq!(listed(&buckets).await, ["kept"]);
    assert!(done.table().contains("ada/b: 250 objects (12500 bytes) by rule logs & co"), "{}", done.table());
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 500);
    assert_eq!(told[499], "ada/b/logs/249 (null): object, 50 bytes, by rule logs & co");
    let metrics = &buckets.store().metrics.lifecycle;
    assert_eq!((metrics.objects.get(), metrics.due.get(), metrics.failures.get()), (250, 0, 0));
    assert_sound(&buckets).await;
}

#[tokio::test]
async fn where_versions_are_kept_an_object_ends_behind_a_marker_and_its_version_later() {
    let (buckets, clock) = filled(0).await;
    buckets.change_bucket(&bucket_id(), BucketChange::Versioning(Versioning::Enabled)).await.unwrap();
    let noncurrent = Some(NoncurrentExpiration { days: 1, newer_kept: 0 });
    set_rules(&buckets, vec![Rule { noncurrent, ..days("all", "", 1) }]).await;
    put(&buckets, "k", &noise(1, 50)).await;
    clock.advance_ms(DAY);
    let first = pass(&buckets).await;
    assert_eq!((first.objects, first.noncurrent_versions, first.delete_markers), (2, 0, 0));
    clock.advance_ms(DAY);
    // The markers are alone once the versions are gone, and a day old.
    let second = pass(&buckets).await;
    assert_eq!((second.objects, second.noncurrent_versions, second.delete_markers), (0, 2, 2));
    let versions = buckets.store().meta.version_stats(buckets.bucket(&bucket_id()).await.unwrap().uid);
    assert_eq!(versions.await.unwrap(), VersionStats::default());
    assert_sound(&buckets).await;
}

#[tokio::test]
async fn a_pass_that_is_stopped_is_gone_on_with() {
    let (buckets, clock) = filled(250).await;
    set_rules(&buckets, vec![days("all", "logs/", 1)]).await;
    clock.advance_ms(DAY);
    let throttle = Throttle::default();
    let stop = throttle.stop.clone();
    let witness: Witness = Arc::new(move |_| stop.cancel());
    let expirer = Expirer::new(Arc::clone(buckets.store()), buckets.ambient.clone(), witness);
    // The index is filled in steps that can be stopped too.
    while buckets.store().meta.index_step(50).await.unwrap() {}
    let stopped = expirer.pass(false, &throttle).await;
    assert!(matches!(stopped, Err(LifecycleError::Stopped(_))), "{stopped:?}");
    assert_eq!(listed(&buckets).await.len(), 151, "one batch was ended");
    assert_sound(&buckets).await;
    assert_eq!(pass(&buckets).await.objects, 150);
}

#[tokio::test]
async fn a_write_between_finding_and_ending_is_kept() {
    let (buckets, clock) = filled(1).await;
    set_rules(&buckets, vec![days("all", "logs/", 1)]).await;
    while buckets.store().meta.index_step(50).await.unwrap() {}
    clock.advance_ms(DAY);
    let uid = buckets.bucket(&bucket_id()).await.unwrap().uid;
    let now = clock.now();
    let (found, _) = buckets.store().meta.due(uid, now, None, 10).await.unwrap();
    put(&buckets, "logs/000", &noise(0, 50)).await;
    let entries = found.into_iter().map(|item| (item.entry, [0; 8])).collect();
    buckets.store().meta.expire(uid, entries, now).await.unwrap();
    assert_eq!(listed(&buckets).await, ["kept", "logs/000"]);
}

#[tokio::test]
async fn in_the_background_rules_are_followed_soon() {
    let (buckets, clock) = filled(3).await;
    set_rules(&buckets, vec![days("all", "logs/", 1)]).await;
    clock.advance_ms(DAY);
    let stop = tokio_util::sync::CancellationToken::new();
    let options =
        LifecycleOptions { interval: Some(std::time::Duration::from_millis(10)), per_sec: Some(1000) };
    let running = tokio::spawn(expirer(&buckets).0.run(options, stop.clone()));
    for _ in 0..500 {
        if listed(&buckets).await.len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(listed(&buckets).await, ["kept"]);
    stop.cancel();
    running.await.unwrap();
}

/// Everything that touches an index, in an order that ends with rules followed.
async fn work(buckets: &NativeBuckets) -> Result<(), BucketError> {
    let id = bucket_id();
    let failed = |error: LifecycleError| BucketError::Storage(error.into());
    let meta = &buckets.store().meta;
    let meta_failed = |error: crate::store::meta::MetaError| BucketError::Storage(error.into());
    buckets.create_bucket(&id, Visibility::Private).await?;
    buckets.write(&id, write("kept", payload(&noise(1, 50)))).await?;
    buckets.write(&id, write("due/1", payload(&noise(2, 50)))).await?;
    meta.set_lifecycle_day(Day::Debug(1)).await.map_err(meta_failed)?;
    let noncurrent = Some(NoncurrentExpiration { days: 1, newer_kept: 0 });
    let due = Rule { noncurrent, abort_after_days: Some(1), ..days("due", "due/", 1) };
    let rules = |rules| BucketChange::Lifecycle(Some(Lifecycle { rules, ..Lifecycle::default() }));
    buckets.change_bucket(&id, rules(vec![due.clone()])).await?;
    buckets.write(&id, write("due/2", payload(&noise(3, 50)))).await?;
    let new = NewUpload {
        key: key("due/3"),
        attributes: Attributes::default(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    buckets.create_upload(&id, new).await?;
    while meta.index_step(1).await.map_err(meta_failed)? {}
    buckets.change_bucket(&id, BucketChange::Versioning(Versioning::Enabled)).await?;
    buckets.write(&id, write("due/2", payload(&noise(4, 50)))).await?;
    buckets.delete(&id, vec![ObjectDelete::current(key("due/1"))]).await?.pop().unwrap()?;
    buckets.change_bucket(&id, rules(vec![due, days("other", "other/", 9)])).await?;
    while meta.index_step(1).await.map_err(meta_failed)? {}
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    for _ in 0..2 {
        expirer(buckets).0.pass(false, &Throttle::default()).await.map_err(failed)?;
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_operation_leaves_the_index_as_the_objects_are() {
    let disk = Arc::new(Disk::default());
    let buckets = start(&disk, &Arc::default()).unwrap();
    let made = disk.operations();
    work(&buckets).await.unwrap();
    assert_eq!(listed(&buckets).await, ["kept"]);
    let operations = disk.operations();
    drop(buckets);
    let cuts: BTreeSet<u64> = (0..80).map(|cut| made + 1 + cut * (operations - made) / 80).collect();
    for at in cuts {
        let disk = Arc::new(Disk::default());
        disk.cut_at(at);
        if let Ok(buckets) = start(&disk, &Arc::default()) {
            // The disk may have few operations left when it is cut near the end.
            let _ = work(&buckets).await;
        }
        let disk = Arc::new(disk.power_cut(at));
        let buckets = start(&disk, &Arc::default()).unwrap();
        assert_sound(&buckets).await;
        if buckets.bucket(&bucket_id()).await.is_ok_and(|bucket| bucket.lifecycle.is_some()) {
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            for _ in 0..2 {
                pass(&buckets).await;
                tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            }
            assert_eq!(listed(&buckets).await, ["kept"], "cut at {at} of {operations}");
            assert_sound(&buckets).await;
        }
    }
}
