//! The headers that are read here and not by s3s, which would refuse values that S3 ignores or keeps.
//!
//! A malformed `Range` or date counts as absent, `Expires` and other texts are kept as sent, and conditions may list
//! several `ETag`s. These headers are removed before s3s reads the request ([`super::request`]).

use axum::http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE as RANGE_HEADER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use s3s::S3Result;
use s3s::dto::{Timestamp as S3Timestamp, TimestampFormat};
use time::OffsetDateTime;

use crate::bucket::{
    Attributes, BucketName, ByteRange, IfRange, ObjectKey, ReadCondition, VersionRef, WriteCondition,
};

use super::encoding::decode_url;
use super::errors::invalid_argument;
use super::{attributes, conditions, object_key, versions};

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

/// Replaces a copy source that has been read here: s3s must see one to route the request, but would hold its bucket to
/// S3's naming rules, which buckets made on the Hub need not keep.
const COPY_SOURCE_READ: HeaderValue = HeaderValue::from_static("read/already");

/// `x-amz-copy-source` and its conditions. The bucket's name is not resolved yet.
#[derive(Debug, Clone)]
pub(super) struct CopySourceHeader {
    /// The bucket's name.
    pub(super) bucket: BucketName,
    /// The key.
    pub(super) key: ObjectKey,
    /// The version, if one is named.
    pub(super) version: Option<VersionRef>,
    /// The `x-amz-copy-source-if-*` headers.
    pub(super) conditions: ReadCondition,
}

/// What these headers say.
#[derive(Default)]
pub(super) struct RequestHeaders {
    /// `Range`.
    pub(super) range: Option<ByteRange>,
    /// `If-Range`.
    pub(super) if_range: Option<IfRange>,
    /// Conditions on the object addressed.
    pub(super) conditions: ReadCondition,
    /// `x-amz-copy-source`.
    pub(super) source: Option<CopySourceHeader>,
    /// The standard headers that are kept with an object; no user metadata, no tags.
    pub(super) attributes: Attributes,
}

impl RequestHeaders {
    /// Removes the headers and reads them.
    pub(super) fn take(headers: &mut HeaderMap) -> S3Result<Self> {
        if !headers.keys().any(is_read_here) {
            return Ok(Self::default());
        }
        let range = text(headers, &RANGE_HEADER).as_deref().and_then(ByteRange::parse_header);
        // A value that cannot be read matches no object, so that the whole object is the answer.
        let if_range =
            headers.remove(IF_RANGE).map(|value| value.to_str().map_or(IfRange::Never, IfRange::parse));
        let names = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
        let conditions = take_conditions(headers, &names)?;
        let source = match text(headers, &COPY_SOURCE) {
            None => None,
            Some(source) => {
                headers.insert(COPY_SOURCE, COPY_SOURCE_READ);
                let (bucket, key, version) = parse_source(&source)?;
                let conditions = take_conditions(headers, &SOURCE_CONDITIONS)?;
                Some(CopySourceHeader { bucket, key, version, conditions })
            }
        };
        let attributes = attributes::take(headers)?;
        Ok(Self { range, if_range, conditions, source, attributes })
    }
}

