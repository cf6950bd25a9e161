//! A request's id, and its one line in the log.
//!
//! The line is written when the last byte of the answer has left, or the client has; so it says how much was sent
//! and how long it took, whatever became of the request. It holds the path but never the query: presigned URLs carry
//! their signature there.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::store::ambient::{Ambient, Entropy};

/// A listener whose requests are observed.
#[derive(Debug, Clone, Copy)]
pub struct Observed {
    /// Its name in the log.
    pub door: &'static str,
    /// The response header that gives the request's id.
    pub id_header: &'static str,
}

/// The S3 listener. Source: Amazon S3 API reference, "Common response headers".
pub const S3: Observed = Observed { door: "s3", id_header: "x-amz-request-id" };

/// The Hub's listener. Its clients print the id with an error.
pub const HUB: Observed = Observed { door: "hub", id_header: "x-request-id" };

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
pub fn observed(router: Router, listener: Observed, ambient: Ambient) -> Router {
    let Ambient { entropy, .. } = ambient;
    router.layer(from_fn_with_state(Arc::new(Place { listener, ids: RequestIds::new(&*entropy) }), observe))
}

async fn observe(State(place): State<Arc<Place>>, mut request: Request, next: Next) -> Response {
    let id = place.ids.next();
    let remote = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let mut line = Line {
        door: place.listener.door,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        id: id.clone(),
        remote,
        begun: Instant::now(),
        status: None,
        sent_bytes: 0,
        due: Due::Unknown,
    };
    request.extensions_mut().insert(id.clone());

    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(place.listener.id_header, value);
    }
    line.status = Some(response.status());
    line.due = Due::of(&line.method, &response);
    response.map(|body| Body::new(Counted { body, line }))
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
    door: &'static str,
    method: Method,
    path: String,
    id: RequestId,
    remote: Option<SocketAddr>,
    begun: Instant,
    status: Option<StatusCode>,
    sent_bytes: u64,
    due: Due,
}

impl Drop for Line {
    fn drop(&mut self) {
        // A client that left before the head of the answer got no status: 499, as nginx writes it.
        let status = self.status.map_or(499, |status| status.as_u16());
        let whole = self.status.is_some() && self.due == Due::Bytes(self.sent_bytes);
        tracing::info!(
            target: "xetgate::access",
            door = self.door,
            id = self.id.as_str(),
            remote = self.remote.map(tracing::field::display),
            method = self.method.as_str(),
            path = self.path,
            status,
            bytes = self.sent_bytes,
            micros = self.begun.elapsed().as_micros() as u64,
            whole,
            "request"
        );
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
mod tests {
    use std::sync::Mutex;

    use axum::extract::Extension;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    /// A place that log lines are written to.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Sends one request and gives the answer's body, its id header, and the log.
    async fn ask(method: Method, uri: &str, read_body: bool) -> (String, String, String) {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);

        let answer = |Extension(id): Extension<RequestId>| async move { id.as_str().to_owned() };
        let router = observed(Router::new().fallback(answer), HUB, Ambient::system());
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let id = response.headers()[HUB.id_header].to_str().unwrap().to_owned();
        let body = response.into_body();
        let body = if read_body {
            body.collect().await.unwrap().to_bytes()
        } else {
            drop(body);
            Bytes::new()
        };
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        (String::from_utf8(body.to_vec()).unwrap(), id, log)
    }

    #[tokio::test]
    async fn a_request_leaves_one_line_with_its_id_and_without_its_query() {
        let (body, id, log) = ask(Method::GET, "/b/k%20k?X-Amz-Signature=5ec4e7", true).await;
        assert_eq!(body, id);
        assert!(
            id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
            "{id}"
        );
        assert_eq!(log.lines().count(), 1);
        for part in [r#""path":"/b/k%20k""#, r#""status":200"#, r#""bytes":16"#, r#""whole":true"#, &id] {
            assert!(log.contains(part), "{part} is not in {log}");
        }
        assert!(!log.contains("5ec4e7"), "{log}");
    }

    #[test]
    fn no_two_requests_have_one_id() {
        let ids = RequestIds::new(&*Ambient::system().entropy);
        let given: std::collections::BTreeSet<_> =
            (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(given.len(), 1000);
    }

    #[tokio::test]
    async fn an_answer_that_was_not_taken_is_not_whole() {
        let (_, _, log) = ask(Method::GET, "/", false).await;
        assert!(log.contains(r#""bytes":0"#) && log.contains(r#""whole":false"#), "{log}");
        let (_, _, log) = ask(Method::HEAD, "/", false).await;
        assert!(log.contains(r#""whole":true"#), "{log}");
    }
}
