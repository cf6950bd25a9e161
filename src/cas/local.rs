//! Chunks in the packs of this machine.
//!
//! A read that fails because its pack was rewritten meanwhile is made again where the xorb lies now. Where packs are objects
//! of an object store, chunks that were read are kept in a cache on the disk.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tracing::debug;

use super::announced::Announced;
use super::cache::{CachedChunk, ChunkCache};
use super::shared::Workshop;
use super::writer::LocalXorbWriter;
use super::{CasError, ChunkRef, ChunkSink, FoundChunk, Ticket, XorbReader, XorbWriter, decode_chunk};
use crate::store::hold::Hold;
use crate::store::local::LocalStore;
use crate::store::located::LocatedXorb;
use crate::store::pack::PackMedium;
use crate::store::pack::group::GroupWriter;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// How often a xorb may move while it is being read; gc takes far longer to move it once.
const MOVES_MAX: usize = 8;

/// Longest run that is read and checked where it is asked for, if it is in the page cache: that takes some 50 us at
/// most, and handing it to another thread costs 10.
const READ_NOW_BYTES_MAX: usize = 128 << 10;

/// So much of a run is read and checked before the next is read: what was just read is still in the core's own cache
/// then, and so is the memory that the last one was sent from.
const STEP_BYTES: u32 = 128 << 10;

/// The same for packs that are objects, where each read is a request.
const OBJECT_STEP_BYTES: u32 = 8 << 20;

/// Chunks in packs, found by the index, located by the metadata.
pub struct LocalChunks {
    pub(super) store: Arc<LocalStore>,
    pub(super) workshop: Arc<Workshop>,
    cache: Option<Arc<ChunkCache>>,
}

impl LocalChunks {
    /// The chunks of a store; what is read is kept in the cache, if there is one.
    pub fn new(store: Arc<LocalStore>, cache: Option<Arc<ChunkCache>>) -> std::io::Result<Self> {
        let workshop = Workshop {
            packs: Arc::clone(&store.packs),
            group: GroupWriter::start(&store.packs)?,
            announced: Announced::default(),
            metrics: Arc::clone(&store.metrics),
        };
        Ok(Self { store, workshop: Arc::new(workshop), cache })
    }

    /// The cache of what was read, if there is one.
    pub fn cache(&self) -> Option<&Arc<ChunkCache>> {
        self.cache.as_ref()
    }

    /// Lets later uploads find the chunks of xorbs that a transaction has taken; to be called before what held them until
    /// then is dropped.
    pub fn remember(&self, xorbs: &[StoredXorb]) {
        if let Some(learning) = &self.store.learning {
            learning.wrote(xorbs);
        }
        for xorb in xorbs {
            if let Err(error) = self.store.index.add(&xorb.hash, &xorb.row.table) {
                debug!(%error, xorb = %xorb.hash, "its chunks will not be found by later uploads");
            }
        }
    }

    /// How many chunks of running uploads are announced.
    #[cfg(test)]
    pub(crate) fn announced(&self) -> usize {
        self.workshop.announced.len()
    }

    /// Lets uploads store the chunks of a damaged xorb again, which mends it, instead of relying on them.
    fn distrust(&self, xorb: &XorbHash, table: &ChunkTable) {
        if let Err(error) = self.store.index.remove(xorb, table) {
            debug!(%error, %xorb, "uploads may go on to rely on a damaged xorb");
        }
    }

    async fn row(&self, xorb: &XorbHash) -> Result<Arc<LocatedXorb>, CasError> {
        self.store.rows.get(xorb).await?.ok_or(CasError::MissingXorb(*xorb))
    }

