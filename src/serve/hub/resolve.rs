//! `/buckets/{ns}/{name}/resolve/{path}`: a file's metadata in headers, and its bytes.
//!
//! HEAD is answered where it is asked, not by a redirect: the client reads size, hash and the address of the CAS token
//! from this answer's headers.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LINK, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::IntoResponse as _;
use futures::TryStreamExt as _;
use time::OffsetDateTime;
use time::macros::format_description;

use super::error::{HubError, HubResult};
use super::paths::file_path;
use super::route::Call;
use crate::auth::Action;
use crate::bucket::{Bucket, ByteRange, Object, ObjectKey};

const XET_HASH: HeaderName = HeaderName::from_static("x-xet-hash");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");

/// What is served of a file whose uploader did not say what it is.
const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// HEAD and GET.
pub(super) async fn resolve(call: &Call<'_>, namespace: &str, name: &str, path: &[&str]) -> HubResult {
    let bucket = call.bucket(namespace, name, Action::ReadBucket).await?;
    let key = ObjectKey::new(&file_path(path)?).map_err(|_| HubError::no_such_entry())?;
    if call.head.method == Method::HEAD {
        let object = call.door.buckets.object(&bucket.id, &key).await?;
        let mut headers = headers(call, &bucket, &object);
        headers.insert(CONTENT_LENGTH, object.size.into());
        return Ok((headers, Body::empty()).into_response());
    }
    let range = call.head.headers.get(RANGE).and_then(|range| ByteRange::parse_header(range.to_str().ok()?));
    let read = call.door.buckets.read(&bucket.id, &key, range).await?;
    let mut headers = headers(call, &bucket, &read.object);
    headers.insert(CONTENT_LENGTH, (read.range.end - read.range.start).into());
    // The last bytes of an empty file are no bytes, of which there is no range.
    let status = if range.is_some() && !read.range.is_empty() {
        let text = format!("bytes {}-{}/{}", read.range.start, read.range.end - 1, read.object.size);
        insert(&mut headers, CONTENT_RANGE, &text);
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let name = format!("{}/{key}", bucket.id);
    let body = read.body.inspect_err(move |error| tracing::error!(%error, name, "an answer was cut off"));
    Ok((status, headers, Body::from_stream(body)).into_response())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// What is said about a file, whole or in part. The stored `Content-Encoding` is not: the bytes are sent as they are,
/// and the Hub's clients would decode them.
fn headers(call: &Call<'_>, bucket: &Bucket, object: &Object) -> HeaderMap {
    let (origin, id, hash) = (call.origin.as_str(), &bucket.id, object.file);
    let mut headers = HeaderMap::new();
    insert(&mut headers, XET_HASH, &hash.to_string());
    insert(&mut headers, LINKED_SIZE, &object.size.to_string());
    insert(&mut headers, ETAG, &format!("\"{hash}\""));
    insert(&mut headers, LINKED_ETAG, &format!("\"{hash}\""));
    let link = format!(
        "<{origin}/api/buckets/{id}/xet-read-token>; rel=\"xet-auth\", \
         <{origin}/cas/v1/reconstructions/{hash}>; rel=\"xet-reconstruction-info\""
    );
    insert(&mut headers, LINK, &link);
    insert(&mut headers, ACCEPT_RANGES, "bytes");
    let content_type = object.attributes.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
    insert(&mut headers, CONTENT_TYPE, content_type);
    // What a stranger stored must not run as a page of ours in somebody's browser.
    insert(&mut headers, HeaderName::from_static("x-content-type-options"), "nosniff");
    insert(&mut headers, HeaderName::from_static("content-security-policy"), "sandbox");
    let modified_at = OffsetDateTime::from(std::time::SystemTime::from(object.modified_at));
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    if let Ok(text) = modified_at.format(format) {
        insert(&mut headers, LAST_MODIFIED, &text);
    }
    headers
}
