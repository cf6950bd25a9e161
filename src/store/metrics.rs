//! Plain counters: what a store has done since it was opened, for anyone who shows it.
//!
//! They are only ever added to, without order, by anyone who does the work; nothing is decided by them. A layer counts its
//! own, so that none needs to know who reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Takes the place of what it was: for numbers that go up and down.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bounds of a [`Spread`]: 2^0 to 2^23, which is eight seconds in microseconds.
pub const SPREAD_BOUNDS: u32 = 24;

/// How numbers are spread: how many are at most 1, 2, 4, and so on.
#[derive(Debug, Default)]
pub struct Spread {
    /// One for each bound, and one for what is beyond.
    within: [Count; SPREAD_BOUNDS as usize + 1],
    sum: Count,
}

impl Spread {
    /// Counts a number.
    pub fn add(&self, number: u64) {
        let bound = (u64::BITS - number.saturating_sub(1).leading_zeros()).min(SPREAD_BOUNDS);
        self.within[bound as usize].add(1);
        self.sum.add(number);
    }

    /// Counts a time, in microseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The sum of all, and how many were at most each bound; of the last (`None`) there is no bound.
    pub fn read(&self) -> (u64, Vec<(Option<u64>, u64)>) {
        let bounds = (0..SPREAD_BOUNDS).map(|bound| Some(1_u64 << bound)).chain([None]);
        (self.sum.get(), bounds.zip(self.within.iter().map(Count::get)).collect())
    }
}

/// Of a metadata store.
#[derive(Debug, Default)]
pub struct MetaMetrics {
    /// Requests in one transaction.
    pub group: Spread,
    /// Microseconds that a transaction took, its sync included.
    pub commit_micros: Spread,
}

/// Of packs.
#[derive(Debug, Default)]
pub struct PackMetrics {
    /// Frames that shared a sync.
    pub group: Spread,
    /// Microseconds that a sync took.
    pub sync_micros: Spread,
}

/// Of following lifecycle rules.
#[derive(Debug, Default)]
pub struct LifecycleMetrics {
    /// Passes that came to their end.
    pub passes: Count,
    /// What failed: buckets of a pass, or the filling of an index.
    pub failures: Count,
    /// Current objects that expired.
    pub objects: Count,
    /// Versions that were not current.
    pub noncurrent: Count,
    /// Delete markers that were left alone.
    pub markers: Count,
    /// Uploads that were aborted.
    pub uploads: Count,
    /// Microseconds that the last pass took.
    pub pass_micros: Count,
    /// What is due and was not ended yet, when a pass looked last.
    pub due: Count,
}

/// Of a store.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    /// Uncompressed bytes of chunks that were new.
    pub new_raw_bytes: Count,
    /// What they were compressed to.
    pub new_stored_bytes: Count,
    /// Chunks that uploads looked for and found.
    pub chunks_found: Count,
    /// Chunks that uploads looked for and did not find.
    pub chunks_missed: Count,
    /// Chunks that the database was asked for, in a cluster.
    pub chunks_asked: Count,
    /// Chunks that it knew another node to have.
    pub chunks_shared: Count,
    /// Xorbs that other nodes have told of.
    pub xorbs_heard: Count,
    /// Bytes of records of distinct chunks in xorbs in use, when gc last went over all of them.
    pub distinct_bytes: Count,
    /// Bytes of further copies of them, that gc left.
    pub duplicate_bytes: Count,
    /// Rows of xorbs that were in memory.
    pub rows_hit: Count,
    /// Rows of xorbs that had to be read.
    pub rows_missed: Count,
    /// Passes of gc.
    pub gc_passes: Count,
    /// Passes of gc that failed.
    pub gc_failures: Count,
    /// Xorbs that gc has removed.
    pub gc_xorbs: Count,
    /// Packs that gc has deleted.
    pub gc_packs: Count,
    /// Bytes that gc has copied.
    pub gc_bytes_moved: Count,
    /// Bytes that scrub has read and hashed.
    pub scrub_bytes: Count,
    /// Damaged frames that scrub has found.
    pub scrub_damages: Count,
    /// The pack that scrub goes on at; 0 between scrubs.
    pub scrub_pack: Count,
    /// Scrubs that came to their end.
    pub scrubs: Count,
    /// Of lifecycle rules.
    pub lifecycle: LifecycleMetrics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_within_their_bounds() {
        let spread = Spread::default();
        for number in [0, 1, 2, 3, 4, 5, 1 << 23, (1 << 23) + 1, u64::MAX >> 1] {
            spread.add(number);
        }
        let (_, within) = spread.read();
        let counted: Vec<_> = within.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(
            counted,
            [(Some(1), 2), (Some(2), 1), (Some(4), 2), (Some(8), 1), (Some(1 << 23), 1), (None, 2)]
        );
    }
}
