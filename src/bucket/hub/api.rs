//! The calls of [`BucketApi`] on a Hub.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::buckets::{HubBuckets, SentFile};
use super::client::{self, ITEMS_MAX};
use super::error::HubError;
use super::wire::{BatchOp, NewBucket};
use super::{keys, listing};
use crate::bucket::error::{engine_error, meta_error, meta_failed, read_error};
use crate::bucket::multipart::upload_page;
use crate::bucket::payload::{Taken, take};
use crate::bucket::{
    AttributeChanges, Attributes, BatchChange, Bucket, BucketApi, BucketChange, BucketError, BucketId,
    BucketName, BucketSettings, BucketStats, ByteRange, Checksum, ChecksumAlgorithm, ChecksumType,
    CopySource, DeleteBucket, ETag, FileHash, ListPage, ListQuery, ListUploads, Namespace, NewUpload, Object,
    ObjectCopy, ObjectDelete, ObjectKey, ObjectRead, ObjectWrite, Part, PartPage, Payload, ReadCondition,
    Tags, Timestamp, TreeEntry, TreePage, TreeQuery, Upload, UploadCompletion, UploadPage, UploadRef,
    Visibility, WriteCondition,
};
use crate::engine::{EngineError, Layout};
use crate::model::file::FileRecord;
use crate::store::meta::MetaError;

