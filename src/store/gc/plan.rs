//! What gc decides, from numbers alone.

use std::ops::Range;

use crate::store::meta::PackRow;
use crate::store::pack::PackId;
use crate::xet::xorb::ChunkTable;

/// What is to be done with a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackPlan {
    /// Nothing in it is live.
    Delete { id: PackId, len: u64 },
    /// Most of it is dead: its live frames are worth copying.
    Rewrite { id: PackId, len: u64, live: u64 },
}

impl PackPlan {
    pub(super) fn id(self) -> PackId {
        match self {
            Self::Delete { id, .. } | Self::Rewrite { id, .. } => id,
        }
    }
}

/// Which packs to delete and to rewrite: those of which more than half is dead.
pub(super) fn plan_packs(lengths: &[(PackId, u64)], rows: &[PackRow]) -> Vec<PackPlan> {
    let plan = lengths.iter().filter_map(|(id, len)| {
        let (id, len) = (*id, *len);
        let live = rows.iter().find(|row| row.id == id).map_or(0, |row| row.live_bytes);
        match live {
            0 => Some(PackPlan::Delete { id, len }),
            live if live < len.saturating_sub(live) => Some(PackPlan::Rewrite { id, len, live }),
            _ => None,
        }
    });
    plan.collect()
}

/// Chunk ranges of one xorb that do not touch each other, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<Range<u32>>);

impl Ranges {
    /// Adds a range, joined to those it overlaps or touches.
    pub(super) fn add(&mut self, range: Range<u32>) {
        let first = self.0.partition_point(|present| present.end < range.start);
        let behind = self.0.partition_point(|present| present.start <= range.end);
        let joined = self.0[first..behind]
            .iter()
            .fold(range, |joined, present| joined.start.min(present.start)..joined.end.max(present.end));
        self.0.splice(first..behind, [joined]);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.0.iter().cloned()
    }

    /// Whether less than a quarter of the xorb's bytes lie in these ranges.
    pub(super) fn are_few_of(&self, table: &ChunkTable) -> bool {
        let bytes = self.iter().filter_map(|chunks| table.record_range(chunks));
        let live: u64 = bytes.map(|records| u64::from(records.end - records.start)).sum();
        live * 4 < u64::from(table.record_bytes())
    }

    /// How many chunks and how many uncompressed bytes they are.
    pub(super) fn size_in(&self, table: &ChunkTable) -> (usize, u32) {
        let raw = self.iter().filter_map(|chunks| table.raw_range(chunks));
        (self.iter().map(|chunks| chunks.len()).sum(), raw.map(|raw| raw.end - raw.start).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::ChunkHash;

    #[test]
    fn packs_are_deleted_when_dead_and_rewritten_when_mostly_dead() {
        let row = |id, live_bytes| PackRow { id: PackId(id), committed_end: 100, live_bytes };
        let lengths = [1, 2, 3, 4].map(|id| (PackId(id), 100));
        let plan = plan_packs(&lengths, &[row(1, 50), row(2, 49), row(3, 0)]);
        let (delete, rewrite) = (|id| PackPlan::Delete { id: PackId(id), len: 100 }, PackId(2));
        assert_eq!(plan, [PackPlan::Rewrite { id: rewrite, len: 100, live: 49 }, delete(3), delete(4)]);
    }

    #[test]
    fn ranges_join_where_they_touch() {
        let mut ranges = Ranges::default();
        for range in [5..7, 1..2, 10..12, 7..8, 2..3, 20..21, 0..1, 9..11] {
            ranges.add(range);
        }
        assert_eq!(ranges.0, [0..3, 5..8, 9..12, 20..21]);
        ranges.add(2..30);
        assert_eq!(ranges.0, [Range { start: 0, end: 30 }]);
    }

    #[test]
    fn a_quarter_is_not_few() {
        let mut table = ChunkTable::default();
        for chunk in 0..8 {
            table.push(ChunkHash::of(&[chunk]), 100, 92);
        }
        let few = |range| {
            let mut ranges = Ranges::default();
            ranges.add(range);
            ranges.are_few_of(&table)
        };
        assert!(few(3..4));
        assert!(!few(3..5));
    }
}
