//! What runs beside requests, from the start of the gateway to its end.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Starts work, and stops all of it together.
pub(super) struct Background {
    runtime: Handle,
    stop: CancellationToken,
}

impl Background {
    pub(super) fn new(runtime: &Handle) -> Self {
        Self { runtime: runtime.clone(), stop: CancellationToken::new() }
    }

    /// Starts work that ends when the token that it is given is cancelled.
    pub(super) fn start<F>(&mut self, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runtime.spawn(work(self.stop.clone()));
    }

    /// Starts work that never ends; it is dropped with the runtime.
    pub(super) fn start_endless(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Asks everything to end. The runtime's own end waits for it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}