/// Namespaces that are asked at once for a bucket that is named without one: they are few, and the Hub is one.
const LOOKS_MAX: usize = 8;

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

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, BucketError> {
        let ids = self.places.clone().into_iter().map(|(namespace, client)| {
            let id = BucketId { namespace, name: name.clone() };
            async move {
                match client.bucket(&id).await.map_err(|error| error.of_bucket(&id, None)) {
                    Ok(info) => Ok(Some((id, info))),
                    Err(BucketError::NoSuchBucket(_) | BucketError::AccessDenied(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let answers: Vec<_> = stream::iter(ids).buffered(LOOKS_MAX).try_collect().await?;
        let mut found = Vec::new();
        for (id, info) in answers.into_iter().flatten() {
            found.push(self.local_bucket(id, info.visibility(), info.created_at).await?);
        }
        found.sort_by_key(|bucket| bucket.created_at);
        Ok(found)
    }

    async fn bucket_settings(&self, id: &BucketId) -> Result<BucketSettings, BucketError> {
        self.shared.meta.bucket_settings(self.rows_of(id).await?).await.map_err(meta_failed)
    }

    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), BucketError> {
        self.rows_of(id).await?;
        self.shared.meta.change_bucket(id, change).await.map_err(meta_failed)
    }

    async fn tag_object(&self, id: &BucketId, key: &ObjectKey, tags: Tags) -> Result<(), BucketError> {
        let present = self.must_object(id, key).await?;
        let website_redirect_location = present.attributes.website_redirect_location;
        let copy = ObjectCopy {
            source: CopySource { bucket: id.clone(), key: key.clone(), condition: ReadCondition::default() },
            key: key.clone(),
            changes: AttributeChanges { metadata: None, tags: Some(tags), website_redirect_location },
            checksum: None,
            condition: WriteCondition::default(),
        };
        self.copy(id, copy).await.map(|_| ())
    }

    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError> {
        if mode == DeleteBucket::IfEmpty {
            let first = self.client.tree(id, &client::TreeQuery { prefix: None, recursive: false }).await;
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

    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), BucketError> {
        let moved = self.client.move_bucket(from, to).await;
        moved.map_err(|error| match error {
            HubError::BucketExists { .. } => BucketError::BucketExists(to.clone()),
            error => error.of_bucket(from, None),
        })?;
        match self.shared.meta.move_bucket(from, to).await {
            Ok(()) | Err(MetaError::NoSuchBucket) => Ok(()),
            Err(error) => Err(meta_failed(error)),
        }
    }

    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), BucketError> {
        let set = self.client.set_private(id, visibility == Visibility::Private).await;
        set.map_err(|error| error.of_bucket(id, None))
    }

    async fn bucket_stats(&self, id: &BucketId) -> Result<BucketStats, BucketError> {
        let info = self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        Ok(BucketStats { bytes: info.size, objects: info.total_files })
    }

    async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError> {
        self.tree_of(id, query).await
    }

    async fn paths_info(
        &self,
        id: &BucketId,
        keys: &[ObjectKey],
    ) -> Result<Vec<Option<Object>>, BucketError> {
        let paths: Vec<_> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let found = self.client.paths_info(id, &paths).await.map_err(|error| error.of_bucket(id, None))?;
        let found: HashMap<_, _> = found.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        let rows = self.rows_of(id).await?;
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            objects.push(match found.get(key.as_str()) {
                Some(entry) => Some(self.dress(rows, key, entry.clone()).await?),
                None => None,
            });
        }
        Ok(objects)
    }

    async fn batch(
        &self,
        id: &BucketId,
        changes: Vec<BatchChange>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        let now = self.shared.ambient.clock.now();
        let lines: Vec<_> = changes.iter().map(|change| line_of(change, now)).collect();
        let outcome = self.client.batch(id, &lines).await.map_err(|error| error.of_bucket(id, None))?;
        let result = |change: &BatchChange| {
            let (BatchChange::Add { key, .. } | BatchChange::Copy { key, .. } | BatchChange::Delete { key }) =
                change;
            let failed = outcome.failed.iter().find(|failed| failed.path == key.as_str());
            failed.map_or(Ok(()), |failed| Err(BucketError::Refused(failed.error.clone())))
        };
        Ok(changes.iter().map(result).collect())
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
        self.register(id, &chunks, &sent).await?;
        let line = add_line(&key, &object);
        self.make_visible(id, &key, &condition, &object, line).await?;
        Ok(object)
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Object, BucketError> {
        let ObjectCopy { source, key, changes, checksum, condition } = copy;
        keys::check(&key)?;
        let found = self.copy_source(&source).await?;
        let checksums = self.copied_checksums(&source.bucket, &found, checksum).await?;
        let object = Object {
            checksums,
            modified_at: self.shared.ambient.clock.now(),
            attributes: changes.apply(&found.attributes),
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
        upload_page(&*self.shared.meta, rows, query).await.map_err(meta_failed)
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
        let rows = self.rows_of(id).await?;
        let aborted = self.shared.meta.abort_upload(rows, &upload.key, &upload.id).await;
        aborted.map_err(|error| meta_error(error, id, upload))?;
        self.forget_parts(&upload.id).await;
        Ok(())
    }
}

/// The line of a change that names content by its hash.
fn line_of(change: &BatchChange, now: Timestamp) -> BatchOp {
    let mtime = |attributes: &Attributes| attributes.mtime().unwrap_or(now).0;
    match change {
        BatchChange::Add { key, file, attributes, .. } => BatchOp::AddFile {
            path: key.as_str().to_owned(),
            xet_hash: *file,
            mtime: mtime(attributes),
            content_type: attributes.content_type.clone(),
        },
        BatchChange::Copy { key, file, source, attributes, .. } => BatchOp::CopyFile {
            path: key.as_str().to_owned(),
            xet_hash: *file,
            mtime: mtime(attributes),
            source_repo_type: "bucket".to_owned(),
            source_repo_id: source.to_string(),
        },
        BatchChange::Delete { key } => BatchOp::DeleteFile { path: key.as_str().to_owned() },
    }
}

/// The line that makes an object visible.
pub(super) fn add_line(key: &ObjectKey, object: &Object) -> BatchOp {
    BatchOp::AddFile {
        path: key.as_str().to_owned(),
        xet_hash: object.file,
        mtime: object.attributes.mtime().unwrap_or(object.modified_at).0,
        content_type: object.attributes.content_type.clone(),
    }
}

impl HubBuckets {
    /// The checksums of a copy: the source's, unless it has none of the algorithm asked for. That one is then taken over
    /// the bytes, which are read from the Hub for it.
    async fn copied_checksums(
        &self,
        bucket: &BucketId,
        source: &Object,
        asked: Option<ChecksumAlgorithm>,
    ) -> Result<Vec<Checksum>, BucketError> {
        let is_there = |algorithm| source.checksums.iter().any(|checksum| checksum.algorithm == algorithm);
        let Some(algorithm) = asked.filter(|algorithm| !is_there(*algorithm)) else {
            return Ok(source.checksums.clone());
        };
        let record = FileRecord { hash: source.file, size: source.size, terms: Vec::new() };
        let digested =
            self.engine(&self.chunks(bucket)).digest(record.into(), 0..source.size, &[algorithm]).await;
        let value = digested.map_err(engine_error)?.checksum(algorithm).unwrap_or_default().to_vec();
        Ok(vec![Checksum { algorithm, value, over: ChecksumType::FullObject }])
    }

    /// The source of a copy, if it is as the copy wants it.
    pub(super) async fn copy_source(&self, source: &CopySource) -> Result<Object, BucketError> {
        let object = self.must_object(&source.bucket, &source.key).await?;
        source.condition.check(&object).map_err(|_| BucketError::PreconditionFailed)?;
        Ok(object)
    }

    /// Files and folders, a page of a listing rolled up at `/` or not at all.
    async fn tree_of(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError> {
        let prefix = match query.prefix.as_str() {
            "" => String::new(),
            folder => format!("{}/", folder.trim_end_matches('/')),
        };
        let delimiter = (!query.recursive).then(|| "/".to_owned());
        let page = ListQuery { prefix, delimiter, after: query.after.clone(), limit: query.limit };
        let ListPage { objects, common_prefixes, next } = self.list(id, &page).await?;
        let files = objects.into_iter().map(|(key, object)| TreeEntry::File(key, Box::new(object)));
        // The Hub tells no date of a folder that S3's listing keeps.
        let folders = common_prefixes.into_iter().map(|prefix| TreeEntry::Folder {
            path: prefix.trim_end_matches('/').to_owned(),
            newest: Timestamp(0),
        });
        let mut entries: Vec<_> = files.chain(folders).collect();
        entries.sort_by_cached_key(|entry| match entry {
            TreeEntry::File(key, _) => key.as_str().to_owned(),
            TreeEntry::Folder { path, .. } => format!("{path}/"),
        });
        Ok(TreePage { entries, next })
    }

    async fn forget_bucket(&self, id: &BucketId) -> Result<(), BucketError> {
        match self.shared.meta.delete_bucket(id, true).await {
            Ok(()) | Err(MetaError::NoSuchBucket) => Ok(()),
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
