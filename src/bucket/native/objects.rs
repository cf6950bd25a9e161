//! Objects on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{NativeBuckets, TakenFile, wanted as wanted_range};
use crate::bucket::error::{bucket_error, change_error, engine_error, meta_failed, read_error};
use crate::bucket::limits::{BATCH_CHANGES_MAX, PATHS_MAX};
use crate::bucket::payload::{Taken, take};
use crate::bucket::{
    BatchChange, Bucket, BucketError, BucketId, ByteRange, Changed, Checksum, ChecksumAlgorithm,
    ChecksumType, Copied, CopySource, ETag, ListPage, ListQuery, LockChange, Object, ObjectCopy,
    ObjectDelete, ObjectHistory, ObjectKey, ObjectRead, ObjectRef, ObjectWrite, Objects, Tags, TreePage,
    TreeQuery, VersionPage, VersionQuery, WriteCondition,
};
use crate::engine::Layout;
use crate::store::file_terms::FileTerms;
use crate::store::meta::{Amendment, Content, KeyChange, MetaError, ObjectChange, Wanted};
use crate::store::pack::PackMedium;

#[async_trait]
impl Objects for NativeBuckets {
    async fn list(&self, id: &BucketId, query: &ListQuery) -> Result<ListPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.list(bucket.uid, query).await.map_err(meta_failed)
    }

    async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.tree(bucket.uid, query).await.map_err(meta_failed)
    }

    async fn list_versions(&self, id: &BucketId, query: &VersionQuery) -> Result<VersionPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.meta.list_versions(bucket.uid, query).await.map_err(meta_failed)
    }

    async fn history(&self, id: &BucketId, key: &ObjectKey) -> Result<ObjectHistory, BucketError> {
        self.history_of(id, key).await
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
        if changes.len() > BATCH_CHANGES_MAX {
            return Err(BucketError::TooMany { max: BATCH_CHANGES_MAX });
        }
        let bucket = self.must_bucket(id).await?;
        let mut sent = Vec::with_capacity(changes.len());
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let key_change = self.key_change(&bucket, change).await;
            results.push(key_change.map(|change| sent.push(change)));
        }
        let keys: Vec<_> = sent.iter().map(|change| change.key.clone()).collect();
        let made = self.meta.change_many(bucket.uid, sent).await;
        let mut made = made.map_err(|error| bucket_error(error, id))?.into_iter().zip(keys);
        for result in results.iter_mut().filter(|result| result.is_ok()) {
            if let Some((Err(error), key)) = made.next() {
                *result = Err(change_error(error, id, &key));
            }
        }
        Ok(results)
    }

    async fn object(&self, id: &BucketId, object: ObjectRef<'_>) -> Result<Object, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.must_object(&bucket, object).await
    }

    async fn read(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError> {
        let key = object.key;
        let reading = self.store.readers.enter();
        let wanted = |size| wanted_range(range.as_ref(), size);
        let Content { object, terms } = self.content(id, object, &wanted).await?;
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
            read_error(error.into(), &name)
        });
        let mut body = Box::pin(body.peekable());
        // An object store that is away is known of before the answer begins.
        if self.store.packs.medium() == PackMedium::Object
            && let Some(Err(error)) = body.as_mut().next_if(Result::is_err).await
        {
            return Err(error);
        }
        Ok(ObjectRead { object, range, body })
    }

    async fn write(&self, id: &BucketId, write: ObjectWrite) -> Result<Object, BucketError> {
        let ObjectWrite { key, attributes, condition, lock, payload } = write;
        let bucket = self.must_bucket(id).await?;
        self.must_allow(&bucket, &lock).await?;
        self.check_early(&bucket, &key, &condition).await?;
        let Taken { file, md5, checksum } = take(&self.engine, payload, Layout::File).await?;
        let now = self.ambient.clock.now();
        let mut object = Object {
            file: file.record.hash,
            size: file.record.size,
            etag: ETag::Md5(md5),
            modified_at: now,
            attributes,
            checksums: checksum.into_iter().collect(),
            parts: Vec::new(),
            upload: None,
            version: Some(self.version_id(now)),
            lock,
        };
        let (new, taken) = TakenFile::split(file);
        let put = ObjectChange::Put(Box::new(object.clone()), Some(Box::new(new)));
        let (meta, name) = (Arc::clone(&self.meta), key.clone());
        let change = async move { meta.change(bucket.uid, &name, &condition, put).await };
        let changed = self.commit_file(taken, change).await;
        object.version = changed.map_err(|error| change_error(error, id, &key))?.id();
        Ok(object)
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Copied<Object>, BucketError> {
        /// Each try loses only to an overwrite or delete of the source that came in between.
        const TRIES: usize = 16;
        let bucket = self.must_bucket(id).await?;
        for _ in 0..TRIES {
            let _reading = self.reading();
            let (source, terms) = self.copy_source(&copy.source, &|size| 0..size).await?;
            let (now, of) = (self.ambient.clock.now(), source.version);
            let mut object = Object {
                checksums: self.copied_checksums(&source, terms, copy.checksum).await?,
                modified_at: now,
                attributes: copy.changes.apply(&source.attributes),
                upload: None,
                version: Some(self.version_id(now)),
                lock: copy.lock,
                ..source
            };
            let put = ObjectChange::Put(Box::new(object.clone()), None);
            match self.meta.change(bucket.uid, &copy.key, &copy.condition, put).await {
                Ok(changed) => {
                    object.version = changed.id();
                    return Ok(Copied { made: object, source: of });
                }
                Err(MetaError::MissingFile(_)) => {}
                Err(error) => return Err(change_error(error, id, &copy.key)),
            }
        }
        Err(BucketError::NoSuchKey(copy.source.key))
    }

    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<Changed, BucketError>>, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let keys: Vec<_> = deletes.iter().map(|delete| delete.key.clone()).collect();
        let deletion = |ObjectDelete { key, version, condition, bypasses_governance }| KeyChange {
            key,
            condition,
            change: self.deletion(version, bypasses_governance),
        };
        let made = self.meta.change_many(bucket.uid, deletes.into_iter().map(deletion).collect()).await;
        let made = made.map_err(|error| bucket_error(error, id))?.into_iter().zip(&keys);
        Ok(made.map(|(result, key)| result.map_err(|error| change_error(error, id, key))).collect())
    }

    async fn tag_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        tags: Tags,
    ) -> Result<Changed, BucketError> {
        self.amend(id, object, Amendment::Tags(tags)).await
    }

    async fn lock_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        change: LockChange,
    ) -> Result<Changed, BucketError> {
        let amendment = match change {
            LockChange::LegalHold(is_on) => Amendment::LegalHold(is_on),
            LockChange::Retention { retention, bypasses_governance } => {
                Amendment::Retention { retention, now: self.ambient.clock.now(), bypasses_governance }
            }
        };
        self.amend(id, object, amendment).await
    }
}

