//! The rows of file records, and of the runs of long ones; see [`super::super::files`].

use serde::{Deserialize, Serialize};

use crate::model::file::Term;
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::XorbHash;

const FILE: &str = "a file record";
const RUN: &str = "a run of a file record";

/// A run of a long record: where it begins in the file, and how many terms it has.
type RunHead = (u64, u32);

#[derive(Serialize, Deserialize)]
struct TermV1 {
    xorb: [u8; 32],
    start: u32,
    end: u32,
    raw_bytes: u32,
}

impl From<&Term> for TermV1 {
    fn from(Term { xorb, start, end, raw_bytes }: &Term) -> Self {
        Self { xorb: *xorb.as_bytes(), start: *start, end: *end, raw_bytes: *raw_bytes }
    }
}

impl From<TermV1> for Term {
    fn from(TermV1 { xorb, start, end, raw_bytes }: TermV1) -> Self {
        Self { xorb: XorbHash::from_bytes(xorb), start, end, raw_bytes }
    }
}

fn stored(terms: &[Term]) -> Vec<TermV1> {
    terms.iter().map(TermV1::from).collect()
}

fn terms(stored: Vec<TermV1>) -> Vec<Term> {
    // Both have one layout, so this makes no second list.
    stored.into_iter().map(Term::from).collect()
}

#[derive(Serialize, Deserialize)]
enum FileV1 {
    First(u32, [u8; 32]),
    Any(u64, Vec<TermV1>),
    Split(u64, u64, Vec<RunHead>),
}

/// The length with which all begin.
#[derive(Deserialize)]
enum LengthV1 {
    First(u32),
    Any(u64),
    Split(u64),
}

/// A file record's row.
#[cfg_attr(test, derive(PartialEq))]
pub(in crate::store::meta) enum FileRow {
    /// Its only term is the first chunk of this xorb, of that many bytes.
    First { raw_bytes: u32, xorb: XorbHash },
    /// Its length and its terms.
    Any { size: u64, terms: Vec<Term> },
    /// Its length, its number and its runs.
    Split { size: u64, number: u64, runs: Vec<RunHead> },
}

/// Writes a record whose only term is the first chunk of a xorb.
pub(in crate::store::meta) fn encode_first(raw_bytes: u32, xorb: &XorbHash) -> Result<Vec<u8>, StoredError> {
    versioned::encode(FILE, 1, &FileV1::First(raw_bytes, *xorb.as_bytes()))
}

/// Writes a record with all its terms.
pub(in crate::store::meta) fn encode_file(size: u64, terms: &[Term]) -> Result<Vec<u8>, StoredError> {
    versioned::encode(FILE, 1, &FileV1::Any(size, stored(terms)))
}

/// Writes a long record, whose terms are in runs.
pub(in crate::store::meta) fn encode_split(
    size: u64,
    number: u64,
    runs: Vec<RunHead>,
) -> Result<Vec<u8>, StoredError> {
    versioned::encode(FILE, 1, &FileV1::Split(size, number, runs))
}

/// The fields of a row of version 1, the only one so far.
fn fields(row: &[u8]) -> Result<&[u8], StoredError> {
    match versioned::split(FILE, row)? {
        (1, fields) => Ok(fields),
        (version, _) => Err(StoredError::unknown_version(FILE, version, 1)),
    }
}

/// Reads a record's row.
pub(in crate::store::meta) fn decode_file(row: &[u8]) -> Result<FileRow, StoredError> {
    Ok(match versioned::decode(FILE, fields(row)?)? {
        FileV1::First(raw_bytes, xorb) => FileRow::First { raw_bytes, xorb: XorbHash::from_bytes(xorb) },
        FileV1::Any(size, stored) => FileRow::Any { size, terms: terms(stored) },
        FileV1::Split(size, number, runs) => FileRow::Split { size, number, runs },
    })
}

/// Reads a file's size, and not its terms, of which there may be many.
pub(in crate::store::meta) fn decode_file_size(row: &[u8]) -> Result<u64, StoredError> {
    let (length, _) = versioned::take(FILE, fields(row)?)?;
    Ok(match length {
        LengthV1::First(bytes) => bytes.into(),
        LengthV1::Any(bytes) | LengthV1::Split(bytes) => bytes,
    })
}

/// Writes a run of terms.
pub(in crate::store::meta) fn encode_run(terms: &[Term]) -> Result<Vec<u8>, StoredError> {
    versioned::encode(RUN, 1, &stored(terms))
}

/// Reads a run of terms.
pub(in crate::store::meta) fn decode_run(row: &[u8]) -> Result<Vec<Term>, StoredError> {
    match versioned::split(RUN, row)? {
        (1, fields) => Ok(terms(versioned::decode(RUN, fields)?)),
        (version, _) => Err(StoredError::unknown_version(RUN, version, 1)),
    }
}
