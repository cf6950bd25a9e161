//! The guard against fragmentation: deduplication may not turn a file into thousands of small reads.
//!
//! It watches how many chunks the last ranges of a file have on average. When that falls under the low mark, hits
//! no longer than the average are refused, and their chunks stored again next to each other, until the average has
//! risen to the target. Only the placement of chunks changes, never a hash. Source: Xet specification, "Client
//! behaviour", fragmentation guard; there hits as long as the average are taken, so that a file of nothing but single
//! chunks from everywhere stays one.

use std::collections::VecDeque;

/// Ranges that the average is taken over; no judgement before there are so many.
const RANGES: usize = 128;

/// Chunks a range at which deduplication resumes.
const TARGET: u64 = 8;

/// Chunks a range under which it stops.
const LOW_MARK: u64 = 4;

/// Watches the ranges of one file.
#[derive(Default)]
pub(super) struct FragmentationGuard {
    /// Chunks of each of the last ranges.
    ranges: VecDeque<u64>,
    /// Their sum.
    chunks: u64,
    is_refusing: bool,
}

impl FragmentationGuard {
    /// A chunk was placed, in a new range or after the last one.
    pub(super) fn placed(&mut self, continues: bool) {
        self.chunks += 1;
        match self.ranges.back_mut() {
            Some(last) if continues => *last += 1,
            _ => self.ranges.push_back(1),
        }
        if self.ranges.len() > RANGES {
            self.chunks -= self.ranges.pop_front().unwrap_or(0);
        }
    }

    /// How many neighbouring chunks a hit that begins a range must have to be taken.
    pub(super) fn run_wanted(&mut self) -> usize {
        let ranges = self.ranges.len() as u64;
        if self.ranges.len() < RANGES {
            return 1;
        }
        let mark = if self.is_refusing { TARGET } else { LOW_MARK };
        self.is_refusing = self.chunks < mark * ranges;
        if self.is_refusing { (self.chunks / ranges) as usize + 1 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add_ranges(guard: &mut FragmentationGuard, ranges: usize, chunks: usize) {
        for chunk in (0..ranges).flat_map(|_| 0..chunks) {
            guard.placed(chunk > 0);
        }
    }

    #[test]
    fn short_hits_are_refused_between_the_low_mark_and_the_target() {
        let mut guard = FragmentationGuard::default();
        add_ranges(&mut guard, RANGES - 1, 3);
        assert_eq!(guard.run_wanted(), 1, "too early to judge");
        add_ranges(&mut guard, 1, 3);
        assert_eq!(guard.run_wanted(), 4, "only longer hits make it better");
        add_ranges(&mut guard, RANGES, 5);
        assert_eq!(guard.run_wanted(), 6, "it has stopped, and resumes at the target only");
        add_ranges(&mut guard, RANGES, 8);
        assert_eq!(guard.run_wanted(), 1);
        add_ranges(&mut guard, RANGES, 4);
        assert_eq!(guard.run_wanted(), 1, "it stops under the low mark only");
        add_ranges(&mut guard, 1, 1);
        assert_eq!(guard.run_wanted(), 4);
    }
}
