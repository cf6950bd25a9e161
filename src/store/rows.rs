//! Where a xorb lies and what is in it: the words that the metadata and the packs share.
//!
//! Plain data with public fields. Invariants between rows (a file's xorbs exist, use counts are right) are kept by the
//! transactions of the metadata store.

use std::fmt;

use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// Bytes of a frame before its first chunk record.
pub const FRAME_HEAD_BYTES: u64 = 8;

/// A pack's identity: a number that is never used twice in one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub u64);

impl PackId {
    /// The epoch that it was numbered in: of files, 0.
    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What start-up and gc need to know of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// The pack.
    pub id: PackId,
    /// Where its last committed frame ends; what follows was never acknowledged.
    pub committed_end: u64,
    /// Bytes of the frames that have rows; all others are dead.
    pub live_bytes: u64,
}

/// Where a xorb's frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePlace {
    /// The pack.
    pub pack: PackId,
    /// Where its first chunk record begins.
    pub offset: u64,
    /// Where its frame ends.
    pub frame_end: u64,
}

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
        self.offset.saturating_sub(FRAME_HEAD_BYTES)
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
pub struct StoredXorb<R = XorbRow> {
    /// The xorb.
    pub hash: XorbHash,
    /// Where it lies and what is in it; of one that lies elsewhere, only what is in it.
    pub row: R,
}
