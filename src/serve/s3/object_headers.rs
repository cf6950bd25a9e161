//! The headers by which an answer shows an object. They are made here and nowhere else.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::Write as _;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES,
    LAST_MODIFIED,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::S3Result;

use crate::bucket::{Attributes, Object};

use super::attributes::{DEFAULT_CONTENT_TYPE, WEBSITE_REDIRECT_LOCATION};
use super::conditions::http_date;
use super::errors::invalid_argument;
use super::object_lock;
use super::parameters::single;
use super::request_headers::parse_date;

const TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");

/// The header with an object's Xet hash.
const XET_HASH: HeaderName = HeaderName::from_static("x-xet-hash");

/// Room for what an answer usually has.
const HEADERS_USUAL: usize = 12;

/// Bytes of UTF-8 in an encoded word, which may have 75 characters. Source: RFC 2047, section 2.
const WORD_BYTES_MAX: usize = 45;

/// All that an object has: attributes, user metadata, and what a client recognizes it by.
pub(super) fn of_object(object: &Object) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_USUAL);
    add_attributes(&mut headers, &object.attributes);
    add_validators(&mut headers, object);
    add_xet_hash(&mut headers, object);
    object_lock::add_headers(&mut headers, &object.lock);
    headers
}

/// What caches compare: `ETag` and `Last-Modified`.
pub(super) fn add_validators(headers: &mut HeaderMap, object: &Object) {
    add_short(headers, ETAG, format_args!("\"{}\"", object.etag));
    add_short(headers, LAST_MODIFIED, format_args!("{}", http_date(object.modified_at)));
}

/// The object's Xet hash.
pub(super) fn add_xet_hash(headers: &mut HeaderMap, object: &Object) {
    add_short(headers, XET_HASH, format_args!("{}", object.file));
}

/// Longest value that [`add_short`] adds, in bytes: a Xet hash in quotes is shorter.
const SHORT_BYTES_MAX: usize = 80;

/// Adds a header whose value is written without a detour by the heap.
fn add_short(headers: &mut HeaderMap, name: HeaderName, value: fmt::Arguments<'_>) {
    let mut text = [0; SHORT_BYTES_MAX];
    let mut rest = text.as_mut_slice();
    if rest.write_fmt(value).is_err() {
        return;
    }
    let written = SHORT_BYTES_MAX - rest.len();
    if let Ok(value) = HeaderValue::from_bytes(&text[..written]) {
        headers.insert(name, value);
    }
}

/// Adds a header, unless its value cannot be one.
pub(super) fn add(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

fn add_attributes(headers: &mut HeaderMap, attributes: &Attributes) {
    let standard = [
        (CONTENT_TYPE, attributes.content_type.as_deref().or(Some(DEFAULT_CONTENT_TYPE))),
        (CACHE_CONTROL, attributes.cache_control.as_deref()),
        (CONTENT_DISPOSITION, attributes.content_disposition.as_deref()),
        (CONTENT_ENCODING, attributes.content_encoding.as_deref()),
        (CONTENT_LANGUAGE, attributes.content_language.as_deref()),
        (EXPIRES, attributes.expires.as_deref()),
        (WEBSITE_REDIRECT_LOCATION, attributes.website_redirect_location.as_deref()),
    ];
    for (name, value) in standard {
        if let Some(value) = value {
            add(headers, name, value);
        }
    }
    for (key, value) in &attributes.user_metadata {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{key}")) {
            add(headers, name, &encoded_words(value));
        }
    }
    if !attributes.tags.is_empty() {
        headers.insert(TAGGING_COUNT, attributes.tags.len().into());
    }
}

/// A text of user metadata as a header carries it: as encoded words if it is not printable ASCII. Source: S3 user guide,
/// "User-defined object metadata"; RFC 2047.
fn encoded_words(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let (mut words, mut rest) = (String::new(), text);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES_MAX));
        let space = if words.is_empty() { "" } else { " " };
        // A text takes whatever is written to it.
        let _ = write!(words, "{space}=?UTF-8?B?{}?=", STANDARD.encode(word));
        rest = after;
    }
    Cow::Owned(words)
}

/// The headers that the `response-*` parameters of a request set.
pub(super) fn overrides(parameters: &[(String, String)]) -> S3Result<HeaderMap> {
    let names = [
        ("response-content-type", CONTENT_TYPE),
        ("response-cache-control", CACHE_CONTROL),
        ("response-content-disposition", CONTENT_DISPOSITION),
        ("response-content-encoding", CONTENT_ENCODING),
        ("response-content-language", CONTENT_LANGUAGE),
        ("response-expires", EXPIRES),
    ];
    let mut headers = HeaderMap::new();
    if parameters.is_empty() {
        return Ok(headers);
    }
    for (parameter, name) in names {
        let Some(text) = single(parameters, parameter)? else { continue };
        let refused = || invalid_argument(format!("The value of {parameter} is not valid"));
        if name == EXPIRES && parse_date(text).is_none() {
            return Err(refused());
        }
        headers.insert(name, HeaderValue::from_bytes(text.as_bytes()).map_err(|_| refused())?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::super::attributes;
    use super::*;

    #[test]
    fn the_attributes_of_a_write_are_the_headers_of_a_read() {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (EXPIRES, HeaderValue::from_static("whenever")),
            (CONTENT_DISPOSITION, HeaderValue::from_bytes("attachment; filename=ü".as_bytes()).unwrap()),
        ]);
        let before = headers.clone();
        let attributes = attributes::take(&mut headers).unwrap();
        assert!(headers.is_empty());
        add_attributes(&mut headers, &attributes);
        assert_eq!(headers, before);
    }

    #[test]
    fn user_metadata_that_is_not_ascii_is_encoded_words() {
        assert_eq!(encoded_words("a ~b"), "a ~b");
        assert_eq!(encoded_words("ü"), "=?UTF-8?B?w7w=?=");
        let long = "ü".repeat(40);
        let words = encoded_words(&long);
        assert_eq!(words.split(' ').count(), 2);
        let decoded: Vec<u8> =
            words.split(' ').flat_map(|word| STANDARD.decode(&word[10..word.len() - 2]).unwrap()).collect();
        assert_eq!(String::from_utf8(decoded).unwrap(), long);
    }

    #[test]
    fn a_request_overrides_headers_with_valid_values_only() {
        let of = |name: &str, value: &str| overrides(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(of("response-content-type", "text/html").unwrap()[CONTENT_TYPE], "text/html");
        assert!(of("response-content-type", "a\nb").is_err());
        assert!(of("response-expires", "whenever").is_err());
        assert!(of("response-expires", "Thu, 01 Jan 1970 00:16:40 GMT").is_ok());
    }
}
