//! Reading files far away: layouts are asked for segment by segment, and each term's records are fetched, checked and
//! decoded as they arrive, some terms ahead of the reader.
//!
//! A connection that breaks is taken up again after the last whole record; a signed URL that has run out (403) is
//! replaced by a fresh layout's. Chunks go into the cache on the way, and are taken from there when they are in it; the
//! client does not wait for that, but its last bytes do, so that what was read whole can be read again from the cache.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::stream;
use reqwest::StatusCode;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::layout::{Fetch, Layout, LayoutTerm};
use super::{FileRange, Reach, Remote, RemoteError};
use crate::cas::cache::CachedChunk;
use crate::cas::http::OpenAnswer;
use crate::cas::{CasError, ChunkStream, decode_chunk};
use crate::model::tenant::Tenant;
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::limits::XORB_RECORD_HEADER_BYTES;
use crate::xet::merkle::MerkleTree;
use crate::xet::xorb::RecordHeader;

/// Bytes of a file whose layout is asked for at once: published clients begin with as much.
pub(super) const SEGMENT_BYTES: u64 = 256 << 20;

/// Terms fetched ahead of the one that is being given out.
const TERMS_AHEAD: usize = 4;

/// Chunks of a term that wait to be taken; with [`TERMS_AHEAD`] and [`RUNS_AHEAD`] it bounds a download's memory to some
/// 12 MiB.
const CHUNKS_AHEAD: usize = 16;

/// Pieces that wait for the client.
const PIECES_AHEAD: usize = 4;

/// Uncompressed bytes of a run that is cached as one file.
const RUN_BYTES: usize = 1 << 20;

/// Runs of a download that are on their way into the cache at once.
const RUNS_AHEAD: u32 = 4;

/// How often a term is taken up again without having come any further.
const TRIES_MAX: u32 = 4;

const REST: Duration = Duration::from_millis(200);

/// A chunk, decoded and checked.
struct Chunk {
    hash: ChunkHash,
    bytes: Bytes,
}

type ChunkResult = Result<Chunk, RemoteError>;

/// The bytes of a range of a file, in order. The work ends when the stream is dropped.
pub(super) fn open(
    remote: &Arc<Remote>,
    (file, size, reach): (FileHash, u64, Reach),
    range: Range<u64>,
) -> ChunkStream {
    let range = range.start.min(size)..range.end.min(size);
    if range.is_empty() {
        return Box::pin(stream::empty());
    }
    let (out, pieces) = mpsc::channel(PIECES_AHEAD);
    let reader = Reader { remote: Arc::clone(remote), file, reach, is_whole: range == (0..size), range };
    let work = AbortOnDropHandle::new(tokio::spawn(Tenant::current().scope(async move {
        if let Err(error) = reader.run(&out).await {
            // Nobody has to be listening any more.
            let _ = out.send(Err(CasError::Remote(error))).await;
        }
    })));
    Box::pin(stream::unfold((pieces, work), |(mut pieces, work)| async move {
        pieces.recv().await.map(|piece| (piece, (pieces, work)))
    }))
}

struct Reader {
    remote: Arc<Remote>,
    file: FileHash,
    reach: Reach,
    is_whole: bool,
    range: Range<u64>,
}

/// A part of a file with its layout, which is renewed when its URLs have run out.
struct Segment {
    remote: Arc<Remote>,
    key: FileRange,
    layout: Mutex<Arc<Layout>>,
    /// Turns to write into the cache.
    caching: Arc<Semaphore>,
}

