//! From the headers of a write to [`Attributes`]: what a client says about an object beside its bytes.

use std::collections::BTreeMap;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES,
};
use axum::http::{HeaderMap, HeaderName};
use s3s::dto::Metadata;
use s3s::{S3Result, s3_error};

use crate::bucket::Attributes;

use super::errors::invalid_argument;
use super::ops::tagging;

/// Most user metadata, names and values together. Source: S3 user guide, "User-defined object metadata".
const USER_METADATA_BYTES_MAX: usize = 2048;

/// The type of an object whose client named none.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

pub(super) const WEBSITE_REDIRECT_LOCATION: HeaderName =
    HeaderName::from_static("x-amz-website-redirect-location");

/// The headers that are kept with an object, beside user metadata and tags.
pub(super) const STANDARD: [HeaderName; 7] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    EXPIRES,
    WEBSITE_REDIRECT_LOCATION,
];

/// Removes the standard headers and reads them. Each is kept as it was sent, or refused.
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

/// Removes a header that is kept with an object. Several of one name are one list. Source: RFC 9110, section 5.3.
fn kept(headers: &mut HeaderMap, name: &HeaderName) -> S3Result<Option<String>> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
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

/// Removes `aws-chunked`: it is the coding of the request's body, not of the object.
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn aws_chunked_is_not_an_objects_encoding() {
        assert_eq!(without_aws_chunked("aws-chunked"), None);
        assert_eq!(without_aws_chunked("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_aws_chunked("gzip, aws-chunked, br").as_deref(), Some("gzip, br"));
    }

    #[test]
    fn a_header_that_cannot_be_kept_is_refused_and_a_repeated_one_is_a_list() {
        for name in STANDARD {
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
