//! Objects on a Hub.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::StreamExt as _;

use super::client::ITEMS_MAX;
use super::hub_buckets::{HubBuckets, NO_LOCKS, SentFile, must_not_lock};
use super::wire::BatchOp;
use super::{keys, listing};
use crate::bucket::error::{engine_error, read_error};
use crate::bucket::payload::{Taken, take};
use crate::bucket::{
    After, AttributeChanges, Attributes, BatchChange, BucketError, BucketId, ByteRange, Changed, Checksum,
    ChecksumAlgorithm, ChecksumType, Copied, CopySource, ETag, FileHash, ListPage, ListQuery, LockChange,
    Object, ObjectCopy, ObjectDelete, ObjectHistory, ObjectKey, ObjectRead, ObjectRef, ObjectWrite, Objects,
    Tags, Timestamp, TreeEntry, TreePage, TreeQuery, Version, VersionEntry, VersionPage, VersionQuery,
    VersionRef, WriteCondition,
};
use crate::engine::{EngineError, Layout};
use crate::model::lock::ObjectLock;

#[async_trait]
impl Objects for HubBuckets {
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

    /// Every object is its only version, `null`, for the Hub keeps no others.
    async fn list_versions(&self, id: &BucketId, query: &VersionQuery) -> Result<VersionPage, BucketError> {
        let VersionQuery { prefix, delimiter, key_marker, version_marker: _, limit } = query.clone();
        let after = key_marker.map(|name| After::name(&prefix, delimiter.as_deref(), name));
        let page = self.list(id, &ListQuery { prefix, delimiter, after, limit }).await?;
        let next = page.next.map(|after| match after {
            After::Key(key) => (key, Some(VersionRef::Null)),
            After::Prefix(prefix) => (prefix, None),
        });
        let version =
            |(key, object)| VersionEntry { key, version: Version::Object(Box::new(object)), is_latest: true };
        Ok(VersionPage {
            versions: page.objects.into_iter().map(version).collect(),
            common_prefixes: page.common_prefixes,
            next,
        })
    }

    async fn history(&self, _: &BucketId, _: &ObjectKey) -> Result<ObjectHistory, BucketError> {
        Err(BucketError::NotImplemented("The history of an object on a Hub"))
    }

    /// Files and folders, a page of a listing rolled up at `/` or not at all.
    async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError> {
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

    async fn object(&self, id: &BucketId, object: ObjectRef<'_>) -> Result<Object, BucketError> {
        self.named_object(id, object).await
    }

    async fn read(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError> {
        let key = object.key;
        let object = self.named_object(id, object).await?;
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
        let ObjectWrite { key, attributes, condition, lock, payload } = write;
        keys::check(&key)?;
        must_not_lock(&lock)?;
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
            version: None,
            lock: ObjectLock::default(),
        };
        let sent = SentFile { record: &file.record, proof: &file.proof.terms, xorbs: &file.xorbs };
        self.register(id, &chunks, &sent).await?;
        let line = add_line(&key, &object);
        self.make_visible(id, &key, &condition, &object, line).await?;
        Ok(object)
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Copied<Object>, BucketError> {
        let ObjectCopy { source, key, changes, checksum, condition, lock } = copy;
        keys::check(&key)?;
        must_not_lock(&lock)?;
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
        Ok(Copied { made: object, source: None })
    }

    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<Changed, BucketError>>, BucketError> {
        // A key that the Hub cannot hold is not there: deleted already.
        let mut results: Vec<Result<Changed, BucketError>> = Vec::with_capacity(deletes.len());
        let mut lines = Vec::new();
        for delete in &deletes {
            let checked = self.check(id, &delete.key, &delete.condition).await;
            let checked = checked.map(|()| Changed { version: delete.version, is_marker: false });
            // Nor is a version that has an id.
            let is_there = delete.version.is_none_or(|version| version == VersionRef::Null)
                && keys::broken_rule(delete.key.as_str()).is_none();
            if checked.is_ok() && is_there {
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

    async fn tag_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        tags: Tags,
    ) -> Result<Changed, BucketError> {
        let present = self.named_object(id, object).await?;
        let website_redirect_location = present.attributes.website_redirect_location;
        let copy = ObjectCopy {
            source: CopySource::current(id.clone(), object.key.clone()),
            key: object.key.clone(),
            changes: AttributeChanges { metadata: None, tags: Some(tags), website_redirect_location },
            checksum: None,
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
        };
        self.copy(id, copy).await.map(|_| Changed { version: object.version, is_marker: false })
    }

    async fn lock_object(
        &self,
        _: &BucketId,
        _: ObjectRef<'_>,
        _: LockChange,
    ) -> Result<Changed, BucketError> {
        Err(NO_LOCKS)
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
        let chunks = self.chunks(bucket);
        let bytes = chunks.open_file(source.file, source.size, 0..source.size);
        let digested = self.engine(&chunks).digest(bytes, &[algorithm]).await;
        let value = digested.map_err(engine_error)?.checksum(algorithm).unwrap_or_default().to_vec();
        Ok(vec![Checksum { algorithm, value, over: ChecksumType::FullObject }])
    }

    /// The source of a copy, if it is as the copy wants it.
    pub(super) async fn copy_source(&self, source: &CopySource) -> Result<Object, BucketError> {
        let object = self.named_object(&source.bucket, source.object()).await?;
        source.condition.check(&object).map_err(|_| BucketError::PreconditionFailed)?;
        Ok(object)
    }
}
