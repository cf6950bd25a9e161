//! What is kept of requests, as the configuration says.

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
use crate::serve::http::tls::{Tls, TlsError};
use crate::serve::http::traces::{Traces, TracesError};

/// Something cannot be kept of requests.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error("cannot open the audit log {path}: {error}")]
    Audit { path: PathBuf, error: io::Error },
    #[error("cannot send traces: {0}")]
    Traces(#[from] TracesError),
}

/// The certificate, if there is one; it is read again when its files change, from now on.
pub(super) fn tls(config: &Config, runtime: &Runtime) -> Result<Option<Arc<Tls>>, TlsError> {
    let (Some(cert), Some(key)) = (&config.tls.cert_file, &config.tls.key_file) else {
        return Ok(None);
    };
    let tls = Arc::new(Tls::load(cert.clone(), key.clone())?);
    runtime.spawn(Arc::clone(&tls).watch());
    Ok(Some(tls))
}

/// Opens what is kept; the metrics are those of what is served.
pub(super) fn watch(
    config: &Config,
    runtime: &Runtime,
    ambient: &Ambient,
    metrics: Metrics,
) -> Result<Observability, WatchError> {
    let audit = config.audit.file.clone().map(|path| {
        AuditLog::open(path.clone()).map(Arc::new).map_err(|error| WatchError::Audit { path, error })
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
        metrics: Arc::new(metrics),
        rate_limiter: Arc::new(RateLimiter::new(limits)),
        audit: audit.transpose()?,
        traces: traces.transpose()?,
        trusted_proxies: Arc::new(config.server.trusted_proxies.clone()),
    })
}
