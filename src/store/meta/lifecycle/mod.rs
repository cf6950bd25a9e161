//! Lifecycle rules in the store, and an index over what they make due, by time.
//!
//! A pass over a bucket costs what is due in it, not what is stored: it reads the beginning of the bucket's index. Invariants:
//! * a row of an index is a function of its bucket's rules and of the rows of its key: it is written and removed in the
//!   transaction that changes those ([`keeping`]);
//! * other rules are another index, which has a number of its own. It is filled in small steps ([`filling`]), while changes of
//!   keys keep it already; the old one is emptied in small steps as well. How far that is is a row, so a restart goes on;
//! * a bucket without rules has no row here.
//!
//! Nothing is deleted because it has a row in an index: the transaction that deletes works out again whether it is due
//! ([`expiry`]).

use super::kv::TableDefinition;
use async_trait::async_trait;

use super::MetaError;
use super::tables::Row;
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::lifecycle::{Day, RulesInForce};
use crate::model::names::{ObjectKey, UploadId};
use crate::model::version::{Stamp, VersionRef};

mod entries;
mod expiry;
mod filling;
mod keeping;

pub(super) use filling::{missing_rows, row_count};
pub(super) use keeping::{RulesCache, in_force};

/// bucket -> (number of its index, its [`Lifecycle`](crate::model::lifecycle::Lifecycle))
pub(super) const LIFECYCLES: TableDefinition<u64, (u64, Row)> = TableDefinition::new("lifecycles");

/// (index, when in ms, key, what of it): see [`DueEntry`]
pub(super) const DUE: TableDefinition<DueName, ()> = TableDefinition::new("lifecycle_due");

/// index -> [`IndexWork`], as long as there is any
pub(super) const INDEXING: TableDefinition<u64, Row> = TableDefinition::new("lifecycle_indexing");

/// Index, time, key, and [`DueWhat`] in bytes.
pub(super) type DueName = (u64, u64, &'static [u8], &'static [u8]);

/// What of a key is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueWhat {
    /// The current object.
    Current,
    /// The version of this stamp, which is not current.
    Noncurrent(Stamp),
    /// The delete marker of this stamp, which is all there is.
    LoneMarker(Stamp),
    /// A running upload.
    Upload(UploadId),
}

/// A row of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueEntry {
    /// From when on.
    pub at: Timestamp,
    /// The key.
    pub key: ObjectKey,
    /// What of it.
    pub what: DueWhat,
}

/// Something due, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueItem {
    /// What.
    pub entry: DueEntry,
    /// The rule's name.
    pub rule: String,
    /// The bytes of the object or version; 0 for markers and uploads.
    pub size: u64,
    /// The version; `None` for uploads.
    pub version: Option<VersionRef>,
}

/// What became of something due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// It is gone; or, a current object of a bucket with versions, behind a delete marker of this name.
    Done(DueItem, Option<VersionRef>),
    /// It is locked, for now.
    Locked,
    /// It is not due, or no longer there.
    NotDue,
}

/// Up to where an index is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// With the keys up to this one, of which the versions before this stamp may be missing.
    Keys(Vec<u8>, Option<Stamp>),
    /// With all keys, and with the uploads up to this key and id.
    Uploads(Vec<u8>, String),
}

impl Place {
    /// The beginning.
    pub fn start() -> Self {
        Self::Keys(Vec::new(), None)
    }
}

/// What is to be done with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IndexWork {
    /// It is to be filled for this bucket.
    Fill(BucketUid, Place),
    /// It is no longer any bucket's.
    Empty,
}

/// A bucket's rules, and the number of its index.
#[derive(Debug)]
pub(super) struct IndexedRules {
    index: u64,
    rules: RulesInForce,
}

/// What a check has found of a part of an index.
#[derive(Debug, Default)]
pub struct DueCheck {
    /// Rows that must be there.
    pub expected: u64,
    /// Those of them that are not.
    pub missing: Vec<DueEntry>,
    /// Where it goes on.
    pub next: Option<Place>,
}

