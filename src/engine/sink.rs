//! Where chunks go: looked up, and only then compressed and written.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::builder::{FileBuilder, Place};
use crate::cas::{CasError, ChunkRef, ChunkStore, PendingRef, XorbWriter};
use crate::store::rows::{FileRecord, StoredXorb};
use crate::xet::hash::ChunkHash;
use crate::xet::xorb::ChunkTable;

/// New chunks of this upload that are remembered, some 8 GiB of data in some 10 MiB; what is older is met again
/// only by later uploads.
const SEEN_MAX: usize = 1 << 17;

/// Takes the chunks of one file in order. Its calls block; dropped unfinished, it leaves nothing behind.
pub(super) struct ChunkSink {
    cas: Arc<dyn ChunkStore>,
    runtime: Handle,
    builder: FileBuilder,
    /// Made when the first new chunk comes.
    writer: Option<Box<dyn XorbWriter>>,
    seen: HashMap<ChunkHash, PendingRef>,
    /// The last stored chunk that was met: the next one is likely to be its neighbour.
    last_met: Option<(ChunkRef, Arc<ChunkTable>)>,
}

impl ChunkSink {
    pub(super) fn new(cas: Arc<dyn ChunkStore>, runtime: Handle) -> Self {
        let builder = FileBuilder::default();
        Self { cas, runtime, builder, writer: None, seen: HashMap::new(), last_met: None }
    }

    /// Takes the next chunk by its bytes.
    pub(super) fn push_bytes(&mut self, raw: &[u8]) -> Result<(), CasError> {
        let hash = ChunkHash::of(raw);
        let place = match self.find(&hash)? {
            Some(place) => place,
            None => Place::Pending(self.store(hash, raw)?),
        };
        self.builder.push(place, &hash, raw.len() as u32);
        Ok(())
    }

    /// Takes the next chunk by its place.
    pub(super) fn push_stored(&mut self, place: ChunkRef, hash: &ChunkHash, raw_bytes: u32) {
        self.builder.push(Place::Stored(place), hash, raw_bytes);
    }

    fn find(&mut self, hash: &ChunkHash) -> Result<Option<Place>, CasError> {
        if let Some(neighbour) = self.neighbour(hash) {
            return Ok(Some(Place::Stored(neighbour)));
        }
        if let Some(place) = self.seen.get(hash) {
            return Ok(Some(Place::Pending(*place)));
        }
        let Some(place) = self.runtime.block_on(self.cas.find(hash))? else {
            return Ok(None);
        };
        let table = self.runtime.block_on(self.cas.table(&place.xorb))?;
        self.last_met = Some((place, table));
        Ok(Some(Place::Stored(place)))
    }

    /// The chunk behind the last one met, if it is this one: no look-up needed.
    fn neighbour(&mut self, hash: &ChunkHash) -> Option<ChunkRef> {
        let (last, table) = self.last_met.as_mut()?;
        if table.hash(last.index + 1) != Some(*hash) {
            return None;
        }
        last.index += 1;
        Some(*last)
    }

    fn store(&mut self, hash: ChunkHash, raw: &[u8]) -> Result<PendingRef, CasError> {
        let place = self.writer.get_or_insert_with(|| self.cas.writer()).append(&hash, raw)?;
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(hash, place);
        Ok(place)
    }

    /// Bytes taken so far.
    pub(super) fn size(&self) -> u64 {
        self.builder.size()
    }

    /// Ends the file: when it returns, all that is new is durable.
    pub(super) fn finish(self) -> Result<(FileRecord, Vec<StoredXorb>), CasError> {
        let xorbs = self.writer.map(XorbWriter::finish).transpose()?.unwrap_or_default();
        Ok((self.builder.finish(&xorbs), xorbs))
    }
}
