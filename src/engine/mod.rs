//! The transfer engine: streams in, file records out, and back.
//!
//! [`Engine::ingest`] turns a stream into a file record and new xorbs, in bounded memory; [`Engine::reconstruct`]
//! turns a record and a range into a stream; [`Engine::compose`] joins ranges of files into a new file without
//! touching more bytes than the seams; [`Engine::outline`] tells clients that reconstruct themselves how, and
//! [`Engine::windows`] those that change a part of a file what to cut again. All give the
//! same file the same hash (promise 7), because all end in the same chunks.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cas::{CasError, ChunkStore};

mod builder;
mod compose;
mod cutter;
pub mod digest;
mod folder;
mod fragmentation;
mod ingest;
mod outline;
mod reconstruct;
mod sink;
#[cfg(test)]
mod tests;
mod windows;

pub use builder::FileProof;
pub use compose::Segment;
pub use folder::{FolderIngest, StoredFolder};
pub use ingest::{Ingested, Layout, Pieces, StoredFile, next_pieces};
pub use outline::{Outline, XorbRange};
pub use windows::FileWindows;

/// A boxed error from outside the engine.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way in.
pub type BodyIn = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// Uploads and compositions at work at the same time; further ones wait. Each holds at most two threads of the
/// blocking pool (of 512), so there are always threads for the reads that they wait for, and at most 16 MiB.
const UPLOADS_MAX: usize = 128;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The body broke off; the error is the stream's own.
    #[error("reading the body")]
    Body(#[source] BoxError),
    /// The chunk store failed.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// A worker thread ended early: a bug, or the runtime is stopping.
    #[error("a worker ended early")]
    Worker(#[from] tokio::task::JoinError),
}

/// The engine over one chunk store.
#[derive(Clone)]
pub struct Engine {
    cas: Arc<dyn ChunkStore>,
    uploads: Arc<Semaphore>,
}

impl Engine {
    /// An engine over `cas`.
    pub fn new(cas: Arc<dyn ChunkStore>) -> Self {
        Self::with_turns(cas, Arc::new(Semaphore::new(UPLOADS_MAX)))
    }

    /// An engine over `cas` that shares with others the turns in which uploads and compositions are at work.
    pub fn with_turns(cas: Arc<dyn ChunkStore>, turns: Arc<Semaphore>) -> Self {
        Self { cas, uploads: turns }
    }

    /// Waits for its turn to hold threads.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        // The semaphore is never closed; if it were, nobody could work any more.
        let turn = Arc::clone(&self.uploads).acquire_owned().await;
        turn.map_err(|closed| EngineError::Body(closed.into()))
    }
}
