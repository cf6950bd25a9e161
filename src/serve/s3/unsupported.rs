//! What is not supported: headers and settings of buckets. Parameters: [`super::parameters`].
//!
//! * A header that asks for something unsupported is refused by name, never ignored. An `x-amz-` header that this file
//!   does not name is refused too.
//! * To set a policy, encryption, replication or website of a bucket is `NotImplemented`
//!   ([`super::authorize`]). To read one is answered as AWS does for a bucket that never had one, which is true and
//!   which clients rely on; to delete one succeeds, as there.

use axum::http::{HeaderMap, StatusCode};
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};

use crate::bucket::Namespace;

use super::context::Context;
use super::errors::{access_denied, custom, not_implemented};

/// Headers that operations read, and headers whose value matches our fixed behaviour.
const KNOWN_HEADERS: [&str; 40] = [
    // Checked by the operations that take it.
    "x-amz-acl",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-bypass-governance-retention",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-expected-bucket-owner",
    "x-amz-max-parts",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    // No object is ever restored, so there is no restore status to add.
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    // Requests are free, so a caller may agree to pay for them.
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-trailer",
    "x-amz-transition-default-minimum-object-size",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
];

/// Whether a header is supported.
fn is_known(name: &str, value: &str) -> bool {
    match name {
        // The one version that S3 has had; the SDK for C++, and with it pyarrow, names it.
        "x-amz-api-version" => value == "2006-03-01",
        "x-amz-storage-class" => matches!(value, "" | "STANDARD"),
        "x-amz-object-ownership" => matches!(value, "" | "BucketOwnerEnforced"),
        _ => name.starts_with("x-amz-meta-") || KNOWN_HEADERS.contains(&name),
    }
}

/// Refuses unsupported headers, and an expected bucket owner other than the bucket's.
pub(super) fn check_headers(headers: &HeaderMap, account: &Namespace) -> S3Result<()> {
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-")) {
        let value = value.to_str().unwrap_or("?");
        if !is_known(name.as_str(), value) {
            return Err(not_implemented(&format!("The header {name}")));
        }
        // The owner of a copy's source is compared where the source is resolved.
        if name.as_str() == "x-amz-expected-bucket-owner" && value != account.as_str() {
            return Err(access_denied());
        }
    }
    Ok(())
}

/// AWS's answer to an operation on a setting that a bucket does not have, if that answer is an error.
pub(super) fn error_of(operation: &str) -> Option<S3Error> {
    let (code, message) = match operation {
        "GetBucketPolicy" => ("NoSuchBucketPolicy", "The bucket policy does not exist"),
        "GetBucketEncryption" => (
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
        "GetBucketWebsite" => {
            ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
        }
        "GetBucketReplication" => {
            ("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
        }
        _ => return None,
    };
    Some(custom(code, StatusCode::NOT_FOUND, message))
}

macro_rules! empty {
    ($($(#[$doc:meta])* $status:ident $name:ident($input:ident) -> $output:ident;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $name(
                context: &Context,
                _: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                context.bucket()?;
                let mut response = S3Response::new(dto::$output::default());
                response.status = Some(StatusCode::$status);
                Ok(response)
            }
        )*
    };
}

empty! {
    /// No bucket's requests are logged into another bucket.
    OK logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    /// No bucket sends notifications.
    OK notification(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput;
    /// No bucket is accelerated.
    OK acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
    /// There is no policy to delete.
    NO_CONTENT delete_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput;
    /// There is no encryption to delete.
    NO_CONTENT delete_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput;
    /// There is no website to delete.
    NO_CONTENT delete_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput;
    /// There is no replication to delete.
    NO_CONTENT delete_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput;
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn passes(name: &'static str, value: &str) -> bool {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())]);
        check_headers(&headers, &Namespace::new("me").unwrap()).is_ok()
    }

    #[test]
    fn unsupported_headers_are_refused() {
        for (name, value) in [
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "a"),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-api-version", "2007-01-01"),
            ("x-amz-write-offset-bytes", "1"),
            ("x-amz-not-yet-invented", "1"),
        ] {
            assert!(!passes(name, value), "{name}");
        }
    }

    #[test]
    fn a_header_whose_value_matches_our_behaviour_is_accepted() {
        for (name, value) in [
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-api-version", "2006-03-01"),
            ("x-amz-meta-anything", "v"),
            ("x-amz-expected-bucket-owner", "me"),
        ] {
            assert!(passes(name, value), "{name}");
        }
        assert!(!passes("x-amz-expected-bucket-owner", "you"));
    }
}
