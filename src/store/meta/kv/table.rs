//! One table: of redb, or of [`Rows`](super::Rows).

use std::borrow::Borrow;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use redb::{ReadableTable as _, ReadableTableMetadata as _, StorageError};

use super::range::of_redb;
use super::rows::RowTable;
use super::{AccessGuard, Entry, OrderedKey, Range, Walk};

/// A table to read from.
pub(in crate::store::meta) enum ReadTable<K: OrderedKey + 'static, V: redb::Value + 'static> {
    Redb(redb::ReadOnlyTable<K, V>),
    Rows(RowTable),
}

/// A table to write to.
pub(in crate::store::meta) enum Table<'t, K: OrderedKey + 'static, V: redb::Value + 'static> {
    Redb(redb::Table<'t, K, V>),
    Rows(RowTable),
}

/// A table that can be read.
pub(in crate::store::meta) trait ReadableTable<K: OrderedKey + 'static, V: redb::Value + 'static> {
    /// The value of a key.
    fn get<'k>(&self, key: impl Borrow<K::SelfType<'k>>) -> Result<Option<AccessGuard<'_, V>>, StorageError>;

    /// The rows of a range, in order; of a remote database, many are fetched at once.
    fn range<'k, R>(&self, range: impl RangeBounds<R> + 'k) -> Result<Range<'_, K, V>, StorageError>
    where
        R: Borrow<K::SelfType<'k>> + 'k;

    /// The first row of a range.
    fn first_in<'k, R>(
        &self,
        range: impl RangeBounds<R> + 'k,
    ) -> Result<Option<Entry<'_, K, V>>, StorageError>
    where
        R: Borrow<K::SelfType<'k>> + 'k;

    /// The last row of a range.
    fn last_in<'k, R>(
        &self,
        range: impl RangeBounds<R> + 'k,
    ) -> Result<Option<Entry<'_, K, V>>, StorageError>
    where
        R: Borrow<K::SelfType<'k>> + 'k;

    /// How many rows there are.
    fn len(&self) -> Result<u64, StorageError>;

    /// All rows, in order.
    fn all(&self) -> Result<Range<'_, K, V>, StorageError> {
        self.range::<K::SelfType<'_>>(..)
    }

    /// Whether there is no row.
    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.first_in::<K::SelfType<'_>>(..)?.is_none())
    }
}

/// A range as ordered bytes: from the first, up to but without the second.
fn span<'k, K: OrderedKey + 'static, R>(range: &(impl RangeBounds<R> + 'k)) -> (Vec<u8>, Vec<u8>)
where
    R: Borrow<K::SelfType<'k>> + 'k,
{
    let behind = |key: &R| {
        let mut key = K::to_ordered(key.borrow());
        key.push(0);
        key
    };
    let start = match range.start_bound() {
        Bound::Included(key) => K::to_ordered(key.borrow()),
        Bound::Excluded(key) => behind(key),
        Bound::Unbounded => Vec::new(),
    };
    let end = match range.end_bound() {
        Bound::Included(key) => behind(key),
        Bound::Excluded(key) => K::to_ordered(key.borrow()),
        Bound::Unbounded => super::rows::PAST_ALL.to_vec(),
    };
    (start, end)
}

/// Reading is the same for both kinds of table but for the type of redb's.
macro_rules! readable {
    ($table:ty) => {
        impl<K: OrderedKey + 'static, V: redb::Value + 'static> ReadableTable<K, V> for $table {
            fn get<'k>(
                &self,
                key: impl Borrow<K::SelfType<'k>>,
            ) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
                match self {
                    Self::Redb(table) => Ok(table.get(key)?.map(AccessGuard::Redb)),
                    Self::Rows(table) => Ok(table.get(&K::to_ordered(key.borrow())).map(AccessGuard::Bytes)),
                }
            }

            fn range<'k, R>(&self, range: impl RangeBounds<R> + 'k) -> Result<Range<'_, K, V>, StorageError>
            where
                R: Borrow<K::SelfType<'k>> + 'k,
            {
                match self {
                    Self::Redb(table) => Ok(Range::Redb(table.range(range)?)),
                    Self::Rows(table) => Ok(Range::rows(table, span::<K, R>(&range))),
                }
            }

            fn first_in<'k, R>(
                &self,
                range: impl RangeBounds<R> + 'k,
            ) -> Result<Option<Entry<'_, K, V>>, StorageError>
            where
                R: Borrow<K::SelfType<'k>> + 'k,
            {
                match self {
                    Self::Redb(table) => Ok(table.range(range)?.next().transpose()?.map(of_redb)),
                    Self::Rows(table) => Range::first(table, span::<K, R>(&range)),
                }
            }

            fn last_in<'k, R>(
                &self,
                range: impl RangeBounds<R> + 'k,
            ) -> Result<Option<Entry<'_, K, V>>, StorageError>
            where
                R: Borrow<K::SelfType<'k>> + 'k,
            {
                match self {
                    Self::Redb(table) => Ok(table.range(range)?.next_back().transpose()?.map(of_redb)),
                    Self::Rows(table) => Range::last(table, span::<K, R>(&range)),
                }
            }

            fn len(&self) -> Result<u64, StorageError> {
                match self {
                    Self::Redb(table) => table.len(),
                    Self::Rows(table) => Ok(table.len()),
                }
            }
        }
    };
}

