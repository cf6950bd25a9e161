//! The first and last stop of every request: its id, authentication, and the answer's dress.

use std::sync::Arc;

use axum::body::Body as AxumBody;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, EXPECT, HOST, ORIGIN, RANGE, SERVER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use axum::response::{IntoResponse as _, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use s3s::service::S3Service;
use s3s::{Body, HttpRequest, HttpResponse, S3Error, S3Result};
use tracing::Instrument as _;

use super::addressing::Located;
use super::auth::{Head, Proof, Rules, SigningKeys};
use super::context::Visitor;
use super::encoding::decode_url;
use super::errors::SLOW_DOWN;
use super::lane::PlainRead;
use super::{FORM, PREFLIGHT, S3Door, auth, cors, form, route};
use crate::auth::Caller;
use crate::serve::RequestId;
use crate::serve::visit::Visit;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// The door and its s3s service.
pub(super) struct Front {
    door: Arc<S3Door>,
    keys: SigningKeys,
    operations: S3Service,
}

/// What a request is, by its head.
enum Kind {
    /// What a browser asks before it lets a page ask; never signed.
    Preflight,
    /// An upload by a form, whose body proves the caller.
    Form,
    /// Anything else; the caller is proved.
    Operation(Box<Located>, Proof),
}

/// The status of a successful answer, where s3s would send 200.
#[derive(Clone, Copy)]
pub(super) struct OverrideStatus(pub(super) StatusCode);

/// The `ETag` in the answer's XML has no quotes, as `GetObjectAttributes` alone wants it; s3s always writes them.
#[derive(Clone, Copy)]
pub(super) struct BareETag;

/// The code of the error that an answer is.
#[derive(Clone)]
struct ErrorCode(String);

impl ErrorCode {
    fn of(xml: &str) -> Self {
        let code = xml.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        Self(code.map_or_else(|| "-".to_owned(), |(code, _)| code.to_owned()))
    }
}

impl Front {
    /// Puts the parts together.
    pub(super) fn new(door: Arc<S3Door>) -> Self {
        let operations = route::service(&door);
        Self { door, keys: SigningKeys::default(), operations }
    }

    /// Authenticates a request.
    fn kind(&self, request: &Request) -> S3Result<Kind> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        auth::check_size(uri, headers)?;
        if method == Method::OPTIONS {
            return Ok(Kind::Preflight);
        }
        let door = &self.door;
        let now = door.clock.clock.now();
        let rules = Rules { region: &door.region, signature_v2: door.signature_v2, now };
        let head = Head::new(method, uri, headers);
        let claim = auth::claim(&head, rules)?;
        if form::is_form(request) {
            return Ok(Kind::Form);
        }
        let located = door.addressing.locate(headers, uri)?;
        located.check()?;
        let bucket_in_host = located.bucket_in_host();
        let proof =
            auth::prove(&claim, &head, (&door.directory, &self.keys), rules, bucket_in_host.as_deref())?;
        Ok(Kind::Operation(Box::new(located), proof))
    }

    /// Takes a plain read apart; `None` for a request that has to go the long way.
    fn plain_read(&self, kind: &S3Result<Kind>, request: &Request) -> Option<PlainRead> {
        match kind {
            Ok(Kind::Operation(_, proof)) => PlainRead::of(&self.door, &proof.caller, request),
            _ => None,
        }
    }

    /// Answers a plain read; `None` for all that has to go the long way.
    async fn answer_plainly(&self, read: Option<PlainRead>, id: &str) -> Option<Response> {
        let mut response = read?.answer(&self.door, id).await?;
        show_id(response.headers_mut(), id);
        Some(response)
    }

    async fn answer_preflight(&self, request: &Request) -> S3Result<HttpResponse> {
        let (door, bucket) = self.door.cors_bucket(request.headers(), request.uri(), None).await?;
        cors::preflight(door, bucket.as_ref(), request.headers()).await
    }

    /// Answers a request, and says who has made it if that came out.
    async fn answer(&self, kind: Kind, request: Request) -> (S3Result<HttpResponse>, Option<Arc<Visitor>>) {
        let visit = Visit::of(request.extensions());
        match kind {
            Kind::Preflight => {
                visit.is_for(PREFLIGHT);
                (self.answer_preflight(&request).await, None)
            }
            Kind::Form => {
                visit.is_for(FORM);
                (form::post(&self.door, &self.keys, request).await, None)
            }
            Kind::Operation(located, proof) => {
                match route::admit(&self.door, request, proof, &located).await {
                    Ok((request, visitor)) => (self.operate(request).await, Some(visitor)),
                    Err(error) => (Err(error), None),
                }
            }
        }
    }

    async fn operate(&self, request: HttpRequest) -> S3Result<HttpResponse> {
        self.operations.call(request).await.map_err(|error| {
            // Only an answer that cannot be written as headers or XML ends here.
            let error = s3s::StdError::from(error);
            tracing::error!(%error, "an answer could not be written");
            s3s::s3_error!(InternalError, "We encountered an internal error. Please try again.")
        })
    }

    /// What the rules of the bucket tell a page of another origin about an answer.
    async fn cors_headers(
        &self,
        visitor: Option<&Visitor>,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        visit: &Visit,
    ) -> HeaderMap {
        let meant = match visitor {
            Some(visitor) => {
                let bucket = visitor.target.as_ref().map(|target| target.id().clone());
                Ok((self.door.of(&visitor.caller), bucket))
            }
            None => {
                let proved = visit.caller().cloned().map(Caller::Known);
                self.door.cors_bucket(headers, uri, proved).await
            }
        };
        match meant {
            Ok((door, bucket)) => cors::headers(door, bucket.as_ref(), method, headers).await,
            Err(_) => HeaderMap::new(),
        }
    }
}

