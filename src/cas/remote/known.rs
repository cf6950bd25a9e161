//! What is known of chunks far away: those of xorbs sent lately or on their way, and those that dedup answers told of.
//!
//! All of it is a hint that costs deduplication when it is lost, and is bounded. What it says may have been collected
//! far away since: then registering a file is refused, and everything here is forgotten ([`Known::forget`]).

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::OnceCell;

use super::shared::SharedXorb;
use crate::cas::ChunkRef;
use crate::cas::announced::Announced;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_RECORD_HEADER_BYTES;
use crate::xet::shard::{Shard, keyed_chunk_hash};
use crate::xet::xorb::ChunkTable;

/// Xorbs whose chunks are remembered: some 16 GiB of data in some 40 MiB.
const XORBS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Dedup answers remembered; each costs one keyed hash a chunk that is looked up.
const SHARDS_MAX: usize = 16;

/// Chunks that were asked for lately, so that each is asked for once.
const ASKED_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Remembers chunks; shared by all buckets of one caller.
#[derive(Default)]
pub struct Known {
    inner: Mutex<Inner>,
    /// Chunks of xorbs that are not sent yet.
    pub(super) announced: Announced<SharedXorb>,
}

struct Inner {
    chunks: HashMap<ChunkHash, ChunkRef>,
    tables: LruCache<XorbHash, KnownXorb>,
    shards: VecDeque<KeyedChunks>,
    asked: LruCache<ChunkHash, Asked>,
}

/// Set once the CAS has answered for a chunk: an upload that brings the chunk meanwhile waits for the answer.
pub(super) type Asked = Arc<OnceCell<()>>;

/// A xorb whose chunks are known.
#[derive(Clone)]
struct KnownXorb {
    table: Arc<ChunkTable>,
    /// Whether the table has the chunks' own hashes, not keyed ones.
    is_plain: bool,
}

/// Chunks that are known by a keyed hash only.
struct KeyedChunks {
    key: [u8; 32],
    chunks: HashMap<ChunkHash, ChunkRef>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            chunks: HashMap::new(),
            tables: LruCache::new(XORBS_MAX),
            shards: VecDeque::new(),
            asked: LruCache::new(ASKED_MAX),
        }
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where this chunk is, if that is known, and so the table of its xorb.
    pub(super) fn find(&self, chunk: &ChunkHash) -> Option<ChunkRef> {
        let mut inner = self.lock();
        let found = inner.chunks.get(chunk).copied().or_else(|| {
            inner
                .shards
                .iter()
                .find_map(|shard| shard.chunks.get(&keyed_chunk_hash(*chunk, &shard.key)).copied())
        })?;
        inner.tables.get(&found.xorb)?;
        Some(found)
    }

    /// The table of a xorb. Of one that a keyed answer told of, only the chunks' lengths are true.
    pub(super) fn table(&self, xorb: &XorbHash) -> Option<Arc<ChunkTable>> {
        self.lock().tables.get(xorb).map(|xorb| Arc::clone(&xorb.table))
    }

    /// The hash of a chunk of a xorb, if it is known.
    pub(super) fn hash(&self, xorb: &XorbHash, index: u32) -> Option<ChunkHash> {
        self.lock().tables.peek(xorb).filter(|xorb| xorb.is_plain)?.table.hash(index)
    }

    /// Whether the CAS was asked for a chunk lately.
    pub(super) fn asked(&self, chunk: &ChunkHash) -> Asked {
        Arc::clone(self.lock().asked.get_or_insert(*chunk, Asked::default))
    }

    /// Remembers a xorb that was sent.
    pub(super) fn add(&self, xorb: XorbHash, table: Arc<ChunkTable>) {
        let mut inner = self.lock();
        for (index, entry) in (0..).zip(table.entries()) {
            inner.chunks.insert(entry.hash, ChunkRef { xorb, index });
        }
        inner.put_table(xorb, KnownXorb { table, is_plain: true });
    }

    /// Remembers what a dedup answer tells.
    pub(super) fn learn(&self, shard: &Shard) {
        let key = shard.footer.as_ref().map(|footer| footer.hmac_key).unwrap_or_default();
        let mut chunks = HashMap::new();
        let mut inner = self.lock();
        for xorb in &shard.xorbs {
            let mut table = ChunkTable::default();
            for (index, chunk) in (0..).zip(&xorb.chunks) {
                // Where its record lies is not told; nobody asks the table for that.
                table.push(chunk.hash, chunk.raw_bytes + XORB_RECORD_HEADER_BYTES as u32, chunk.raw_bytes);
                chunks.insert(chunk.hash, ChunkRef { xorb: xorb.hash, index });
            }
            if !inner.tables.contains(&xorb.hash) {
                let table = Arc::new(table);
                inner.put_table(xorb.hash, KnownXorb { table, is_plain: key == [0; 32] });
            }
        }
        if key == [0; 32] {
            inner.chunks.extend(chunks);
            return;
        }
        inner.shards.push_front(KeyedChunks { key, chunks });
        inner.shards.truncate(SHARDS_MAX);
    }

    /// Forgets everything: something of it was not true.
    pub fn forget(&self) {
        *self.lock() = Inner::default();
    }
}

