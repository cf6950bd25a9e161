//! Rate limits, audit log and traces, as the configuration says.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::config::Config;
use crate::model::clock::Ambient;
use crate::serve::http::Observability;
use crate::serve::http::audit::AuditLog;
use crate::serve::http::metrics::Metrics;
use crate::serve::http::rate_limit::{RateLimit, RateLimiter, RateLimits};
use crate::serve::http::traces::{Traces, TracesError};

/// Why requests cannot be observed as configured.
#[derive(Debug, thiserror::Error)]
pub enum ObservabilityError {
    /// The audit log cannot be opened.
    #[error("cannot open the audit log {path}: {error}")]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The collector of traces cannot be used.
    #[error("cannot send traces: {0}")]
    Traces(#[from] TracesError),
}

/// Opens what observes requests.
pub(super) fn open(
    config: &Config,
    runtime: &Runtime,
    ambient: &Ambient,
    metrics: Arc<Metrics>,
) -> Result<Observability, ObservabilityError> {
    let audit = config.audit.file.clone().map(|path| {
        AuditLog::open(path.clone()).map(Arc::new).map_err(|error| ObservabilityError::Audit { path, error })
    });
    let given = &config.traces;
    let traces = given.otlp_endpoint.as_ref().map(|endpoint| {
        let (entropy, runtime) = (Arc::clone(&ambient.entropy), runtime.handle().clone());
        Traces::to(endpoint, given.sample_ratio, entropy, runtime).map(Arc::new)
    });
    let given = &config.limits;
    let limits = RateLimits {
        all: RateLimit { requests_per_sec: given.requests_per_sec, concurrent: given.concurrent },
        key: RateLimit { requests_per_sec: given.key_requests_per_sec, concurrent: given.key_concurrent },
        failures_per_sec: given.failed_logins_per_sec,
    };
    Ok(Observability {
        ambient: ambient.clone(),
        metrics,
        rate_limiter: Arc::new(RateLimiter::new(limits)),
        audit: audit.transpose()?,
        traces: traces.transpose()?,
        trusted_proxies: Arc::new(config.server.trusted_proxies.clone()),
    })
}
