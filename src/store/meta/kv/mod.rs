//! Sorted tables of rows, whichever engine holds them: what the transactions of [`tables`](super::tables) and all reads are
//! written against, so that they are the same in every mode.
//!
//! | | redb | a remote database |
//! |---|---|---|
//! | a table | redb's own | [`Rows`]: the rows that were fetched, and what was written over them |
//! | a row that is not there | is absent | was fetched and is absent, or is *missed*: it looks absent, and is noted |
//! | work that has missed rows | | is run again when they were fetched; what it answered is thrown away |
//! | keys in order | as redb compares them | as bytes that sort alike ([`OrderedKey`]) |
//!
//! So work must be able to run more than once, must change nothing but the tables, and must bear it that a row looks absent
//! which is not.

use std::marker::PhantomData;

use bytes::Bytes;
use redb::TableError;

mod exchange;
mod ordered;
mod range;
mod raw;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod totals;

pub(super) use exchange::{Changes, Found, Need, TableChanges, Walk};
pub(super) use ordered::OrderedKey;
pub(super) use range::{Entry, Range};
pub use raw::RawRow;
pub(super) use rows::SharedRows;
pub(super) use table::{ReadTable, ReadableTable, Table};

/// The name of a table, and what is in it.
pub(super) struct TableDefinition<K: OrderedKey + 'static, V: redb::Value + 'static> {
    name: &'static str,
    of: PhantomData<fn() -> (K, V)>,
}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> Clone for TableDefinition<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> Copy for TableDefinition<K, V> {}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> TableDefinition<K, V> {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    pub(super) const fn name(self) -> &'static str {
        self.name
    }

    /// For redb.
    pub(super) const fn redb(self) -> redb::TableDefinition<'static, K, V> {
        redb::TableDefinition::new(self.name)
    }
}

/// A transaction that reads.
pub(super) enum ReadTransaction {
    /// Of the embedded engine.
    Redb(redb::ReadTransaction),
    /// Of a remote database.
    Rows(SharedRows),
}

/// A transaction that writes.
#[derive(Clone)]
pub(super) enum WriteTransaction<'t> {
    /// Of the embedded engine.
    Redb(&'t redb::WriteTransaction),
    /// Of a remote database.
    Rows(SharedRows),
}

/// A key or a value that was read.
pub(super) enum AccessGuard<'a, V: redb::Value + 'static> {
    Redb(redb::AccessGuard<'a, V>),
    /// As redb writes it.
    Bytes(Bytes),
}

impl<V: redb::Value + 'static> AccessGuard<'_, V> {
    pub(super) fn value(&self) -> V::SelfType<'_> {
        match self {
            Self::Redb(guard) => guard.value(),
            Self::Bytes(bytes) => V::from_bytes(bytes),
        }
    }
}

impl ReadTransaction {
    pub(super) fn open_table<K: OrderedKey + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
    ) -> Result<ReadTable<K, V>, TableError> {
        Ok(match self {
            Self::Redb(transaction) => ReadTable::Redb(transaction.open_table(table.redb())?),
            Self::Rows(rows) => ReadTable::Rows(rows.table(table.name())),
        })
    }
}

impl<'t> WriteTransaction<'t> {
    pub(super) fn open_table<K: OrderedKey + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<K, V>,
    ) -> Result<Table<'t, K, V>, TableError> {
        Ok(match self {
            Self::Redb(transaction) => Table::Redb(transaction.open_table(table.redb())?),
            Self::Rows(rows) => Table::Rows(rows.table(table.name())),
        })
    }
}

impl WriteTransaction<'_> {
    /// The rows of a remote database.
    pub(super) fn rows(&self) -> Option<&SharedRows> {
        match self {
            Self::Redb(_) => None,
            Self::Rows(rows) => Some(rows),
        }
    }
}

impl<'t> From<&'t redb::WriteTransaction> for WriteTransaction<'t> {
    fn from(transaction: &'t redb::WriteTransaction) -> Self {
        Self::Redb(transaction)
    }
}
