//! A cache of chunks on the local disk, so that what was fetched once does not go over the network again.
//!
//! A file holds a run of neighbouring chunks of one xorb, uncompressed. It is written beside its place and renamed, and
//! never changed, so processes may share a folder: one that is gone because another made room is a miss. Every chunk
//! is checked against its hash when it is read. Files are not synced: after a power cut, damaged ones are misses too.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `XGC1` |
//! | 4 | number of chunks |
//! | 40 each | hash, length, where the chunk's record ends in the xorb |
//! | 32 | BLAKE3 of all before |
//! | rest | the chunks |

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, IoSlice, Read as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use rustix::io::{Errno, ReadWriteFlags};
use tracing::debug;

use crate::model::clock::Clock;
use crate::store::metrics::Count;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_CHUNKS_MAX;

const MAGIC: [u8; 4] = *b"XGC1";
const ROW_BYTES: usize = 40;

/// After so many files written, the folder is read again, for what other processes have put there.
const LOOK_AGAIN_AFTER: u64 = 256;

/// A use is noted on disk, for the order after a restart, at most this often.
const TOUCH_AFTER_MS: u64 = 60_000;

/// An unfinished file is left behind by a process that ended; this old, it is nobody's.
const UNFINISHED_MS_MAX: u64 = 3_600_000;

/// A chunk, and where its record ends in its xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CachedChunk {
    pub(super) hash: ChunkHash,
    pub(super) bytes: Bytes,
    pub(super) record_end: u32,
}

/// A run's name: its xorb and its first chunk.
type RunKey = (XorbHash, u32);

#[derive(Debug, Clone, Copy)]
struct Run {
    end: u32,
    bytes: u64,
    touched: u64,
}

struct Runs {
    by_use: LruCache<RunKey, Run>,
    by_xorb: HashMap<XorbHash, BTreeMap<u32, u32>>,
    bytes: u64,
}

/// What a cache has done since it was opened.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    /// Times that it was asked for chunks and had the first of them.
    pub hits: Count,
    /// Times that it had not.
    pub misses: Count,
    /// Bytes of the chunks that it gave.
    pub hit_bytes: Count,
}

/// The cache. Its calls never fail: what cannot be read or written is not there.
pub struct ChunkCache {
    folder: PathBuf,
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    runs: Mutex<Runs>,
    written: AtomicU64,
    /// What it has done.
    pub metrics: CacheMetrics,
}

