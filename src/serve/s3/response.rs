//! The answer to a request: errors as S3 writes them, and the headers that every answer has.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, SERVER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected};
use s3s::{HttpResponse, S3Error, S3ErrorCode, S3Result};

use super::encoding::decode_url;
use super::errors::SLOW_DOWN;
use super::xml::{self, ErrorDocument, PlainError};
use crate::serve::http::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
const APPLICATION_XML: HeaderValue = HeaderValue::from_static("application/xml");

/// The XML of a successful answer, if s3s would write another.
#[derive(Clone)]
pub(super) struct OverrideXml(pub(super) Bytes);

/// What an error repeats of its request.
pub(super) struct Shown<'r> {
    pub(super) id: &'r str,
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    /// `Range`, or the range of a copy's source.
    pub(super) range: Option<HeaderValue>,
}

/// The answer when there are too many requests to look at another one.
pub(super) fn busy(path: &str, id: &RequestId) -> Response {
    without_operation(StatusCode::SERVICE_UNAVAILABLE, ("SlowDown", SLOW_DOWN), path, id)
}

/// The answer when an operation panicked.
pub(super) fn failed(path: &str, id: &RequestId) -> Response {
    let error = ("InternalError", "We encountered an internal error. Please try again.");
    without_operation(StatusCode::INTERNAL_SERVER_ERROR, error, path, id)
}

/// An error that no operation has answered.
fn without_operation(
    status: StatusCode,
    (code, message): (&'static str, &'static str),
    path: &str,
    id: &RequestId,
) -> Response {
    let error = ErrorDocument::new(code, Some(message), path, id.as_str());
    let content_type = [(CONTENT_TYPE, APPLICATION_XML)];
    finish((status, content_type, xml::write(&error)).into_response(), id.as_str())
}

/// An error as an answer. An answer to HEAD has no body, nor has 304.
pub(super) fn error_response(error: &S3Error, shown: &Shown<'_>) -> Response {
    let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = error.headers().cloned().unwrap_or_default();
    headers.remove(CONTENT_LENGTH);
    let body = if *shown.method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_TYPE);
        Body::empty()
    } else {
        headers.insert(CONTENT_TYPE, APPLICATION_XML);
        Body::from(error_xml(error, shown, &headers))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn error_xml(error: &S3Error, shown: &Shown<'_>, headers: &HeaderMap) -> Bytes {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let range = shown.range.as_ref().and_then(|range| range.to_str().ok());
    let object_size = header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes */"));
    let resource = resource(shown.uri);
    let document = ErrorDocument::new(error.code().as_str(), error.message(), &resource, shown.id);
    xml::write(&document.with_range(range, object_size).with_region(header(BUCKET_REGION)))
}

/// What the request was for: the decoded path, or the path itself where XML cannot carry what it decodes to.
fn resource(uri: &Uri) -> Cow<'_, str> {
    let decoded = decode_url(uri.path()).filter(|path| !path.contains(char::is_control));
    decoded.unwrap_or(Cow::Borrowed(uri.path()))
}

/// The answer of s3s; an error as such, so that all errors are written by [`error_response`].
pub(super) async fn from_s3s(response: HttpResponse) -> S3Result<Response> {
    let (mut parts, mut body) = response.into_parts();
    if parts.status.is_client_error() || parts.status.is_server_error() {
        // It is in memory, so this neither waits nor fails.
        let xml = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let Some(PlainError { code, message }) = PlainError::read(&xml) else {
            return Ok(Response::from_parts(parts, Body::from(xml)));
        };
        let Ok(code) = code.parse::<S3ErrorCode>();
        let mut error = S3Error::new(code);
        if let Some(message) = message {
            error.set_message(message);
        }
        error.set_status_code(parts.status);
        error.set_headers(parts.headers);
        return Err(error);
    }
    let overridden = parts.extensions.remove().map(|OverrideXml(xml)| xml);
    let is_xml = parts.headers.get(CONTENT_TYPE) == Some(&APPLICATION_XML);
    // XML is in memory; a body that streams is an object's, whatever its type is.
    if let Some(xml) = overridden.or_else(|| body.bytes().filter(|_| is_xml)) {
        parts.headers.remove(CONTENT_LENGTH);
        body = s3s::Body::from(xml::escape_controls(xml));
    }
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// Adds the headers that every answer has: the server's name, and the request's id.
pub(super) fn finish(mut response: Response, id: &str) -> Response {
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("xetgate"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'r>(method: &'r Method, uri: &'r Uri) -> Shown<'r> {
        Shown { id: "0A", method, uri, range: None }
    }

    #[tokio::test]
    async fn an_error_names_its_resource_and_request() {
        let uri = Uri::from_static("/b/k%20&x?acl");
        let response = error_response(&s3s::s3_error!(NoSuchKey, "gone"), &shown(&Method::GET, &uri));
        let response = finish(response, "0A");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[REQUEST_ID], "0A");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let xml = String::from_utf8(body.to_vec()).unwrap();
        assert!(xml.ends_with(
            "<Code>NoSuchKey</Code><Message>gone</Message><Resource>/b/k &amp;x</Resource>\
             <RequestId>0A</RequestId></Error>"
        ));
    }

    #[tokio::test]
    async fn an_error_to_head_has_no_body() {
        let uri = Uri::from_static("/b/k");
        let response = error_response(&s3s::s3_error!(NoSuchKey), &shown(&Method::HEAD, &uri));
        assert!(response.headers().get(CONTENT_TYPE).is_none());
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[tokio::test]
    async fn an_error_of_s3s_keeps_code_message_and_status() {
        let error = s3s::s3_error!(SlowDown, "later < soon");
        let error = from_s3s(error.to_http_response().unwrap()).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (&S3ErrorCode::SlowDown, Some("later < soon")));
        assert_eq!(error.status_code(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}