impl Inner {
    fn put_table(&mut self, xorb: XorbHash, known: KnownXorb) {
        let Some((evicted, known)) = self.tables.push(xorb, known).filter(|(evicted, _)| *evicted != xorb)
        else {
            return;
        };
        for entry in known.table.entries() {
            if self.chunks.get(&entry.hash).is_some_and(|place| place.xorb == evicted) {
                self.chunks.remove(&entry.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::shard::{ShardChunk, ShardFooter, ShardXorb};

    fn table(byte: u8) -> (XorbHash, Arc<ChunkTable>) {
        let mut table = ChunkTable::default();
        table.push(ChunkHash::of(&[byte]), 9, 1);
        table.push(ChunkHash::of(&[byte, 1]), 10, 2);
        (table.xorb_hash(), Arc::new(table))
    }

    #[test]
    fn sent_xorbs_are_found_until_there_are_too_many() {
        let known = Known::default();
        let (xorb, first) = table(1);
        known.add(xorb, first);
        assert_eq!(known.find(&ChunkHash::of(&[1, 1])), Some(ChunkRef { xorb, index: 1 }));
        for number in 0..XORBS_MAX.get() as u64 {
            let mut table = ChunkTable::default();
            table.push(ChunkHash::of(&number.to_le_bytes()), 16, 8);
            known.add(table.xorb_hash(), Arc::new(table));
        }
        assert_eq!(known.find(&ChunkHash::of(&[1, 1])), None);
        assert_eq!(known.lock().chunks.len(), XORBS_MAX.get());
    }

    #[test]
    fn chunks_of_a_keyed_answer_are_recognised_by_who_holds_them() {
        let (xorb, plain) = table(2);
        let key = [7; 32];
        let mut raw_start = 0;
        let mut chunk = |entry: &crate::xet::xorb::ChunkEntry| {
            let start = std::mem::replace(&mut raw_start, entry.raw_end);
            ShardChunk {
                hash: keyed_chunk_hash(entry.hash, &key),
                raw_start: start,
                raw_bytes: entry.raw_end - start,
                dedup_eligible: false,
            }
        };
        let chunks = plain.entries().iter().map(&mut chunk).collect();
        let xorbs = vec![ShardXorb { hash: xorb, chunks, raw_bytes: 3, stored_bytes: 0 }];
        let mut shard = Shard { files: Vec::new(), xorbs, footer: None };
        shard.footer = Some(ShardFooter { hmac_key: key, ..ShardFooter::of(&shard, 1) });
        let known = Known::default();
        known.learn(&shard);
        assert_eq!(known.find(&ChunkHash::of(&[2, 1])), Some(ChunkRef { xorb, index: 1 }));
        assert_eq!(known.find(&ChunkHash::of(&[3])), None);
        known.forget();
        assert_eq!(known.find(&ChunkHash::of(&[2, 1])), None);
    }

    #[test]
    fn a_chunk_is_asked_for_once() {
        let known = Known::default();
        let first = known.asked(&ChunkHash::of(b"a"));
        assert!(Arc::ptr_eq(&first, &known.asked(&ChunkHash::of(b"a"))));
        assert!(!Arc::ptr_eq(&first, &known.asked(&ChunkHash::of(b"b"))));
    }
}
