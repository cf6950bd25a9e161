//! The footer, version 1 ("`CasObjectInfoV1`"), which a stored xorb may carry after its last record.
//!
//! ```text
//! "XETBLOB" version=1  xorb hash (32)
//! "XBLBHSH" version=0  count  count x hash (32)
//! "XBLBBND" version=1  count  count x record end (u32)  count x raw end (u32)
//! count  offset of "XBLBHSH" from the end  offset of "XBLBBND" from the end  buffer (16)
//! length of all the above
//! ```
//!
//! Numbers are little-endian `u32`; the offsets from the end leave out the closing length. The buffer may begin with
//! four random bytes that make objects of equal content differ.

use super::{ChunkEntry, ChunkTable, XorbError};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_FOOTER_BYTES_MIN, XORB_FOOTER_BYTES_PER_CHUNK};

/// First bytes of a footer.
pub(super) const TAG: [u8; 7] = *b"XETBLOB";
const HASHES_TAG: [u8; 7] = *b"XBLBHSH";
const BOUNDS_TAG: [u8; 7] = *b"XBLBBND";
const VERSION: u8 = 1;
const HASHES_VERSION: u8 = 0;
const BOUNDS_VERSION: u8 = 1;

/// A footer that was read, or is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XorbFooter {
    /// The xorb's hash as the footer has it; reading does not compute it from the chunks.
    pub hash: XorbHash,
    /// The xorb's chunks.
    pub chunks: ChunkTable,
    /// The sixteen free bytes.
    pub buffer: [u8; 16],
}

impl XorbFooter {
    /// The footer of the xorb of these chunks.
    pub fn new(chunks: ChunkTable) -> Self {
        Self { hash: chunks.xorb_hash(), chunks, buffer: [0; 16] }
    }

    /// The footer as it stands after the last record.
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.chunks.entries();
        let count = entries.len() as u32;
        let mut out = Vec::with_capacity(footer_bytes(entries.len()));
        put_section(&mut out, TAG, VERSION);
        out.extend_from_slice(self.hash.as_bytes());

        put_section(&mut out, HASHES_TAG, HASHES_VERSION);
        put_number(&mut out, count);
        for entry in entries {
            out.extend_from_slice(entry.hash.as_bytes());
        }

        put_section(&mut out, BOUNDS_TAG, BOUNDS_VERSION);
        put_number(&mut out, count);
        for entry in entries {
            put_number(&mut out, entry.record_end);
        }
        for entry in entries {
            put_number(&mut out, entry.raw_end);
        }

