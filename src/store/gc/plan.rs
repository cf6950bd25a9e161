//! What gc decides, from numbers alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use crate::store::meta::PackRow;
use crate::store::pack::{PackId, PackMedium};
use crate::xet::xorb::ChunkTable;

/// Objects smaller than this are merged.
const SMALL_OBJECT_BYTES: u64 = 16 << 20;

/// So many small objects of about one size are merged at once. Sizes are told apart by powers of this number, so the
/// result belongs to the next size at least, and a byte is copied once for each of the six sizes at most.
const MERGED_TOGETHER: usize = 16;

/// What is to be done with a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackPlan {
    /// Nothing in it is live.
    Delete { id: PackId, len: u64 },
    /// Enough of it is dead, or it is one of many small objects: its live frames are worth copying.
    Rewrite { id: PackId, len: u64, live: u64 },
}

impl PackPlan {
    pub(super) fn id(self) -> PackId {
        match self {
            Self::Delete { id, .. } | Self::Rewrite { id, .. } => id,
        }
    }
}

/// Something of which a part is live: a pack, or a xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<N> {
    pub(super) name: N,
    pub(super) whole: u64,
    pub(super) live: u64,
}

impl<N> Part<N> {
    fn dead(&self) -> u64 {
        self.whole.saturating_sub(self.live)
    }

    /// Whether so much is dead: one part of so many.
    fn has_dead(&self, one_of: u64) -> bool {
        self.dead() >= (self.whole / one_of).max(1)
    }
}

/// How much dead space is given back at the price of copying what lives beside it. To free a byte where one part of n is
/// dead, n - 1 bytes are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thrift {
    /// Packs of which a quarter is dead (3 bytes copied for each that is freed, at most), xorbs of which half is: what
    /// goes on all the time beside clients.
    #[default]
    Usual,
    /// What is most dead first, until one part in 64 of all that lives is dead; not where less than one in 32 is.
    Thorough,
}

impl Thrift {
    fn chosen<N>(self, mut parts: Vec<Part<N>>, usual_one_of: u64) -> Vec<Part<N>> {
        if self == Self::Usual {
            parts.retain(|part| part.has_dead(usual_one_of));
            return parts;
        }
        let live: u64 = parts.iter().map(|part| part.live).sum();
        let mut dead: u64 = parts.iter().map(Part::dead).sum();
        parts.sort_by_key(|part| part.live.saturating_mul(1 << 20) / part.whole.max(1));
        let enough = parts.iter().position(|part| {
            let is_enough = dead <= live / 64 || !part.has_dead(32);
            dead -= part.dead();
            is_enough
        });
        parts.truncate(enough.unwrap_or(parts.len()));
        parts
    }

    /// The packs to rewrite.
    fn packs(self, packs: Vec<Part<PackId>>) -> Vec<Part<PackId>> {
        self.chosen(packs, 4)
    }

    /// The xorbs to compact.
    pub(super) fn xorbs<N>(self, xorbs: Vec<Part<N>>) -> Vec<Part<N>> {
        self.chosen(xorbs, 2)
    }
}

/// Which packs to delete and to rewrite. `lengths` has none that may be another process's.
pub(super) fn plan_packs(
    lengths: &[(PackId, u64)],
    rows: &[PackRow],
    thrift: Thrift,
    medium: PackMedium,
) -> Vec<PackPlan> {
    let live: HashMap<_, _> = rows.iter().map(|row| (row.id, row.live_bytes)).collect();
    let live_of = |id: &PackId| live.get(id).copied().unwrap_or(0);
    let parts = lengths.iter().map(|(id, len)| Part { name: *id, whole: *len, live: live_of(id) });
    let (dead, alive): (Vec<_>, Vec<_>) = parts.partition(|part| part.live == 0);
    let small = match medium {
        PackMedium::File => Vec::new(),
        PackMedium::Object => small_objects(&alive),
    };
    let mut rewritten = thrift.packs(alive);
    let chosen: HashSet<_> = rewritten.iter().map(|part| part.name).collect();
    rewritten.extend(small.into_iter().filter(|part| !chosen.contains(&part.name)));
    let mut plan: Vec<_> =
        dead.into_iter().map(|part| PackPlan::Delete { id: part.name, len: part.whole }).collect();
    let rewritten = rewritten.into_iter();
    plan.extend(rewritten.map(|part| PackPlan::Rewrite { id: part.name, len: part.whole, live: part.live }));
    plan.sort_unstable_by_key(|plan| plan.id());
    plan
}

