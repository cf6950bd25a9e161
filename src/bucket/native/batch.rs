//! The changes of batches, which name content by its hash.
//!
//! A hash alone gives nobody content: an object of the bucket that is changed must have it, or one of the bucket that is
//! copied from, or the caller's access key must have proved to the former that it holds it. What is only registered
//! (files that were deleted, say) is nobody else's.
//!
//! A copy names content and bucket, but not the object that it copies. If that is found at the copy's own path in the
//! source, or at the end of it, the copy keeps what is said of it, as a copy by S3 does; otherwise it is content alone.

use super::super::error::meta_failed;
use super::super::{
    Attributes, BatchChange, BucketError, ETag, FileHash, Object, ObjectKey, Tags, WriteCondition,
};
use super::NativeBuckets;
use crate::model::bucket::Bucket;
use crate::model::file::FileRecord;
use crate::model::lock::ObjectLock;
use crate::store::meta::{KeyChange, NewFile, ObjectChange};

/// Most keys at which the source of a copy is looked for: a row each, and folders are seldom deeper.
const NAMESAKES_MAX: usize = 8;

impl NativeBuckets {
    pub(super) async fn key_change(
        &self,
        bucket: &Bucket,
        change: BatchChange,
    ) -> Result<KeyChange, BucketError> {
        let (key, change) = match change {
            BatchChange::Delete { key } => (key, self.deletion(None, false)),
            BatchChange::Add { key, file, size, proved_by, attributes } => {
                let size = must_be(size, self.size_in(bucket, &file, proved_by.as_deref()).await?, file)?;
                (key, put(self.content_alone(file, size, attributes)))
            }
            BatchChange::Copy { key, file, size, source, attributes } => {
                let source = self.must_bucket(&source).await?;
                let size = must_be(size, self.size_in(&source, &file, None).await?, file)?;
                let object = match self.namesake(&source, &key, &file).await? {
                    Some(namesake) => self.copy_of(namesake, attributes),
                    None => self.content_alone(file, size, attributes),
                };
                (key, put(object))
            }
        };
        Ok(KeyChange { key, condition: WriteCondition::default(), change })
    }

    /// The size of a file that a bucket has. Every bucket has the empty file.
    async fn size_in(
        &self,
        bucket: &Bucket,
        file: &FileHash,
        proved_by: Option<&str>,
    ) -> Result<u64, BucketError> {
        if *file == FileHash::EMPTY {
            return Ok(0);
        }
        let size = self.meta.file_size_in(bucket.uid, file, proved_by).await.map_err(meta_failed)?;
        size.ok_or(BucketError::NoSuchFile(*file))
    }

    /// An object of this content in a bucket that is copied from, at the key of the copy or at the end of it: copies of
    /// folders keep the paths below them.
    async fn namesake(
        &self,
        source: &Bucket,
        key: &ObjectKey,
        file: &FileHash,
    ) -> Result<Option<Object>, BucketError> {
        let ends = std::iter::successors(Some(key.as_str()), |end| Some(end.split_once('/')?.1));
        let ends: Vec<_> = ends.filter_map(|end| ObjectKey::new(end).ok()).take(NAMESAKES_MAX).collect();
        let found = self.meta.objects(source.uid, &ends).await.map_err(meta_failed)?;
        Ok(found.into_iter().flatten().find(|object| object.file == *file))
    }

    /// A copy that says what its source does, but for what is said of it. Tags are the source's owner's business.
    fn copy_of(&self, source: Object, said: Attributes) -> Object {
        let mut attributes =
            Attributes { tags: Tags::new(), website_redirect_location: None, ..source.attributes };
        attributes.user_metadata.extend(said.user_metadata);
        attributes.content_type = said.content_type.or(attributes.content_type);
        let now = self.ambient.clock.now();
        let (version, lock) = (Some(self.version_id(now)), ObjectLock::default());
        Object { attributes, modified_at: now, upload: None, version, lock, ..source }
    }

    /// An object of which nothing but its content is known.
    fn content_alone(&self, file: FileHash, size: u64, attributes: Attributes) -> Object {
        let now = self.ambient.clock.now();
        Object {
            file,
            size,
            etag: ETag::Xet(file),
            modified_at: now,
            attributes,
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
            version: Some(self.version_id(now)),
            lock: ObjectLock::default(),
        }
    }
}

/// The length of a file, if it is the one that was said.
fn must_be(said: Option<u64>, actual: u64, file: FileHash) -> Result<u64, BucketError> {
    match said {
        Some(declared) if declared != actual => Err(BucketError::WrongSize { file, declared, actual }),
        _ => Ok(actual),
    }
}

/// Puts an object whose content is there. The empty file always is.
fn put(object: Object) -> ObjectChange {
    let empty = (object.file == FileHash::EMPTY).then(|| {
        let record = FileRecord { hash: FileHash::EMPTY, size: 0, terms: Vec::new() };
        Box::new(NewFile { record, xorbs: Vec::new() })
    });
    ObjectChange::Put(Box::new(object), empty)
}
