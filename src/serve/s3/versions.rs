//! Versions as S3 writes them: `versionId` in requests, `x-amz-version-id` in answers.
//!
//! An answer about a bucket that never kept versions names none. Source: Amazon S3 User Guide, "Working with objects in a
//! versioning-enabled bucket".

use axum::http::HeaderName;
use s3s::S3Result;

use crate::bucket::{Bucket, VersionId, VersionRef, Versioning};

use super::errors::invalid_argument;

pub(super) const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
pub(super) const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// Reads a `versionId`.
pub(super) fn parse(text: Option<&str>) -> S3Result<Option<VersionRef>> {
    let Some(text) = text else { return Ok(None) };
    if text.is_empty() {
        return Err(invalid_argument("Version id cannot be the empty string"));
    }
    let version = VersionRef::parse(text);
    version.map(Some).ok_or_else(|| invalid_argument("Invalid version id specified"))
}

/// How an answer names a version of this bucket; `None` if it names none.
pub(super) fn shown(bucket: &Bucket, version: Option<VersionId>) -> Option<String> {
    // One that is written while versions are switched on has an id before the bucket is seen to keep them.
    let keeps_versions = bucket.versioning != Versioning::Off || version.is_some();
    keeps_versions.then(|| VersionRef::from(version).to_string())
}

/// How the answer to a write names what it has made; `None` for the version without an id, as on AWS.
pub(super) fn made(version: Option<VersionId>) -> Option<String> {
    version.map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_version_id_is_refused() {
        assert_eq!(parse(None).unwrap(), None);
        assert_eq!(parse(Some("null")).unwrap(), Some(VersionRef::Null));
        for bad in ["", "Null", "1", "undefined"] {
            assert_eq!(parse(Some(bad)).unwrap_err().code().as_str(), "InvalidArgument", "{bad:?}");
        }
    }
}
