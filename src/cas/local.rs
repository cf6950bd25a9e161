//! Chunks in the packs of this machine.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lru::LruCache;
use tracing::warn;

use super::writer::LocalXorbWriter;
use super::{CasError, ChunkRef, ChunkStore, XorbWriter};
use crate::store::index::ChunkIndex;
use crate::store::meta::MetaStore;
use crate::store::pack::group::GroupWriter;
use crate::store::pack::log::PackLog;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::compression::{Scheme, decompress};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_RECORD_HEADER_BYTES;
use crate::xet::xorb::{ChunkTable, RecordHeader};

/// Xorb rows kept in memory. A full one has 1,000 chunks of 40 bytes, so the cache stays near 20 MiB.
const ROWS_CACHED: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

/// Chunks in packs, found by the index, located by the metadata.
pub struct LocalChunks {
    meta: Arc<dyn MetaStore>,
    packs: Arc<PackLog>,
    group: Arc<GroupWriter>,
    index: Arc<dyn ChunkIndex>,
    rows: Mutex<LruCache<XorbHash, Arc<CachedRow>>>,
}

struct CachedRow {
    row: XorbRow,
    /// Shared apart from the row: the engine asks for tables only.
    table: Arc<ChunkTable>,
}

impl LocalChunks {
    /// Puts the parts of a store together.
    pub fn new(
        meta: Arc<dyn MetaStore>,
        packs: Arc<PackLog>,
        index: Arc<dyn ChunkIndex>,
    ) -> std::io::Result<Self> {
        let group = Arc::new(GroupWriter::start(Arc::clone(&packs))?);
        Ok(Self { meta, packs, group, index, rows: Mutex::new(LruCache::new(ROWS_CACHED)) })
    }

    /// Lets later uploads find the chunks of xorbs that a transaction has taken.
    pub fn remember(&self, xorbs: &[StoredXorb]) {
        for xorb in xorbs {
            if let Err(error) = self.index.add(&xorb.hash, &xorb.row.table) {
                warn!(%error, xorb = %xorb.hash, "its chunks will not be found by later uploads");
            }
        }
    }

    async fn row(&self, xorb: &XorbHash) -> Result<Arc<CachedRow>, CasError> {
        if let Some(row) = self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(xorb) {
            return Ok(Arc::clone(row));
        }
        let mut row = self.meta.xorb(xorb).await?.ok_or(CasError::MissingXorb(*xorb))?;
        let table = Arc::new(std::mem::take(&mut row.table));
        let row = Arc::new(CachedRow { row, table });
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).put(*xorb, Arc::clone(&row));
        Ok(row)
    }
}

#[async_trait]
impl ChunkStore for LocalChunks {
    async fn find(&self, chunk: &ChunkHash) -> Result<Option<ChunkRef>, CasError> {
        let hint = self.index.find(chunk).unwrap_or_else(|error| {
            warn!(%error, "going on without deduplication");
            None
        });
        let Some(hint) = hint else {
            return Ok(None);
        };
        match self.table(&hint.xorb).await {
            Ok(table) if table.hash(hint.index) == Some(*chunk) => {
                Ok(Some(ChunkRef { xorb: hint.xorb, index: hint.index }))
            }
            // The index may be older than the truth, or two hashes may share a key.
            Ok(_) | Err(CasError::MissingXorb(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn table(&self, xorb: &XorbHash) -> Result<Arc<ChunkTable>, CasError> {
        Ok(Arc::clone(&self.row(xorb).await?.table))
    }

    async fn read(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError> {
        let cached = self.row(xorb).await?;
        let no_such = || CasError::NoSuchChunks { xorb: *xorb, start: chunks.start, end: chunks.end };
        let records = cached.table.record_range(chunks.clone()).ok_or_else(no_such)?;
        let (pack, offset) = (cached.row.pack, cached.row.offset + u64::from(records.start));
        let packs = Arc::clone(&self.packs);
        let (xorb, chunks) = (*xorb, chunks.clone());
        let work = move || {
            let run = packs.read(pack, offset, records.len()).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::NotFound => CasError::Damaged {
                    xorb,
                    chunk: chunks.start,
                    place: format!("pack {pack} offset {offset}"),
                    reason: error.to_string(),
                },
                _ => CasError::Io { doing: "reading a pack", error },
            })?;
            let damaged = |chunk: u32, reason: String| {
                let begin = cached.table.record_range(chunk..chunk + 1).map_or(0, |records| records.start);
                let place = format!("pack {pack} offset {}", cached.row.offset + u64::from(begin));
                CasError::Damaged { xorb, chunk, place, reason }
            };
            decode_run(&cached.table, &run, chunks).map_err(|(chunk, reason)| damaged(chunk, reason))
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| {
            Err(CasError::Io { doing: "reading a pack", error: std::io::Error::other(panic) })
        })
    }

    fn writer(&self) -> Box<dyn XorbWriter> {
        Box::new(LocalXorbWriter::new(self.packs.lease(), Arc::clone(&self.group)))
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

/// The chunk in a record; shares the record's memory if it lies there uncompressed.
fn decode_chunk(record: &Bytes) -> Result<Bytes, String> {
    let (header, _) =
        record.split_first_chunk::<XORB_RECORD_HEADER_BYTES>().ok_or("the record is cut off")?;
    let header = RecordHeader::decode(header).map_err(|error| error.to_string())?;
    let payload = record.slice(XORB_RECORD_HEADER_BYTES..);
    if payload.len() != header.compressed_len as usize {
        return Err("the record has another length".to_owned());
    }
    match header.scheme {
        Scheme::None => Ok(payload),
        scheme => decompress(scheme, &payload, header.raw_len as usize)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
    }
}
