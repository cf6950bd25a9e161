//! Health and metrics: whether the gateway lives, whether it can serve, and what it has counted.
//!
//! The first two are open to everyone and say nothing but yes or no, because what watches a process (a container engine, a
//! load balancer) has no credential. Metrics show which operations are in use and how much is stored, so they need an admin
//! token on the Hub listener. The listener for metrics alone asks for none: its address is the protection.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::auth::{Caller, Directory};
use crate::bucket::{BucketApi, BucketError, BucketId};
use crate::model::names::{BucketName, Namespace};
use crate::serve::http::bearer_token;
use crate::serve::http::metrics::Metrics;
use crate::serve::http::routes::{GET, Routed, Routes};

/// The text format of metrics. Source: `OpenMetrics` 1.0, "Protocol negotiation".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the API reads.
pub struct HealthApi {
    /// Whose storage must answer for the gateway to be ready.
    pub buckets: Arc<dyn BucketApi>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may read it; everybody if `None`.
    pub directory: Option<Arc<Directory>>,
}

/// `/health/live`, `/health/ready` and `/metrics`, for the root of a listener.
pub fn router(api: HealthApi) -> Routed {
    Routes::new()
        .on(GET, "/health/live", async || "ok\n")
        .on(GET, "/health/ready", ready)
        .on(GET, "/metrics", metrics)
        .routed(|router: Router<Arc<HealthApi>>| router.with_state(Arc::new(api)))
}

/// Asks the storage for something that need not be there.
async fn ready(State(api): State<Arc<HealthApi>>) -> (StatusCode, &'static str) {
    let (Ok(namespace), Ok(name)) = (Namespace::new("root"), BucketName::new("health")) else {
        return (StatusCode::OK, "ok\n");
    };
    match api.buckets.bucket(&BucketId { namespace, name }).await {
        Ok(_) | Err(BucketError::NoSuchBucket(_)) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the storage does not answer\n")
        }
    }
}

async fn metrics(State(api): State<Arc<HealthApi>>, headers: HeaderMap) -> Response {
    if let Some(directory) = &api.directory {
        let token = bearer_token(&headers).ok().flatten();
        match token.and_then(|token| directory.bearer(token)).map(Caller::Known) {
            None => return (StatusCode::UNAUTHORIZED, "an admin token is needed\n").into_response(),
            Some(caller) if !caller.is_admin() => {
                return (StatusCode::FORBIDDEN, "this is not an admin token\n").into_response();
            }
            Some(_) => {}
        }
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
