//! The promises of a [`BucketApi`], by subject, and what they share. Each begins with no buckets.

pub(crate) mod buckets;
pub(crate) mod listings;
pub(crate) mod objects;
pub(crate) mod uploads;

use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use xetgate::bucket::{
    Attributes, BucketApi, BucketError, BucketId, BucketName, ByteRange, CopySource, DeclaredDigests,
    Namespace, Object, ObjectKey, ObjectLock, ObjectRef, ObjectWrite, Payload, Visibility, WriteCondition,
};

/// The namespaces that there are.
pub(crate) const ADA: &str = "ada";
pub(crate) const TEAM: &str = "team";

fn id(namespace: &str, name: &str) -> BucketId {
    BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new(name).unwrap() }
}

/// The bucket that most of it happens in.
fn b() -> BucketId {
    id(ADA, "b")
}

async fn with_bucket(api: &dyn BucketApi) -> BucketId {
    api.create_bucket(&b(), Visibility::Private).await.unwrap();
    b()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn payload(data: &Bytes) -> Payload {
    let pieces: Vec<_> = data.chunks(70_001).map(|piece| Ok(data.slice_ref(piece))).collect();
    Payload {
        body: Box::pin(stream::iter(pieces)),
        length: Some(data.len() as u64),
        digests: DeclaredDigests::default(),
    }
}

fn md5(data: &[u8]) -> [u8; 16] {
    <md5::Md5 as md5::Digest>::digest(data).into()
}

/// Something to say of an object.
fn said() -> Attributes {
    let pairs = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    Attributes {
        content_type: Some("text/x-test".to_owned()),
        cache_control: Some("no-cache".to_owned()),
        user_metadata: pairs("color", "blue"),
        tags: pairs("kind", "tested"),
        ..Attributes::default()
    }
}

async fn write(
    api: &dyn BucketApi,
    name: &str,
    payload: Payload,
    condition: WriteCondition,
) -> Result<Object, BucketError> {
    api.write(
        &b(),
        ObjectWrite { key: key(name), attributes: said(), condition, lock: ObjectLock::default(), payload },
    )
    .await
}

async fn put(api: &dyn BucketApi, name: &str, data: &Bytes) -> Object {
    write(api, name, payload(data), WriteCondition::default()).await.unwrap()
}

async fn get(api: &dyn BucketApi, name: &str, range: Option<ByteRange>) -> Vec<u8> {
    let read = api.read(&b(), ObjectRef::current(&key(name)), range).await.unwrap();
    read.body.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

fn source(name: &str) -> CopySource {
    CopySource::current(b(), key(name))
}
