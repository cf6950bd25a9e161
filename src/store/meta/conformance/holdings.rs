//! What a bucket holds, what it is called, and many changes at once.

use super::{Store, bucket, change, deletion, file, id, key, object, put};
use crate::model::bucket::{BucketStats, Visibility};
use crate::model::clock::Timestamp;
use crate::model::conditions::{ETagCondition, WriteCondition};
use crate::model::names::{BucketId, Namespace};
use crate::store::meta::{KeyChange, MetaError, ObjectChange};

/// The suite's share.
pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    figures_follow_every_change(open().await).await;
    a_bucket_knows_the_files_of_its_own_objects_only(open().await).await;
    a_bucket_moves_with_all_that_is_in_it(open().await).await;
    many_changes_are_made_in_order_and_refused_one_by_one(open().await).await;
    objects_are_looked_up_together(open().await).await;
    files_are_read_together_up_to_a_limit(open().await).await;
}

async fn figures_follow_every_change(store: Store) {
    let bucket = bucket(&store).await;
    let steps = [
        ("a", put("xyz"), (3, 1)),
        ("b", put("xyz"), (6, 2)),
        ("a", put("12345"), (8, 2)),
        ("a", put("12345"), (8, 2)),
        ("b", deletion(), (5, 1)),
        ("b", deletion(), (5, 1)),
        ("a", deletion(), (0, 0)),
    ];
    for (name, change_made, (bytes, objects)) in steps {
        change(&store, &bucket, name, change_made).await.unwrap();
        let stats = store.bucket_stats(bucket.uid).await.unwrap();
        assert_eq!(stats, BucketStats { bytes, objects });
    }
    change(&store, &bucket, "a", put("xyz")).await.unwrap();
    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    assert_eq!(store.bucket_stats(bucket.uid).await.unwrap(), BucketStats::default());
}

async fn a_bucket_knows_the_files_of_its_own_objects_only(store: Store) {
    let mine = bucket(&store).await;
    let other = store.create_bucket(&id("other"), Visibility::Private, mine.created_at).await.unwrap();
    let hash = file("xyz").record.hash;
    change(&store, &other, "k", put("xyz")).await.unwrap();
    assert_eq!(store.file_size_in(other.uid, &hash, None).await.unwrap(), Some(3));
    assert_eq!(store.file_size_in(mine.uid, &hash, None).await.unwrap(), None);
    for name in ["a", "b"] {
        change(&store, &mine, name, put("xyz")).await.unwrap();
    }
    change(&store, &mine, "a", put("another")).await.unwrap();
    assert_eq!(store.file_size_in(mine.uid, &hash, None).await.unwrap(), Some(3));
    change(&store, &mine, "b", deletion()).await.unwrap();
    assert_eq!(store.file_size_in(mine.uid, &hash, None).await.unwrap(), None);
    store.delete_bucket(&other.id, true, Timestamp(0)).await.unwrap();
    assert_eq!(store.file_size_in(other.uid, &hash, None).await.unwrap(), None);
}

async fn a_bucket_moves_with_all_that_is_in_it(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "k", put("xyz")).await.unwrap();
    let to = BucketId { namespace: Namespace::new("bob").unwrap(), ..id("moved") };
    assert!(matches!(store.move_bucket(&id("none"), &to).await, Err(MetaError::NoSuchBucket)));
    assert!(matches!(store.move_bucket(&bucket.id, &bucket.id).await, Err(MetaError::BucketExists)));
    store.move_bucket(&bucket.id, &to).await.unwrap();
    assert_eq!(store.bucket(&bucket.id).await.unwrap(), None);
    let moved = store.bucket(&to).await.unwrap().unwrap();
    assert_eq!((moved.uid, &moved.id), (bucket.uid, &to));
    assert_eq!(
        store
            .content(&to, crate::model::object::ObjectRef::current(&key("k")), &|size| 0..size)
            .await
            .unwrap()
            .object,
        object(&file("xyz"))
    );

    assert!(matches!(
        store.set_visibility(&bucket.id, Visibility::Public).await,
        Err(MetaError::NoSuchBucket)
    ));
    store.set_visibility(&to, Visibility::Public).await.unwrap();
    assert_eq!(store.bucket(&to).await.unwrap().unwrap().visibility, Visibility::Public);
}

async fn many_changes_are_made_in_order_and_refused_one_by_one(store: Store) {
    let bucket = bucket(&store).await;
    let make =
        |name: &str, change| KeyChange { key: key(name), condition: WriteCondition::default(), change };
    let known = || ObjectChange::Put(Box::new(object(&file("new"))), None);
    let create = WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
    let changes = vec![
        make("a", known()),
        make("b", put("new")),
        make("a", known()),
        KeyChange { condition: create, ..make("b", put("other")) },
        make("b", deletion()),
        make("none", deletion()),
    ];
    let results = store.change_many(bucket.uid, changes).await.unwrap();
    assert!(matches!(results[0], Err(MetaError::MissingFile(_))));
    assert!(matches!(results[3], Err(MetaError::ConditionFailed)));
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    assert_eq!(store.object(bucket.uid, &key("a")).await.unwrap(), Some(object(&file("new"))));
    assert_eq!(store.object(bucket.uid, &key("b")).await.unwrap(), None);
    assert_eq!(store.bucket_stats(bucket.uid).await.unwrap(), BucketStats { bytes: 3, objects: 1 });

    store.delete_bucket(&bucket.id, true, Timestamp(0)).await.unwrap();
    let late = store.change_many(bucket.uid, vec![make("a", put("x"))]).await;
    assert!(matches!(late, Err(MetaError::NoSuchBucket)));
}

async fn files_are_read_together_up_to_a_limit(store: Store) {
    let bucket = bucket(&store).await;
    for content in ["x", "yy"] {
        change(&store, &bucket, content, put(content)).await.unwrap();
    }
    let hashes = ["yy", "never", "x", "yy"].map(|content| file(content).record.hash);
    let sizes = async |terms_max| {
        let files = store.files_terms(&hashes, terms_max).await.unwrap();
        files.iter().map(|file| file.as_ref().map(|file| file.size)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(3).await, [Some(2), None, Some(1), Some(2)]);
    assert_eq!(sizes(1).await, [Some(2), None, Some(1)], "one term more than asked for, and none beyond");
}

async fn objects_are_looked_up_together(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "a", put("x")).await.unwrap();
    let found = store.objects(bucket.uid, &[key("none"), key("a"), key("a")]).await.unwrap();
    let a = Some(object(&file("x")));
    assert_eq!(found, [None, a.clone(), a]);
}
