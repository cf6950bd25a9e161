//! [`LocalXet`]: the buckets of this machine for clients that speak Xet themselves: they cut, hash and deduplicate on
//! their side, send whole xorbs and a shard that says which files these make, and reconstruct from raw ranges.
//!
//! Everything they say is proved before it is believed: a xorb by its bytes ([`xorbs`]), a file by the hashes of
//! chunks that are here ([`shards`]). A file is read only through a bucket that holds it. What they have sent, or were
//! told that they may refer to, is kept for the grace time after that, for they remember it and do not ask again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::{BoxError, BucketError, ByteRange, FileHash, Timestamp};
use super::LocalBuckets;
use super::errors::{engine_error, meta_failed};
use crate::cas::{CasError, IncomingError, LocalChunks};
use crate::engine::{Engine, EngineError, FileWindows, Outline};
use crate::store::ambient::Ambient;
use crate::store::local::LocalStore;
use crate::store::meta::{MetaError, MetaStore};
use crate::store::rows::{BucketUid, FileRecord};
use crate::xet::hash::XorbHash;
use crate::xet::shard::ShardError;
use crate::xet::xorb::XorbError;

mod dedup;
mod shards;
mod xorbs;

pub use shards::ShardRefusal;

/// Xorbs on their way in at the same time, each in some 3 MiB; further ones wait.
const XORBS_MAX: usize = 64;

/// Shards looked at at the same time: each may be work for a whole core.
const SHARDS_MAX: usize = 2;

/// Why a client that speaks Xet is not served.
#[derive(Debug, thiserror::Error)]
pub enum XetError {
    /// The bucket is gone.
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The bucket does not hold the file.
    #[error("file {0} is not in the bucket")]
    NoSuchFile(FileHash),
    /// There is no such xorb.
    #[error("xorb {0} is not there")]
    NoSuchXorb(XorbHash),
    /// The range holds no byte.
    #[error("the range holds no byte of the {size}")]
    RangeNotSatisfiable {
        /// How many bytes there are.
        size: u64,
    },
    /// The bytes are not the xorb announced.
    #[error("not xorb {expected}: {error}")]
    BadXorb {
        /// The announced one.
        expected: XorbHash,
        /// What is wrong.
        error: XorbError,
    },
    /// The bytes are not a shard.
    #[error(transparent)]
    BadShard(#[from] ShardError),
    /// The shard says what is not so.
    #[error(transparent)]
    Refused(#[from] ShardRefusal),
    /// The body broke off.
    #[error("reading the body")]
    Body(#[source] BoxError),
    /// As for any bucket.
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl From<MetaError> for XetError {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::NoSuchBucket => Self::NoSuchBucket,
            MetaError::MissingXorb(xorb) => Self::Refused(ShardRefusal::MissingXorb(xorb)),
            error => Self::Bucket(meta_failed(error)),
        }
    }
}

impl From<EngineError> for XetError {
    fn from(error: EngineError) -> Self {
        match engine_error(error) {
            BucketError::Body(error) => Self::Body(error),
            error => Self::Bucket(error),
        }
    }
}

impl From<CasError> for XetError {
    fn from(error: CasError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<IncomingError> for XetError {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::NotTheXorb { expected, error } => Self::BadXorb { expected, error },
            IncomingError::Cas(error) => error.into(),
        }
    }
}

impl From<tokio::task::JoinError> for XetError {
    fn from(error: tokio::task::JoinError) -> Self {
        EngineError::from(error).into()
    }
}

/// A file that a client reconstructs itself, or a range of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlinedFile {
    /// Bytes of the whole file.
    pub size: u64,
    /// What to fetch for the range.
    pub outline: Outline,
}

/// Buckets for clients that speak Xet. Whether a caller may do what it asks is for the door to ask.
#[derive(Clone)]
pub struct LocalXet {
    store: Arc<LocalStore>,
    meta: Arc<dyn MetaStore>,
    chunks: Arc<LocalChunks>,
    engine: Engine,
    ambient: Ambient,
    grace: Duration,
    xorbs: Arc<Semaphore>,
    shards: Arc<Semaphore>,
}

impl LocalBuckets {
    /// The same buckets for clients that speak Xet; what they send or are told is kept for `grace`.
    pub fn xet(&self, grace: Duration) -> LocalXet {
        LocalXet {
            store: Arc::clone(&self.store),
            meta: Arc::clone(&self.meta),
            chunks: Arc::clone(&self.chunks),
            engine: self.engine.clone(),
            ambient: self.ambient.clone(),
            grace,
            xorbs: Arc::new(Semaphore::new(XORBS_MAX)),
            shards: Arc::new(Semaphore::new(SHARDS_MAX)),
        }
    }
}

impl LocalXet {
    /// Until when what is sent or announced now is kept.
    fn keep_until(&self) -> Timestamp {
        Timestamp(self.ambient.clock.now().0 + self.grace.as_millis() as u64)
    }

    async fn record(&self, bucket: BucketUid, file: &FileHash) -> Result<FileRecord, XetError> {
        if *file == FileHash::EMPTY {
            // Nobody registers it, and everybody has it.
            return Ok(FileRecord { hash: *file, size: 0, terms: Vec::new() });
        }
        self.meta.file_in(bucket, file).await?.ok_or(XetError::NoSuchFile(*file))
    }

    /// The size of a file that the bucket holds.
    pub async fn file_size(&self, bucket: BucketUid, file: &FileHash) -> Result<u64, XetError> {
        Ok(self.record(bucket, file).await?.size)
    }

    /// How to reconstruct a file that the bucket holds, or a range of it. The empty file has no range that could be
    /// refused.
    pub async fn outline(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        range: Option<ByteRange>,
    ) -> Result<OutlinedFile, XetError> {
        // From before the record was read until the outline is made, what it names stays.
        let _reading = self.store.readers.enter();
        let record = self.record(bucket, file).await?;
        let size = record.size;
        let range = match range {
            Some(asked) if size > 0 => asked.resolve(size).ok_or(XetError::RangeNotSatisfiable { size })?,
            _ => 0..size,
        };
        let outline = self.engine.outline(&record, range).await?;
        Ok(OutlinedFile { size, outline })
    }

    /// What a client needs that changes these ranges of a file that the bucket holds. They must be in order, apart, not
    /// empty and within the file.
    pub async fn windows(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        changed: &[Range<u64>],
    ) -> Result<FileWindows, XetError> {
        let _reading = self.store.readers.enter();
        let record = self.record(bucket, file).await?;
        Ok(self.engine.windows(&record, changed).await?)
    }
}