    /// The records of a run of chunks as they lie in the pack, one after the other; each has been checked against its
    /// chunk's hash.
    pub async fn read_records(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Bytes, CasError> {
        let records = self.read_run(xorb, chunks, u32::MAX, |run, records| {
            decode_run(&run.at.table, records, run.chunks.clone())?;
            Ok(vec![records.clone()])
        });
        Ok(records.await?.pop().unwrap_or_default())
    }

    async fn read_chunks(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError> {
        let decode: DecodeRun = |run, records| decode_run(&run.at.table, records, run.chunks.clone());
        self.read_run(xorb, chunks, STEP_BYTES, decode).await
    }

    /// Reads what the cache has of the beginning from there, and the rest from the packs, which is then in the cache.
    async fn read_through(
        &self,
        cache: &Arc<ChunkCache>,
        xorb: &XorbHash,
        chunks: Range<u32>,
    ) -> Result<Vec<Bytes>, CasError> {
        let table = Arc::clone(&self.row(xorb).await?.table);
        let (mut read, mut next) = (Vec::with_capacity(chunks.len()), chunks.start);
        while next < chunks.end
            && let Some(cached) = cache.get(*xorb, next..chunks.end).await
            && (next..).zip(&cached).all(|(index, chunk)| table.hash(index) == Some(chunk.hash))
        {
            next += cached.len() as u32;
            read.extend(cached.into_iter().map(|chunk| chunk.bytes));
        }
        if next < chunks.end {
            let rest = self.read_chunks(xorb, next..chunks.end).await?;
            let kept = (next..).zip(&rest).map_while(|(index, bytes)| {
                let record_end = table.record_range(index..index + 1)?.end;
                Some(CachedChunk { hash: table.hash(index)?, bytes: bytes.clone(), record_end })
            });
            cache.put(*xorb, next, kept.collect()).await;
            read.extend(rest);
        }
        Ok(read)
    }

    /// Reads a run of records, in steps of some bytes, and does something with them, which checks them, wherever the xorb
    /// is moved meanwhile.
    async fn read_run(
        &self,
        xorb: &XorbHash,
        chunks: Range<u32>,
        step_bytes: u32,
        decode: DecodeRun,
    ) -> Result<Vec<Bytes>, CasError> {
        let mut at = self.row(xorb).await?;
        for _ in 0..MOVES_MAX {
            let read = self.read_at(Arc::clone(&at), *xorb, chunks.clone(), step_bytes, decode).await;
            if !matches!(read, Err(CasError::Damaged { .. })) {
                return read;
            }
            self.store.rows.forget([xorb]);
            let now = self.row(xorb).await?;
            if now.place == at.place {
                self.distrust(xorb, &now.table);
                return read;
            }
            at = now;
        }
        self.read_at(at, *xorb, chunks, step_bytes, decode).await
    }

    async fn read_at(
        &self,
        at: Arc<LocatedXorb>,
        xorb: XorbHash,
        chunks: Range<u32>,
        step_bytes: u32,
        decode: DecodeRun,
    ) -> Result<Vec<Bytes>, CasError> {
        let no_such = || CasError::NoSuchChunks { xorb, start: chunks.start, end: chunks.end };
        let records = at.table.record_range(chunks.clone()).ok_or_else(no_such)?;
        let run = Run { at, xorb, chunks };
        let (pack, offset, len) = (run.at.place.pack, run.offset_of(records.start), records.len());
        if len <= READ_NOW_BYTES_MAX
            && let Some(bytes) = self.store.packs.read_now(pack, offset, len)
        {
            return run.decode(&bytes, decode);
        }
        let packs = Arc::clone(&self.store.packs);
        let step_bytes = match packs.medium() {
            PackMedium::File => step_bytes,
            PackMedium::Object => step_bytes.max(OBJECT_STEP_BYTES),
        };
        let work = move || {
            if len > step_bytes as usize {
                packs.read_soon(pack, offset, len);
            }
            let mut decoded = Vec::with_capacity(run.chunks.len());
            for step in run.steps(step_bytes) {
                let records = step.at.table.record_range(step.chunks.clone()).unwrap_or_default();
                let read = packs.read(pack, step.offset_of(records.start), records.len());
                let bytes = read.map_err(|error| step.unreadable(error))?;
                decoded.extend(step.decode(&bytes, decode)?);
            }
            Ok(decoded)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
            Err(CasError::Io { doing: "reading a pack", error: std::io::Error::other(panic) })
        })
    }
}

/// What is made of the records of a run; an error names the chunk that is damaged.
type DecodeRun = fn(&Run, &Bytes) -> Result<Vec<Bytes>, (u32, String)>;

/// Chunks of one xorb, and where it lies.
struct Run {
    at: Arc<LocatedXorb>,
    xorb: XorbHash,
    chunks: Range<u32>,
}

impl Run {
    /// Where in the pack a record lies that begins at `record_start` of the xorb.
    fn offset_of(&self, record_start: u32) -> u64 {
        self.at.place.offset + u64::from(record_start)
    }

    /// The run in steps, each of as many chunks as have at most `step_bytes` of records, or of one.
    fn steps(&self, step_bytes: u32) -> impl Iterator<Item = Run> + use<'_> {
        let table = &self.at.table;
        let mut next = self.chunks.start;
        std::iter::from_fn(move || {
            let start = next;
            let mut end = start + 1;
            let fits =
                |end: u32| table.record_range(start..end).is_some_and(|of| of.end - of.start <= step_bytes);
            while end < self.chunks.end && fits(end + 1) {
                end += 1;
            }
            next = end;
            (start < self.chunks.end).then(|| Run {
                at: Arc::clone(&self.at),
                xorb: self.xorb,
                chunks: start..end,
            })
        })
    }

