//! The canonical form of a request, of which Signature Version 4 is made.
//!
//! Source: IAM user guide, "Create a signed AWS API request"; S3 does not normalize paths.

use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};

use super::Head;
use crate::serve::s3::encoding::{decode_url, encode_url};

/// What the text to be signed begins with, and what signatures say they are made by.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How a path stands in the canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// Percent-encoded as S3 does it, whatever it is in the request.
    Encoded,
    /// As it was sent: some clients sign characters that they send without encoding them.
    AsSent,
}

impl Path {
    /// The ways that a client may have gone about it.
    pub(super) fn possible(path: &str) -> &'static [Self] {
        let is_encoded = |byte: u8| is_unreserved(byte) || matches!(byte, b'/' | b'%');
        if path.bytes().all(is_encoded) { &[Self::Encoded] } else { &[Self::Encoded, Self::AsSent] }
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// The text that is signed: algorithm, time, scope and the hash of the canonical form. `None` if a signed header is
/// not there.
pub(super) fn text_to_sign(
    head: &Head<'_>,
    path: Path,
    signed_headers: &[&str],
    payload: &str,
    (date_time, scope): (&str, &str),
) -> Option<String> {
    let canonical = canonical_request(head, path, signed_headers, payload)?;
    let hash = hex::encode(Sha256::digest(canonical));
    Some([ALGORITHM, date_time, scope, &hash].join("\n"))
}

fn canonical_request(head: &Head<'_>, path: Path, signed_headers: &[&str], payload: &str) -> Option<String> {
    let mut text = String::with_capacity(1024);
    text.push_str(head.method.as_str());
    text.push('\n');
    match path {
        Path::Encoded if !head.uri.path().bytes().all(|byte| byte == b'/' || is_unreserved(byte)) => {
            text.push_str(&encode_url(&decode_url(head.uri.path())?));
        }
        // Encoded already, or not to be.
        Path::Encoded | Path::AsSent => text.push_str(head.uri.path()),
    }
    text.push('\n');
    add_query(&mut text, head);
    text.push('\n');
    let mut names = Vec::with_capacity(signed_headers.len());
    for name in signed_headers.iter().filter(|name| **name != AUTHORIZATION.as_str()) {
        add_header(&mut text, head, name)?;
        names.push(*name);
    }
    text.push('\n');
    text.push_str(&names.join(";"));
    text.push('\n');
    text.push_str(payload);
    Some(text)
}

/// The parameters in the order of their names and then of their values, both encoded.
fn add_query(text: &mut String, head: &Head<'_>) {
    let encode = |text: &str| encode_url(text).replace('/', "%2F");
    let signed = head.pairs.iter().filter(|(name, _)| name != "X-Amz-Signature");
    let mut pairs: Vec<_> = signed.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
}

/// A header's line: its values without outer spaces, and with one for each inner run of them.
fn add_header(text: &mut String, head: &Head<'_>, name: &str) -> Option<()> {
    // Names are signed in lower case, in which they are kept.
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    text.push_str(name);
    let mut before = ':';
    for value in head.headers.get_all(name) {
        text.push(before);
        before = ',';
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        for (at, word) in value.split_whitespace().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
    text.push('\n');
    (before == ',').then_some(())
}
