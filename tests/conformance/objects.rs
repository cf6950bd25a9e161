//! Objects: written, read, copied, deleted.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use xetgate::bucket::{
    AttributeChanges, Attributes, BucketApi, BucketError, ByteRange, ChecksumAlgorithm, CopySource,
    DeclaredChecksum, DeclaredDigests, DeclaredValue, ETag, ETagCondition, ListQuery, ObjectCopy,
    ObjectDelete, ObjectLock, ObjectRef, Payload, ReadCondition, Visibility, WriteCondition,
};

use super::{ADA, TEAM, b, get, id, key, md5, noise, payload, put, said, source, with_bucket, write};

pub(crate) async fn what_is_written_is_read_whole_and_in_ranges(api: &dyn BucketApi) {
    with_bucket(api).await;
    for len in [0, 1, 8191, 200_000, 1_000_000] {
        let data = noise(1, len);
        let written = put(api, "k", &data).await;
        assert_eq!((written.size, written.etag), (len as u64, ETag::Md5(md5(&data))));
        assert_eq!(get(api, "k", None).await, data);
    }
    let data = noise(1, 1_000_000);
    let ranges = [(0, 0), (1, 99_999), (123_456, 777_777), (999_999, 999_999), (500_000, 2_000_000)];
    for (first, last) in ranges {
        let got = get(api, "k", Some(ByteRange::Bounded(first, last))).await;
        let end = data.len().min(last as usize + 1);
        assert_eq!(got, data[first as usize..end], "{first}..={last}");
    }
    assert_eq!(get(api, "k", Some(ByteRange::From(900_000))).await, data[900_000..]);
    assert_eq!(get(api, "k", Some(ByteRange::Suffix(5))).await, data[999_995..]);
    let outside = api.read(&b(), ObjectRef::current(&key("k")), Some(ByteRange::From(1_000_000))).await;
    assert!(matches!(outside, Err(BucketError::RangeNotSatisfiable { size: 1_000_000 })));
    let none = api.read(&b(), ObjectRef::current(&key("none")), None).await;
    assert!(matches!(none, Err(BucketError::NoSuchKey(_))));
    let nowhere = api.read(&id(ADA, "none"), ObjectRef::current(&key("k")), None).await;
    assert!(matches!(nowhere, Err(BucketError::NoSuchBucket(_))));
}

pub(crate) async fn what_is_said_of_an_object_is_kept(api: &dyn BucketApi) {
    with_bucket(api).await;
    let data = noise(2, 1000);
    let computed = DeclaredChecksum { algorithm: ChecksumAlgorithm::Crc32c, value: DeclaredValue::Computed };
    let digests = DeclaredDigests { checksum: Some(computed), ..DeclaredDigests::default() };
    let with_checksum = Payload { digests, ..payload(&data) };
    let written = write(api, "k", with_checksum, WriteCondition::default()).await.unwrap();
    let found = api.object(&b(), ObjectRef::current(&key("k"))).await.unwrap();
    assert_eq!((found.file, found.size, found.etag), (written.file, 1000, written.etag));
    assert_eq!((&found.attributes, found.checksums.len()), (&said(), 1));
    assert_eq!(found.checksums, written.checksums);

    let tags = [("other".to_owned(), "tag".to_owned())].into();
    api.tag_object(&b(), ObjectRef::current(&key("k")), tags).await.unwrap();
    let tagged = api.object(&b(), ObjectRef::current(&key("k"))).await.unwrap();
    assert_eq!(tagged.attributes.tags.keys().collect::<Vec<_>>(), ["other"]);
    let untagged = |attributes: Attributes| Attributes { tags: said().tags, ..attributes };
    assert_eq!((untagged(tagged.attributes), tagged.etag), (said(), written.etag));
    let none = api.tag_object(&b(), ObjectRef::current(&key("none")), said().tags).await;
    assert!(matches!(none, Err(BucketError::NoSuchKey(_))));
}

pub(crate) async fn conditions_hold_for_writes_and_deletes(api: &dyn BucketApi) {
    with_bucket(api).await;
    let (one, two) = (noise(1, 10), noise(2, 10));
    let create = || WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
    let replace = |etag: ETag| WriteCondition {
        if_match: Some(ETagCondition::OneOf(vec![etag.to_string()])),
        ..WriteCondition::default()
    };
    let first = write(api, "k", payload(&one), create()).await.unwrap();
    let again = write(api, "k", payload(&two), create()).await;
    assert!(matches!(again, Err(BucketError::PreconditionFailed)));
    let second = write(api, "k", payload(&two), replace(first.etag)).await.unwrap();
    let late = write(api, "k", payload(&one), replace(first.etag)).await;
    assert!(matches!(late, Err(BucketError::PreconditionFailed)));
    let none = write(api, "none", payload(&one), replace(first.etag)).await;
    assert!(matches!(none, Err(BucketError::NoSuchKey(_))));
    assert_eq!(get(api, "k", None).await, two);

    let delete = async |condition| {
        let deletes = vec![ObjectDelete { condition, ..ObjectDelete::current(key("k")) }];
        api.delete(&b(), deletes).await.unwrap().remove(0)
    };
    assert!(matches!(delete(replace(first.etag)).await, Err(BucketError::PreconditionFailed)));
    assert_eq!(get(api, "k", None).await, two);
    delete(replace(second.etag)).await.unwrap();
    assert!(matches!(api.object(&b(), ObjectRef::current(&key("k"))).await, Err(BucketError::NoSuchKey(_))));
}

