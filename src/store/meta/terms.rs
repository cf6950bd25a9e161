//! Changing the terms of file records so that they name other xorbs with the same chunks.

use std::collections::HashMap;
use std::ops::Range;

use crate::store::rows::{FileRecord, StoredXorb, Term};
use crate::xet::hash::{FileHash, XorbHash};

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
    /// For each xorb that is to be named no longer, its runs, which do not touch each other.
    pub moved: HashMap<XorbHash, Vec<MovedRun>>,
}

impl TermChange {
    /// The record with the change made. A term that no run covers whole stays as it is.
    pub fn apply(&self, record: &FileRecord) -> FileRecord {
        let mut terms: Vec<Term> = Vec::with_capacity(record.terms.len());
        for term in &record.terms {
            let term = self.moved_term(term).unwrap_or(*term);
            match terms.last_mut() {
                Some(last) if last.xorb == term.xorb && last.end == term.start => {
                    last.end = term.end;
                    last.raw_bytes += term.raw_bytes;
                }
                _ => terms.push(term),
            }
        }
        FileRecord { terms, ..*record }
    }

    fn moved_term(&self, term: &Term) -> Option<Term> {
        let runs = self.moved.get(&term.xorb)?;
        let covers = |run: &&MovedRun| run.chunks.start <= term.start && term.end <= run.chunks.end;
        let run = runs.iter().find(covers)?;
        let start = run.to_start + (term.start - run.chunks.start);
        Some(Term { xorb: run.to, start, end: start + (term.end - term.start), ..*term })
    }
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
}
