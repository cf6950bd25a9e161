//! Rows as they are moved from one engine to another: keys as bytes that sort, values as redb writes them.

use bytes::Bytes;
use redb::StorageError;

use super::table::{ReadTable, Table};
use super::{OrderedKey, ReadableTable as _};

/// A row, whichever table it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Bytes that sort as the keys of the table do.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

fn damaged() -> StorageError {
    StorageError::Corrupted("the key of a row cannot be read".to_owned())
}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> ReadTable<K, V> {
    /// Rows behind a key, in order, of about so many bytes; none, if there are no more.
    pub(in crate::store::meta) fn raw_rows(
        &self,
        after: Option<&[u8]>,
        bytes_max: usize,
    ) -> Result<Vec<RawRow>, StorageError> {
        let after = after.map(|after| K::to_redb(after).ok_or_else(damaged)).transpose()?;
        let from = match &after {
            Some(after) => std::ops::Bound::Excluded(K::from_bytes(after)),
            None => std::ops::Bound::Unbounded,
        };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for entry in self.range::<K::SelfType<'_>>((from, std::ops::Bound::Unbounded))? {
            let (key, value) = entry?;
            let (key, value) = (K::to_ordered(&key.value()), V::as_bytes(&value.value()).as_ref().to_vec());
            bytes += key.len() + value.len();
            rows.push(RawRow { key, value });
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(rows)
    }
}

impl<K: OrderedKey + 'static, V: redb::Value + 'static> Table<'_, K, V> {
    /// Writes rows, in place of those that are there.
    pub(in crate::store::meta) fn put_raw(&mut self, rows: &[RawRow]) -> Result<(), StorageError> {
        for RawRow { key, value } in rows {
            match self {
                Self::Redb(table) => {
                    let key = K::to_redb(key).ok_or_else(damaged)?;
                    table.insert(K::from_bytes(&key), V::from_bytes(value))?;
                }
                Self::Rows(table) => table.write(key.clone(), Some(Bytes::copy_from_slice(value))),
            }
        }
        Ok(())
    }
}
