//! [`FileTerms`]: the terms of a file that hold a range of it, for readers.
//!
//! A record may have hundreds of thousands of terms. Readers share the runs that they read at the same time, and have no
//! others: see [`TermRuns`].

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::model::file::{FileRecord, Term};
use crate::xet::hash::FileHash;

/// Terms of long records that readers may hold at once, all together: some 350 MiB.
const HELD_MAX: usize = 8 << 20;

/// Runs that are remembered before those are forgotten that nobody holds.
const RUNS_KEPT: usize = 4096;

/// Neighbouring terms of a file.
#[derive(Debug)]
pub struct TermRun {
    terms: Box<[Term]>,
    /// Where they are counted, if they are.
    held: Option<Arc<AtomicUsize>>,
}

impl Deref for TermRun {
    type Target = [Term];

    fn deref(&self) -> &[Term] {
        &self.terms
    }
}

impl Drop for TermRun {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.fetch_sub(self.terms.len(), Ordering::Relaxed);
        }
    }
}

/// The terms that hold a range of a file, in order.
#[derive(Debug, Clone)]
pub struct FileTerms {
    /// The file.
    pub hash: FileHash,
    /// Bytes of the whole file.
    pub size: u64,
    /// How many terms the whole file has.
    pub terms_in_file: usize,
    /// Where the first of the terms begins in the file.
    pub start: u64,
    runs: Vec<Arc<TermRun>>,
}

impl FileTerms {
    /// Of runs that follow each other, the first of which begins at `start`.
    pub fn new(hash: FileHash, size: u64, terms_in_file: usize, start: u64, runs: Vec<Arc<TermRun>>) -> Self {
        Self { hash, size, terms_in_file, start, runs }
    }

    /// The terms.
    pub fn iter(&self) -> impl Iterator<Item = &Term> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each term that holds a byte of `range`, with its place in the file.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &Term)> {
        let mut at = self.start;
        let placed = self.iter().map(move |term| {
            let start = at;
            at += u64::from(term.raw_bytes);
            (start, term)
        });
        let is_before = move |(start, term): &(u64, &Term)| start + u64::from(term.raw_bytes) <= range.start;
        placed.skip_while(is_before).take_while(move |(start, _)| *start < range.end)
    }

    /// The place before the first term.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { run: 0, term: 0, start: self.start }
    }

    /// The record, if these are all terms of the file.
    pub fn into_record(self) -> Option<FileRecord> {
        let terms: Vec<Term> = self.iter().copied().collect();
        (terms.len() == self.terms_in_file).then_some(FileRecord { hash: self.hash, size: self.size, terms })
    }
}

impl From<FileRecord> for FileTerms {
    fn from(record: FileRecord) -> Self {
        let FileRecord { hash, size, terms } = record;
        let count = terms.len();
        let run = Arc::new(TermRun { terms: terms.into(), held: None });
        Self::new(hash, size, count, 0, vec![run])
    }
}

/// A place among the terms of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    run: usize,
    term: usize,
    start: u64,
}

impl Cursor {
    /// The next term and where it begins in the file.
    pub(crate) fn next(&mut self, file: &FileTerms) -> Option<(u64, Term)> {
        loop {
            let run = file.runs.get(self.run)?;
            if let Some(term) = run.get(self.term) {
                let start = self.start;
                self.term += 1;
                self.start += u64::from(term.raw_bytes);
                return Some((start, *term));
            }
            (self.run, self.term) = (self.run + 1, 0);
        }
    }
}

/// What a run is called: of which long record, and which of its runs. Never used again for other terms.
pub(crate) type RunName = (u64, u32);

/// The runs of long records that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct TermRuns {
    runs: Mutex<HashMap<RunName, Weak<TermRun>>>,
    held: Arc<AtomicUsize>,
}

/// Readers hold as many terms as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyHeld;

impl TermRuns {
    /// A run: that which others hold, or else the one that `read` gives.
    pub(crate) fn get<E: From<TooManyHeld>>(
        &self,
        name: RunName,
        read: impl FnOnce() -> Result<Vec<Term>, E>,
    ) -> Result<Arc<TermRun>, E> {
        let lock = || self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = lock().get(&name).and_then(Weak::upgrade) {
            return Ok(run);
        }
        if self.held.load(Ordering::Relaxed) >= HELD_MAX {
            return Err(TooManyHeld.into());
        }
        let terms: Box<[Term]> = read()?.into();
        self.held.fetch_add(terms.len(), Ordering::Relaxed);
        let run = Arc::new(TermRun { terms, held: Some(Arc::clone(&self.held)) });
        let mut runs = lock();
        // Somebody else may have read it meanwhile.
        if let Some(theirs) = runs.get(&name).and_then(Weak::upgrade) {
            return Ok(theirs);
        }
        if runs.len() >= RUNS_KEPT && runs.len() == runs.capacity() {
            runs.retain(|_, run| run.strong_count() > 0);
        }
        runs.insert(name, Arc::downgrade(&run));
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::XorbHash;

    fn term(raw_bytes: u32) -> Term {
        Term { xorb: XorbHash::from_bytes([1; 32]), start: 0, end: 1, raw_bytes }
    }

    #[test]
    fn a_range_is_held_by_the_terms_that_have_a_byte_of_it() {
        let record = FileRecord { hash: FileHash::EMPTY, size: 60, terms: [10, 20, 30].map(term).to_vec() };
        let terms = FileTerms::from(record.clone());
        let starts = |range| terms.within(range).map(|(start, _)| start).collect::<Vec<_>>();
        assert_eq!(starts(0..60), [0, 10, 30]);
        assert_eq!(starts(9..10), [0]);
        assert_eq!(starts(10..31), [10, 30]);
        assert_eq!(starts(59..60), [30]);
        assert_eq!(terms.into_record(), Some(record));
    }

    #[test]
    fn readers_of_one_run_share_it_and_all_that_they_hold_is_counted() {
        let runs = TermRuns::default();
        let read = || Ok::<_, TooManyHeld>(vec![term(1); 3]);
        let first = runs.get((1, 0), read).unwrap();
        let second = runs.get((1, 0), || Err::<Vec<Term>, TooManyHeld>(TooManyHeld)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(runs.held.load(Ordering::Relaxed), 3);
        drop((first, second));
        assert_eq!(runs.held.load(Ordering::Relaxed), 0);
        runs.held.store(HELD_MAX, Ordering::Relaxed);
        assert_eq!(runs.get((1, 0), read).unwrap_err(), TooManyHeld);
    }
}
