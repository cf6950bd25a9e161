//! The first and last step of every request: authentication, and the answer with its id.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, EXPECT, HOST, ORIGIN, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use axum::response::Response;
use http_body::Body as _;
use s3s::S3Result;
use s3s::service::S3Service;

use super::addressing::{Located, Names};
use super::auth::{Head, Proof, Rules, SigningKeys};
use super::context::Context;
use super::response::{Shown, error_response, finish};
use super::{FORM, PREFLIGHT, S3Api, auth, cors, errors, form, request, route};
use crate::auth::Caller;
use crate::serve::http::RequestContext;
use crate::serve::http::RequestId;

const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");

/// The API, and what it keeps between requests.
pub(super) struct Handler {
    api: Arc<S3Api>,
    keys: SigningKeys,
    service: S3Service,
}

/// What a request is, by its head.
enum Kind {
    /// What a browser sends before it lets a page send a request; never signed.
    Preflight,
    /// An upload by a form, whose fields are signed.
    Form,
    /// An operation, whose caller is authenticated.
    Operation(Box<(Located, Names, Proof)>),
}

impl Handler {
    /// For this API.
    pub(super) fn new(api: Arc<S3Api>) -> Self {
        Self { api, keys: SigningKeys::default(), service: route::service() }
    }

    /// Authenticates a request.
    fn authenticate(&self, request: &Request) -> S3Result<Kind> {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        auth::check_size(uri, headers)?;
        if method == Method::OPTIONS {
            return Ok(Kind::Preflight);
        }
        let api = &self.api;
        let now = api.clock.clock.now();
        let rules = Rules { region: &api.region, signature_v2: api.signature_v2, now };
        let head = Head::new(method, uri, headers);
        let claim = auth::claim(&head, rules)?;
        if form::is_form(request) {
            return Ok(Kind::Form);
        }
        let located = api.addressing.locate(headers, uri)?;
        let names = located.names()?;
        let keys = (&*api.directory, &self.keys);
        let proof = auth::prove(&claim, &head, keys, rules, located.bucket_in_host())?;
        Ok(Kind::Operation(Box::new((located, names, proof))))
    }

    /// Answers a request; also gives its context if it came to have one. What few requests need is boxed, here and below:
    /// the future of every request is as large as its largest branch, and is moved several times.
    async fn answer(&self, request: Request, id: &Arc<str>) -> (S3Result<Response>, Option<Arc<Context>>) {
        let record = RequestContext::of(request.extensions());
        let prepared = match self.authenticate(&request) {
            Ok(Kind::Preflight) => {
                record.set_operation(PREFLIGHT);
                let answer = Box::pin(self.answer_preflight(request.headers(), request.uri()));
                return (answer.await, None);
            }
            Ok(Kind::Form) => {
                record.set_operation(FORM);
                return (Box::pin(form::post(&self.api, &self.keys, request)).await, None);
            }
            Ok(Kind::Operation(operation)) => {
                let (located, names, proof) = *operation;
                request::prepare(&self.api, request, id, proof, &located, names).await
            }
            Err(error) => Err(error),
        };
        match prepared {
            Ok((context, request)) => (route::call(&self.service, &context, request).await, Some(context)),
            Err(error) => (Err(error), None),
        }
    }

    async fn answer_preflight(&self, headers: &HeaderMap, uri: &Uri) -> S3Result<Response> {
        let (api, bucket) = self.api.cors_bucket(headers, uri, None).await?;
        cors::preflight(api, bucket.as_ref(), headers).await
    }

    /// The headers that say what a page of another origin may do with an answer, by the rules of the bucket.
    async fn cors_headers(
        &self,
        context: Option<&Context>,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        record: &RequestContext,
    ) -> S3Result<HeaderMap> {
        let (api, bucket) = if let Some(context) = context {
            (&context.api, context.target.as_ref().map(|target| target.id().clone()))
        } else {
            let proved = record.caller().cloned().map(Caller::Known);
            self.api.cors_bucket(headers, uri, proved).await?
        };
        cors::headers(api, bucket.as_ref(), method, headers).await
    }
}

/// Serves one request.
pub(super) async fn handle(State(handler): State<Arc<Handler>>, mut request: Request) -> Response {
    // The listener gives every request its id; without a listener, in tests, it gets one here.
    let id = request.extensions().get::<RequestId>();
    let id: Arc<str> =
        id.map_or_else(|| hex::encode_upper(handler.api.clock.random::<8>()).into(), |id| id.as_str().into());
    name_host(&mut request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let record = RequestContext::of(request.extensions());
    let close = must_close(&request);
    let range = [RANGE, COPY_SOURCE_RANGE].iter().find_map(|name| request.headers().get(name).cloned());
    let origin = request.headers().contains_key(ORIGIN).then(|| request.headers().clone());

    let (answer, context) = handler.answer(request, &id).await;
    let mut response = answer.unwrap_or_else(|error| {
        errors::log(&error, &id, &uri);
        record.set_error_code(error.code().as_str());
        error_response(&error, &Shown { id: &id, method: &method, uri: &uri, range })
    });
    if let Some(headers) = origin.filter(|_| method != Method::OPTIONS) {
        let sent = (&method, &uri, &headers);
        match Box::pin(handler.cors_headers(context.as_deref(), sent, &record)).await {
            Ok(headers) => response.headers_mut().extend(headers),
            // The request itself was answered; the page is granted nothing.
            Err(error) => errors::log(&error, &id, &uri),
        }
    }
    if close {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    finish(response, &id)
}

/// Adds the `Host` header to an HTTP/2 request, which names its host in the URI: the header is signed.
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
/// asks for one with every file, then takes the next answer on the connection for the missing one.
fn must_close(request: &Request) -> bool {
    request.headers().contains_key(EXPECT) && request.body().is_end_stream()
}

#[cfg(test)]
impl Handler {
    /// Whether a request proves its caller.
    pub(super) fn is_authenticated(&self, request: &Request) -> bool {
        let Ok(Kind::Operation(operation)) = self.authenticate(request) else { return false };
        operation.2.caller.credential().is_some()
    }
}
