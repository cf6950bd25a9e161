//! The log: which pack a writer appends to, and what is left of a writer that gave up.
//!
//! A writer leases a pack for itself, so its frames lie together and giving up is a truncation. Finished packs go
//! back to a pool of open ones; a pack that has reached its full size (usually [`PACK_BYTES_MAX`]) is never appended
//! to again, nor is one that gc has retired, nor one that is an object: its first sync finishes it, and the lease moves on
//! to a new one.
//!
//! | pack is | held | in the pool | gc may retire it |
//! |---|---|---|---|
//! | leased | yes | no | no |
//! | open, with frames that have no rows yet | yes | yes | no |
//! | open | no | yes | yes: it leaves the pool |
//! | full, finished, failed or retired | no, or by frames without rows | no | once it is not held |
//!
//! Invariants: bytes after a pack's last committed frame belong to a running lease or to nobody, and are cut off at
//! the next start (of a file: an object holds what one lease has written, and is there whole or not at all). A pack whose sync or truncation failed is never leased again. A pack that is neither held nor in
//! the pool never gets another frame or row.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use tracing::{error, warn};

use super::{PackId, PackMedium, PackStore, PackWriter};
use crate::store::metrics::PackMetrics;
use crate::store::rows::PackRow;

/// A pack is not appended to beyond this; small enough that rewriting one is quick, large enough that a terabyte is
/// two thousand files.
pub const PACK_BYTES_MAX: u64 = 512 << 20;

/// Who may write where.
#[derive(Default)]
struct State {
    /// Open packs that nobody has leased.
    pool: Vec<Box<dyn PackWriter>>,
    /// How many leases and [`PackHold`]s keep each pack.
    held: HashMap<PackId, usize>,
}

/// All packs of a store.
pub struct PackLog {
    store: Arc<dyn PackStore>,
    state: Mutex<State>,
    next_id: AtomicU64,
    pack_bytes_max: u64,
    /// What it has counted of its work.
    pub metrics: PackMetrics,
}

impl PackLog {
    /// Opens the packs, of which those in `committed` hold committed frames: cuts off what was never committed. A pack is full at
    /// `pack_bytes_max`.
    pub fn open(store: Arc<dyn PackStore>, committed: &[PackRow], pack_bytes_max: u64) -> io::Result<Self> {
        let is_file = store.medium() == PackMedium::File;
        let (mut pool, mut unknown) = (Vec::new(), Vec::new());
        let mut last_id = committed.iter().map(|row| row.id.0).max().unwrap_or(0);
        let mut rows: HashMap<_, _> = committed.iter().map(|row| (row.id, row)).collect();
        for (id, len) in store.list()? {
            last_id = last_id.max(id.0);
            match rows.remove(&id) {
                None => unknown.push(id),
                Some(row) if len < row.committed_end => {
                    error!(pack = %id, len, expected = row.committed_end, "pack is shorter than its committed frames");
                }
                Some(row) if is_file && row.committed_end < pack_bytes_max => {
                    pool.push(store.reopen(id, row.committed_end)?);
                }
                Some(row) if is_file && len > row.committed_end => drop(store.reopen(id, row.committed_end)?),
                Some(_) => {}
            }
        }
        for PackRow { id, live_bytes, .. } in rows.into_values() {
            error!(pack = %id, live_bytes, "a pack is gone: `xetgate store scrub` names the objects that it takes along");
        }
        store.discard(&unknown)?;
        let last_id = store.last_id().map_or(last_id, |id| id.0);
        let state = Mutex::new(State { pool, held: HashMap::new() });
        let (next_id, metrics) = (AtomicU64::new(last_id + 1), PackMetrics::default());
        Ok(Self { store, state, next_id, pack_bytes_max, metrics })
    }