/// Whether a header is one of these: most reads have none.
fn is_read_here(name: &HeaderName) -> bool {
    const CONDITIONS_AND_RANGES: [HeaderName; 6] =
        [RANGE_HEADER, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    *name == COPY_SOURCE || CONDITIONS_AND_RANGES.contains(name) || attributes::STANDARD.contains(name)
}

const SOURCE_CONDITIONS: [HeaderName; 4] = [
    HeaderName::from_static("x-amz-copy-source-if-match"),
    HeaderName::from_static("x-amz-copy-source-if-none-match"),
    HeaderName::from_static("x-amz-copy-source-if-modified-since"),
    HeaderName::from_static("x-amz-copy-source-if-unmodified-since"),
];

/// Removes a header and gives it as UTF-8 text; `None` if it is absent, empty, or not UTF-8.
fn text(headers: &mut HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.remove(name)?;
    let text = std::str::from_utf8(value.as_bytes()).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Removes the four conditions and reads them.
fn take_conditions(headers: &mut HeaderMap, names: &[HeaderName; 4]) -> S3Result<ReadCondition> {
    let [if_match, if_none_match, if_modified_since, if_unmodified_since] = names;
    let mut etags = |name: &HeaderName| {
        // A condition that cannot be read must not become none: it guards what is there.
        let is_there = headers.contains_key(name);
        match text(headers, name) {
            None if is_there => Err(invalid_argument(format!("The header {name} cannot be read."))),
            text => Ok(text.as_deref().map(conditions::parse_etags)),
        }
    };
    let etag = WriteCondition { if_match: etags(if_match)?, if_none_match: etags(if_none_match)? };
    let mut date = |name| text(headers, name).as_deref().and_then(parse_date);
    Ok(ReadCondition {
        etag,
        if_modified_since: date(if_modified_since),
        if_unmodified_since: date(if_unmodified_since),
    })
}

/// An HTTP date, in seconds since the epoch.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let date = S3Timestamp::parse(TimestampFormat::HttpDate, text).ok()?;
    Some(OffsetDateTime::from(date).unix_timestamp())
}

/// A copy source is `[/]bucket/key[?versionId=...]`, percent-encoded, where `+` is a space: s5cmd writes one so, and
/// rclone, which leaves `+` alone in every other path, writes `%2B` here.
fn parse_source(source: &str) -> S3Result<(BucketName, ObjectKey, Option<VersionRef>)> {
    let malformed =
        || invalid_argument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    let (path, version) = match source.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (source, None),
    };
    let version = versions::parse(version)?;
    let path = path.strip_prefix('/').unwrap_or(path).replace('+', " ");
    let path = decode_url(&path).ok_or_else(malformed)?;
    let (bucket, key) = path.split_once('/').ok_or_else(malformed)?;
    let bucket = BucketName::new(bucket).map_err(|_| malformed())?;
    if key.is_empty() {
        return Err(malformed());
    }
    Ok((bucket, object_key(key)?, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::ETagCondition;

    fn source(text: &str) -> Option<(String, String)> {
        let (bucket, key, _) = parse_source(text).ok()?;
        Some((bucket.as_str().to_owned(), key.as_str().to_owned()))
    }

    #[test]
    fn a_copy_source_is_bucket_and_key() {
        let expected = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        assert_eq!(source("b/k"), expected("b", "k"));
        assert_eq!(source("/My_Bucket/a/b%20c+d%3Fversion%2B1"), expected("My_Bucket", "a/b c d?version+1"));
        assert_eq!(source("b/%D0%BA?versionId=null"), expected("b", "к"));
        for bad in ["", "b", "/b", "b/", "b/k?versionId=1", "b/k?versionId=", "b/%ff"] {
            assert_eq!(source(bad), None, "{bad:?}");
        }
        assert_eq!(parse_source("b/k?versionId=null").unwrap().2, Some(VersionRef::Null));
    }

    #[test]
    fn malformed_values_that_s3_ignores_are_removed() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE_HEADER, HeaderValue::from_static("bytes=x"));
        headers.insert(IF_MODIFIED_SINCE, HeaderValue::from_static("yesterday"));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"a\", W/\"b\""));
        headers.insert("expires", HeaderValue::from_static("never"));
        let read = RequestHeaders::take(&mut headers).unwrap();
        assert_eq!(read.range, None);
        assert_eq!(read.conditions.if_modified_since, None);
        let etags = ETagCondition::OneOf(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(read.conditions.etag.if_none_match, Some(etags));
        assert_eq!(read.attributes.expires.as_deref(), Some("never"));
        assert!(headers.is_empty());
    }
}
