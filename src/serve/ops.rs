//! The operations door: whether the gateway lives, whether it can serve, and what it has counted.
//!
//! The first two are open to everyone and say nothing but yes or no: whoever watches a process (a container engine, a
//! load balancer) has no credential. Metrics tell which operations are in use and how much is stored, so they are for
//! bearers of an admin token; on a listener of their own, for whoever reaches that.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::metrics::Metrics;
use super::routes::{Collecting, GET, Routed};
use crate::auth::{Caller, Directory};
use crate::bucket::{BucketApi, BucketError, BucketId};
use crate::model::names::{BucketName, Namespace};

/// The text format of metrics. Source: `OpenMetrics` 1.0, "Protocol negotiation".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the door looks at.
pub struct OpsDoor {
    /// Whose storage must answer for the gateway to be ready.
    pub buckets: Arc<dyn BucketApi>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who may read it; everybody if `None`.
    pub directory: Option<Arc<Directory>>,
}

/// `/health/live`, `/health/ready` and `/metrics`, for the root of a listener.
pub fn router(door: OpsDoor) -> Routed {
    Collecting::new()
        .on(GET, "/health/live", async || "ok\n")
        .on(GET, "/health/ready", ready)
        .on(GET, "/metrics", metrics)
        .routed(|router: Router<Arc<OpsDoor>>| router.with_state(Arc::new(door)))
}

/// Asks the storage for something that need not be there.
async fn ready(State(door): State<Arc<OpsDoor>>) -> (StatusCode, &'static str) {
    let (Ok(namespace), Ok(name)) = (Namespace::new("root"), BucketName::new("health")) else {
        return (StatusCode::OK, "ok\n");
    };
    match door.buckets.bucket(&BucketId { namespace, name }).await {
        Ok(_) | Err(BucketError::NoSuchBucket(_)) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the storage does not answer\n")
        }
    }
}

async fn metrics(State(door): State<Arc<OpsDoor>>, headers: HeaderMap) -> Response {
    if let Some(directory) = &door.directory {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let token =
            shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        match token.and_then(|token| directory.bearer(token)).map(Caller::Known) {
            None => return (StatusCode::UNAUTHORIZED, "an admin token is needed\n").into_response(),
            Some(caller) if !caller.is_admin() => {
                return (StatusCode::FORBIDDEN, "this is not an admin token\n").into_response();
            }
            Some(_) => {}
        }
    }
    // Counting the buckets reads the metadata.
    let text = tokio::task::spawn_blocking(move || door.metrics.text()).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