impl ChunkCache {
    /// Opens the cache in `folder`, or makes it. At most `bytes_max` bytes are kept. Blocks.
    pub fn open(folder: &Path, bytes_max: u64, clock: Arc<dyn Clock>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let runs = Runs { by_use: LruCache::unbounded(), by_xorb: HashMap::new(), bytes: 0 };
        let cache = Self {
            folder: folder.to_owned(),
            bytes_max,
            clock,
            runs: Mutex::new(runs),
            written: AtomicU64::new(0),
            metrics: CacheMetrics::default(),
        };
        cache.look();
        cache.make_room();
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what lies in the folder and is not known yet, the least recently used first.
    fn look(&self) {
        let now = self.clock.now().0;
        let mut found = Vec::new();
        for shelf in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            for entry in fs::read_dir(shelf.path()).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                let touched =
                    meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                let touched = touched.map_or(0, |since| since.as_millis() as u64);
                match parse_name(&entry.file_name().to_string_lossy()) {
                    Some((key, end)) => found.push((key, Run { end, bytes: meta.len(), touched })),
                    None if touched + UNFINISHED_MS_MAX < now => drop(fs::remove_file(entry.path())),
                    None => {}
                }
            }
        }
        found.sort_by_key(|(_, run)| run.touched);
        let mut runs = self.lock();
        for (key, run) in found {
            if !runs.by_use.contains(&key) {
                runs.add(key, run);
            }
        }
    }

    /// The chunks of a xorb from the first of `wanted` on, as many as lie together here; `None` if there is none.
    pub(super) async fn get(
        self: &Arc<Self>,
        xorb: XorbHash,
        wanted: Range<u32>,
    ) -> Option<Vec<CachedChunk>> {
        let found = self.find_and_read(xorb, wanted).await;
        match &found {
            Some(chunks) => {
                self.metrics.hits.add(1);
                self.metrics.hit_bytes.add(chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum());
            }
            None => self.metrics.misses.add(1),
        }
        found
    }

    async fn find_and_read(self: &Arc<Self>, xorb: XorbHash, wanted: Range<u32>) -> Option<Vec<CachedChunk>> {
        let (start, run) = self.lock().find(&xorb, wanted.start)?;
        let cache = Arc::clone(self);
        let work = move || {
            let chunks = cache.read((xorb, start), run, wanted);
            if chunks.is_none() {
                cache.lock().remove(&(xorb, start));
                let _ = fs::remove_file(cache.path(&(xorb, start), run.end));
            }
            chunks
        };
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    fn read(&self, key: RunKey, run: Run, wanted: Range<u32>) -> Option<Vec<CachedChunk>> {
        let path = self.path(&key, run.end);
        let mut file = File::open(&path).ok()?;
        let count = run.end.checked_sub(key.1)? as usize;
        let mut head = vec![0; 8 + ROW_BYTES * count + 32];
        file.read_exact(&mut head).ok()?;
        let (rows, sum) = head.split_at(head.len() - 32);
        if blake3::hash(rows).as_bytes() != sum || rows[..4] != MAGIC {
            debug!(path = %path.display(), "a cached run is damaged");
            return None;
        }
        self.touch(&file, key, run);
        let rows = (key.1..).zip(rows[8..].as_chunks::<ROW_BYTES>().0);
        let mut rows = rows.map(|(index, row)| (index, row_of(row))).peekable();
        let mut at = head.len() as u64;
        while let Some((_, row)) = rows.next_if(|(index, _)| *index < wanted.start) {
            at += u64::from(row.len);
        }
        let rows: Vec<_> = rows.take_while(|(index, _)| *index < wanted.end).collect();
        let len = rows.iter().map(|(_, row)| u64::from(row.len)).sum::<u64>();
        if len > run.bytes {
            return None;
        }
        // In one read: the chunks lie on the disk, as a rule, and not in memory.
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, at).ok()?;
        let mut bytes = Bytes::from(bytes);
        let mut chunks = Vec::with_capacity(rows.len());
        for (index, Row { hash, len, record_end }) in rows {
            let bytes = bytes.split_to(len as usize);
            if ChunkHash::of(&bytes) != hash {
                debug!(path = %path.display(), index, "a cached chunk is damaged");
                return None;
            }
            chunks.push(CachedChunk { hash, bytes, record_end });
        }
        (!chunks.is_empty()).then_some(chunks)
    }

    /// Notes that a run was used, so that it is kept after a restart too.
    fn touch(&self, file: &File, key: RunKey, run: Run) {
        let now = self.clock.now();
        if now.0 < run.touched + TOUCH_AFTER_MS {
            return;
        }
        if let Some(kept) = self.lock().by_use.get_mut(&key) {
            kept.touched = now.0;
        }
        let _ = file.set_modified(now.into());
    }

    /// Keeps neighbouring chunks of a xorb. Returns when they are kept, or cannot be.
    pub(super) async fn put(self: &Arc<Self>, xorb: XorbHash, start: u32, chunks: Vec<CachedChunk>) {
        let end = start.saturating_add(chunks.len() as u32);
        if chunks.is_empty() || end as usize > XORB_CHUNKS_MAX {
            return;
        }
        let cache = Arc::clone(self);
        let work = move || {
            let key = (xorb, start);
            match cache.write(key, end, &chunks) {
                Ok(bytes) => {
                    let touched = cache.clock.now().0;
                    cache.lock().add(key, Run { end, bytes, touched });
                    cache.make_room();
                }
                Err(error) => debug!(%error, "chunks are not cached"),
            }
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }

    fn write(&self, key: RunKey, end: u32, chunks: &[CachedChunk]) -> io::Result<u64> {
        let head = head_of(chunks);
        let path = self.path(&key, end);
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("new-{}-{number}", std::process::id()));
        if let Some(shelf) = path.parent() {
            fs::create_dir_all(shelf)?;
        }
        let written = File::create(&unfinished)
            .and_then(|file| write_run(&file, &head, chunks))
            .and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        if (number + 1).is_multiple_of(LOOK_AGAIN_AFTER) {
            self.look();
        }
        written.map(|()| head.len() as u64 + chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum::<u64>())
    }

    /// Removes the least recently used until what is left is within the limit.
    fn make_room(&self) {
        loop {
            let mut runs = self.lock();
            if runs.bytes <= self.bytes_max {
                return;
            }
            let Some((key, run)) = runs.pop() else { return };
            drop(runs);
            let _ = fs::remove_file(self.path(&key, run.end));
        }
    }

    /// Forgets all chunks of a xorb: something of it was wrong.
    pub(super) fn remove(&self, xorb: &XorbHash) {
        let starts: Vec<u32> =
            self.lock().by_xorb.get(xorb).map(|runs| runs.keys().copied().collect()).unwrap_or_default();
        for start in starts {
            let key = (*xorb, start);
            let removed = self.lock().remove(&key);
            if let Some(run) = removed {
                let _ = fs::remove_file(self.path(&key, run.end));
            }
        }
    }

    /// Bytes kept now.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn path(&self, (xorb, start): &RunKey, end: u32) -> PathBuf {
        let name = format!("{xorb}.{start}-{end}");
        self.folder.join(&name[..2]).join(name)
    }
}

