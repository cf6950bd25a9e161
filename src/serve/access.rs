//! A request's id, its one line in the log, and what else is kept of it: metrics, the audit log, traces, limits.
//!
//! The line is written when the last byte of the answer has left, or the client has; so it says how much was sent
//! and how long it took, whatever became of the request. It holds the path but never the query: presigned URLs carry
//! their signature there.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use opentelemetry::Context as SpanContext;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::audit::{AuditLog, Entry};
use super::guard::{Guard, Limits, Permit};
use super::metrics::{Ended, Metrics};
use super::traces::{self, Traces};
use super::visit::Visit;
use crate::model::clock::{Ambient, Entropy};
use crate::store::figures::Count;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// A listener whose requests are observed.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// Its name in the log.
    pub door: &'static str,
    /// The response header that gives the request's id.
    pub id_header: &'static str,
    /// What is answered, in the listener's words, when there is too much to do; of the request with this path and id.
    pub busy: fn(&str, &RequestId) -> Response,
}

/// Who observes, for all listeners.
#[derive(Clone)]
pub struct Watch {
    /// Time and randomness.
    pub ambient: Ambient,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Holds callers to their limits.
    pub guard: Arc<Guard>,
    /// Keeps who did what, if it is to be kept.
    pub audit: Option<Arc<AuditLog>>,
    /// Sends spans to a collector, if there is one.
    pub traces: Option<Arc<Traces>>,
    /// Proxies that say truly whom they speak for.
    pub trusted_proxies: Arc<Vec<IpAddr>>,
}

impl Watch {
    /// Without limits, and nobody reads what is counted.
    pub fn plain(ambient: Ambient) -> Self {
        let guard = Arc::new(Guard::new(Limits::default()));
        let (metrics, trusted_proxies) = (Arc::default(), Arc::default());
        Self { ambient, metrics, guard, audit: None, traces: None, trusted_proxies }
    }
}

/// A request's id: 16 upper-case hexadecimal digits, as AWS's are. A request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the layer knows of where it is.
struct Place {
    listener: Observed,
    watch: Watch,
    ids: RequestIds,
}

/// Gives out ids that no two requests of a process share. They tell requests apart and guard nothing, so only the first
/// is asked of the system: that would take longer than all else that is done for an id.
struct RequestIds(AtomicU64);

impl RequestIds {
    fn new(entropy: &dyn Entropy) -> Self {
        let mut first = [0; 8];
        entropy.fill(&mut first);
        Self(AtomicU64::new(u64::from_be_bytes(first)))
    }

    fn next(&self) -> RequestId {
        // Each step can be undone, so that different numbers stay different; the multipliers are those of SplitMix64.
        let mut number = self.0.fetch_add(1, Ordering::Relaxed);
        for multiplier in [0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB] {
            number = (number ^ (number >> 30)).wrapping_mul(multiplier);
        }
        RequestId(format!("{:016X}", number ^ (number >> 31)))
    }
}

/// Gives every request of a listener an id and a line in the log.
pub fn observed(router: Router, listener: Observed, watch: Watch) -> Router {
    let ids = RequestIds::new(&*watch.ambient.entropy);
    router.layer(from_fn_with_state(Arc::new(Place { listener, watch, ids }), observe))
}

async fn observe(State(place): State<Arc<Place>>, mut request: Request, next: Next) -> Response {
    let id = place.ids.next();
    let Watch { guard, audit, traces, metrics, .. } = &place.watch;
    let visit = Visit::new(Arc::clone(guard), audit.is_some() || traces.is_some());
    let received = Arc::<Count>::default();
    metrics.begins(place.listener.door);
    let mut line = Line {
        visit: visit.clone(),
        received: Arc::clone(&received),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        id: id.clone(),
        remote: client(&request, &place.watch.trusted_proxies),
        parent: traces.as_ref().map(|_| Traces::parent(request.headers())),
        begun: Instant::now(),
        status: None,
        sent_bytes: 0,
        due: Due::Unknown,
        permit: None,
        place: Arc::clone(&place),
    };
    let shows_credential = request.headers().contains_key(header::AUTHORIZATION);
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(visit.clone());
    if !request.body().is_end_stream() {
        request = request.map(|body| Body::new(Received { body, count: received }));
    }

    let mut response = if let Ok(permit) = guard.let_in() {
        line.permit = Some(permit);
        visit.run(next.run(request)).await
    } else {
        visit.ends_with("SlowDown");
        (place.listener.busy)(&line.path, &id)
    };
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(place.listener.id_header, value);
    }
    line.status = Some(response.status());
    line.due = Due::of(&line.method, &response);
    if response.status().is_client_error() || response.status().is_server_error() {
        let delay = delay_of_refusal(&line, &response, shows_credential);
        if !delay.is_zero() {
            // Nothing is done for it any more: others may come in.
            line.permit = None;
            visit.ends_early();
            tokio::time::sleep(delay).await;
        }
    }
    response.map(|body| Body::new(Counted { body, line }))
}

/// Codes of S3 that say that a credential is wrong.
const WRONG_CREDENTIAL: [&str; 2] = ["InvalidAccessKeyId", "SignatureDoesNotMatch"];

/// Codes that say that there is too much to do: S3's, and the Hub's status.
fn is_slow_down(code: Option<&str>, status: StatusCode) -> bool {
    code == Some("SlowDown") || status == StatusCode::TOO_MANY_REQUESTS
}

