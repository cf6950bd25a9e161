//! Local buckets in memory: what the layers below give together.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::super::*;
use super::NativeBuckets;
use crate::model::clock::Ambient;
use crate::store::index::MemoryIndex;
use crate::store::local::LocalStore;
use crate::store::meta::EmbeddedMeta;
use crate::store::pack::MemoryPacks;
use crate::xet::chunker::chunk_lengths;
use crate::xet::hash::ChunkHash;
use crate::xet::merkle::file_hash;

mod batch;
mod checksums;
mod damage;
mod faults;
mod holdings;
mod index_damage;
mod lifecycle;
mod meeting;
mod merging;
mod migrating;
mod model;
mod nodes;
mod power;
mod power_cut;
mod power_cut_versions;
mod previous_release;
mod upkeep;
mod versions_model;

fn bucket_id() -> BucketId {
    BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new("b").unwrap() }
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

async fn buckets() -> NativeBuckets {
    let buckets = NativeBuckets::in_memory(Ambient::system()).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    buckets
}

/// Buckets in packs of at most a mebibyte, so that there are many.
async fn small_packs() -> (Arc<NativeBuckets>, MemoryPacks) {
    let packs = MemoryPacks::default();
    let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
    let index = Arc::new(MemoryIndex::default());
    let store = LocalStore::assemble(meta, Arc::new(packs.clone()), index, 1 << 20).unwrap();
    let buckets = NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    (Arc::new(buckets), packs)
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn hash_of(data: &[u8]) -> FileHash {
    let mut rest = data;
    file_hash(chunk_lengths(data).into_iter().map(|len| {
        let (chunk, behind) = rest.split_at(len);
        rest = behind;
        (ChunkHash::of(chunk), len as u64)
    }))
}

fn payload(data: &Bytes) -> Payload {
    let pieces: Vec<_> = data.chunks(70_001).map(|piece| Ok(data.slice_ref(piece))).collect();
    Payload {
        body: Box::pin(stream::iter(pieces)),
        length: Some(data.len() as u64),
        digests: DeclaredDigests::default(),
    }
}

fn write(name: &str, payload: Payload) -> ObjectWrite {
    let (key, attributes, condition) = (key(name), Attributes::default(), WriteCondition::default());
    ObjectWrite { key, attributes, condition, lock: ObjectLock::default(), payload }
}

async fn put(buckets: &NativeBuckets, name: &str, data: &Bytes) -> Object {
    buckets.write(&bucket_id(), write(name, payload(data))).await.unwrap()
}

async fn get(buckets: &NativeBuckets, name: &str, range: Option<ByteRange>) -> Vec<u8> {
    let read = buckets.read(&bucket_id(), ObjectRef::current(&key(name)), range).await.unwrap();
    let pieces: Vec<Bytes> = read.body.try_collect().await.unwrap();
    pieces.concat()
}

fn source(name: &str) -> CopySource {
    CopySource::current(bucket_id(), key(name))
}

#[tokio::test]
async fn what_is_written_is_read_whole_and_in_ranges() {
    let buckets = buckets().await;
    for len in [0, 1, 8191, 200_000, 3_000_000] {
        let data = noise(1, len);
        let object = put(&buckets, "k", &data).await;
        assert_eq!(object.file, hash_of(&data));
        assert_eq!(get(&buckets, "k", None).await, data);
    }
    let data = noise(1, 3_000_000);
    let mut edge = 0;
    for len in chunk_lengths(&data) {
        edge += len as u64;
        for (first, last) in
            [(edge - 1, edge - 1), (edge - 1, edge), (edge - 100_000.min(edge), edge + 300_000)]
        {
            let end = (last as usize + 1).min(data.len());
            let got = get(&buckets, "k", Some(ByteRange::Bounded(first, last))).await;
            assert_eq!(got, data[first as usize..end], "{first}..={last}");
        }
    }
    assert_eq!(get(&buckets, "k", Some(ByteRange::Suffix(5))).await, data[2_999_995..]);
    let outside =
        buckets.read(&bucket_id(), ObjectRef::current(&key("k")), Some(ByteRange::From(3_000_000))).await;
    assert!(matches!(outside, Err(BucketError::RangeNotSatisfiable { size: 3_000_000 })));
}

#[tokio::test]
async fn the_same_bytes_have_one_hash_by_put_multipart_and_copy() {
    let buckets = buckets().await;
    let constant = Bytes::from(vec![7; 12 << 20]);
    let mixed: Bytes = [&noise(2, 6 << 20)[..], &vec![0; 5 << 20], &noise(3, 6_000_000)].concat().into();
    for data in [noise(4, 17_000_000), constant, mixed] {
        let whole = put(&buckets, "whole", &data).await;
        assert_eq!(whole.file, hash_of(&data));
        for part_bytes in [5 << 20, (5 << 20) + 1, 6_666_666] {
            let new = NewUpload {
                key: key("parts"),
                attributes: Attributes::default(),
                checksum: None,
                lock: ObjectLock::default(),
            };
            let upload = buckets.create_upload(&bucket_id(), new).await.unwrap();
            let upload = UploadRef { key: upload.key, id: upload.id };
            let mut named = Vec::new();
            for (number, part) in (1..).zip(data.chunks(part_bytes)).collect::<Vec<_>>().into_iter().rev() {
                let part = payload(&data.slice_ref(part));
                let part = buckets.write_part(&bucket_id(), &upload, number, part).await.unwrap();
                named.insert(0, CompletedPart { number, etag: hex::encode(part.md5), checksum: None });
            }
            let complete = async || {
                let completion = UploadCompletion { parts: named.clone(), ..UploadCompletion::default() };
                buckets.complete_upload(&bucket_id(), &upload, completion).await.unwrap()
            };
            let object = complete().await;
            assert_eq!(object.file, whole.file, "parts of {part_bytes}");
            assert_eq!(complete().await, object, "asked again, the same answer");
            assert_eq!(get(&buckets, "parts", None).await, data);
        }
        let copy = ObjectCopy {
            source: source("parts"),
            key: key("copy"),
            changes: AttributeChanges::default(),
            checksum: None,
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
        };
        assert_eq!(buckets.copy(&bucket_id(), copy).await.unwrap().made.file, whole.file);
    }
}

#[tokio::test]
async fn a_part_copied_from_a_range_has_the_hash_of_its_bytes() {
    let buckets = buckets().await;
    let data = noise(5, 2_000_000);
    put(&buckets, "source", &data).await;
    let new = NewUpload {
        key: key("k"),
        attributes: Attributes::default(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let upload = buckets.create_upload(&bucket_id(), new).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    for (first, last) in
        [(0, 1_999_999), (1, 1_999_999), (0, 99), (777_777, 1_555_555), (1_999_999, 1_999_999)]
    {
        let range = Some(ByteRange::Bounded(first, last));
        let part = buckets.copy_part(&bucket_id(), &upload, 1, &source("source"), range).await.unwrap().made;
        let bytes = &data[first as usize..=last as usize];
        assert_eq!(part.file, hash_of(bytes), "{first}..={last}");
        assert_eq!(part.md5, <[u8; 16]>::from(<md5::Md5 as md5::Digest>::digest(bytes)));
    }
}

#[tokio::test]
async fn a_cut_off_put_leaves_the_old_object() {
    let buckets = Arc::new(buckets().await);
    let old = put(&buckets, "k", &noise(6, 100_000)).await;
    let data = noise(7, 3_000_000);
    let cut = payload(&data).body.take(20).chain(stream::iter([Err("connection reset".into())]));
    let broken = Payload { body: Box::pin(cut), ..payload(&data) };
    let error = buckets.write(&bucket_id(), write("k", broken)).await.unwrap_err();
    assert!(matches!(error, BucketError::Body(error) if error.to_string() == "connection reset"));
    let short = Payload { length: Some(3_000_001), ..payload(&data) };
    let error = buckets.write(&bucket_id(), write("k", short)).await.unwrap_err();
    assert!(matches!(error, BucketError::IncompleteBody { declared: 3_000_001, received: 3_000_000 }));
    let long = Payload { length: Some(2_999_999), ..payload(&data) };
    let error = buckets.write(&bucket_id(), write("k", long)).await.unwrap_err();
    assert!(matches!(error, BucketError::IncompleteBody { .. }));
    assert_eq!(buckets.object(&bucket_id(), ObjectRef::current(&key("k"))).await.unwrap(), old);
    let page = buckets.list(&bucket_id(), &ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap();
    assert_eq!(page.objects.len(), 1);
}

#[tokio::test]
async fn a_false_digest_stores_nothing() {
    let buckets = buckets().await;
    let data = noise(8, 50_000);
    let declare = |digests| Payload { digests, ..payload(&data) };
    let checksum = |value| DeclaredDigests {
        checksum: Some(DeclaredChecksum { algorithm: ChecksumAlgorithm::Crc32c, value }),
        ..DeclaredDigests::default()
    };
    let attempt = async |digests| buckets.write(&bucket_id(), write("k", declare(digests))).await;
    let md5 = DeclaredDigests { md5: Some([0; 16]), ..DeclaredDigests::default() };
    assert!(matches!(attempt(md5).await, Err(BucketError::Md5Mismatch { received: 50_000 })));
    let sha256 = DeclaredDigests { payload_sha256: Some([0; 32]), ..DeclaredDigests::default() };
    assert!(matches!(attempt(sha256).await, Err(BucketError::PayloadSha256Mismatch)));
    let given = checksum(DeclaredValue::Given(vec![0; 4]));
    assert!(matches!(attempt(given).await, Err(BucketError::ChecksumMismatch(ChecksumAlgorithm::Crc32c))));
    let trailing = checksum(DeclaredValue::Trailing(Box::new(|| None)));
    assert!(matches!(attempt(trailing).await, Err(BucketError::MissingTrailer(ChecksumAlgorithm::Crc32c))));
    assert!(matches!(
        buckets.object(&bucket_id(), ObjectRef::current(&key("k"))).await,
        Err(BucketError::NoSuchKey(_))
    ));
    let stored = attempt(checksum(DeclaredValue::Computed)).await.unwrap();
    let value = stored.checksums[0].value.clone();
    attempt(checksum(DeclaredValue::Trailing(Box::new(move || Some(value))))).await.unwrap();
}
