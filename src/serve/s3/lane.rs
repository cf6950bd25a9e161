//! The short way of plain reads: GET and HEAD of an object, past s3s.
//!
//! s3s costs a small read more than everything else together. So a read that asks for nothing special is taken apart
//! here, and answered by the operations' own code ([`objects`]). Only successes are answered: whatever is refused, is not there, or asks for more than this file knows goes the long way, as if it had
//! never been here. So the two ways cannot differ in what they refuse, and `tests::lane` compares what they answer.

use std::fmt::Write as _;

use axum::body::Body as AxumBody;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use http_body::Body as _;
use tracing::error_span;

use crate::auth::{Action, Caller};
use crate::bucket::{BucketError, BucketId, BucketName, Object, ObjectKey};
use crate::serve::visit::Visit;

use super::asked::Asked;
use super::conditions::http_date;
use super::encoding::decode_url;
use super::objects::{Opened, SizedBody, Wanted};
use super::{S3Door, attributes, checksums, objects, ranges};

const CHECKSUM_MODE: &str = "x-amz-checksum-mode";

/// Headers that are read here, and those of which nothing follows for a read. Another `x-amz-` header goes the long way.
const KNOWN_AMZ: [&str; 4] = [CHECKSUM_MODE, "x-amz-content-sha256", "x-amz-date", "x-amz-user-agent"];

/// The parameters that a plain read has: how it is signed, and what some clients call it.
const KNOWN_PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "x-id",
];

/// Headers by which part of an object, or none of it, is asked for.
const CHOOSING: [HeaderName; 6] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

/// A plain read, by somebody who may read.
pub(super) struct PlainRead {
    is_head: bool,
    bucket: BucketId,
    key: ObjectKey,
    asked: Asked,
    wanted: Wanted,
}

impl PlainRead {
    /// Takes a caller's request apart; `None` if it has to go the long way.
    pub(super) fn of(door: &S3Door, caller: &Caller, request: &Request) -> Option<Self> {
        let caller = caller.credential()?;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let is_head = *method == Method::HEAD;
        if !(is_head || *method == Method::GET)
            || uri.authority().is_some()
            || !request.body().is_end_stream()
            || !is_plain_query(uri.query())
        {
            return None;
        }
        // Where names lie elsewhere, or callers have ways of their own to the buckets, the long way finds out.
        if door.addressing.namespaced || !door.addressing.domains.is_empty() || !door.own.0.is_empty() {
            return None;
        }
        let path = uri.path().strip_prefix('/').filter(|path| !path.contains("//"))?;
        let (bucket, key) = path.split_once('/').filter(|(_, key)| !key.is_empty())?;
        let chooses = look_at(headers)?;
        // One's own bucket of that name comes before all others; if there is none, the long way looks for them.
        let bucket = BucketId { namespace: caller.account.clone(), name: BucketName::new(bucket).ok()? };
        if !caller.allows(Action::ReadBucket, Some(&bucket)) {
            return None;
        }
        let key = ObjectKey::new(&decode_url(key)?).ok()?;
        let operation = if is_head { "HeadObject" } else { "GetObject" };
        let target = (bucket.name.as_str(), key.as_str());
        Visit::of(request.extensions()).is(operation, caller, target).ok()?;
        let asked = if chooses { Asked::take(&mut headers.clone()).ok()? } else { Asked::default() };
        let wanted = Wanted::plain(&asked, headers.contains_key(CHECKSUM_MODE));
        Some(Self { is_head, bucket, key, asked, wanted })
    }

    /// Answers it; `None` if the answer is not a success.
    pub(super) async fn answer(&self, door: &S3Door, id: &str) -> Option<Response> {
        if self.is_head {
            let (object, part) =
                objects::look(door, &self.bucket, &self.key, &self.asked, &self.wanted).await.ok()?;
            let range = part.clone().unwrap_or(0..object.size);
            return self.response(&object, range, part.is_some(), AxumBody::empty());
        }
        let opened = objects::open(door, &self.bucket, &self.key, &self.asked, &self.wanted).await.ok()?;
        let Opened { object, range, body, partial } = opened;
        let (id, bucket, key) = (id.to_owned(), self.bucket.clone(), self.key.clone());
        let left = range.end - range.start;
        let body = SizedBody::new(body, left, move |error: &BucketError| {
            let _inside = error_span!("s3", request_id = %id, %bucket, %key).entered();
            objects::cut_off(error);
        });
        self.response(&object, range, partial, AxumBody::new(body))
    }

    fn response(
        &self,
        object: &Object,
        range: std::ops::Range<u64>,
        partial: bool,
        body: AxumBody,
    ) -> Option<Response> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        *headers = attributes::to_headers(&object.attributes);
        let value = |text: &str| HeaderValue::from_str(text).ok();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        headers.insert(ETAG, value(&format!("\"{}\"", object.etag))?);
        headers.insert(LAST_MODIFIED, value(&http_date(object.modified_at))?);
        headers.insert(objects::XET_HASH, value(&object.file.to_string())?);
        let mut name = String::new();
        for (key, text) in &object.attributes.user_metadata {
            // Others are encoded, which is for s3s to do.
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            name.clear();
            write!(name, "x-amz-meta-{key}").ok().filter(|()| is_plain)?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value(text)?);
        }
        if self.wanted.checksums && !partial {
            checksums::show(&object.checksums, object.parts.len(), headers)?;
        }
        if partial {
            headers.insert(CONTENT_RANGE, value(&ranges::content_range(&range, object.size))?);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Some(response)
    }
}

/// Whether a query holds nothing but a signature, and what some clients call the operation.
fn is_plain_query(query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .all(|(name, _)| KNOWN_PARAMETERS.contains(&name))
}

/// Whether headers ask for part of an object or under a condition; `None` if they ask for anything else.
fn look_at(headers: &HeaderMap) -> Option<bool> {
    // A repeated header is for s3s to judge.
    if headers.keys_len() != headers.len()
        || !headers.contains_key(HOST)
        || headers.contains_key(TRANSFER_ENCODING)
    {
        return None;
    }
    let mut chooses = false;
    for (name, value) in headers {
        let text = value.to_str().ok()?;
        let is_known = match name.as_str() {
            CHECKSUM_MODE => text == "ENABLED",
            "content-length" => text == "0",
            // Whose page asks is for the rules of the bucket.
            "expect" | "origin" => false,
            other => !other.starts_with("x-amz-") || KNOWN_AMZ.contains(&other),
        };
        if !is_known {
            return None;
        }
        chooses |= CHOOSING.contains(name);
    }
    Some(chooses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_a_plain_read_holds_nothing_else() {
        assert!(is_plain_query(None) && is_plain_query(Some("x-id=GetObject")));
        for other in ["acl", "acl=", "partNumber=1", "x-amz-date=1", "response-expires=x", "x%2Did=a"] {
            assert!(!is_plain_query(Some(other)), "{other}");
        }
    }
}
