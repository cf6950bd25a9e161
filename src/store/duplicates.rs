//! Chunks that are stored more than once.
//!
//! Of a chunk the copy that the chunk index names is the one to keep: it is the newest, uploads refer to it, and there
//! is one of each. All others, in xorbs that files use, are duplicates. A chunk that the index does not know is no
//! duplicate here; `rebuild-index` lets it know all.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use lru::LruCache;
use tracing::debug;

use super::index::{ChunkHint, ChunkIndex};
use super::meta::{MetaError, MetaView, XorbEntry};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// Chunk tables of the copies to keep; neighbours lie in one.
const TABLES_CACHED: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// A run of chunks of which other copies are to be kept, side by side in one xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateRun {
    /// The chunks.
    pub chunks: Range<u32>,
    /// Where the copies are: in this xorb ...
    pub to: XorbHash,
    /// ... from this chunk on.
    pub to_start: u32,
}

/// Looks for duplicates in one view.
pub struct Duplicates<'v> {
    view: &'v dyn MetaView,
    index: Arc<dyn ChunkIndex>,
    /// Tables of xorbs in use or kept; `None` for those that are not, or not there.
    tables: LruCache<XorbHash, Option<Arc<ChunkTable>>>,
}

impl<'v> Duplicates<'v> {
    /// Looks into `view`.
    pub fn new(view: &'v dyn MetaView, index: Arc<dyn ChunkIndex>) -> Self {
        Self { view, index, tables: LruCache::new(TABLES_CACHED) }
    }

    /// The duplicates in a xorb that is in use, in order.
    pub async fn of(&mut self, xorb: &XorbEntry) -> Result<Vec<DuplicateRun>, MetaError> {
        let mut runs: Vec<DuplicateRun> = Vec::new();
        for (index, entry) in (0..).zip(xorb.row.table.entries()) {
            let Some(kept) = self.kept(xorb, index, &entry.hash).await? else {
                continue;
            };
            match runs.last_mut() {
                Some(run) if run.chunks.end == index && run.to == kept.xorb && run.next() == kept.index => {
                    run.chunks.end += 1;
                }
                _ => {
                    runs.push(DuplicateRun { chunks: index..index + 1, to: kept.xorb, to_start: kept.index });
                }
            }
        }
        Ok(runs)
    }

    /// The copy to keep of a chunk, if it is another than the one at hand.
    async fn kept(
        &mut self,
        xorb: &XorbEntry,
        index: u32,
        chunk: &ChunkHash,
    ) -> Result<Option<ChunkHint>, MetaError> {
        let hint = self.index.find(chunk).unwrap_or_else(|error| {
            debug!(%error, "duplicates are not seen");
            None
        });
        let Some(hint) = hint.filter(|hint| (hint.xorb, hint.index) != (xorb.hash, index)) else {
            return Ok(None);
        };
        let is_there = if hint.xorb == xorb.hash {
            xorb.row.table.hash(hint.index) == Some(*chunk)
        } else {
            let table = self.table(&hint.xorb).await?;
            table.is_some_and(|table| table.hash(hint.index) == Some(*chunk))
        };
        Ok(is_there.then_some(hint))
    }

    /// The chunks of a xorb, if files use it or it is kept for clients.
    async fn table(&mut self, xorb: &XorbHash) -> Result<Option<Arc<ChunkTable>>, MetaError> {
        if let Some(table) = self.tables.get(xorb) {
            return Ok(table.clone());
        }
        let entry = self.view.xorb_entry(xorb).await?;
        let entry = entry.filter(|entry| entry.uses > 0 || entry.kept_until.0 > 0);
        let table = entry.map(|entry| Arc::new(entry.row.table));
        self.tables.put(*xorb, table.clone());
        Ok(table)
    }
}

impl DuplicateRun {
    /// The chunk after the copies.
    fn next(&self) -> u32 {
        self.to_start + (self.chunks.end - self.chunks.start)
    }

    /// Where the copies are.
    pub fn copies(&self) -> Range<u32> {
        self.to_start..self.next()
    }
}

/// Bytes of the records of runs.
pub fn record_bytes(table: &ChunkTable, runs: &[DuplicateRun]) -> u64 {
    let records = runs.iter().filter_map(|run| table.record_range(run.chunks.clone()));
    records.map(|records| u64::from(records.end - records.start)).sum()
}
