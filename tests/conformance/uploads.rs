//! Multipart uploads.

use bytes::Bytes;
use xetgate::bucket::{
    BucketApi, BucketError, ByteRange, CompletedPart, ETag, ExpectedObject, ListUploads, NewUpload, Object,
    ObjectLock, ObjectRef, Part, UploadCompletion, UploadId, UploadRef,
};

use super::{b, get, key, md5, noise, payload, put, said, source, with_bucket};

const PART_BYTES: usize = 5 << 20;

async fn begin(api: &dyn BucketApi, name: &str) -> UploadRef {
    let new = NewUpload { key: key(name), attributes: said(), checksum: None, lock: ObjectLock::default() };
    let upload = api.create_upload(&b(), new).await.unwrap();
    UploadRef { key: upload.key, id: upload.id }
}

async fn part(api: &dyn BucketApi, upload: &UploadRef, number: u16, data: &Bytes) -> Part {
    api.write_part(&b(), upload, number, payload(data)).await.unwrap()
}

fn named(part: &Part) -> CompletedPart {
    CompletedPart { number: part.number, etag: hex::encode(part.md5), checksum: None }
}

async fn complete(
    api: &dyn BucketApi,
    upload: &UploadRef,
    parts: &[CompletedPart],
) -> Result<Object, BucketError> {
    let completion = UploadCompletion { parts: parts.to_vec(), ..UploadCompletion::default() };
    api.complete_upload(&b(), upload, completion).await
}

pub(crate) async fn parts_become_the_file_that_one_write_gives(api: &dyn BucketApi) {
    with_bucket(api).await;
    let data = noise(1, 2 * PART_BYTES + 1_234_567);
    let whole = put(api, "whole", &data).await;
    let upload = begin(api, "joined").await;
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(data.chunks(PART_BYTES)).collect::<Vec<_>>().into_iter().rev() {
        parts.insert(0, named(&part(api, &upload, number, &data.slice_ref(piece)).await));
    }
    assert!(matches!(
        api.object(&b(), ObjectRef::current(&key("joined"))).await,
        Err(BucketError::NoSuchKey(_))
    ));
    let joined = complete(api, &upload, &parts).await.unwrap();
    assert_eq!((joined.file, joined.size), (whole.file, whole.size));
    assert!(joined.etag.to_string().ends_with("-3") && joined.etag != whole.etag, "{}", joined.etag);
    let found = api.object(&b(), ObjectRef::current(&key("joined"))).await.unwrap();
    assert_eq!((found.etag, found.attributes, found.parts.len()), (joined.etag, said(), 3));
    assert_eq!(get(api, "joined", None).await, data);
    let again = complete(api, &upload, &parts).await.unwrap();
    assert_eq!((again.file, again.etag), (joined.file, joined.etag), "asked again, the same answer");
    assert!(matches!(api.upload(&b(), &upload).await, Err(BucketError::NoSuchUpload(_))));
}

pub(crate) async fn uploads_and_parts_are_listed_until_they_end(api: &dyn BucketApi) {
    with_bucket(api).await;
    let (first, second) = (begin(api, "one").await, begin(api, "two").await);
    let running = async || {
        let query = ListUploads { limit: 10, ..ListUploads::default() };
        let page = api.list_uploads(&b(), &query).await.unwrap();
        page.uploads.into_iter().map(|upload| upload.id).collect::<Vec<UploadId>>()
    };
    assert_eq!(running().await, [first.id.clone(), second.id.clone()]);
    assert_eq!(api.upload(&b(), &first).await.unwrap().attributes, said());
    for (number, seed) in [(3, 1), (1, 2), (3, 3), (2, 4)] {
        part(api, &first, number, &noise(seed, 1000)).await;
    }
    let page = api.list_parts(&b(), &first, 1, 1).await.unwrap();
    assert_eq!((page.parts.len(), page.parts[0].number, page.truncated), (1, 2, true));
    let page = api.list_parts(&b(), &first, 2, 10).await.unwrap();
    let last = &page.parts[0];
    assert_eq!((last.md5, page.truncated), (md5(&noise(3, 1000)), false), "the last write of a number wins");
    api.abort_upload(&b(), &first).await.unwrap();
    assert_eq!(running().await, [second.id]);
    for gone in [
        api.upload(&b(), &first).await.err(),
        api.abort_upload(&b(), &first).await.err(),
        api.write_part(&b(), &first, 1, payload(&noise(1, 10))).await.err(),
    ] {
        assert!(matches!(gone, Some(BucketError::NoSuchUpload(_))), "{gone:?}");
    }
}

pub(crate) async fn wrong_parts_make_no_object(api: &dyn BucketApi) {
    with_bucket(api).await;
    let upload = begin(api, "k").await;
    let first = named(&part(api, &upload, 1, &noise(1, 1000)).await);
    let second = named(&part(api, &upload, 2, &noise(2, 1000)).await);
    let other = CompletedPart { etag: hex::encode([0; 16]), ..first.clone() };
    let missing = CompletedPart { number: 7, ..first.clone() };
    for parts in [vec![other], vec![first.clone(), missing]] {
        let refused = complete(api, &upload, &parts).await;
        assert!(matches!(refused, Err(BucketError::InvalidPart(_))), "{parts:?}");
    }
    let backwards = complete(api, &upload, &[second.clone(), first.clone()]).await;
    assert!(matches!(backwards, Err(BucketError::InvalidPartOrder)));
    let small = complete(api, &upload, &[first, second.clone()]).await;
    assert!(matches!(small, Err(BucketError::PartTooSmall { number: 1, size: 1000, .. })));
    let expected = ExpectedObject { size: Some(999), ..ExpectedObject::default() };
    let completion =
        UploadCompletion { parts: vec![second.clone()], expected, ..UploadCompletion::default() };
    let refused = api.complete_upload(&b(), &upload, completion).await;
    assert!(matches!(refused, Err(BucketError::SizeMismatch { declared: 999, actual: 1000 })));
    assert!(matches!(api.object(&b(), ObjectRef::current(&key("k"))).await, Err(BucketError::NoSuchKey(_))));
    complete(api, &upload, &[second]).await.unwrap();
    assert_eq!(get(api, "k", None).await, noise(2, 1000));
}

pub(crate) async fn parts_are_copied_from_ranges(api: &dyn BucketApi) {
    with_bucket(api).await;
    let data = noise(3, 500_000);
    put(api, "source", &data).await;
    let upload = begin(api, "k").await;
    let range = Some(ByteRange::Bounded(123_456, 400_000));
    let copied = api.copy_part(&b(), &upload, 1, &source("source"), range).await.unwrap().made;
    let bytes = &data[123_456..=400_000];
    assert_eq!((copied.size, copied.md5), (bytes.len() as u64, md5(bytes)));
    let beyond = Some(ByteRange::Bounded(0, 500_000));
    let refused = api.copy_part(&b(), &upload, 2, &source("source"), beyond).await;
    assert!(matches!(refused, Err(BucketError::RangeNotSatisfiable { .. })));
    let object = complete(api, &upload, &[named(&copied)]).await.unwrap();
    assert_eq!(get(api, "k", None).await, bytes);
    assert_eq!(object.file, put(api, "same", &data.slice(123_456..400_001)).await.file);
    assert!(matches!(object.etag, ETag::Multipart { .. }));
}