/// What the head of a run says of a chunk.
struct Row {
    hash: ChunkHash,
    len: u32,
    record_end: u32,
}

fn row_of(row: &[u8; ROW_BYTES]) -> Row {
    let number = |at: usize| u32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
    let mut hash = [0; 32];
    hash.copy_from_slice(&row[..32]);
    Row { hash: ChunkHash::from_bytes(hash), len: number(32), record_end: number(36) }
}

/// What lies before the chunks of a run.
fn head_of(chunks: &[CachedChunk]) -> Vec<u8> {
    let mut head = Vec::with_capacity(8 + ROW_BYTES * chunks.len() + 32);
    head.extend_from_slice(&MAGIC);
    head.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
    for chunk in chunks {
        head.extend_from_slice(chunk.hash.as_bytes());
        head.extend_from_slice(&(chunk.bytes.len() as u32).to_le_bytes());
        head.extend_from_slice(&chunk.record_end.to_le_bytes());
    }
    let sum = blake3::hash(&head);
    head.extend_from_slice(sum.as_bytes());
    head
}

/// `RWF_DONTCACHE` (since Linux 6.14): pages go to the disk at once, and are nobody's as soon as they are there. What is
/// kept here is seldom read soon, and in memory it would take the place of what is; finding room there for all of it also
/// takes more CPU than all else that a download does.
const UNCACHED: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

