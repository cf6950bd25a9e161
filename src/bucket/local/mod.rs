//! Buckets on this machine: the engine over local chunks, and rows in the embedded metadata store.
//!
//! Every write goes the same way: take in the body, check what was declared of it, make its bytes durable, and only
//! then let one metadata transaction make it visible.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{TryStreamExt, stream};

use super::error::{bucket_error, change_error, meta_error, meta_failed, read_error};
use super::limits::PATHS_MAX;
use super::multipart::upload_page;
use super::{
    BatchChange, BucketApi, BucketChange, BucketError, BucketId, BucketName, BucketSettings, BucketStats,
    ByteRange, CopySource, DeleteBucket, ListPage, ListQuery, ListUploads, Namespace, NewUpload, Object,
    ObjectCopy, ObjectDelete, ObjectKey, ObjectRead, ObjectWrite, Part, PartPage, Payload, Tags, TreePage,
    TreeQuery, Upload, UploadCompletion, UploadPage, UploadRef, Visibility, WriteCondition,
};
use crate::cas::LocalChunks;
use crate::engine::{Engine, StoredFile};
use crate::model::bucket::Bucket;
use crate::model::clock::Ambient;
use crate::store::hold::Hold;
use crate::store::local::LocalStore;
use crate::store::meta::{Content, MetaError, MetaStore, NewFile, ObjectChange, Wanted};
use crate::store::rows::StoredXorb;

mod batch;
mod multipart;
mod objects;
#[cfg(test)]
mod tests;
mod xet;

pub use xet::{LocalXet, OutlinedFile, Reach, ShardRefusal, XetError};

/// Buckets of one data folder (or, for tests, of memory).
pub struct LocalBuckets {
    store: Arc<LocalStore>,
    meta: Arc<dyn MetaStore>,
    chunks: Arc<LocalChunks>,
    engine: Engine,
    ambient: Ambient,
}

/// What is wanted of a file of this size; nothing, if it has no byte of what was asked.
fn wanted(asked: Option<&ByteRange>, size: u64) -> Range<u64> {
    asked.map_or(Some(0..size), |asked| asked.resolve(size)).unwrap_or(0..0)
}

fn storage(error: impl Into<super::BoxError>) -> BucketError {
    BucketError::Storage(error.into())
}

impl LocalBuckets {
    /// Opens the store in `folder`, or makes it; see [`LocalStore::open`]. Blocks.
    pub fn open(folder: &Path, ambient: Ambient) -> Result<Self, BucketError> {
        Self::new(Arc::new(LocalStore::open(folder, &ambient).map_err(storage)?), ambient)
    }

    /// A store that ends with the process, for tests.
    pub fn in_memory(ambient: Ambient) -> Result<Self, BucketError> {
        Self::new(Arc::new(LocalStore::in_memory().map_err(storage)?), ambient)
    }

    /// The buckets of an opened store.
    pub fn new(store: Arc<LocalStore>, ambient: Ambient) -> Result<Self, BucketError> {
        let chunks = Arc::new(LocalChunks::new(Arc::clone(&store)).map_err(storage)?);
        let engine = Engine::new(Arc::clone(&chunks) as _);
        Ok(Self { meta: Arc::clone(&store.meta), store, chunks, engine, ambient })
    }

    /// The store that these buckets lie in, for its upkeep.
    pub fn store(&self) -> &Arc<LocalStore> {
        &self.store
    }

