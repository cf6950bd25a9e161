//! The calls of [`BucketApi`] on a Hub.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;

use super::buckets::{HubBuckets, SentFile};
use super::client::{ITEMS_MAX, TreeQuery};
use super::error::HubError;
use super::wire::{BatchOp, NewBucket};
use super::{keys, listing};
use crate::bucket::local::errors::{meta_error, meta_failed, read_error};
use crate::bucket::local::payload::{Taken, take};
use crate::bucket::local::uploads;
use crate::bucket::{
    Bucket, BucketApi, BucketError, BucketId, ByteRange, CompletedPart, CopySource, DeleteBucket, ETag,
    FileHash, ListPage, ListQuery, ListUploads, Namespace, NewUpload, Object, ObjectCopy, ObjectDelete,
    ObjectKey, ObjectRead, ObjectWrite, Part, PartPage, Payload, Upload, UploadPage, UploadRef, Visibility,
    WriteCondition,
};
use crate::engine::{EngineError, Layout};

#[async_trait]
impl BucketApi for HubBuckets {
    async fn create_bucket(&self, id: &BucketId, visibility: Visibility) -> Result<Bucket, BucketError> {
        let new = NewBucket::of(visibility);
        let created = self.client.create_bucket(Some(id.namespace.as_str()), id.name.as_str(), &new).await;
        created.map_err(|error| error.of_bucket(id, None))?;
        self.local_bucket(id.clone(), visibility, self.shared.ambient.clock.now()).await
    }

    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        let info = self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        self.local_bucket(id.clone(), info.visibility(), info.created_at).await
    }

    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError> {
        let listed = self.client.list_buckets(Some(namespace.as_str()), None).await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(HubError::NoSuchBucket(_) | HubError::Refused { status: 404, .. }) => Vec::new(),
            Err(error @ (HubError::Unauthorized(_) | HubError::Forbidden(_))) => {
                return Err(BucketError::AccessDenied(error.to_string()));
            }
            Err(error) => return Err(BucketError::Unavailable(error.into())),
        };
        let mut buckets = Vec::with_capacity(listed.len());
        for info in listed {
            let visibility = info.visibility();
            buckets.push(self.local_bucket(info.id, visibility, info.created_at).await?);
        }
        buckets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(buckets)
    }

    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError> {
        if mode == DeleteBucket::IfEmpty {
            let first = self.client.tree(id, &TreeQuery { prefix: None, recursive: false }).await;
            let first = first.map_err(|error| error.of_bucket(id, None))?;
            if !first.entries.is_empty() {
                return Err(BucketError::BucketNotEmpty(id.clone()));
            }
        }
        self.client.delete_bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        self.forget_bucket(id).await
    }

    async fn list(&self, id: &BucketId, query: &ListQuery) -> Result<ListPage, BucketError> {
        let listed = listing::page(&self.client, &self.pages, id, query).await;
        let listed = listed.map_err(|error| error.of_bucket(id, None))?;
        let rows = self.rows_of(id).await?;
        let mut objects = Vec::with_capacity(listed.files.len());
        for file in listed.files {
            // The Hub holds no key that S3 cannot; should it, it is not shown.
            let Ok(key) = ObjectKey::new(&file.path) else { continue };
            let object = self.dress(rows, &key, file).await?;
            objects.push((key, object));
        }
        Ok(ListPage { objects, common_prefixes: listed.common_prefixes, next: listed.next })
    }

    async fn object(&self, id: &BucketId, key: &ObjectKey) -> Result<Object, BucketError> {
        self.must_object(id, key).await
    }

    async fn read(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError> {
        let object = self.must_object(id, key).await?;
        let range = match range {
            None => 0..object.size,
            Some(asked) => {
                asked.resolve(object.size).ok_or(BucketError::RangeNotSatisfiable { size: object.size })?
            }
        };
        let name = format!("{id}/{key}");
        let body = self.chunks(id).open_file(object.file, object.size, range.clone());
        let body = body.map(move |piece| piece.map_err(|error| read_error(EngineError::Cas(error), &name)));
        Ok(ObjectRead { object, range, body: Box::pin(body) })
    }

    async fn write(&self, id: &BucketId, write: ObjectWrite) -> Result<Object, BucketError> {
        let ObjectWrite { key, attributes, condition, payload } = write;
        keys::check(&key)?;
        self.check(id, &key, &condition).await?;
        let chunks = self.chunks(id);
        let Taken { file, md5, checksum } = take(&self.engine(&chunks), payload, Layout::File).await?;
        let object = Object {
            file: file.record.hash,
            size: file.record.size,
            etag: ETag::Md5(md5),
            modified_at: self.shared.ambient.clock.now(),
            attributes,
            checksums: checksum.into_iter().collect(),
            parts: Vec::new(),
            upload: None,
        };
        let sent = SentFile { record: &file.record, proof: &file.proof.terms, xorbs: &file.xorbs };
        self.register(&chunks, &sent).await?;
        let line = add_line(&key, &object);
        self.make_visible(id, &key, &condition, &object, line).await?;
        Ok(object)
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Object, BucketError> {
        let ObjectCopy { source, key, attributes, condition } = copy;
        keys::check(&key)?;
        let found = self.copy_source(&source).await?;
        let object = Object {
            modified_at: self.shared.ambient.clock.now(),
            attributes: attributes.unwrap_or_else(|| found.attributes.clone()),
            upload: None,
            ..found
        };
        let line = if object.file == FileHash::EMPTY {
            add_line(&key, &object)
        } else {
            BatchOp::CopyFile {
                path: key.as_str().to_owned(),
                xet_hash: object.file,
                mtime: object.modified_at.0,
                source_repo_type: "bucket".to_owned(),
                source_repo_id: source.bucket.to_string(),
            }
        };
        self.make_visible(id, &key, &condition, &object, line).await?;
        Ok(object)
    }

    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        self.delete_objects(id, deletes).await
    }

    async fn create_upload(&self, id: &BucketId, upload: NewUpload) -> Result<Upload, BucketError> {
        self.begin_upload(id, upload).await
    }

    async fn upload(&self, id: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError> {
        let rows = self.rows_of(id).await?;
        self.must_upload(rows, upload).await
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
        let rows = self.rows_of(id).await?;
        let found = self.must_upload(rows, upload).await?;
        let mut parts = self.shared.meta.parts(&upload.id, after, limit + 1).await.map_err(meta_failed)?;
        let truncated = parts.len() > limit && limit > 0;
        parts.truncate(limit);
        Ok(PartPage { upload: found, parts, truncated })
    }

    async fn list_uploads(&self, id: &BucketId, query: &ListUploads) -> Result<UploadPage, BucketError> {
        let rows = self.rows_of(id).await?;
        uploads::page(&*self.shared.meta, rows, query).await.map_err(meta_failed)
    }

    async fn complete_upload(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        parts: Vec<CompletedPart>,
        condition: WriteCondition,
    ) -> Result<Object, BucketError> {
        self.finish_upload(id, upload, parts, condition).await
    }

    async fn abort_upload(&self, id: &BucketId, upload: &UploadRef) -> Result<(), BucketError> {
        let rows = self.rows_of(id).await?;
        let aborted = self.shared.meta.abort_upload(rows, &upload.key, &upload.id).await;
        aborted.map_err(|error| meta_error(error, id, upload))?;
        self.forget_parts(&upload.id).await;
        Ok(())
    }
}

/// The line that makes an object visible.
pub(super) fn add_line(key: &ObjectKey, object: &Object) -> BatchOp {
    BatchOp::AddFile {
        path: key.as_str().to_owned(),
        xet_hash: object.file,
        mtime: object.modified_at.0,
        content_type: object.attributes.content_type.clone(),
    }
}

impl HubBuckets {
    /// The source of a copy, if it is as the copy wants it.
    pub(super) async fn copy_source(&self, source: &CopySource) -> Result<Object, BucketError> {
        let object = self.must_object(&source.bucket, &source.key).await?;
        source.condition.check(Some(&object.etag)).map_err(|_| BucketError::PreconditionFailed)?;
        Ok(object)
    }

    async fn forget_bucket(&self, id: &BucketId) -> Result<(), BucketError> {
        match self.shared.meta.delete_bucket(id, true).await {
            Ok(()) | Err(crate::store::meta::MetaError::NoSuchBucket) => Ok(()),
            Err(error) => Err(meta_failed(error)),
        }
    }

    async fn delete_objects(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        // A key that the Hub cannot hold is not there: deleted already.
        let mut results: Vec<Result<(), BucketError>> = Vec::with_capacity(deletes.len());
        let mut lines = Vec::new();
        for delete in &deletes {
            let checked = self.check(id, &delete.key, &delete.condition).await;
            if checked.is_ok() && keys::broken_rule(delete.key.as_str()).is_none() {
                lines.push((results.len(), BatchOp::DeleteFile { path: delete.key.as_str().to_owned() }));
            }
            results.push(checked);
        }
        if lines.is_empty() {
            // The bucket must be there all the same.
            self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        }
        let rows = self.rows_of(id).await?;
        for lines in lines.chunks(ITEMS_MAX) {
            let ops: Vec<_> = lines.iter().map(|(_, line)| line.clone()).collect();
            let outcome = self.client.batch(id, &ops).await.map_err(|error| error.of_bucket(id, None))?;
            for (place, _) in lines {
                let key = &deletes[*place].key;
                match outcome.failed.iter().find(|failed| failed.path == key.as_str()) {
                    Some(failed) => results[*place] = Err(BucketError::Refused(failed.error.clone())),
                    None => self.drop_rows(rows, key, None).await?,
                }
            }
        }
        Ok(results)
    }

    pub(super) async fn forget_parts(&self, upload: &crate::bucket::UploadId) {
        let (parts, upload) = (Arc::clone(&self.shared.parts), upload.clone());
        // What is left behind takes space, nothing else.
        let _ = tokio::task::spawn_blocking(move || parts.remove(&upload)).await;
    }
}
