//! The table of a xorb's chunks: for each its hash, and where its record and its bytes end.
//!
//! Invariants: both end offsets ascend, each step is a possible length of a record and of a chunk, and the whole is
//! within the limits of a xorb. [`ChunkTable::from_entries`], which reading one from storage goes through, checks
//! them; [`ChunkTable::push`] leaves them to its caller, who has a validated header or asked [`ChunkTable::has_room`].

use std::ops::Range;

use super::XorbError;
use crate::xet::hash::{ChunkHash, RangeHash, XorbHash};
use crate::xet::limits::{
    CHUNK_BYTES_MAX, XORB_CHUNKS_MAX, XORB_PAYLOAD_BYTES_MAX, XORB_RAW_BYTES_MAX, XORB_RECORD_BYTES_MAX,
    XORB_RECORD_HEADER_BYTES,
};
use crate::xet::merkle;

/// One chunk of a xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkEntry {
    /// The chunk's hash.
    pub hash: ChunkHash,
    /// Where its record ends, in bytes from the start of the xorb, headers included.
    pub record_end: u32,
    /// Where it ends in the uncompressed bytes of the xorb.
    pub raw_end: u32,
}

/// The chunks of a xorb, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChunkTable(Vec<ChunkEntry>);

impl ChunkTable {
    /// A table of entries from storage or from an untrusted sender, checked.
    pub fn from_entries(entries: Vec<ChunkEntry>) -> Result<Self, XorbError> {
        if entries.len() > XORB_CHUNKS_MAX {
            return Err(XorbError::TooManyChunks { max: XORB_CHUNKS_MAX });
        }
        let records = 1 + XORB_RECORD_HEADER_BYTES..=XORB_RECORD_HEADER_BYTES + XORB_PAYLOAD_BYTES_MAX;
        let step = |end: u32, start: u32| end.checked_sub(start).map(|len| len as usize);
        let (mut record_start, mut raw_start) = (0, 0);
        for (index, entry) in entries.iter().enumerate() {
            let record_fits = step(entry.record_end, record_start).is_some_and(|len| records.contains(&len));
            let raw_fits =
                step(entry.raw_end, raw_start).is_some_and(|len| (1..=CHUNK_BYTES_MAX).contains(&len));
            if !record_fits || !raw_fits {
                return Err(XorbError::BadOffset { index });
            }
            (record_start, raw_start) = (entry.record_end, entry.raw_end);
        }
        let table = Self(entries);
        table.check_totals()?;
        Ok(table)
    }

    /// Appends a chunk, given the lengths of its record (header included) and of itself.
    pub fn push(&mut self, hash: ChunkHash, record_len: u32, raw_len: u32) {
        self.0.push(ChunkEntry {
            hash,
            record_end: self.record_bytes().saturating_add(record_len),
            raw_end: self.raw_bytes().saturating_add(raw_len),
        });
    }

    /// Whether a xorb with one more chunk of `raw_len` bytes would be within the limits.
    pub fn has_room(&self, raw_len: u32) -> bool {
        self.len() < XORB_CHUNKS_MAX && self.raw_bytes() as usize + raw_len as usize <= XORB_RAW_BYTES_MAX
    }

