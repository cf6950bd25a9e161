//! The one mapping of [`BucketError`] to S3's error codes, and the log lines of failures.
//!
//! A failure of ours keeps its cause as the source of the [`S3Error`]. It is logged where the error is answered ([`log`]),
//! with the request's id; the client gets no detail.
//!
//! Codes and statuses: S3 API reference, "Error responses".

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONTENT_RANGE, LAST_MODIFIED, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use http_body_util::LengthLimitError;
use s3s::{S3Error, S3ErrorCode, s3_error};

use crate::bucket::{BoxError, BucketError, ChecksumAlgorithm, DeleteMarker, VersionRef};
use crate::serve::http::rate_limit::Busy;
use crate::serve::http::stall::is_stalled;

use super::auth::body::BodyError;
use super::conditions::http_date;
use super::versions::{DELETE_MARKER, VERSION_ID};

/// Source: S3 API reference, "Error responses".
pub(super) const SLOW_DOWN: &str = "Please reduce your request rate.";

/// The caller has too many requests running, or sends them too often; or the store behind the buckets says so of us.
pub(super) fn slow_down(_: Busy) -> S3Error {
    later(S3Error::with_message(S3ErrorCode::SlowDown, SLOW_DOWN))
}

/// Says that a client does well to wait a second before it asks again.
fn later(mut error: S3Error) -> S3Error {
    error.set_headers(HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]));
    error
}

/// An error whose code s3s does not know.
pub(super) fn custom(code: &str, status: StatusCode, message: impl Into<Cow<'static, str>>) -> S3Error {
    let Ok(code) = code.parse::<S3ErrorCode>();
    let mut error = S3Error::with_message(code, message);
    error.set_status_code(status);
    error
}

/// `NotImplemented`, naming what was asked for.
pub(super) fn not_implemented(what: &str) -> S3Error {
    s3_error!(NotImplemented, "{what} is not implemented")
}

/// `MalformedXML`.
pub(super) fn malformed_xml() -> S3Error {
    s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
}

/// `InvalidArgument`.
pub(super) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

/// `InvalidRequest`.
pub(super) fn invalid_request(message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

/// `AccessDenied`, which says no more.
pub(super) fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// Signature Version 2 where it is not taken.
pub(super) fn signature_v2() -> S3Error {
    invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

/// `NoSuchBucket`.
pub(super) fn no_such_bucket() -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

/// `NoSuchKey`.
pub(super) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// `NoSuchVersion`.
pub(super) fn no_such_version() -> S3Error {
    s3_error!(NoSuchVersion, "The specified version does not exist.")
}

/// A lock in a bucket whose versions cannot be locked.
pub(super) fn no_object_lock() -> S3Error {
    invalid_request("Bucket is missing Object Lock Configuration")
}

/// Says of an error that it is about a delete marker. Source: S3 user guide, "Working with delete markers".
fn of_marker(error: S3Error, marker: &DeleteMarker) -> S3Error {
    let error = with_header(error, DELETE_MARKER, "true");
    with_header(error, VERSION_ID, &VersionRef::from(marker.version).to_string())
}

/// A delete marker is named by a request for an object.
fn not_allowed_on(marker: &DeleteMarker) -> S3Error {
    let error = s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.");
    let error = with_header(of_marker(error, marker), ALLOW, "DELETE");
    with_header(error, LAST_MODIFIED, &http_date(marker.made_at).to_string())
}

/// `NoSuchUpload`.
pub(super) fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
         or completed."
    )
}

/// `InvalidRange`, with the size that the range misses.
fn invalid_range(size: u64) -> S3Error {
    let error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    with_header(error, CONTENT_RANGE, &format!("bytes */{size}"))
}

/// Adds a header to an error.
pub(super) fn with_header(mut error: S3Error, name: HeaderName, value: &str) -> S3Error {
    let mut headers = error.headers().cloned().unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
    error.set_headers(headers);
    error
}

/// A checksum algorithm as S3 writes it.
pub(super) fn algorithm_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

