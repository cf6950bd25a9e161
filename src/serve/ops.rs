//! The operations door: whether the gateway lives, and whether it can serve.
//!
//! Both are open to everyone and say nothing but yes or no: whoever watches a process (a container engine, a load
//! balancer) has no credential.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;

use super::routes::{Collecting, GET, Routed};
use crate::bucket::{BucketApi, BucketError, BucketId};
use crate::store::names::{BucketName, Namespace};

/// What the door looks at.
pub struct OpsDoor {
    /// Whose storage must answer for the gateway to be ready.
    pub buckets: Arc<dyn BucketApi>,
}

/// `/health/live` and `/health/ready`, for the root of a listener.
pub fn router(door: OpsDoor) -> Routed {
    Collecting::new()
        .on(GET, "/health/live", async || "ok\n")
        .on(GET, "/health/ready", ready)
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
