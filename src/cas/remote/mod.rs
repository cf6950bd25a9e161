//! A CAS far away, over its HTTP API. Source: Xet specification, "CAS HTTP API" and "Client behaviour".
//!
//! [`RemoteChunks`] is the [`ChunkSink`] of one bucket: chunks are found in what was sent lately and in what the CAS
//! tells of them ([`known`]), sent as xorbs ([`writer`]), registered as files ([`RemoteChunks::register`]), and read
//! by layouts ([`layout`], [`read`]).
//!
//! What is checked: every chunk against its hash where that is known (it was sent from here, or read before); a whole
//! file against its own hash, before its last bytes are given out. The first read of a *range* of a file that came
//! from elsewhere can be checked for its form and length only: the API tells no hashes of chunks.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lru::LruCache;
use tokio::runtime::Handle;
use tracing::debug;

use super::cache::ChunkCache;
use super::http::HttpClient;
use super::{CasError, ChunkRef, ChunkSink, ChunkStream, FoundChunk, Ticket, XorbWriter};
use crate::model::clock::Clock;
use crate::model::file::FileRecord;
use crate::model::turns::Turns;
use crate::store::hold::Hold;
use crate::store::rows::StoredXorb;
use crate::xet::hash::{ChunkHash, FileHash, RangeHash};
use crate::xet::shard::{Shard, ShardChunk, ShardFile, ShardTerm, ShardXorb};
use crate::xet::xorb::ChunkTable;

mod access;
mod client;
mod error;
mod known;
mod layout;
mod read;
mod shared;
mod writer;

pub use access::{AccessSource, CasAccess, KeptAccess, Reach};
pub use error::RemoteError;
pub use known::Known;

use client::CasClient;
use layout::Layout;

/// Layouts kept, so that a range read again asks nothing.
const LAYOUTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Layouts with more terms are not kept: a thousand of the largest kept ones take some 100 MiB.
const LAYOUT_TERMS_KEPT_MAX: usize = 1000;

/// Xorbs on their way at once, of all uploads together (768 MiB) and of one tenant's.
const XORBS_SENDING_MAX: (usize, usize) = (48, 32);

/// Rows of one shard, which may have 64 MiB.
const SHARD_ROWS_MAX: usize = 1_000_000;

/// What all buckets behind one gateway share.
#[derive(Clone)]
pub struct RemoteShared {
    http: HttpClient,
    cache: Option<Arc<ChunkCache>>,
    clock: Arc<dyn Clock>,
    sending_turns: Turns,
}

impl RemoteShared {
    /// Without a cache, every read goes out.
    pub fn new(http: HttpClient, cache: Option<Arc<ChunkCache>>, clock: Arc<dyn Clock>) -> Self {
        Self { http, cache, clock, sending_turns: Turns::new(XORBS_SENDING_MAX.0, XORBS_SENDING_MAX.1) }
    }
}

/// The chunks of one bucket's CAS. Clones are the same store.
#[derive(Clone)]
pub struct RemoteChunks(Arc<Remote>);

/// A range of a file.
type FileRange = (FileHash, Range<u64>, Reach);

/// What readers and writers share.
pub(super) struct Remote {
    client: Arc<CasClient>,
    known: Arc<Known>,
    shared: RemoteShared,
    layouts: Mutex<LruCache<FileRange, Arc<Layout>>>,
}

/// A xorb that the CAS has taken.
pub type SentXorb = StoredXorb<ChunkTable>;

/// A file to register.
pub struct NewRemoteFile<'a> {
    /// The file.
    pub record: &'a FileRecord,
    /// The verification hash of each of its terms.
    pub proof: &'a [RangeHash],
    /// The xorbs sent for it.
    pub xorbs: &'a [SentXorb],
}

impl RemoteChunks {
    /// The chunks that `source` gives access to; `known` is the memory of the caller for whom it does.
    pub fn new(shared: RemoteShared, source: Arc<dyn AccessSource>, known: Arc<Known>) -> Self {
        let client = CasClient::new(shared.http.clone(), source, Arc::clone(&shared.clock));
        let layouts = Mutex::new(LruCache::new(LAYOUTS_MAX));
        Self(Arc::new(Remote { client: Arc::new(client), known, shared, layouts }))
    }

    /// Lets the CAS know of a file whose xorbs were all sent. The empty file needs no registration.
    pub async fn register(&self, file: &NewRemoteFile<'_>) -> Result<(), RemoteError> {
        self.register_all(std::slice::from_ref(file), file.xorbs).await
    }

