//! From a sequence of chunks to a file record.

use std::collections::BTreeMap;

use crate::cas::{ChunkRef, PendingRef};
use crate::model::file::{FileRecord, Term};
use crate::store::rows::StoredXorb;
use crate::xet::hash::{ChunkHash, FileHash, RangeHash, RangeHasher, XorbHash};
use crate::xet::merkle::MerkleTree;

/// Which xorbs new chunks go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Those of the file.
    Body,
    /// Those of chunks that are likely to be needed only for a while: a part's first and last, which end where the
    /// part does and not where the whole file would be cut. Apart from the others, they can be collected together.
    Edge,
}

/// Where a chunk is, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a stored xorb.
    Stored(ChunkRef),
    /// In a xorb that is being written.
    Pending(Room, PendingRef),
}

impl Place {
    fn slot(self) -> (Slot, u32) {
        match self {
            Self::Stored(place) => (Slot::Stored(place.xorb), place.index),
            Self::Pending(room, place) => (Slot::Pending(room, place.xorb), place.index),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Stored(XorbHash),
    Pending(Room, u32),
}

struct PendingTerm {
    slot: Slot,
    start: u32,
    end: u32,
    raw_bytes: u32,
}

/// What a file is, beside its record, to a store that must be shown proof of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileProof {
    /// The verification hash of each term.
    pub terms: Vec<RangeHash>,
    /// The hash and length of every chunk, in order, where the file is a part to be joined with others and its
    /// store has no chunk tables to look them up in; else empty.
    pub chunks: Vec<(ChunkHash, u32)>,
}

/// The xorbs of a room, by the number that its writer gave them.
pub(super) type Written<R> = BTreeMap<u32, StoredXorb<R>>;

/// Collects the chunks of a file, in order; neighbours in one xorb become one term.
#[derive(Default)]
pub(super) struct FileBuilder {
    tree: MerkleTree,
    size: u64,
    terms: Vec<PendingTerm>,
    /// Of the last term.
    range: RangeHasher,
    proof: FileProof,
    /// Whether [`FileProof::chunks`] is wanted.
    pub(super) lists_chunks: bool,
}

impl FileBuilder {
    /// Whether a chunk at this place would continue the last term.
    pub(super) fn continues(&self, place: Place) -> bool {
        let (slot, index) = place.slot();
        self.terms.last().is_some_and(|last| last.slot == slot && last.end == index)
    }

    /// Adds the next chunk.
    pub(super) fn push(&mut self, place: Place, hash: &ChunkHash, raw_bytes: u32) {
        self.tree.push((*hash).into(), raw_bytes.into());
        self.size += u64::from(raw_bytes);
        if self.lists_chunks {
            self.proof.chunks.push((*hash, raw_bytes));
        }
        let (slot, index) = place.slot();
        match self.terms.last_mut() {
            Some(term) if term.slot == slot && term.end == index => {
                term.end += 1;
                term.raw_bytes += raw_bytes;
            }
            _ => {
                self.end_range();
                self.terms.push(PendingTerm { slot, start: index, end: index + 1, raw_bytes });
            }
        }
        self.range.push(hash);
    }

    fn end_range(&mut self) {
        if !self.terms.is_empty() {
            self.proof.terms.push(self.range.take());
        }
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The record, now that the written xorbs of both rooms have hashes.
    pub(super) fn finish<R>(mut self, body: &Written<R>, edge: &Written<R>) -> (FileRecord, FileProof) {
        self.end_range();
        let terms = self.terms.into_iter().map(|term| {
            let xorb = match term.slot {
                Slot::Stored(xorb) => xorb,
                Slot::Pending(Room::Body, number) => body[&number].hash,
                Slot::Pending(Room::Edge, number) => edge[&number].hash,
            };
            Term { xorb, start: term.start, end: term.end, raw_bytes: term.raw_bytes }
        });
        let hash = self.tree.finish().map_or(FileHash::EMPTY, FileHash::from_root);
        (FileRecord { hash, size: self.size, terms: terms.collect() }, self.proof)
    }
}
