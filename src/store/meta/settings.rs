//! The rows of buckets' settings in the embedded engine.

use redb::StorageError;

use super::MetaError;
use super::kv::{ReadTransaction, ReadableTable};
use super::rows::Stored;
use super::tables::{self, Failure, Tables, decode, encode};
use crate::model::bucket::{Bucket, BucketUid, Visibility};
use crate::model::clock::Timestamp;
use crate::model::lock::BucketLock;
use crate::model::names::BucketId;
use crate::model::settings::{BucketChange, BucketSettings};
use crate::model::version::Versioning;

/// The names of the rows.
const TAGS: &str = "tags";
const CORS: &str = "cors";
const PUBLIC_ACCESS_BLOCK: &str = "public_access_block";
const OBJECT_LOCK: &str = "object_lock";

/// Why versioning is not suspended.
const LOCKED_IN_VERSIONING: &str = "An Object Lock configuration is present on this bucket, so the versioning state cannot be \
                                    changed.";

/// Why a bucket is given no object lock.
const LOCK_WITHOUT_VERSIONS: &str =
    "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";

impl Tables<'_> {
    pub(super) fn change_bucket(&mut self, id: &BucketId, change: &BucketChange) -> Result<(), Failure> {
        let name = (id.namespace.as_str(), id.name.as_str());
        let found = self.buckets.get(name)?.map(|row| decode::<Bucket>(row.value())).transpose()?;
        let bucket = found.ok_or(MetaError::NoSuchBucket)?;
        let uid = bucket.uid;
        match change {
            BucketChange::Tags(tags) => self.set(uid, TAGS, (!tags.is_empty()).then_some(tags))?,
            BucketChange::Cors(rules) => self.set(uid, CORS, (!rules.is_empty()).then_some(rules))?,
            BucketChange::Versioning(versioning) if *versioning == Versioning::Off => {}
            BucketChange::Versioning(versioning) => {
                if *versioning == Versioning::Suspended && self.bucket_lock(uid)?.is_some() {
                    return Err(MetaError::BucketState(LOCKED_IN_VERSIONING).into());
                }
                self.set_versioning(uid, *versioning)?;
                let changed = Bucket { versioning: *versioning, ..bucket };
                self.buckets.insert(name, encode(&changed)?.as_slice())?;
            }
            BucketChange::Lifecycle(lifecycle) => self.set_lifecycle(uid, lifecycle.as_ref())?,
            BucketChange::ObjectLock(_) if bucket.versioning != Versioning::Enabled => {
                return Err(MetaError::BucketState(LOCK_WITHOUT_VERSIONS).into());
            }
            BucketChange::ObjectLock(lock) => self.set(uid, OBJECT_LOCK, Some(lock))?,
            BucketChange::PublicAccessBlock(block) => self.set(uid, PUBLIC_ACCESS_BLOCK, block.as_ref())?,
        }
        Ok(())
    }

    /// Creates a bucket whose versions can be locked, and which keeps them.
    pub(super) fn create_locked_bucket(&mut self, bucket: &Bucket) -> Result<Bucket, Failure> {
        let bucket = self.create_bucket(&Bucket { versioning: Versioning::Enabled, ..bucket.clone() })?;
        self.set_versioning(bucket.uid, Versioning::Enabled)?;
        self.set(bucket.uid, OBJECT_LOCK, Some(&BucketLock::default()))?;
        Ok(bucket)
    }

    /// A bucket's object lock.
    pub(super) fn bucket_lock(&self, bucket: BucketUid) -> Result<Option<BucketLock>, StorageError> {
        setting(&self.bucket_settings, bucket, OBJECT_LOCK)
    }

    fn set<T: Stored>(
        &mut self,
        bucket: BucketUid,
        name: &'static str,
        value: Option<&T>,
    ) -> Result<(), StorageError> {
        match value {
            Some(value) => self.bucket_settings.insert((bucket.0, name), encode(value)?.as_slice()),
            None => self.bucket_settings.remove((bucket.0, name)),
        }
    }

    pub(super) fn delete_settings_of(&mut self, bucket: u64) -> Result<(), StorageError> {
        self.bucket_settings.remove_in((bucket, "")..(bucket + 1, ""))
    }
}

/// A bucket that has no identity yet, and keeps no versions.
pub(super) fn new_bucket(id: &BucketId, visibility: Visibility, created_at: Timestamp) -> Bucket {
    let (uid, versioning) = (BucketUid(0), Versioning::Off);
    Bucket { uid, id: id.clone(), visibility, created_at, versioning, lifecycle: None }
}

/// All settings of a bucket.
pub(super) fn of_bucket(
    snapshot: &ReadTransaction,
    bucket: BucketUid,
) -> Result<BucketSettings, redb::Error> {
    let table = snapshot.open_table(tables::BUCKET_SETTINGS)?;
    let tags = setting(&table, bucket, TAGS)?.unwrap_or_default();
    let cors = setting(&table, bucket, CORS)?.unwrap_or_default();
    let public_access_block = setting(&table, bucket, PUBLIC_ACCESS_BLOCK)?;
    let object_lock = setting(&table, bucket, OBJECT_LOCK)?;
    Ok(BucketSettings { tags, cors, public_access_block, object_lock })
}

fn setting<T: Stored>(
    table: &impl ReadableTable<(u64, &'static str), &'static [u8]>,
    bucket: BucketUid,
    name: &str,
) -> Result<Option<T>, StorageError> {
    table.get((bucket.0, name))?.map(|row| decode(row.value())).transpose()
}