readable!(ReadTable<K, V>);
readable!(Table<'_, K, V>);

impl<K: OrderedKey + 'static, V: redb::Value + 'static> ReadTable<K, V> {
    /// Whether the rows of a walk are at hand, as all are on redb; if not, they are noted as missed.
    pub(in crate::store::meta) fn has_walked(&self, walk: impl FnOnce() -> Walk) -> bool {
        match self {
            Self::Redb(_) => true,
            Self::Rows(table) => table.has_walked(walk()),
        }
    }

    /// Whether it is of a remote database.
    pub(in crate::store::meta) fn is_remote(&self) -> bool {
        matches!(self, Self::Rows(_))
    }

    /// As [`ReadableTable::get`]; what it answers may outlive the table.
    pub(in crate::store::meta) fn get<'k>(
        &self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<Option<AccessGuard<'static, V>>, StorageError> {
        match self {
            Self::Redb(table) => Ok(table.get(key)?.map(AccessGuard::Redb)),
            Self::Rows(table) => Ok(table.get(&K::to_ordered(key.borrow())).map(AccessGuard::Bytes)),
        }
    }
}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> Table<'_, K, V> {
    /// Whether it is of a remote database.
    pub(in crate::store::meta) fn is_remote(&self) -> bool {
        matches!(self, Self::Rows(_))
    }

    /// Writes a row, in place of the one that is there. Reads nothing.
    pub(in crate::store::meta) fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<(), StorageError> {
        match self {
            Self::Redb(table) => drop(table.insert(key, value)?),
            Self::Rows(table) => {
                let value = Bytes::copy_from_slice(V::as_bytes(value.borrow()).as_ref());
                table.write(K::to_ordered(key.borrow()), Some(value));
            }
        }
        Ok(())
    }

    /// Writes a row; answers the one that was there.
    pub(in crate::store::meta) fn replace<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        match self {
            Self::Redb(table) => Ok(table.insert(key, value)?.map(AccessGuard::Redb)),
            Self::Rows(table) => {
                let key = K::to_ordered(key.borrow());
                let old = table.get(&key);
                table.write(key, Some(Bytes::copy_from_slice(V::as_bytes(value.borrow()).as_ref())));
                Ok(old.map(AccessGuard::Bytes))
            }
        }
    }

    /// Removes a row, if it is there. Reads nothing.
    pub(in crate::store::meta) fn remove<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<(), StorageError> {
        match self {
            Self::Redb(table) => drop(table.remove(key)?),
            Self::Rows(table) => table.write(K::to_ordered(key.borrow()), None),
        }
        Ok(())
    }

    /// Removes a row, and answers it.
    pub(in crate::store::meta) fn take<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        match self {
            Self::Redb(table) => Ok(table.remove(key)?.map(AccessGuard::Redb)),
            Self::Rows(table) => {
                let key = K::to_ordered(key.borrow());
                let old = table.get(&key);
                if old.is_some() {
                    table.write(key, None);
                }
                Ok(old.map(AccessGuard::Bytes))
            }
        }
    }

    /// Removes all rows of a range. Reads nothing.
    pub(in crate::store::meta) fn remove_in<'k, R>(
        &mut self,
        range: impl RangeBounds<R> + 'k,
    ) -> Result<(), StorageError>
    where
        R: Borrow<K::SelfType<'k>> + 'k,
    {
        match self {
            Self::Redb(table) => table.retain_in(range, |_, _| false),
            Self::Rows(table) => {
                table.remove_in(span::<K, R>(&range));
                Ok(())
            }
        }
    }
}