/// The small objects of which there are many: each costs a request to read, to list and to delete.
fn small_objects(packs: &[Part<PackId>]) -> Vec<Part<PackId>> {
    let mut sizes: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for part in packs.iter().filter(|part| part.whole < SMALL_OBJECT_BYTES) {
        let size = part.whole.max(1).ilog(MERGED_TOGETHER as u64);
        sizes.entry(size).or_default().push(part.clone());
    }
    sizes.into_values().filter(|packs| packs.len() >= MERGED_TOGETHER).flatten().collect()
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

    /// Bytes of their records.
    pub(super) fn record_bytes_in(&self, table: &ChunkTable) -> u64 {
        let bytes = self.iter().filter_map(|chunks| table.record_range(chunks));
        bytes.map(|records| u64::from(records.end - records.start)).sum()
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
    fn packs_are_deleted_when_dead_and_rewritten_when_a_quarter_is() {
        let row = |id, live_bytes| PackRow { id: PackId(id), committed_end: 100, live_bytes };
        let lengths = [1, 2, 3, 4].map(|id| (PackId(id), 100));
        let plan =
            plan_packs(&lengths, &[row(1, 76), row(2, 75), row(3, 0)], Thrift::Usual, PackMedium::File);
        let (delete, rewrite) = (|id| PackPlan::Delete { id: PackId(id), len: 100 }, PackId(2));
        assert_eq!(plan, [PackPlan::Rewrite { id: rewrite, len: 100, live: 75 }, delete(3), delete(4)]);
    }

    #[test]
    fn small_objects_are_merged_when_there_are_many_of_one_size() {
        let full = |ids: Range<u64>, len: u64| {
            let packs = ids.map(PackId);
            let packs = packs.map(|id| ((id, len), PackRow { id, committed_end: len, live_bytes: len }));
            packs.unzip::<_, _, Vec<_>, Vec<_>>()
        };
        let plan = |groups: &[(Range<u64>, u64)], medium| {
            let groups = groups.iter().map(|(ids, len)| full(ids.clone(), *len));
            let (lengths, rows): (Vec<_>, Vec<_>) = groups.unzip();
            let plan = plan_packs(&lengths.concat(), &rows.concat(), Thrift::Usual, medium);
            plan.into_iter().map(|plan| plan.id().0).collect::<Vec<_>>()
        };
        let groups = [(0..15, 5_000), (100..116, 200_000), (200..216, 3_000_000), (300..400, 64 << 20)];
        assert_eq!(plan(&groups, PackMedium::Object), (100..116).chain(200..216).collect::<Vec<_>>());
        assert_eq!(plan(&groups, PackMedium::File), [0; 0], "files are appended to");
    }

    #[test]
    fn a_thorough_pass_rewrites_until_little_is_dead() {
        let part = |name, live| Part { name, whole: 1000, live };
        let chosen = |lives: &[u64]| {
            let parts = (0..).zip(lives).map(|(name, live)| part(name, *live)).collect();
            let chosen = Thrift::Thorough.xorbs(parts);
            chosen.into_iter().map(|part: Part<i32>| part.name).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[1000, 990, 500, 960, 800]), [2, 4], "enough is given back");
        assert_eq!(chosen(&[1000, 500, 960]), [1, 2]);
        assert_eq!(chosen(&[975, 975, 975]), [0; 0], "too little is dead in each");
        assert_eq!(chosen(&[1000, 999]), [0; 0]);
        assert_eq!(chosen(&[]), [0; 0]);
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
    fn ranges_have_the_bytes_of_their_records() {
        let mut table = ChunkTable::default();
        for chunk in 0..8 {
            table.push(ChunkHash::of(&[chunk]), 100, 92);
        }
        let mut ranges = Ranges::default();
        ranges.add(3..4);
        ranges.add(6..8);
        assert_eq!(ranges.record_bytes_in(&table), 300);
    }
}
