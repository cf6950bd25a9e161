//! The rows of xorbs: where a xorb lies, and its chunks. Of a xorb of one chunk the hash is not stored again: it is the
//! xorb's, which names the row.

use serde::{Deserialize, Serialize};

use crate::store::rows::{PackId, XorbRow};
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::{ChunkEntry, ChunkTable};

const WHAT: &str = "a xorb's row";

#[derive(Serialize, Deserialize)]
struct XorbV1 {
    pack: u64,
    offset: u64,
    /// From the offset to the end of the frame.
    bytes: u64,
    chunks: ChunksV1,
}

#[derive(Serialize, Deserialize)]
enum ChunksV1 {
    /// The ends of the record and of the bytes of a chunk that has the xorb's hash.
    One(u32, u32),
    Any(Vec<ChunkV1>),
}

#[derive(Serialize, Deserialize)]
struct ChunkV1 {
    hash: [u8; 32],
    record_end: u32,
    raw_end: u32,
}

impl From<&ChunkEntry> for ChunkV1 {
    fn from(ChunkEntry { hash, record_end, raw_end }: &ChunkEntry) -> Self {
        Self { hash: *hash.as_bytes(), record_end: *record_end, raw_end: *raw_end }
    }
}

impl From<ChunkV1> for ChunkEntry {
    fn from(ChunkV1 { hash, record_end, raw_end }: ChunkV1) -> Self {
        Self { hash: ChunkHash::from_bytes(hash), record_end, raw_end }
    }
}

/// Writes where a xorb lies, in a row named by its hash.
pub(in crate::store::meta) fn encode_xorb(hash: &XorbHash, row: &XorbRow) -> Result<Vec<u8>, StoredError> {
    let chunks = match row.table.entries() {
        [one] if one.hash.as_bytes() == hash.as_bytes() => ChunksV1::One(one.record_end, one.raw_end),
        entries => ChunksV1::Any(entries.iter().map(ChunkV1::from).collect()),
    };
    let bytes = row.frame_end.wrapping_sub(row.offset);
    versioned::encode(WHAT, 1, &XorbV1 { pack: row.pack.0, offset: row.offset, bytes, chunks })
}

/// Reads where a xorb lies.
pub(in crate::store::meta) fn decode_xorb(hash: &XorbHash, row: &[u8]) -> Result<XorbRow, StoredError> {
    let XorbV1 { pack, offset, bytes, chunks } = match versioned::split(WHAT, row)? {
        (1, fields) => versioned::decode(WHAT, fields)?,
        (version, _) => return Err(StoredError::unknown_version(WHAT, version, 1)),
    };
    let entries = match chunks {
        // Both have one layout, so this makes no second list.
        ChunksV1::Any(chunks) => chunks.into_iter().map(ChunkEntry::from).collect(),
        ChunksV1::One(record_end, raw_end) => {
            vec![ChunkEntry { hash: ChunkHash::from_bytes(*hash.as_bytes()), record_end, raw_end }]
        }
    };
    let table = ChunkTable::from_entries(entries).map_err(|error| StoredError::damaged(WHAT, error))?;
    Ok(XorbRow { pack: PackId(pack), offset, frame_end: offset.wrapping_add(bytes), table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xorbs_of_one_chunk_and_of_many_read_back() {
        for chunks in [1_u8, 3] {
            let mut table = ChunkTable::default();
            let hashes: Vec<_> = (0..chunks).map(|byte| ChunkHash::of(&[byte])).collect();
            for hash in &hashes {
                table.push(*hash, 9, 1);
            }
            let xorb = table.xorb_hash();
            let row = XorbRow { pack: PackId(3), offset: 1 << 33, frame_end: (1 << 33) + 200, table };
            let bytes = encode_xorb(&xorb, &row).unwrap();
            assert_eq!(decode_xorb(&xorb, &bytes).unwrap(), row);
        }
    }

    #[test]
    fn a_xorb_whose_chunks_cannot_lie_so_is_damage() {
        let hash = XorbHash::from_bytes([1; 32]);
        let chunk = |record_end| ChunkV1 { hash: [1; 32], record_end, raw_end: 1 };
        for chunks in [ChunksV1::One(9, 0), ChunksV1::Any(vec![chunk(9), chunk(8)])] {
            let row = XorbV1 { pack: 1, offset: 8, bytes: 100, chunks };
            let row = versioned::encode(WHAT, 1, &row).unwrap();
            assert!(matches!(decode_xorb(&hash, &row), Err(StoredError::Damaged { .. })));
        }
    }
}
