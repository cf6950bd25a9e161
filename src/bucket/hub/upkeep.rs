//! What a gateway in front of a Hub tidies up in the background: uploads that nobody has ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::hub_buckets::HubShared;
use crate::model::clock::Timestamp;
use crate::store::gc::expire_uploads;
use crate::store::meta::MetaError;

/// Rest between two passes.
const REST: Duration = Duration::from_hours(1);

/// Aborts uploads begun longer ago than `age`, again and again, until told to stop.
pub async fn run(shared: HubShared, age: Duration, stop: CancellationToken) {
    loop {
        match expire(&shared, age).await {
            Ok(0) => {}
            Ok(uploads) => info!(uploads, "uploads that were never completed have been aborted"),
            Err(error) => warn!(%error, "old uploads could not be aborted; the next pass tries again"),
        }
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Aborts uploads begun longer ago than `age`, and removes what is kept of their parts; answers how many.
pub(super) async fn expire(shared: &HubShared, age: Duration) -> Result<u64, MetaError> {
    let now = shared.ambient.clock.now();
    let before = Timestamp(now.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)));
    let expired = expire_uploads(&*shared.meta, before, false).await?;
    let parts = Arc::clone(&shared.parts);
    match tokio::task::spawn_blocking(move || parts.remove_begun_before(before.0)).await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            warn!(%error, "parts of old uploads could not be removed");
        }
        _ => {}
    }
    Ok(expired)
}
