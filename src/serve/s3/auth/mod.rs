//! Authentication: who sent a request, decided once and before anything else.
//!
//! 1. [`claim`] reads how a request is signed: by the `Authorization` header (Signature Version 4, [`v4`]), in its
//!    URL (Version 4, or Version 2, [`v2`]), or not at all. It refuses claims that are malformed, are for another
//!    region, or leave out of the signature what must be in it.
//! 2. [`prove`] checks the signature, and answers with the caller and with how the body is signed.
//! 3. [`body::open`] gives the body as a stream that fails if it is not what was signed.
//!
//! A form is signed by a field of its body, so that it proves its caller later ([`form`]).
//!
//! Source of the rules: S3 API reference, "Authenticating requests (Signature Version 4)".

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use s3s::{S3Error, S3Result, s3_error};

use crate::auth::{Caller, Credential, Directory};
use crate::bucket::Timestamp;

use super::errors::{invalid_argument, invalid_request};

pub(super) mod body;
mod canonical;
mod chunked;
pub(super) mod form;
mod keys;
mod trailers;
mod v2;
mod v4;

pub(super) use keys::SigningKeys;
pub(super) use trailers::Trailers;

/// Longest life of a presigned URL, in seconds: seven days.
const PRESIGNED_SECS_MAX: i64 = 604_800;

/// How far a signer's clock may differ from ours, in seconds. Source: S3 API reference, `RequestTimeTooSkewed`.
const SKEW_SECS_MAX: i64 = 900;

/// Most bytes of each of these: the path, the query, the headers, and each of [`OWN_LIMIT`]. AWS takes 8 KB of headers; a key fills up to 3 KiB of the path,
/// percent-encoded, and up to 5 KiB of the query, as the source of a copy that is percent-encoded twice there.
const PIECE_BYTES_MAX: usize = 8 << 10;

/// Headers, or parameters that stand for them, that have a limit of their own beside the others: a copy may have two
/// keys of full length, and all the metadata and tags that there can be.
const OWN_LIMIT: [&str; 3] = ["x-amz-copy-source", "x-amz-meta-", "x-amz-tagging"];

/// What signatures are made of: the head of a request, with its query taken apart.
pub(super) struct Head<'r> {
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
    /// Decoded, in the order in which they were sent.
    pairs: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

impl<'r> Head<'r> {
    /// The head of a request.
    pub(super) fn new(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
        Self { method, uri, headers, pairs }
    }

    /// The first parameter of a name.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// A header that is sent once, if it is UTF-8.
    fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        values.next().is_none().then(|| std::str::from_utf8(first.as_bytes()).ok()).flatten()
    }
}

/// What signatures must comply with.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    /// The region that they must name.
    pub(super) region: &'r str,
    /// Whether Version 2 is accepted.
    pub(super) signature_v2: bool,
    /// The present time.
    pub(super) now: Timestamp,
}

/// Who a request says it is from, and by which signature.
pub(super) enum Claim<'h> {
    /// Not signed.
    Anonymous,
    /// Signed by Version 4.
    V4(v4::Claim<'h>),
    /// A URL signed by Version 2.
    V2(v2::Claim<'h>),
}

/// The authenticated caller of a request.
pub(super) struct Proof {
    /// The caller.
    pub(super) caller: Caller,
    /// How the body is signed.
    pub(super) payload: body::Signed,
}

/// Refuses a head that is too large. The limits of AWS for single values (a key, metadata) are checked where these are
/// read.
pub(super) fn check_size(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let piece = |name: &str| {
        let begins = |own: &&str| name.get(..own.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(own));
        OWN_LIMIT.iter().position(begins).unwrap_or(OWN_LIMIT.len())
    };
    let (mut of_query, mut of_headers) = ([0; OWN_LIMIT.len() + 1], [0; OWN_LIMIT.len() + 1]);
    for pair in uri.query().unwrap_or_default().split('&') {
        of_query[piece(pair)] += pair.len() + 1;
    }
    for (name, value) in headers {
        of_headers[piece(name.as_str())] += name.as_str().len() + value.len();
    }
    let pieces = of_query.into_iter().chain(of_headers).chain([uri.path().len()]);
    if pieces.max().is_none_or(|longest| longest <= PIECE_BYTES_MAX) {
        return Ok(());
    }
    Err(s3_error!(
        RequestHeaderSectionTooLarge,
        "The request header and query parameters used to make the request exceed the maximum allowed size."
    ))
}

/// Reads how a request is signed, and checks the form of that.
pub(super) fn claim<'h>(head: &'h Head<'_>, rules: Rules<'_>) -> S3Result<Claim<'h>> {
    let authorization = head.headers.get(AUTHORIZATION).filter(|value| !value.is_empty());
    let presigned = v4::PARAMETERS.iter().any(|name| head.parameter(name).is_some());
    // We give out no session tokens.
    let token = head.headers.get("x-amz-security-token").is_some_and(|token| !token.is_empty());
    if token || head.parameter("X-Amz-Security-Token").is_some_and(|token| !token.is_empty()) {
        return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
    }
    let presigned_v2 = head.parameter("Signature").is_some();
    match (presigned, presigned_v2, authorization) {
        (true, true, _) | (true, _, Some(_)) | (_, true, Some(_)) => {
            Err(invalid_argument("Only one auth mechanism allowed."))
        }
        (false, true, None) => v2::claim(head, rules).map(Claim::V2),
        (true, false, None) => v4::of_query(head, rules.region).map(Claim::V4),
        (false, false, Some(header)) => {
            v4::of_header(head, header.to_str().unwrap_or_default(), rules.region).map(Claim::V4)
        }
        (false, false, None) => check_anonymous(head).map(|()| Claim::Anonymous),
    }
}

/// Checks the signature of a claim. `bucket_in_host` is the bucket that the host names, which Version 2 signs.
pub(super) fn prove(
    claim: &Claim<'_>,
    head: &Head<'_>,
    (directory, keys): (&Directory, &SigningKeys),
    rules: Rules<'_>,
    bucket_in_host: Option<&str>,
) -> S3Result<Proof> {
    match claim {
        Claim::Anonymous => Ok(Proof { caller: Caller::Anonymous, payload: body::Signed::Unsigned }),
        Claim::V4(claim) => claim.prove(head, directory, keys, rules),
        Claim::V2(claim) => claim.prove(head, directory, rules.now, bucket_in_host),
    }
}

/// Only a caller with a key may choose headers of the answer: a link must not make a browser run stored text as a page.
/// Source: S3 API reference, `GetObject`, "Overriding response header values through the request".
fn check_anonymous(head: &Head<'_>) -> S3Result<()> {
    if head.pairs.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("response-")) {
        return Err(invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(())
}

/// The credential of an access key.
fn known(directory: &Directory, access_key_id: &str) -> S3Result<Arc<Credential>> {
    directory.credential(access_key_id).ok_or_else(|| {
        s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
    })
}

fn mismatch() -> S3Error {
    s3_error!(
        SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided."
    )
}

fn too_skewed() -> S3Error {
    s3_error!(
        RequestTimeTooSkewed,
        "The difference between the request time and the server's time is too large."
    )
}

fn expired() -> S3Error {
    s3_error!(AccessDenied, "Request has expired")
}

#[cfg(test)]
mod tests;
