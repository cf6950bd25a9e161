//! Traces: one span for each request, sent to a collector over OTLP (protobuf over HTTP), if one is configured.
//!
//! A span is made when the request has ended, from its record ([`super::access_log`]): while the request runs, tracing costs
//! nothing but a look at its `traceparent`. A span holds no key of an object and no query; the request's id leads to the line
//! in the log.
//!
//! A build without the feature `otlp` has none of the OpenTelemetry crates, and refuses a configuration that asks for traces.

use std::time::{Duration, SystemTime};

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use off::{ParentSpan, Traces, TracesError};
#[cfg(feature = "otlp")]
pub use otlp::{ParentSpan, Traces, TracesError};

/// What is known of a request that has ended.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nothing is sent without the feature"))]
pub(super) struct Ended<'a> {
    pub(super) id: &'a str,
    pub(super) api: &'static str,
    pub(super) operation: &'static str,
    pub(super) method: &'a str,
    pub(super) bucket: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) access_key_id: Option<&'a str>,
    pub(super) address: Option<String>,
    pub(super) status: u16,
    pub(super) code: Option<&'a str>,
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    /// When its last byte had left.
    pub(super) at: SystemTime,
    pub(super) took: Duration,
}