    fn decode(&self, records: &Bytes, decode: DecodeRun) -> Result<Vec<Bytes>, CasError> {
        decode(self, records).map_err(|(chunk, reason)| self.damaged(chunk, reason))
    }

    fn damaged(&self, chunk: u32, reason: String) -> CasError {
        let begin = self.at.table.record_range(chunk..chunk + 1).map_or(0, |records| records.start);
        let place = format!("pack {} offset {}", self.at.place.pack, self.offset_of(begin));
        CasError::Damaged { xorb: self.xorb, chunk, place, reason }
    }

    fn unreadable(&self, error: std::io::Error) -> CasError {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::NotFound => {
                self.damaged(self.chunks.start, error.to_string())
            }
            _ => CasError::Io { doing: "reading a pack", error },
        }
    }
}

impl LocalChunks {
    /// Finds a chunk by the index, or, if others may have it, by asking for it.
    async fn find_and_ask(
        &self,
        chunk: &ChunkHash,
        hold: &mut Hold,
        asks: bool,
    ) -> Result<Option<FoundChunk>, CasError> {
        // The index itself has said aloud that it is damaged: it would be said of every chunk here.
        let known = self.store.index.find(chunk).unwrap_or_else(|error| {
            debug!(%error, "going on without deduplication");
            None
        });
        let hint = match (known, &self.store.learning) {
            (None, Some(learning)) if asks => learning.ask(chunk).await?,
            (known, _) => known,
        };
        // Pinned first: what is seen to be there afterwards stays there.
        let Some(hint) = hint.filter(|hint| hold.pin(&self.store.pins, hint.xorb)) else {
            self.store.metrics.chunks_missed.add(1);
            return Ok(None);
        };
        match self.store.rows.get(&hint.xorb).await? {
            Some(row) if row.table.hash(hint.index) == Some(*chunk) => {
                self.store.metrics.chunks_found.add(1);
                let place = ChunkRef { xorb: hint.xorb, index: hint.index };
                Ok(Some(FoundChunk { place, table: Arc::clone(&row.table) }))
            }
            // Two hashes share a key of the index.
            Some(_) => Ok(None),
            // The index is older than the truth.
            None => {
                hold.unpin(&hint.xorb);
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl ChunkSink for LocalChunks {
    type Row = XorbRow;

    async fn find(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        self.find_and_ask(chunk, hold, chunk.is_dedup_eligible()).await
    }

    async fn find_first(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        if let Some(learning) = &self.store.learning {
            learning.catch_up().await;
        }
        self.find_and_ask(chunk, hold, true).await
    }

    fn ticket(&self, chunk: &ChunkHash) -> Ticket {
        self.workshop.announced.ticket(chunk)
    }

    fn writer(&self) -> Box<dyn XorbWriter<Row = XorbRow>> {
        Box::new(LocalXorbWriter::new(Arc::clone(&self.workshop)))
    }
}

#[async_trait]
impl XorbReader for LocalChunks {
    async fn table(&self, xorb: &XorbHash) -> Result<Arc<ChunkTable>, CasError> {
        Ok(Arc::clone(&self.row(xorb).await?.table))
    }

    async fn read(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError> {
        match &self.cache {
            Some(cache) => self.read_through(cache, xorb, chunks).await,
            None => self.read_chunks(xorb, chunks).await,
        }
    }
}

/// Takes a run of records apart and checks every chunk; an error names the chunk.
fn decode_run(table: &ChunkTable, run: &Bytes, chunks: Range<u32>) -> Result<Vec<Bytes>, (u32, String)> {
    let base = table.record_range(chunks.clone()).map_or(0, |records| records.start);
    let mut decoded = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let fail = |reason: String| (chunk, reason);
        let records =
            table.record_range(chunk..chunk + 1).ok_or_else(|| fail("no such record".to_owned()))?;
        let record = run.slice((records.start - base) as usize..(records.end - base) as usize);
        let raw = decode_chunk(&record).map_err(fail)?;
        if table.hash(chunk) != Some(ChunkHash::of(&raw)) {
            return Err(fail("the bytes do not have the chunk's hash".to_owned()));
        }
        decoded.push(raw);
    }
    Ok(decoded)
}
