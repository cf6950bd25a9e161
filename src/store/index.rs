//! The chunk index: "have we this chunk, and where?"
//!
//! It is a cache of the packs. An answer is a hint, to be checked against the xorb's own chunk table; a lost or
//! missing entry costs deduplication, never data. So it is never synced, and its keys are truncated hashes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// How much of a chunk hash is the key: enough that two of a quadrillion chunks rarely meet, and a meeting is seen.
const KEY_BYTES: usize = 16;

/// Memory for cached blocks of the index.
const CACHE_BYTES: u64 = 32 << 20;

/// Memory for entries that are not in a table file yet.
const WRITE_BUFFER_BYTES: u64 = 16 << 20;

/// Space for the index's journal.
const JOURNAL_BYTES: u64 = 64 << 20;

/// Where a chunk may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHint {
    /// In this xorb ...
    pub xorb: XorbHash,
    /// ... as this chunk.
    pub index: u32,
}

/// The index failed; the work can go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the chunk index failed: {0}")]
pub struct IndexError(String);

/// A memory of where chunks are. Every implementation passes the tests of this module.
pub trait ChunkIndex: Send + Sync + 'static {
    /// Where this chunk may be.
    fn find(&self, chunk: &ChunkHash) -> Result<Option<ChunkHint>, IndexError>;

    /// Remembers all chunks of a xorb; where a chunk is known already, the new place is kept.
    fn add(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError>;

    /// Forgets the chunks of a xorb, where they are known to be in it.
    fn remove(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError>;

    /// Forgets everything.
    fn clear(&self) -> Result<(), IndexError>;

    /// Bytes that it takes on disk.
    fn bytes(&self) -> u64;
}

fn key(chunk: &ChunkHash) -> [u8; KEY_BYTES] {
    std::array::from_fn(|i| chunk.as_bytes()[i])
}

/// An index that ends with the process, for tests.
#[derive(Default)]
pub struct MemoryIndex {
    entries: Mutex<HashMap<[u8; KEY_BYTES], ChunkHint>>,
}

impl ChunkIndex for MemoryIndex {
    fn find(&self, chunk: &ChunkHash) -> Result<Option<ChunkHint>, IndexError> {
        Ok(self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&key(chunk)).copied())
    }

    fn add(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, entry) in (0..).zip(table.entries()) {
            entries.insert(key(&entry.hash), ChunkHint { xorb: *xorb, index });
        }
        Ok(())
    }

    fn remove(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in table.entries() {
            let key = key(&entry.hash);
            if entries.get(&key).is_some_and(|hint| hint.xorb == *xorb) {
                entries.remove(&key);
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

/// The index in a folder of its own.
pub struct FjallIndex {
    database: Database,
    chunks: Keyspace,
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn failed(error: fjall::Error) -> IndexError {
    IndexError(error.to_string())
}

impl FjallIndex {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
        let chunks = database.keyspace("chunks", options).map_err(failed)?;
        Ok(Self { database, chunks })
    }
}

impl ChunkIndex for FjallIndex {
    fn find(&self, chunk: &ChunkHash) -> Result<Option<ChunkHint>, IndexError> {
        let Some(value) = self.chunks.get(key(chunk)).map_err(failed)? else {
            return Ok(None);
        };
        // A value of another shape is a stale format: as good as no answer.
        let hint = value.split_first_chunk::<32>().and_then(|(xorb, index)| {
            let index = u32::from_le_bytes(index.try_into().ok()?);
            Some(ChunkHint { xorb: XorbHash::from_bytes(*xorb), index })
        });
        Ok(hint)
    }

    fn add(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        let mut batch = self.database.batch();
        for (index, entry) in (0_u32..).zip(table.entries()) {
            let mut value = [0; 36];
            value[..32].copy_from_slice(xorb.as_bytes());
            value[32..].copy_from_slice(&index.to_le_bytes());
            batch.insert(&self.chunks, key(&entry.hash), value);
        }
        batch.commit().map_err(failed)
    }

    fn remove(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        let mut batch = self.database.batch();
        for entry in table.entries() {
            let key = key(&entry.hash);
            let value = self.chunks.get(key).map_err(failed)?;
            if value.is_some_and(|value| value.starts_with(xorb.as_bytes())) {
                batch.remove(&self.chunks, key);
            }
        }
        batch.commit().map_err(failed)
    }

    fn clear(&self) -> Result<(), IndexError> {
        self.chunks.clear().map_err(failed)
    }

    fn bytes(&self) -> u64 {
        self.database.disk_space().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(chunks: std::ops::Range<u8>) -> ChunkTable {
        let mut table = ChunkTable::default();
        for i in chunks {
            table.push(ChunkHash::of(&[i]), 9, 1);
        }
        table
    }

    fn conforms(index: &impl ChunkIndex) {
        let first = table(0..3);
        index.add(&first.xorb_hash(), &first).unwrap();
        let hint = ChunkHint { xorb: first.xorb_hash(), index: 2 };
        assert_eq!(index.find(&ChunkHash::of(&[2])).unwrap(), Some(hint));
        assert_eq!(index.find(&ChunkHash::of(&[9])).unwrap(), None);
        let second = table(2..4);
        index.add(&second.xorb_hash(), &second).unwrap();
        let hint = ChunkHint { xorb: second.xorb_hash(), index: 0 };
        assert_eq!(index.find(&ChunkHash::of(&[2])).unwrap(), Some(hint));
        index.remove(&first.xorb_hash(), &first).unwrap();
        assert_eq!(index.find(&ChunkHash::of(&[1])).unwrap(), None);
        assert_eq!(index.find(&ChunkHash::of(&[2])).unwrap(), Some(hint), "it is known to be elsewhere");
        index.clear().unwrap();
        assert_eq!(index.find(&ChunkHash::of(&[2])).unwrap(), None);
        index.add(&first.xorb_hash(), &first).unwrap();
    }

    #[test]
    fn the_memory_index_conforms() {
        conforms(&MemoryIndex::default());
    }

    #[test]
    fn the_fjall_index_conforms_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        conforms(&FjallIndex::open(folder.path()).unwrap());
        let again = FjallIndex::open(folder.path()).unwrap();
        assert!(again.find(&ChunkHash::of(&[0])).unwrap().is_some());
    }
}
