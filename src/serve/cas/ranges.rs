//! Ranges of xorbs, for requests by signed addresses.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::errors::{CasRefusal, log};
use super::{Cas, OUT_OF_REACH, admit, names};
use crate::auth::Action;
use crate::auth::cas_token::RangesGrant;
use crate::bucket::{NativeXet, XetError};
use crate::xet::hash::XorbHash;

/// Most ranges of one request: as many as one address lets read, and as many again for those cut in two.
const RANGES_MAX: usize = 128;

const OCTETS: &str = "application/octet-stream";

/// `GET /v1/ranges/{xorb}?..`: the ranges that the `Range` header asks for, which must lie within those signed; all of
/// those signed without one. Whatever else is asked is answered 403, at which clients ask for a fresh address; so is a
/// xorb that is gone: its file may lie in others now.
pub(super) async fn fetch(
    State(cas): State<Arc<Cas>>,
    Path(xorb): Path<String>,
    RawQuery(query): RawQuery,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let xorb: XorbHash = names::hash(&xorb)?;
    let granted = cas.signer.granted_ranges(&xorb, query.as_deref().unwrap_or_default());
    let RangesGrant { caller, bucket, ranges: granted } =
        granted.map_err(|error| CasRefusal::Forbidden(format!("the address is no good: {error}")))?;
    admit(&caller, &extensions)?;
    if !cas.may(&caller, Action::ReadBucket, bucket).await? {
        return Err(CasRefusal::Forbidden(format!("the address is no good: {OUT_OF_REACH}")));
    }
    let size = cas.xet.xorb_bytes(&xorb).await.map_err(gone)?;
    let asked = match names::ranges(&headers, RANGES_MAX)? {
        None => granted,
        Some(ranges) => {
            let mut asked = Vec::with_capacity(ranges.len());
            for range in ranges {
                let range = range.resolve(size).ok_or(XetError::RangeNotSatisfiable { size })?;
                if !granted.iter().any(|granted| granted.start <= range.start && range.end <= granted.end) {
                    return Err(CasRefusal::Forbidden("the address is for other ranges".to_owned()));
                }
                asked.push(range);
            }
            asked
        }
    };
    match <[Range<u64>; 1]>::try_from(asked) {
        Ok([range]) => one(&cas.xet, xorb, range, size).await,
        Err(ranges) => Ok(several(&cas, xorb, ranges, size)),
    }
}

/// A xorb that is not there (any more) was there when the address was signed.
fn gone(error: XetError) -> CasRefusal {
    match error {
        XetError::NoSuchXorb(_) => {
            CasRefusal::Forbidden("the xorb is gone: ask for the file again".to_owned())
        }
        error => error.into(),
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// The bytes; what goes wrong behind the head of the answer cuts it off, and is said in the log.
fn logged(
    bytes: impl Stream<Item = Result<Bytes, XetError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, XetError>> + Send + 'static {
    bytes.inspect_err(log)
}

async fn one(xet: &NativeXet, xorb: XorbHash, range: Range<u64>, size: u64) -> Result<Response, CasRefusal> {
    let bytes = xet.read_xorb(xorb, range.clone()).await.map_err(gone)?;
    let headers = [
        (CONTENT_TYPE, OCTETS.to_owned()),
        (CONTENT_LENGTH, (range.end - range.start).to_string()),
        (CONTENT_RANGE, content_range(&range, size)),
    ];
    Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(logged(bytes))).into_response())
}

/// `multipart/byteranges`. Source: RFC 9110, section 14.6.
fn several(cas: &Cas, xorb: XorbHash, ranges: Vec<Range<u64>>, size: u64) -> Response {
    let boundary = hex::encode(cas.ambient.random::<16>());
    let head = |range: &Range<u64>| {
        let content_range = content_range(range, size);
        format!("\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\nContent-Range: {content_range}\r\n\r\n")
    };
    let parts: Vec<_> = ranges.into_iter().map(|range| (head(&range), range)).collect();
    let end = format!("\r\n--{boundary}--\r\n");
    let bytes = parts.iter().map(|(head, range)| head.len() as u64 + range.end - range.start);
    let bytes = bytes.sum::<u64>() + end.len() as u64;
    let xet = cas.xet.clone();
    let parts = stream::iter(parts).then(move |(head, range)| {
        let xet = xet.clone();
        async move {
            let bytes = xet.read_xorb(xorb, range).await?;
            let head = stream::once(async move { Ok(Bytes::from(head)) });
            Ok::<_, XetError>(head.chain(bytes))
        }
    });
    let body = parts.try_flatten().chain(stream::once(async move { Ok(Bytes::from(end)) }));
    let headers = [
        (CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}")),
        (CONTENT_LENGTH, bytes.to_string()),
    ];
    (StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(logged(body))).into_response()
}
