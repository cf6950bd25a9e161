//! What every answer has: who gave it, its id, and errors as S3 writes them. s3s writes the rest.

use axum::body::Body as AxumBody;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, SERVER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected};
use s3s::{Body, HttpResponse, S3Error};

use super::encoding::decode_url;
use super::errors::SLOW_DOWN;
use super::xml::{self, PlainError, WholeError};
use crate::serve::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// The status of a successful answer, where s3s would send 200.
#[derive(Clone, Copy)]
pub(super) struct OverrideStatus(pub(super) StatusCode);

/// The XML of a successful answer, where s3s would write another.
#[derive(Clone)]
pub(super) struct OverrideXml(pub(super) Bytes);

/// The code of the error that an answer is.
#[derive(Clone)]
pub(super) struct ErrorCode(pub(super) String);

/// What of a request is shown in its answer.
pub(super) struct Shown<'r> {
    pub(super) id: &'r str,
    pub(super) method: &'r Method,
    pub(super) uri: &'r Uri,
    /// `Range`, or the range of a copy's source.
    pub(super) range: Option<HeaderValue>,
}

/// What is answered when there is too much to do for any request to be looked at.
pub(super) fn busy(path: &str, id: &RequestId) -> Response {
    let id = id.as_str();
    let error = WholeError {
        code: "SlowDown",
        message: Some(SLOW_DOWN),
        resource: path,
        request_id: id,
        ..WholeError::default()
    };
    let content_type = [(CONTENT_TYPE, "application/xml")];
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, content_type, xml::write(&error)).into_response();
    show_id(response.headers_mut(), id);
    response
}

/// Writes an error as s3s does.
pub(super) fn error_response(error: S3Error) -> HttpResponse {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = HttpResponse::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Gives the answer what every answer has, and completes errors.
pub(super) async fn dress(response: HttpResponse, shown: &Shown<'_>) -> Response {
    let (mut parts, mut body) = response.into_parts();
    if let Some(OverrideStatus(status)) = parts.extensions.remove() {
        parts.status = status;
    }
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    if failed || parts.status == StatusCode::NOT_MODIFIED {
        let xml = read(body).await;
        let error = PlainError::read(&xml);
        parts.extensions.insert(ErrorCode(error.as_ref().map_or("-", |error| &error.code).to_owned()));
        body = match error {
            _ if shown.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED => {
                parts.headers.remove(CONTENT_LENGTH);
                parts.headers.remove(CONTENT_TYPE);
                Body::empty()
            }
            Some(error) => Body::from(complete(&error, shown, &parts.headers)),
            None => Body::from(xml),
        };
    } else if let Some(OverrideXml(xml)) = parts.extensions.remove() {
        parts.headers.remove(CONTENT_LENGTH);
        body = Body::from(xml);
    }
    // XML is in memory; what streams is the bytes of an object, whatever it says it is.
    let is_xml =
        parts.headers.get(CONTENT_TYPE).is_some_and(|of| of.as_bytes().starts_with(b"application/xml"));
    if is_xml && let Some(mended) = body.bytes().and_then(|xml| refer_to_controls(&xml)) {
        parts.headers.remove(CONTENT_LENGTH);
        body = Body::from(mended);
    }
    show_id(&mut parts.headers, shown.id);
    Response::from_parts(parts, AxumBody::new(body))
}

/// What every answer has: who gave it, and its id.
pub(super) fn show_id(headers: &mut HeaderMap, id: &str) {
    headers.insert(SERVER, HeaderValue::from_static("xetgate"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Adds to an error what s3s leaves out.
fn complete(error: &PlainError, shown: &Shown<'_>, headers: &HeaderMap) -> Bytes {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let range = shown.range.as_ref().and_then(|range| range.to_str().ok());
    let size = header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes */"));
    xml::write(&WholeError {
        code: &error.code,
        message: error.message.as_deref(),
        missed_range: range.zip(size),
        region: header(BUCKET_REGION),
        resource: &resource(shown.uri),
        request_id: shown.id,
    })
}

/// Replaces control characters in XML by references to them; `None` if there are none. XML parsers read a raw carriage
/// return as a line feed (XML 1.0, section 2.11), and s3s writes it raw. Characters that XML cannot have at all become
/// references as well, as S3 writes them: a client that is to list such names asks for `encoding-type=url`.
fn refer_to_controls(xml: &[u8]) -> Option<Vec<u8>> {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n');
    xml.iter().any(is_control).then(|| {
        let mut mended = Vec::with_capacity(xml.len() + 64);
        for byte in xml {
            if is_control(byte) {
                mended.extend(format!("&#{byte};").into_bytes());
            } else {
                mended.push(*byte);
            }
        }
        mended
    })
}

/// An XML body. It is in memory, so this neither waits nor fails.
async fn read(body: Body) -> Bytes {
    body.collect().await.map(Collected::to_bytes).unwrap_or_default()
}

/// What the request was for: the decoded path, or the path itself where XML cannot carry what it decodes to.
fn resource(uri: &Uri) -> String {
    let decoded = decode_url(uri.path()).filter(|path| !path.contains(char::is_control));
    decoded.unwrap_or_else(|| uri.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'r>(method: &'r Method, uri: &'r Uri) -> Shown<'r> {
        Shown { id: "0A", method, uri, range: None }
    }

    #[test]
    fn control_characters_come_back_from_xml() {
        assert_eq!(refer_to_controls("<Key>a\tb\nü</Key>".as_bytes()), None);
        let mended = refer_to_controls("<Key>a\rb\u{1}ü</Key>".as_bytes()).unwrap();
        assert_eq!(mended, "<Key>a&#13;b&#1;ü</Key>".as_bytes());
    }

    #[tokio::test]
    async fn an_error_names_its_resource_and_request() {
        let response = error_response(s3s::s3_error!(NoSuchKey, "gone"));
        let uri = Uri::from_static("/b/k%20&x?acl");
        let dressed = dress(response, &shown(&Method::GET, &uri)).await;
        assert_eq!(dressed.status(), StatusCode::NOT_FOUND);
        assert_eq!(dressed.headers()[REQUEST_ID], "0A");
        let body = dressed.into_body().collect().await.unwrap().to_bytes();
        let xml = String::from_utf8(body.to_vec()).unwrap();
        assert!(xml.ends_with(
            "<Code>NoSuchKey</Code><Message>gone</Message><Resource>/b/k &amp;x</Resource>\
             <RequestId>0A</RequestId></Error>"
        ));
    }

    #[tokio::test]
    async fn an_error_to_head_has_no_body() {
        let response = error_response(s3s::s3_error!(NoSuchKey));
        let dressed = dress(response, &shown(&Method::HEAD, &Uri::from_static("/b/k"))).await;
        assert!(dressed.headers().get(CONTENT_TYPE).is_none());
        assert!(dressed.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}
