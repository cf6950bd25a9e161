//! Windows: which parts of a file a client must cut again when it changes ranges of it, and what it needs to know of the
//! chunks in between to tell the hash of the new file.
//!
//! A window begins with the first chunk that holds a changed byte. It ends after two chunks in a row that hold none and
//! are of a length after which cutting is sure to be in step again: whatever was changed before, the next cut is the same.
//! Source: Xet protocol 1.1, `GET /v2/file-chunk-hashes`, as the crate `xet-client` 1.8.0 has it.
//!
//! Memory grows with the number of terms and windows, not of chunks: runs of chunks are merged as they come.

use std::ops::Range;
use std::sync::Arc;

use super::{Engine, EngineError};
use crate::cas::{CasError, XorbReader};
use crate::model::turns::{Slices, on_thread};
use crate::store::file_terms::FileTerms;
use crate::xet::hash::{ChunkHash, NodeHash, RangeHash};
use crate::xet::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};
use crate::xet::subtree::HashSubtree;

/// What the look-up of a term's xorb, and the hashing of a chunk's place in the tree, count as in a slice of work, in
/// bytes.
const TERM_COST: u64 = 16 << 10;
const CHUNK_COST: u64 = 512;

/// Chunks that are held before they are merged.
const RUN_CHUNKS_MAX: usize = 4096;

/// What a client needs to change ranges of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWindows {
    /// Chunks of the file.
    pub total_chunks: u64,
    /// Bytes of the file.
    pub size: u64,
    /// What is to be cut again, in order; each begins and ends with a chunk.
    pub windows: Vec<Range<u64>>,
    /// The chunks before, between and after the windows; `None` where there are none. One more than windows.
    pub gaps: Vec<Option<HashSubtree>>,
    /// The verification hashes of the terms that no window touches, in order.
    pub proofs: Vec<RangeHash>,
}

impl<C: XorbReader> Engine<C> {
    /// The windows of a file for these ranges of changed bytes, which must be in order, apart, not empty and within it;
    /// `file` must have all its terms.
    pub async fn windows(
        &self,
        file: FileTerms,
        changed: Vec<Range<u64>>,
    ) -> Result<FileWindows, EngineError> {
        let slices = Slices::of(self.turns.work.clone());
        let walking = walk(Arc::clone(&self.cas) as _, file, changed, slices);
        let turn = self.turns.open.take().await;
        let walked = on_thread(turn, move |wanted| wanted.block_on(walking));
        Ok(walked.await?.ok_or(EngineError::GivenUp)??)
    }
}

async fn walk(
    cas: Arc<dyn XorbReader>,
    file: FileTerms,
    changed: Vec<Range<u64>>,
    mut slices: Slices,
) -> Result<FileWindows, CasError> {
    let mut walk = Walk::new(&changed);
    let mut proofs = Vec::new();
    for term in file.iter() {
        slices.step(TERM_COST + CHUNK_COST * u64::from(term.end - term.start)).await;
        let table = cas.table(&term.xorb).await?;
        let no_such = || CasError::NoSuchChunks { xorb: term.xorb, start: term.start, end: term.end };
        let mut raw_end = table.raw_range(term.start..term.end).ok_or_else(no_such)?.start;
        let chunks = table.entries().get(term.start as usize..term.end as usize).ok_or_else(no_such)?;
        let mut is_untouched = true;
        for chunk in chunks {
            is_untouched &= walk.pass(chunk.hash, u64::from(chunk.raw_end - raw_end));
            raw_end = chunk.raw_end;
        }
        if is_untouched {
            proofs.push(RangeHash::of(chunks.iter().map(|chunk| &chunk.hash)));
        }
    }
    let Walk { end, total_chunks, windows, mut gaps, gap, .. } = walk;
    gaps.push(gap.finish(true));
    Ok(FileWindows { total_chunks, size: end, windows, gaps, proofs })
}

/// A walk over the chunks of a file.
struct Walk<'c> {
    /// The ranges that are not passed yet.
    changed: &'c [Range<u64>],
    /// Where the next chunk begins.
    end: u64,
    total_chunks: u64,
    windows: Vec<Range<u64>>,
    /// Whether the last window is not closed.
    is_open: bool,
    /// Whether the last chunk of the open window is unchanged and of a length that cutting gets in step at.
    is_in_step: bool,
    gaps: Vec<Option<HashSubtree>>,
    /// The chunks since the last window.
    gap: Gap,
}

impl<'c> Walk<'c> {
    fn new(changed: &'c [Range<u64>]) -> Self {
        Self {
            changed,
            end: 0,
            total_chunks: 0,
            windows: Vec::with_capacity(changed.len()),
            is_open: false,
            is_in_step: false,
            gaps: Vec::with_capacity(changed.len() + 1),
            gap: Gap::new(true),
        }
    }

    /// Passes the next chunk, and says whether it lies outside of all windows.
    fn pass(&mut self, hash: ChunkHash, bytes: u64) -> bool {
        let chunk = self.end..self.end + bytes;
        self.end = chunk.end;
        self.total_chunks += 1;
        while self.changed.first().is_some_and(|range| range.end <= chunk.start) {
            self.changed = &self.changed[1..];
        }
        let is_changed = self.changed.first().is_some_and(|range| range.start < chunk.end);
        if !self.is_open && !is_changed {
            self.gap.push(hash, bytes);
            return true;
        }
        if self.is_open {
            if let Some(window) = self.windows.last_mut() {
                window.end = chunk.end;
            }
        } else {
            let gap = std::mem::replace(&mut self.gap, Gap::new(false));
            self.gaps.push(gap.finish(false));
            self.windows.push(chunk);
        }
        let was_in_step = std::mem::replace(&mut self.is_in_step, !is_changed && gets_in_step(bytes));
        self.is_open = !(was_in_step && self.is_in_step);
        self.is_in_step &= self.is_open;
        false
    }
}

