//! Between headers and [`Attributes`]: what a client says about an object beside its bytes.

use std::collections::BTreeMap;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use s3s::dto::Metadata;
use s3s::{S3Result, s3_error};

use crate::bucket::Attributes;

use super::encoding::query_pairs;
use super::errors::invalid_argument;
use super::tagging;

/// Most user metadata, names and values together. Source: S3 user guide, "User-defined object metadata".
const USER_METADATA_BYTES_MAX: usize = 2048;

/// The type of an object whose client named none.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

const TAGGING_COUNT: HeaderName = HeaderName::from_static("x-amz-tagging-count");
const WEBSITE_REDIRECT_LOCATION: HeaderName = HeaderName::from_static("x-amz-website-redirect-location");

/// Takes the standard headers out. Each is kept as it was sent, or refused.
pub(super) fn take(headers: &mut HeaderMap) -> S3Result<Attributes> {
    let mut kept = |name: &HeaderName| kept(headers, name);
    Ok(Attributes {
        content_type: kept(&CONTENT_TYPE)?,
        cache_control: kept(&CACHE_CONTROL)?,
        content_disposition: kept(&CONTENT_DISPOSITION)?,
        content_encoding: kept(&CONTENT_ENCODING)?.and_then(|value| without_aws_chunked(&value)),
        content_language: kept(&CONTENT_LANGUAGE)?,
        expires: kept(&EXPIRES)?,
        website_redirect_location: kept(&WEBSITE_REDIRECT_LOCATION)?,
        ..Attributes::default()
    })
}

/// Takes a header out that is kept with an object. Several of one name are one list. Source: RFC 9110, section 5.3.
fn kept(headers: &mut HeaderMap, name: &HeaderName) -> S3Result<Option<String>> {
    let values = headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
    let values: Result<Vec<_>, _> = values.collect();
    let values = values.map_err(|_| {
        invalid_argument(format!(
            "The value of the header {name} is not UTF-8. Send it as UTF-8 or as ASCII."
        ))
    })?;
    let kept: Vec<_> = values.into_iter().map(str::trim).filter(|value| !value.is_empty()).collect();
    let kept = (!kept.is_empty()).then(|| kept.join(", "));
    headers.remove(name);
    Ok(kept)
}

/// `aws-chunked` is how the body came, not what the object is.
fn without_aws_chunked(encoding: &str) -> Option<String> {
    let kept = encoding.split(',').map(str::trim).filter(|name| !name.eq_ignore_ascii_case("aws-chunked"));
    let kept: Vec<_> = kept.filter(|name| !name.is_empty()).collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// The attributes of a write: its standard headers, metadata and tags.
pub(super) fn of_write(
    standard: Attributes,
    metadata: Option<Metadata>,
    tags: Option<&str>,
) -> S3Result<Attributes> {
    let user_metadata = user_metadata(metadata)?;
    let content_type = standard.content_type.or_else(|| Some(DEFAULT_CONTENT_TYPE.to_owned()));
    Ok(Attributes { content_type, user_metadata, tags: tagging::of_header(tags)?, ..standard })
}

fn user_metadata(metadata: Option<Metadata>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<_, _> = metadata.unwrap_or_default().into_iter().collect();
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > USER_METADATA_BYTES_MAX {
        return Err(s3_error!(
            MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size of {USER_METADATA_BYTES_MAX} bytes"
        ));
    }
    Ok(metadata)
}

/// The headers of an answer that shows an object's attributes; user metadata is written by s3s.
pub(super) fn to_headers(attributes: &Attributes) -> HeaderMap {
    let standard = [
        (CONTENT_TYPE, attributes.content_type.as_deref().or(Some(DEFAULT_CONTENT_TYPE))),
        (CACHE_CONTROL, attributes.cache_control.as_deref()),
        (CONTENT_DISPOSITION, attributes.content_disposition.as_deref()),
        (CONTENT_ENCODING, attributes.content_encoding.as_deref()),
        (CONTENT_LANGUAGE, attributes.content_language.as_deref()),
        (EXPIRES, attributes.expires.as_deref()),
        (WEBSITE_REDIRECT_LOCATION, attributes.website_redirect_location.as_deref()),
    ];
    // The values were headers once, so they can be again.
    let header =
        |(name, value): (_, Option<&str>)| Some((name, HeaderValue::from_bytes(value?.as_bytes()).ok()?));
    // With room for what else an answer tells.
    let mut headers = HeaderMap::with_capacity(24);
    headers.extend(standard.into_iter().filter_map(header));
    if !attributes.tags.is_empty() {
        headers.insert(TAGGING_COUNT, attributes.tags.len().into());
    }
    headers
}

/// User metadata as s3s writes it.
pub(super) fn to_metadata(attributes: &Attributes) -> Option<Metadata> {
    let metadata = &attributes.user_metadata;
    (!metadata.is_empty())
        .then(|| metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Replaces headers as `response-*` parameters ask.
pub(super) fn override_headers(headers: &mut HeaderMap, query: Option<&str>) -> S3Result<()> {
    let names = [
        ("response-content-type", CONTENT_TYPE),
        ("response-cache-control", CACHE_CONTROL),
        ("response-content-disposition", CONTENT_DISPOSITION),
        ("response-content-encoding", CONTENT_ENCODING),
        ("response-content-language", CONTENT_LANGUAGE),
        ("response-expires", EXPIRES),
    ];
    for (parameter, value) in query_pairs(query) {
        if let Some((_, name)) = names.iter().find(|(known, _)| *known == parameter) {
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| invalid_argument(format!("The value of {parameter} is not a header value")))?;
            headers.insert(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_not_an_objects_encoding() {
        assert_eq!(without_aws_chunked("aws-chunked"), None);
        assert_eq!(without_aws_chunked("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_aws_chunked("gzip, aws-chunked, br").as_deref(), Some("gzip, br"));
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (EXPIRES, HeaderValue::from_static("whenever")),
            (CONTENT_DISPOSITION, HeaderValue::from_bytes("attachment; filename=ü".as_bytes()).unwrap()),
        ]);
        let before = headers.clone();
        let attributes = take(&mut headers).unwrap();
        assert!(headers.is_empty());
        assert_eq!(to_headers(&attributes), before);
    }

    #[test]
    fn a_header_that_cannot_be_kept_is_refused_and_a_repeated_one_is_a_list() {
        for name in [CONTENT_DISPOSITION, CONTENT_TYPE, CACHE_CONTROL, EXPIRES, WEBSITE_REDIRECT_LOCATION] {
            let latin_1 = HeaderValue::from_bytes(b"attachment; filename=\xfc").unwrap();
            let refused = take(&mut HeaderMap::from_iter([(name, latin_1)])).unwrap_err();
            assert_eq!(refused.code().as_str(), "InvalidArgument");
        }
        let mut headers = HeaderMap::new();
        for value in ["no-cache", "", "private"] {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        assert_eq!(take(&mut headers).unwrap().cache_control.as_deref(), Some("no-cache, private"));
    }

    #[test]
    fn more_than_2_kib_of_metadata_is_too_large() {
        let of = |bytes: usize| {
            user_metadata(Some(Metadata::from_iter([("k".to_owned(), "v".repeat(bytes - 1))])))
        };
        assert!(of(2048).is_ok());
        assert_eq!(of(2049).unwrap_err().code().as_str(), "MetadataTooLarge");
    }
}
