//! Every number of the Xet formats, with the reason for it.
//!
//! Changing one of the chunk numbers changes where files are cut, hence every hash: they are part of the format.

/// Mean distance between cuts that the gear mask aims at. Source: Xet specification, "Chunking".
pub const CHUNK_BYTES_TARGET: usize = 64 * 1024;

/// No cut before this length (an eighth of the target), so that no pattern makes a flood of tiny chunks.
/// Only the last chunk of a file may be shorter.
pub const CHUNK_BYTES_MIN: usize = CHUNK_BYTES_TARGET / 8;

/// A cut is forced at this length (twice the target), so that a chunk always fits a small buffer.
pub const CHUNK_BYTES_MAX: usize = CHUNK_BYTES_TARGET * 2;

/// Bits of the gear hash that must be zero at a cut: the 16 that depend on the most bytes, 1 in 65536.
pub const CHUNK_MASK: u64 = 0xFFFF_0000_0000_0000;

/// Bytes the gear hash remembers: each byte shifts it by one bit of 64.
pub const GEAR_WINDOW_BYTES: usize = 64;

/// Most nodes under one inner node of a Merkle tree (twice the mean of 4, plus 1).
pub const MERKLE_GROUP_MAX: usize = 9;

/// Most chunks of a xorb: at the mean length of a chunk that is eight times the byte limit, so it binds only
/// for xorbs of many small files, and bounds what a table of chunks may hold in memory.
pub const XORB_CHUNKS_MAX: usize = 8192;

/// Most uncompressed bytes of a xorb.
pub const XORB_RAW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes before the payload of each chunk record.
pub const XORB_RECORD_HEADER_BYTES: usize = 8;

/// Most bytes of one record's payload: what the reference reader tolerates, twice the longest chunk.
pub const XORB_PAYLOAD_BYTES_MAX: usize = 2 * CHUNK_BYTES_MAX;

/// Most bytes of all records of a xorb: clients fill a xorb up to its raw limit, and when nothing compresses
/// the headers come on top.
pub const XORB_RECORD_BYTES_MAX: usize = XORB_RAW_BYTES_MAX + XORB_RECORD_HEADER_BYTES * XORB_CHUNKS_MAX;

/// Bytes of the footer of a xorb of no chunks, its closing length included.
pub const XORB_FOOTER_BYTES_MIN: usize = 92 + 4;

/// Bytes that each chunk adds to a footer: its hash and its two end offsets.
pub const XORB_FOOTER_BYTES_PER_CHUNK: usize = 40;

/// Most bytes of an uploaded xorb: older clients append a footer.
pub const XORB_BYTES_MAX: usize =
    XORB_RECORD_BYTES_MAX + XORB_FOOTER_BYTES_MIN + XORB_FOOTER_BYTES_PER_CHUNK * XORB_CHUNKS_MAX;

/// Most bytes of a shard: clients consolidate theirs up to this size.
pub const SHARD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the header, and of each row, of a shard.
pub const SHARD_ROW_BYTES: usize = 48;

/// Bytes of the footer of a shard that has one.
pub const SHARD_FOOTER_BYTES: usize = 200;
