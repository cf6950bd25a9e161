//! The chunk index: "have we this chunk, and where?"
//!
//! It is a cache of the packs. An answer is a hint, to be checked against the xorb's own chunk table; a lost or
//! missing entry costs deduplication, never data. So it is never synced, and its keys are truncated hashes.
//!
//! Whatever its files hold after damage, anyone who asks gets an answer or an [`IndexError`], and goes on without it:
//! the library checks most of what it reads, but not all, and then panics, which ends here too. It may even ask for
//! more memory than there is, which ends the process; so an opening that never came to its end leaves a mark, and
//! files that have done so twice are not opened again. Emptying the index ([`ChunkIndex::clear`], the first step of a
//! rebuild) makes its folder again, so what was damaged is gone.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tracing::{error, warn};

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

/// How often the process may end while it opens the files, before they are taken for what ended it. One kill at the
/// wrong moment costs nothing.
const OPENINGS_MAX: u64 = 2;

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

/// Whether the xorb is this one chunk: they have one hash then.
fn is_all_of(xorb: &XorbHash, chunk: &ChunkHash) -> bool {
    xorb.as_bytes() == chunk.as_bytes()
}

/// What is written of a chunk: its xorb and its place there, or nothing if it is all of its xorb, as most small objects'
/// are.
fn value(xorb: &XorbHash, chunk: &ChunkHash, index: u32) -> Vec<u8> {
    if is_all_of(xorb, chunk) {
        return Vec::new();
    }
    let mut value = xorb.as_bytes().to_vec();
    value.extend_from_slice(&index.to_le_bytes());
    value
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

/// The opened files of an index.
struct Files {
    database: Database,
    chunks: Keyspace,
}

/// The index in a folder of its own.
pub struct FjallIndex {
    folder: PathBuf,
    /// `None` if they were to be made again and could not be.
    files: RwLock<Option<Files>>,
    /// Whether a failure was logged since they were made.
    has_failed: AtomicBool,
}

/// Does something with the library, whose panics are failures as well: it takes what it reads for its own writing.
fn guarded<T>(work: impl FnOnce() -> fjall::Result<T>) -> Result<T, IndexError> {
    // What is left half done by a panic is the index's, and its answers are checked.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| IndexError(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(IndexError(format!("it panicked: {text}")))
        }
    }
}

impl Files {
    fn open(folder: &Path) -> Result<Self, IndexError> {
        guarded(|| {
            let database = Database::builder(folder)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(1)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
            let chunks = database.keyspace("chunks", options)?;
            Ok(Self { database, chunks })
        })
    }
}

impl FjallIndex {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        let files = RwLock::new(Some(Files::open(folder)?));
        Ok(Self { folder: folder.to_owned(), files, has_failed: AtomicBool::new(false) })
    }

    /// Like [`FjallIndex::open`]; files that cannot be opened are put aside, beside the folder, for new ones.
    pub fn open_or_put_aside(folder: &Path) -> Result<Self, IndexError> {
        let mark = folder.with_extension("opening");
        let index = match Self::open_marked(folder, &mark) {
            Ok(index) => Ok(index),
            Err(error) => Self::put_aside(folder, &error),
        };
        // One that stays is no harm: it counts against the next opening only.
        let _ = fs::remove_file(mark);
        index
    }

    /// Opens the folder, unless doing so has ended the process before.
    fn open_marked(folder: &Path, mark: &Path) -> Result<Self, IndexError> {
        let unfinished = fs::metadata(mark).map_or(0, |mark| mark.len());
        if unfinished >= OPENINGS_MAX {
            return Err(IndexError(format!("the process ended {unfinished} times while opening it")));
        }
        // Without the mark, on a full disk for example, it is opened all the same.
        let _ = fs::File::options()
            .append(true)
            .create(true)
            .open(mark)
            .and_then(|mut mark| mark.write_all(b"."));
        Self::open(folder)
    }

    fn put_aside(folder: &Path, error: &IndexError) -> Result<Self, IndexError> {
        let aside = folder.with_extension("broken");
        warn!(%error, aside = %aside.display(), "the chunk index is put aside: `xetgate store rebuild-index` fills a new one");
        let failed = |error: std::io::Error| IndexError(format!("putting it aside: {error}"));
        if aside.is_dir() {
            fs::remove_dir_all(&aside).map_err(failed)?;
        }
        fs::rename(folder, &aside).map_err(failed)?;
        Self::open(folder)
    }

    /// Does something with the files. That they fail is logged here, once, with what to do: every chunk of every
    /// upload would have it logged again.
    fn with<T>(&self, work: impl FnOnce(&Files) -> fjall::Result<T>) -> Result<T, IndexError> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let Some(files) = &*files else {
            return Err(IndexError("it is not there".to_owned()));
        };
        guarded(|| work(files)).inspect_err(|error| {
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                error!(
                    %error, folder = %self.folder.display(),
                    "no data is lost, but less is deduplicated: stop the server and run `xetgate store rebuild-index`"
                );
            }
        })
    }
}

impl ChunkIndex for FjallIndex {
    fn find(&self, chunk: &ChunkHash) -> Result<Option<ChunkHint>, IndexError> {
        let Some(value) = self.with(|files| files.chunks.get(key(chunk)))? else {
            return Ok(None);
        };
        if value.is_empty() {
            return Ok(Some(ChunkHint { xorb: XorbHash::from_root((*chunk).into()), index: 0 }));
        }
        // A value of another shape is a stale format: as good as no answer.
        let hint = value.split_first_chunk::<32>().and_then(|(xorb, index)| {
            let index = u32::from_le_bytes(index.try_into().ok()?);
            Some(ChunkHint { xorb: XorbHash::from_bytes(*xorb), index })
        });
        Ok(hint)
    }

    fn add(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        self.with(|files| {
            let mut batch = files.database.batch();
            for (index, entry) in (0_u32..).zip(table.entries()) {
                batch.insert(&files.chunks, key(&entry.hash), value(xorb, &entry.hash, index));
            }
            batch.commit()
        })
    }

    fn remove(&self, xorb: &XorbHash, table: &ChunkTable) -> Result<(), IndexError> {
        self.with(|files| {
            let mut batch = files.database.batch();
            for entry in table.entries() {
                let key = key(&entry.hash);
                let is_there = |value: fjall::UserValue| {
                    if value.is_empty() {
                        is_all_of(xorb, &entry.hash)
                    } else {
                        value.starts_with(xorb.as_bytes())
                    }
                };
                if files.chunks.get(key)?.is_some_and(is_there) {
                    batch.remove(&files.chunks, key);
                }
            }
            batch.commit()
        })
    }

    fn clear(&self) -> Result<(), IndexError> {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let old = files.take();
        guarded(|| {
            drop(old);
            Ok(())
        })?;
        let failed = |error: std::io::Error| IndexError(format!("making its folder anew: {error}"));
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(failed)?;
        }
        *files = Some(Files::open(&self.folder)?);
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.with(|files| files.database.disk_space()).unwrap_or_default()
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
        let alone = table(7..8);
        index.add(&alone.xorb_hash(), &alone).unwrap();
        let hint = ChunkHint { xorb: alone.xorb_hash(), index: 0 };
        assert_eq!(index.find(&ChunkHash::of(&[7])).unwrap(), Some(hint));
        index.remove(&second.xorb_hash(), &alone).unwrap();
        assert!(index.find(&ChunkHash::of(&[7])).unwrap().is_some(), "it is in another xorb");
        index.remove(&alone.xorb_hash(), &alone).unwrap();
        assert_eq!(index.find(&ChunkHash::of(&[7])).unwrap(), None);
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