/// Writes a run from where its chunks lie: gathering them first would copy them once more.
fn write_run(file: &File, head: &[u8], chunks: &[CachedChunk]) -> io::Result<()> {
    let mut parts: Vec<IoSlice<'_>> =
        std::iter::once(head).chain(chunks.iter().map(|chunk| &chunk.bytes[..])).map(IoSlice::new).collect();
    let mut parts = &mut parts[..];
    let (mut at, mut flags) = (0, UNCACHED);
    while !parts.is_empty() {
        match rustix::io::pwritev2(file, parts, at, flags) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(Errno::INTR) => {}
            // A kernel, or a file system, that does not know it.
            Err(Errno::OPNOTSUPP | Errno::INVAL) if flags == UNCACHED => flags = ReadWriteFlags::empty(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn parse_name(name: &str) -> Option<(RunKey, u32)> {
    let (xorb, range) = name.split_once('.')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    let fits = start < end && end as usize <= XORB_CHUNKS_MAX;
    fits.then_some(((xorb.parse().ok()?, start), end))
}

impl Runs {
    fn add(&mut self, key: RunKey, run: Run) {
        self.remove(&key);
        self.bytes += run.bytes;
        self.by_xorb.entry(key.0).or_default().insert(key.1, run.end);
        self.by_use.push(key, run);
    }

    fn find(&mut self, xorb: &XorbHash, index: u32) -> Option<(u32, Run)> {
        let (&start, &end) = self.by_xorb.get(xorb)?.range(..=index).next_back()?;
        let run = self.by_use.get(&(*xorb, start)).copied();
        run.filter(|_| end > index).map(|run| (start, run))
    }

    fn remove(&mut self, key: &RunKey) -> Option<Run> {
        let run = self.by_use.pop(key)?;
        self.unlist(key, run);
        Some(run)
    }

    fn pop(&mut self) -> Option<(RunKey, Run)> {
        let (key, run) = self.by_use.pop_lru()?;
        self.unlist(&key, run);
        Some((key, run))
    }

    fn unlist(&mut self, key: &RunKey, run: Run) {
        self.bytes -= run.bytes;
        if let Some(runs) = self.by_xorb.get_mut(&key.0) {
            runs.remove(&key.1);
            if runs.is_empty() {
                self.by_xorb.remove(&key.0);
            }
        }
    }
}

impl std::fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkCache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::{ManualClock, Timestamp};

    fn chunk(byte: u8, len: usize) -> CachedChunk {
        let bytes = Bytes::from(vec![byte; len]);
        CachedChunk { hash: ChunkHash::of(&bytes), bytes, record_end: len as u32 + 8 }
    }

    fn xorb(byte: u8) -> XorbHash {
        XorbHash::from_bytes([byte; 32])
    }

    fn open(folder: &Path, bytes_max: u64) -> Arc<ChunkCache> {
        let clock = Arc::new(ManualClock::at(Timestamp(1_000_000)));
        Arc::new(ChunkCache::open(folder, bytes_max, clock).unwrap())
    }

    #[tokio::test]
    async fn chunks_are_found_within_their_run_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path(), 1 << 20);
        let run = vec![chunk(1, 10), chunk(2, 20), chunk(3, 30)];
        cache.put(xorb(1), 5, run.clone()).await;
        for cache in [cache, open(folder.path(), 1 << 20)] {
            assert_eq!(cache.get(xorb(1), 5..8).await, Some(run.clone()));
            assert_eq!(cache.get(xorb(1), 6..7).await, Some(run[1..2].to_vec()));
            assert_eq!(cache.get(xorb(1), 7..99).await, Some(run[2..].to_vec()));
            assert_eq!(cache.get(xorb(1), 8..9).await, None);
            assert_eq!(cache.get(xorb(1), 4..9).await, None);
            assert_eq!(cache.get(xorb(2), 5..8).await, None);
            let CacheMetrics { hits, misses, hit_bytes } = &cache.metrics;
            assert_eq!((hits.get(), misses.get(), hit_bytes.get()), (3, 3, 60 + 20 + 30));
        }
    }

    #[tokio::test]
    async fn the_least_recently_used_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path(), 25_000);
        for byte in [1, 2] {
            cache.put(xorb(byte), 0, vec![chunk(byte, 10_000)]).await;
        }
        assert!(cache.get(xorb(1), 0..1).await.is_some());
        cache.put(xorb(3), 0, vec![chunk(3, 10_000)]).await;
        assert!(cache.bytes() <= 25_000);
        assert!(cache.get(xorb(2), 0..1).await.is_none());
        assert!(cache.get(xorb(1), 0..1).await.is_some() && cache.get(xorb(3), 0..1).await.is_some());
        assert!(open(folder.path(), 10_500).bytes() <= 10_500, "a smaller limit holds from the start");
    }

    #[tokio::test]
    async fn damage_is_a_miss_never_other_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = open(folder.path(), 1 << 20);
        for at in [0, 9, 50, 100] {
            cache.put(xorb(9), 0, vec![chunk(7, 100)]).await;
            let path = cache.path(&(xorb(9), 0), 1);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.get(xorb(9), 0..1).await, None, "byte {at}");
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn two_processes_may_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (open(folder.path(), 1 << 20), open(folder.path(), 1 << 20));
        one.put(xorb(1), 0, vec![chunk(1, 10)]).await;
        other.look();
        assert!(other.get(xorb(1), 0..1).await.is_some());
        other.remove(&xorb(1));
        assert_eq!(one.get(xorb(1), 0..1).await, None, "it is gone, and that is all");
        assert_eq!(one.bytes(), 0);
    }
}