impl Reader {
    async fn run(self, out: &mpsc::Sender<Result<Bytes, CasError>>) -> Result<(), RemoteError> {
        let mut tree = MerkleTree::new();
        // The last piece of a whole file waits until the file has proved to be the right one.
        let mut held: Option<Bytes> = None;
        let mut xorbs = Vec::new();
        let caching = Arc::new(Semaphore::new(RUNS_AHEAD as usize));
        let mut at = self.range.start;
        while at < self.range.end {
            let end = self.range.end.min(at + SEGMENT_BYTES);
            let layout = self.remote.layout((self.file, at..end, self.reach)).await?;
            if self.is_whole {
                xorbs.extend(layout.fetches.iter().map(|fetch| fetch.xorb));
            }
            let (mut skip, mut left) = (layout.skip, end - at);
            let segment = Segment {
                remote: Arc::clone(&self.remote),
                key: (self.file, at..end, self.reach),
                layout: Mutex::new(Arc::clone(&layout)),
                caching: Arc::clone(&caching),
            };
            let mut terms = Terms::new(segment, &layout);
            while let Some(chunk) = terms.next().await {
                let Chunk { hash, bytes } = chunk?;
                // A chunk on a seam of segments was seen whole at the end of the one before.
                if self.is_whole && skip == 0 {
                    tree.push(hash.into(), bytes.len() as u64);
                }
                let start = skip.min(bytes.len() as u64);
                let piece_end = (start + left).min(bytes.len() as u64);
                skip -= start;
                left -= piece_end - start;
                let piece = bytes.slice(start as usize..piece_end as usize);
                if piece.is_empty() {
                    continue;
                }
                if let Some(piece) = held.replace(piece)
                    && out.send(Ok(piece)).await.is_err()
                {
                    return Ok(());
                }
            }
            if left > 0 {
                return Err(RemoteError::Wrong(format!("file {} ends {left} bytes early", self.file)));
            }
            at = end;
        }
        // What is still on its way into the cache has come to its place when all turns are free.
        let _ = caching.acquire_many(RUNS_AHEAD).await;
        if self.is_whole && tree.finish().map(FileHash::from_root) != Some(self.file) {
            if let Some(cache) = &self.remote.shared.cache {
                for xorb in &xorbs {
                    cache.remove(xorb);
                }
            }
            return Err(RemoteError::Wrong(format!("the bytes of file {} are not its own", self.file)));
        }
        if let Some(last) = held {
            let _ = out.send(Ok(last)).await;
        }
        Ok(())
    }
}

/// The chunks of a layout's terms, in order, fetched ahead.
struct Terms {
    segment: Arc<Segment>,
    waiting: VecDeque<(LayoutTerm, XorbHash)>,
    running: VecDeque<(mpsc::Receiver<ChunkResult>, AbortOnDropHandle<()>)>,
}

impl Terms {
    fn new(segment: Segment, layout: &Layout) -> Self {
        let waiting =
            layout.terms.iter().map(|term| (term.clone(), layout.fetches[term.fetch].xorb)).collect();
        Self { segment: Arc::new(segment), waiting, running: VecDeque::new() }
    }

    async fn next(&mut self) -> Option<ChunkResult> {
        loop {
            while self.running.len() < TERMS_AHEAD
                && let Some((term, xorb)) = self.waiting.pop_front()
            {
                self.running.push_back(start(Arc::clone(&self.segment), &term, xorb));
            }
            let (chunks, _) = self.running.front_mut()?;
            if let Some(chunk) = chunks.recv().await {
                return Some(chunk);
            }
            self.running.pop_front();
        }
    }
}

