//! Ingest: a stream in, a file record and new xorbs out, in bounded memory.
//!
//! The body is pumped to two threads, one that digests and one that cuts, hashes, looks up, compresses and writes.
//! A body that ends early is small enough for one thread to do both, and one of a chunk or so is worked on where it is:
//! waking another thread takes longer.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;

use super::builder::{FileProof, Room};
use super::cutter::Cutter;
use super::digest::{Digester, Digests};
use super::sink::ChunkSink;
use super::{BodyIn, Engine, EngineError};
use crate::cas::{CasError, SMALL_RAW_BYTES_MAX};
use crate::store::hold::Hold;
use crate::store::rows::{ChecksumAlgorithm, FileRecord, StoredXorb};

/// Pieces are handed to the threads in batches of at least this, to wake them rarely.
const BATCH_BYTES: usize = 512 << 10;

/// A piece counts as at least this: a client may send a byte at a time, and a piece costs more than its bytes.
const PIECE_BYTES_MIN: usize = 2 << 10;

/// Batches on their way to each of the threads; with one being gathered and one at work, an upload holds 4 of them.
const BATCHES_QUEUED: usize = 2;

/// The pieces of a body that came together.
type Batch = Arc<[Bytes]>;

/// What a body is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A whole file.
    File,
    /// A part, which [`Engine::compose`] joins with others: its first and last chunk are kept apart, for they are
    /// likely to be dead when it is joined.
    Part,
}

/// A body that was taken in whole. Its new chunks are written but not yet durable; dropped, they are taken back.
pub struct Ingested {
    sink: ChunkSink,
    /// The body's digests.
    pub digests: Digests,
    _permit: OwnedSemaphorePermit,
}

/// A file whose bytes are durable.
pub struct StoredFile {
    /// How it is put together.
    pub record: FileRecord,
    /// What proves it to a store that does not look into its own xorbs.
    pub proof: FileProof,
    /// The xorbs stored for it.
    pub xorbs: Vec<StoredXorb>,
    /// What it relies on stays while this lives: to be dropped when the file's transaction has been answered.
    pub hold: Hold,
}

impl Ingested {
    /// The body's length.
    pub fn size(&self) -> u64 {
        self.sink.size()
    }

    /// Makes it durable.
    pub async fn store(self) -> Result<StoredFile, EngineError> {
        let Self { sink, _permit: permit, .. } = self;
        if sink.size() <= SMALL_RAW_BYTES_MAX as u64 {
            return Ok(sink.finish().await?);
        }
        let runtime = Handle::current();
        let stored = spawn_blocking(move || runtime.block_on(sink.finish())).await;
        drop(permit);
        Ok(stored??)
    }
}

impl Engine {
    /// Takes in a body and computes the digests asked for.
    pub async fn ingest(
        &self,
        mut body: BodyIn,
        layout: Layout,
        asked: &[ChecksumAlgorithm],
    ) -> Result<Ingested, EngineError> {
        let sink = ChunkSink::new(Arc::clone(&self.cas), Hold::default());
        let digester = Digester::new(asked);
        // A slow client's first bytes come before its turn, so that small bodies never wait for slow ones.
        let first = next_pieces(&mut body).await?;
        let permit = self.turn().await?;
        let (sink, digests) = if first.ended {
            ingest_short(layout, first.pieces, sink, digester).await?
        } else {
            ingest_long(body, layout, first.pieces, sink, digester).await?
        };
        Ok(Ingested { sink, digests, _permit: permit })
    }
}

/// A body that is all there.
async fn ingest_short(
    layout: Layout,
    pieces: Batch,
    sink: ChunkSink,
    digester: Digester,
) -> Result<(ChunkSink, Digests), EngineError> {
    let is_small = pieces.iter().map(Bytes::len).sum::<usize>() <= SMALL_RAW_BYTES_MAX;
    let work = async move {
        let mut cutting = Cutting::begin(sink, layout);
        cutting.feed(&pieces).await?;
        let sink = cutting.end().await?;
        Ok::<_, CasError>((sink, digest(digester, &mut std::iter::once(pieces))))
    };
    if is_small {
        return Ok(work.await?);
    }
    let runtime = Handle::current();
    Ok(spawn_blocking(move || runtime.block_on(work)).await??)
}

