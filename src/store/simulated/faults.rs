//! Faults by script, for any packs ([`FailingPacks`]) and any metadata ([`failing_place`]).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use redb::{DatabaseError, StorageBackend};
use rustix::io::Errno;

use crate::store::meta::Place;
use crate::store::pack::{PackId, PackMedium, PackStore, PackWriter};

/// Something that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Making a pack.
    Create,
    /// Opening a pack for appending, or the metadata.
    Open,
    /// Appending to a pack, or writing metadata.
    Write,
    /// Making the metadata's file longer.
    Grow,
    /// Making a pack shorter.
    Truncate,
    /// Copying the metadata.
    Copy,
    /// Putting a copy in the place of the metadata.
    Adopt,
    /// Making durable.
    Sync,
    /// Reading.
    Read,
    /// Deleting a pack.
    Delete,
}

#[derive(Default)]
struct Script {
    rules: Vec<(Operation, Errno)>,
    /// How many more operations go well before the rules hold.
    spared: u64,
    /// How often one was met.
    met: u64,
}

/// What is to fail now; shared by all that it makes fail.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Script>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an operation fail until [`Faults::mend`].
    pub(crate) fn fail(&self, operation: Operation, errno: Errno) {
        self.lock().rules.push((operation, errno));
    }

    /// Lets the next `count` operations that would fail go well.
    pub(crate) fn spare(&self, count: u64) {
        self.lock().spared = count;
    }

    /// How often one was met.
    pub(crate) fn met(&self) -> u64 {
        self.lock().met
    }

    /// Ends all faults; answers how often one was met.
    pub(crate) fn mend(&self) -> u64 {
        std::mem::take(&mut *self.lock()).met
    }

    fn check(&self, operation: Operation) -> io::Result<()> {
        let mut script = self.lock();
        let Some((_, errno)) = script.rules.iter().find(|(failing, _)| *failing == operation).copied() else {
            return Ok(());
        };
        if script.spared > 0 {
            script.spared -= 1;
            return Ok(());
        }
        script.met += 1;
        Err(errno.into())
    }
}

/// Packs that fail by script.
pub(crate) struct FailingPacks {
    /// The packs.
    pub(crate) inner: Arc<dyn PackStore>,
    /// The script.
    pub(crate) faults: Arc<Faults>,
}

impl FailingPacks {
    fn writer(&self, inner: Box<dyn PackWriter>) -> Box<dyn PackWriter> {
        Box::new(FailingWriter { inner, faults: Arc::clone(&self.faults) })
    }
}

impl PackStore for FailingPacks {
    fn medium(&self) -> PackMedium {
        self.inner.medium()
    }

    fn last_id(&self) -> Option<PackId> {
        self.inner.last_id()
    }

    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        self.faults.check(Operation::Create)?;
        Ok(self.writer(self.inner.create(id)?))
    }

    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>> {
        self.faults.check(Operation::Open)?;
        Ok(self.writer(self.inner.reopen(id, len)?))
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        self.faults.check(Operation::Read)?;
        self.inner.read(id, offset, len)
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        self.inner.list()
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        self.faults.check(Operation::Delete)?;
        self.inner.delete(id)
    }

    fn discard(&self, unknown: &[PackId]) -> io::Result<()> {
        self.faults.check(Operation::Delete)?;
        self.inner.discard(unknown)
    }

    fn is_own(&self, id: PackId) -> bool {
        self.inner.is_own(id)
    }
}

struct FailingWriter {
    inner: Box<dyn PackWriter>,
    faults: Arc<Faults>,
}

impl PackWriter for FailingWriter {
    fn id(&self) -> PackId {
        self.inner.id()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.faults.check(Operation::Write) {
            // As when a disk is full: some of it was written.
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.faults.check(Operation::Sync)?;
        self.inner.sync()
    }

    fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    fn finish(&mut self) -> io::Result<bool> {
        self.faults.check(Operation::Sync)?;
        self.inner.finish()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.faults.check(Operation::Truncate)?;
        self.inner.truncate(len)
    }
}

/// Metadata that fails by script.
pub(crate) fn failing_place(inner: Arc<dyn Place>, faults: Arc<Faults>) -> Arc<dyn Place> {
    Arc::new(FailingPlace { inner, faults })
}

struct FailingPlace {
    inner: Arc<dyn Place>,
    faults: Arc<Faults>,
}

impl FailingPlace {
    fn failing(&self, inner: Box<dyn StorageBackend>) -> Box<dyn StorageBackend> {
        Box::new(FailingBackend { inner, faults: Arc::clone(&self.faults) })
    }
}

impl Place for FailingPlace {
    fn open(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        self.faults.check(Operation::Open)?;
        Ok(self.failing(self.inner.open()?))
    }

    fn open_copy(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        self.faults.check(Operation::Copy)?;
        Ok(self.failing(self.inner.open_copy()?))
    }

    fn adopt_copy(&self) -> io::Result<()> {
        self.faults.check(Operation::Adopt)?;
        self.inner.adopt_copy()
    }

    fn remove_copy(&self) -> io::Result<()> {
        self.inner.remove_copy()
    }
}

struct FailingBackend {
    inner: Box<dyn StorageBackend>,
    faults: Arc<Faults>,
}

impl std::fmt::Debug for FailingBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl StorageBackend for FailingBackend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.faults.check(Operation::Read)?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.inner.len()? {
            self.faults.check(Operation::Grow)?;
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.check(Operation::Sync)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check(Operation::Write)?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

#[test]
fn without_faults_failing_packs_conform() {
    use crate::store::pack::MemoryPacks;
    let inner = || Arc::new(MemoryPacks::default());
    crate::store::pack::conformance::all(|| FailingPacks { inner: inner(), faults: Arc::default() });
}
