//! The layer that every request of a listener passes: its id, its context, the rate limit, and its record at the end.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures::FutureExt as _;
use http_body::Body as _;

use super::access_log::Record;
use super::audit::AuditLog;
use super::context::RequestContext;
use super::counted_body::{ExpectedBytes, ReceivedBody, SentBody};
use super::instance::Instance;
use super::metrics::Metrics;
use super::rate_limit::{RateLimiter, RateLimits};
use super::request_id::{RequestId, RequestIds};
use super::traces::Traces;
use crate::model::clock::Ambient;
use crate::store::metrics::Count;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers that hold a credential: tokens, signatures, session tokens and keys of clients' own encryption.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-server-side-encryption-customer-key"),
];

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// What the layer must know of the API whose requests it observes.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Its name in the logs and metrics.
    pub name: &'static str,
    /// The response header that gives the request's id.
    pub id_header: &'static str,
    /// The API's answer to a request that is over the limit of all callers together, from the request's path and id.
    pub busy: fn(&str, &RequestId) -> Response,
    /// The API's answer to a request whose handler panicked, from the request's path and id.
    pub failed: fn(&str, &RequestId) -> Response,
}

/// What observes requests, one for all listeners.
#[derive(Clone)]
pub struct Observability {
    /// Time and randomness.
    pub ambient: Ambient,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Holds callers to their limits.
    pub rate_limiter: Arc<RateLimiter>,
    /// Keeps who did what, if it is to be kept.
    pub audit: Option<Arc<AuditLog>>,
    /// Sends spans to a collector, if there is one.
    pub traces: Option<Arc<Traces>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<Vec<IpAddr>>,
}

impl Observability {
    /// Without limits, audit log and traces; for tests.
    pub fn plain(ambient: Ambient) -> Self {
        let rate_limiter = Arc::new(RateLimiter::new(RateLimits::default()));
        let instance = Instance { version: "", mode: "standalone", node: String::new() };
        let (metrics, trusted_proxies) = (Arc::new(Metrics::of_cache(&instance, None)), Arc::default());
        Self { ambient, metrics, rate_limiter, audit: None, traces: None, trusted_proxies }
    }
}

/// The state of the layer.
pub(super) struct Observer {
    pub(super) api: Api,
    pub(super) observability: Observability,
    ids: RequestIds,
}

/// Puts the layer over the router of a listener.
pub fn observed(router: Router, api: Api, observability: Observability) -> Router {
    let ids = RequestIds::new(&*observability.ambient.entropy);
    router.layer(from_fn_with_state(Arc::new(Observer { api, observability, ids }), observe))
}

async fn observe(State(observer): State<Arc<Observer>>, mut request: Request, next: Next) -> Response {
    let (api, id) = (observer.api, observer.ids.next());
    let Observability { rate_limiter, audit, traces, metrics, .. } = &observer.observability;
    let context = RequestContext::new(Arc::clone(rate_limiter), audit.is_some() || traces.is_some());
    let received_bytes = Arc::<Count>::default();
    metrics.request_begins(api.name);
    let mut record = Record {
        observer: Arc::clone(&observer),
        context: context.clone(),
        received_bytes: Arc::clone(&received_bytes),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        id: id.clone(),
        remote: client(&request, &observer.observability.trusted_proxies),
        parent: traces.as_ref().map(|traces| traces.parent(request.headers())),
        started_at: Instant::now(),
        status: None,
        sent_bytes: 0,
        expected: ExpectedBytes::Unknown,
        permit: None,
    };
    let shows_credential = hide_credentials(request.headers_mut());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(context.clone());
    if !request.body().is_end_stream() {
        request = request.map(|body| Body::new(ReceivedBody { body, bytes: received_bytes }));
    }

    let mut response = if let Ok(permit) = rate_limiter.admit_request() {
        record.permit = Some(permit);
        let answer = AssertUnwindSafe(context.run_for_tenant(next.run(request))).catch_unwind().await;
        answer.unwrap_or_else(|panic| {
            // A panic is a fault of ours, not a reason to cut the connection: the client learns the request's id.
            tracing::error!(id = id.as_str(), panic = message_of(&*panic), "a request failed");
            context.set_error_code("InternalError");
            (api.failed)(&record.path, &id)
        })
    } else {
        context.set_error_code("SlowDown");
        (api.busy)(&record.path, &id)
    };
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(api.id_header, value);
    }
    record.status = Some(response.status());
    record.expected = ExpectedBytes::of(&record.method, &response);
    if response.status().is_client_error() || response.status().is_server_error() {
        let delay = delay_of_error(&record, &response, shows_credential);
        if !delay.is_zero() {
            // Nothing is done for the request any more, so its permits go to others meanwhile.
            record.permit = None;
            context.release_permit();
            tokio::time::sleep(delay).await;
        }
    }
    response.map(|body| Body::new(SentBody { body, record }))
}

/// Marks headers that prove who calls, so that no log shows their values, not even one that shows whole requests. Whether
/// there is an `Authorization` among them.
fn hide_credentials(headers: &mut HeaderMap) -> bool {
    let mut has_authorization = false;
    for (name, value) in headers.iter_mut().filter(|(name, _)| CREDENTIALS.contains(name)) {
        value.set_sensitive(true);
        has_authorization |= *name == header::AUTHORIZATION;
    }
    has_authorization
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

/// Codes of S3 that say that a credential is wrong.
const WRONG_CREDENTIAL: [&str; 2] = ["InvalidAccessKeyId", "SignatureDoesNotMatch"];

/// Whether an answer says that the caller is over a limit: S3's code, or the Hub's status.
fn is_slow_down(code: Option<&str>, status: StatusCode) -> bool {
    code == Some("SlowDown") || status == StatusCode::TOO_MANY_REQUESTS
}

/// Notes the code of an error; how long the answer to a wrong credential is to be held back.
fn delay_of_error(record: &Record, response: &Response, shows_credential: bool) -> Duration {
    if let Some(code) = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok()) {
        record.context.set_error_code(code);
    }
    let (code, status) = (record.context.error_code(), response.status());
    let Observability { metrics, rate_limiter, .. } = &record.observer.observability;
    if is_slow_down(code, status) {
        metrics.request_slowed_down(record.observer.api.name);
    }
    let is_wrong = code.is_some_and(|code| WRONG_CREDENTIAL.contains(&code))
        || (status == StatusCode::UNAUTHORIZED && shows_credential);
    let remote = record.remote.filter(|_| is_wrong);
    remote.map_or(Duration::ZERO, |remote| rate_limiter.delay(remote.ip().to_canonical(), Instant::now()))
}

/// Where a request comes from: the peer of the connection or, if that is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not a trusted proxy's. Its port is that of the connection.
fn client(request: &Request, trusted: &[IpAddr]) -> Option<SocketAddr> {
    let mut client = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0;
    if trusted.is_empty() {
        return Some(client);
    }
    let forwarded = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        if !trusted.contains(&client.ip().to_canonical()) {
            break;
        }
        let Ok(before) = hop.parse() else { break };
        client.set_ip(before);
    }
    Some(client)
}

#[cfg(test)]
mod tests;