    async fn must_bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        let bucket = self.meta.bucket(id).await.map_err(meta_failed)?;
        bucket.ok_or_else(|| BucketError::NoSuchBucket(id.clone()))
    }

    async fn must_object(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Object, BucketError> {
        let object = self.meta.object(bucket.uid, key).await.map_err(meta_failed)?;
        object.ok_or_else(|| BucketError::NoSuchKey(key.clone()))
    }

    /// An object with the terms that hold what is wanted of it, of one moment.
    async fn content(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        wanted: Wanted<'_>,
    ) -> Result<Content, BucketError> {
        self.meta.content(id, key, wanted).await.map_err(|error| match error {
            MetaError::NoSuchBucket => BucketError::NoSuchBucket(id.clone()),
            MetaError::NoSuchObject => BucketError::NoSuchKey(key.clone()),
            MetaError::MissingFile(_) => {
                BucketError::Corrupt(format!("the file of object {key} has no record"))
            }
            error => meta_failed(error),
        })
    }

    /// What keeps the records read from now on true, and the xorbs they name in place.
    fn reading(&self) -> Hold {
        Hold::reading(self.store.readers.enter())
    }

    /// Makes the transaction that takes a new file, to its end even if whoever asked goes away: what the file relies
    /// on must be held until the transaction has been answered. Afterwards later uploads find its chunks.
    async fn commit_file(
        &self,
        file: TakenFile,
        transaction: impl Future<Output = Result<(), MetaError>> + Send + 'static,
    ) -> Result<(), MetaError> {
        let chunks = Arc::clone(&self.chunks);
        let committing = tokio::spawn(async move {
            transaction.await?;
            chunks.remember(&file.xorbs);
            drop(file.hold);
            Ok(())
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
    fn split(stored: StoredFile) -> (NewFile, Self) {
        let StoredFile { record, xorbs, hold, .. } = stored;
        (NewFile { record, xorbs: xorbs.clone() }, Self { xorbs, hold })
    }
}

#[async_trait]
impl BucketApi for LocalBuckets {
    async fn create_bucket(&self, id: &BucketId, visibility: Visibility) -> Result<Bucket, BucketError> {
        let created = self.meta.create_bucket(id, visibility, self.ambient.clock.now()).await;
        created.map_err(|error| bucket_error(error, id))
    }

    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        self.must_bucket(id).await
    }

    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError> {
        self.meta.buckets(namespace).await.map_err(meta_failed)
    }

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, BucketError> {
        self.meta.buckets_named(name).await.map_err(meta_failed)
    }

    async fn bucket_settings(&self, id: &BucketId) -> Result<BucketSettings, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.bucket_settings(bucket.uid).await.map_err(meta_failed)
    }

    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), BucketError> {
        let changed = self.meta.change_bucket(id, change).await;
        changed.map_err(|error| match error {
            MetaError::NoSuchBucket => BucketError::NoSuchBucket(id.clone()),
            error => meta_failed(error),
        })
    }

    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError> {
        let deleted = self.meta.delete_bucket(id, mode == DeleteBucket::WithContents).await;
        deleted.map_err(|error| bucket_error(error, id))
    }

    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), BucketError> {
        self.meta.move_bucket(from, to).await.map_err(|error| match error {
            MetaError::BucketExists => BucketError::BucketExists(to.clone()),
            error => bucket_error(error, from),
        })
    }

    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), BucketError> {
        if visibility == Visibility::Public {
            let bucket = self.must_bucket(id).await?;
            let settings = self.meta.bucket_settings(bucket.uid).await.map_err(meta_failed)?;
            let block = settings.public_access_block.unwrap_or_default();
            if block.block_public_acls || block.ignore_public_acls {
                return Err(BucketError::PublicAccessBlocked(id.clone()));
            }
        }
        let set = self.meta.set_visibility(id, visibility).await;
        set.map_err(|error| bucket_error(error, id))
    }

    async fn bucket_stats(&self, id: &BucketId) -> Result<BucketStats, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.bucket_stats(bucket.uid).await.map_err(meta_failed)
    }

    async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.tree(bucket.uid, query).await.map_err(meta_failed)
    }

    async fn paths_info(
        &self,
        id: &BucketId,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Object>>, BucketError> {
        if keys.len() > PATHS_MAX {
            return Err(BucketError::TooMany { max: PATHS_MAX });
        }
        let bucket = self.must_bucket(id).await?;
        self.meta.objects(bucket.uid, keys).await.map_err(meta_failed)
    }

    async fn batch(
        &self,
        id: &BucketId,
        changes: Vec<BatchChange>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        self.change_by_hash(id, changes).await
    }

    async fn list(&self, id: &BucketId, query: &ListQuery) -> Result<ListPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.list(bucket.uid, query).await.map_err(meta_failed)
    }

    async fn object(&self, id: &BucketId, key: &ObjectKey) -> Result<Object, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.must_object(&bucket, key).await
    }

    async fn read(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError> {
        let reading = self.store.readers.enter();
        let wanted = |size| wanted(range.as_ref(), size);
        let Content { object, terms } = self.content(id, key, &wanted).await?;
        let range = match range {
            None => 0..object.size,
            Some(asked) => {
                asked.resolve(object.size).ok_or(BucketError::RangeNotSatisfiable { size: object.size })?
            }
        };
        let small = self.engine.read_small(&terms, &range).await;
        if let Some(pieces) = small.map_err(|error| read_error(error, &format!("{id}/{key}")))? {
            return Ok(ObjectRead {
                object,
                range,
                body: Box::pin(stream::iter(pieces.into_iter().map(Ok))),
            });
        }
        let name = format!("{id}/{key}");
        let body = self.engine.reconstruct(terms, range.clone());
        let body = body.map_err(move |error| {
            // What the record names stays while this closure, and so the body, lives.
            let _ = &reading;
            read_error(error, &name)
        });
        Ok(ObjectRead { object, range, body: Box::pin(body) })
    }

    async fn write(&self, id: &BucketId, write: ObjectWrite) -> Result<Object, BucketError> {
        self.write_object(id, write).await
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Object, BucketError> {
        self.copy_object(id, copy).await
    }

    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        self.delete_objects(id, deletes).await
    }

    async fn tag_object(&self, id: &BucketId, key: &ObjectKey, tags: Tags) -> Result<(), BucketError> {
        let bucket = self.must_bucket(id).await?;
        let (any, retag) = (WriteCondition::default(), ObjectChange::Retag(tags));
        let changed = self.meta.change(bucket.uid, key, &any, retag).await;
        changed.map_err(|error| change_error(error, id, key))
    }

    async fn create_upload(&self, id: &BucketId, upload: NewUpload) -> Result<Upload, BucketError> {
        self.begin_upload(id, upload).await
    }

    async fn upload(&self, id: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.must_upload(&bucket, upload).await
    }

    async fn write_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        payload: Payload,
    ) -> Result<Part, BucketError> {
        self.store_part(id, upload, number, payload).await
    }

    async fn copy_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        source: &CopySource,
        range: Option<ByteRange>,
    ) -> Result<Part, BucketError> {
        self.store_part_copy(id, upload, number, source, range).await
    }

    async fn list_parts(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let found = self.must_upload(&bucket, upload).await?;
        let mut parts = self.meta.parts(&upload.id, after, limit + 1).await.map_err(meta_failed)?;
        let truncated = parts.len() > limit && limit > 0;
        parts.truncate(limit);
        Ok(PartPage { upload: found, parts, truncated })
    }

    async fn list_uploads(&self, id: &BucketId, query: &ListUploads) -> Result<UploadPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        upload_page(&*self.meta, bucket.uid, query).await.map_err(meta_failed)
    }

    async fn complete_upload(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError> {
        self.finish_upload(id, upload, completion).await
    }

    async fn abort_upload(&self, id: &BucketId, upload: &UploadRef) -> Result<(), BucketError> {
        let bucket = self.must_bucket(id).await?;
        let aborted = self.meta.abort_upload(bucket.uid, &upload.key, &upload.id).await;
        aborted.map_err(|error| meta_error(error, id, upload))
    }
}
