//! [`NativeXet`]: the buckets of this machine for clients that speak Xet themselves: they cut, hash and deduplicate on
//! their side, send whole xorbs and a shard that says which files these make, and reconstruct from raw ranges.
//!
//! Everything they say is proved before it is believed: a xorb by its bytes ([`xorbs`]), a file by the hashes of
//! chunks that are here ([`shards`]). A file is read only through a bucket that holds it. What they have sent, or were
//! told that they may refer to, is kept for the grace time after that, for they remember it and do not ask again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::super::{BoxError, BucketError, ByteRange, FileHash, Timestamp};
use super::{NativeBuckets, wanted};
use crate::bucket::error::{engine_error, meta_failed};
use crate::cas::{CasError, LocalChunks};
use crate::engine::{Engine, EngineError, FileWindows, IncomingError, Outline};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::clock::Ambient;
use crate::model::file::FileRecord;
use crate::model::turns::Turns;
use crate::store::file_terms::FileTerms;
use crate::store::local::LocalStore;
use crate::store::meta::{MetaError, MetaStore, Wanted};
use crate::xet::hash::XorbHash;
use crate::xet::shard::ShardError;
use crate::xet::xorb::XorbError;

mod dedup;
mod named;
mod shards;
mod xorbs;

pub use shards::ShardRefusal;

/// Xorbs on their way in at the same time, each in some 3 MiB, and how many of them one tenant's may be; further ones
/// wait. One that has not sent half a megabyte does not count.
const XORBS_MAX: (usize, usize) = (128, 64);

/// Shards looked at at the same time, each on a thread, and how many of them one tenant's may be. How much of the
/// processors they get is another matter: see [`EngineTurns`](crate::engine::EngineTurns).
const SHARDS_MAX: (usize, usize) = (16, 4);

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
    /// What was asked for has more terms than fit into an answer.
    #[error("the content is too fragmented for one answer of at most {max} terms: ask for shorter ranges")]
    TooFragmented {
        /// The most.
        max: usize,
    },
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
        if let EngineError::TooFragmented { max } = error {
            return Self::TooFragmented { max };
        }
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

/// What a client may read: the files that objects of a bucket have, and those that an access key has proved to hold.
pub type Reach<'k> = (BucketUid, Option<&'k str>);

/// A file that a client reconstructs itself, or a range of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlinedFile {
    /// Bytes of the whole file.
    pub size: u64,
    /// What to fetch for the range.
    pub outline: Outline,
}

/// Buckets for clients that speak Xet. Whether a caller may do what it asks is for the API to ask.
#[derive(Clone)]
pub struct NativeXet {
    store: Arc<LocalStore>,
    meta: Arc<dyn MetaStore>,
    chunks: Arc<LocalChunks>,
    engine: Engine<LocalChunks>,
    ambient: Ambient,
    grace: Duration,
    xorbs: Turns,
    shards: Turns,
}

impl NativeBuckets {
    /// The same buckets for clients that speak Xet; what they send or are told is kept for `grace`.
    pub fn xet(&self, grace: Duration) -> NativeXet {
        NativeXet {
            store: Arc::clone(&self.store),
            meta: Arc::clone(&self.meta),
            chunks: Arc::clone(&self.chunks),
            engine: self.engine.clone(),
            ambient: self.ambient.clone(),
            grace,
            xorbs: Turns::new(XORBS_MAX.0, XORBS_MAX.1),
            shards: Turns::new(SHARDS_MAX.0, SHARDS_MAX.1),
        }
    }
}

impl NativeXet {
    /// Until when what is sent or announced now is kept.
    fn keep_until(&self) -> Timestamp {
        Timestamp(self.ambient.clock.now().0 + self.grace.as_millis() as u64)
    }

    /// The present row of a bucket; `None` if it is gone.
    pub async fn bucket(&self, uid: BucketUid) -> Result<Option<Bucket>, XetError> {
        Ok(self.meta.bucket_of(uid).await?)
    }

    async fn terms(
        &self,
        (bucket, proved_by): Reach<'_>,
        file: &FileHash,
        wanted: Wanted<'_>,
    ) -> Result<FileTerms, XetError> {
        if *file == FileHash::EMPTY {
            // Nobody registers it, and everybody has it.
            return Ok(FileRecord { hash: *file, size: 0, terms: Vec::new() }.into());
        }
        self.meta.terms_in(bucket, file, proved_by, wanted).await?.ok_or(XetError::NoSuchFile(*file))
    }

    /// The size of a file within reach.
    pub async fn file_size(&self, reach: Reach<'_>, file: &FileHash) -> Result<u64, XetError> {
        Ok(self.terms(reach, file, &|_| 0..0).await?.size)
    }

    /// How to reconstruct a file within reach, or a range of it. The empty file has no range that could be
    /// refused.
    pub async fn outline(
        &self,
        reach: Reach<'_>,
        file: &FileHash,
        range: Option<ByteRange>,
    ) -> Result<OutlinedFile, XetError> {
        // From before the record was read until the outline is made, what it names stays.
        let _reading = self.store.readers.enter();
        let of_file = |size| wanted(range.as_ref(), size);
        let terms = self.terms(reach, file, &of_file).await?;
        let size = terms.size;
        let range = match range {
            Some(asked) if size > 0 => asked.resolve(size).ok_or(XetError::RangeNotSatisfiable { size })?,
            _ => 0..size,
        };
        let outline = self.engine.outline(terms, range).await?;
        Ok(OutlinedFile { size, outline })
    }

    /// What a client needs that changes these ranges of a file within reach. They must be in order, apart, not
    /// empty and within the file.
    pub async fn windows(
        &self,
        reach: Reach<'_>,
        file: &FileHash,
        changed: Vec<Range<u64>>,
    ) -> Result<FileWindows, XetError> {
        let _reading = self.store.readers.enter();
        let terms = self.terms(reach, file, &|size| 0..size).await?;
        Ok(self.engine.windows(terms, changed).await?)
    }
}
