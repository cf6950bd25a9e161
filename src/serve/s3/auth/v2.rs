//! Signature Version 2, in URLs: boto3 and aws-cli presign with it by default. It binds neither region
//! nor host, and only some parameters.
//!
//! Source: Amazon S3 user guide, "Signing and authenticating REST requests".

use std::fmt::Write as _;

use axum::http::header::{CONTENT_TYPE, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use s3s::{S3Result, s3_error};
use sha1::Sha1;

use crate::auth::{Caller, Credential, Directory};
use crate::bucket::Timestamp;

use super::body::Signed;
use super::{Head, PRESIGNED_SECS_MAX, Proof, Rules, SKEW_SECS_MAX, expired, known, mismatch};
use crate::serve::s3::errors::{invalid_request, signature_v2};

/// The parameters that are signed, in the order of the signed text. Also: botocore's `HmacV1Auth.QSAOfInterest`.
const SIGNED: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The parameters that are left unsigned and that may be there: its own, the two headers that botocore repeats and that
/// are read nowhere (see [`parameters`](crate::serve::s3::parameters)), and those by which a listing is asked for in
/// pages, which select no other operation than a listing of the same bucket.
const BESIDE: [&str; 20] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "content-md5",
    "content-type",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// What a URL says about its signature.
pub(in crate::serve::s3) struct Claim<'h> {
    access_key_id: Option<&'h str>,
    signature: &'h str,
    expires: &'h str,
    expires_at_secs: i64,
}

/// Reads a claim. Each parameter is signed once; of what is not signed, anybody could add what selects another operation
/// or changes this one, so only what can do neither may be there.
pub(super) fn claim<'h>(head: &'h Head<'_>, rules: Rules<'_>) -> S3Result<Claim<'h>> {
    if !rules.signature_v2 {
        return Err(signature_v2());
    }
    let mut names: Vec<_> = head.pairs.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let may_stand = |name: &str| SIGNED.contains(&name) || BESIDE.contains(&name);
    if !names.is_sorted_by(|a, b| a < b) || !head.pairs.iter().all(|(name, _)| may_stand(name)) {
        return Err(s3_error!(
            AccessDenied,
            "There were parameters present in the request which were not signed"
        ));
    }
    let expires = head.parameter("Expires");
    let at = expires.and_then(|expires| Some((expires, expires.parse().ok()?)));
    let (expires, expires_at_secs) = at.ok_or_else(|| {
        s3_error!(
            AccessDenied,
            "Invalid date (should be seconds since epoch): it must be the parameter Expires"
        )
    })?;
    check_life(expires_at_secs, rules.now)?;
    Ok(Claim {
        access_key_id: head.parameter("AWSAccessKeyId"),
        signature: head.parameter("Signature").unwrap_or_default(),
        expires,
        expires_at_secs,
    })
}

/// Version 2 does not say when it was signed, so it must expire within a week from now.
pub(super) fn check_life(expires_at_secs: i64, now: Timestamp) -> S3Result<()> {
    let now = i64::try_from(now.secs()).unwrap_or(i64::MAX);
    if expires_at_secs > now.saturating_add(PRESIGNED_SECS_MAX + SKEW_SECS_MAX) {
        let max = PRESIGNED_SECS_MAX;
        return Err(s3_error!(
            AccessDenied,
            "The signature must expire within a week (in seconds: {max}); sign with Signature Version 4, or for less"
        ));
    }
    Ok(())
}

/// Whether `signature`, in base64, is a credential's of a text. Takes the same time for all wrong ones.
pub(super) fn is_signature(credential: &Credential, text: &str, signature: &str) -> bool {
    let key = credential.secret_access_key.expose().as_bytes();
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(key) else { return false };
    let given = STANDARD.decode(signature);
    given.is_ok_and(|given| mac.chain_update(text).verify_slice(&given).is_ok())
}

impl Claim<'_> {
    /// Checks the signature.
    pub(super) fn prove(
        &self,
        head: &Head<'_>,
        directory: &Directory,
        now: Timestamp,
        bucket_in_host: Option<&str>,
    ) -> S3Result<Proof> {
        let access_key_id = self.access_key_id.ok_or_else(|| {
            invalid_request("Query-string authentication requires the AWSAccessKeyId parameter.")
        })?;
        if i128::from(now.0) > i128::from(self.expires_at_secs) * 1000 {
            return Err(expired());
        }
        let credential = known(directory, access_key_id)?;
        if !is_signature(&credential, &self.text(head, bucket_in_host), self.signature) {
            return Err(mismatch());
        }
        Ok(Proof { caller: Caller::Known(credential), payload: Signed::Unsigned })
    }

    fn text(&self, head: &Head<'_>, bucket_in_host: Option<&str>) -> String {
        let header = |name| head.header(&name).unwrap_or_default();
        let (md5, content_type) = (header(HeaderName::from_static("content-md5")), header(CONTENT_TYPE));
        let mut text = format!("{}\n{md5}\n{content_type}\n{}\n", head.method, self.expires);
        let mut names: Vec<_> =
            head.headers.keys().filter(|name| name.as_str().starts_with("x-amz-")).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        for name in names {
            let values = head.headers.get_all(name).iter();
            let values = values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::trim);
            let values: Vec<_> = values.collect();
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        if let Some(bucket) = bucket_in_host {
            text.push('/');
            text.push_str(bucket);
        }
        text.push_str(head.uri.path());
        let mut before = '?';
        for name in SIGNED {
            if let Some(value) = head.parameter(name) {
                text.push(before);
                before = '&';
                text.push_str(name);
                if !value.is_empty() {
                    text.push('=');
                    text.push_str(value);
                }
            }
        }
        text
    }
}

#[cfg(test)]
pub(super) const SIGNED_PARAMETERS: [&str; 35] = SIGNED;
