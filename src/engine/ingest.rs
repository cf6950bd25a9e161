//! Ingest: a stream in, a file record and new xorbs out, in bounded memory.
//!
//! The body is gathered in batches. While one is worked on, by two threads (one digests; the other cuts, hashes, looks
//! up, compresses and writes), the next is gathered; a client that is slow holds no thread and no turn while it is waited
//! for (but for a moment, [`LINGER`]), only the batch that it has not filled yet. A body that ends early is small enough for one thread to do both, and
//! one of a chunk or so is worked on where it is: waking another thread takes longer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::timeout;

use super::builder::Room;
use super::cutter::Cutter;
use super::digest::{Digester, Digests};
use super::sink::{FileSink, StoredFile};
use super::{BodyIn, Engine, EngineError};
use crate::cas::{CasError, ChunkSink, SMALL_RAW_BYTES_MAX};
use crate::model::checksums::ChecksumAlgorithm;
use crate::model::turns::{Demand, SLICE_BYTES, Turn, Turns, Wanted, on_thread};
use crate::store::hold::Hold;

/// Pieces are handed to the threads in batches of at least this, to wake them rarely.
const BATCH_BYTES: usize = 512 << 10;

/// Batches on their way to each of the threads; with one being gathered and one at work, an upload holds 6 of them.
const BATCHES_QUEUED: usize = 4;

/// A thread that has nothing to do waits this long for the next batch before it gives its turn back: to begin again costs
/// two changes of threads, which a fast client would wait for again and again. Not if others wait for a turn.
const LINGER: Duration = Duration::from_millis(2);

/// A piece counts as at least this: a client may send a byte at a time, and a piece costs more than its bytes.
const PIECE_BYTES_MIN: usize = 2 << 10;

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
    /// A part whose chunks are listed in its [`FileProof`](super::FileProof), because the tables of its xorbs do not last where it goes.
    ListedPart,
}

/// A body that was taken in whole. Its new chunks are written but not yet durable; dropped, they are taken back.
pub struct Ingested<R> {
    sink: FileSink<R>,
    /// The body's digests.
    pub digests: Digests,
    /// None is needed for a body of a chunk or so.
    turn: Turn,
}

impl<R: Send + Sync + 'static> Ingested<R> {
    /// The body's length.
    pub fn size(&self) -> u64 {
        self.sink.size()
    }

    /// Makes it durable.
    pub async fn store(self) -> Result<StoredFile<R>, EngineError> {
        let Self { sink, turn, .. } = self;
        if sink.size() <= SMALL_RAW_BYTES_MAX as u64 {
            return Ok(sink.finish().await?);
        }
        // To its end once it has begun: what it writes is taken back or durable, never half of it.
        let stored = on_thread(turn, |wanted| wanted.runtime().block_on(sink.finish()));
        Ok(stored.await??)
    }
}

impl<C: ChunkSink> Engine<C> {
    /// Takes in a body and computes the digests asked for.
    pub async fn ingest(
        &self,
        mut body: BodyIn,
        layout: Layout,
        asked: &[ChecksumAlgorithm],
    ) -> Result<Ingested<C::Row>, EngineError> {
        let sink = FileSink::new(Arc::clone(&self.cas) as _, Hold::default());
        let mut taking = Taking { cutting: Cutting::begin(sink, layout), digester: Digester::new(asked) };
        let first = next_pieces(&mut body).await?;
        if first.ended && first.bytes() <= SMALL_RAW_BYTES_MAX {
            // To ask others whether they have it would cost more than to store it.
            taking.cutting.sink.asks_for_first = false;
            let (sink, digests) = taking.take_all(&first.pieces).await?;
            return Ok(Ingested { sink, digests, turn: Turn::default() });
        }
        // Not before there is something to do: bodies that come slowly keep nobody waiting.
        let turn = self.turns.open.take().await;
        let (sink, digests) = if first.ended {
            taking.take_short(first.pieces, &self.turns.work).await?
        } else {
            taking.take_long(first.pieces, body, &self.turns.work).await?
        };
        Ok(Ingested { sink, digests, turn })
    }
}

/// A body that is being taken in.
struct Taking<R> {
    cutting: Cutting<R>,
    digester: Digester,
}

