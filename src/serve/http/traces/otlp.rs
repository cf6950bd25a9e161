//! Spans by way of the OpenTelemetry crates.
//!
//! Spans wait in a queue that has an end, and leave in batches on a thread of their own; if the collector is slow or away they
//! are dropped, and no request waits for them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, Request, Response};
use bytes::{Bytes, BytesMut};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanId, SpanKind, Status, TraceId, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, Sampler, SdkTracer, SdkTracerProvider,
};
use tokio::runtime::Handle;

use super::Ended;
use crate::model::clock::Entropy;

/// Spans that wait at most; each is some 1 KiB.
const QUEUE_SPANS_MAX: usize = 4096;

/// Spans sent at a time.
const BATCH_SPANS_MAX: usize = 512;

/// How long spans wait for others.
const BATCH_WAIT: Duration = Duration::from_secs(5);

/// How long the collector may take for a batch, tries included.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the process waits for the last spans to leave.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a collector's answer that are read; more is not worth reading.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The span that a request says it belongs to.
pub type ParentSpan = Context;

/// Where spans go.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// There is no client for HTTP.
    #[error("no client for HTTP: {0}")]
    Client(#[source] reqwest::Error),
    /// The collector's address, or a standard `OTEL_...` variable, is not right.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sends spans to the collector at `endpoint` (such as `http://127.0.0.1:4318`), for this share of the
    /// traces (0 to 1), by tasks on `runtime`.
    ///
    /// # Errors
    /// If the address is not a URL, or a standard `OTEL_...` variable has a value that cannot be used.
    pub fn to(
        endpoint: &str,
        ratio: f64,
        entropy: Arc<dyn Entropy>,
        runtime: Handle,
    ) -> Result<Self, TracesError> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("xetgate/", env!("CARGO_PKG_VERSION")))
            .timeout(SEND_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(TracesError::Client)?;
        let collector = Collector { client, runtime, is_away: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(SEND_TIMEOUT)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS_MAX)
            .with_max_export_batch_size(BATCH_SPANS_MAX)
            .with_scheduled_delay(BATCH_WAIT)
            .build();
        let resource = Resource::builder()
            .with_service_name("xetgate")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(Sampler::TraceIdRatioBased(ratio))
            .with_id_generator(Ids(entropy))
            .with_resource(resource)
            .build();
        Ok(Self { tracer: provider.tracer("xetgate"), provider })
    }

    /// The span that a request says it belongs to, if it says so. Whether that one is kept does not decide over ours.
    /// Source: W3C Trace Context, `traceparent`.
    #[expect(clippy::unused_self, reason = "without traces nothing is read of a request")]
    pub(in crate::serve::http) fn parent(&self, headers: &HeaderMap) -> ParentSpan {
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers))
    }

    /// Hands over the span of a request. Never waits. Names: the OpenTelemetry semantic conventions, for HTTP and for S3.
    pub(in crate::serve::http) fn request_ends(&self, parent: &ParentSpan, ended: &Ended<'_>) {
        let name = if ended.operation == "-" { "unknown" } else { ended.operation };
        let begun = ended.at.checked_sub(ended.took).unwrap_or(ended.at);
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_start_time(begun);
        let mut span = self.tracer.build_with_context(builder, parent);
        if !span.is_recording() {
            return;
        }
        let owned = |key, value: Option<&str>| value.map(|value| KeyValue::new(key, value.to_owned()));
        span.set_attributes([
            KeyValue::new("xetgate.door", ended.api),
            KeyValue::new("rpc.method", name),
            KeyValue::new("http.response.status_code", i64::from(ended.status)),
            KeyValue::new("http.request.body.size", ended.received_bytes.cast_signed()),
            KeyValue::new("http.response.body.size", ended.sent_bytes.cast_signed()),
        ]);
        let known = [
            owned("xetgate.request_id", Some(ended.id)),
            owned("http.request.method", Some(ended.method)),
            owned("aws.s3.bucket", ended.bucket),
            owned("xetgate.account", ended.account),
            owned("xetgate.access_key_id", ended.access_key_id),
            owned("client.address", ended.address.as_deref()),
            owned("error.type", ended.code),
        ];
        span.set_attributes(known.into_iter().flatten());
        // A request that was refused is its client's fault, not the server's. Source: semantic conventions for HTTP spans.
        if ended.status >= 500 {
            span.set_status(Status::error(ended.code.unwrap_or_default().to_owned()));
        }
        span.end_with_timestamp(ended.at);
    }

    /// Sends what waits, and no more after that. Blocks, for some seconds at most; call it while the runtime still runs,
    /// from a thread that is not the runtime's.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_TIMEOUT) {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The one header that is looked at: `tracestate` could be as long as a client likes, and would wait with the span.
struct Parent<'h>(&'h HeaderMap);

impl Extractor for Parent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).filter(|_| key == "traceparent").and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

/// Gives out the ids of traces and spans.
struct Ids(Arc<dyn Entropy>);

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let mut id = [0; 16];
        self.0.fill(&mut id);
        TraceId::from_bytes(id)
    }

    fn new_span_id(&self) -> SpanId {
        let mut id = [0; 8];
        self.0.fill(&mut id);
        SpanId::from_bytes(id)
    }
}

/// The collector. Batches are asked for by a thread without a runtime, so requests run as tasks on ours.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    is_away: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await;
        let answer = sent.map_err(HttpError::from).and_then(|sent| sent);
        let trouble = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        // One line when it goes, one when it comes back: not one for each batch.
        match (trouble, self.is_away.load(Ordering::Relaxed)) {
            (Some(error), false) => tracing::warn!(error, "traces cannot be sent to the collector"),
            (None, true) => tracing::info!("traces are sent to the collector again"),
            _ => {}
        }
        self.is_away
            .store(!answer.as_ref().is_ok_and(|answer| answer.status().is_success()), Ordering::Relaxed);
        answer
    }
}

async fn send(client: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests;