/// Notes what was refused; how long an answer to a wrong credential is to be held back.
fn delay_of_refusal(line: &Line, response: &Response, shows_credential: bool) -> Duration {
    if let Some(code) = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok()) {
        line.visit.ends_with(code);
    }
    let (code, status) = (line.visit.code(), response.status());
    let Watch { metrics, guard, .. } = &line.place.watch;
    if is_slow_down(code, status) {
        metrics.slows(line.place.listener.door);
    }
    let is_wrong = code.is_some_and(|code| WRONG_CREDENTIAL.contains(&code))
        || (status == StatusCode::UNAUTHORIZED && shows_credential);
    let remote = line.remote.filter(|_| is_wrong);
    remote.map_or(Duration::ZERO, |remote| guard.delay(remote.ip().to_canonical(), Instant::now()))
}

/// Where a request comes from: the last address that trusted proxies say they speak for. Its port is that of the
/// connection.
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

/// The body of a request, counted.
struct Received {
    body: Body,
    count: Arc<Count>,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.count.add(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How many bytes the answer's body should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Whatever the body holds, to its end.
    Unknown,
    /// So many.
    Bytes(u64),
}

impl Due {
    fn of(method: &Method, response: &Response) -> Self {
        let status = response.status();
        let bodyless =
            *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if bodyless {
            return Self::Bytes(0);
        }
        let declared = response.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        declared.or(http_body::Body::size_hint(response.body()).exact()).map_or(Self::Unknown, Self::Bytes)
    }
}

/// What will be logged, when this is dropped: with the answer's body, or with the request if it got no answer.
struct Line {
    place: Arc<Place>,
    visit: Visit,
    received: Arc<Count>,
    method: Method,
    path: String,
    id: RequestId,
    remote: Option<SocketAddr>,
    /// The span that the request belongs to, if there are traces.
    parent: Option<SpanContext>,
    begun: Instant,
    status: Option<StatusCode>,
    sent_bytes: u64,
    due: Due,
    permit: Option<Permit>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // A client that left before the head of the answer got no status: 499, as nginx writes it.
        let status = self.status.map_or(499, |status| status.as_u16());
        let whole = self.status.is_some() && self.due == Due::Bytes(self.sent_bytes);
        let (door, elapsed) = (self.place.listener.door, self.begun.elapsed());
        let micros = elapsed.as_micros() as u64;
        tracing::info!(
            target: "xetgate::access",
            door,
            id = self.id.as_str(),
            remote = self.remote.map(tracing::field::display),
            method = self.method.as_str(),
            path = self.path,
            status,
            bytes = self.sent_bytes,
            micros,
            whole,
            "request"
        );
        self.place.watch.metrics.ends(&Ended {
            door,
            operation: self.visit.operation(),
            status,
            code: self.visit.code(),
            received_bytes: self.received.get(),
            sent_bytes: self.sent_bytes,
            secs: elapsed.as_secs_f64(),
        });
        if let Some(audit) = &self.place.watch.audit {
            audit.write(&self.entry(status, micros));
        }
        if let (Some(traces), Some(parent)) = (&self.place.watch.traces, &self.parent) {
            traces.ends(parent, &self.span(status, elapsed));
        }
    }
}

impl Line {
    /// What the trace says.
    fn span(&self, status: u16, took: Duration) -> traces::Ended<'_> {
        let caller = self.visit.caller();
        traces::Ended {
            id: self.id.as_str(),
            door: self.place.listener.door,
            operation: self.visit.operation(),
            method: self.method.as_str(),
            bucket: self.visit.target().map(|(bucket, _)| bucket),
            account: caller.map(|caller| caller.account.as_str()),
            access_key_id: caller.map(|caller| caller.access_key_id.as_str()),
            address: self.address(),
            status,
            code: self.visit.code(),
            received_bytes: self.received.get(),
            sent_bytes: self.sent_bytes,
            at: SystemTime::from(self.place.watch.ambient.clock.now()),
            took,
        }
    }

    /// Where the request comes from.
    fn address(&self) -> Option<String> {
        self.remote.map(|remote| remote.ip().to_canonical().to_string())
    }

    /// What the audit log says.
    fn entry(&self, status: u16, micros: u64) -> Entry<'_> {
        let now = OffsetDateTime::from(SystemTime::from(self.place.watch.ambient.clock.now()));
        let caller = self.visit.caller();
        let target = self.visit.target();
        Entry {
            time: now.format(&Rfc3339).unwrap_or_default(),
            id: self.id.as_str(),
            door: self.place.listener.door,
            address: self.address(),
            account: caller.map(|caller| caller.account.as_str()),
            access_key_id: caller.map(|caller| caller.access_key_id.as_str()),
            operation: self.visit.operation(),
            method: self.method.as_str(),
            path: &self.path,
            bucket: target.map(|(bucket, _)| bucket),
            key: target.map(|(_, key)| key),
            status,
            code: self.visit.code(),
            received_bytes: self.received.get(),
            sent_bytes: self.sent_bytes,
            micros,
        }
    }
}

/// The answer's body, counted.
struct Counted {
    body: Body,
    line: Line,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.line.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            Poll::Ready(None) if self.line.due == Due::Unknown => {
                self.line.due = Due::Bytes(self.line.sent_bytes);
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
