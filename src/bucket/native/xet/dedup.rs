//! Answers to "have you this chunk?": a shard of xorbs whose chunk hashes are under a key, so that only who holds a
//! chunk can recognise it.
//!
//! The xorb of the chunk comes first in mind, but a client that has one chunk of a file is likely to have those after
//! it, and asks for few chunks; so the answer holds also the xorbs that come after it in a file that names it.
//! Everything in the answer is kept for the grace time: the client may refer to it as long, without asking again.

use super::{NativeXet, XetError};
use crate::cas::{ChunkSink as _, FoundChunk, XorbReader as _};
use crate::model::clock::Timestamp;
use crate::store::company::company;
use crate::store::hold::Hold;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::shard::{Shard, ShardChunk, ShardFooter, ShardXorb, keyed_chunk_hash};
use crate::xet::xorb::ChunkTable;

/// Most chunks in an answer, 48 bytes each: 3 MiB, and some milliseconds to key them.
const CHUNKS_MAX: usize = 1 << 16;

/// What is kept longer than the grace time by less than this is kept again, so that an answer which comes soon
/// afterwards costs no transaction.
const SLACK_MS: u64 = 24 * 3600 * 1000;

impl NativeXet {
    /// The shard that a client is answered that asks for this chunk; `None` if the chunk is not here.
    pub async fn dedup(&self, chunk: ChunkHash) -> Result<Option<Vec<u8>>, XetError> {
        let mut hold = Hold::default();
        let Some(FoundChunk { place: found, .. }) = self.chunks.find_first(&chunk, &mut hold).await? else {
            return Ok(None);
        };
        let xorbs = company(&*self.meta, found.xorb, found.index).await?;
        let kept = self.keep(xorbs).await?;
        drop(hold);
        let mut answer = Vec::new();
        let mut chunks = 0;
        for xorb in kept {
            let table = self.chunks.table(&xorb).await?;
            // The hash of a xorb of one chunk is the chunk's own, which is nobody's to know who does not hold it.
            if table.len() == 1 && xorb != found.xorb {
                continue;
            }
            chunks += table.len();
            if !answer.is_empty() && chunks > CHUNKS_MAX {
                break;
            }
            answer.push((xorb, table));
        }
        if answer.is_empty() {
            return Ok(None);
        }
        let key = self.ambient.random();
        let now = self.ambient.clock.now();
        let expires_at = self.keep_until();
        let encoding = tokio::task::spawn_blocking(move || {
            let xorbs = answer.iter().map(|(hash, table)| keyed(*hash, table, &chunk, &key));
            let shard = Shard { files: Vec::new(), xorbs: xorbs.collect(), footer: None };
            let footer = ShardFooter {
                hmac_key: key,
                key_expires_at: expires_at.secs(),
                ..ShardFooter::of(&shard, now.secs())
            };
            shard.encode_stored(&footer)
        });
        Ok(Some(encoding.await?))
    }

    /// Keeps xorbs for the grace time; answers those that are there.
    async fn keep(&self, xorbs: Vec<XorbHash>) -> Result<Vec<XorbHash>, XetError> {
        let keep_until = self.keep_until();
        for xorb in &xorbs {
            if self.meta.kept_until(xorb).await? < keep_until {
                let longer = Timestamp(keep_until.0 + SLACK_MS);
                return Ok(self.meta.keep_xorbs(xorbs, longer).await?);
            }
        }
        // What is kept cannot go, so all of it is there.
        Ok(xorbs)
    }
}

/// A xorb as it stands in an answer.
fn keyed(hash: XorbHash, table: &ChunkTable, asked: &ChunkHash, key: &[u8; 32]) -> ShardXorb {
    let mut raw_start = 0;
    let chunks = table.entries().iter().map(|entry| {
        let chunk = ShardChunk {
            hash: keyed_chunk_hash(entry.hash, key),
            raw_start,
            raw_bytes: entry.raw_end - raw_start,
            dedup_eligible: entry.hash == *asked,
        };
        raw_start = entry.raw_end;
        chunk
    });
    let chunks = chunks.collect();
    ShardXorb { hash, chunks, raw_bytes: table.raw_bytes(), stored_bytes: table.record_bytes() }
}
