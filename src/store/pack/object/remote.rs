//! The object store, the runtime that its requests run on, and how many bytes may be on their way.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::layout::Layout;

/// So many bytes may be on their way to the object store before uploads wait; what each of them has in hand, up to a part,
/// comes on top.
const ON_THE_WAY_BYTES: usize = 64 << 20;

/// Threads that send and receive. They compute checksums and TLS, and wait for nothing else.
const THREADS: usize = 4;

/// What writers and readers share.
pub(super) struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) layout: Layout,
    pub(super) budget: Arc<Budget>,
    runtime: OwnRuntime,
}

/// A runtime that may be dropped anywhere: what still runs on it ends by itself or not at all.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, layout: Layout) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("packs")
            .enable_all()
            .build()?;
        Ok(Self { store, layout, budget: Arc::default(), runtime: OwnRuntime(Some(runtime)) })
    }

    /// Begins something; the answer can be waited for on any thread.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime.0 {
            runtime.spawn(async move {
                // The one who asked may have gone.
                let _ = answer.send(work.await);
            });
        }
        answered
    }

    /// Does something and waits for it.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        answer(&self.begin(work))
    }
}

/// Makes an object that must not be there.
///
/// An object store without conditional writes is asked first: then only what uses one name at one time could overwrite,
/// and names are used once.
pub(super) async fn put_new(store: &dyn ObjectStore, path: &Path, bytes: Bytes) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let put = store.put_opts(path, bytes.clone().into(), options).await;
    let Err(Error::NotImplemented { .. }) = put else {
        return put.map(drop);
    };
    match store.head(path).await {
        Ok(_) => Err(Error::AlreadyExists { path: path.to_string(), source: "it was there before".into() }),
        Err(Error::NotFound { .. }) => store.put(path, bytes.into()).await.map(drop),
        Err(error) => Err(error),
    }
}

/// Waits for what was begun.
pub(super) fn answer<T>(answered: &mpsc::Receiver<io::Result<T>>) -> io::Result<T> {
    answered.recv().unwrap_or_else(|_| Err(io::Error::other("a request to the object store was dropped")))
}

/// Bytes on their way.
#[derive(Default)]
pub(super) struct Budget {
    bytes: AtomicUsize,
    freed: Notify,
}

impl Budget {
    /// Counts bytes until the answer is dropped.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge { budget: Arc::clone(self), bytes }
    }

    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) < ON_THE_WAY_BYTES
    }

    /// Waits until there is room; `None` if there is.
    pub(super) fn room(self: &Arc<Self>) -> Option<BoxFuture<'static, ()>> {
        if self.has_room() {
            return None;
        }
        let budget = Arc::clone(self);
        Some(Box::pin(async move {
            loop {
                let freed = budget.freed.notified();
                tokio::pin!(freed);
                // From here on none is missed.
                freed.as_mut().enable();
                if budget.has_room() {
                    return;
                }
                freed.await;
            }
        }))
    }
}

/// Bytes that are on their way until this is dropped.
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_wait_while_too_much_is_on_its_way() {
        let budget = Arc::<Budget>::default();
        let charges = [budget.charge(ON_THE_WAY_BYTES), budget.charge(1)];
        let mut room = budget.room().unwrap();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(room.as_mut().poll(&mut context).is_pending());
        drop(charges);
        assert!(room.as_mut().poll(&mut context).is_ready());
        assert!(budget.room().is_none());
    }
}
