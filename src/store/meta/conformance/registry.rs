//! The part of the suite about files that are announced before they are used.

use super::*;
use crate::xet::hash::XorbHash;

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    a_registered_file_stays_until_its_time(open().await).await;
    a_file_is_registered_only_if_its_xorbs_are_there(open().await).await;
    a_bucket_holds_what_it_has_objects_and_registrations_of(open().await).await;
    a_registration_outlives_its_objects_and_its_bucket(open().await).await;
    a_registration_serves_those_who_have_proved_it(open().await).await;
    only_xorbs_that_are_there_are_kept(open().await).await;
    a_xorb_remembers_a_file_that_names_it(open().await).await;
}

/// The access key that registers.
const KEY: &str = "AKADA";

fn xorb_of(file: &NewFile) -> XorbHash {
    file.xorbs[0].hash
}

async fn register(store: &Store, bucket: &Bucket, content: &str, until: u64) -> Result<usize, MetaError> {
    store.register_files(bucket.uid, KEY, vec![file(content).record], Timestamp(until)).await
}

async fn uploaded(store: &Store, content: &str) {
    store.register_xorbs(file(content).xorbs, Timestamp(1)).await.unwrap();
}

async fn expire(store: &Store, now: u64) -> usize {
    let due = store.due_registrations(Timestamp(now), None, 100).await.unwrap();
    store.forget_registrations(due, Timestamp(now)).await.unwrap()
}

async fn a_registered_file_stays_until_its_time(store: Store) {
    let bucket = bucket(&store).await;
    uploaded(&store, "x").await;
    assert_eq!(register(&store, &bucket, "x", 50).await.unwrap(), 1);
    assert_eq!(register(&store, &bucket, "x", 40).await.unwrap(), 0, "it is known, and not kept shorter");
    let record = file("x").record;
    assert_eq!(store.file(&record.hash).await.unwrap(), Some(record.clone()));
    assert_eq!(store.idle_xorbs(Timestamp(100), None, 9).await.unwrap(), [], "its xorb is used");
    assert_eq!(expire(&store, 49).await, 0);
    let due = store.due_registrations(Timestamp(50), None, 9).await.unwrap();
    assert_eq!(due, [(bucket.uid, record.hash)]);
    register(&store, &bucket, "x", 60).await.unwrap();
    assert_eq!(store.forget_registrations(due, Timestamp(50)).await.unwrap(), 0, "it was renewed");
    assert_eq!(expire(&store, 60).await, 1);
    assert_eq!(store.file(&record.hash).await.unwrap(), None);
    assert_eq!(store.idle_xorbs(Timestamp(59), None, 9).await.unwrap(), [], "it was announced too");
    assert_eq!(store.idle_xorbs(Timestamp(60), None, 9).await.unwrap().len(), 1);
}

async fn a_file_is_registered_only_if_its_xorbs_are_there(store: Store) {
    let bucket = bucket(&store).await;
    uploaded(&store, "x").await;
    let files = vec![file("x").record, file("missing").record];
    let refused = store.register_files(bucket.uid, KEY, files, Timestamp(9)).await;
    assert!(matches!(refused, Err(MetaError::MissingXorb(xorb)) if xorb == xorb_of(&file("missing"))));
    assert_eq!(store.file(&file("x").record.hash).await.unwrap(), None, "all or none");
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert!(matches!(register(&store, &bucket, "x", 9).await, Err(MetaError::NoSuchBucket)));
}

async fn a_bucket_holds_what_it_has_objects_and_registrations_of(store: Store) {
    let one = bucket(&store).await;
    let two = store.create_bucket(&id("two"), Visibility::Private, Timestamp(1)).await.unwrap();
    let holds = async |bucket: &Bucket, content: &str| {
        let (file, key) = (file(content).record.hash, Some(KEY));
        store.terms_in(bucket.uid, &file, key, &|size| 0..size).await.unwrap().is_some()
    };
    for name in ["a", "b"] {
        change(&store, &one, name, put("x")).await.unwrap();
    }
    assert!(holds(&one, "x").await && !holds(&two, "x").await && !holds(&one, "y").await);
    assert_eq!(register(&store, &two, "x", 9).await.unwrap(), 1);
    assert!(holds(&two, "x").await);
    change(&store, &one, "a", deletion()).await.unwrap();
    assert!(holds(&one, "x").await);
    change(&store, &one, "b", put("y")).await.unwrap();
    assert!(holds(&one, "y").await && !holds(&one, "x").await);
    assert_eq!(expire(&store, 9).await, 1);
    assert!(!holds(&two, "x").await);
}