        put_number(&mut out, count);
        put_number(&mut out, hashes_from_end(count));
        put_number(&mut out, bounds_from_end(count));
        out.extend_from_slice(&self.buffer);
        let length = out.len() as u32;
        put_number(&mut out, length);
        out
    }

    /// Reads the footer that `bytes`, a whole stored xorb or its last part, ends with.
    pub fn decode(bytes: &[u8]) -> Result<Self, XorbError> {
        let bad = XorbError::BadFooter;
        let (rest, length) = bytes.split_last_chunk().ok_or(bad("cut off"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let start = rest.len().checked_sub(length).ok_or(bad("longer than the xorb"))?;
        let mut input = Input(&rest[start..]);

        input.section(TAG, VERSION)?;
        let hash = XorbHash::from_bytes(input.take()?);
        input.section(HASHES_TAG, HASHES_VERSION)?;
        let count = input.number()?;
        if count as usize > XORB_CHUNKS_MAX {
            return Err(XorbError::TooManyChunks { max: XORB_CHUNKS_MAX });
        }
        if length + 4 != footer_bytes(count as usize) {
            return Err(bad("the length does not suit the count"));
        }
        let entries = input.entries(count)?;
        let places = [input.number()?, input.number()?, input.number()?];
        if places != [count, hashes_from_end(count), bounds_from_end(count)] {
            return Err(bad("the places of the sections are wrong"));
        }
        Ok(Self { hash, chunks: ChunkTable::from_entries(entries)?, buffer: input.take()? })
    }
}

/// Bytes of a whole footer.
fn footer_bytes(count: usize) -> usize {
    XORB_FOOTER_BYTES_MIN + XORB_FOOTER_BYTES_PER_CHUNK * count
}

/// Where the hashes begin, from the end of what the closing length counts.
fn hashes_from_end(count: u32) -> u32 {
    bounds_from_end(count) + 7 + 1 + 4 + 32 * count
}

/// Where the end offsets begin, from the end of what the closing length counts.
fn bounds_from_end(count: u32) -> u32 {
    (7 + 1 + 4 + 8 * count) + 3 * 4 + 16
}

fn put_section(out: &mut Vec<u8>, tag: [u8; 7], version: u8) {
    out.extend_from_slice(&tag);
    out.push(version);
}

fn put_number(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// The bytes not read yet.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], XorbError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(XorbError::BadFooter("cut off"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn number(&mut self) -> Result<u32, XorbError> {
        self.take().map(u32::from_le_bytes)
    }

    fn section(&mut self, tag: [u8; 7], version: u8) -> Result<(), XorbError> {
        if self.take()? != tag {
            return Err(XorbError::BadFooter("a section's tag is missing"));
        }
        if self.take()? != [version] {
            return Err(XorbError::BadFooter("unknown version"));
        }
        Ok(())
    }

    /// The hashes, and the section of end offsets after them. The caller has checked `count` against the length.
    fn entries(&mut self, count: u32) -> Result<Vec<ChunkEntry>, XorbError> {
        let mut entries = Vec::with_capacity(count as usize);
        for _ in 0..count {
            entries.push(ChunkEntry { hash: ChunkHash::from_bytes(self.take()?), record_end: 0, raw_end: 0 });
        }
        self.section(BOUNDS_TAG, BOUNDS_VERSION)?;
        if self.number()? != count {
            return Err(XorbError::BadFooter("the counts differ"));
        }
        for entry in &mut entries {
            entry.record_end = self.number()?;
        }
        for entry in &mut entries {
            entry.raw_end = self.number()?;
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(count: u32) -> XorbFooter {
        let mut chunks = ChunkTable::default();
        for index in 0..count {
            chunks.push(ChunkHash::of(&index.to_le_bytes()), 20 + index, 40 + index);
        }
        XorbFooter::new(chunks)
    }

    #[test]
    fn a_footer_has_the_published_lengths_and_places() {
        for count in [0, 1, 5] {
            let bytes = footer(count).encode();
            assert_eq!(bytes.len() as u32, 96 + 40 * count);
            let end = bytes.len() - 4;
            assert_eq!(bytes[end..], (92 + 40 * count).to_le_bytes());
            assert!(bytes[end - (40 + 8 * count) as usize..].starts_with(b"XBLBBND\x01"));
            assert!(bytes[end - (52 + 40 * count) as usize..].starts_with(b"XBLBHSH\0"));
        }
    }

    #[test]
    fn a_footer_is_found_from_the_end_of_a_xorb() {
        let footer = footer(3);
        let bytes = [&b"records"[..], &footer.encode()].concat();
        assert_eq!(XorbFooter::decode(&bytes), Ok(footer));
    }

    #[test]
    fn a_footer_that_does_not_add_up_is_refused() {
        let good = footer(3).encode();
        let free = good.len() - 20..good.len() - 4;
        for at in (0..good.len()).filter(|at| !free.contains(at)) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x80;
            // Hashes are free to be anything; all else is fixed or bounded.
            if let Ok(footer) = XorbFooter::decode(&bytes) {
                let is_in_a_hash = (8..40).contains(&at) || (52..52 + 96).contains(&at);
                assert!(is_in_a_hash || footer.chunks != self::footer(3).chunks, "{at}");
            }
        }
        for cut in 0..good.len() {
            assert!(XorbFooter::decode(&good[..cut]).is_err(), "{cut}");
        }
    }
}
