//! What can go wrong with a bucket, in words that every API can map to its protocol; and what the errors of the layers
//! below mean, whichever implementation meets them.

use super::{
    BoxError, BucketId, ChecksumAlgorithm, DeleteMarker, FileHash, ObjectKey, ObjectRef, UploadId, UploadRef,
    VersionRef,
};
use crate::cas::CasError;
use crate::cas::remote::RemoteError;
use crate::engine::EngineError;
use crate::store::disk::{is_busy, is_full};
use crate::store::meta::MetaError;

/// An error of a [`BucketApi`](super::BucketApi) call.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The bucket does not exist.
    #[error("bucket {0} does not exist")]
    NoSuchBucket(BucketId),
    /// The bucket's name is taken.
    #[error("bucket {0} exists already")]
    BucketExists(BucketId),
    /// The bucket holds objects.
    #[error("bucket {0} is not empty")]
    BucketNotEmpty(BucketId),
    /// The object does not exist.
    #[error("object {0} does not exist")]
    NoSuchKey(ObjectKey),
    /// The object does not exist: its current version is a delete marker.
    #[error("object {key} was deleted")]
    Deleted {
        /// Its key.
        key: ObjectKey,
        /// The delete marker.
        marker: DeleteMarker,
    },
    /// The version does not exist.
    #[error("object {key} has no version {version}")]
    NoSuchVersion {
        /// The key.
        key: ObjectKey,
        /// The version that was named.
        version: VersionRef,
    },
    /// The version that was named is a delete marker: it has no content and nothing is said of it.
    #[error("version {} of object {key} is a delete marker", VersionRef::from(marker.version))]
    IsDeleteMarker {
        /// The key.
        key: ObjectKey,
        /// The delete marker.
        marker: DeleteMarker,
    },
    /// The version may not be deleted: it is retained, or under a legal hold.
    #[error("object {0} is locked")]
    Locked(ObjectKey),
    /// The bucket's versions cannot be locked.
    #[error("bucket {0} has no object lock")]
    NoObjectLock(BucketId),
    /// The bucket's settings do not allow this one.
    #[error("{0}")]
    BucketState(&'static str),
    /// The bucket cannot be deleted yet.
    #[error(
        "bucket {0} holds versions that are locked: delete them when their retention is over and no legal hold is on"
    )]
    HoldsLocked(BucketId),
    /// The store behind these buckets has no such thing.
    #[error("{0} is not implemented here")]
    NotImplemented(&'static str),
    /// The bucket does not have that content, nor was it told of it.
    #[error("file {0} is not known to the bucket")]
    NoSuchFile(FileHash),
    /// A file has another length than was said.
    #[error("file {file} has {actual} bytes, {declared} were declared")]
    WrongSize {
        /// The file.
        file: FileHash,
        /// What was said.
        declared: u64,
        /// What it has.
        actual: u64,
    },
    /// More was asked at once than may be.
    #[error("at most {max} can be asked at once")]
    TooMany {
        /// The most.
        max: usize,
    },
    /// The upload does not exist, or was completed or aborted.
    #[error("upload {0} does not exist")]
    NoSuchUpload(UploadId),
    /// A part named at completion was never stored, or with another `ETag` or checksum.
    #[error("part {0} is not there or differs from what was named")]
    InvalidPart(u16),
    /// Parts were named out of order.
    #[error("parts are not in ascending order")]
    InvalidPartOrder,
    /// The parts are not of the length that was declared.
    #[error("the parts have {actual} bytes, {declared} were declared")]
    SizeMismatch {
        /// What was declared.
        declared: u64,
        /// What they have.
        actual: u64,
    },
    /// An upload's checksum is of another algorithm or type than was named.
    #[error("the upload was begun for another checksum than was named")]
    OtherChecksum,
    /// A part other than the last is smaller than 5 MiB.
    #[error("part {number} has {size} bytes, less than {min}")]
    PartTooSmall {
        /// Its number.
        number: u16,
        /// Its size.
        size: u64,
        /// The least size.
        min: u64,
    },
    /// A condition of the request does not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// The asked range holds no byte of the object.
    #[error("the range holds no byte of the object's {size}")]
    RangeNotSatisfiable {
        /// The object's size.
        size: u64,
    },
    /// The bucket's public access block keeps it private.
    #[error("the public access block of bucket {0} keeps it private")]
    PublicAccessBlocked(BucketId),
    /// The store behind these buckets does not let this caller do that.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// The store behind these buckets cannot hold an object of that key.
    #[error("key {key}: {rule}")]
    InvalidKey {
        /// The key.
        key: ObjectKey,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The store behind these buckets refuses, and asking again does not help.
    #[error("refused: {0}")]
    Refused(String),
    /// Too many requests reach the store behind these buckets; later it may work.
    #[error("the store behind the buckets is busy")]
    Busy(#[source] BoxError),
    /// `Content-MD5` does not match.
    #[error("content-md5 does not match the {received} bytes received")]
    Md5Mismatch {
        /// How many bytes came.
        received: u64,
    },
    /// The payload's SHA-256 is not the one that was signed.
    #[error("the payload's sha256 is not the one that was signed")]
    PayloadSha256Mismatch,
    /// A declared checksum does not match.
    #[error("the declared {0:?} checksum does not match the body")]
    ChecksumMismatch(ChecksumAlgorithm),
    /// A trailer was announced and did not come.
    #[error("the announced {0:?} trailer did not come")]
    MissingTrailer(ChecksumAlgorithm),
    /// The body ended early or ran over.
    #[error("the body has {received} bytes, {declared} were declared")]
    IncompleteBody {
        /// How many were declared.
        declared: u64,
        /// How many came.
        received: u64,
    },
    /// The object would be larger than may be.
    #[error("the object would be larger than {max} bytes")]
    TooLarge {
        /// The most.
        max: u64,
    },
    /// The body broke off; the error is the stream's own.
    #[error("reading the body")]
    Body(#[source] BoxError),
    /// Stored bytes do not match their checksum, or a row points nowhere.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The disk is full. Nothing was stored; what is there can be read.
    #[error("there is no space left to store anything")]
    StorageFull(#[source] BoxError),
    /// The disk has failed, or is being recovered; it may work again later. Whether a change was made is not known: it
    /// is whole or not there.
    #[error("storage cannot be used now")]
    Unavailable(#[source] BoxError),
    /// Storage failed in a way that time does not heal.
    #[error("storage failed")]
    Storage(#[source] BoxError),
}

impl From<RemoteError> for BucketError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::NoSuchBucket(id) => Self::NoSuchBucket(id),
            RemoteError::Denied(_) => Self::AccessDenied(error.to_string()),
            RemoteError::Busy => Self::Busy(error.into()),
            // What was refused was made here, perhaps from what is no longer so: made again, it may be taken.
            RemoteError::Offline(_) | RemoteError::Unavailable(_) | RemoteError::Refused { .. } => {
                Self::Unavailable(error.into())
            }
            RemoteError::Missing(_) | RemoteError::Wrong(_) => Self::Corrupt(error.to_string()),
        }
    }
}

/// What a failure of the metadata store means.
pub(super) fn meta_failed(error: MetaError) -> BucketError {
    match error {
        MetaError::Full(_) => BucketError::StorageFull(error.into()),
        MetaError::Away(_) | MetaError::Busy(_) => BucketError::Busy(error.into()),
        // What was written relied on something that another node has removed meanwhile: written again, it is not.
        MetaError::Unavailable(_) | MetaError::NodeEnded | MetaError::MissingXorb(_) => {
            BucketError::Unavailable(error.into())
        }
        error => BucketError::Storage(error.into()),
    }
}

/// What an error of the engine means to the one who writes.
pub(super) fn engine_error(error: EngineError) -> BucketError {
    match error {
        EngineError::Body(error) => BucketError::Body(error),
        EngineError::TooFragmented { max } => BucketError::TooMany { max },
        EngineError::Cas(damaged @ (CasError::Damaged { .. } | CasError::MissingXorb(_))) => {
            BucketError::Corrupt(damaged.to_string())
        }
        EngineError::Cas(CasError::Meta(error)) => meta_failed(error),
        EngineError::Cas(CasError::Remote(error)) => error.into(),
        EngineError::Cas(CasError::Io { doing, error }) if is_full(&error) => {
            BucketError::StorageFull(CasError::Io { doing, error }.into())
        }
        EngineError::Cas(CasError::Io { doing, error }) if is_busy(&error) => {
            BucketError::Busy(CasError::Io { doing, error }.into())
        }
        error @ EngineError::Cas(CasError::Io { .. }) => BucketError::Unavailable(error.into()),
        error => BucketError::Storage(error.into()),
    }
}

/// What an error of the engine means to the one who reads `object`, which is named for the log.
pub(super) fn read_error(error: EngineError, object: &str) -> BucketError {
    match engine_error(error) {
        BucketError::Corrupt(what) => BucketError::Corrupt(format!("object {object}: {what}")),
        error => error,
    }
}

/// What a refusal of the metadata store means for a whole bucket.
pub(super) fn bucket_error(error: MetaError, id: &BucketId) -> BucketError {
    match error {
        MetaError::NoSuchBucket => BucketError::NoSuchBucket(id.clone()),
        MetaError::BucketExists => BucketError::BucketExists(id.clone()),
        MetaError::BucketNotEmpty => BucketError::BucketNotEmpty(id.clone()),
        MetaError::BucketState(why) => BucketError::BucketState(why),
        MetaError::Locked => BucketError::HoldsLocked(id.clone()),
        MetaError::NoObjectLock => BucketError::NoObjectLock(id.clone()),
        error => meta_failed(error),
    }
}

/// What a refusal of the metadata store means for a change of `key`.
pub(super) fn change_error(error: MetaError, id: &BucketId, key: &ObjectKey) -> BucketError {
    match error {
        MetaError::NoSuchBucket => BucketError::NoSuchBucket(id.clone()),
        MetaError::NoSuchObject => BucketError::NoSuchKey(key.clone()),
        MetaError::Locked => BucketError::Locked(key.clone()),
        MetaError::NoObjectLock => BucketError::NoObjectLock(id.clone()),
        MetaError::ConditionFailed => BucketError::PreconditionFailed,
        MetaError::MissingFile(file) => BucketError::NoSuchFile(file),
        error => meta_failed(error),
    }
}

/// What a refusal of the metadata store means for an object that may be named with its version.
pub(super) fn object_error(error: MetaError, id: &BucketId, object: ObjectRef<'_>) -> BucketError {
    match (error, object.version) {
        (MetaError::NoSuchVersion, Some(version)) => {
            BucketError::NoSuchVersion { key: object.key.clone(), version }
        }
        (error, _) => change_error(error, id, object.key),
    }
}

/// What a refusal of the metadata store means for a change of an upload.
pub(super) fn meta_error(error: MetaError, id: &BucketId, upload: &UploadRef) -> BucketError {
    match error {
        MetaError::NoSuchUpload => BucketError::NoSuchUpload(upload.id.clone()),
        MetaError::PartChanged(number) => BucketError::InvalidPart(number),
        error => change_error(error, id, &upload.key),
    }
}
