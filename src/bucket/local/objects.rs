//! Single writes, copies and deletes of objects.

use std::sync::Arc;

use super::super::error::{change_error, engine_error, meta_failed};
use super::super::payload::{Taken, take};
use super::super::{
    BucketError, BucketId, Checksum, ChecksumAlgorithm, ChecksumType, CopySource, ETag, Object, ObjectCopy,
    ObjectDelete, ObjectKey, ObjectWrite, WriteCondition,
};
use super::{LocalBuckets, TakenFile};
use crate::engine::Layout;
use crate::model::bucket::Bucket;
use crate::store::file_terms::FileTerms;
use crate::store::meta::{Content, MetaError, ObjectChange, Wanted};

impl LocalBuckets {
    pub(super) async fn write_object(
        &self,
        id: &BucketId,
        write: ObjectWrite,
    ) -> Result<Object, BucketError> {
        let ObjectWrite { key, attributes, condition, payload } = write;
        let bucket = self.must_bucket(id).await?;
        self.check_early(&bucket, &key, &condition).await?;
        let Taken { file, md5, checksum } = take(&self.engine, payload, Layout::File).await?;
        let object = Object {
            file: file.record.hash,
            size: file.record.size,
            etag: ETag::Md5(md5),
            modified_at: self.ambient.clock.now(),
            attributes,
            checksums: checksum.into_iter().collect(),
            parts: Vec::new(),
            upload: None,
        };
        let (new, taken) = TakenFile::split(file);
        let put = ObjectChange::Put(Box::new(object.clone()), Some(Box::new(new)));
        let (meta, name) = (Arc::clone(&self.meta), key.clone());
        let change = async move { meta.change(bucket.uid, &name, &condition, put).await };
        let changed = self.commit_file(taken, change).await;
        changed.map_err(|error| change_error(error, id, &key))?;
        Ok(object)
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
        let Content { object, terms } = self.content(&source.bucket, &source.key, wanted).await?;
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
        let digests = self.engine.digest(terms, 0..source.size, &[algorithm]).await.map_err(engine_error)?;
        let value = digests.checksum(algorithm).unwrap_or_default().to_vec();
        Ok(vec![Checksum { algorithm, value, over: ChecksumType::FullObject }])
    }

    pub(super) async fn copy_object(&self, id: &BucketId, copy: ObjectCopy) -> Result<Object, BucketError> {
        /// Each try loses only to an overwrite or delete of the source that came in between.
        const TRIES: usize = 16;
        let bucket = self.must_bucket(id).await?;
        for _ in 0..TRIES {
            let _reading = self.reading();
            let (source, terms) = self.copy_source(&copy.source, &|size| 0..size).await?;
            let object = Object {
                checksums: self.copied_checksums(&source, terms, copy.checksum).await?,
                modified_at: self.ambient.clock.now(),
                attributes: copy.changes.apply(&source.attributes),
                upload: None,
                ..source
            };
            let put = ObjectChange::Put(Box::new(object.clone()), None);
            match self.meta.change(bucket.uid, &copy.key, &copy.condition, put).await {
                Ok(()) => return Ok(object),
                Err(MetaError::MissingFile(_)) => {}
                Err(error) => return Err(change_error(error, id, &copy.key)),
            }
        }
        Err(BucketError::NoSuchKey(copy.source.key))
    }

    pub(super) async fn delete_objects(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        let bucket = self.must_bucket(id).await?;
        // All at once, so that they share a transaction.
        let all = deletes.iter().map(async |delete| {
            let ObjectDelete { key, condition } = delete;
            let changed = self.meta.change(bucket.uid, key, condition, ObjectChange::Delete).await;
            changed.map_err(|error| change_error(error, id, key))
        });
        Ok(futures::future::join_all(all).await)
    }
}
