//! What every [`MetaStore`] must do with what is kept about buckets, and with tags of objects.

use std::collections::BTreeMap;

use super::{Store, bucket, change, deletion, file, id, key, object, put};
use crate::model::bucket::Visibility;
use crate::model::clock::Timestamp;
use crate::model::names::{BucketId, BucketName, Namespace};
use crate::model::settings::{BucketChange, BucketSettings, CorsRule, PublicAccessBlock, Tags};
use crate::store::meta::{Amendment, MetaError, ObjectChange};

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    settings_are_set_alone_and_go_with_the_bucket(open().await).await;
    tags_change_and_all_else_stays(open().await).await;
    buckets_of_one_name_are_found_in_all_namespaces(open().await).await;
    a_bucket_is_found_by_its_uid_whatever_it_is_called(open().await).await;
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn settings_are_set_alone_and_go_with_the_bucket(store: Store) {
    let bucket = bucket(&store).await;
    assert_eq!(store.bucket_settings(bucket.uid).await.unwrap(), BucketSettings::default());
    let block = Some(PublicAccessBlock { block_public_acls: true, ..PublicAccessBlock::default() });
    let cors = vec![CorsRule { allowed_origins: vec!["*".to_owned()], ..CorsRule::default() }];
    for change in [
        BucketChange::Tags(tags(&[("a", "1")])),
        BucketChange::Cors(cors.clone()),
        BucketChange::PublicAccessBlock(block),
        BucketChange::Tags(tags(&[("b", "2")])),
    ] {
        store.change_bucket(&bucket.id, change).await.unwrap();
    }
    let expected =
        BucketSettings { tags: tags(&[("b", "2")]), cors, public_access_block: block, object_lock: None };
    assert_eq!(store.bucket_settings(bucket.uid).await.unwrap(), expected);

    store.change_bucket(&bucket.id, BucketChange::Tags(BTreeMap::new())).await.unwrap();
    let without = BucketSettings { tags: BTreeMap::new(), ..expected };
    assert_eq!(store.bucket_settings(bucket.uid).await.unwrap(), without);

    store.delete_bucket(&bucket.id, false, Timestamp(0)).await.unwrap();
    assert_eq!(store.bucket_settings(bucket.uid).await.unwrap(), BucketSettings::default());
    let gone = store.change_bucket(&bucket.id, BucketChange::Cors(Vec::new())).await;
    assert!(matches!(gone, Err(MetaError::NoSuchBucket)));
}

async fn tags_change_and_all_else_stays(store: Store) {
    let bucket = bucket(&store).await;
    let retag = |pairs: &[(&str, &str)]| ObjectChange::Amend(None, Amendment::Tags(tags(pairs)));
    let missing = change(&store, &bucket, "k", retag(&[])).await;
    assert!(matches!(missing, Err(MetaError::NoSuchObject)));
    change(&store, &bucket, "k", put("x")).await.unwrap();
    for pairs in [&[("a", "1")][..], &[("b", ""), ("c", "3")], &[]] {
        change(&store, &bucket, "k", retag(pairs)).await.unwrap();
        let mut expected = object(&file("x"));
        expected.attributes.tags = tags(pairs);
        assert_eq!(store.object(bucket.uid, &key("k")).await.unwrap(), Some(expected));
    }
    change(&store, &bucket, "k", deletion()).await.unwrap();
    assert_eq!(store.file(&file("x").record.hash).await.unwrap(), None, "tags are no use of a file");
}

async fn buckets_of_one_name_are_found_in_all_namespaces(store: Store) {
    let in_namespace = |namespace: &str, name: &str| BucketId {
        namespace: Namespace::new(namespace).unwrap(),
        name: BucketName::new(name).unwrap(),
    };
    let made = [("bob", "x", 3), ("ada", "x", 5), ("ada", "y", 1), ("cy", "a", 1), ("zoe", "x", 4)];
    for (namespace, name, at) in made {
        let id = in_namespace(namespace, name);
        store.create_bucket(&id, Visibility::Public, Timestamp(at)).await.unwrap();
    }
    let found = store.buckets_named(&id("x").name).await.unwrap();
    let owners: Vec<_> = found.iter().map(|bucket| bucket.id.namespace.as_str()).collect();
    // In the order in which they were given the name, whatever the clock said.
    assert_eq!(owners, ["bob", "ada", "zoe"]);
    assert!(store.buckets_named(&id("nowhere").name).await.unwrap().is_empty());

    let owners = async |name: &str| {
        let found = store.buckets_named(&id(name).name).await.unwrap();
        found.into_iter().map(|bucket| bucket.id.namespace.as_str().to_owned()).collect::<Vec<_>>()
    };
    // The oldest bucket of all is not the oldest of the name that it takes, not even of its own former one.
    store.move_bucket(&in_namespace("bob", "x"), &in_namespace("bob", "y")).await.unwrap();
    assert_eq!(
        (owners("x").await, owners("y").await),
        (vec!["ada".into(), "zoe".into()], vec!["ada".into(), "bob".into()])
    );
    store.move_bucket(&in_namespace("bob", "y"), &in_namespace("bob", "x")).await.unwrap();
    store.set_visibility(&in_namespace("zoe", "x"), Visibility::Private).await.unwrap();
    assert_eq!(owners("x").await, ["ada", "zoe", "bob"]);
}

async fn a_bucket_is_found_by_its_uid_whatever_it_is_called(store: Store) {
    let bucket = bucket(&store).await;
    let found = async |uid| store.bucket_of(uid).await.unwrap().map(|bucket| bucket.id);
    assert_eq!(found(bucket.uid).await, Some(bucket.id.clone()));
    store.move_bucket(&bucket.id, &id("moved")).await.unwrap();
    assert_eq!(found(bucket.uid).await, Some(id("moved")));
    let next = store.create_bucket(&bucket.id, Visibility::Public, Timestamp(9)).await.unwrap();
    assert_eq!((found(bucket.uid).await, found(next.uid).await), (Some(id("moved")), Some(bucket.id)));
    store.delete_bucket(&id("moved"), false, Timestamp(0)).await.unwrap();
    assert_eq!(found(bucket.uid).await, None);
}
