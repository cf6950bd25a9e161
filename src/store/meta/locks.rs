//! Locks in the embedded engine: which lock a version is written with, and what a locked version keeps from being done.
//!
//! Whether a lock binds is asked of the clock as it is: one that jumps back makes a lock last longer and never less. How long
//! a new version is retained by its bucket's default is reckoned from the highest time that was seen when versions were
//! locked, so that a clock that jumps back does not make it shorter.

use redb::StorageError;

use super::MetaError;
use super::kv::ReadableTable as _;
use super::tables::{Failure, Tables, decode, decode_object};
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::lock::ObjectLock;
use crate::model::object::{Object, Version};
use crate::model::version::Versioning;

/// The counter with the highest time at which a version was written to a bucket with object lock, in milliseconds.
const LOCK_TIME: &str = "lock_time";

impl Tables<'_> {
    /// The lock that a version is written with: the one that is asked for, else the bucket's default. One that is asked for
    /// in a bucket without object lock is refused.
    pub(super) fn lock_of_new(&mut self, bucket: BucketUid, object: &Object) -> Result<ObjectLock, Failure> {
        let asked = object.lock;
        if asked == ObjectLock::default() && self.versioning_of(bucket)? == Versioning::Off {
            return Ok(asked);
        }
        let Some(lock) = self.bucket_lock(bucket)? else {
            let is_plain = asked == ObjectLock::default();
            return if is_plain { Ok(asked) } else { Err(MetaError::NoObjectLock.into()) };
        };
        let now = self.lock_time(object.modified_at)?;
        let default = lock.default_retention.map(|default| default.from(now));
        Ok(ObjectLock { retention: asked.retention.or(default), ..asked })
    }

    /// Refuses what is about locks in a bucket without object lock.
    pub(super) fn must_have_lock(&self, bucket: BucketUid) -> Result<(), Failure> {
        match self.bucket_lock(bucket)? {
            Some(_) => Ok(()),
            None => Err(MetaError::NoObjectLock.into()),
        }
    }

    /// Refuses to delete a bucket with a version that may not be deleted.
    pub(super) fn must_hold_nothing_locked(&self, bucket: BucketUid, now: Timestamp) -> Result<(), Failure> {
        if self.bucket_lock(bucket)?.is_none() {
            return Ok(());
        }
        let is_locked = |object: &Object| object.lock.forbids_delete(now, false);
        let uid = bucket.0;
        for entry in self.objects.range((uid, [].as_slice())..(uid + 1, [].as_slice()))? {
            if is_locked(&decode_object(entry?.1.value())?) {
                return Err(MetaError::Locked.into());
            }
        }
        for entry in self.versions.range((uid, [].as_slice(), 0)..(uid + 1, [].as_slice(), 0))? {
            match decode::<Version>(entry?.1.value())? {
                Version::Object(object) if is_locked(&object) => return Err(MetaError::Locked.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The highest time seen, of which `now` is one.
    fn lock_time(&mut self, now: Timestamp) -> Result<Timestamp, StorageError> {
        let seen = self.counters.get(LOCK_TIME)?.map_or(0, |seen| seen.value());
        if now.0 > seen {
            self.counters.insert(LOCK_TIME, now.0)?;
        }
        Ok(Timestamp(now.0.max(seen)))
    }
}