/// Where lifecycle rules are followed.
#[async_trait]
pub trait LifecycleStore: Send + Sync + 'static {
    /// Says how long a day is. If it was another, all that is due is worked out again.
    async fn set_lifecycle_day(&self, day: Day) -> Result<(), MetaError>;

    /// Buckets with rules.
    async fn buckets_with_rules(&self) -> Result<Vec<BucketUid>, MetaError>;

    /// One small step of filling and emptying indexes, which looks at no more than so many rows; answers whether more is
    /// to be done.
    async fn index_step(&self, limit: usize) -> Result<bool, MetaError>;

    /// How much is due in a bucket, as its index says.
    async fn count_due(&self, bucket: BucketUid, now: Timestamp) -> Result<u64, MetaError>;

    /// What is due in a bucket after `after`, the earliest first: at most `limit` rows of the index, without those that are
    /// found not to be due. With the last row that was looked at; `None` at the end.
    async fn due(
        &self,
        bucket: BucketUid,
        now: Timestamp,
        after: Option<&DueEntry>,
        limit: usize,
    ) -> Result<(Vec<DueItem>, Option<DueEntry>), MetaError>;

    /// Ends what is due, each on its own, all that can be in one transaction; outcomes in the order asked. The random number
    /// is for the id of a delete marker.
    async fn expire(
        &self,
        bucket: BucketUid,
        due: Vec<(DueEntry, [u8; 8])>,
        now: Timestamp,
    ) -> Result<Vec<Expiry>, MetaError>;
}

const CURRENT: u8 = 0;
const NONCURRENT: u8 = 1;
const LONE_MARKER: u8 = 2;
const UPLOAD: u8 = 3;

impl DueWhat {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, name): (u8, &[u8]) = match self {
            Self::Current => (CURRENT, &[]),
            Self::Noncurrent(stamp) => (NONCURRENT, &stamp.0.to_be_bytes()),
            Self::LoneMarker(stamp) => (LONE_MARKER, &stamp.0.to_be_bytes()),
            Self::Upload(id) => (UPLOAD, id.as_str().as_bytes()),
        };
        [&[kind], name].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, name) = bytes.split_first()?;
        let stamp = || Some(Stamp(u64::from_be_bytes(name.try_into().ok()?)));
        match *kind {
            CURRENT if name.is_empty() => Some(Self::Current),
            NONCURRENT => Some(Self::Noncurrent(stamp()?)),
            LONE_MARKER => Some(Self::LoneMarker(stamp()?)),
            UPLOAD => Some(Self::Upload(UploadId::parse(std::str::from_utf8(name).ok()?)?)),
            _ => None,
        }
    }
}

impl DueEntry {
    fn of_row(at: u64, key: &[u8], what: &[u8]) -> Result<Self, redb::StorageError> {
        let damaged = || redb::StorageError::Corrupted("a row of what is due cannot be read".to_owned());
        let key = std::str::from_utf8(key).ok().and_then(|key| ObjectKey::new(key).ok());
        let what = DueWhat::from_bytes(what).ok_or_else(damaged)?;
        Ok(Self { at: Timestamp(at), key: key.ok_or_else(damaged)?, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are stored: they stay what they are.
    #[test]
    fn what_is_due_is_named_by_few_bytes() {
        for (what, bytes) in [
            (DueWhat::Current, "00"),
            (DueWhat::Noncurrent(Stamp(258)), "010000000000000102"),
            (DueWhat::LoneMarker(Stamp(1)), "020000000000000001"),
            (
                DueWhat::Upload(UploadId::new(1, [2; 8])),
                "033030303030303030303030303030303130323032303230323032303230323032",
            ),
        ] {
            assert_eq!(hex::encode(what.to_bytes()), bytes);
            assert_eq!(DueWhat::from_bytes(&what.to_bytes()), Some(what));
        }
        for bytes in [&[][..], &[4], &[0, 1], &[1, 0], &[3, b'x']] {
            assert_eq!(DueWhat::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}