fn start(
    segment: Arc<Segment>,
    term: &LayoutTerm,
    xorb: XorbHash,
) -> (mpsc::Receiver<ChunkResult>, AbortOnDropHandle<()>) {
    let (out, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let mut reader = TermReader {
        next: term.chunks.start,
        end: term.chunks.end,
        left: term.raw_bytes.into(),
        place: None,
        run: CacheRun { xorb, start: 0, chunks: Vec::new(), bytes: 0 },
        segment,
        xorb,
        out,
    };
    let work = tokio::spawn(Tenant::current().scope(async move {
        if let Err(error) = reader.run().await {
            let _ = reader.out.send(Err(error)).await;
        }
    }));
    (chunks, AbortOnDropHandle::new(work))
}

/// A record in a xorb: which, and where it begins.
#[derive(Clone, Copy)]
struct Place {
    index: u32,
    offset: u64,
}

struct TermReader {
    segment: Arc<Segment>,
    xorb: XorbHash,
    /// The next chunk to give out, and where the term ends.
    next: u32,
    end: u32,
    /// Bytes that the term still has to give.
    left: u64,
    /// Where the next record is, once that is known.
    place: Option<Place>,
    run: CacheRun,
    out: mpsc::Sender<ChunkResult>,
}

/// Why a fetch has ended before its term.
enum Broken {
    /// Nobody listens.
    Left,
    /// The URL has run out.
    Expired,
    /// It may go on from where it is.
    Cut(RemoteError),
    /// Another try gives the same.
    Final(RemoteError),
}

impl TermReader {
    async fn run(&mut self) -> Result<(), RemoteError> {
        if self.take_cached().await.is_err() {
            return Ok(());
        }
        let mut tries = 0;
        while self.next < self.end {
            let before = self.next;
            let layout = self.segment.current();
            let broken = match self.fetch(&layout).await {
                Ok(()) => break,
                Err(Broken::Left) => return Ok(()),
                Err(Broken::Final(error)) => return Err(error),
                Err(Broken::Expired) => {
                    self.segment.renew(&layout).await?;
                    RemoteError::Denied("a signed address has run out".to_owned())
                }
                Err(Broken::Cut(error)) => error,
            };
            self.run.flush(&self.segment).await;
            tries = if self.next > before { 1 } else { tries + 1 };
            if tries >= TRIES_MAX {
                return Err(broken);
            }
            tokio::time::sleep(REST * tries).await;
        }
        self.run.flush(&self.segment).await;
        if self.left > 0 {
            return Err(RemoteError::Wrong(format!("a term of xorb {} is too short", self.xorb)));
        }
        Ok(())
    }

    /// Gives out what the cache has of the beginning.
    async fn take_cached(&mut self) -> Result<(), Broken> {
        let Some(cache) = self.segment.remote.shared.cache.clone() else { return Ok(()) };
        while self.next < self.end
            && let Some(chunks) = cache.get(self.xorb, self.next..self.end).await
        {
            for CachedChunk { hash, bytes, record_end } in chunks {
                self.place = Some(Place { index: self.next + 1, offset: record_end.into() });
                self.give(Chunk { hash, bytes }).await?;
            }
        }
        Ok(())
    }

    /// Fetches and gives out what is left, as far as it gets.
    async fn fetch(&mut self, layout: &Layout) -> Result<(), Broken> {
        let fetch = find_fetch(layout, self.xorb, self.next, self.end).map_err(Broken::Final)?;
        let first = Place { index: fetch.chunks.start, offset: fetch.bytes.0 };
        let mut place = self.place.unwrap_or(first);
        if place.index < fetch.chunks.start || place.offset > fetch.bytes.1 {
            return Err(Broken::Final(RemoteError::Wrong("the layout has changed".to_owned())));
        }
        let remote = Arc::clone(&self.segment.remote);
        let answer = remote.client.records(&fetch.url, (place.offset, fetch.bytes.1)).await;
        let mut answer = check_answer(answer.map_err(Broken::Cut)?, fetch.bytes.1 - place.offset + 1)?;
        let mut buffer = BytesMut::new();
        while self.next < self.end {
            let Some(record) = take_record(&mut buffer).map_err(Broken::Cut)? else {
                let piece = answer.piece().await.map_err(|error| Broken::Cut(error.into()))?;
                let cut = || Broken::Cut(RemoteError::Unavailable("the answer was cut off".to_owned()));
                buffer.extend_from_slice(&piece.ok_or_else(cut)?);
                continue;
            };
            let wrong = |reason: String| Broken::Cut(RemoteError::Wrong(reason));
            let bytes = decode_chunk(&record).map_err(wrong)?;
            let hash = ChunkHash::of(&bytes);
            if remote.known.hash(&self.xorb, place.index).is_some_and(|known| known != hash) {
                return Err(wrong(format!("chunk {} of xorb {} has other bytes", place.index, self.xorb)));
            }
            let index = place.index;
            place = Place { index: index + 1, offset: place.offset + record.len() as u64 };
            self.place = Some(place);
            if self
                .run
                .push(index, CachedChunk { hash, bytes: bytes.clone(), record_end: place.offset as u32 })
            {
                self.run.flush(&self.segment).await;
            }
            if index >= self.next {
                self.give(Chunk { hash, bytes }).await?;
            }
        }
        Ok(())
    }

    async fn give(&mut self, chunk: Chunk) -> Result<(), Broken> {
        let len = chunk.bytes.len() as u64;
        let longer = || RemoteError::Wrong(format!("a term of xorb {} is too long", self.xorb));
        self.left = self.left.checked_sub(len).ok_or_else(|| Broken::Final(longer()))?;
        self.next += 1;
        self.out.send(Ok(chunk)).await.map_err(|_| Broken::Left)
    }
}

/// The fetch that holds these chunks.
fn find_fetch(layout: &Layout, xorb: XorbHash, start: u32, end: u32) -> Result<&Fetch, RemoteError> {
    let holds = |fetch: &&Fetch| fetch.xorb == xorb && fetch.chunks.start <= start && end <= fetch.chunks.end;
    let found = layout.fetches.iter().find(holds);
    found.ok_or_else(|| RemoteError::Wrong(format!("xorb {xorb} is not in its layout any more")))
}

/// Takes an answer that holds exactly the bytes asked for.
fn check_answer(answer: OpenAnswer, expected: u64) -> Result<OpenAnswer, Broken> {
    let refused =
        || RemoteError::Refused { status: answer.status.as_u16(), message: "xorb bytes".to_owned() };
    match answer.status {
        StatusCode::PARTIAL_CONTENT | StatusCode::OK => match answer.length() {
            Some(length) if length != expected => {
                Err(Broken::Final(RemoteError::Wrong("the answer is not the range asked for".to_owned())))
            }
            _ => Ok(answer),
        },
        StatusCode::FORBIDDEN => Err(Broken::Expired),
        StatusCode::NOT_FOUND => Err(Broken::Final(RemoteError::Missing("a xorb".to_owned()))),
        StatusCode::TOO_MANY_REQUESTS => Err(Broken::Cut(RemoteError::Busy)),
        status if status.is_server_error() => Err(Broken::Cut(RemoteError::Unavailable(status.to_string()))),
        _ => Err(Broken::Final(refused())),
    }
}

/// The next whole record, if it is there.
fn take_record(buffer: &mut BytesMut) -> Result<Option<Bytes>, RemoteError> {
    let Some(header) = buffer.first_chunk::<XORB_RECORD_HEADER_BYTES>() else { return Ok(None) };
    let header = RecordHeader::decode(header).map_err(|error| RemoteError::Wrong(error.to_string()))?;
    let len = header.record_len() as usize;
    if buffer.remaining() < len {
        buffer.reserve(len - buffer.remaining());
        return Ok(None);
    }
    Ok(Some(buffer.split_to(len).freeze()))
}

/// Neighbouring chunks on their way into the cache.
struct CacheRun {
    xorb: XorbHash,
    start: u32,
    chunks: Vec<CachedChunk>,
    bytes: usize,
}

impl CacheRun {
    /// Adds the next chunk; `true` if the run is long enough.
    fn push(&mut self, index: u32, chunk: CachedChunk) -> bool {
        if self.chunks.is_empty() {
            self.start = index;
        }
        self.bytes += chunk.bytes.len();
        self.chunks.push(chunk);
        self.bytes >= RUN_BYTES
    }

    /// Sends the run on its way into the cache, as soon as it is its turn.
    async fn flush(&mut self, segment: &Segment) {
        let chunks = std::mem::take(&mut self.chunks);
        self.bytes = 0;
        let Some(cache) = segment.remote.shared.cache.clone() else { return };
        let Ok(turn) = Arc::clone(&segment.caching).acquire_owned().await else { return };
        let (xorb, start) = (self.xorb, self.start);
        tokio::spawn(async move {
            cache.put(xorb, start, chunks).await;
            drop(turn);
        });
    }
}

impl Segment {
    fn current(&self) -> Arc<Layout> {
        Arc::clone(&self.layout.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces a layout whose URLs have run out, unless another term has done so.
    async fn renew(&self, old: &Arc<Layout>) -> Result<(), RemoteError> {
        if Arc::ptr_eq(&self.current(), old) {
            let layout = self.remote.fresh_layout(self.key.clone()).await?;
            *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = layout;
        }
        Ok(())
    }
}