    /// Opens packs that others write too, in epochs of their own. What they are is not looked at: gc does that.
    pub fn shared(store: Arc<dyn PackStore>, pack_bytes_max: u64) -> Self {
        let state = Mutex::new(State { pool: Vec::new(), held: HashMap::new() });
        let next_id = AtomicU64::new(store.last_id().map_or(0, |id| id.0) + 1);
        Self { store, state, next_id, pack_bytes_max, metrics: PackMetrics::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a lease; a pack is taken when the first byte comes.
    pub fn lease(self: &Arc<Self>) -> PackLease {
        let hold = PackHold { log: Arc::clone(self), packs: Vec::new() };
        let (filled, finishing) = (Vec::new(), Vec::new());
        PackLease { log: Arc::clone(self), writer: None, start: 0, filled, finishing, hold }
    }

    /// What the packs are.
    pub fn medium(&self) -> PackMedium {
        self.store.medium()
    }

    /// Waits until there is room for more bytes that are on their way; `None` if there is.
    pub fn room(&self) -> Option<BoxFuture<'static, ()>> {
        self.store.room()
    }

    /// Whether packs can be written and read at all, as far as that is quickly seen.
    pub fn reach(&self) -> io::Result<()> {
        self.store.reach()
    }

    /// All packs with their lengths, by id.
    pub fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        self.store.list()
    }

    /// Like [`PackLog::list`], where nothing may block.
    pub async fn listed(self: &Arc<Self>) -> io::Result<Vec<(PackId, u64)>> {
        let packs = Arc::clone(self);
        tokio::task::spawn_blocking(move || packs.list()).await.map_err(io::Error::other)?
    }

    /// Sees to it that a pack never gets another frame; answers whether that is so. It is not while someone holds it.
    pub fn retire(&self, id: PackId) -> bool {
        let mut state = self.lock();
        let is_free = !state.held.contains_key(&id);
        if is_free {
            state.pool.retain(|writer| writer.id() != id);
        }
        is_free
    }

    /// Deletes a retired pack that no row names; its space is given back. One that is gone was deleted by a pass that
    /// was dropped in between: what it had handed to another thread goes on.
    pub fn delete(&self, id: PackId) -> io::Result<()> {
        match self.store.delete(id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }

    /// Whether a pack without a row can only have been left by this process, so that gc may delete it.
    pub fn is_own(&self, id: PackId) -> bool {
        self.store.is_own(id)
    }

    /// Deletes packs without rows that others may have left, if they are old enough.
    pub fn discard(&self, unknown: &[PackId]) -> io::Result<()> {
        self.store.discard(unknown)
    }

    /// Reads exactly `len` committed bytes.
    pub fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        self.store.read(id, offset, len)
    }

    /// Like [`PackLog::read`], if it can be had without waiting.
    pub fn read_now(&self, id: PackId, offset: u64, len: usize) -> Option<Bytes> {
        self.store.read_now(id, offset, len)
    }

    /// Says that these bytes will be read, piece by piece.
    pub fn read_soon(&self, id: PackId, offset: u64, len: usize) {
        self.store.read_soon(id, offset, len);
    }

    /// Like [`PackLog::read`]; `None` if the pack is not there or ends before.
    pub fn read_if_there(&self, id: PackId, offset: u64, len: usize) -> io::Result<Option<Bytes>> {
        match self.store.read(id, offset, len) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes an open pack or makes one, held by `hold` from the first moment.
    fn take_writer(&self, hold: &mut PackHold) -> io::Result<Box<dyn PackWriter>> {
        let id = {
            let mut state = self.lock();
            let writer = state.pool.pop();
            let id = writer
                .as_ref()
                .map_or_else(|| PackId(self.next_id.fetch_add(1, Ordering::Relaxed)), |writer| writer.id());
            *state.held.entry(id).or_default() += 1;
            hold.packs.push(id);
            match writer {
                Some(writer) => return Ok(writer),
                None => id,
            }
        };
        self.store.create(id)
    }

    fn give_back(&self, writer: Box<dyn PackWriter>) {
        if writer.len() < self.pack_bytes_max && !writer.is_finished() {
            self.lock().pool.push(writer);
        }
    }
}

/// Packs that hold frames without rows, or are being written to: gc leaves them alone until this is dropped.
pub struct PackHold {
    log: Arc<PackLog>,
    packs: Vec<PackId>,
}

impl Drop for PackHold {
    fn drop(&mut self) {
        let mut state = self.log.lock();
        for id in &self.packs {
            if let Some(count) = state.held.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.held.remove(id);
                }
            }
        }
    }
}

