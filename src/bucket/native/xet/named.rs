//! Xorbs by the names that clients know: stored as they came, or taken apart.
//!
//! Of a xorb that was taken apart only the chunks were written that were not here before; where all of them lie says the
//! record of the file that has its chunks and no others. It is registered for the grace time, in no bucket: nobody can
//! read it or name it as a file, and what keeps a file's chunks keeps the xorb's.

use std::ops::Range;
use std::sync::Arc;

use super::XetError;
use crate::cas::{CasError, LocalChunks, XorbReader as _};
use crate::model::file::{FileRecord, Term};
use crate::store::meta::MetaStore;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// A xorb that clients may refer to.
pub(super) struct NamedXorb {
    hash: XorbHash,
    /// Its chunks, with the lengths of their records as they are stored here.
    pub(super) table: Arc<ChunkTable>,
    /// Where they lie, if it was taken apart.
    pub(super) apart: Option<FileRecord>,
}

impl NamedXorb {
    /// Looks a xorb up; `None` if it is not here. What a taken-apart one names stays as long as a reader who entered
    /// before is inside.
    pub(super) async fn find(
        meta: &dyn MetaStore,
        chunks: &LocalChunks,
        hash: XorbHash,
    ) -> Result<Option<Self>, XetError> {
        match chunks.table(&hash).await {
            Ok(table) => return Ok(Some(Self { hash, table, apart: None })),
            Err(CasError::MissingXorb(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(record) = meta.xorb_apart(&hash).await? else {
            return Ok(None);
        };
        let mut table = ChunkTable::default();
        for term in &record.terms {
            let stored = chunks.table(&term.xorb).await?;
            for index in term.start..term.end {
                let no_such = CasError::NoSuchChunks { xorb: term.xorb, start: index, end: index + 1 };
                let lengths = stored.record_range(index..index + 1).zip(stored.raw_range(index..index + 1));
                let (hash, (record, raw)) = stored.hash(index).zip(lengths).ok_or(no_such)?;
                table.push(hash, record.end - record.start, raw.end - raw.start);
            }
        }
        Ok(Some(Self { hash, table: Arc::new(table), apart: Some(record) }))
    }

    /// Where a run of its chunks lies, which must be within it.
    pub(super) fn terms(&self, chunks: Range<u32>) -> Vec<Term> {
        let raw_bytes = |run: Range<u32>| self.table.raw_range(run).map_or(0, |raw| raw.end - raw.start);
        let Some(record) = &self.apart else {
            let raw_bytes = raw_bytes(chunks.clone());
            return vec![Term { xorb: self.hash, start: chunks.start, end: chunks.end, raw_bytes }];
        };
        let mut terms = Vec::new();
        let mut run_start = 0;
        for Term { xorb, start, end, .. } in &record.terms {
            let run_end = run_start + (end - start);
            let (first, behind) = (chunks.start.max(run_start), chunks.end.min(run_end));
            if first < behind {
                let start = start + (first - run_start);
                let end = start + (behind - first);
                terms.push(Term { xorb: *xorb, start, end, raw_bytes: raw_bytes(first..behind) });
            }
            run_start = run_end;
        }
        terms
    }
}

/// Appends terms to a file's; neighbours in one xorb become one.
pub(super) fn append_terms(terms: &mut Vec<Term>, more: Vec<Term>) {
    for term in more {
        match terms.last_mut() {
            Some(last) if last.xorb == term.xorb && last.end == term.start => {
                last.end = term.end;
                last.raw_bytes += term.raw_bytes;
            }
            _ => terms.push(term),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::{ChunkHash, FileHash};

    #[test]
    fn a_run_of_a_xorb_that_was_taken_apart_is_where_its_chunks_lie() {
        let mut table = ChunkTable::default();
        for chunk in 0..10 {
            table.push(ChunkHash::of(&[chunk]), 108, 100 + u32::from(chunk));
        }
        let term = |name: u8, start: u32, end: u32, raw_bytes| Term {
            xorb: XorbHash::from_bytes([name; 32]),
            start,
            end,
            raw_bytes,
        };
        let all = vec![term(1, 5, 9, 406), term(2, 0, 1, 104), term(1, 20, 25, 535)];
        let record = FileRecord { hash: FileHash::EMPTY, size: 1045, terms: all.clone() };
        let hash = XorbHash::from_bytes([9; 32]);
        let apart = NamedXorb { hash, table: Arc::new(table.clone()), apart: Some(record) };
        assert_eq!(apart.terms(0..10), all);
        assert_eq!(apart.terms(3..6), [term(1, 8, 9, 103), term(2, 0, 1, 104), term(1, 20, 21, 105)]);
        assert_eq!(apart.terms(1..2), [term(1, 6, 7, 101)]);
        let whole = NamedXorb { hash, table: Arc::new(table), apart: None };
        assert_eq!(whole.terms(3..6), [term(9, 3, 6, 312)]);
        let mut joined = apart.terms(0..2);
        append_terms(&mut joined, apart.terms(2..5));
        assert_eq!(joined, [term(1, 5, 9, 406), term(2, 0, 1, 104)]);
    }
}
