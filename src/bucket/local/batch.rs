//! Batches: many changes that name content by its hash.
//!
//! A hash alone gives nobody content: it must be in the bucket that is changed, or in the bucket that is copied from,
//! or have been announced to the former by a client that proved to hold it.

use super::super::limits::BATCH_CHANGES_MAX;
use super::super::{Attributes, BatchChange, BucketError, BucketId, ETag, FileHash, Object, WriteCondition};
use super::LocalBuckets;
use super::errors::{bucket_error, change_error, meta_failed};
use crate::store::meta::{KeyChange, NewFile, ObjectChange};
use crate::store::rows::{Bucket, FileRecord};

impl LocalBuckets {
    pub(super) async fn change_by_hash(
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

    async fn key_change(&self, bucket: &Bucket, change: BatchChange) -> Result<KeyChange, BucketError> {
        let (key, change) = match change {
            BatchChange::Delete { key } => (key, ObjectChange::Delete),
            BatchChange::Add { key, file, attributes } => {
                let size = self.size_in(bucket, &file).await?;
                (key, self.put_by_hash(file, size, attributes))
            }
            BatchChange::Copy { key, file, source, attributes } => {
                let source = self.must_bucket(&source).await?;
                let size = self.size_in(&source, &file).await?;
                (key, self.put_by_hash(file, size, attributes))
            }
        };
        Ok(KeyChange { key, condition: WriteCondition::default(), change })
    }

    /// The size of a file that a bucket has. Every bucket has the empty file.
    async fn size_in(&self, bucket: &Bucket, file: &FileHash) -> Result<u64, BucketError> {
        if *file == FileHash::EMPTY {
            return Ok(0);
        }
        let size = self.meta.file_size_in(bucket.uid, file).await.map_err(meta_failed)?;
        size.ok_or(BucketError::NoSuchFile(*file))
    }

    fn put_by_hash(&self, file: FileHash, size: u64, attributes: Attributes) -> ObjectChange {
        let object = Object {
            file,
            size,
            etag: ETag::Xet(file),
            modified_at: self.ambient.clock.now(),
            attributes,
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
        };
        let empty = || {
            let record = FileRecord { hash: file, size: 0, terms: Vec::new() };
            Box::new(NewFile { record, xorbs: Vec::new() })
        };
        ObjectChange::Put(Box::new(object), (file == FileHash::EMPTY).then(empty))
    }
}
