//! Buckets over the Hub in memory: what is written is read, also by those who come after, and faults show as what
//! they are, without a wrong byte or a half object.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::stand_in::{Fault, StandIn};
use crate::bucket::hub::{HubBuckets, HubClient, HubShared};
use crate::bucket::{
    AttributeChanges, Attributes, BucketError, BucketId, BucketName, Buckets as _, ByteRange, CompletedPart,
    CopySource, DeclaredDigests, DeleteBucket, ETagCondition, ListQuery, Namespace, NativeBuckets, NewUpload,
    Object, ObjectCopy, ObjectDelete, ObjectKey, ObjectLock, ObjectRef, ObjectWrite, Objects as _, Payload,
    UploadCompletion, UploadRef, Uploads as _, Visibility, WriteCondition,
};
use crate::cas::cache::ChunkCache;
use crate::cas::destinations::Destinations;
use crate::cas::http::{BearerToken, HttpClient, RetryPolicy};
use crate::cas::remote::RemoteShared;
use crate::model::clock::Ambient;
use crate::store::meta::EmbeddedMeta;

pub(super) struct Gateway {
    pub(super) buckets: HubBuckets,
    pub(super) hub: Arc<StandIn>,
    pub(super) folder: tempfile::TempDir,
}

impl Gateway {
    /// A gateway that has just been set up, with a bucket.
    pub(super) async fn new(hub: Arc<StandIn>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ambient = Ambient::system();
        let retry = RetryPolicy { attempts: 3, first_rest: Duration::from_millis(1), awaits_local: true };
        let http = HttpClient::new(retry, Destinations::of(&hub.base, &[])).unwrap();
        let client = HubClient::new(http.clone(), &hub.base, BearerToken::new("hf_ada")).unwrap();
        let cache =
            ChunkCache::open(&folder.path().join("cache"), 1 << 30, Arc::clone(&ambient.clock)).unwrap();
        let remote = RemoteShared::new(http, Some(Arc::new(cache)), Arc::clone(&ambient.clock));
        let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let shared = HubShared::open(meta, folder.path().join("uploads"), remote, ambient).unwrap();
        let buckets = HubBuckets::new(client, shared);
        match buckets.create_bucket(&id(), Visibility::Private).await {
            Ok(_) | Err(BucketError::BucketExists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        Self { buckets, hub, folder }
    }

    pub(super) async fn put(&self, name: &str, data: &Bytes) -> Result<Object, BucketError> {
        self.put_if(name, data, WriteCondition::default()).await
    }

    async fn put_if(
        &self,
        name: &str,
        data: &Bytes,
        condition: WriteCondition,
    ) -> Result<Object, BucketError> {
        let write = ObjectWrite {
            key: key(name),
            attributes: attributes(),
            condition,
            lock: ObjectLock::default(),
            payload: payload(data),
        };
        self.buckets.write(&id(), write).await
    }

    pub(super) async fn get(&self, name: &str, range: Option<ByteRange>) -> Result<Vec<u8>, BucketError> {
        let read = self.buckets.read(&id(), ObjectRef::current(&key(name)), range).await?;
        let pieces: Vec<Bytes> = read.body.try_collect().await?;
        Ok(pieces.concat())
    }

    async fn keys(&self, prefix: &str, delimiter: Option<&str>, limit: usize) -> (Vec<String>, Vec<String>) {
        let (mut keys, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let delimiter = delimiter.map(ToOwned::to_owned);
            let query = ListQuery { prefix: prefix.to_owned(), delimiter, after, limit };
            let page = self.buckets.list(&id(), &query).await.unwrap();
            keys.extend(page.objects.into_iter().map(|(key, _)| key.as_str().to_owned()));
            prefixes.extend(page.common_prefixes);
            after = page.next;
            if after.is_none() {
                return (keys, prefixes);
            }
        }
    }
}

pub(super) fn id() -> BucketId {
    BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new("b").unwrap() }
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

pub(super) fn attributes() -> Attributes {
    let user_metadata = [("color".to_owned(), "blue".to_owned())].into();
    Attributes { content_type: Some("text/x-test".to_owned()), user_metadata, ..Attributes::default() }
}

pub(super) fn payload(data: &Bytes) -> Payload {
    let pieces: Vec<_> = data.chunks(100_000).map(|piece| Ok(data.slice_ref(piece))).collect();
    Payload {
        body: stream::iter(pieces).boxed(),
        length: Some(data.len() as u64),
        digests: DeclaredDigests::default(),
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(super) fn noise(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn what_is_written_is_read_by_every_version_of_the_api() {
    for has_v2 in [false, true] {
        let gateway = Gateway::new(StandIn::start(has_v2).await).await;
        let local = NativeBuckets::in_memory(Ambient::system()).unwrap();
        local.create_bucket(&id(), Visibility::Private).await.unwrap();
        // Noise, text that compresses, one chunk that repeats, one byte, nothing.
        let text = Bytes::from("all work and no play ".repeat(50_000));
        let many =
            [noise(1, 40 << 20), text, vec![0; 3 << 20].into(), Bytes::from_static(b"x"), Bytes::new()];
        for (number, data) in many.iter().enumerate() {
            let name = format!("dir/{number}");
            let written = gateway.put(&name, data).await.unwrap();
            let write = ObjectWrite {
                key: key(&name),
                attributes: attributes(),
                condition: WriteCondition::default(),
                lock: ObjectLock::default(),
                payload: payload(data),
            };
            let same = local.write(&id(), write).await.unwrap();
            assert_eq!((written.file, written.etag), (same.file, same.etag), "one content, one identity");
            assert_eq!(gateway.get(&name, None).await.unwrap(), data[..]);
            let found = gateway.buckets.object(&id(), ObjectRef::current(&key(&name))).await.unwrap();
            assert_eq!((found.etag, &found.attributes), (written.etag, &attributes()));
            assert_eq!(
                gateway.hub.object("ada/b", &name).unwrap().content_type.as_deref(),
                Some("text/x-test")
            );
        }
        let range = Some(ByteRange::Bounded(9_000_000, 9_999_999));
        assert_eq!(gateway.get("dir/0", range).await.unwrap(), many[0][9_000_000..10_000_000]);
        let other = Gateway::new(Arc::clone(&gateway.hub)).await;
        assert_eq!(
            other.get("dir/0", None).await.unwrap(),
            many[0],
            "another gateway, without what this one knows"
        );
    }
}

#[tokio::test]
async fn ranges_fetch_little_and_nothing_twice() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let data = noise(2, 64 << 20);
    gateway.put("big", &data).await.unwrap();
    let sent = || gateway.hub.sent_bytes.swap(0, Ordering::Relaxed);
    for start in [0, 5_000_000, 33_333_333, 66_000_000] {
        let range = Some(ByteRange::Bounded(start, start + (1 << 20) - 1));
        let wanted = &data[start as usize..start as usize + (1 << 20)];
        assert_eq!(gateway.get("big", range).await.unwrap(), wanted);
        let first = sent();
        assert!(first < 2 << 20, "{first} bytes");
        gateway.hub.asked("");
        assert_eq!(gateway.get("big", range).await.unwrap(), wanted);
        assert_eq!((sent(), gateway.hub.asked("/cas/")), (0, 0));
    }
    assert!(gateway.folder.path().join("cache").exists());
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let data = noise(3, 20 << 20);
    gateway.hub.fail("/batch", Fault::Status(400, ""), 1);
    assert!(gateway.put("a", &data).await.is_err());
    assert_eq!(gateway.hub.asked("POST /cas/v1/xorbs"), 2);
    gateway.put("a", &data).await.unwrap();
    assert_eq!(gateway.hub.asked("POST /cas/v1/xorbs"), 0);
    let other = Gateway::new(Arc::clone(&gateway.hub)).await;
    other.hub.asked("");
    other.put("b", &data).await.unwrap();
    assert!(other.hub.asked("POST /cas/v1/xorbs") <= 1, "the CAS told of the first xorb");
    assert_eq!(other.get("b", None).await.unwrap(), data);
}

#[tokio::test]
async fn parts_are_joined_into_the_file_that_one_write_gives() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let data = noise(4, 21 << 20);
    let whole = gateway.put("whole", &data).await.unwrap();
    let new = NewUpload {
        key: key("joined"),
        attributes: attributes(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let upload = gateway.buckets.create_upload(&id(), new).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    let mut named = Vec::new();
    for (number, piece) in (1..).zip(data.chunks(5 << 20)) {
        let piece = data.slice_ref(piece);
        let part = gateway.buckets.write_part(&id(), &upload, number, payload(&piece)).await.unwrap();
        named.push(CompletedPart { number, etag: hex::encode(part.md5), checksum: None });
    }
    assert!(gateway.hub.object("ada/b", "joined").is_none());
    gateway.hub.asked("");
    let complete = async || {
        let completion = UploadCompletion { parts: named.clone(), ..UploadCompletion::default() };
        gateway.buckets.complete_upload(&id(), &upload, completion).await
    };
    let joined = complete().await.unwrap();
    assert_eq!(joined.file, whole.file);
    assert_eq!(gateway.hub.asked("shards"), 1, "one shard");
    assert_eq!(gateway.get("joined", None).await.unwrap(), data);
    assert_eq!(complete().await.unwrap().etag, joined.etag, "asked again, the same answer");
    assert!(matches!(gateway.buckets.upload(&id(), &upload).await, Err(BucketError::NoSuchUpload(_))));

    let new = NewUpload {
        key: key("copied"),
        attributes: attributes(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let upload = gateway.buckets.create_upload(&id(), new).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    let source = CopySource::current(id(), key("whole"));
    let range = Some(ByteRange::Bounded(1_000_000, 9_999_999));
    let part = gateway.buckets.copy_part(&id(), &upload, 1, &source, range).await.unwrap().made;
    let named = vec![CompletedPart { number: 1, etag: hex::encode(part.md5), checksum: None }];
    let completion = UploadCompletion { parts: named, ..UploadCompletion::default() };
    gateway.buckets.complete_upload(&id(), &upload, completion).await.unwrap();
    assert_eq!(gateway.get("copied", None).await.unwrap(), data[1_000_000..10_000_000]);
}

#[tokio::test]
async fn listings_are_in_s3s_order_whatever_the_pages() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let names = ["a-b", "a/1", "a/2/x", "a/2/y", "a0", "b.txt", "b/z", "b-c/q", "ü/1"];
    for name in names {
        gateway.put(name, &Bytes::from_static(b"x")).await.unwrap();
    }
    let mut sorted = names.map(ToOwned::to_owned).to_vec();
    sorted.sort();
    for limit in [1, 2, 3, 1000] {
        assert_eq!(gateway.keys("", None, limit).await, (sorted.clone(), Vec::new()));
        let (keys, prefixes) = gateway.keys("", Some("/"), limit).await;
        assert_eq!(
            (keys, prefixes.join(" ")),
            (["a-b", "a0", "b.txt"].map(ToOwned::to_owned).to_vec(), "a/ b-c/ b/ ü/".to_owned()),
            "{limit}"
        );
        assert_eq!(
            gateway.keys("a/", Some("/"), limit).await,
            (vec!["a/1".to_owned()], vec!["a/2/".to_owned()])
        );
        assert_eq!(gateway.keys("a", Some("-"), limit).await.1, ["a-"]);
        assert_eq!(gateway.keys("a/2/x", None, limit).await.0, ["a/2/x"]);
        assert_eq!(gateway.keys("nothing/", None, limit).await.0.len(), 0);
    }
}

#[tokio::test]
async fn copies_conditions_and_deletes_follow_what_the_hub_has_now() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
    let first = gateway.put("k", &one).await.unwrap();
    let none = WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
    assert!(matches!(gateway.put_if("k", &two, none).await, Err(BucketError::PreconditionFailed)));
    let same = ETagCondition::OneOf(vec![first.etag.to_string()]);
    let same = WriteCondition { if_match: Some(same), ..WriteCondition::default() };
    gateway.put_if("k", &two, same.clone()).await.unwrap();
    assert!(matches!(gateway.put_if("k", &one, same).await, Err(BucketError::PreconditionFailed)));

    let source = CopySource::current(id(), key("k"));
    let copy = ObjectCopy {
        source,
        key: key("copy"),
        changes: AttributeChanges::default(),
        checksum: None,
        condition: WriteCondition::default(),
        lock: ObjectLock::default(),
    };
    gateway.hub.asked("");
    gateway.buckets.copy(&id(), copy).await.unwrap();
    assert_eq!(gateway.hub.asked("/cas/"), 0, "no bytes move");
    let copied = gateway.buckets.object(&id(), ObjectRef::current(&key("copy"))).await.unwrap();
    assert_eq!(copied.attributes, attributes());

    // Another client overwrites it at the Hub: what was said of the old content is not said of the new.
    let file = gateway.put("other", &one).await.unwrap().file;
    gateway.hub.state.lock().unwrap().buckets.get_mut("ada/b").unwrap().get_mut("copy").unwrap().file = file;
    let object = gateway.buckets.object(&id(), ObjectRef::current(&key("copy"))).await.unwrap();
    assert!(object.attributes.user_metadata.is_empty() && object.etag.to_string() == file.to_string());

    let delete = |name: &str| ObjectDelete::current(key(name));
    let results =
        gateway.buckets.delete(&id(), vec![delete("k"), delete("never"), delete("/no")]).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert!(matches!(gateway.get("k", None).await, Err(BucketError::NoSuchKey(_))));
    let not_empty = gateway.buckets.delete_bucket(&id(), DeleteBucket::IfEmpty).await;
    assert!(matches!(not_empty, Err(BucketError::BucketNotEmpty(_))));
    gateway.buckets.delete_bucket(&id(), DeleteBucket::WithContents).await.unwrap();
    assert!(matches!(gateway.put("k", &one).await, Err(BucketError::NoSuchBucket(_))));
}

#[tokio::test]
async fn keys_that_a_hub_cannot_hold_are_refused_by_name() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    for name in ["/a", "a/", "a//b", "./a", "a\\b"] {
        let refused = gateway.put(name, &Bytes::from_static(b"x")).await;
        assert!(matches!(refused, Err(BucketError::InvalidKey { .. })), "{name}");
        let read = gateway.buckets.object(&id(), ObjectRef::current(&key(name))).await;
        assert!(matches!(read, Err(BucketError::NoSuchKey(_))), "{name}");
    }
}
