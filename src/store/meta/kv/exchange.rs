//! What is exchanged with a remote database: needs and rows one way, checks and changes the other.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A row, as it was when it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store::meta) struct Found {
    /// Of the commit that wrote it: a row that was written again has another.
    pub(in crate::store::meta) revision: u64,
    /// As redb writes it.
    pub(in crate::store::meta) value: Bytes,
}

/// What work has missed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::meta) enum Need {
    /// A row.
    Point(Vec<u8>),
    /// The first rows of a range: from, up to, how many.
    First(Vec<u8>, Vec<u8>, usize),
    /// The last row of a range.
    Last(Vec<u8>, Vec<u8>),
    /// The rows that a listing stops at.
    Walk(Walk),
    /// The number of all rows.
    Count,
}

/// A listing that rolls keys up: it goes on behind all keys that share what it has rolled up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::meta) struct Walk {
    pub(in crate::store::meta) from: Vec<u8>,
    pub(in crate::store::meta) end: Vec<u8>,
    /// So many bytes of a key are before what is rolled up.
    pub(in crate::store::meta) prefix: usize,
    /// Keys are rolled up to the end of this; never empty.
    pub(in crate::store::meta) delimiter: Vec<u8>,
    /// Rows at most.
    pub(in crate::store::meta) rows: usize,
}

impl Walk {
    /// Where it goes on behind a row.
    pub(in crate::store::meta) fn behind(&self, key: &[u8]) -> Vec<u8> {
        let rest = key.get(self.prefix..).unwrap_or_default();
        let found = rest.windows(self.delimiter.len()).position(|part| part == self.delimiter);
        let mut next = match found {
            Some(at) => key[..self.prefix + at + self.delimiter.len()].to_vec(),
            None => [key, &[0]].concat(),
        };
        if let (Some(_), Some(last)) = (found, next.last_mut()) {
            // A delimiter is UTF-8, of which no byte is 0xFF.
            *last = last.saturating_add(1);
        }
        next
    }
}

/// What is to be done to a table, and what must hold for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store::meta) struct TableChanges {
    /// Rows that must be of this revision, or not be there.
    pub(in crate::store::meta) points: Vec<(Vec<u8>, Option<u64>)>,
    /// Ranges whose rows must be these.
    pub(in crate::store::meta) spans: Vec<SpanCheck>,
    /// Ranges to remove, before the others are written.
    pub(in crate::store::meta) removed: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rows to write that must not be there.
    pub(in crate::store::meta) inserts: Vec<(Vec<u8>, Bytes)>,
    /// Rows to write, whether they are there or not.
    pub(in crate::store::meta) upserts: Vec<(Vec<u8>, Bytes)>,
    /// Rows to remove.
    pub(in crate::store::meta) deletes: Vec<Vec<u8>>,
}

/// A range whose rows must be what they were.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::meta) struct SpanCheck {
    pub(in crate::store::meta) from: Vec<u8>,
    pub(in crate::store::meta) end: Vec<u8>,
    pub(in crate::store::meta) rows: u64,
    /// The sum of their revisions, as numbers with a sign: databases have no others.
    pub(in crate::store::meta) revisions: i128,
}

/// What a transaction has read and written, by table.
pub(in crate::store::meta) type Changes = BTreeMap<&'static str, TableChanges>;
