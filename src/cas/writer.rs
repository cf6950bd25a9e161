//! Writing xorbs into packs.
//!
//! The frame of an upload's first xorb is gathered in memory. If the upload ends while it is small, the frame goes
//! to the shared writer and shares its sync with others; if it grows, the upload leases a pack for itself, and from
//! then on chunk records stream into it as they are compressed.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CasError, PendingRef, XorbWriter};
use crate::store::figures::StoreFigures;
use crate::store::hold::Hold;
use crate::store::pack::PackId;
use crate::store::pack::frame;
use crate::store::pack::group::{GroupWriter, SMALL_FRAME_BYTES_MAX};
use crate::store::pack::log::PackLease;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::compression::Compressor;
use crate::xet::hash::ChunkHash;
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_RAW_BYTES_MAX};
use crate::xet::xorb::{ChunkTable, encode_record};

/// Writes the xorbs of one upload, one after the other.
pub(super) struct LocalXorbWriter {
    group: Arc<GroupWriter>,
    lease: PackLease,
    compressor: Compressor,
    figures: Arc<StoreFigures>,
    open: Option<OpenXorb>,
    done: Vec<StoredXorb>,
    /// What is not in the pack yet: the beginning of the first frame, later only the record at hand.
    unwritten: Vec<u8>,
}

#[derive(Default)]
struct OpenXorb {
    table: ChunkTable,
    /// Where its frame begins; `None` while the frame is in memory.
    frame_start: Option<(PackId, u64)>,
}

pub(super) fn appending(error: std::io::Error) -> CasError {
    CasError::Io { doing: "appending to a pack", error }
}

/// The row of a xorb whose frame of this length begins here.
pub(super) fn row(table: ChunkTable, (pack, frame_start): (PackId, u64)) -> XorbRow {
    let offset = frame_start + frame::HEAD.len() as u64;
    let frame_end = offset + u64::from(table.record_bytes()) + frame::trailer_bytes(table.len()) as u64;
    XorbRow { pack, offset, frame_end, table }
}

impl LocalXorbWriter {
    pub(super) fn new(lease: PackLease, group: Arc<GroupWriter>, figures: Arc<StoreFigures>) -> Self {
        Self {
            group,
            lease,
            compressor: Compressor::new(),
            figures,
            open: None,
            done: Vec::new(),
            unwritten: Vec::new(),
        }
    }

    /// Sees to it that the next chunk of `raw_bytes` can be appended: ends a xorb that is full, begins a frame.
    fn make_room(&mut self, raw_bytes: usize) -> Result<(), CasError> {
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.table.len() >= XORB_CHUNKS_MAX
                || open.table.raw_bytes() as usize + raw_bytes > XORB_RAW_BYTES_MAX
        });
        if is_full {
            self.cut()?;
        }
        if self.open.is_none() {
            self.unwritten.extend_from_slice(&frame::HEAD);
        }
        Ok(())
    }

    /// Moves everything that is not in the pack yet into it.
    fn flush(&mut self) -> Result<(), CasError> {
        if let Some(open) = &mut self.open
            && open.frame_start.is_none()
        {
            open.frame_start = Some(self.lease.position().map_err(appending)?);
        }
        self.lease.append(&self.unwritten).map_err(appending)?;
        self.unwritten.clear();
        Ok(())
    }

    /// Ends the open xorb, in the pack.
    fn cut(&mut self) -> Result<(), CasError> {
        self.flush()?;
        let open = self.open.take();
        if let Some((OpenXorb { table, .. }, start)) =
            open.and_then(|open| open.frame_start.map(|at| (open, at)))
        {
            let hash = table.xorb_hash();
            self.lease.append(&frame::encode_trailer(&hash, &table)).map_err(appending)?;
            self.done.push(StoredXorb { hash, row: row(table, start) });
        }
        Ok(())
    }

    async fn finish_small(mut self, table: ChunkTable, hold: &mut Hold) -> Result<Vec<StoredXorb>, CasError> {
        let hash = table.xorb_hash();
        self.unwritten.extend_from_slice(&frame::encode_trailer(&hash, &table));
        let placed = self.group.append(self.unwritten).await.map_err(appending)?;
        hold.keep(placed.hold);
        Ok(vec![StoredXorb { hash, row: row(table, placed.place) }])
    }
}

#[async_trait]
impl XorbWriter for LocalXorbWriter {
    async fn append(&mut self, hash: &ChunkHash, raw: &[u8]) -> Result<PendingRef, CasError> {
        self.make_room(raw.len())?;
        let before = self.unwritten.len();
        encode_record(&mut self.compressor, raw, &mut self.unwritten);
        let record_bytes = (self.unwritten.len() - before) as u32;
        self.figures.new_raw_bytes.add(raw.len() as u64);
        self.figures.new_stored_bytes.add(u64::from(record_bytes));
        let xorb = self.done.len() as u32;
        let open = self.open.get_or_insert_with(OpenXorb::default);
        let index = open.table.len() as u32;
        open.table.push(*hash, record_bytes, raw.len() as u32);
        let is_streamed = open.frame_start.is_some() || xorb > 0;
        if is_streamed || self.unwritten.len() > SMALL_FRAME_BYTES_MAX {
            self.flush()?;
        }
        Ok(PendingRef { xorb, index })
    }

    async fn finish(mut self: Box<Self>, hold: &mut Hold) -> Result<Vec<StoredXorb>, CasError> {
        if let Some(small) = self.open.take_if(|open| open.frame_start.is_none() && self.done.is_empty()) {
            return self.finish_small(small.table, hold).await;
        }
        self.cut()?;
        let Self { lease, done, .. } = *self;
        let packs = lease.commit().map_err(|error| CasError::Io { doing: "syncing a pack", error })?;
        hold.keep(Arc::new(packs));
        Ok(done)
    }
}
