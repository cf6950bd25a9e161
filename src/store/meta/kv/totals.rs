//! Numbers that many transactions add to.
//!
//! On redb they are a row. In a remote database, where nodes write at the same time, they are a row for each of
//! [`SHARDS`], and what is told is their sum: a node adds to the row of its own shard, so nodes do not wait for each other.

use bytes::Bytes;
use redb::StorageError;

use super::rows::{PAGE, PAST_ALL, RowTable};
use super::{OrderedKey, ReadTable, ReadableTable as _, Table};

/// Rows that numbers are spread over, at most.
pub(in crate::store::meta) const SHARDS: u8 = u8::MAX;

/// Numbers in a row.
pub(in crate::store::meta) trait Numbers:
    for<'v> redb::Value<SelfType<'v> = Self> + Copy + Default + PartialEq + 'static
{
    /// Each of them changed by `change` of its own and the other's.
    fn each(self, other: Self, change: impl Fn(u64, u64) -> u64) -> Self;
}

impl Numbers for (u64, u64) {
    fn each(self, other: Self, change: impl Fn(u64, u64) -> u64) -> Self {
        (change(self.0, other.0), change(self.1, other.1))
    }
}

impl Numbers for (u64, u64, u64) {
    fn each(self, other: Self, change: impl Fn(u64, u64) -> u64) -> Self {
        (change(self.0, other.0), change(self.1, other.1), change(self.2, other.2))
    }
}

/// The rows of all shards of a key.
fn shards(key: u64) -> (Vec<u8>, Vec<u8>) {
    (shard(key, 0), shard(key, SHARDS))
}

fn shard(key: u64, shard: u8) -> Vec<u8> {
    let mut name = <u64 as OrderedKey>::to_ordered(&key);
    name.push(shard);
    name
}

fn read<V: Numbers>(value: &[u8]) -> V {
    V::from_bytes(value)
}

fn sum<V: Numbers>(table: &RowTable, key: u64) -> V {
    let (mut from, end) = shards(key);
    let mut sum = V::default();
    while let Some((name, value)) = table.next(&from, &end, usize::from(SHARDS)) {
        sum = sum.each(read(&value), u64::wrapping_add);
        from = name;
        from.push(0);
    }
    sum
}

impl<V: Numbers> ReadTable<u64, V> {
    /// The numbers of a key.
    pub(in crate::store::meta) fn total(&self, key: u64) -> Result<V, StorageError> {
        match self {
            Self::Redb(_) => Ok(self.get(key)?.map_or(V::default(), |row| row.value())),
            Self::Rows(table) => Ok(sum(table, key)),
        }
    }

    /// The numbers of all keys, by key; of a remote table, each shard's for itself.
    pub(in crate::store::meta) fn all_shards(&self) -> Result<Vec<(u64, V)>, StorageError> {
        let mut all = Vec::new();
        match self {
            Self::Redb(_) => {
                for entry in self.all()? {
                    let (key, row) = entry?;
                    all.push((key.value(), row.value()));
                }
            }
            Self::Rows(table) => {
                let damaged = || StorageError::Corrupted("the key of a shard cannot be read".to_owned());
                let mut from = Vec::new();
                while let Some((name, value)) = table.next(&from, &PAST_ALL, PAGE) {
                    let key = name.first_chunk().ok_or_else(damaged)?;
                    all.push((u64::from_be_bytes(*key), read(&value)));
                    from = name;
                    from.push(0);
                }
            }
        }
        Ok(all)
    }
}

impl<V: Numbers> Table<'_, u64, V> {
    /// The numbers of a key.
    pub(in crate::store::meta) fn total(&self, key: u64) -> Result<V, StorageError> {
        match self {
            Self::Redb(_) => Ok(self.get(key)?.map_or(V::default(), |row| row.value())),
            Self::Rows(table) => Ok(sum(table, key)),
        }
    }

    /// Adds to the numbers of a key, and takes from them.
    pub(in crate::store::meta) fn add(&mut self, key: u64, more: V, less: V) -> Result<(), StorageError> {
        if self.is_remote() {
            // A shard may have less than nothing; the sum has not.
            let wrap = |own: V| own.each(more, u64::wrapping_add).each(less, u64::wrapping_sub);
            return self.change_shard(key, wrap);
        }
        let next = self.total(key)?.each(more, u64::saturating_add).each(less, u64::saturating_sub);
        if next == V::default() { self.remove(key) } else { self.insert(key, next) }
    }

    /// Changes the numbers of a key in this node's shard; on redb, the only ones.
    pub(in crate::store::meta) fn change_shard(
        &mut self,
        key: u64,
        change: impl FnOnce(V) -> V,
    ) -> Result<(), StorageError> {
        let Self::Rows(table) = self else {
            let next = change(self.total(key)?);
            return self.insert(key, next);
        };
        let name = shard(key, table.shard());
        let next = change(table.get(&name).map_or(V::default(), |value| read(&value)));
        table.write(name, Some(Bytes::copy_from_slice(V::as_bytes(&next).as_ref())));
        Ok(())
    }

    /// Forgets the numbers of a key.
    pub(in crate::store::meta) fn forget(&mut self, key: u64) -> Result<(), StorageError> {
        match self {
            Self::Redb(_) => self.remove(key),
            Self::Rows(table) => {
                table.remove_in(shards(key));
                Ok(())
            }
        }
    }
}
