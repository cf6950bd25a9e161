//! What a bucket holds: its counts, kept with every change so that asking costs nothing, and the files that its
//! objects name. The latter answer "does this bucket have that content?", which decides who may reach a file by its
//! hash alone.

use redb::StorageError;

use super::MetaError;
use super::bucket_names::COUNTER;
use super::files::decode_file_size;
use super::kv::{ReadTransaction, ReadableTable};
use super::registry::PROVED;
use super::tables::{self, Failure, Tables, decode, encode};
use crate::model::bucket::{Bucket, BucketStats, BucketUid, Visibility};
use crate::model::names::BucketId;
use crate::model::object::Object;
use crate::xet::hash::FileHash;

/// A bucket's counts.
pub(super) fn stats(snapshot: &ReadTransaction, bucket: BucketUid) -> Result<BucketStats, redb::Error> {
    let (bytes, objects) = snapshot.open_table(tables::BUCKET_STATS)?.total(bucket.0)?;
    Ok(BucketStats { bytes, objects })
}

/// Whether an object of the bucket names the file, or this access key has proved to the bucket that it holds it.
pub(super) fn holds(
    snapshot: &ReadTransaction,
    bucket: BucketUid,
    file: &FileHash,
    proved_by: Option<&str>,
) -> Result<bool, redb::Error> {
    let (bucket, file) = (bucket.0, *file.as_bytes());
    if snapshot.open_table(tables::BUCKET_FILES)?.get((bucket, file))?.is_some() {
        return Ok(true);
    }
    let Some(key) = proved_by else { return Ok(false) };
    Ok(snapshot.open_table(PROVED)?.get((bucket, file, key))?.is_some())
}

/// The size of a file that the bucket holds.
pub(super) fn file_size(
    snapshot: &ReadTransaction,
    bucket: BucketUid,
    file: &FileHash,
    proved_by: Option<&str>,
) -> Result<Option<u64>, redb::Error> {
    if !holds(snapshot, bucket, file, proved_by)? {
        return Ok(None);
    }
    let row = snapshot.open_table(tables::FILES)?.get(file.as_bytes())?;
    Ok(row.map(|row| decode_file_size(row.value())).transpose()?)
}

impl Tables<'_> {
    /// Counts a current object that comes or goes.
    pub(super) fn count_current(
        &mut self,
        bucket: BucketUid,
        gone: Option<&Object>,
        come: Option<&Object>,
    ) -> Result<(), StorageError> {
        let numbers = |object: Option<&Object>| object.map_or((0, 0), |object| (object.size, 1));
        self.bucket_stats.add(bucket.0, numbers(come), numbers(gone))
    }

    /// One more version in the bucket, current or not, has this file.
    pub(super) fn hold_file(&mut self, bucket: BucketUid, file: &FileHash) -> Result<(), StorageError> {
        let name = (bucket.0, *file.as_bytes());
        let uses = self.bucket_files.get(name)?.map_or(0, |uses| uses.value());
        self.bucket_files.insert(name, uses + 1)?;
        Ok(())
    }

    /// One version fewer.
    pub(super) fn leave_file(&mut self, bucket: BucketUid, file: &FileHash) -> Result<(), StorageError> {
        let name = (bucket.0, *file.as_bytes());
        let uses = self.bucket_files.get(name)?.map_or(0, |uses| uses.value());
        match uses {
            0 | 1 => self.bucket_files.remove(name),
            _ => self.bucket_files.insert(name, uses - 1),
        }
    }

    /// Forgets what a bucket that goes held.
    pub(super) fn forget_holdings(&mut self, bucket: BucketUid) -> Result<(), StorageError> {
        self.bucket_stats.forget(bucket.0)?;
        self.bucket_files.remove_in((bucket.0, [0; 32])..=(bucket.0, [0xFF; 32]))
    }

    fn take_bucket(&mut self, id: &BucketId) -> Result<Bucket, Failure> {
        match self.buckets.take((id.namespace.as_str(), id.name.as_str()))? {
            Some(row) => Ok(decode(row.value())?),
            None => Err(MetaError::NoSuchBucket.into()),
        }
    }

    fn put_bucket(&mut self, bucket: &Bucket) -> Result<(), Failure> {
        let name = (bucket.id.namespace.as_str(), bucket.id.name.as_str());
        self.buckets.insert(name, encode(bucket)?.as_slice())?;
        Ok(())
    }

    pub(super) fn move_bucket(&mut self, from: &BucketId, to: &BucketId) -> Result<(), Failure> {
        if self.buckets.get((from.namespace.as_str(), from.name.as_str()))?.is_none() {
            return Err(MetaError::NoSuchBucket.into());
        }
        if self.buckets.get((to.namespace.as_str(), to.name.as_str()))?.is_some() {
            return Err(MetaError::BucketExists.into());
        }
        let bucket = Bucket { id: to.clone(), ..self.take_bucket(from)? };
        let number = self.count_up(COUNTER)?;
        self.name_bucket(&bucket, number)?;
        self.put_bucket(&bucket)
    }

    pub(super) fn set_visibility(&mut self, id: &BucketId, visibility: Visibility) -> Result<(), Failure> {
        let bucket = self.take_bucket(id)?;
        self.put_bucket(&Bucket { visibility, ..bucket })
    }
}
