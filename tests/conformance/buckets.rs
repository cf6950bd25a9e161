//! Buckets themselves.

use xetgate::bucket::{
    BucketApi, BucketChange, BucketError, BucketSettings, BucketStats, CorsRule, DeleteBucket, Namespace,
    ObjectRef, PublicAccessBlock, Visibility,
};

use super::{ADA, TEAM, b, get, id, key, noise, put, said, with_bucket};

pub(crate) async fn a_bucket_is_made_once_and_known_until_it_is_deleted(api: &dyn BucketApi) {
    assert!(matches!(api.bucket(&b()).await, Err(BucketError::NoSuchBucket(_))));
    let made = api.create_bucket(&b(), Visibility::Private).await.unwrap();
    assert_eq!((made.id, made.visibility), (b(), Visibility::Private));
    let again = api.create_bucket(&b(), Visibility::Public).await;
    assert!(matches!(again, Err(BucketError::BucketExists(_))));
    assert_eq!(api.bucket(&b()).await.unwrap().visibility, Visibility::Private);
    api.set_visibility(&b(), Visibility::Public).await.unwrap();
    assert_eq!(api.bucket(&b()).await.unwrap().visibility, Visibility::Public);

    put(api, "k", &noise(1, 10)).await;
    assert_eq!(api.bucket_stats(&b()).await.unwrap(), BucketStats { bytes: 10, objects: 1 });
    let full = api.delete_bucket(&b(), DeleteBucket::IfEmpty).await;
    assert!(matches!(full, Err(BucketError::BucketNotEmpty(_))));
    assert_eq!(get(api, "k", None).await, noise(1, 10));
    api.delete_bucket(&b(), DeleteBucket::WithContents).await.unwrap();
    assert!(matches!(api.bucket(&b()).await, Err(BucketError::NoSuchBucket(_))));
    let gone = api.delete_bucket(&b(), DeleteBucket::WithContents).await;
    assert!(matches!(gone, Err(BucketError::NoSuchBucket(_))));
    with_bucket(api).await;
    assert_eq!(api.bucket_stats(&b()).await.unwrap(), BucketStats { bytes: 0, objects: 0 });
}

pub(crate) async fn buckets_are_listed_by_namespace_and_found_by_name(api: &dyn BucketApi) {
    for id in [id(ADA, "one"), id(ADA, "b"), id(TEAM, "one")] {
        api.create_bucket(&id, Visibility::Private).await.unwrap();
    }
    let listed = async |namespace: &str| {
        let listed = api.list_buckets(&Namespace::new(namespace).unwrap()).await.unwrap();
        listed.into_iter().map(|bucket| bucket.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(ADA).await, [id(ADA, "b"), id(ADA, "one")]);
    assert_eq!(listed(TEAM).await, [id(TEAM, "one")]);
    let named = async |name: &str| api.buckets_named(&id(ADA, name).name).await.unwrap();
    let found = named("one").await;
    assert!(found.is_sorted_by_key(|bucket| bucket.created_at), "the oldest first");
    let mut found: Vec<_> = found.into_iter().map(|bucket| bucket.id).collect();
    found.sort();
    assert_eq!(found, [id(ADA, "one"), id(TEAM, "one")]);
    assert_eq!(named("b").await.len(), 1);
    assert!(named("none").await.is_empty());
}

pub(crate) async fn a_moved_bucket_keeps_what_is_in_it(api: &dyn BucketApi) {
    with_bucket(api).await;
    let (taken, moved) = (id(ADA, "taken"), id(TEAM, "moved"));
    api.create_bucket(&taken, Visibility::Private).await.unwrap();
    let object = put(api, "k", &noise(1, 1000)).await;
    assert!(matches!(api.move_bucket(&b(), &taken).await, Err(BucketError::BucketExists(_))));
    let none = api.move_bucket(&id(ADA, "none"), &moved).await;
    assert!(matches!(none, Err(BucketError::NoSuchBucket(_))));
    api.move_bucket(&b(), &moved).await.unwrap();
    assert_eq!(api.bucket(&moved).await.unwrap().id, moved);
    let found = api.object(&moved, ObjectRef::current(&key("k"))).await.unwrap();
    assert_eq!((found.file, found.etag, found.attributes), (object.file, object.etag, said()));
}

pub(crate) async fn settings_are_kept_each_on_its_own(api: &dyn BucketApi) {
    with_bucket(api).await;
    assert_eq!(api.bucket_settings(&b()).await.unwrap(), BucketSettings::default());
    let cors = vec![CorsRule { allowed_methods: vec!["GET".to_owned()], ..CorsRule::default() }];
    let block = Some(PublicAccessBlock { block_public_acls: true, ..PublicAccessBlock::default() });
    let tags = said().tags;
    for change in [
        BucketChange::Tags(tags.clone()),
        BucketChange::Cors(cors.clone()),
        BucketChange::PublicAccessBlock(block),
    ] {
        api.change_bucket(&b(), change).await.unwrap();
    }
    let all = BucketSettings { tags, cors, public_access_block: block, object_lock: None };
    assert_eq!(api.bucket_settings(&b()).await.unwrap(), all);
    api.change_bucket(&b(), BucketChange::Cors(Vec::new())).await.unwrap();
    assert_eq!(api.bucket_settings(&b()).await.unwrap(), BucketSettings { cors: Vec::new(), ..all });
}
