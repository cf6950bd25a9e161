//! The rows of buckets' settings in the embedded engine.

use redb::{ReadTransaction, ReadableTable, StorageError};

use super::MetaError;
use super::rows::Stored;
use super::tables::{self, Failure, Tables, decode, encode};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::names::BucketId;
use crate::model::settings::{BucketChange, BucketSettings};
use crate::model::version::Versioning;

/// The names of the rows.
const TAGS: &str = "tags";
const CORS: &str = "cors";
const PUBLIC_ACCESS_BLOCK: &str = "public_access_block";

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
                self.set_versioning(uid, *versioning)?;
                let changed = Bucket { versioning: *versioning, ..bucket };
                self.buckets.insert(name, encode(&changed)?.as_slice())?;
            }
            BucketChange::Lifecycle(lifecycle) => self.set_lifecycle(uid, lifecycle.as_ref())?,
            BucketChange::PublicAccessBlock(block) => self.set(uid, PUBLIC_ACCESS_BLOCK, block.as_ref())?,
        }
        Ok(())
    }

    fn set<T: Stored>(
        &mut self,
        bucket: BucketUid,
        name: &'static str,
        value: Option<&T>,
    ) -> Result<(), StorageError> {
        match value {
            Some(value) => drop(self.bucket_settings.insert((bucket.0, name), encode(value)?.as_slice())?),
            None => drop(self.bucket_settings.remove((bucket.0, name))?),
        }
        Ok(())
    }

    pub(super) fn delete_settings_of(&mut self, bucket: u64) -> Result<(), StorageError> {
        self.bucket_settings.retain_in((bucket, "")..(bucket + 1, ""), |_, _| false)
    }
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
    Ok(BucketSettings { tags, cors, public_access_block })
}

fn setting<T: Stored>(
    table: &impl ReadableTable<(u64, &'static str), &'static [u8]>,
    bucket: BucketUid,
    name: &str,
) -> Result<Option<T>, redb::Error> {
    Ok(table.get((bucket.0, name))?.map(|row| decode(row.value())).transpose()?)
}
