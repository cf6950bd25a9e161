//! What one node of a cluster does for all, while it holds the lease for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::model::clock::{Clock, Timestamp};
use crate::store::local::LocalStore;
use crate::store::meta::{Lease, MetaError};

/// How often a node asks for a lease that another holds.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What whoever collects, scrubs and compares holds.
pub const UPKEEP: &str = "upkeep";

/// What whoever follows lifecycle rules holds.
pub const LIFECYCLE: &str = "lifecycle";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another node does it.
    #[error("node {holder} does that for the cluster: leave it to the nodes, or stop all of them first")]
    Held {
        /// The other.
        holder: String,
    },
    /// Another node has begun to do it, for this one was not heard of for too long.
    #[error(
        "this took longer than `cluster.silence_secs` to be heard of, and another node has taken over: try again"
    )]
    Lost,
    /// The metadata store.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

/// A node that may do what one does alone.
#[derive(Clone)]
pub struct LeaseHolder {
    /// What it is called.
    pub name: String,
    /// If it does not renew a lease for so long, another may take it.
    pub silence: Duration,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

impl LeaseHolder {
    /// Does some work whenever this node holds the lease, on a store that refuses what is written once another has taken it.
    /// Ends when told to stop, after the work has.
    pub(super) async fn while_held<F: Future<Output = ()>>(
        &self,
        lease: &str,
        store: &Arc<LocalStore>,
        stop: &CancellationToken,
        work: impl Fn(Arc<LocalStore>, CancellationToken) -> F,
    ) {
        loop {
            let taken = store.meta.take_lease(lease, &self.name, self.clock.now(), self.until()).await;
            match taken {
                Ok(Ok(held)) => {
                    info!(lease, "this node does it for all");
                    let leased = Arc::new(store.under(&held));
                    let is_over = tokio::select! {
                        () = self.renew(store, &held) => false,
                        // It was told to stop, or there is nothing to do.
                        () = work(leased, stop.clone()) => true,
                    };
                    if !is_over {
                        warn!(lease, "another node does it now");
                    }
                    if let Err(error) = store.meta.end_lease(&held).await {
                        debug!(%error, lease, "not given back: it ends with its time");
                    }
                    if is_over {
                        return;
                    }
                }
                Ok(Err(_)) => {}
                Err(error) => debug!(%error, lease, "it cannot be asked for"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Does some work once, or not at all if another holds the lease for it.
    pub async fn once_held<T>(
        &self,
        lease: &str,
        store: &Arc<LocalStore>,
        work: impl AsyncFnOnce(Arc<LocalStore>) -> T,
    ) -> Result<T, LeaseError> {
        let taken = store.meta.take_lease(lease, &self.name, self.clock.now(), self.until()).await?;
        let held = taken.map_err(|held| LeaseError::Held { holder: held.holder })?;
        let worked = tokio::select! {
            () = self.renew(store, &held) => Err(LeaseError::Lost),
            worked = work(Arc::new(store.under(&held))) => Ok(worked),
        };
        if let Err(error) = store.meta.end_lease(&held).await {
            debug!(%error, lease, "not given back: it ends with its time");
        }
        worked
    }

    fn until(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add(self.silence.as_millis() as u64))
    }

    /// Renews a lease until another has taken it.
    async fn renew(&self, store: &LocalStore, lease: &Lease) {
        loop {
            tokio::time::sleep(self.silence / 3).await;
            if let Err(MetaError::LeaseLost) = store.meta.renew_lease(lease, self.until()).await {
                return;
            }
        }
    }
}
