//! The first and last stop of every request: authentication, and the answer with its id.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, EXPECT, HOST, ORIGIN, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use axum::response::Response;
use http_body::Body as _;
use s3s::service::S3Service;
use s3s::{HttpRequest, HttpResponse, S3Result};
use tracing::Instrument as _;

use super::addressing::Located;
use super::auth::{Head, Proof, Rules, SigningKeys};
use super::context::Visitor;
use super::lane::PlainRead;
use super::response::{ErrorCode, Shown, dress, error_response, show_id};
use super::{FORM, PREFLIGHT, S3Door, auth, cors, form, route};
use crate::auth::Caller;
use crate::serve::RequestId;
use crate::serve::visit::Visit;

const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");

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
        let Ok(Kind::Operation(_, proof)) = kind else { return None };
        PlainRead::of(&self.door, &proof.caller, request)
    }

    /// Answers a plain read; `None` for all that has to go the long way.
    async fn answer_plainly(&self, read: Option<PlainRead>, id: &str) -> Option<Response> {
        let mut response = read?.answer(&self.door, id).await?;
        show_id(response.headers_mut(), id);
        Some(response)
    }

    async fn answer_preflight(&self, headers: &HeaderMap, uri: &Uri) -> S3Result<HttpResponse> {
        let (door, bucket) = self.door.cors_bucket(headers, uri, None).await?;
        cors::preflight(door, bucket.as_ref(), headers).await
    }

    /// Answers a request, and says who has made it if that came out.
    async fn answer(&self, kind: Kind, request: Request) -> (S3Result<HttpResponse>, Option<Arc<Visitor>>) {
        let visit = Visit::of(request.extensions());
        match kind {
            Kind::Preflight => {
                visit.is_for(PREFLIGHT);
                (self.answer_preflight(request.headers(), request.uri()).await, None)
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
        let meant = if let Some(visitor) = visitor {
            let bucket = visitor.target.as_ref().map(|target| target.id().clone());
            Ok((self.door.of(&visitor.caller), bucket))
        } else {
            let proved = visit.caller().cloned().map(Caller::Known);
            self.door.cors_bucket(headers, uri, proved).await
        };
        // The request itself was answered; a page whose bucket cannot be looked up is granted nothing.
        let Ok((door, bucket)) = meant else { return HeaderMap::new() };
        cors::headers(door, bucket.as_ref(), method, headers).await
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
