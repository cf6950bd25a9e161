//! `/buckets/{ns}/{name}/resolve/{path}`: a file's metadata in headers, and its bytes.
//!
//! HEAD is answered here, not by a redirect: the client reads size, hash and the address of the CAS token
//! from this answer's headers. A client that accepts [`FILE_INFO`] is answered with the same facts as JSON in place of the
//! bytes, and fetches these from the CAS. Source: `@huggingface/hub`, `fileDownloadInfo`; `OpenDAL`, service `hf`.

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, LAST_MODIFIED, LINK,
    RANGE, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::IntoResponse as _;
use futures::TryStreamExt as _;
use serde_json::json;

use super::call::Call;
use super::error::{HubError, HubResult};
use crate::auth::Action;
use crate::bucket::{
    Bucket, BucketError, ByteRange, FileHash, Object, ObjectKey, ObjectRead, ObjectRef, Timestamp,
};

const XET_HASH: HeaderName = HeaderName::from_static("x-xet-hash");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");

/// The media type of a file's description.
const FILE_INFO: &str = "application/vnd.xet-fileinfo+json";

/// What is served of a file whose uploader did not say what it is.
const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// HEAD and GET.
pub(super) async fn resolve(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    let key = ObjectKey::new(&call.names()?.path).map_err(|_| HubError::no_such_entry())?;
    if accepts_file_info(&call.headers) {
        return file_info(&call, &bucket, &key).await;
    }
    if call.method == Method::HEAD {
        let object = call.api.buckets.object(&bucket.id, ObjectRef::current(&key)).await?;
        let mut headers = headers(&call, &bucket, &object);
        headers.insert(CONTENT_LENGTH, object.size.into());
        return Ok((headers, Body::empty()).into_response());
    }
    let (read, is_part) = open(&call, &bucket, &key).await?;
    let mut headers = headers(&call, &bucket, &read.object);
    headers.insert(CONTENT_LENGTH, (read.range.end - read.range.start).into());
    // The last bytes of an empty file are no bytes, of which there is no range.
    let status = if is_part && !read.range.is_empty() {
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

/// Opens the file, and says whether it is the range that was asked for. A range of a file that is no longer the one that
/// `If-Range` names is not served: the client would join two files. Source: RFC 9110, section 13.1.5.
async fn open(call: &Call, bucket: &Bucket, key: &ObjectKey) -> Result<(ObjectRead, bool), BucketError> {
    let (buckets, asked, file) = (&call.api.buckets, &call.headers, ObjectRef::current(key));
    let range = asked.get(RANGE).and_then(|range| ByteRange::parse_header(range.to_str().ok()?));
    let Some(range) = range else {
        return Ok((buckets.read(&bucket.id, file, None).await?, false));
    };
    let Some(validator) = asked.get(IF_RANGE) else {
        return Ok((buckets.read(&bucket.id, file, Some(range)).await?, true));
    };
    if names(validator, &buckets.object(&bucket.id, file).await?) {
        let read = buckets.read(&bucket.id, file, Some(range)).await?;
        // It may have been written in between.
        if names(validator, &read.object) {
            return Ok((read, true));
        }
    }
    Ok((buckets.read(&bucket.id, file, None).await?, false))
}

/// Whether a validator is of the file as it is: its `ETag`, which is never weak here, or its `Last-Modified` to the second.
fn names(validator: &HeaderValue, object: &Object) -> bool {
    let Ok(text) = validator.to_str() else { return false };
    text == etag(&object.file)
        || httpdate::parse_http_date(text).is_ok_and(|at| last_modified(object.modified_at) == at)
}

/// Whether `Accept` names the media type of a file's description. `*/*` does not: the bytes are what is meant by that.
fn accepts_file_info(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(FILE_INFO));
        let mut weights = parts.filter_map(|parameter| {
            let (name, weight) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| weight.trim().parse::<f32>().unwrap_or(1.0))
        });
        is_named && weights.next().is_none_or(|weight| weight > 0.0)
    })
}

/// The description of a file in place of its bytes. `Range` is of the bytes, and has no meaning here; the empty file is
/// described like any other.
async fn file_info(call: &Call, bucket: &Bucket, key: &ObjectKey) -> HubResult {
    let object = call.api.buckets.object(&bucket.id, ObjectRef::current(key)).await?;
    let addresses = Addresses::new(call, bucket, &object.file);
    let body = json!({
        "hash": object.file.to_string(),
        "size": object.size,
        "etag": etag(&object.file),
        "refreshUrl": addresses.refresh,
        "reconstructionUrl": addresses.reconstruction,
    });
    let text = body.to_string();
    let mut headers = headers(call, bucket, &object);
    headers.remove(ACCEPT_RANGES);
    insert(&mut headers, CONTENT_TYPE, FILE_INFO);
    headers.insert(CONTENT_LENGTH, text.len().into());
    let body = if call.method == Method::HEAD { Body::empty() } else { Body::from(text) };
    Ok((headers, body).into_response())
}

/// Where a client that speaks Xet goes on from a file.
struct Addresses {
    /// For a token of the CAS.
    refresh: String,
    /// For what the file is made of.
    reconstruction: String,
}

impl Addresses {
    fn new(call: &Call, bucket: &Bucket, file: &FileHash) -> Self {
        let origin = call.origin.as_str();
        Self {
            refresh: format!("{origin}/api/buckets/{}/xet-read-token", bucket.id),
            reconstruction: format!("{origin}/cas/v1/reconstructions/{file}"),
        }
    }
}

fn etag(file: &FileHash) -> String {
    format!("\"{file}\"")
}

fn last_modified(at: Timestamp) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.secs())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// What is said about a file, whole or in part. The stored `Content-Encoding` is not: the bytes are sent as they are,
/// and the Hub's clients would decode them.
fn headers(call: &Call, bucket: &Bucket, object: &Object) -> HeaderMap {
    let hash = object.file;
    let mut headers = HeaderMap::new();
    insert(&mut headers, XET_HASH, &hash.to_string());
    insert(&mut headers, LINKED_SIZE, &object.size.to_string());
    insert(&mut headers, ETAG, &etag(&hash));
    insert(&mut headers, LINKED_ETAG, &etag(&hash));
    let Addresses { refresh, reconstruction } = Addresses::new(call, bucket, &hash);
    let link = format!("<{refresh}>; rel=\"xet-auth\", <{reconstruction}>; rel=\"xet-reconstruction-info\"");
    insert(&mut headers, LINK, &link);
    insert(&mut headers, VARY, "Accept");
    insert(&mut headers, ACCEPT_RANGES, "bytes");
    let content_type = object.attributes.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
    insert(&mut headers, CONTENT_TYPE, content_type);
    // Stored files come from any user: a browser must not run them as pages of ours.
    insert(&mut headers, HeaderName::from_static("x-content-type-options"), "nosniff");
    insert(&mut headers, HeaderName::from_static("content-security-policy"), "sandbox");
    insert(&mut headers, LAST_MODIFIED, &httpdate::fmt_http_date(last_modified(object.modified_at)));
    headers
}