impl<R: Send + Sync + 'static> Taking<R> {
    /// Takes all there is, on this thread.
    async fn take_all(mut self, pieces: &Batch) -> Result<(FileSink<R>, Digests), CasError> {
        self.cutting.feed(pieces).await?;
        let sink = self.cutting.end().await?;
        update(&mut self.digester, pieces);
        Ok((sink, self.digester.finish()))
    }

    /// Takes a body that is all there.
    async fn take_short(self, pieces: Batch, turns: &Turns) -> Result<(FileSink<R>, Digests), EngineError> {
        let turn = turns.take().await;
        let taken = on_thread(turn, move |wanted| wanted.block_on(self.take_all(&pieces)));
        Ok(taken.await?.ok_or(EngineError::GivenUp)??)
    }

    /// Takes a body of which more may come: one batch is gathered, one cut and one digested at the same time, and each is
    /// at most [`BATCHES_QUEUED`] ahead of the next.
    async fn take_long(
        self,
        first: Batch,
        mut body: BodyIn,
        turns: &Turns,
    ) -> Result<(FileSink<R>, Digests), EngineError> {
        let Self { cutting, digester } = self;
        let (to_cut, batches) = mpsc::channel(BATCHES_QUEUED);
        let cutting = work_off(cutting, batches, turns, cut);
        let (to_digest, batches) = mpsc::channel(BATCHES_QUEUED);
        let digesting = work_off(digester, batches, turns, digest);
        let gather = async move {
            let mut at_hand = Pieces { pieces: first, ended: false };
            loop {
                let Pieces { pieces, ended } = at_hand;
                // To both at once: one that is late does not keep the other waiting for its batch. Where nobody takes
                // it any more there is an error already, which says more.
                let sent = tokio::try_join!(to_digest.send(Arc::clone(&pieces)), to_cut.send(pieces));
                if sent.is_err() || ended {
                    return Ok::<_, EngineError>(());
                }
                at_hand = next_pieces(&mut body).await?;
            }
        };
        // Waits for the work in any case: when an error is answered, the write is over.
        let (gathered, cutting, digester) = tokio::join!(gather, cutting, digesting);
        let (cutting, digester) = (cutting?, digester?);
        gathered?;
        let turn = turns.take().await;
        let ended = on_thread(turn, move |wanted| wanted.block_on(cutting.end()));
        Ok((ended.await?.ok_or(EngineError::GivenUp)??, digester.finish()))
    }
}

/// What a worker does with a batch; `None` if nobody waits for it any more.
type Step<W> = fn(&mut W, &Batch, &Wanted) -> Option<Result<(), CasError>>;

fn cut<R: Send + Sync + 'static>(
    cutting: &mut Cutting<R>,
    batch: &Batch,
    wanted: &Wanted,
) -> Option<Result<(), CasError>> {
    wanted.block_on(cutting.feed(batch))
}

fn digest(digester: &mut Digester, batch: &Batch, wanted: &Wanted) -> Option<Result<(), CasError>> {
    wanted.is_wanted().then(|| {
        update(digester, batch);
        Ok(())
    })
}

/// Works off all batches. A turn lasts as long as there are batches at hand, and, if others wait for it, a slice of work
/// at most: to wait for each batch on its own would cost a busy machine a wait for a core per batch.
async fn work_off<W: Send + 'static>(
    mut worker: W,
    batches: mpsc::Receiver<Batch>,
    turns: &Turns,
    step: Step<W>,
) -> Result<W, EngineError> {
    let mut queue = BatchQueue { batches, slice: 0 };
    while let Some(first) = queue.batches.recv().await {
        let turn = turns.take().await;
        let demand = turn.demand();
        let working = on_thread(turn, move |wanted| {
            let mut at_hand = Some(first);
            while let Some(batch) = at_hand {
                step(&mut worker, &batch, wanted).ok_or(EngineError::GivenUp)??;
                at_hand = queue.next(&batch, &demand, wanted);
            }
            Ok::<_, EngineError>((worker, queue))
        });
        (worker, queue) = working.await??;
    }
    Ok(worker)
}

/// Batches on their way to a worker.
struct BatchQueue {
    batches: mpsc::Receiver<Batch>,
    /// Bytes worked on since the last moment at which the turn was given back, or would have been.
    slice: u64,
}

impl BatchQueue {
    /// The batch after `last`, in the same turn; `None` if the turn is over.
    fn next(&mut self, last: &Batch, demand: &Demand, wanted: &Wanted) -> Option<Batch> {
        self.slice += last.iter().map(|piece| piece.len() as u64).sum::<u64>();
        if self.slice >= SLICE_BYTES {
            self.slice = 0;
            if demand.is_there() {
                return None;
            }
        }
        match self.batches.try_recv() {
            Ok(batch) => Some(batch),
            Err(TryRecvError::Empty) if !demand.is_there() => {
                wanted.block_on(async { timeout(LINGER, self.batches.recv()).await.ok().flatten() }).flatten()
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }
}

/// Pieces of a body that were gathered, to be worked on at once.
pub struct Pieces {
    /// The pieces.
    pub pieces: Arc<[Bytes]>,
    /// Whether the body has ended after them.
    pub ended: bool,
}

impl Pieces {
    /// How long they are together.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
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
struct Cutting<R> {
    cutter: Cutter,
    sink: FileSink<R>,
    /// Where the first and the last chunk go.
    edge: Room,
}

impl<R: Send + Sync + 'static> Cutting<R> {
    fn begin(mut sink: FileSink<R>, layout: Layout) -> Self {
        let edge = if layout == Layout::File { Room::Body } else { Room::Edge };
        sink.room = edge;
        if layout == Layout::ListedPart {
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

    async fn end(mut self) -> Result<FileSink<R>, CasError> {
        self.sink.room = self.edge;
        if let Some(chunk) = self.cutter.finish() {
            self.sink.push_bytes(&chunk).await?;
        }
        Ok(self.sink)
    }
}

fn update(digester: &mut Digester, batch: &Batch) {
    for piece in batch.iter() {
        digester.update(piece);
    }
}
