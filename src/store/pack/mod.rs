//! Packs: the append-only containers in which xorbs physically lie.
//!
//! [`PackStore`] is the boundary (a folder of files, an [`object`] store, memory); [`frame`] is what is written;
//! [`log`] hands out packs to writers and recovers them at start; [`group`] lets small writes share one sync;
//! [`scan`] walks frames and [`verify`] looks at every byte of one. A pack holds nothing but frames, so that the xorb
//! rows and the chunk index can be made again from the packs alone.
//!
//! The boundary blocks: a read or a sync of a file is one call of the system, and one of an object waits for a runtime of
//! the object store's own. Callers are threads that may wait, in both cases.

use std::io;

use bytes::Bytes;
use futures::future::BoxFuture;

#[cfg(test)]
pub mod conformance;
pub mod frame;
pub mod group;
mod local;
pub mod log;
mod memory;
pub mod object;
pub mod scan;
pub mod verify;

pub use local::LocalPacks;
pub use memory::MemoryPacks;

pub use super::rows::PackId;

/// What packs are to those who write and read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackMedium {
    /// A pack is a file. It is appended to again and again, and a read costs as much as its bytes.
    File,
    /// A pack is an object. The sync of what was appended finishes it, and a read costs a request, however short.
    Object,
}

/// A pack opened for appending; one writer at a time holds it.
pub trait PackWriter: Send {
    /// Which pack.
    fn id(&self) -> PackId;

    /// Its length with everything appended so far, in bytes.
    fn len(&self) -> u64;

    /// Whether nothing has been appended to it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends; readable only after [`PackWriter::sync`].
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything appended will survive a power cut. After an error nothing that was appended since
    /// the last success may be relied on, and the writer must not be used again.
    fn sync(&mut self) -> io::Result<()>;

    /// Whether the pack is finished: it takes nothing more. An object is, once it was synced with something in it.
    fn is_finished(&self) -> bool {
        false
    }

    /// Says that nothing more will be appended; answers whether everything is durable. If not, it is on its way, and
    /// [`PackWriter::sync`] waits for it.
    fn finish(&mut self) -> io::Result<bool> {
        self.sync().map(|()| true)
    }

    /// Takes back what was appended after `len`. An object that is not finished can be emptied only.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Where packs live. Every implementation passes [`conformance`].
pub trait PackStore: Send + Sync + 'static {
    /// What its packs are.
    fn medium(&self) -> PackMedium {
        PackMedium::File
    }

    /// The id after which new packs are numbered; `None` if that is the largest of all that are there.
    fn last_id(&self) -> Option<PackId> {
        None
    }

    /// Makes a new, empty pack. An error if it exists; of an object that is known only when it is synced.
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>>;

    /// Opens a pack for appending at `len`, cutting off what follows. Objects cannot be opened again.
    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>>;

    /// Waits until there is room for more bytes that are on their way; `None` if there is, as always with files.
    fn room(&self) -> Option<BoxFuture<'static, ()>> {
        None
    }

    /// Reads exactly `len` synced bytes at `offset`.
    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Like [`PackStore::read`], if it can be had without waiting for a disk or a network: a small read is over
    /// before another thread would have begun it.
    fn read_now(&self, _id: PackId, _offset: u64, _len: usize) -> Option<Bytes> {
        None
    }

    /// That these bytes will be read soon, piece by piece: a disk may begin to.
    fn read_soon(&self, _id: PackId, _offset: u64, _len: usize) {}

    /// Whether packs can be written and read at all, as far as that is quickly seen.
    fn reach(&self) -> io::Result<()> {
        Ok(())
    }

    /// All packs with their lengths, by id.
    fn list(&self) -> io::Result<Vec<(PackId, u64)>>;

    /// Deletes a pack; its space is given back.
    fn delete(&self, id: PackId) -> io::Result<()>;

    /// Deletes packs that the metadata does not know, as far as that is safe: those of a folder are nobody's, but others
    /// may just be writing to an object store.
    fn discard(&self, unknown: &[PackId]) -> io::Result<()> {
        unknown.iter().try_for_each(|id| self.delete(*id))
    }

    /// Whether a pack that the metadata does not know can only have been left by this process.
    fn is_own(&self, _id: PackId) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_packs_conform() {
        conformance::all(MemoryPacks::default);
    }

    #[test]
    fn local_packs_conform() {
        let folder = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        conformance::all(|| {
            count.set(count.get() + 1);
            LocalPacks::open(&folder.path().join(count.get().to_string())).unwrap()
        });
    }
}