/// Whether a chunk of this length, after another of such a length, ends where it would end whatever came before: neither
/// the least nor the greatest length of a chunk can have had a part in it.
fn gets_in_step(bytes: u64) -> bool {
    let lengths = 2 * CHUNK_BYTES_MIN as u64..(CHUNK_BYTES_MAX - CHUNK_BYTES_MIN) as u64;
    lengths.contains(&bytes)
}

/// A run of chunks that stay.
struct Gap {
    merged: Option<HashSubtree>,
    at_start: bool,
    chunks: Vec<(NodeHash, u64)>,
}

impl Gap {
    fn new(at_start: bool) -> Self {
        Self { merged: None, at_start, chunks: Vec::new() }
    }

    fn push(&mut self, hash: ChunkHash, bytes: u64) {
        self.chunks.push((hash.into(), bytes));
        if self.chunks.len() == RUN_CHUNKS_MAX {
            self.merge(false);
        }
    }

    fn merge(&mut self, at_end: bool) {
        let chunks = std::mem::take(&mut self.chunks);
        self.merged = Some(match self.merged.take() {
            None => HashSubtree::new(self.at_start, chunks, at_end),
            Some(merged) => merged.followed_by(HashSubtree::new(false, chunks, at_end)),
        });
    }

    fn finish(mut self, at_end: bool) -> Option<HashSubtree> {
        self.merge(at_end);
        self.merged.filter(|merged| !merged.is_empty())
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a file may have one window")]
mod tests {
    use super::*;
    use crate::xet::hash::FileHash;
    use crate::xet::merkle::file_hash;

    const STABLE: u64 = 40_000;

    fn chunk(at: usize) -> ChunkHash {
        ChunkHash::of(&at.to_le_bytes())
    }

    /// The windows of a file of chunks of these lengths.
    fn windows(lengths: &[u64], changed: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut walk = Walk::new(changed);
        for (at, bytes) in lengths.iter().enumerate() {
            walk.pass(chunk(at), *bytes);
        }
        assert_eq!(walk.gaps.len(), walk.windows.len());
        walk.windows
    }

    #[test]
    fn a_window_goes_on_until_two_chunks_are_in_step() {
        let even = [STABLE; 8];
        assert_eq!(windows(&even, &[1..2]), [0..3 * STABLE]);
        assert_eq!(windows(&even, &[1..STABLE + 1]), [0..4 * STABLE]);
        assert_eq!(windows(&even, &[1..STABLE, 2 * STABLE..2 * STABLE + 1]), [0..5 * STABLE]);
        assert_eq!(
            windows(&even, &[1..2, 3 * STABLE..3 * STABLE + 1]),
            [0..3 * STABLE, 3 * STABLE..6 * STABLE]
        );
        assert_eq!(windows(&even, &[8 * STABLE - 1..8 * STABLE]), [7 * STABLE..8 * STABLE]);
        let longest = [CHUNK_BYTES_MAX as u64; 4];
        assert_eq!(windows(&longest, &[0..1]), [0..4 * CHUNK_BYTES_MAX as u64]);
        let broken = [STABLE, STABLE, 9_000, STABLE, STABLE, STABLE];
        assert_eq!(windows(&broken, &[0..1]), [0..9_000 + 4 * STABLE]);
    }

    #[test]
    fn gaps_and_windows_together_are_the_file() {
        let lengths: Vec<u64> = (0..20_000).map(|at| 9_000 + at * 7919 % 100_000).collect();
        let size: u64 = lengths.iter().sum();
        let changed = [100..200, size / 2..size / 2 + 5_000_000, size - 1..size];
        let mut walk = Walk::new(&changed);
        let mut of_windows: Vec<Vec<(NodeHash, u64)>> = Vec::new();
        for (at, bytes) in lengths.iter().enumerate() {
            let windows = walk.windows.len();
            if !walk.pass(chunk(at), *bytes) {
                if walk.windows.len() > windows {
                    of_windows.push(Vec::new());
                }
                of_windows.last_mut().unwrap().push((chunk(at).into(), *bytes));
            }
        }
        let mut gaps = walk.gaps;
        gaps.push(walk.gap.finish(true));
        assert_eq!((gaps.len(), of_windows.len()), (4, 3));
        let mut runs = vec![gaps.remove(0)];
        for (at, (window, gap)) in of_windows.into_iter().zip(gaps).enumerate() {
            let at_start = at == 0 && runs[0].is_none();
            runs.push(Some(HashSubtree::new(at_start, window, at == 2 && gap.is_none())));
            runs.push(gap);
        }
        let whole = runs.into_iter().flatten().reduce(HashSubtree::followed_by).unwrap();
        let nodes: Vec<_> = whole.nodes().collect();
        assert_eq!(nodes.len(), 1);
        let chunks = lengths.iter().enumerate().map(|(at, bytes)| (chunk(at), *bytes));
        assert_eq!(FileHash::from_root(nodes[0].0), file_hash(chunks));
    }
}