async fn a_registration_outlives_its_objects_and_its_bucket(store: Store) {
    let bucket = bucket(&store).await;
    uploaded(&store, "x").await;
    register(&store, &bucket, "x", 50).await.unwrap();
    let known = ObjectChange::Put(Box::new(object(&file("x"))), None);
    change(&store, &bucket, "k", known).await.unwrap();
    change(&store, &bucket, "k", deletion()).await.unwrap();
    let kept = store.terms_in(bucket.uid, &file("x").record.hash, Some(KEY), &|size| 0..size).await.unwrap();
    assert!(kept.is_some());
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert!(store.file(&file("x").record.hash).await.unwrap().is_some());
    assert_eq!(expire(&store, 50).await, 1);
    assert_eq!(store.file(&file("x").record.hash).await.unwrap(), None);
}

async fn only_xorbs_that_are_there_are_kept(store: Store) {
    uploaded(&store, "x").await;
    let (there, missing) = (xorb_of(&file("x")), xorb_of(&file("missing")));
    assert_eq!(store.kept_until(&there).await.unwrap(), Timestamp(1));
    assert_eq!(store.keep_xorbs(vec![there, missing], Timestamp(9)).await.unwrap(), [there]);
    assert_eq!(store.keep_xorbs(vec![there], Timestamp(5)).await.unwrap(), [there]);
    assert_eq!(store.kept_until(&there).await.unwrap(), Timestamp(9));
    assert_eq!(store.kept_until(&missing).await.unwrap(), Timestamp(0));
    assert_eq!(store.idle_xorbs(Timestamp(8), None, 9).await.unwrap(), []);
    assert_eq!(store.idle_xorbs(Timestamp(9), None, 9).await.unwrap().len(), 1);
}

async fn a_xorb_remembers_a_file_that_names_it(store: Store) {
    let bucket = bucket(&store).await;
    let home = async |content: &str| store.home_of(&xorb_of(&file(content))).await.unwrap();
    uploaded(&store, "x").await;
    assert_eq!(home("x").await, None);
    change(&store, &bucket, "k", put("x")).await.unwrap();
    assert_eq!(home("x").await, Some(file("x").record.hash));
    change(&store, &bucket, "k", deletion()).await.unwrap();
    assert_eq!(home("x").await, None);
}

async fn a_registration_serves_those_who_have_proved_it(store: Store) {
    let bucket = bucket(&store).await;
    let other = store.create_bucket(&id("other"), Visibility::Private, Timestamp(1)).await.unwrap();
    let hash = file("x").record.hash;
    uploaded(&store, "x").await;
    register(&store, &bucket, "x", 50).await.unwrap();
    let has = async |bucket: &Bucket, key: Option<&str>| {
        let has = store.terms_in(bucket.uid, &hash, key, &|size| 0..size).await.unwrap().is_some();
        assert_eq!(store.file_size_in(bucket.uid, &hash, key).await.unwrap().is_some(), has);
        has
    };
    let all = async |bucket: &Bucket| {
        (has(bucket, None).await, has(bucket, Some(KEY)).await, has(bucket, Some("AKBOB")).await)
    };
    assert_eq!((all(&bucket).await, all(&other).await), ((false, true, false), (false, false, false)));
    let known = ObjectChange::Put(Box::new(object(&file("x"))), None);
    change(&store, &bucket, "k", known).await.unwrap();
    assert_eq!(all(&bucket).await, (true, true, true));
    change(&store, &bucket, "k", deletion()).await.unwrap();
    assert_eq!(all(&bucket).await, (false, true, false));
    store.register_files(bucket.uid, "AKBOB", vec![file("x").record], Timestamp(60)).await.unwrap();
    assert_eq!(all(&bucket).await, (false, true, true));
    assert_eq!(expire(&store, 60).await, 1);
    assert_eq!(all(&bucket).await, (false, false, false));
    // What is registered later begins without proofs.
    change(&store, &other, "k", put("x")).await.unwrap();
    store.register_files(bucket.uid, "AKBOB", vec![file("x").record], Timestamp(90)).await.unwrap();
    assert_eq!(all(&bucket).await, (false, false, true));
}
