//! File records as rows: small ones in one row, long ones in several, so that a range is read without the rest.
//!
//! | the record | its row in [`FILES`](super::tables::FILES) | its terms |
//! |---|---|---|
//! | the first chunk of a xorb, and no more | `First` | in the row |
//! | at most [`RUN_TERMS`] terms | `Any` | in the row |
//! | more | `Split`: its number, and where each run of terms begins | in [`FILE_TERMS`](super::tables::FILE_TERMS), a row for each run |
//!
//! The number of a long record is never used again, so its runs never change: readers may share them whatever becomes
//! of the record.

use std::ops::Range;

use redb::StorageError;

use super::MetaError;
use super::engine::engine;
use super::kv::ReadableTable;
use super::rows::{self, FileRow};
use super::tables::{Row, Tables};
use crate::model::file::{FileRecord, Term};
use crate::store::file_terms::{FileTerms, RunName, TermRuns, TooManyHeld};
use crate::xet::hash::FileHash;

/// Terms in a row, at most: 45 KiB, and 10 us to read.
const RUN_TERMS: usize = 1024;

/// Reads a file's size, and not its terms, of which there may be many.
pub(super) fn decode_file_size(row: &[u8]) -> Result<u64, StorageError> {
    Ok(rows::decode_file_size(row)?)
}

fn decode_row(row: &[u8]) -> Result<FileRow, StorageError> {
    Ok(rows::decode_file(row)?)
}

/// The table of the runs of long records.
pub(super) trait RunTable: ReadableTable<RunName, Row> {}

impl<T: ReadableTable<RunName, Row>> RunTable for T {}

fn read_run(runs: &impl RunTable, name: RunName) -> Result<Vec<Term>, StorageError> {
    let missing =
        || StorageError::Corrupted(format!("run {} of long record {} is not there", name.1, name.0));
    Ok(rows::decode_run(runs.get(name)?.ok_or_else(missing)?.value())?)
}

fn whole(hash: FileHash, row: FileRow, runs: &impl RunTable) -> Result<FileRecord, StorageError> {
    let (size, terms) = match row {
        FileRow::First { raw_bytes, xorb } => {
            (u64::from(raw_bytes), vec![Term { xorb, start: 0, end: 1, raw_bytes }])
        }
        FileRow::Any { size, terms } => (size, terms),
        FileRow::Split { size, number, runs: heads } => {
            let mut terms = Vec::new();
            for run in 0..heads.len() as u32 {
                terms.extend(read_run(runs, (number, run))?);
            }
            (size, terms)
        }
    };
    Ok(FileRecord { hash, size, terms })
}

/// Reads all of a record.
pub(super) fn decode_file(
    hash: FileHash,
    row: &[u8],
    runs: &impl RunTable,
) -> Result<FileRecord, StorageError> {
    whole(hash, decode_row(row)?, runs)
}

/// Why the terms of a range were not read.
enum NotRead {
    Held,
    Engine(StorageError),
}

impl From<TooManyHeld> for NotRead {
    fn from(_: TooManyHeld) -> Self {
        Self::Held
    }
}

/// Reads the terms of a record that hold the range which is wanted of a file of its size, and few others.
pub(super) fn terms_within(
    hash: FileHash,
    row: &[u8],
    runs: &impl RunTable,
    shared: &TermRuns,
    wanted: impl FnOnce(u64) -> Range<u64>,
) -> Result<FileTerms, MetaError> {
    let (size, number, heads) = match decode_row(row).map_err(engine)? {
        FileRow::Split { size, number, runs } => (size, number, runs),
        row => return Ok(whole(hash, row, runs).map_err(engine)?.into()),
    };
    let range = wanted(size);
    let first = heads.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
    let end = heads.partition_point(|(start, _)| *start < range.end).max(first);
    let mut read = Vec::with_capacity(end - first);
    for run in first..end {
        let name = (number, run as u32);
        let run = shared.get(name, || read_run(runs, name).map_err(NotRead::Engine));
        read.push(run.map_err(|why| match why {
            NotRead::Held => MetaError::Busy("too many fragmented files are being read"),
            NotRead::Engine(error) => engine(error),
        })?);
    }
    let start = heads.get(first).map_or(0, |(start, _)| *start);
    let terms_in_file = heads.iter().map(|(_, terms)| *terms as usize).sum();
    Ok(FileTerms::new(hash, size, terms_in_file, start, read))
}

