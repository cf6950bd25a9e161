//! The transfer engine: streams in, file records out, and back.
//!
//! [`Engine::ingest`] turns a stream into a file record and new xorbs, in bounded memory; [`Engine::reconstruct`]
//! turns a record and a range into a stream; [`Engine::compose`] joins ranges of files into a new file without
//! touching more bytes than the seams; [`Engine::outline`] tells clients that reconstruct themselves how, and
//! [`Engine::windows`] those that change a part of a file what to cut again. All give the
//! same file the same hash (promise 7), because all end in the same chunks.

use std::pin::Pin;
use std::sync::Arc;

use crate::cas::CasError;
use crate::model::turns::Turns;
use bytes::Bytes;
use futures::Stream;

mod arriving;
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

pub use arriving::{IncomingError, IncomingXorb, Intake};
pub use builder::FileProof;
pub use compose::{JOINED_TERMS_MAX, Segment};
pub use folder::FolderIngest;
pub use ingest::{Ingested, Layout, Pieces, next_pieces};
pub use outline::{OUTLINE_TERMS_MAX, Outline, XorbRange};
pub use sink::{StoredFile, StoredFolder};
pub use windows::FileWindows;

/// A boxed error from outside the engine.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body on its way in.
pub type BodyIn = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// Uploads, compositions and checksums over stored bytes under way at once, and how many of them one tenant's may be;
/// further ones wait. Each holds at most two threads of the blocking pool (of 512), so there are always threads for the
/// reads that they wait for, and at most 16 MiB. An upload that is a chunk or so needs none.
const OPEN_MAX: (usize, usize) = (128, 32);

/// The turns in which an engine works; engines that share a machine share them. Clones are the same turns.
#[derive(Debug, Clone)]
pub struct EngineTurns {
    /// What is under way: for its threads and its memory.
    pub(crate) open: Turns,
    /// What is worked on at this moment. Held while a client is waited for only for a moment, and if nobody else wants it.
    pub(crate) work: Turns,
}

impl EngineTurns {
    /// Over chunks on this machine: three times as many pieces of work as cores, for an upload is two of them (it is cut and
    /// digested at the same time), and some wait for the disk.
    pub fn near() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let work = Turns::new((3 * cores).max(6), (2 * cores).max(4));
        Self { open: Turns::new(OPEN_MAX.0, OPEN_MAX.1), work }
    }

    /// Over chunks far away, where work is mostly waiting for the other server: `open` at once, of which a tenant's are
    /// three in four.
    pub fn far(open: usize) -> Self {
        let turns = || Turns::new(open, open - open / 4);
        Self { open: turns(), work: turns() }
    }
}

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
    /// What was asked for has more terms than can be dealt with at once.
    #[error("the content is too fragmented: more than {max} terms")]
    TooFragmented {
        /// The most.
        max: usize,
    },
    /// Nobody waits for the answer any more, so the work has ended.
    #[error("the request was given up")]
    GivenUp,
}

/// The engine over one store of chunks. What it can do depends on what the store can: take chunks
/// ([`ChunkSink`](crate::cas::ChunkSink)), read xorbs ([`XorbReader`](crate::cas::XorbReader)), or both.
pub struct Engine<C> {
    cas: Arc<C>,
    turns: EngineTurns,
}

impl<C> Clone for Engine<C> {
    fn clone(&self) -> Self {
        Self { cas: Arc::clone(&self.cas), turns: self.turns.clone() }
    }
}

impl<C> Engine<C> {
    /// An engine over `cas`, which is on this machine.
    pub fn new(cas: Arc<C>) -> Self {
        Self::with_turns(cas, EngineTurns::near())
    }

    /// An engine over `cas` that shares its turns with others.
    pub fn with_turns(cas: Arc<C>, turns: EngineTurns) -> Self {
        Self { cas, turns }
    }

    /// The turns in which it works.
    pub fn turns(&self) -> &EngineTurns {
        &self.turns
    }
}
