//! What runs beside requests, from the start of the gateway to its end.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long work may take to end once it was asked to; what is not over then is dropped.
const GRACE: Duration = Duration::from_secs(5);

/// Starts work, and stops all of it together.
pub(super) struct Background {
    runtime: Handle,
    stop: CancellationToken,
    /// Work that ends when it is told to.
    ending: Vec<JoinHandle<()>>,
    /// Cancelled by work without which the gateway must not go on.
    failed: CancellationToken,
}

impl Background {
    pub(super) fn new(runtime: &Handle) -> Self {
        let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
        Self { runtime: runtime.clone(), stop, ending: Vec::new(), failed }
    }

    /// What work cancels if the gateway must not go on without it.
    pub(super) fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    /// Starts work that ends when the token that it is given is cancelled.
    pub(super) fn start<F>(&mut self, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.ending.push(self.runtime.spawn(work(self.stop.clone())));
    }

    /// Starts work that never ends; it is dropped with the runtime.
    pub(super) fn start_endless(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Asks everything to end, and waits for it for a while. Blocks.
    pub(super) fn stop(self) {
        self.stop.cancel();
        let Self { runtime, ending, .. } = self;
        let ended = async { tokio::time::timeout(GRACE, futures::future::join_all(ending)).await };
        if runtime.block_on(ended).is_err() {
            tracing::debug!("work beside requests did not end in time");
        }
    }
}