/// Serves one request.
pub(super) async fn handle(State(front): State<Arc<Front>>, mut request: Request) -> Response {
    // The listener gives every request its id; one that came without a listener is a test's.
    let id = request.extensions().get::<RequestId>().cloned();
    let id =
        id.map_or_else(|| hex::encode_upper(front.door.clock.random::<8>()), |id| id.as_str().to_owned());
    name_host(&mut request);
    let kind = front.kind(&request);
    let plain = front.plain_read(&kind, &request);
    if let Some(response) = front.answer_plainly(plain, &id).await {
        return response;
    }
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let visit = Visit::of(request.extensions());
    let close = must_close(&request);
    let range = [RANGE, COPY_SOURCE_RANGE].iter().find_map(|name| request.headers().get(name).cloned());
    let span = tracing::info_span!("s3", request_id = %id, %method, path = uri.path());
    async {
        let origin = request.headers().contains_key(ORIGIN).then(|| request.headers().clone());
        let (response, visitor) = match kind {
            Ok(kind) => front.answer(kind, request).await,
            Err(error) => (Err(error), None),
        };
        let response = response.unwrap_or_else(error_response);
        let mut response = dress(response, &Shown { id: &id, method: &method, uri: &uri, range }).await;
        if let Some(ErrorCode(code)) = response.extensions_mut().remove() {
            visit.ends_with(&code);
        }
        if let Some(headers) = origin.filter(|_| method != Method::OPTIONS) {
            let asked = (&method, &uri, &headers);
            response.headers_mut().extend(front.cors_headers(visitor.as_deref(), asked, &visit).await);
        }
        if close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}

/// HTTP/2 names the host in the address, where HTTP/1 has a header for it, which is signed.
fn name_host(request: &mut Request) {
    let is_newer = matches!(request.version(), Version::HTTP_2 | Version::HTTP_3);
    if is_newer
        && !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// Whether the connection must not be used again: hyper sends no `100 Continue` for an empty body, and botocore, which
/// asks for one with every file, misreads the answer behind the next one on a connection where it once did not come.
fn must_close(request: &Request) -> bool {
    request.headers().contains_key(EXPECT) && request.body().is_end_stream()
}

/// What is answered when there is too much to do for any request to be looked at.
pub(super) fn busy(path: &str, id: &RequestId) -> Response {
    let (path, id) = (escape(path), id.as_str());
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code><Message>{SLOW_DOWN}</Message>\
         <Resource>{path}</Resource><RequestId>{id}</RequestId></Error>"
    );
    let mut response =
        (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, "application/xml")], xml).into_response();
    show_id(response.headers_mut(), id);
    response
}