/// A pack that one writer appends to. Dropped before [`PackLease::commit`], it leaves nothing behind.
pub struct PackLease {
    log: Arc<PackLog>,
    writer: Option<Box<dyn PackWriter>>,
    /// Where this lease began in the present pack.
    start: u64,
    /// Packs that this lease has filled and synced, with where it began in each.
    filled: Vec<(PackId, u64)>,
    /// Packs that this lease has filled and that are on their way.
    finishing: Vec<Box<dyn PackWriter>>,
    /// Every pack it has written to.
    hold: PackHold,
}

impl PackLease {
    /// Where the next byte will lie. Moves to another pack when the present one is full: to be asked between frames.
    pub fn position(&mut self) -> io::Result<(PackId, u64)> {
        let pack_bytes_max = self.log.pack_bytes_max;
        if let Some(mut full) = self.writer.take_if(|writer| writer.len() >= pack_bytes_max) {
            // Only once it is synced: a pack that failed to is neither cut nor used again.
            if full.finish()? {
                self.filled.push((full.id(), self.start));
            } else {
                self.finishing.push(full);
            }
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => {
                let writer = self.log.take_writer(&mut self.hold)?;
                self.start = writer.len();
                empty.insert(writer)
            }
        };
        Ok((writer.id(), writer.len()))
    }

    /// What its packs are.
    pub fn medium(&self) -> PackMedium {
        self.log.medium()
    }

    /// Appends to the pack that [`PackLease::position`] named.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.append(bytes),
            None => Err(io::Error::other("a lease was written to before it was placed")),
        }
    }

    /// Syncs what was appended so far to one of its packs: that stays even if the lease is dropped. No frame may be half
    /// written to a pack that is an object: it takes nothing more.
    pub fn secure(&mut self, pack: PackId) -> io::Result<()> {
        if self.writer.as_ref().is_none_or(|writer| writer.id() != pack) {
            // It was synced when it was full, or is on its way since.
            self.filled.retain(|(filled, _)| *filled != pack);
            let waiting = self.finishing.iter().position(|writer| writer.id() == pack);
            return waiting.map_or(Ok(()), |at| self.finishing.swap_remove(at).sync());
        }
        self.sync()?;
        self.writer.take_if(|writer| writer.is_finished());
        self.start = self.writer.as_ref().map_or(0, |writer| writer.len());
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        let begun = Instant::now();
        let synced = writer.sync();
        self.log.metrics.sync_micros.add_time(begun.elapsed());
        if synced.is_err() {
            // The kernel may have dropped the pages and report success next time: never trust this file again.
            self.writer = None;
        }
        synced
    }

    /// Syncs everything appended and gives the pack back. What was appended stays; the answer is to be kept until
    /// it has rows.
    pub fn commit(mut self) -> io::Result<PackHold> {
        self.sync()?;
        for writer in &mut self.finishing {
            writer.sync()?;
        }
        self.finishing.clear();
        self.filled.clear();
        if let Some(writer) = self.writer.take() {
            self.log.give_back(writer);
        }
        let nothing = PackHold { log: Arc::clone(&self.log), packs: Vec::new() };
        Ok(std::mem::replace(&mut self.hold, nothing))
    }

    /// Takes everything back. A pack that cannot be cut is not used again; the others are.
    fn abandon(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            let cut = writer.truncate(self.start);
            self.given_up(cut.map(|()| Some(writer)));
        }
        // What of them arrives all the same has no row, and is gc's.
        self.finishing.clear();
        for (id, start) in std::mem::take(&mut self.filled) {
            let store = &self.log.store;
            self.given_up(if start == 0 {
                store.delete(id).map(|()| None)
            } else {
                store.reopen(id, start).map(Some)
            });
        }
    }

    fn given_up(&self, left: io::Result<Option<Box<dyn PackWriter>>>) {
        match left {
            Ok(Some(writer)) => self.log.give_back(writer),
            Ok(None) => {}
            Err(error) => warn!(%error, "an unfinished write could not be taken back; the next start will"),
        }
    }
}

impl Drop for PackLease {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests;