impl From<BucketError> for S3Error {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::NoSuchBucket(_) => no_such_bucket(),
            BucketError::BucketExists(_) => s3_error!(
                BucketAlreadyOwnedByYou,
                "Your previous request to create the named bucket succeeded and you already own it."
            ),
            BucketError::BucketNotEmpty(_) => {
                s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty")
            }
            BucketError::NoSuchKey(_) => no_such_key(),
            BucketError::Deleted { marker, .. } => of_marker(no_such_key(), &marker),
            BucketError::NoSuchVersion { .. } => no_such_version(),
            BucketError::IsDeleteMarker { marker, .. } => not_allowed_on(&marker),
            BucketError::Locked(_) => {
                s3_error!(AccessDenied, "Access Denied because object protected by object lock.")
            }
            BucketError::HoldsLocked(_) => s3_error!(AccessDenied, "{error}"),
            BucketError::NoObjectLock(_) => no_object_lock(),
            BucketError::BucketState(why) => s3_error!(InvalidBucketState, "{why}"),
            BucketError::NotImplemented(what) => not_implemented(what),
            BucketError::NoSuchFile(_) => s3_error!(NoSuchKey, "The specified content does not exist."),
            BucketError::WrongSize { .. } => invalid_request(error.to_string()),
            BucketError::TooMany { max } => {
                s3_error!(InvalidRequest, "At most {max} can be asked at once.")
            }
            BucketError::NoSuchUpload(_) => no_such_upload(),
            BucketError::InvalidPart(number) => s3_error!(
                InvalidPart,
                "Part {number} could not be found, or its ETag or checksum does not match."
            ),
            BucketError::InvalidPartOrder => s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ),
            BucketError::SizeMismatch { actual, .. } => invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header value does not match what was computed: {actual}"
            )),
            BucketError::OtherChecksum => {
                invalid_request("The upload was created using another checksum algorithm or type.")
            }
            BucketError::PartTooSmall { number, size, min } => s3_error!(
                EntityTooSmall,
                "Part {number} has {size} bytes; every part but the last must have at least {min}."
            ),
            BucketError::PreconditionFailed => {
                s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
            }
            BucketError::RangeNotSatisfiable { size } => invalid_range(size),
            BucketError::TooLarge { max } => {
                s3_error!(
                    EntityTooLarge,
                    "Your proposed upload exceeds the maximum allowed size of {max} bytes"
                )
            }
            BucketError::StorageFull(_) => {
                // AWS has no disk to fill, so its list has no code for it; this is the name of HTTP's own status.
                let answer = custom(
                    "InsufficientStorage",
                    StatusCode::INSUFFICIENT_STORAGE,
                    "There is no space left to store anything. What is stored can be read.",
                );
                caused_by(answer, error)
            }
            BucketError::Unavailable(_) => {
                let message = "The storage cannot be used right now. Please try again.";
                caused_by(later(s3_error!(ServiceUnavailable, "{message}")), error)
            }
            BucketError::PublicAccessBlocked(_) | BucketError::AccessDenied(_) => {
                caused_by(access_denied(), error)
            }
            BucketError::InvalidKey { rule, .. } => invalid_argument(rule),
            BucketError::Refused(what) => invalid_request(what),
            BucketError::Busy(_) => caused_by(slow_down(Busy), error),
            BucketError::Corrupt(_) | BucketError::Storage(_) => internal(error),
            of_the_body => from_body(of_the_body),
        }
    }
}

/// Errors of a body on its way in.
fn from_body(error: BucketError) -> S3Error {
    match error {
        BucketError::Md5Mismatch { .. } => {
            s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received.")
        }
        BucketError::PayloadSha256Mismatch => payload_sha256_mismatch(),
        BucketError::ChecksumMismatch(algorithm) => s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            algorithm_name(algorithm)
        ),
        BucketError::MissingTrailer(algorithm) => custom(
            "MalformedTrailerError",
            StatusCode::BAD_REQUEST,
            format!("The announced {} trailer did not come or is malformed.", algorithm_name(algorithm)),
        ),
        BucketError::IncompleteBody { declared, received } => s3_error!(
            IncompleteBody,
            "The request body has {received} bytes; its headers declared {declared}."
        ),
        BucketError::Body(source) => from_stream(&source),
        other => internal(other),
    }
}

/// `InternalError`, which says no more.
pub(super) fn internal_error() -> S3Error {
    s3_error!(InternalError, "We encountered an internal error. Please try again.")
}

