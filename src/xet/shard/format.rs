//! What a shard holds, and the rows it is written in.
//!
//! Everything but the footer is rows of 48 bytes: a hash and four little-endian `u32`.
//!
//! | row | hash | words |
//! |---|---|---|
//! | header | tag | version 2, 0, footer size, 0 |
//! | file | file hash | flags, terms, 0, 0 |
//! | term | xorb hash | flags, raw bytes, first chunk, end chunk |
//! | verification (one a term, if flagged) | range hash | 0, 0, 0, 0 |
//! | metadata (if flagged) | SHA-256, each 8 bytes reversed | 0, 0, 0, 0 |
//! | xorb | xorb hash | flags, chunks, raw bytes, stored bytes |
//! | chunk | chunk hash | raw start, raw bytes, flags, 0 |
//! | end of the files, end of the xorbs | all ones | 0, 0, 0, 0 |

use std::ops::Range;

use crate::xet::hash::{ChunkHash, FileHash, RangeHash, XorbHash};
use crate::xet::limits::SHARD_ROW_BYTES;

/// The first 32 bytes of every shard.
pub(super) const TAG: [u8; 32] = *b"HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9";
/// The only version of the whole there is.
pub(super) const VERSION: u64 = 2;
/// The only version of the footer there is.
pub(super) const FOOTER_VERSION: u64 = 1;
/// In place of a hash: the end of a section.
pub(super) const END_OF_SECTION: [u8; 32] = [0xff; 32];
/// Flag of a file: its terms have verification rows.
pub(super) const FLAG_VERIFICATION: u32 = 1 << 31;
/// Flag of a file: it has a metadata row.
pub(super) const FLAG_METADATA: u32 = 1 << 30;
/// Flag of a chunk: it is offered in global deduplication.
pub(super) const FLAG_DEDUP_ELIGIBLE: u32 = 1 << 31;

/// A shard, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shard {
    /// The files it registers.
    pub files: Vec<ShardFile>,
    /// The xorbs it describes: in an upload only those that are new.
    pub xorbs: Vec<ShardXorb>,
    /// Its footer: none in uploads.
    pub footer: Option<ShardFooter>,
}

/// A file, as the terms that make it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFile {
    /// The file's hash.
    pub hash: FileHash,
    /// Its content, in order; none for the empty file.
    pub terms: Vec<ShardTerm>,
    /// The SHA-256 digest of its content, as any tool prints it (the wire has each 8 bytes reversed). Clients send
    /// zeros for the empty file, and may send none at all.
    pub sha256: Option<[u8; 32]>,
}

impl ShardFile {
    /// Whether every term carries its verification hash; a file is written with all of them or none.
    pub fn has_verification(&self) -> bool {
        self.terms.iter().all(|term| term.verification.is_some())
    }

    /// Bytes of the file.
    pub fn raw_bytes(&self) -> u64 {
        self.terms.iter().map(|term| u64::from(term.raw_bytes)).sum()
    }
}

/// A run of chunks of one xorb that stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardTerm {
    /// The xorb.
    pub xorb: XorbHash,
    /// Uncompressed bytes of the run.
    pub raw_bytes: u32,
    /// Which chunks of the xorb, by index.
    pub chunks: Range<u32>,
    /// What proves that the client held those chunks.
    pub verification: Option<RangeHash>,
}

/// A xorb, as the chunks it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardXorb {
    /// The xorb's hash.
    pub hash: XorbHash,
    /// Its chunks, in order.
    pub chunks: Vec<ShardChunk>,
    /// Uncompressed bytes of all chunks.
    pub raw_bytes: u32,
    /// Serialized bytes; clients send 0, not knowing.
    pub stored_bytes: u32,
}

/// A chunk of a xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardChunk {
    /// The chunk's hash; keyed with [`ShardFooter::hmac_key`] if that is not zero.
    pub hash: ChunkHash,
    /// Where it begins in the uncompressed bytes of the xorb.
    pub raw_start: u32,
    /// Its uncompressed bytes.
    pub raw_bytes: u32,
    /// Whether clients may ask for it in global deduplication; servers set it for first chunks of files.
    pub dedup_eligible: bool,
}

