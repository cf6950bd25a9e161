//! Batches: content named by its hash.

use super::*;

const OTHER: &str = "other";

fn id(name: &str) -> BucketId {
    BucketId { name: BucketName::new(name).unwrap(), ..bucket_id() }
}

fn add(name: &str, file: FileHash) -> BatchChange {
    let attributes = Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
    BatchChange::Add { key: key(name), file, size: None, proved_by: None, attributes }
}

fn copy(name: &str, file: FileHash, from: &str) -> BatchChange {
    BatchChange::Copy {
        key: key(name),
        file,
        size: None,
        source: id(from),
        attributes: Attributes::default(),
    }
}

async fn two_buckets() -> (NativeBuckets, Bytes, FileHash) {
    let (buckets, data) = (buckets().await, noise(1, 300_000));
    buckets.create_bucket(&id(OTHER), Visibility::Private).await.unwrap();
    put(&buckets, "there", &data).await;
    let hash = hash_of(&data);
    (buckets, data, hash)
}

#[tokio::test]
async fn content_is_put_by_hash_where_the_bucket_or_the_source_has_it() {
    let (buckets, data, hash) = two_buckets().await;
    let results = buckets.batch(&bucket_id(), vec![add("again", hash)]).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    let object = buckets.object(&bucket_id(), ObjectRef::current(&key("again"))).await.unwrap();
    assert_eq!((object.file, object.size, object.etag), (hash, 300_000, ETag::Xet(hash)));
    assert_eq!(object.attributes.content_type.as_deref(), Some("text/plain"));

    let results = buckets.batch(&id(OTHER), vec![add("stolen", hash)]).await.unwrap();
    assert!(matches!(results[..], [Err(BucketError::NoSuchFile(_))]), "a hash alone gives nobody content");
    let changes = vec![copy("k", hash, "b"), copy("l", hash, OTHER), copy("m", hash, "none")];
    let results = buckets.batch(&id(OTHER), changes).await.unwrap();
    assert!(matches!(results[0], Ok(())));
    // Not there before the batch: its source is asked before any change is made.
    assert!(matches!(results[1], Err(BucketError::NoSuchFile(_))));
    assert!(matches!(results[2], Err(BucketError::NoSuchBucket(_))));
    let read = buckets.read(&id(OTHER), ObjectRef::current(&key("k")), None).await.unwrap();
    let body: Vec<Bytes> = read.body.try_collect().await.unwrap();
    assert_eq!(body.concat(), data);
}

#[tokio::test]
async fn a_copy_keeps_what_is_said_of_its_namesake() {
    let buckets = buckets().await;
    buckets.create_bucket(&id(OTHER), Visibility::Private).await.unwrap();
    let (data, other) = (noise(1, 1000), noise(2, 1000));
    let pairs = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    let said = Attributes {
        content_type: Some("text/plain".to_owned()),
        user_metadata: pairs("color", "blue"),
        tags: pairs("whose", "the owner's"),
        ..Attributes::default()
    };
    let written = ObjectWrite { attributes: said.clone(), ..write("d/k", payload(&data)) };
    let written = buckets.write(&bucket_id(), written).await.unwrap();
    put(&buckets, "else", &other).await;
    let renewed = Attributes { user_metadata: pairs("mtime", "5.000"), ..Attributes::default() };
    let copy = |name: &str| BatchChange::Copy {
        key: key(name),
        file: written.file,
        size: None,
        source: bucket_id(),
        attributes: renewed.clone(),
    };
    let names = ["d/k", "deep/er/d/k", "renamed", "else"];
    let results = buckets.batch(&id(OTHER), names.map(copy).into()).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    for name in ["d/k", "deep/er/d/k"] {
        let copied = buckets.object(&id(OTHER), ObjectRef::current(&key(name))).await.unwrap();
        assert_eq!((copied.etag, copied.file), (written.etag, written.file), "{name}");
        let mut user_metadata = said.user_metadata.clone();
        user_metadata.extend(renewed.user_metadata.clone());
        let kept = Attributes { user_metadata, tags: Tags::new(), ..said.clone() };
        assert_eq!(copied.attributes, kept, "{name}");
    }
    // Of what lies elsewhere only the content is known, and what has the name may have another content.
    for name in ["renamed", "else"] {
        let copied = buckets.object(&id(OTHER), ObjectRef::current(&key(name))).await.unwrap();
        assert_eq!((copied.etag, copied.file), (ETag::Xet(written.file), written.file), "{name}");
        assert_eq!(copied.attributes, renewed, "{name}");
    }
}

#[tokio::test]
async fn the_empty_file_needs_no_upload() {
    let buckets = buckets().await;
    let results = buckets.batch(&bucket_id(), vec![add("empty", FileHash::EMPTY)]).await.unwrap();
    assert!(matches!(results[..], [Ok(())]));
    let read = buckets.read(&bucket_id(), ObjectRef::current(&key("empty")), None).await.unwrap();
    assert_eq!(read.object.size, 0);
    assert!(read.body.try_collect::<Vec<_>>().await.unwrap().concat().is_empty());
}

#[tokio::test]
async fn changes_succeed_or_fail_each_on_its_own() {
    let (buckets, _, hash) = two_buckets().await;
    let unknown = FileHash::from_bytes([9; 32]);
    let changes = vec![
        add("a", hash),
        add("b", unknown),
        BatchChange::Delete { key: key("there") },
        BatchChange::Delete { key: key("none") },
    ];
    let results = buckets.batch(&bucket_id(), changes).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    let stats = buckets.bucket_stats(&bucket_id()).await.unwrap();
    assert_eq!((stats.objects, stats.bytes), (1, 300_000));
    let too_many = vec![BatchChange::Delete { key: key("a") }; 1001];
    assert!(matches!(buckets.batch(&bucket_id(), too_many).await, Err(BucketError::TooMany { .. })));
    let keys = vec![key("a"); 1001];
    assert!(matches!(buckets.paths_info(&bucket_id(), &keys).await, Err(BucketError::TooMany { .. })));
    let found = buckets.paths_info(&bucket_id(), &[key("there"), key("a")]).await.unwrap();
    assert!(found[0].is_none() && found[1].is_some());
}
