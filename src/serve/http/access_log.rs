//! The line that each request leaves in the log, and what the metrics, the audit log and the traces are given of it.
//!
//! The line is written when the last byte of the answer has left, or the client has; so it says how much was sent
//! and how long it took, whatever became of the request. It holds the path but never the query: presigned URLs carry
//! their signature there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::http::{Method, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::audit::Entry;
use super::context::RequestContext;
use super::counted_body::ExpectedBytes;
use super::metrics::Ended;
use super::observe::Observer;
use super::rate_limit::Permit;
use super::request_id::RequestId;
use super::traces::{self, ParentSpan};
use crate::store::metrics::Count;

/// The status that is logged for a client that left before the head of the answer, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What is known of a request. It is logged when this is dropped: with the answer's body, or with the request if it got no
/// answer.
pub(super) struct Record {
    pub(super) observer: Arc<Observer>,
    pub(super) context: RequestContext,
    pub(super) received_bytes: Arc<Count>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) id: RequestId,
    pub(super) remote: Option<SocketAddr>,
    /// The span that the request belongs to, if there are traces.
    pub(super) parent: Option<ParentSpan>,
    pub(super) started_at: Instant,
    pub(super) status: Option<StatusCode>,
    pub(super) sent_bytes: u64,
    pub(super) expected: ExpectedBytes,
    /// Held until the request has ended.
    pub(super) permit: Option<Permit>,
}

impl Drop for Record {
    fn drop(&mut self) {
        let status = self.status.map_or(CLIENT_CLOSED_REQUEST, |status| status.as_u16());
        let whole = self.status.is_some() && self.expected == ExpectedBytes::Known(self.sent_bytes);
        let elapsed = self.started_at.elapsed();
        let micros = elapsed.as_micros() as u64;
        tracing::info!(
            target: "xetgate::access",
            door = self.observer.api.name,
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
        self.observer.observability.metrics.request_ends(&Ended {
            api: self.observer.api.name,
            operation: self.context.operation(),
            status,
            code: self.context.error_code(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes,
            secs: elapsed.as_secs_f64(),
        });
        if let Some(audit) = &self.observer.observability.audit {
            audit.write(&self.audit_entry(status, micros));
        }
        if let (Some(traces), Some(parent)) = (&self.observer.observability.traces, &self.parent) {
            traces.request_ends(parent, &self.span(status, elapsed));
        }
    }
}

impl Record {
    fn span(&self, status: u16, took: Duration) -> traces::Ended<'_> {
        let caller = self.context.caller();
        traces::Ended {
            id: self.id.as_str(),
            api: self.observer.api.name,
            operation: self.context.operation(),
            method: self.method.as_str(),
            bucket: self.context.target().map(|(bucket, _)| bucket),
            account: caller.map(|caller| caller.account.as_str()),
            access_key_id: caller.map(|caller| caller.access_key_id.as_str()),
            address: self.address(),
            status,
            code: self.context.error_code(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes,
            at: SystemTime::from(self.observer.observability.ambient.clock.now()),
            took,
        }
    }

    /// Where the request comes from.
    fn address(&self) -> Option<String> {
        self.remote.map(|remote| remote.ip().to_canonical().to_string())
    }

    fn audit_entry(&self, status: u16, micros: u64) -> Entry<'_> {
        let now = OffsetDateTime::from(SystemTime::from(self.observer.observability.ambient.clock.now()));
        let caller = self.context.caller();
        let target = self.context.target();
        Entry {
            time: now.format(&Rfc3339).unwrap_or_default(),
            id: Some(self.id.as_str()),
            api: self.observer.api.name,
            address: self.address(),
            account: caller.map(|caller| caller.account.as_str()),
            access_key_id: caller.map(|caller| caller.access_key_id.as_str()),
            operation: self.context.operation(),
            method: self.method.as_str(),
            path: &self.path,
            bucket: target.map(|(bucket, _)| bucket),
            key: target.map(|(_, key)| key),
            status,
            code: self.context.error_code(),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes,
            micros,
            expiry: None,
        }
    }
}
