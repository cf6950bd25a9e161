//! [`SteadyBackend`]: makes a redb backend safe to be used again after a failed sync.
//!
//! When a sync fails, Linux marks the pages that it could not write as clean and keeps them in its cache. Anyone who
//! opens the file again reads them from there and takes them for stored, and the next sync, which finds nothing dirty,
//! reports success. redb would then build the next commit on pages that are not on the disk, and a power cut would
//! take commits that had been acknowledged.
//!
//! So every range that was written since the last sync that succeeded is remembered, and after a sync that failed
//! these ranges are written once more, and synced, before redb sees the file again. redb never overwrites a page that
//! its last durable commit uses, so this may be cut off at any point too.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// Offset to length, in bytes.
type Ranges = BTreeMap<u64, usize>;

/// What is known of a file's writes; it outlives the backends that are opened on the file one after the other.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Written since the last sync began.
    unsynced: Ranges,
    /// Written before a sync that failed.
    suspect: Ranges,
}

impl Writes {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs; until that has succeeded, everything written before is suspect.
    fn sync(&self, backend: &dyn StorageBackend) -> io::Result<()> {
        let begun = std::mem::take(&mut self.lock().unsynced);
        let synced = backend.sync_data();
        if synced.is_err() {
            self.lock().suspect.extend(begun);
        }
        synced
    }

    /// Writes once more what a failed sync may have lost.
    fn heal(&self, backend: &dyn StorageBackend) -> io::Result<()> {
        let suspect = self.lock().suspect.clone();
        if suspect.is_empty() {
            return Ok(());
        }
        let end = backend.len()?;
        for (offset, len) in suspect {
            let len = end.saturating_sub(offset).min(len as u64) as usize;
            let mut bytes = vec![0; len];
            backend.read(offset, &mut bytes)?;
            backend.write(offset, &bytes)?;
        }
        backend.sync_data()?;
        self.lock().suspect.clear();
        Ok(())
    }
}

/// A backend whose unsynced writes are remembered.
#[derive(Debug)]
pub(super) struct SteadyBackend {
    inner: Box<dyn StorageBackend>,
    writes: Arc<Writes>,
}

impl SteadyBackend {
    /// Makes good what the backend before this one may have lost.
    pub(super) fn new(inner: Box<dyn StorageBackend>, writes: Arc<Writes>) -> io::Result<Self> {
        if let Err(error) = writes.heal(&*inner) {
            // redb is never to see it, so nobody else will let go of the file.
            let _ = inner.close();
            return Err(error);
        }
        Ok(Self { inner, writes })
    }
}

impl StorageBackend for SteadyBackend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writes.sync(&*self.inner)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)?;
        let mut state = self.writes.lock();
        let longest = state.unsynced.entry(offset).or_default();
        *longest = data.len().max(*longest);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use redb::{Database, ReadableDatabase, TableDefinition};

    use super::*;
    use crate::store::simulated::{Disk, simulated_place};

    fn open(disk: &Arc<Disk>, writes: &Arc<Writes>) -> Result<Database, redb::Error> {
        let backend = simulated_place(disk).open()?;
        let steady = SteadyBackend::new(backend, Arc::clone(writes))?;
        Ok(Database::builder().create_with_backend(steady)?)
    }

    fn put(database: &Database, table: &str, value: u64) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(TableDefinition::<u64, u64>::new(table))?.insert(0, value)?;
        Ok(transaction.commit()?)
    }

    fn get(database: &Database, table: &str) -> Result<Option<u64>, redb::Error> {
        let table = database.begin_read()?.open_table(TableDefinition::<u64, u64>::new(table))?;
        Ok(table.get(0)?.map(|value| value.value()))
    }

    /// Whether a commit that was acknowledged after a failed sync is there after a power cut.
    fn survives(remembers: bool, seed: u64) -> bool {
        let (disk, writes) = (Arc::new(Disk::default()), Arc::new(Writes::default()));
        let database = open(&disk, &writes).unwrap();
        put(&database, "first", 1).unwrap();
        put(&database, "second", 1).unwrap();
        disk.fail_syncs(1);
        assert!(put(&database, "first", 2).is_err());
        drop(database);
        let database = open(&disk, &if remembers { writes } else { Arc::default() }).unwrap();
        put(&database, "second", 2).unwrap();
        let disk = Arc::new(disk.power_cut(seed));
        let look = || {
            let database = open(&disk, &Arc::default())?;
            let (first, second) = (get(&database, "first")?, get(&database, "second")?);
            Ok::<_, redb::Error>(matches!(first, Some(1 | 2)) && second == Some(2))
        };
        // redb may well panic over what it finds.
        catch_unwind(AssertUnwindSafe(look)).is_ok_and(|found| found.unwrap_or(false))
    }

    #[test]
    fn what_a_failed_sync_lost_is_written_again() {
        assert!((0..16).all(|seed| survives(true, seed)));
        assert!(
            !(0..16).all(|seed| survives(false, seed)),
            "without it, there would be nothing to guard against"
        );
    }
}
