//! A request's body as the [`Payload`] of a write.

use axum::http::HeaderMap;
use s3s::dto::StreamingBlob;
use s3s::{S3Result, s3_error};

use crate::bucket::limits::PART_BYTES_MAX;
use crate::bucket::{ChecksumAlgorithm, Payload};

use super::auth::Trailers;
use super::checksums;

/// Makes the payload of a write; `wanted` is a checksum to compute if the client declares none.
pub(super) fn of_request(
    headers: &HeaderMap,
    body: Option<StreamingBlob>,
    trailers: Option<Trailers>,
    wanted: Option<ChecksumAlgorithm>,
) -> S3Result<Payload> {
    let length = declared_length(headers)?;
    let digests = checksums::declared(headers, trailers, wanted)?;
    let body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    Ok(Payload { body: Box::pin(body), length: Some(length), digests })
}

/// The length of the content, which S3 requires before the body.
fn declared_length(headers: &HeaderMap) -> S3Result<u64> {
    let number =
        |name: &str| headers.get(name).map(|value| value.to_str().ok().and_then(|text| text.parse().ok()));
    let chunked = headers.contains_key("transfer-encoding");
    let length = match (number("x-amz-decoded-content-length"), number("content-length")) {
        (Some(length), _) | (None, Some(length)) => length,
        // A request with neither a length nor a transfer coding has no body. RFC 9112, section 6.3.
        (None, None) => (!chunked).then_some(0),
    };
    let length: u64 = length
        .ok_or_else(|| s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."))?;
    if length > PART_BYTES_MAX {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload of {length} bytes exceeds the maximum allowed size of {PART_BYTES_MAX} bytes"
        ));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(pairs: &[(&'static str, &str)]) -> Result<u64, String> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        declared_length(&headers.collect()).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn the_length_of_the_content_is_known_before_it_comes() {
        assert_eq!(length(&[("content-length", "5")]), Ok(5));
        assert_eq!(length(&[("content-length", "90"), ("x-amz-decoded-content-length", "5")]), Ok(5));
        assert_eq!(length(&[]), Ok(0));
        assert_eq!(length(&[("transfer-encoding", "chunked")]), Err("MissingContentLength".to_owned()));
        assert_eq!(length(&[("content-length", "5368709120")]), Ok(5 << 30));
        assert_eq!(length(&[("content-length", "5368709121")]), Err("EntityTooLarge".to_owned()));
    }
}
