//! Outline: a file record and a range in, and out comes what a client needs to reconstruct it itself: the terms, and
//! which ranges of which xorbs to fetch for them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Engine, EngineError};
use crate::cas::{CasError, XorbReader};
use crate::model::file::Term;
use crate::model::turns::{Slices, on_thread};
use crate::store::file_terms::FileTerms;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// How to reconstruct a range of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// How many bytes of the first term come before the range.
    pub offset_into_first_range: u64,
    /// The terms that hold the range, in order; the first and the last without chunks that hold nothing of it.
    pub terms: Vec<Term>,
    /// What to fetch, by xorb: ranges in ascending order that do not touch each other. Every term lies in one of them.
    pub xorbs: BTreeMap<XorbHash, Vec<XorbRange>>,
}

/// A run of chunks of a xorb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XorbRange {
    /// Which.
    pub chunks: Range<u32>,
    /// Where their records lie in the xorb, in bytes.
    pub bytes: Range<u32>,
}

/// Terms of one outline: some 7 MiB, and ten times as much in JSON. Published clients ask for 256 MiB at a time, which are
/// half as many terms if each is a chunk of the least length.
pub const OUTLINE_TERMS_MAX: usize = 1 << 16;

/// Outlines of so many terms are made where they are asked for: that takes some 20 us.
const FEW_TERMS: usize = 16;

/// What looking a xorb up counts as in a slice of work, in bytes: its row may have to be read.
const XORB_COST: u64 = 64 << 10;

impl<C: XorbReader> Engine<C> {
    /// What to fetch for `range` of a file, which must lie within it; `file` must have its terms.
    pub async fn outline(&self, file: FileTerms, range: Range<u64>) -> Result<Outline, EngineError> {
        if range.is_empty() {
            return Ok(Outline::default());
        }
        let terms = file.within(range.clone()).take(OUTLINE_TERMS_MAX + 1).count();
        if terms > OUTLINE_TERMS_MAX {
            return Err(EngineError::TooFragmented { max: OUTLINE_TERMS_MAX });
        }
        let slices = Slices::of(self.turns.work.clone());
        let outlining = outline(Arc::clone(&self.cas) as _, file, range, slices);
        if terms <= FEW_TERMS {
            return Ok(outlining.await?);
        }
        let turn = self.turns.open.take().await;
        let outlined = on_thread(turn, move |wanted| wanted.block_on(outlining));
        Ok(outlined.await?.ok_or(EngineError::GivenUp)??)
    }
}

async fn outline(
    cas: Arc<dyn XorbReader>,
    file: FileTerms,
    range: Range<u64>,
    mut slices: Slices,
) -> Result<Outline, CasError> {
    let mut outline = Outline::default();
    let (mut starts, mut of_xorbs) = (Vec::new(), BTreeMap::<XorbHash, Vec<usize>>::new());
    for (index, (start, term)) in file.within(range.clone()).enumerate() {
        outline.terms.push(*term);
        starts.push(start);
        of_xorbs.entry(term.xorb).or_default().push(index);
    }
    drop(file);
    let few = starts.len() <= FEW_TERMS;
    let last = starts.len().saturating_sub(1);
    // Xorb by xorb, so that the table of each is looked up once, however often terms name it.
    for (xorb, indices) in of_xorbs {
        if !few {
            slices.step(XORB_COST).await;
        }
        let table = cas.table(&xorb).await?;
        let mut ranges = Vec::with_capacity(indices.len());
        for index in indices {
            let term = &mut outline.terms[index];
            let no_such = || CasError::NoSuchChunks { xorb, start: term.start, end: term.end };
            if index == 0 || index == last {
                let start = starts[index];
                let wanted = range.start.saturating_sub(start)..range.end - start;
                let trimmed = trim(term, &table, wanted).ok_or_else(no_such)?;
                if index == 0 {
                    outline.offset_into_first_range = range.start - (start + trimmed.skipped);
                }
                *term = trimmed.term;
            }
            let no_such = || CasError::NoSuchChunks { xorb, start: term.start, end: term.end };
            let bytes = table.record_range(term.start..term.end).ok_or_else(no_such)?;
            ranges.push(XorbRange { chunks: term.start..term.end, bytes });
        }
        merge(&mut ranges);
        outline.xorbs.insert(xorb, ranges);
    }
    Ok(outline)
}

struct Trimmed {
    term: Term,
    /// Bytes of the chunks left out at its beginning.
    skipped: u64,
}

/// Leaves out chunks that hold nothing of `wanted`, which is in the term's own uncompressed bytes.
fn trim(term: &Term, table: &ChunkTable, wanted: Range<u64>) -> Option<Trimmed> {
    let base = table.raw_range(term.start..term.end)?.start;
    let entries = table.entries().get(term.start as usize..term.end as usize)?;
    let end_of = |raw_end: u32| u64::from(raw_end - base);
    let first = entries.partition_point(|entry| end_of(entry.raw_end) <= wanted.start);
    let last = entries.partition_point(|entry| end_of(entry.raw_end) < wanted.end).min(entries.len() - 1);
    let (start, end) = (term.start + first as u32, term.start + last as u32 + 1);
    let raw = table.raw_range(start..end)?;
    let term = Term { xorb: term.xorb, start, end, raw_bytes: raw.end - raw.start };
    Some(Trimmed { term, skipped: u64::from(raw.start - base) })
}

/// Sorts ranges and joins those that overlap or touch.
fn merge(ranges: &mut Vec<XorbRange>) {
    ranges.sort_by_key(|range| range.chunks.start);
    ranges.dedup_by(|next, last| {
        let touches = next.chunks.start <= last.chunks.end;
        if touches {
            last.chunks.end = last.chunks.end.max(next.chunks.end);
            last.bytes.end = last.bytes.end.max(next.bytes.end);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::ChunkHash;

    fn table() -> ChunkTable {
        let mut table = ChunkTable::default();
        for chunk in 0..10 {
            table.push(ChunkHash::of(&[chunk]), 108, 100);
        }
        table
    }

    #[test]
    fn a_term_keeps_the_chunks_that_hold_the_range() {
        let term = Term { xorb: XorbHash::from_bytes([1; 32]), start: 2, end: 8, raw_bytes: 600 };
        let cases = [
            (0..600, 2..8, 0),
            (0..1, 2..3, 0),
            (99..101, 2..4, 0),
            (100..101, 3..4, 100),
            (599..600, 7..8, 500),
            (250..9000, 4..8, 200),
            (200..300, 4..5, 200),
        ];
        for (wanted, chunks, skipped) in cases {
            let trimmed = trim(&term, &table(), wanted.clone()).unwrap();
            assert_eq!(
                (trimmed.term.start..trimmed.term.end, trimmed.skipped),
                (chunks, skipped),
                "{wanted:?}"
            );
            assert_eq!(trimmed.term.raw_bytes, (trimmed.term.end - trimmed.term.start) * 100);
        }
        assert!(trim(&Term { end: 11, ..term }, &table(), 0..1).is_none());
    }

    #[test]
    fn ranges_that_touch_are_fetched_at_once() {
        let range = |chunks: Range<u32>| {
            let bytes = chunks.start * 108..chunks.end * 108;
            XorbRange { chunks, bytes }
        };
        let mut ranges = [7..9, 0..2, 2..3, 1..2, 8..10, 5..6].map(range).to_vec();
        merge(&mut ranges);
        assert_eq!(ranges, [0..3, 5..6, 7..10].map(range));
    }
}