/// Writes an error as s3s does.
fn error_response(error: S3Error) -> HttpResponse {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = HttpResponse::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// What of a request is shown in its answer.
struct Shown<'r> {
    id: &'r str,
    method: &'r Method,
    uri: &'r Uri,
    /// `Range`, or the range of a copy's source.
    range: Option<HeaderValue>,
}

/// Gives the answer what every answer has, and completes errors.
async fn dress(response: HttpResponse, shown: &Shown<'_>) -> Response {
    let (mut parts, mut body) = response.into_parts();
    if let Some(OverrideStatus(status)) = parts.extensions.remove() {
        parts.status = status;
    }
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    if parts.status == StatusCode::NOT_MODIFIED || (failed && shown.method == Method::HEAD) {
        parts.extensions.insert(ErrorCode::of(&text(body).await));
        body = Body::empty();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(CONTENT_TYPE);
    } else if failed {
        let xml = text(body).await;
        parts.extensions.insert(ErrorCode::of(&xml));
        body = complete_error(xml, shown, &parts.headers);
    } else if parts.extensions.remove::<BareETag>().is_some() {
        let xml = text(body).await.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>");
        parts.headers.remove(CONTENT_LENGTH);
        body = Body::from(xml);
    }
    // XML is in memory; what streams is the bytes of an object, whatever it says it is.
    let is_xml =
        parts.headers.get(CONTENT_TYPE).is_some_and(|of| of.as_bytes().starts_with(b"application/xml"));
    if let Some(mended) = body.bytes().filter(|_| is_xml).and_then(|xml| refer_to_controls(&xml)) {
        parts.headers.remove(CONTENT_LENGTH);
        body = Body::from(mended);
    }
    show_id(&mut parts.headers, shown.id);
    Response::from_parts(parts, AxumBody::new(body))
}

/// What every answer has: who gave it, and its id.
fn show_id(headers: &mut HeaderMap, id: &str) {
    headers.insert(SERVER, HeaderValue::from_static("xetgate"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}

/// What `InvalidRange` says of the range and the object: clients of the AWS Common Runtime learn from it that an object is
/// empty.
fn missed_range(shown: &Shown<'_>, headers: &HeaderMap) -> Option<String> {
    let size = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?;
    let range = escape(shown.range.as_ref()?.to_str().ok()?);
    Some(format!("<RangeRequested>{range}</RangeRequested><ActualObjectSize>{size}</ActualObjectSize>"))
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

/// Adds to an error's XML what s3s leaves out: a message if there is none, `RangeRequested` and `ActualObjectSize`,
/// `Region`, `Resource`, `RequestId`.
fn complete_error(xml: String, shown: &Shown<'_>, headers: &HeaderMap) -> Body {
    let Some((head, _)) = xml.rsplit_once("</Error>") else {
        return Body::from(xml);
    };
    let message = if head.contains("<Message>") { "" } else { "<Message>The request was refused.</Message>" };
    let region = headers.get(BUCKET_REGION).and_then(|value| value.to_str().ok());
    let region = region.map(|region| format!("<Region>{}</Region>", escape(region))).unwrap_or_default();
    let range = missed_range(shown, headers).unwrap_or_default();
    let (resource, id) = (escape(&resource(shown.uri)), shown.id);
    Body::from(format!(
        "{head}{message}{range}{region}<Resource>{resource}</Resource><RequestId>{id}</RequestId></Error>"
    ))
}

/// An XML body. It is a text in memory, so this neither waits nor fails.
async fn text(body: Body) -> String {
    let collected = body.collect().await.map(http_body_util::Collected::to_bytes);
    String::from_utf8_lossy(&collected.unwrap_or_default()).into_owned()
}

/// What the request was for: the decoded path, or the path itself where XML cannot carry what it decodes to.
fn resource(uri: &Uri) -> String {
    let decoded = decode_url(uri.path()).filter(|path| !path.contains(char::is_control));
    decoded.unwrap_or_else(|| uri.path().to_owned())
}

/// A text for XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
impl Front {
    /// The plain read that a request is, if it is one.
    pub(super) fn plain_read_of(&self, request: &Request) -> Option<PlainRead> {
        self.plain_read(&self.kind(request), request)
    }

    /// Whether a request proves its caller.
    pub(super) fn is_proved(&self, request: &Request) -> bool {
        matches!(self.kind(request), Ok(Kind::Operation(_, proof)) if proof.caller.credential().is_some())
    }
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
