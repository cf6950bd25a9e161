//! Changing the terms of file records so that they name other xorbs with the same chunks.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::model::file::{FileRecord, Term};
use crate::store::rows::StoredXorb;
use crate::xet::hash::{FileHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// A run of a xorb's chunks that another xorb holds too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRun {
    /// Which chunks of the old xorb.
    pub chunks: Range<u32>,
    /// The xorb that holds them too ...
    pub to: XorbHash,
    /// ... from this chunk on.
    pub to_start: u32,
}

/// A change of the terms of many files; their hashes stay, for their chunks do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermChange {
    /// The xorbs to be named, synced already.
    pub xorbs: Vec<StoredXorb>,
    /// The files to change. One that is gone is passed over.
    pub files: Vec<FileHash>,
    /// For each xorb that is to be named no longer, its runs, in order, which do not overlap.
    pub moved: HashMap<XorbHash, Vec<MovedRun>>,
    /// The chunks of those of the xorbs whose terms may be taken to pieces; others are moved whole or not at all.
    pub tables: HashMap<XorbHash, Arc<ChunkTable>>,
}

impl TermChange {
    /// The record with the change made.
    pub fn apply(&self, record: &FileRecord) -> FileRecord {
        let mut terms: Vec<Term> = Vec::with_capacity(record.terms.len());
        for term in &record.terms {
            for term in self.moved_terms(term) {
                match terms.last_mut() {
                    Some(last) if last.xorb == term.xorb && last.end == term.start => {
                        last.end = term.end;
                        last.raw_bytes += term.raw_bytes;
                    }
                    _ => terms.push(term),
                }
            }
        }
        FileRecord { terms, ..*record }
    }

    /// What becomes of a term. One that no run covers whole stays as it is, if it is not to be taken to pieces.
    fn moved_terms(&self, term: &Term) -> Vec<Term> {
        let runs = self.moved.get(&term.xorb).map(Vec::as_slice).unwrap_or_default();
        let covers = |run: &&MovedRun| run.chunks.start <= term.start && term.end <= run.chunks.end;
        if let Some(run) = runs.iter().find(covers) {
            return vec![run.moved(term)];
        }
        let pieces = self.tables.get(&term.xorb).and_then(|table| pieces(term, runs, table));
        pieces.unwrap_or_else(|| vec![*term])
    }
}

impl MovedRun {
    /// A term within the run.
    fn moved(&self, term: &Term) -> Term {
        let start = self.to_start + (term.start - self.chunks.start);
        Term { xorb: self.to, start, end: start + (term.end - term.start), ..*term }
    }
}

/// A term in pieces, those within runs moved; `None` if the table does not have its chunks.
fn pieces(term: &Term, runs: &[MovedRun], table: &ChunkTable) -> Option<Vec<Term>> {
    let piece = |chunks: Range<u32>| {
        let raw = table.raw_range(chunks.clone())?;
        Some(Term { start: chunks.start, end: chunks.end, raw_bytes: raw.end - raw.start, ..*term })
    };
    let (mut pieces, mut at) = (Vec::new(), term.start);
    for run in runs {
        let chunks = run.chunks.start.max(at)..run.chunks.end.min(term.end);
        if chunks.is_empty() {
            continue;
        }
        if at < chunks.start {
            pieces.push(piece(at..chunks.start)?);
        }
        at = chunks.end;
        pieces.push(run.moved(&piece(chunks)?));
    }
    if at < term.end {
        pieces.push(piece(at..term.end)?);
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xorb(name: u8) -> XorbHash {
        XorbHash::from_bytes([name; 32])
    }

    fn term(name: u8, start: u32, end: u32) -> Term {
        Term { xorb: xorb(name), start, end, raw_bytes: (end - start) * 10 }
    }

    #[test]
    fn covered_terms_move_and_neighbours_join() {
        let run = |chunks, to_start| MovedRun { chunks, to: xorb(9), to_start };
        let moved = HashMap::from([(xorb(1), vec![run(2..5, 0), run(7..9, 3)])]);
        let change = TermChange { moved, ..TermChange::default() };
        let apply = |terms: &[Term]| {
            let record = FileRecord { hash: FileHash::EMPTY, size: 1, terms: terms.to_vec() };
            change.apply(&record).terms
        };
        assert_eq!(apply(&[term(1, 3, 5), term(1, 7, 8)]), [term(9, 1, 4)]);
        assert_eq!(apply(&[term(1, 4, 6), term(2, 2, 5)]), [term(1, 4, 6), term(2, 2, 5)]);
        assert_eq!(apply(&[term(1, 8, 9), term(1, 2, 3)]), [term(9, 4, 5), term(9, 0, 1)]);
    }

    #[test]
    fn terms_are_taken_to_pieces_where_the_chunks_are_known() {
        let mut table = ChunkTable::default();
        for chunk in 0..12 {
            table.push(crate::xet::hash::ChunkHash::of(&[chunk]), 18, 10);
        }
        let run = |chunks, name, to_start| MovedRun { chunks, to: xorb(name), to_start };
        let moved = HashMap::from([(xorb(1), vec![run(2..5, 8, 0), run(5..6, 9, 3), run(8..10, 8, 20)])]);
        let tables = HashMap::from([(xorb(1), Arc::new(table))]);
        let change = TermChange { moved, tables, ..TermChange::default() };
        let apply = |terms: &[Term]| {
            let record = FileRecord { hash: FileHash::EMPTY, size: 1, terms: terms.to_vec() };
            change.apply(&record).terms
        };
        let whole =
            [term(1, 0, 2), term(8, 0, 3), term(9, 3, 4), term(1, 6, 8), term(8, 20, 22), term(1, 10, 12)];
        assert_eq!(apply(&[term(1, 0, 12)]), whole);
        assert_eq!(apply(&[term(1, 3, 9)]), [term(8, 1, 3), term(9, 3, 4), term(1, 6, 8), term(8, 20, 21)]);
        assert_eq!(apply(&[term(1, 0, 2)]), [term(1, 0, 2)]);
        assert_eq!(apply(&[term(1, 6, 12), term(2, 0, 1)])[0], term(1, 6, 8));
    }
}
