//! The canonical form of a request, of which Signature Version 4 is made.
//!
//! Source: IAM user guide, "Create a signed AWS API request"; S3 does not normalize paths.

use std::borrow::Cow;

use axum::http::header::AUTHORIZATION;
use hmac::Mac as _;
use sha2::{Digest as _, Sha256};

use super::Head;
use super::keys::HmacSha256;
use crate::serve::s3::encoding::{decode_url, encode_component, encode_url};

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

/// Feeds the text that is signed: algorithm, time, scope and the hash of the canonical form. `None` if a signed header is
/// not there.
pub(super) fn feed(
    mac: HmacSha256,
    head: &Head<'_>,
    path: Path,
    signed_headers: &[&str],
    payload: &str,
    (date_time, scope): (&str, &str),
) -> Option<HmacSha256> {
    let canonical = canonical_request(head, path, signed_headers, payload)?;
    let mut hash = [0; 64];
    hex::encode_to_slice(Sha256::digest(canonical), &mut hash).ok()?;
    let lines = [ALGORITHM, date_time, scope].into_iter();
    let mac = lines.fold(mac, |mac, line| mac.chain_update(line).chain_update("\n"));
    Some(mac.chain_update(hash))
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
    let names = || signed_headers.iter().filter(|name| **name != AUTHORIZATION.as_str());
    for name in names() {
        add_header(&mut text, head, name)?;
    }
    for (at, name) in names().enumerate() {
        text.push(if at == 0 { '\n' } else { ';' });
        text.push_str(name);
    }
    text.push('\n');
    text.push_str(payload);
    Some(text)
}

/// The parameters in the order of their names and then of their values, both encoded.
fn add_query(text: &mut String, head: &Head<'_>) {
    let signed = head.pairs.iter().filter(|(name, _)| name != "X-Amz-Signature");
    let encoded = signed.map(|(name, value)| (encode_component(name), encode_component(value)));
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = encoded.collect();
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
        if is_trimmed(value) {
            text.push_str(value);
            continue;
        }
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

/// Whether all spaces in a value are single ones between graphic ASCII characters, as in nearly every header.
fn is_trimmed(value: &str) -> bool {
    let mut after_space = true;
    for byte in value.bytes() {
        if !byte.is_ascii_graphic() && (byte != b' ' || after_space) {
            return false;
        }
        after_space = byte == b' ';
    }
    !after_space || value.is_empty()
}