pub(crate) async fn a_failed_write_leaves_the_old_object(api: &dyn BucketApi) {
    with_bucket(api).await;
    let old = put(api, "k", &noise(3, 100_000)).await;
    let data = noise(4, 1_000_000);
    let cut = payload(&data).body.take(5).chain(stream::iter([Err("connection reset".into())]));
    let broken = Payload { body: Box::pin(cut), ..payload(&data) };
    let failed = write(api, "k", broken, WriteCondition::default()).await;
    assert!(matches!(failed, Err(BucketError::Body(error)) if error.to_string() == "connection reset"));
    for declared in [999_999, 1_000_001] {
        let wrong = Payload { length: Some(declared), ..payload(&data) };
        let failed = write(api, "k", wrong, WriteCondition::default()).await;
        assert!(matches!(failed, Err(BucketError::IncompleteBody { .. })), "{declared}");
    }
    let found = api.object(&b(), ObjectRef::current(&key("k"))).await.unwrap();
    assert_eq!((found.file, found.etag), (old.file, old.etag));
    let page = api.list(&b(), &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap();
    assert_eq!(page.objects.len(), 1);
}

pub(crate) async fn declared_digests_must_hold(api: &dyn BucketApi) {
    with_bucket(api).await;
    let data = noise(5, 50_000);
    let checksum = |value| DeclaredDigests {
        checksum: Some(DeclaredChecksum { algorithm: ChecksumAlgorithm::Crc32c, value }),
        ..DeclaredDigests::default()
    };
    let attempt = async |digests| {
        write(api, "k", Payload { digests, ..payload(&data) }, WriteCondition::default()).await
    };
    let wrong = DeclaredDigests { md5: Some([0; 16]), ..DeclaredDigests::default() };
    assert!(matches!(attempt(wrong).await, Err(BucketError::Md5Mismatch { received: 50_000 })));
    let wrong = DeclaredDigests { payload_sha256: Some([0; 32]), ..DeclaredDigests::default() };
    assert!(matches!(attempt(wrong).await, Err(BucketError::PayloadSha256Mismatch)));
    let wrong = checksum(DeclaredValue::Given(vec![0; 4]));
    assert!(matches!(attempt(wrong).await, Err(BucketError::ChecksumMismatch(ChecksumAlgorithm::Crc32c))));
    let missing = checksum(DeclaredValue::Trailing(Box::new(|| None)));
    assert!(matches!(attempt(missing).await, Err(BucketError::MissingTrailer(ChecksumAlgorithm::Crc32c))));
    assert!(matches!(api.object(&b(), ObjectRef::current(&key("k"))).await, Err(BucketError::NoSuchKey(_))));
    let value = attempt(checksum(DeclaredValue::Computed)).await.unwrap().checksums[0].value.clone();
    attempt(checksum(DeclaredValue::Trailing(Box::new(move || Some(value))))).await.unwrap();
    let right = DeclaredDigests { md5: Some(md5(&data)), ..DeclaredDigests::default() };
    attempt(right).await.unwrap();
}

pub(crate) async fn copies_take_what_their_source_says_of_itself(api: &dyn BucketApi) {
    with_bucket(api).await;
    let other = id(TEAM, "other");
    api.create_bucket(&other, Visibility::Private).await.unwrap();
    let data = noise(6, 300_000);
    let written = put(api, "k", &data).await;
    let plain = |source: CopySource| ObjectCopy {
        source,
        key: key("copy"),
        changes: AttributeChanges::default(),
        checksum: None,
        condition: WriteCondition::default(),
        lock: ObjectLock::default(),
    };
    for to in [&b(), &other] {
        api.copy(to, plain(source("k"))).await.unwrap();
        let copied = api.object(to, ObjectRef::current(&key("copy"))).await.unwrap();
        assert_eq!(
            (copied.file, copied.etag, copied.attributes),
            (written.file, written.etag, said()),
            "{to}"
        );
    }
    assert_eq!(get(api, "copy", None).await, data);

    let metadata = Some(Attributes { content_type: Some("image/png".to_owned()), ..Attributes::default() });
    let changes = AttributeChanges { metadata, ..AttributeChanges::default() };
    api.copy(&b(), ObjectCopy { changes, ..plain(source("k")) }).await.unwrap();
    let replaced = api.object(&b(), ObjectRef::current(&key("copy"))).await.unwrap();
    assert_eq!(replaced.attributes.content_type.as_deref(), Some("image/png"));
    assert_eq!((replaced.attributes.tags, replaced.attributes.user_metadata.len()), (said().tags, 0));

    let etag = WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
    let condition = ReadCondition { etag, ..ReadCondition::default() };
    let refused = api.copy(&b(), plain(CopySource { condition, ..source("k") })).await;
    assert!(matches!(refused, Err(BucketError::PreconditionFailed)));
    let none = api.copy(&b(), plain(source("none"))).await;
    assert!(matches!(none, Err(BucketError::NoSuchKey(_))));
}

pub(crate) async fn deletes_are_answered_one_by_one(api: &dyn BucketApi) {
    with_bucket(api).await;
    for name in ["a", "a/b", "c"] {
        put(api, name, &Bytes::from_static(b"x")).await;
    }
    let deletes = ["a", "never", "c"].map(|name| ObjectDelete::current(key(name)));
    let results = api.delete(&b(), deletes.into()).await.unwrap();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true; 3]);
    let left = api.list(&b(), &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap().objects;
    assert_eq!(left.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a/b"]);
}
