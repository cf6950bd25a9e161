//! Where a xorb lies and what is in it, as the [`MetaStore`](super::meta::MetaStore) keeps it.
//!
//! Plain data with public fields. Invariants between rows (a file's xorbs exist, use counts are right) are kept by the
//! `MetaStore`'s transactions.

use super::meta::FramePlace;
use super::pack::PackId;
use super::pack::frame::HEAD as FRAME_HEAD;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// Where a xorb lies, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XorbRow {
    /// The pack that holds it.
    pub pack: PackId,
    /// Where its first chunk record begins in the pack.
    pub offset: u64,
    /// Where its frame ends in the pack (its trailer included).
    pub frame_end: u64,
    /// Its chunks.
    pub table: ChunkTable,
}

impl XorbRow {
    /// Where its frame begins in the pack.
    pub fn frame_start(&self) -> u64 {
        self.offset.saturating_sub(FRAME_HEAD.len() as u64)
    }

    /// Bytes of its frame.
    pub fn frame_bytes(&self) -> u64 {
        self.frame_end.saturating_sub(self.frame_start())
    }

    /// Where its frame lies.
    pub fn place(&self) -> FramePlace {
        FramePlace { pack: self.pack, offset: self.offset, frame_end: self.frame_end }
    }
}

/// A xorb whose bytes are stored and synced. It becomes part of the truth when a transaction takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredXorb {
    /// The xorb.
    pub hash: XorbHash,
    /// Where it lies and what is in it.
    pub row: XorbRow,
}