    /// The same for many files that share `xorbs`, beside those that each names: in one shard if it holds them all.
    pub async fn register_all(
        &self,
        files: &[NewRemoteFile<'_>],
        xorbs: &[SentXorb],
    ) -> Result<(), RemoteError> {
        let own = files.iter().flat_map(|file| file.xorbs);
        let mut xorbs: Vec<ShardXorb> = xorbs.iter().chain(own).map(shard_xorb).collect();
        xorbs.sort_by_key(|xorb| xorb.hash);
        xorbs.dedup_by_key(|xorb| xorb.hash);
        let mut shards = ShardFiller::default();
        // Xorbs go before the files that name them.
        for xorb in xorbs {
            if let Some(full) = shards.make_room(xorb.chunks.len() + 1) {
                self.put_shard(&full).await?;
            }
            shards.open.xorbs.push(xorb);
        }
        for file in files.iter().filter(|file| file.record.hash != FileHash::EMPTY) {
            let rows = 2 + 2 * file.record.terms.len();
            if rows > SHARD_ROWS_MAX || file.proof.len() != file.record.terms.len() {
                let message = format!("a file of {} terms cannot be registered", file.record.terms.len());
                return Err(RemoteError::Refused { status: 400, message });
            }
            if let Some(full) = shards.make_room(rows) {
                self.put_shard(&full).await?;
            }
            shards.open.files.push(shard_file(file));
        }
        if shards.rows == 0 { Ok(()) } else { self.put_shard(&shards.open).await }
    }

    async fn put_shard(&self, shard: &Shard) -> Result<(), RemoteError> {
        let registered = self.0.client.put_shard(&shard.encode_upload().into()).await;
        if let Err(RemoteError::Refused { .. } | RemoteError::Missing(_)) = &registered {
            // Perhaps it names a xorb that was collected since we learned of it. What is sent again finds its way.
            self.0.known.forget();
        }
        registered
    }

    /// The bytes of a range of a file, in order.
    pub fn open_file(&self, file: FileHash, size: u64, range: Range<u64>) -> ChunkStream {
        read::open(&self.0, (file, size, Reach::Read), range)
    }

    /// The same of a file that this client has registered and no object names yet: a CAS may give those only to whoever may
    /// write.
    pub fn open_registered(&self, file: FileHash, size: u64, range: Range<u64>) -> ChunkStream {
        read::open(&self.0, (file, size, Reach::Write), range)
    }
}

/// Fills shards up to their limit.
#[derive(Default)]
struct ShardFiller {
    open: Shard,
    rows: usize,
}

impl ShardFiller {
    /// Counts so many more rows; gives the shard at hand if they do not fit into it any more.
    fn make_room(&mut self, rows: usize) -> Option<Shard> {
        let full = self.rows > 0 && self.rows + rows > SHARD_ROWS_MAX;
        self.rows = if full { rows } else { self.rows + rows };
        full.then(|| std::mem::take(&mut self.open))
    }
}

fn shard_file(file: &NewRemoteFile<'_>) -> ShardFile {
    let terms = file.record.terms.iter().zip(file.proof).map(|(term, proof)| ShardTerm {
        xorb: term.xorb,
        raw_bytes: term.raw_bytes,
        chunks: term.start..term.end,
        verification: Some(*proof),
    });
    ShardFile { hash: file.record.hash, terms: terms.collect(), sha256: None }
}

fn shard_xorb(xorb: &SentXorb) -> ShardXorb {
    let mut raw_start = 0;
    let chunks = xorb.row.entries().iter().map(|entry| {
        let start = std::mem::replace(&mut raw_start, entry.raw_end);
        ShardChunk {
            hash: entry.hash,
            raw_start: start,
            raw_bytes: entry.raw_end - start,
            dedup_eligible: false,
        }
    });
    // As published clients do, which do not know the stored length.
    ShardXorb { hash: xorb.hash, chunks: chunks.collect(), raw_bytes: xorb.row.raw_bytes(), stored_bytes: 0 }
}

impl Remote {
    /// Asks the CAS for a chunk, once in a while. Not to know costs deduplication, nothing else.
    async fn ask(&self, chunk: &ChunkHash) -> Option<ChunkRef> {
        let asked = self.known.asked(chunk);
        asked.get_or_init(|| self.learn_of(chunk)).await;
        self.known.find(chunk)
    }

    async fn learn_of(&self, chunk: &ChunkHash) {
        match self.client.dedup(chunk).await {
            Ok(None) => {}
            Ok(Some(shard)) => match Shard::decode(&shard) {
                Ok(shard) => self.known.learn(&shard),
                Err(error) => debug!(%error, "a dedup answer cannot be read"),
            },
            Err(error) => debug!(%error, "going on without deduplication"),
        }
    }

    /// A chunk that was found, unless its xorb was forgotten since.
    fn with_table(&self, place: ChunkRef) -> Option<FoundChunk> {
        self.known.table(&place.xorb).map(|table| FoundChunk { place, table })
    }

    /// How a range of a file is put together.
    async fn layout(&self, key: FileRange) -> Result<Arc<Layout>, RemoteError> {
        let kept = self.layouts.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        match kept {
            Some(layout) => Ok(layout),
            None => self.fresh_layout(key).await,
        }
    }

    /// The same, with URLs that were signed just now.
    async fn fresh_layout(&self, key: FileRange) -> Result<Arc<Layout>, RemoteError> {
        let layout = Arc::new(self.client.layout(&key.0, key.1.clone(), key.2).await?);
        if layout.terms.len() <= LAYOUT_TERMS_KEPT_MAX {
            self.layouts.lock().unwrap_or_else(PoisonError::into_inner).put(key, Arc::clone(&layout));
        }
        Ok(layout)
    }
}

#[async_trait]
impl ChunkSink for RemoteChunks {
    type Row = ChunkTable;

    async fn find(&self, chunk: &ChunkHash, _hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        let found = match self.0.known.find(chunk) {
            None if chunk.is_dedup_eligible() => self.0.ask(chunk).await,
            found => found,
        };
        Ok(found.and_then(|place| self.0.with_table(place)))
    }

    async fn find_first(&self, chunk: &ChunkHash, _hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        let found = match self.0.known.find(chunk) {
            None => self.0.ask(chunk).await,
            found => found,
        };
        Ok(found.and_then(|place| self.0.with_table(place)))
    }

    fn ticket(&self, chunk: &ChunkHash) -> Ticket {
        self.0.known.announced.ticket(chunk)
    }

    fn writer(&self) -> Box<dyn XorbWriter<Row = ChunkTable>> {
        let Remote { client, known, shared, .. } = &*self.0;
        let turns = shared.sending_turns.clone();
        Box::new(writer::RemoteXorbWriter::new(
            Arc::clone(client),
            Arc::clone(known),
            turns,
            Handle::current(),
        ))
    }
}
