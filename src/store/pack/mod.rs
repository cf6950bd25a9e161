//! Packs: the append-only containers in which xorbs physically lie.
//!
//! [`PackStore`] is the boundary (a folder of files, memory, later an object store); [`frame`] is what is written;
//! [`log`] hands out packs to writers and recovers them at start; [`group`] lets small writes share one sync;
//! [`scan`] walks frames and [`verify`] looks at every byte of one. A pack holds nothing but frames, so that the xorb
//! rows and the chunk index can be made again from the packs alone.

use std::io;

use bytes::Bytes;

#[cfg(test)]
pub mod conformance;
pub mod frame;
pub mod group;
mod local;
pub mod log;
mod memory;
pub mod scan;
pub mod verify;

pub use local::LocalPacks;
pub use memory::MemoryPacks;

pub use super::rows::PackId;

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

    /// Takes back what was appended after `len`.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Where packs live. Every implementation passes [`conformance`].
pub trait PackStore: Send + Sync + 'static {
    /// Makes a new, empty pack. An error if it exists.
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>>;

    /// Opens a pack for appending at `len`, cutting off what follows.
    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>>;

    /// Reads exactly `len` synced bytes at `offset`.
    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Like [`PackStore::read`], if it can be had without waiting for a disk or a network: a small read is over
    /// before another thread would have begun it.
    fn read_now(&self, _id: PackId, _offset: u64, _len: usize) -> Option<Bytes> {
        None
    }

    /// That these bytes will be read soon, piece by piece: a disk may begin to.
    fn read_soon(&self, _id: PackId, _offset: u64, _len: usize) {}

    /// All packs with their lengths, by id.
    fn list(&self) -> io::Result<Vec<(PackId, u64)>>;

    /// Deletes a pack; its space is given back.
    fn delete(&self, id: PackId) -> io::Result<()>;
}
