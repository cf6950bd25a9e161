//! The rows of a range.

use redb::StorageError;

use super::rows::RowTable;
use super::{AccessGuard, OrderedKey};

/// A row that was read: its key and its value.
pub(in crate::store::meta) type Entry<'a, K, V> = (AccessGuard<'a, K>, AccessGuard<'a, V>);

/// The rows of a range, in order.
#[expect(clippy::large_enum_variant, reason = "it is never kept: rows are read from it where it was made")]
pub(in crate::store::meta) enum Range<'a, K: OrderedKey + 'static, V: redb::Value + 'static> {
    Redb(redb::Range<'a, K, V>),
    Rows(RowRange<'a>),
}

/// What is left of a range of a table of [`Rows`](super::Rows).
pub(in crate::store::meta) struct RowRange<'a> {
    table: &'a RowTable,
    from: Vec<u8>,
    end: Vec<u8>,
    /// How many rows of it are likely to be wanted.
    rows: usize,
}

pub(super) fn of_redb<'a, K: OrderedKey, V: redb::Value>(
    (key, value): (redb::AccessGuard<'a, K>, redb::AccessGuard<'a, V>),
) -> Entry<'a, K, V> {
    (AccessGuard::Redb(key), AccessGuard::Redb(value))
}

fn entry<K: OrderedKey, V: redb::Value>(
    (key, value): (Vec<u8>, bytes::Bytes),
) -> Result<Entry<'static, K, V>, StorageError> {
    let damaged = || StorageError::Corrupted("the key of a row cannot be read".to_owned());
    let key = K::to_redb(&key).ok_or_else(damaged)?;
    Ok((AccessGuard::Bytes(key.into()), AccessGuard::Bytes(value)))
}

impl<'a, K: OrderedKey + 'static, V: redb::Value + 'static> Range<'a, K, V> {
    pub(super) fn rows(table: &'a RowTable, (from, end): (Vec<u8>, Vec<u8>)) -> Self {
        Self::Rows(RowRange { table, from, end, rows: super::rows::PAGE })
    }

    /// Of a remote table, so many rows are fetched at once and not as many as usual.
    pub(in crate::store::meta) fn expecting(mut self, rows: usize) -> Self {
        if let Self::Rows(range) = &mut self {
            range.rows = rows.clamp(1, super::rows::PAGE_MAX);
        }
        self
    }

    pub(super) fn first(
        table: &RowTable,
        (from, end): (Vec<u8>, Vec<u8>),
    ) -> Result<Option<Entry<'a, K, V>>, StorageError> {
        table.next(&from, &end, 1).map(entry).transpose()
    }

    pub(super) fn last(
        table: &RowTable,
        (from, end): (Vec<u8>, Vec<u8>),
    ) -> Result<Option<Entry<'a, K, V>>, StorageError> {
        table.last(&from, &end).map(entry).transpose()
    }
}

impl<'a, K: OrderedKey + 'static, V: redb::Value + 'static> Iterator for Range<'a, K, V> {
    type Item = Result<Entry<'a, K, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Redb(range) => Some(range.next()?.map(of_redb)),
            Self::Rows(range) => {
                let found = range.table.next(&range.from, &range.end, range.rows)?;
                range.from.clone_from(&found.0);
                range.from.push(0);
                Some(entry(found))
            }
        }
    }
}