fn internal(cause: BucketError) -> S3Error {
    caused_by(internal_error(), cause)
}

/// Keeps the cause of an error for the log.
fn caused_by(mut error: S3Error, cause: BucketError) -> S3Error {
    error.set_source(Box::new(cause));
    error
}

/// Logs an error if it is a failure of ours, or a denial by the Hub that has the buckets. The query is left out: presigned
/// URLs carry their signature there.
pub(super) fn log(error: &S3Error, request_id: &str, uri: &Uri) {
    let cause = error.source().and_then(|source| source.downcast_ref::<BucketError>());
    let Some(cause) = cause else { return };
    let (path, source) = (uri.path(), std::error::Error::source(cause).map(ToString::to_string));
    if *error.code() == S3ErrorCode::AccessDenied {
        tracing::info!(request_id, path, error = %cause, "the Hub that has the buckets denies access");
    } else if *error.code() == S3ErrorCode::SlowDown {
        tracing::warn!(request_id, path, error = %cause, source, "a client is told to come again later");
    } else {
        tracing::error!(request_id, path, error = %cause, source, "request failed");
    }
}

/// An error of the body's stream.
pub(super) fn from_stream(error: &BoxError) -> S3Error {
    let first: &(dyn std::error::Error + 'static) = &**error;
    let causes = || std::iter::successors(Some(first), |error| error.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref()) {
        match error {
            BodyError::Connection(_) => {}
            error => return from_signed_body(error),
        }
    }
    if causes().any(<dyn std::error::Error>::is::<LengthLimitError>) {
        return s3_error!(MaxMessageLengthExceeded, "Your request was too big.");
    }
    if causes().any(is_stalled) {
        return s3_error!(
            RequestTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period. Idle \
             connections will be closed."
        );
    }
    // All other errors are those of a broken connection.
    incomplete_body()
}

/// A body that is not what was signed, or not in the coding that it is to be in.
fn from_signed_body(error: &BodyError) -> S3Error {
    match error {
        BodyError::ChunkTooLarge => {
            custom("InvalidChunkSizeError", StatusCode::BAD_REQUEST, error.to_string())
        }
        BodyError::MalformedChunk => invalid_request("The body is not well-formed aws-chunked content."),
        BodyError::ChunkSignature => s3_error!(
            SignatureDoesNotMatch,
            "The signature of a chunk or of the trailer does not match the one we calculated."
        ),
        BodyError::TrailersTooLarge => {
            custom("MalformedTrailerError", StatusCode::BAD_REQUEST, "The request's trailer is too large.")
        }
        BodyError::Sha256 => payload_sha256_mismatch(),
        BodyError::NoLastChunk | BodyError::Length | BodyError::Connection(_) => incomplete_body(),
    }
}

fn incomplete_body() -> S3Error {
    s3_error!(
        IncompleteBody,
        "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
}

fn payload_sha256_mismatch() -> S3Error {
    custom(
        "XAmzContentSHA256Mismatch",
        StatusCode::BAD_REQUEST,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{BucketId, BucketName, Namespace, ObjectKey, UploadId};
    use crate::serve::http::stall::stalled;

    #[test]
    fn every_bucket_error_has_s3s_code_and_status() {
        let id = BucketId { namespace: Namespace::new("n").unwrap(), name: BucketName::new("b").unwrap() };
        let key = ObjectKey::new("k").unwrap();
        let marker = DeleteMarker { version: None, made_at: crate::bucket::Timestamp(0) };
        let cases = [
            (BucketError::NoSuchBucket(id.clone()), "NoSuchBucket", 404),
            (BucketError::BucketExists(id.clone()), "BucketAlreadyOwnedByYou", 409),
            (BucketError::BucketNotEmpty(id.clone()), "BucketNotEmpty", 409),
            (BucketError::NoSuchKey(key.clone()), "NoSuchKey", 404),
            (BucketError::Deleted { key: key.clone(), marker }, "NoSuchKey", 404),
            (BucketError::IsDeleteMarker { key: key.clone(), marker }, "MethodNotAllowed", 405),
            (
                BucketError::NoSuchVersion { key: key.clone(), version: VersionRef::Null },
                "NoSuchVersion",
                404,
            ),
            (BucketError::Locked(key.clone()), "AccessDenied", 403),
            (BucketError::NotImplemented("it"), "NotImplemented", 501),
            (BucketError::NoObjectLock(id.clone()), "InvalidRequest", 400),
            (BucketError::BucketState("no"), "InvalidBucketState", 409),
            (BucketError::HoldsLocked(id.clone()), "AccessDenied", 403),
            (BucketError::NoSuchUpload(UploadId::new(0, [0; 8])), "NoSuchUpload", 404),
            (BucketError::InvalidPart(1), "InvalidPart", 400),
            (BucketError::InvalidPartOrder, "InvalidPartOrder", 400),
            (BucketError::SizeMismatch { declared: 1, actual: 2 }, "InvalidRequest", 400),
            (BucketError::OtherChecksum, "InvalidRequest", 400),
            (BucketError::PartTooSmall { number: 1, size: 2, min: 3 }, "EntityTooSmall", 400),
            (BucketError::PreconditionFailed, "PreconditionFailed", 412),
            (BucketError::RangeNotSatisfiable { size: 5 }, "InvalidRange", 416),
            (BucketError::AccessDenied("no".to_owned()), "AccessDenied", 403),
            (BucketError::InvalidKey { key: key.clone(), rule: "no" }, "InvalidArgument", 400),
            (BucketError::Refused("no".to_owned()), "InvalidRequest", 400),
            (BucketError::Busy("later".into()), "SlowDown", 503),
            (BucketError::Md5Mismatch { received: 1 }, "BadDigest", 400),
            (BucketError::PayloadSha256Mismatch, "XAmzContentSHA256Mismatch", 400),
            (BucketError::ChecksumMismatch(ChecksumAlgorithm::Crc32), "BadDigest", 400),
            (BucketError::MissingTrailer(ChecksumAlgorithm::Sha1), "MalformedTrailerError", 400),
            (BucketError::IncompleteBody { declared: 2, received: 1 }, "IncompleteBody", 400),
            (BucketError::TooLarge { max: 1 }, "EntityTooLarge", 400),
            (BucketError::Body("connection reset".into()), "IncompleteBody", 400),
            (BucketError::Corrupt("row".to_owned()), "InternalError", 500),
            (BucketError::Storage("disk".into()), "InternalError", 500),
            (BucketError::StorageFull("disk".into()), "InsufficientStorage", 507),
            (BucketError::Unavailable("disk".into()), "ServiceUnavailable", 503),
        ];
        for (error, code, status) in cases {
            let mapped = S3Error::from(error);
            assert_eq!(mapped.code().as_str(), code);
            assert_eq!(mapped.status_code().map(|s| s.as_u16()), Some(status), "{code}");
        }
    }

    #[test]
    fn a_busy_store_tells_when_to_come_again() {
        let error = S3Error::from(BucketError::Busy("later".into()));
        assert_eq!(error.headers().unwrap()[RETRY_AFTER], "1");
    }

    #[test]
    fn an_unsatisfiable_range_reports_the_size() {
        let error = S3Error::from(BucketError::RangeNotSatisfiable { size: 5 });
        assert_eq!(error.headers().unwrap()[CONTENT_RANGE], "bytes */5");
    }

    #[test]
    fn each_body_error_has_its_own_code() {
        let cases = [
            (BodyError::ChunkSignature, "SignatureDoesNotMatch"),
            (BodyError::Sha256, "XAmzContentSHA256Mismatch"),
            (BodyError::Length, "IncompleteBody"),
            (BodyError::NoLastChunk, "IncompleteBody"),
            (BodyError::MalformedChunk, "InvalidRequest"),
            (BodyError::TrailersTooLarge, "MalformedTrailerError"),
            (BodyError::ChunkTooLarge, "InvalidChunkSizeError"),
            (BodyError::Connection(axum::Error::new(stalled())), "RequestTimeout"),
            (BodyError::Connection(axum::Error::new("reset")), "IncompleteBody"),
        ];
        for (error, code) in cases {
            assert_eq!(from_stream(&error.into()).code().as_str(), code);
        }
        // Nothing is signed: the connection's own error, as the listener gives it.
        let plain = axum::Error::new(axum::Error::new(stalled()));
        assert_eq!(from_stream(&plain.into()).code().as_str(), "RequestTimeout");
    }
}