/// A body of which more may come.
async fn ingest_long(
    mut body: BodyIn,
    layout: Layout,
    first: Batch,
    sink: ChunkSink,
    digester: Digester,
) -> Result<(ChunkSink, Digests), EngineError> {
    let (to_cutter, mut for_cutter) = mpsc::channel::<Batch>(BATCHES_QUEUED);
    let (to_digester, mut for_digester) = mpsc::channel::<Batch>(BATCHES_QUEUED);
    let runtime = Handle::current();
    let cutter = spawn_blocking(move || {
        let mut cutting = Cutting::begin(sink, layout);
        while let Some(batch) = for_cutter.blocking_recv() {
            runtime.block_on(cutting.feed(&batch))?;
        }
        runtime.block_on(cutting.end())
    });
    let digester =
        spawn_blocking(move || digest(digester, &mut std::iter::from_fn(|| for_digester.blocking_recv())));
    let pump = async {
        let mut batch = Pieces { pieces: first, ended: false };
        loop {
            // A thread that is gone has met an error; it is told below.
            let sent = to_digester.send(Arc::clone(&batch.pieces)).await.is_ok()
                && to_cutter.send(batch.pieces).await.is_ok();
            if batch.ended || !sent {
                return Ok(());
            }
            batch = next_pieces(&mut body).await?;
        }
    };
    let pumped: Result<(), EngineError> = pump.await;
    drop((to_cutter, to_digester));
    // Wait for both in any case: when an error is answered, the write is over.
    let (sink, digests) = (cutter.await, digester.await);
    pumped?;
    Ok((sink??, digests?))
}

/// Pieces of a body that were gathered, to be worked on at once.
pub struct Pieces {
    /// The pieces.
    pub pieces: Arc<[Bytes]>,
    /// Whether the body has ended behind them.
    pub ended: bool,
}

/// Gathers the next half a megabyte of a body.
pub async fn next_pieces(body: &mut BodyIn) -> Result<Pieces, EngineError> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
        match body.next().await {
            Some(piece) => {
                let piece = piece.map_err(EngineError::Body)?;
                bytes += piece.len().max(PIECE_BYTES_MIN);
                pieces.push(piece);
            }
            None => {
                return Ok(Pieces { pieces: pieces.into(), ended: true });
            }
        }
    }
    Ok(Pieces { pieces: pieces.into(), ended: false })
}

/// Cuts a body into the chunks that a sink takes.
struct Cutting {
    cutter: Cutter,
    sink: ChunkSink,
    /// Where the first and the last chunk go.
    edge: Room,
}

impl Cutting {
    fn begin(mut sink: ChunkSink, layout: Layout) -> Self {
        let edge = if layout == Layout::Part { Room::Edge } else { Room::Body };
        sink.room = edge;
        if layout == Layout::Part {
            sink.list_chunks();
        }
        Self { cutter: Cutter::default(), sink, edge }
    }

    async fn feed(&mut self, batch: &Batch) -> Result<(), CasError> {
        for piece in batch.iter() {
            let mut piece = piece.as_ref();
            while let Some(chunk) = self.cutter.next(&mut piece) {
                self.sink.push_bytes(chunk).await?;
                self.sink.room = Room::Body;
            }
        }
        Ok(())
    }

    async fn end(mut self) -> Result<ChunkSink, CasError> {
        self.sink.room = self.edge;
        if let Some(chunk) = self.cutter.finish() {
            self.sink.push_bytes(&chunk).await?;
        }
        Ok(self.sink)
    }
}

/// The work of the digesting thread.
fn digest(mut digester: Digester, batches: &mut dyn Iterator<Item = Batch>) -> Digests {
    for batch in batches {
        for piece in batch.iter() {
            digester.update(piece);
        }
    }
    digester.finish()
}
