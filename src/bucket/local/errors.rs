//! From the errors of the layers below to [`BucketError`].

use super::super::{BucketError, BucketId, ObjectKey, UploadRef};
use crate::cas::CasError;
use crate::engine::EngineError;
use crate::store::disk::is_full;
use crate::store::meta::MetaError;

/// What a failure of the metadata store means.
pub(in crate::bucket) fn meta_failed(error: MetaError) -> BucketError {
    match error {
        MetaError::Full(_) => BucketError::StorageFull(error.into()),
        MetaError::Unavailable(_) | MetaError::Busy(_) => BucketError::Unavailable(error.into()),
        error => BucketError::Storage(error.into()),
    }
}

/// What an error of the engine means to whoever writes.
pub(in crate::bucket) fn engine_error(error: EngineError) -> BucketError {
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
        error @ EngineError::Cas(CasError::Io { .. }) => BucketError::Unavailable(error.into()),
        error => BucketError::Storage(error.into()),
    }
}

/// What an error of the engine means to whoever reads `object`, which is named for the log.
pub(in crate::bucket) fn read_error(error: EngineError, object: &str) -> BucketError {
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
        error => meta_failed(error),
    }
}

/// What a refusal of the metadata store means for a change of `key`.
pub(super) fn change_error(error: MetaError, id: &BucketId, key: &ObjectKey) -> BucketError {
    match error {
        MetaError::NoSuchBucket => BucketError::NoSuchBucket(id.clone()),
        MetaError::NoSuchObject => BucketError::NoSuchKey(key.clone()),
        MetaError::ConditionFailed => BucketError::PreconditionFailed,
        MetaError::MissingFile(file) => BucketError::NoSuchFile(file),
        error => meta_failed(error),
    }
}

/// What a refusal of the metadata store means for a change of an upload.
pub(in crate::bucket) fn meta_error(error: MetaError, id: &BucketId, upload: &UploadRef) -> BucketError {
    match error {
        MetaError::NoSuchUpload => BucketError::NoSuchUpload(upload.id.clone()),
        MetaError::PartChanged(number) => BucketError::InvalidPart(number),
        error => change_error(error, id, &upload.key),
    }
}