    /// Checks the limits on the whole.
    pub(super) fn check_totals(&self) -> Result<(), XorbError> {
        if self.len() > XORB_CHUNKS_MAX {
            return Err(XorbError::TooManyChunks { max: XORB_CHUNKS_MAX });
        }
        if self.raw_bytes() as usize > XORB_RAW_BYTES_MAX {
            return Err(XorbError::TooManyRawBytes { max: XORB_RAW_BYTES_MAX });
        }
        if self.record_bytes() as usize > XORB_RECORD_BYTES_MAX {
            return Err(XorbError::TooManyBytes { max: XORB_RECORD_BYTES_MAX });
        }
        Ok(())
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[ChunkEntry] {
        &self.0
    }

    /// How many chunks there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no chunk.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of the chunk at `index`.
    pub fn hash(&self, index: u32) -> Option<ChunkHash> {
        self.0.get(index as usize).map(|entry| entry.hash)
    }

    /// Where the records of a range of chunks lie in the xorb, in bytes; `None` for a range that is empty or not
    /// within the table.
    pub fn record_range(&self, chunks: Range<u32>) -> Option<Range<u32>> {
        self.ends(chunks, |entry| entry.record_end)
    }

    /// Where a range of chunks lies in the uncompressed bytes; `None` for a range that is empty or not within the
    /// table.
    pub fn raw_range(&self, chunks: Range<u32>) -> Option<Range<u32>> {
        self.ends(chunks, |entry| entry.raw_end)
    }

    /// Bytes of all records.
    pub fn record_bytes(&self) -> u32 {
        self.0.last().map_or(0, |entry| entry.record_end)
    }

    /// Bytes of all chunks.
    pub fn raw_bytes(&self) -> u32 {
        self.0.last().map_or(0, |entry| entry.raw_end)
    }

    /// The hash of the xorb of these chunks.
    pub fn xorb_hash(&self) -> XorbHash {
        let starts = std::iter::once(0).chain(self.0.iter().map(|entry| entry.raw_end));
        let chunks = self.0.iter().zip(starts);
        merkle::xorb_hash(
            chunks.map(|(entry, start)| (entry.hash, u64::from(entry.raw_end.saturating_sub(start)))),
        )
    }

    /// The verification hash of a range of chunks; `None` for a range that is empty or not within the table.
    pub fn range_hash(&self, chunks: Range<u32>) -> Option<RangeHash> {
        let entries = self.slice(chunks)?;
        Some(RangeHash::of(entries.iter().map(|entry| &entry.hash)))
    }

    /// The entries of a range, unless it is empty or not within the table.
    fn slice(&self, chunks: Range<u32>) -> Option<&[ChunkEntry]> {
        let entries = self.0.get(chunks.start as usize..chunks.end as usize)?;
        (!entries.is_empty()).then_some(entries)
    }

    /// Start and end of a range of chunks in the offsets that `end` reads.
    fn ends(&self, chunks: Range<u32>, end: impl Fn(&ChunkEntry) -> u32) -> Option<Range<u32>> {
        let last = self.slice(chunks.clone())?.last()?;
        let before = chunks.start.checked_sub(1).and_then(|index| self.0.get(index as usize));
        Some(before.map_or(0, &end)..end(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ChunkTable {
        let mut table = ChunkTable::default();
        for (byte, raw_len) in [(1, 100), (2, 200), (3, 300)] {
            table.push(ChunkHash::of(&[byte]), raw_len + 8, raw_len);
        }
        table
    }

    #[test]
    fn ranges_are_found_by_chunk() {
        let table = table();
        assert_eq!(table.record_range(0..3), Some(0..624));
        assert_eq!(table.record_range(1..2), Some(108..316));
        assert_eq!(table.raw_range(2..3), Some(300..600));
        assert_eq!(table.range_hash(1..2), Some(RangeHash::of([&ChunkHash::of(&[2])])));
        #[expect(clippy::reversed_empty_ranges)]
        for bad in [0..0, 3..3, 2..1, 0..4, 7..9, 0..u32::MAX] {
            assert_eq!(table.record_range(bad.clone()), None, "{bad:?}");
            assert_eq!(table.range_hash(bad), None);
        }
    }

    #[test]
    fn entries_with_impossible_offsets_are_refused() {
        let good = table().entries().to_vec();
        assert_eq!(ChunkTable::from_entries(good.clone()), Ok(table()));
        let bend = |change: fn(&mut ChunkEntry)| {
            let mut entries = good.clone();
            change(&mut entries[1]);
            ChunkTable::from_entries(entries)
        };
        assert!(bend(|entry| entry.record_end = 108).is_err());
        assert!(bend(|entry| entry.record_end = 116).is_err());
        assert!(bend(|entry| entry.record_end = u32::MAX).is_err());
        assert!(bend(|entry| entry.raw_end = 100).is_err());
        assert!(bend(|entry| entry.raw_end = 99).is_err());
        assert!(bend(|entry| entry.raw_end = 100 + 131_073).is_err());
    }

    #[test]
    fn a_table_above_a_limit_is_refused() {
        let many = |count: usize, raw_len: u32| {
            let mut table = ChunkTable::default();
            (0..count).for_each(|_| table.push(ChunkHash::of(b""), raw_len + 8, raw_len));
            ChunkTable::from_entries(table.0).map(|table| table.has_room(1))
        };
        assert_eq!(many(8191, 1), Ok(true));
        assert_eq!(many(8192, 1), Ok(false));
        assert_eq!(many(8193, 1), Err(XorbError::TooManyChunks { max: 8192 }));
        assert_eq!(many(512, 131_072), Ok(false));
        assert_eq!(many(513, 131_072), Err(XorbError::TooManyRawBytes { max: 64 << 20 }));
    }
}
