//! Buckets on this machine: the engine over local chunks, and rows in the embedded metadata store.
//!
//! Every write goes the same way: take in the body, check what was declared of it, make its bytes durable, and only
//! then let one metadata transaction make it visible.

use std::ops::Range;
use std::sync::Arc;

use super::error::{meta_failed, object_error};
use super::{
    BucketError, BucketId, ByteRange, Object, ObjectLock, ObjectRef, Version, VersionRef, Versioning,
};
use crate::cas::LocalChunks;
use crate::cas::cache::ChunkCache;
use crate::engine::{Engine, StoredFile};
use crate::model::bucket::Bucket;
use crate::model::clock::{Ambient, Timestamp};
use crate::model::version::VersionId;
use crate::store::hold::Hold;
use crate::store::local::LocalStore;
use crate::store::meta::{Content, Deletion, MetaError, MetaStore, NewFile, ObjectChange, Wanted};
use crate::store::rows::{StoredXorb, XorbRow};

mod batch;
mod buckets;
mod history;
mod objects;
#[cfg(test)]
mod tests;
mod uploads;
mod xet;

pub use xet::{NativeXet, OutlinedFile, Reach, ShardRefusal, XetError};

/// Buckets of one data folder (or, for tests, of memory).
pub struct NativeBuckets {
    store: Arc<LocalStore>,
    meta: Arc<dyn MetaStore>,
    chunks: Arc<LocalChunks>,
    engine: Engine<LocalChunks>,
    ambient: Ambient,
}

/// What is wanted of a file of this size; nothing, if it has no byte of what was asked.
fn wanted(asked: Option<&ByteRange>, size: u64) -> Range<u64> {
    asked.map_or(Some(0..size), |asked| asked.resolve(size)).unwrap_or(0..0)
}

fn storage(error: impl Into<super::BoxError>) -> BucketError {
    BucketError::Storage(error.into())
}

impl NativeBuckets {
    /// A store that ends with the process, for tests.
    pub fn in_memory(ambient: Ambient) -> Result<Self, BucketError> {
        Self::new(Arc::new(LocalStore::in_memory().map_err(storage)?), ambient)
    }

    /// The buckets of an opened store.
    pub fn new(store: Arc<LocalStore>, ambient: Ambient) -> Result<Self, BucketError> {
        Self::with_cache(store, None, ambient)
    }

    /// The buckets of an opened store whose packs are far away; chunks that were read are kept in the cache.
    pub fn with_cache(
        store: Arc<LocalStore>,
        cache: Option<Arc<ChunkCache>>,
        ambient: Ambient,
    ) -> Result<Self, BucketError> {
        let chunks = Arc::new(LocalChunks::new(Arc::clone(&store), cache).map_err(storage)?);
        let engine = Engine::new(Arc::clone(&chunks));
        Ok(Self { meta: Arc::clone(&store.meta), store, chunks, engine, ambient })
    }

    /// The cache of chunks, if there is one.
    pub fn cache(&self) -> Option<&Arc<ChunkCache>> {
        self.chunks.cache()
    }

    /// The store that these buckets lie in, for its upkeep.
    pub fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    /// An id for a version that is made now, if its bucket keeps versions.
    fn version_id(&self, now: Timestamp) -> VersionId {
        VersionId::new(now, self.ambient.random())
    }

    /// A delete of what is current, or of the version that is named.
    fn deletion(&self, version: Option<VersionRef>, bypasses_governance: bool) -> ObjectChange {
        let of_current = Deletion::of_current(self.ambient.clock.now(), self.ambient.random());
        ObjectChange::Delete(Deletion { version, bypasses_governance, ..of_current })
    }

    /// Refuses a lock before anything is stored for it, if the bucket's versions cannot be locked. The transaction decides.
    async fn must_allow(&self, bucket: &Bucket, lock: &ObjectLock) -> Result<(), BucketError> {
        if *lock == ObjectLock::default() {
            return Ok(());
        }
        let settings = self.meta.bucket_settings(bucket.uid).await.map_err(meta_failed)?;
        let has_lock = settings.object_lock.map(drop);
        has_lock.ok_or_else(|| BucketError::NoObjectLock(bucket.id.clone()))
    }

