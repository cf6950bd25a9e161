//! Headers that ask for what is not done here: refused by name, never ignored. Parameters: [`super::parameters`].
//!
//! Works by what is known, not by what is unknown: an `x-amz-` header that this file does not name is refused.

use axum::http::HeaderMap;
use s3s::S3Result;

use crate::bucket::Namespace;

use super::errors::{access_denied, not_implemented};

/// Headers that operations read, and headers that ask for what is so anyway.
const KNOWN_HEADERS: [&str; 35] = [
    // What it asks for is looked at by the operations that have it.
    "x-amz-acl",
    // Nothing is retained here, so there is nothing to bypass.
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
    // Nothing is ever restored here, so there is no restore status to add.
    "x-amz-optional-object-attributes",
    "x-amz-part-number-marker",
    // Nobody is charged here, so anybody may agree to be.
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-source-expected-bucket-owner",
    "x-amz-tagging",
    "x-amz-tagging-directive",
    "x-amz-trailer",
    "x-amz-user-agent",
    "x-amz-website-redirect-location",
];

/// Whether a header may pass.
fn is_known(name: &str, value: &str) -> bool {
    match name {
        // The one version that S3 has had; the SDK for C++, and with it pyarrow, names it.
        "x-amz-api-version" => value == "2006-03-01",
        "x-amz-storage-class" => matches!(value, "" | "STANDARD"),
        "x-amz-object-ownership" => matches!(value, "" | "BucketOwnerEnforced"),
        "x-amz-bucket-object-lock-enabled" => value.is_empty() || value.eq_ignore_ascii_case("false"),
        _ => name.starts_with("x-amz-meta-") || KNOWN_HEADERS.contains(&name),
    }
}

/// Refuses headers that ask for what is not done here, and other owners than the caller.
pub(super) fn check_headers(headers: &HeaderMap, account: &Namespace) -> S3Result<()> {
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-")) {
        let value = value.to_str().unwrap_or("?");
        if !is_known(name.as_str(), value) {
            return Err(not_implemented(&format!("The header {name}")));
        }
        let names_owner = name.as_str().ends_with("expected-bucket-owner");
        if names_owner && value != account.as_str() {
            return Err(access_denied());
        }
    }
    Ok(())
}

/// Refuses a `versionId` other than the one that every object has.
pub(super) fn check_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(not_implemented("A versionId other than null")),
    }
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
    fn what_is_not_done_here_is_refused_by_name() {
        for (name, value) in [
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-server-side-encryption-customer-key", "a"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
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
    fn what_is_so_anyway_may_be_asked_for() {
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
