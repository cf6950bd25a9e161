//! Which bucket has which name, and since when: the table from a bucket's uid to its present name.
//!
//! It answers two questions that the bucket's own row, which is found by its name, cannot: what a uid is called now, and
//! which of the buckets of one name has had it for longest. A name's age is a number of the counter that uids are drawn
//! from, not a time: no step of a clock and no rename can make a later name the older one.
//!
//! The table is not part of the format: a store that an older build has written to is completed when it is opened. A
//! name that was given before there was this table is as old as its bucket; one that differs from the table was given by
//! an older build at a time that nobody knows, and is the youngest.

use redb::StorageError;

use super::kv::{ReadTransaction, ReadableTable, TableDefinition};
use super::tables::{self, Failure, Tables, decode};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::names::BucketName;

/// bucket uid -> (namespace, name, number of the name)
pub(super) const BUCKET_NAMES: TableDefinition<u64, (&str, &str, u64)> = TableDefinition::new("bucket_names");

/// The counter that uids and numbers of names are drawn from.
pub(super) const COUNTER: &str = "bucket_uid";

/// Sorts after every name of a bucket.
const PAST_NAMES: &str = "\u{7f}";

impl Tables<'_> {
    /// A bucket has just been given this name.
    pub(super) fn name_bucket(&mut self, bucket: &Bucket, number: u64) -> Result<(), StorageError> {
        let (namespace, name) = (bucket.id.namespace.as_str(), bucket.id.name.as_str());
        self.bucket_names.insert(bucket.uid.0, (namespace, name, number))?;
        Ok(())
    }

    /// Makes the table say what the buckets' rows say. To be called when a store is opened.
    pub(super) fn complete_bucket_names(&mut self) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        for entry in self.buckets.all()? {
            let bucket: Bucket = decode(entry?.1.value())?;
            let known = self.bucket_names.get(bucket.uid.0)?;
            let known = known.map(|row| {
                let (namespace, name, _) = row.value();
                namespace == bucket.id.namespace.as_str() && name == bucket.id.name.as_str()
            });
            if known != Some(true) {
                wrong.push((bucket, known.is_some()));
            }
        }
        for (bucket, was_renamed) in wrong {
            let number = if was_renamed { self.count_up(COUNTER)? } else { bucket.uid.0 };
            self.name_bucket(&bucket, number)?;
        }
        Ok(())
    }
}

/// The present row of a bucket.
pub(super) fn of_uid(
    names: &impl ReadableTable<u64, (&'static str, &'static str, u64)>,
    buckets: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    uid: BucketUid,
) -> Result<Option<Bucket>, StorageError> {
    let Some(row) = names.get(uid.0)? else { return Ok(None) };
    let (namespace, name, _) = row.value();
    let bucket = buckets.get((namespace, name))?.map(|row| decode::<Bucket>(row.value())).transpose()?;
    Ok(bucket.filter(|bucket| bucket.uid == uid))
}

/// The buckets of one name in all namespaces, the one that has had it for longest first. Jumps from namespace to
/// namespace, so it costs two lookups for each.
pub(super) fn named(snapshot: &ReadTransaction, name: &BucketName) -> Result<Vec<Bucket>, redb::Error> {
    let table = snapshot.open_table(tables::BUCKETS)?;
    let names = snapshot.open_table(BUCKET_NAMES)?;
    let mut found = Vec::new();
    let mut behind = String::new();
    while let Some((id, _)) = table.first_in((behind.as_str(), PAST_NAMES)..)? {
        let namespace = id.value().0.to_owned();
        if let Some(row) = table.get((namespace.as_str(), name.as_str()))? {
            let bucket: Bucket = decode(row.value())?;
            let number = names.get(bucket.uid.0)?.map_or(bucket.uid.0, |row| row.value().2);
            found.push((number, bucket));
        }
        behind = namespace;
    }
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, bucket)| bucket).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use redb::Database;

    use super::*;
    use crate::model::bucket::Visibility;
    use crate::model::clock::Timestamp;
    use crate::model::names::{BucketId, Namespace};
    use crate::store::meta::{EmbeddedMeta, MetaStore as _};

    fn id(text: &str) -> BucketId {
        let (namespace, name) = text.split_once('/').unwrap();
        BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new(name).unwrap() }
    }

    async fn owners(store: &EmbeddedMeta, name: &str) -> Vec<String> {
        let found = store.buckets_named(&BucketName::new(name).unwrap()).await.unwrap();
        found.into_iter().map(|bucket| bucket.id.namespace.as_str().to_owned()).collect()
    }

    /// Opens the rows as soon as the writer's thread has ended.
    async fn rows(path: &Path) -> Database {
        for _ in 0..1000 {
            if let Ok(rows) = Database::open(path) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the metadata stays open");
    }

    /// A store without the table, or with one that an older build has not kept up, opens, and nobody takes over a name
    /// by the upgrade.
    #[tokio::test]
    async fn a_store_of_an_older_build_is_completed_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        let store = EmbeddedMeta::open(&path).unwrap();
        let mut uids = Vec::new();
        for name in ["bob/x", "ada/x", "cy/x", "bob/y"] {
            let made = store.create_bucket(&id(name), Visibility::Public, Timestamp(9)).await.unwrap();
            uids.push(made.uid);
        }
        drop(store);

        let old = rows(&path).await;
        let change = old.begin_write().unwrap();
        change.delete_table(BUCKET_NAMES.redb()).unwrap();
        change.commit().unwrap();
        drop(old);
        let store = EmbeddedMeta::open(&path).unwrap();
        assert_eq!(owners(&store, "x").await, ["bob", "ada", "cy"]);
        assert_eq!(store.bucket_of(uids[3]).await.unwrap().unwrap().id, id("bob/y"));
        drop(store);

        // The older build has renamed bob/x to bob/z and bob/y, which is older than nothing, to bob/x.
        let old = rows(&path).await;
        let change = old.begin_write().unwrap();
        {
            let mut buckets = change.open_table(tables::BUCKETS.redb()).unwrap();
            for (from, to) in [("x", "z"), ("y", "x")] {
                let row = buckets.remove(("bob", from)).unwrap().unwrap().value().to_vec();
                let bucket: Bucket = decode(&row).unwrap();
                let bucket = Bucket { id: id(&format!("bob/{to}")), ..bucket };
                buckets.insert(("bob", to), tables::encode(&bucket).unwrap().as_slice()).unwrap();
            }
        }
        change.commit().unwrap();
        drop(old);
        let store = EmbeddedMeta::open(&path).unwrap();
        assert_eq!(owners(&store, "x").await, ["ada", "cy", "bob"]);
        assert_eq!(store.bucket_of(uids[0]).await.unwrap().unwrap().id, id("bob/z"));
        assert_eq!(store.bucket_of(uids[3]).await.unwrap().unwrap().id, id("bob/x"));
    }
}
