//! A collector of our own receives what requests leave; one that is not there harms nothing.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::*;
use crate::model::clock::Ambient;
use crate::serve::http::RequestContext;
use crate::serve::http::observe::{Api, Observability, observed};

const PLACE: Api = Api {
    name: "test",
    id_header: "x-request-id",
    busy: |_, _| StatusCode::IM_A_TEAPOT.into_response(),
    failed: |_, _| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
};

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector; what it gets.
async fn collector() -> (SocketAddr, Received) {
    let received = Received::default();
    let into = Arc::clone(&received);
    let take = async move |body: Bytes| {
        into.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async { axum::serve(listener, router).await });
    (address, received)
}

fn watch(collector: SocketAddr, ratio: f64) -> Observability {
    let ambient = Ambient::system();
    let endpoint = format!("http://{collector}/");
    let traces = Traces::to(&endpoint, ratio, Arc::clone(&ambient.entropy), Handle::current()).unwrap();
    Observability { traces: Some(Arc::new(traces)), ..Observability::plain(ambient) }
}

/// A gateway whose every request writes an object, or fails.
fn gateway(watch: &Observability) -> Router {
    let answer = async |request: Request| {
        let context = RequestContext::of(request.extensions());
        context.set_operation("PutObject");
        context.set_target("models", "private/name");
        if request.method() == Method::DELETE {
            context.set_error_code("InternalError");
            return (StatusCode::INTERNAL_SERVER_ERROR, "");
        }
        request.into_body().collect().await.unwrap();
        (StatusCode::OK, "done")
    };
    observed(Router::new().fallback(answer), PLACE, watch.clone())
}

async fn ask(gateway: &Router, method: Method, parent: Option<&str>) -> StatusCode {
    let mut request = Request::builder().method(method).uri("/models/private/name?X-Amz-Signature=secret");
    if let Some(parent) = parent {
        request = request.header("traceparent", parent).header("tracestate", "vendor=kept-out");
    }
    let response = gateway.clone().oneshot(request.body(Body::from("12345")).unwrap()).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

async fn end(watch: Observability) {
    tokio::task::spawn_blocking(move || watch.traces.unwrap().end()).await.unwrap();
}

fn spans(received: &Received) -> Vec<Span> {
    let received = received.lock().unwrap();
    let scopes = received.iter().flat_map(|sent| &sent.resource_spans).flat_map(|of| &of.scope_spans);
    scopes.flat_map(|of| of.spans.clone()).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_a_span_that_tells_what_it_was_and_no_secret() {
    let (address, received) = collector().await;
    let watch = watch(address, 1.0);
    let gateway = gateway(&watch);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    ask(&gateway, Method::PUT, Some(parent)).await;
    ask(&gateway, Method::DELETE, None).await;
    end(watch).await;

    let spans = spans(&received);
    let [put, delete] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(put.name, "PutObject");
    assert_eq!(put.kind, 2, "a server's");
    assert_eq!(hex::encode(&put.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex::encode(&put.parent_span_id), "b7ad6b7169203331");
    assert!(put.end_time_unix_nano >= put.start_time_unix_nano);
    let text = |text: &str| Some(Value::StringValue(text.to_owned()));
    assert_eq!(attribute(put, "xetgate.door"), text("test"));
    assert_eq!(attribute(put, "http.request.method"), text("PUT"));
    assert_eq!(attribute(put, "aws.s3.bucket"), text("models"));
    assert_eq!(attribute(put, "http.response.status_code"), Some(Value::IntValue(200)));
    assert_eq!(attribute(put, "http.request.body.size"), Some(Value::IntValue(5)));
    assert_eq!(attribute(put, "http.response.body.size"), Some(Value::IntValue(4)));
    assert_eq!(attribute(put, "error.type"), None);
    assert_eq!(attribute(delete, "error.type"), text("InternalError"));
    assert_eq!(delete.status.as_ref().map(|status| status.code), Some(2), "an error");
    assert!(delete.parent_span_id.is_empty() && delete.trace_id != put.trace_id);

    let all = format!("{:?}", received.lock().unwrap());
    assert!(all.contains("service.name") && all.contains("xetgate"));
    for kept_out in ["secret", "private", "kept-out"] {
        assert!(!all.contains(kept_out), "{kept_out}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_no_traces_nothing_is_sent_even_if_a_client_asks_for_it() {
    let (address, received) = collector().await;
    let watch = watch(address, 0.0);
    let gateway = gateway(&watch);
    ask(&gateway, Method::PUT, Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")).await;
    end(watch).await;
    assert_eq!(spans(&received), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
    // It accepts connections, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let watch = watch(silent.local_addr().unwrap(), 1.0);
    let gateway = gateway(&watch);
    let begun = Instant::now();
    // More than the queue holds.
    for _ in 0..QUEUE_SPANS_MAX + 2 * BATCH_SPANS_MAX {
        assert_eq!(ask(&gateway, Method::PUT, None).await, StatusCode::OK);
    }
    end(watch).await;
    // What the end may take, and as much again for the requests themselves on a busy machine.
    assert!(begun.elapsed() < 2 * END_TIMEOUT + Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_not_there_yet_gets_what_comes_later() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let watch = watch(free, 1.0);
    let gateway = gateway(&watch);
    assert_eq!(ask(&gateway, Method::PUT, None).await, StatusCode::OK);
    let received = Received::default();
    let into = Arc::clone(&received);
    let listener = TcpListener::bind(free).await.unwrap();
    let take = async move |body: Bytes| {
        into.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
    };
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async { axum::serve(listener, router).await });
    assert_eq!(ask(&gateway, Method::DELETE, None).await, StatusCode::INTERNAL_SERVER_ERROR);
    end(watch).await;
    assert!(spans(&received).iter().any(|span| attribute(span, "error.type").is_some()));
}
