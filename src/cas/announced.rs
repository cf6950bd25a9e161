//! The chunks of running uploads: their bytes are in an open pack or xorb (or about to be), but the chunk index does
//! not know them yet.
//!
//! An upload announces each chunk that it writes. Another upload that brings the same chunk meets the announcement and
//! refers to the bytes that are there, instead of writing them again. An announcement lasts as long as the xorbs `X` it
//! points into, or until it is withdrawn; either comes after the chunk index knows the chunk, or when no upload needs
//! it.
//!
//! How the gap between the two is closed: anyone who does not find a chunk in the index, and then finds no announcement,
//! may have looked into the index too early and here too late. So each shard counts the announcements that have left
//! it. A [`Ticket`], taken before the index is asked, shows whether any has left since; then the index is asked again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use super::{PendingRef, Ticket};
use crate::xet::hash::ChunkHash;

/// Parts of the map, each with a lock of its own: uploads rarely want the same one at the same time.
const SHARDS: usize = 256;

/// Announcements in a shard, some 80 bytes each; 2^20 in all are 80 MiB, and 64 GiB of uploads at the mean length of
/// a chunk. A chunk beyond that is stored unannounced: another upload that brings it at the same time stores it too.
const SHARD_CHUNKS_MAX: usize = (1 << 20) / SHARDS;

/// A shard's memory is not given back below room for so many announcements.
const SHARD_ROOM_KEPT: usize = 64;

/// Where an announced chunk is, or will be in a moment.
pub(super) struct Spot<X> {
    pub(super) xorbs: Weak<X>,
    pub(super) place: PendingRef,
}

impl<X> Clone for Spot<X> {
    fn clone(&self) -> Self {
        Self { xorbs: Weak::clone(&self.xorbs), place: self.place }
    }
}

/// What became of an announcement.
pub(super) enum Claim<X> {
    /// The chunk is the caller's to write. Not announced if there is no room.
    Write,
    /// Another upload has announced it.
    Met(Spot<X>),
    /// An announcement has left since the ticket was taken: the chunk may be in the index now.
    Stale,
}

struct Shard<X> {
    /// How many announcements have left.
    departures: AtomicU64,
    chunks: Mutex<HashMap<ChunkHash, Spot<X>>>,
}

impl<X> Default for Shard<X> {
    fn default() -> Self {
        Self { departures: AtomicU64::new(0), chunks: Mutex::new(HashMap::new()) }
    }
}

impl<X> Shard<X> {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChunkHash, Spot<X>>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All announcements of one store.
pub(super) struct Announced<X> {
    shards: Box<[Shard<X>]>,
}

impl<X> Default for Announced<X> {
    fn default() -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect() }
    }
}

impl<X> Announced<X> {
    fn shard(&self, chunk: &ChunkHash) -> &Shard<X> {
        &self.shards[usize::from(chunk.as_bytes()[0]) % SHARDS]
    }

    /// To be taken before the index is asked for a chunk.
    pub(super) fn ticket(&self, chunk: &ChunkHash) -> Ticket {
        Ticket(self.shard(chunk).departures.load(Ordering::Acquire))
    }

    /// Announces a chunk, unless another upload has, or one that did has ended since the ticket was taken.
    pub(super) fn claim(&self, chunk: &ChunkHash, ticket: Ticket, spot: Spot<X>) -> Claim<X> {
        let shard = self.shard(chunk);
        let mut chunks = shard.lock();
        let is_full = chunks.len() >= SHARD_CHUNKS_MAX;
        match chunks.entry(*chunk) {
            Entry::Occupied(present) if present.get().xorbs.strong_count() > 0 => {
                Claim::Met(present.get().clone())
            }
            // Its upload is just ending, perhaps well: then the index knows the chunk.
            Entry::Occupied(gone) => {
                gone.remove();
                shard.departures.fetch_add(1, Ordering::Release);
                Claim::Stale
            }
            Entry::Vacant(_) if shard.departures.load(Ordering::Acquire) != ticket.0 => Claim::Stale,
            Entry::Vacant(_) if is_full => Claim::Write,
            Entry::Vacant(free) => {
                free.insert(spot);
                Claim::Write
            }
        }
    }

    /// Where another upload has a chunk.
    pub(super) fn find(&self, chunk: &ChunkHash) -> Option<Spot<X>> {
        self.shard(chunk).lock().get(chunk).cloned()
    }

    /// Takes an announcement back, if it is the one that points into these xorbs. To be called after the index has
    /// learned of the chunk, if it ever will.
    pub(super) fn withdraw(&self, chunk: &ChunkHash, xorbs: *const X) {
        let shard = self.shard(chunk);
        let mut chunks = shard.lock();
        if let Entry::Occupied(present) = chunks.entry(*chunk)
            && std::ptr::eq(present.get().xorbs.as_ptr(), xorbs)
        {
            present.remove();
            shard.departures.fetch_add(1, Ordering::Release);
        }
        // What was needed for many uploads is not kept for few.
        if chunks.capacity() > SHARD_ROOM_KEPT && chunks.len() * 8 < chunks.capacity() {
            let room = chunks.len() * 2;
            chunks.shrink_to(room);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