    async fn must_bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        let bucket = self.meta.bucket(id).await.map_err(meta_failed)?;
        bucket.ok_or_else(|| BucketError::NoSuchBucket(id.clone()))
    }

    async fn must_object(&self, bucket: &Bucket, object: ObjectRef<'_>) -> Result<Object, BucketError> {
        let found = match object.version {
            None => self.meta.object(bucket.uid, object.key).await,
            Some(version) => {
                let found = self.meta.version(bucket.uid, object.key, version).await;
                found.map(|found| found.and_then(Version::into_object))
            }
        };
        match found.map_err(meta_failed)? {
            Some(found) => Ok(found),
            None => Err(self.absent(bucket, object).await),
        }
    }

    /// Why there is no such object: it was never there, or was deleted.
    async fn absent(&self, bucket: &Bucket, object: ObjectRef<'_>) -> BucketError {
        let key = || object.key.clone();
        let found = match object.version {
            None if bucket.versioning == Versioning::Off => Ok(None),
            None => self.meta.latest(bucket.uid, object.key).await,
            Some(version) => self.meta.version(bucket.uid, object.key, version).await,
        };
        match (found, object.version) {
            (Err(error), _) => meta_failed(error),
            (Ok(Some(Version::Marker(marker))), None) => BucketError::Deleted { key: key(), marker },
            (Ok(Some(Version::Marker(marker))), Some(_)) => {
                BucketError::IsDeleteMarker { key: key(), marker }
            }
            (Ok(_), None) => BucketError::NoSuchKey(key()),
            (Ok(_), Some(version)) => BucketError::NoSuchVersion { key: key(), version },
        }
    }

    /// What a refusal means for an object that may be named with its version.
    async fn refused(&self, error: MetaError, id: &BucketId, object: ObjectRef<'_>) -> BucketError {
        match error {
            MetaError::NoSuchObject | MetaError::IsDeleteMarker => match self.must_bucket(id).await {
                Ok(bucket) => self.absent(&bucket, object).await,
                Err(error) => error,
            },
            error => object_error(error, id, object),
        }
    }

    /// An object with the terms that hold what is wanted of it, of one moment.
    async fn content(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Content, BucketError> {
        match self.meta.content(id, object, wanted).await {
            Ok(content) => Ok(content),
            Err(MetaError::MissingFile(_)) => {
                Err(BucketError::Corrupt(format!("the file of object {} has no record", object.key)))
            }
            Err(error) => Err(self.refused(error, id, object).await),
        }
    }

    /// What keeps the records read from now on true, and the xorbs they name in place.
    fn reading(&self) -> Hold {
        Hold::reading(self.store.readers.enter())
    }

    /// Makes the transaction that takes a new file, to its end even if the one who asked goes away: what the file relies
    /// on must be held until the transaction has been answered. Afterwards later uploads find its chunks.
    async fn commit_file<T: Send + 'static>(
        &self,
        file: TakenFile,
        transaction: impl Future<Output = Result<T, MetaError>> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (chunks, rows) = (Arc::clone(&self.chunks), Arc::clone(&self.store.rows));
        let committing = tokio::spawn(async move {
            let TakenFile { xorbs, hold } = file;
            let answer = transaction.await;
            match &answer {
                Ok(_) => chunks.remember(&xorbs),
                // Another node has removed it. It is not relied on again.
                Err(MetaError::MissingXorb(xorb)) => rows.forget([xorb]),
                Err(_) => {}
            }
            drop(hold);
            answer
        });
        committing.await.unwrap_or_else(|error| Err(MetaError::Engine(error.to_string())))
    }
}

/// What of a file outlives the transaction that takes it.
struct TakenFile {
    xorbs: Vec<StoredXorb>,
    hold: Hold,
}

impl TakenFile {
    /// Splits a stored file into what the transaction needs and what must outlive it.
    fn split(stored: StoredFile<XorbRow>) -> (NewFile, Self) {
        let StoredFile { record, xorbs, hold, .. } = stored;
        (NewFile { record, xorbs: xorbs.clone() }, Self { xorbs, hold })
    }
}
