//! The log: which pack a writer appends to, and what is left of a writer that gave up.
//!
//! A writer leases a pack for itself, so its frames lie together and giving up is a truncation. Finished packs go
//! back to a pool of open ones; a pack that has reached its full size (usually [`PACK_BYTES_MAX`]) is never appended to again.
//!
//! Invariants: bytes behind a pack's last committed frame belong to a running lease or to nobody, and are cut off at
//! the next start. A pack whose sync or truncation failed is never leased again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tracing::warn;

use super::{PackId, PackStore, PackWriter};
use crate::store::meta::PackRow;

/// A pack is not appended to beyond this; small enough that rewriting one is quick, large enough that a terabyte is
/// two thousand files.
pub const PACK_BYTES_MAX: u64 = 512 << 20;

/// All packs of a store.
pub struct PackLog {
    store: Arc<dyn PackStore>,
    idle: Mutex<Vec<Box<dyn PackWriter>>>,
    next_id: AtomicU64,
    pack_bytes_max: u64,
}

impl PackLog {
    /// Opens the packs, of which those in `committed` hold committed frames: cuts off what was never committed. A pack is full at
    /// `pack_bytes_max`.
    pub fn open(store: Arc<dyn PackStore>, committed: &[PackRow], pack_bytes_max: u64) -> io::Result<Self> {
        let mut idle = Vec::new();
        let mut last_id = committed.iter().map(|row| row.id.0).max().unwrap_or(0);
        for (id, len) in store.list()? {
            last_id = last_id.max(id.0);
            match committed.iter().find(|row| row.id == id) {
                None => store.delete(id)?,
                Some(row) if len < row.committed_end => {
                    warn!(pack = %id, len, expected = row.committed_end, "pack is shorter than its committed frames");
                }
                Some(row) if row.committed_end < pack_bytes_max => {
                    idle.push(store.reopen(id, row.committed_end)?);
                }
                Some(row) if len > row.committed_end => drop(store.reopen(id, row.committed_end)?),
                Some(_) => {}
            }
        }
        Ok(Self { store, idle: Mutex::new(idle), next_id: AtomicU64::new(last_id + 1), pack_bytes_max })
    }

    /// Begins a lease; a pack is taken when the first byte comes.
    pub fn lease(self: &Arc<Self>) -> PackLease {
        PackLease { log: Arc::clone(self), writer: None, start: 0, filled: Vec::new() }
    }

    /// Reads exactly `len` committed bytes.
    pub fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        self.store.read(id, offset, len)
    }

    fn take_writer(&self) -> io::Result<Box<dyn PackWriter>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(writer) => Ok(writer),
            None => self.store.create(PackId(self.next_id.fetch_add(1, Ordering::Relaxed))),
        }
    }

    fn give_back(&self, writer: Box<dyn PackWriter>) {
        if writer.len() < self.pack_bytes_max {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(writer);
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
}

impl PackLease {
    /// Where the next byte will lie. Moves to another pack when the present one is full: to be asked between frames.
    pub fn position(&mut self) -> io::Result<(PackId, u64)> {
        let pack_bytes_max = self.log.pack_bytes_max;
        if let Some(mut full) = self.writer.take_if(|writer| writer.len() >= pack_bytes_max) {
            self.filled.push((full.id(), self.start));
            full.sync()?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => {
                let writer = self.log.take_writer()?;
                self.start = writer.len();
                empty.insert(writer)
            }
        };
        Ok((writer.id(), writer.len()))
    }

    /// Appends to the pack that [`PackLease::position`] named.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.append(bytes),
            None => Err(io::Error::other("a lease was written to before it was placed")),
        }
    }

    /// Syncs everything appended and gives the pack back. What was appended stays.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            let synced = writer.sync();
            if let Err(error) = synced {
                // The kernel may have dropped the pages and report success next time: never trust this file again.
                self.writer = None;
                return Err(error);
            }
        }
        self.filled.clear();
        if let Some(writer) = self.writer.take() {
            self.log.give_back(writer);
        }
        Ok(())
    }

    fn abandon(&mut self) -> io::Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer.truncate(self.start)?;
            self.log.give_back(writer);
        }
        for (id, start) in self.filled.drain(..) {
            if start == 0 {
                self.log.store.delete(id)?;
            } else {
                self.log.give_back(self.log.store.reopen(id, start)?);
            }
        }
        Ok(())
    }
}

impl Drop for PackLease {
    fn drop(&mut self) {
        if let Err(error) = self.abandon() {
            warn!(%error, "an unfinished write could not be taken back; the next start will");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryPacks;
    use super::*;

    fn log(packs: &MemoryPacks, committed: &[PackRow]) -> Arc<PackLog> {
        Arc::new(PackLog::open(Arc::new(packs.clone()), committed, 64).unwrap())
    }

    fn append(log: &Arc<PackLog>, bytes: &[u8]) -> (PackLease, PackId, u64) {
        let mut lease = log.lease();
        let (id, offset) = lease.position().unwrap();
        lease.append(bytes).unwrap();
        (lease, id, offset)
    }

    #[test]
    fn a_dropped_lease_leaves_nothing() {
        let packs = MemoryPacks::default();
        let log = log(&packs, &[]);
        append(&log, b"keep").0.commit().unwrap();
        drop(append(&log, b"throw away"));
        assert_eq!(packs.list().unwrap().iter().map(|(_, len)| *len).sum::<u64>(), 4);
        let (lease, id, offset) = append(&log, b"more");
        lease.commit().unwrap();
        assert_eq!(log.read(id, offset, 4).unwrap(), "more");
        assert_eq!(packs.list().unwrap().len(), 1);
    }

    #[test]
    fn writers_at_the_same_time_have_packs_of_their_own() {
        let packs = MemoryPacks::default();
        let log = log(&packs, &[]);
        let (one, first, _) = append(&log, b"one");
        let (two, second, _) = append(&log, b"two");
        assert_ne!(first, second);
        one.commit().unwrap();
        two.commit().unwrap();
    }

    #[test]
    fn what_was_never_committed_is_gone_after_a_start() {
        let packs = MemoryPacks::default();
        let before = log(&packs, &[]);
        let (lease, id, _) = append(&before, b"committed");
        lease.commit().unwrap();
        append(&before, b"synced, not committed").0.commit().unwrap();
        let (torn, other, _) = append(&before, b"never synced");
        let (orphan, _, _) = append(&before, b"a pack of its own");
        std::mem::forget((torn, orphan));
        assert_eq!(other, id);
        let after = log(&packs, &[PackRow { id, committed_end: 9, live_bytes: 9 }]);
        assert_eq!(packs.list().unwrap(), [(id, 9)]);
        let (_, next, _) = append(&after, b"x");
        assert_eq!(next, id, "the pack goes on where it was cut");
    }

    #[test]
    fn a_full_pack_is_left_for_a_new_one() {
        let packs = MemoryPacks::default();
        let committed = PackRow { id: PackId(7), committed_end: 64, live_bytes: 64 };
        let mut full = packs.create(PackId(7)).unwrap();
        full.append(&[0; 64]).unwrap();
        let log = log(&packs, &[committed]);
        let (lease, id, offset) = append(&log, b"x");
        lease.commit().unwrap();
        assert_eq!((id, offset), (PackId(8), 0));
    }
}