/// What the footer says beside offsets, which follow from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardFooter {
    /// Key of the chunk hashes in this shard; zero for plain ones.
    pub hmac_key: [u8; 32],
    /// When the shard was made, in Unix seconds; orders eviction in caches of clients.
    pub created_at: u64,
    /// Until when the key is of use, in Unix seconds; all ones for ever.
    pub key_expires_at: u64,
    /// Serialized bytes of all xorbs.
    pub stored_bytes_on_disk: u64,
    /// Bytes of all files.
    pub materialized_bytes: u64,
    /// Uncompressed bytes of all xorbs.
    pub stored_bytes: u64,
}

impl ShardFooter {
    /// The footer of a shard with its totals computed; with plain chunk hashes and no expiry.
    pub fn of(shard: &Shard, created_at: u64) -> Self {
        let xorb_sum =
            |bytes: fn(&ShardXorb) -> u32| shard.xorbs.iter().map(|xorb| u64::from(bytes(xorb))).sum();
        Self {
            hmac_key: [0; 32],
            created_at,
            key_expires_at: u64::MAX,
            stored_bytes_on_disk: xorb_sum(|xorb| xorb.stored_bytes),
            materialized_bytes: shard.files.iter().map(ShardFile::raw_bytes).sum(),
            stored_bytes: xorb_sum(|xorb| xorb.raw_bytes),
        }
    }
}

/// The hash under which a chunk is offered in a shard of this key ("HMAC" in the specification, yet it is keyed
/// BLAKE3 over the hash): only one who holds the chunk can recognise it. Callers leave hashes plain for a zero key.
pub fn keyed_chunk_hash(hash: ChunkHash, key: &[u8; 32]) -> ChunkHash {
    ChunkHash::from_bytes(*blake3::keyed_hash(key, hash.as_bytes()).as_bytes())
}

/// Turns a SHA-256 digest into its form on the wire, and back: each group of 8 bytes is reversed.
pub(super) fn swap_sha256(digest: &[u8; 32]) -> [u8; 32] {
    let mut swapped = *digest;
    for word in swapped.as_chunks_mut::<8>().0 {
        word.reverse();
    }
    swapped
}

/// A row of any kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) hash: [u8; 32],
    pub(super) words: [u32; 4],
}

impl Row {
    pub(super) fn encode(&self) -> [u8; SHARD_ROW_BYTES] {
        let mut bytes = [0; SHARD_ROW_BYTES];
        bytes[..32].copy_from_slice(&self.hash);
        for (target, word) in bytes[32..].as_chunks_mut::<4>().0.iter_mut().zip(self.words) {
            *target = word.to_le_bytes();
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; SHARD_ROW_BYTES]) -> Self {
        let mut row = Self { hash: [0; 32], words: [0; 4] };
        row.hash.copy_from_slice(&bytes[..32]);
        for (word, source) in row.words.iter_mut().zip(bytes[32..].as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*source);
        }
        row
    }

    /// Two words as one number.
    pub(super) fn wide(&self, index: usize) -> u64 {
        u64::from(self.words[index]) | u64::from(self.words[index + 1]) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_the_published_one() {
        let hex = "4846526570 6f4d65746144617461 00 556967456a7b815783a5bdd95ccdd14aa9".replace(' ', "");
        assert_eq!(hex::encode(TAG), hex);
    }

    #[test]
    fn a_keyed_hash_matches_the_published_one() {
        let key = std::array::from_fn(|i| i as u8 + 1);
        let hash = "cfc5d07f6f03c29bbf424132963fe08d19a37d5757aaf520bf08119f05cd56d6".parse().unwrap();
        assert_eq!(
            keyed_chunk_hash(hash, &key).to_string(),
            "85f05b8dd82e75d8c8499216532011481ba6d8d98f360b493709e767606476cc"
        );
    }

    #[test]
    fn a_digest_is_reversed_in_groups_of_eight() {
        let digest = hex::decode("dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f").unwrap();
        let wire = swap_sha256(digest.as_slice().try_into().unwrap());
        assert_eq!(hex::encode(&wire[..16]), "b0d52bbb2160fddfa5c39e80906267af");
        assert_eq!(swap_sha256(&wire), digest.as_slice());
    }
}
