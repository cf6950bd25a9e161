//! Answers to "have you this chunk?": a shard of xorbs whose chunk hashes are under a key, so that only who holds a
//! chunk can recognise it.
//!
//! The xorb of the chunk comes first in mind, but a client that has one chunk of a file is likely to have those after
//! it, and asks for few chunks; so the answer holds also the xorbs that come after it in a file that names it.
//! Everything in the answer is kept for the grace time: the client may refer to it as long, without asking again.

use std::collections::HashSet;

use super::{NativeXet, XetError};
use crate::cas::{ChunkRef, ChunkSink as _, FoundChunk, XorbReader as _};
use crate::model::clock::Timestamp;
use crate::store::hold::Hold;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::shard::{Shard, ShardChunk, ShardFooter, ShardXorb, keyed_chunk_hash};
use crate::xet::xorb::ChunkTable;

/// Most xorbs in an answer: two gigabytes of what follows the chunk.
const XORBS_MAX: usize = 32;

/// Most chunks in an answer, 48 bytes each: 3 MiB, and some milliseconds to key them.
const CHUNKS_MAX: usize = 1 << 16;

/// Terms of a file in which the company of a chunk is looked for: a millisecond.
const HOME_TERMS_MAX: usize = 1 << 14;

/// What is kept longer than the grace time by less than this is kept again, so that an answer which comes soon
/// afterwards costs no transaction.
const SLACK_MS: u64 = 24 * 3600 * 1000;

impl NativeXet {
    /// The shard that a client is answered that asks for this chunk; `None` if the chunk is not here.
    pub async fn dedup(&self, chunk: ChunkHash) -> Result<Option<Vec<u8>>, XetError> {
        let mut hold = Hold::default();
        let Some(FoundChunk { place: found, .. }) = self.chunks.find(&chunk, &mut hold).await? else {
            return Ok(None);
        };
        let xorbs = self.company(found).await?;
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

    /// The xorb that was found, and those after it in a file that names it.
    async fn company(&self, found: ChunkRef) -> Result<Vec<XorbHash>, XetError> {
        let mut xorbs = vec![found.xorb];
        let home = match self.meta.home_of(&found.xorb).await? {
            // Not of one that is long: for a hint that would be too much to read.
            Some(file) => match self.meta.file_terms(&file, &|_| 0..0).await? {
                Some(home) if home.terms_in_file <= HOME_TERMS_MAX => self.meta.file(&file).await?,
                _ => None,
            },
            None => None,
        };
        let terms = home.map(|record| record.terms).unwrap_or_default();
        let names = |term: &crate::model::file::Term| {
            term.xorb == found.xorb && (term.start..term.end).contains(&found.index)
        };
        let first = terms.iter().position(names).unwrap_or(terms.len());
        let mut seen = HashSet::from([found.xorb]);
        for term in &terms[first..] {
            if xorbs.len() == XORBS_MAX {
                break;
            }
            if seen.insert(term.xorb) {
                xorbs.push(term.xorb);
            }
        }
        Ok(xorbs)
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