impl Tables<'_> {
    /// A whole record.
    pub(super) fn file(&self, hash: &FileHash) -> Result<Option<FileRecord>, StorageError> {
        let row = self.files.get(hash.as_bytes())?;
        row.map(|row| decode_file(*hash, row.value(), &self.file_terms)).transpose()
    }

    /// Writes a record in place of the one that is there.
    pub(super) fn put_file(&mut self, record: &FileRecord) -> Result<(), StorageError> {
        self.take_file(&record.hash)?;
        let row = match record.terms.as_slice() {
            [Term { xorb, start: 0, end: 1, raw_bytes }] => rows::encode_first(*raw_bytes, xorb),
            terms if terms.len() <= RUN_TERMS => rows::encode_file(record.size, terms),
            terms => {
                let number = self.count_up("long_record")?;
                let (mut heads, mut start) = (Vec::new(), 0);
                for (index, run) in (0_u32..).zip(terms.chunks(RUN_TERMS)) {
                    let row = rows::encode_run(run)?;
                    self.file_terms.insert((number, index), row.as_slice())?;
                    heads.push((start, run.len() as u32));
                    start += run.iter().map(|term| u64::from(term.raw_bytes)).sum::<u64>();
                }
                rows::encode_split(record.size, number, heads)
            }
        };
        self.files.insert(record.hash.as_bytes(), row?.as_slice())?;
        Ok(())
    }

    /// Removes a record.
    pub(super) fn take_file(&mut self, hash: &FileHash) -> Result<Option<FileRecord>, StorageError> {
        let row = match self.files.take(hash.as_bytes())? {
            Some(row) => decode_row(row.value())?,
            None => return Ok(None),
        };
        let number = match &row {
            FileRow::Split { number, .. } => Some(*number),
            _ => None,
        };
        let record = whole(*hash, row, &self.file_terms)?;
        if let Some(number) = number {
            self.file_terms.remove_in((number, 0)..=(number, u32::MAX))?;
        }
        Ok(Some(record))
    }

    /// From format 4, which had all terms of a record in its row: gives those with many their runs.
    pub(super) fn split_long_records(&mut self) -> Result<(), StorageError> {
        let mut long = Vec::new();
        for entry in self.files.range::<[u8; 32]>(..)? {
            let (hash, row) = entry?;
            // A term takes 35 bytes at least.
            if row.value().len() > RUN_TERMS * 35 {
                long.push(FileHash::from_bytes(hash.value()));
            }
        }
        for hash in long {
            if let Some(record) = self.file(&hash)? {
                self.put_file(&record)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use redb::{Database, ReadableDatabase as _, backends::InMemoryBackend};

    use super::super::kv::ReadTransaction;
    use super::super::tables::{COUNTERS, FILE_TERMS, FILES};
    use super::*;
    use crate::xet::hash::XorbHash;

    /// A record of so many terms, each of 10 bytes.
    fn record(name: u8, terms: usize) -> FileRecord {
        let term = |at: usize| {
            let start = at as u32 % 100;
            Term { xorb: XorbHash::from_bytes([at as u8; 32]), start, end: start + 2, raw_bytes: 10 }
        };
        let terms: Vec<_> = (0..terms).map(term).collect();
        FileRecord { hash: FileHash::from_bytes([name; 32]), size: 10 * terms.len() as u64, terms }
    }

    fn in_tables(database: &Database, work: impl FnOnce(&mut Tables<'_>)) {
        let transaction = database.begin_write().unwrap();
        work(&mut Tables::open(&(&transaction).into()).unwrap());
        transaction.commit().unwrap();
    }

    fn database() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    #[test]
    fn records_of_any_length_read_back_whole_and_leave_nothing_behind() {
        let database = database();
        in_tables(&database, |tables| {
            for terms in [0, 1, RUN_TERMS, RUN_TERMS + 1, 5 * RUN_TERMS] {
                let record = record(terms as u8, terms);
                tables.put_file(&record).unwrap();
                tables.put_file(&record).unwrap();
                assert_eq!(tables.file(&record.hash).unwrap().as_ref(), Some(&record));
                let row = tables.files.get(record.hash.as_bytes()).unwrap().unwrap().value().to_vec();
                assert_eq!(decode_file_size(&row).unwrap(), record.size);
                assert_eq!(tables.take_file(&record.hash).unwrap(), Some(record));
            }
            assert_eq!((tables.files.len().unwrap(), tables.file_terms.len().unwrap()), (0, 0));
        });
    }

    #[test]
    fn a_range_of_a_long_record_reads_the_runs_that_hold_it() {
        let (database, record) = (database(), record(7, 5 * RUN_TERMS));
        in_tables(&database, |tables| tables.put_file(&record).unwrap());
        let snapshot = ReadTransaction::Redb(database.begin_read().unwrap());
        let (files, runs) = (snapshot.open_table(FILES).unwrap(), snapshot.open_table(FILE_TERMS).unwrap());
        let (row, shared) = (files.get(record.hash.as_bytes()).unwrap().unwrap(), TermRuns::default());
        let read = |range: Range<u64>| {
            terms_within(record.hash, row.value(), &runs, &shared, |_| range.clone()).unwrap()
        };
        let run_bytes = 10 * RUN_TERMS as u64;
        for (range, start, terms) in [
            (0..record.size, 0, 5 * RUN_TERMS),
            (0..1, 0, RUN_TERMS),
            (run_bytes - 1..run_bytes + 1, 0, 2 * RUN_TERMS),
            (run_bytes..run_bytes + 1, run_bytes, RUN_TERMS),
            (record.size - 1..record.size, 4 * run_bytes, RUN_TERMS),
        ] {
            let read = read(range.clone());
            assert_eq!(
                (read.start, read.len(), read.terms_in_file),
                (start, terms, 5 * RUN_TERMS),
                "{range:?}"
            );
            let expected = record.terms.iter().enumerate().map(|(at, term)| (10 * at as u64, term));
            let expected: HashMap<_, _> = expected.collect();
            for (start, term) in read.within(range) {
                assert_eq!(expected[&start], term);
            }
        }
        assert!(read(0..0).len() <= RUN_TERMS, "of no byte there is no need to read all");
        assert_eq!(read(0..record.size).into_record(), Some(record));
    }

    #[test]
    fn long_records_of_format_4_are_split() {
        let (database, long, short) = (database(), record(1, 3000), record(2, 10));
        in_tables(&database, |tables| {
            for record in [&long, &short] {
                let row = rows::encode_file(record.size, &record.terms).unwrap();
                tables.files.insert(record.hash.as_bytes(), row.as_slice()).unwrap();
            }
            tables.split_long_records().unwrap();
            assert_eq!(tables.file_terms.len().unwrap(), 3);
            assert_eq!(tables.file(&long.hash).unwrap(), Some(long.clone()));
            assert_eq!(tables.file(&short.hash).unwrap(), Some(short.clone()));
        });
        let snapshot = ReadTransaction::Redb(database.begin_read().unwrap());
        assert!(snapshot.open_table(COUNTERS).unwrap().get("long_record").unwrap().is_some());
    }
}
