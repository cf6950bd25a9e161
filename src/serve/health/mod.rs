//! Health and metrics: whether the gateway lives, whether it can serve, and what it has counted.
//!
//! `/health/live` and `/health/ready` are open to everyone and say nothing but yes or no, because what watches a process (a
//! container engine, a load balancer) has no credential. `/health` says which build and node it is; metrics show which
//! operations are in use and how much is stored: both need an admin token on the Hub listener. The listener for metrics alone
//! asks for none: its address is the protection.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::auth::{Caller, Directory};
use crate::bucket::BucketApi;
use crate::model::causes::with_causes;
use crate::serve::http::bearer_token;
use crate::serve::http::instance::Instance;
use crate::serve::http::metrics::Metrics;
use crate::serve::http::routes::{GET, Routed, Routes};

/// The text format of metrics. Source: `OpenMetrics` 1.0, "Protocol negotiation".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long an answer about the storage holds: whoever asks, it is not asked more often.
const HOLDS: Duration = Duration::from_secs(1);

/// How long the storage may take to answer: less than what those who watch wait.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the API reads.
pub struct HealthApi {
    instance: Instance,
    /// Whose storage must answer for the gateway to be ready.
    buckets: Arc<dyn BucketApi>,
    /// What is counted.
    metrics: Arc<Metrics>,
    /// Who may read it; everybody if `None`.
    directory: Option<Arc<Directory>>,
    /// When the storage was asked last, and whether it answered.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl HealthApi {
    /// Of a gateway on these buckets. Metrics are for admins of the directory, or for everybody without one.
    pub fn new(
        instance: Instance,
        buckets: Arc<dyn BucketApi>,
        metrics: Arc<Metrics>,
        directory: Option<Arc<Directory>>,
    ) -> Self {
        Self { instance, buckets, metrics, directory, asked: Mutex::default() }
    }

    /// Whether requests can be served. Asked to the end, also if who wants to know goes away, so that it is known then.
    async fn is_ready(self: &Arc<Self>) -> bool {
        let api = Arc::clone(self);
        tokio::spawn(async move { api.ask().await }).await.unwrap_or(false)
    }

    /// One asks for all who want to know.
    async fn ask(&self) -> bool {
        let mut asked = self.asked.lock().await;
        if let Some((at, is_ready)) = *asked
            && at.elapsed() < HOLDS
        {
            return is_ready;
        }
        let is_ready = match tokio::time::timeout(PATIENCE, self.buckets.reach()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "not ready");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the storage does not answer in time");
                false
            }
        };
        *asked = Some((Instant::now(), is_ready));
        is_ready
    }

    /// Why this caller does not get to see what is inside; `None` if he does.
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let directory = self.directory.as_ref()?;
        let token = bearer_token(headers).ok().flatten();
        match token.and_then(|token| directory.bearer(token)).map(Caller::Known) {
            None => Some((StatusCode::UNAUTHORIZED, "an admin token is needed\n").into_response()),
            Some(caller) if !caller.is_admin() => {
                Some((StatusCode::FORBIDDEN, "this is not an admin token\n").into_response())
            }
            Some(_) => None,
        }
    }
}

/// What `/health` answers.
#[derive(Serialize)]
struct Health<'a> {
    is_ready: bool,
    #[serde(flatten)]
    instance: &'a Instance,
}

/// `/health`, `/health/live`, `/health/ready` and `/metrics`, for the root of a listener.
pub fn router(api: HealthApi) -> Routed {
    Routes::new()
        .on(GET, "/health", health)
        .on(GET, "/health/live", async || "ok\n")
        .on(GET, "/health/ready", ready)
        .on(GET, "/metrics", metrics)
        .routed(|router: Router<Arc<HealthApi>>| router.with_state(Arc::new(api)))
}

async fn ready(State(api): State<Arc<HealthApi>>) -> (StatusCode, &'static str) {
    if api.is_ready().await {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the storage does not answer\n")
    }
}

async fn health(State(api): State<Arc<HealthApi>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = api.refusal(&headers) {
        return refusal;
    }
    let is_ready = api.is_ready().await;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Health { is_ready, instance: &api.instance })).into_response()
}

async fn metrics(State(api): State<Arc<HealthApi>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = api.refusal(&headers) {
        return refusal;
    }
    // Counting the buckets reads the metadata.
    let text = tokio::task::spawn_blocking(move || api.metrics.text()).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
