//! Writing xorbs into packs: chunk records stream into the frame as they are compressed.

use super::{CasError, PendingRef, XorbWriter};
use crate::store::pack::PackId;
use crate::store::pack::frame;
use crate::store::pack::log::PackLease;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::compression::Compressor;
use crate::xet::hash::ChunkHash;
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_RAW_BYTES_MAX};
use crate::xet::xorb::{ChunkTable, encode_record};

/// Writes xorbs, one after the other, into the packs of one lease.
pub(super) struct LocalXorbWriter {
    lease: PackLease,
    compressor: Compressor,
    record: Vec<u8>,
    open: Option<OpenXorb>,
    done: Vec<StoredXorb>,
}

struct OpenXorb {
    pack: PackId,
    offset: u64,
    table: ChunkTable,
}

fn appending(error: std::io::Error) -> CasError {
    CasError::Io { doing: "appending to a pack", error }
}

impl LocalXorbWriter {
    pub(super) fn new(lease: PackLease) -> Self {
        Self { lease, compressor: Compressor::new(), record: Vec::new(), open: None, done: Vec::new() }
    }

    fn open_xorb(&mut self) -> Result<&mut OpenXorb, CasError> {
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let (pack, start) = self.lease.position().map_err(appending)?;
            self.lease.append(&frame::HEAD).map_err(appending)?;
            OpenXorb { pack, offset: start + frame::HEAD.len() as u64, table: ChunkTable::default() }
        };
        Ok(self.open.insert(open))
    }

    /// Ends the open xorb with its trailer.
    fn cut(&mut self) -> Result<(), CasError> {
        if let Some(OpenXorb { pack, offset, table }) = self.open.take() {
            let hash = table.xorb_hash();
            let trailer = frame::encode_trailer(&hash, &table);
            self.lease.append(&trailer).map_err(appending)?;
            let frame_end = offset + u64::from(table.record_bytes()) + trailer.len() as u64;
            self.done.push(StoredXorb { hash, row: XorbRow { pack, offset, frame_end, table } });
        }
        Ok(())
    }
}

impl XorbWriter for LocalXorbWriter {
    fn append(&mut self, hash: &ChunkHash, raw: &[u8]) -> Result<PendingRef, CasError> {
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.table.len() >= XORB_CHUNKS_MAX
                || open.table.raw_bytes() as usize + raw.len() > XORB_RAW_BYTES_MAX
        });
        if is_full {
            self.cut()?;
        }
        self.record.clear();
        encode_record(&mut self.compressor, raw, &mut self.record);
        let xorb = self.done.len() as u32;
        let record_bytes = self.record.len() as u32;
        let open = self.open_xorb()?;
        let index = open.table.len() as u32;
        open.table.push(*hash, record_bytes, raw.len() as u32);
        self.lease.append(&self.record).map_err(appending)?;
        Ok(PendingRef { xorb, index })
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<StoredXorb>, CasError> {
        self.cut()?;
        let Self { lease, done, .. } = *self;
        lease.commit().map_err(|error| CasError::Io { doing: "syncing a pack", error })?;
        Ok(done)
    }
}
