//! Frames: how a xorb lies in a pack.
//!
//! ```text
//! frame   := head records trailer
//! head    := "XGF1" u32 zero                                              8 bytes
//! records := the xorb's chunk records, as on the Xet wire
//! trailer := "XGT1" u32 chunks, u64 length of records, [32] xorb hash,
//!            chunks * [32] chunk hash, u32 CRC-32C of the trailer so far
//! ```
//! Numbers are little-endian. The records say their own lengths and begin with a zero byte, so a walk from the head
//! meets the trailer's first letter where the next record would be; the trailer's checksum and the chunk hashes
//! then prove everything before it. A frame is written front to back as chunks arrive: nothing in it is known late
//! but the trailer.

use crc_fast::{CrcAlgorithm, checksum};

use crate::store::rows::FRAME_HEAD_BYTES;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_CHUNKS_MAX;
use crate::xet::xorb::ChunkTable;

/// First bytes of a frame.
pub const HEAD: [u8; FRAME_HEAD_BYTES as usize] = *b"XGF1\0\0\0\0";

/// First bytes of a trailer.
pub const TRAILER_MAGIC: [u8; 4] = *b"XGT1";
const TRAILER_FIXED_BYTES: usize = 4 + 4 + 8 + 32;
const CHECKSUM_BYTES: usize = 4;

/// Bytes of the trailer of a xorb of `chunks` chunks.
pub const fn trailer_bytes(chunks: usize) -> usize {
    TRAILER_FIXED_BYTES + chunks * 32 + CHECKSUM_BYTES
}

/// What a trailer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The xorb.
    pub xorb: XorbHash,
    /// Bytes of its chunk records.
    pub record_bytes: u64,
    /// Its chunks.
    pub chunks: Vec<ChunkHash>,
}

fn crc32c(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    (checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32).to_le_bytes()
}

/// Writes the trailer of a xorb.
pub fn encode_trailer(xorb: &XorbHash, table: &ChunkTable) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(trailer_bytes(table.len()));
    bytes.extend_from_slice(&TRAILER_MAGIC);
    bytes.extend_from_slice(&(table.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&u64::from(table.record_bytes()).to_le_bytes());
    bytes.extend_from_slice(xorb.as_bytes());
    for entry in table.entries() {
        bytes.extend_from_slice(entry.hash.as_bytes());
    }
    let checksum = crc32c(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Reads a trailer at the beginning of `bytes`; `None` if there is none that is whole and true.
pub fn decode_trailer(bytes: &[u8]) -> Option<Trailer> {
    let fixed = bytes.get(..TRAILER_FIXED_BYTES)?;
    if fixed[..4] != TRAILER_MAGIC {
        return None;
    }
    let count = u32::from_le_bytes(fixed[4..8].try_into().ok()?) as usize;
    if count > XORB_CHUNKS_MAX {
        return None;
    }
    let body_end = trailer_bytes(count) - CHECKSUM_BYTES;
    let body = bytes.get(..body_end)?;
    if bytes.get(body_end..body_end + CHECKSUM_BYTES)? != crc32c(body) {
        return None;
    }
    let (hashes, _) = body[TRAILER_FIXED_BYTES..].as_chunks::<32>();
    Some(Trailer {
        record_bytes: u64::from_le_bytes(fixed[8..16].try_into().ok()?),
        xorb: XorbHash::from_bytes(fixed[16..48].try_into().ok()?),
        chunks: hashes.iter().copied().map(ChunkHash::from_bytes).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(chunks: u8) -> ChunkTable {
        let mut table = ChunkTable::default();
        for i in 0..chunks {
            table.push(ChunkHash::of(&[i]), 9, 1);
        }
        table
    }

    #[test]
    fn a_trailer_reads_back() {
        for chunks in [1, 2, 200] {
            let table = table(chunks);
            let bytes = encode_trailer(&table.xorb_hash(), &table);
            assert_eq!(bytes.len(), trailer_bytes(chunks.into()));
            let trailer = decode_trailer(&bytes).unwrap();
            assert_eq!(trailer.xorb, table.xorb_hash());
            assert_eq!(trailer.record_bytes, 9 * u64::from(chunks));
            assert!(trailer.chunks.iter().eq(table.entries().iter().map(|entry| &entry.hash)));
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let table = table(3);
        let bytes = encode_trailer(&table.xorb_hash(), &table);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_trailer(&flipped), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(decode_trailer(&bytes[..len]), None, "cut at {len}");
        }
    }
}