impl NativeBuckets {
    async fn amend(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        amendment: Amendment,
    ) -> Result<Changed, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let (any, change) = (WriteCondition::default(), ObjectChange::Amend(object.version, amendment));
        match self.meta.change(bucket.uid, object.key, &any, change).await {
            Ok(changed) => Ok(changed),
            Err(error) => Err(self.refused(error, id, object).await),
        }
    }

    /// Refuses a write before its body is read, where the answer is known already. The transaction decides.
    pub(super) async fn check_early(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        condition: &WriteCondition,
    ) -> Result<(), BucketError> {
        if *condition == WriteCondition::default() {
            return Ok(());
        }
        let present = self.meta.object(bucket.uid, key).await.map_err(meta_failed)?;
        let checked = condition.check(present.as_ref().map(|object| &object.etag));
        checked.map_err(|refused| change_error(refused.into(), &bucket.id, key))
    }

    /// The source of a copy, if it is as the copy wants it, and the terms that hold what is wanted of it.
    pub(super) async fn copy_source(
        &self,
        source: &CopySource,
        wanted: Wanted<'_>,
    ) -> Result<(Object, FileTerms), BucketError> {
        let Content { object, terms } = self.content(&source.bucket, source.object(), wanted).await?;
        source.condition.check(&object).map_err(|_| BucketError::PreconditionFailed)?;
        Ok((object, terms))
    }

    /// The checksums of a copy: the source's, unless it has none of the algorithm asked for. That one is then taken
    /// over the bytes, which are read for it; nothing is written.
    async fn copied_checksums(
        &self,
        source: &Object,
        terms: FileTerms,
        asked: Option<ChecksumAlgorithm>,
    ) -> Result<Vec<Checksum>, BucketError> {
        let is_there = |algorithm| source.checksums.iter().any(|checksum| checksum.algorithm == algorithm);
        let Some(algorithm) = asked.filter(|algorithm| !is_there(*algorithm)) else {
            return Ok(source.checksums.clone());
        };
        let digests = self
            .engine
            .digest(self.engine.reconstruct(terms, 0..source.size), &[algorithm])
            .await
            .map_err(engine_error)?;
        let value = digests.checksum(algorithm).unwrap_or_default().to_vec();
        Ok(vec![Checksum { algorithm, value, over: ChecksumType::FullObject }])
    }
}
