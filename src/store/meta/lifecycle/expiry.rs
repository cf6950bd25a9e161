//! Reading what is due, and ending it.

use std::ops::Bound;

use async_trait::async_trait;
use redb::StorageError;

use super::entries::{KeyTables, RuledBucket};
use super::filling::has_work;
use super::keeping::{day, in_force, upload_due, window};
use super::{DUE, DueEntry, DueItem, DueWhat, Expiry, LIFECYCLES, LifecycleStore};
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::conditions::WriteCondition;
use crate::model::lifecycle::Day;
use crate::model::upload::Upload;
use crate::model::version::Stamp;
use crate::store::meta::kv::{ReadTransaction, ReadableTable};
use crate::store::meta::table_meta::{TableEngine, TableMeta};
use crate::store::meta::tables::{self, Failure, Row, Tables, decode};
use crate::store::meta::versions::{VERSIONS, VersionName};
use crate::store::meta::{Deletion, MetaError, ObjectChange};

impl<O, V, U> RuledBucket<'_, O, V, U>
where
    O: ReadableTable<(u64, &'static [u8]), Row>,
    V: ReadableTable<VersionName, Row>,
    U: ReadableTable<(u64, &'static [u8], &'static str), Row>,
{
    /// What a row says is due, if it is.
    fn item(&self, entry: &DueEntry, now: Timestamp) -> Result<Option<DueItem>, StorageError> {
        if entry.at > now {
            return Ok(None);
        }
        match &entry.what {
            DueWhat::Upload(_) => self.upload(entry),
            DueWhat::Current | DueWhat::LoneMarker(_) => self.version(entry, None),
            DueWhat::Noncurrent(stamp) => self.version(entry, Some(stamp.next())),
        }
    }

    /// Two versions before a stamp are enough to see whether the first is alone.
    fn version(&self, entry: &DueEntry, older_than: Option<Stamp>) -> Result<Option<DueItem>, StorageError> {
        let name = (self.bucket, entry.key.as_str().as_bytes());
        let read = self.keys.stretch(name, older_than, window(self.rules), |read| read.len() < 2)?;
        let mut found = None;
        read.each_due(self.rules, &entry.key, |due, version, rule| {
            if due == *entry {
                let (rule, size) = (rule.rule.to_owned(), version.size());
                found = Some(DueItem { entry: due, rule, size, version: Some(version.version.name()) });
            }
        });
        Ok(found)
    }

    fn upload(&self, entry: &DueEntry) -> Result<Option<DueItem>, StorageError> {
        let DueWhat::Upload(id) = &entry.what else { return Ok(None) };
        let row = self.uploads.get((self.bucket, entry.key.as_str().as_bytes(), id.as_str()))?;
        let Some(upload) = row.map(|row| decode::<Upload>(row.value())).transpose()? else { return Ok(None) };
        let due = upload_due(self.rules, &upload).filter(|due| due == entry);
        let rule = self.rules.of_upload(upload.key.as_str(), upload.created_at);
        Ok(due.zip(rule).map(|(entry, rule)| DueItem {
            entry,
            rule: rule.rule.to_owned(),
            size: 0,
            version: None,
        }))
    }
}

impl Tables<'_> {
    fn expire(
        &mut self,
        bucket: BucketUid,
        due: &[(DueEntry, [u8; 8])],
        now: Timestamp,
    ) -> Result<Vec<Expiry>, Failure> {
        due.iter().map(|(entry, random)| self.expire_one(bucket, entry, *random, now)).collect()
    }

    fn expire_one(
        &mut self,
        bucket: BucketUid,
        entry: &DueEntry,
        random: [u8; 8],
        now: Timestamp,
    ) -> Result<Expiry, Failure> {
        let Some(rules) = self.rules_of(bucket)? else { return Ok(Expiry::NotDue) };
        let Some(item) = self.ruled(bucket, &rules.rules).item(entry, now)? else {
            // A row that is wrong goes, so that it is not met again.
            if entry.at <= now {
                self.forget_due(rules.index, entry)?;
            }
            return Ok(Expiry::NotDue);
        };
        if let DueWhat::Upload(id) = &entry.what {
            self.abort_upload(bucket, &entry.key, id)?;
            return Ok(Expiry::Done(item, None));
        }
        let of_current = Deletion::of_current(now, random);
        let version = item.version.filter(|_| entry.what != DueWhat::Current);
        let deletion = ObjectChange::Delete(Deletion { version, ..of_current });
        match self.change(bucket, &entry.key, &WriteCondition::default(), &deletion) {
            Ok(changed) => {
                let marker = changed.version.filter(|_| version.is_none());
                Ok(Expiry::Done(item, marker))
            }
            Err(Failure::Refused(MetaError::Locked)) => Ok(Expiry::Locked),
            Err(failure) => Err(failure),
        }
    }
}

/// A page of what is due, and the last row that was looked at unless it was the end.
fn page(
    snapshot: &ReadTransaction,
    bucket: BucketUid,
    now: Timestamp,
    after: Option<&DueEntry>,
    limit: usize,
) -> Result<(Vec<DueItem>, Option<DueEntry>), redb::Error> {
    let (lifecycles, counters) = (snapshot.open_table(LIFECYCLES)?, snapshot.open_table(tables::COUNTERS)?);
    let Some((index, rules)) = in_force(&lifecycles, &counters, bucket)? else {
        return Ok((Vec::new(), None));
    };
    let (objects, versions) = (snapshot.open_table(tables::OBJECTS)?, snapshot.open_table(VERSIONS)?);
    let uploads = snapshot.open_table(tables::UPLOADS)?;
    let keys = KeyTables { objects: &objects, versions: &versions };
    let here = RuledBucket { keys, uploads: &uploads, bucket: bucket.0, rules: &rules };
    let what = after.map(|after| after.what.to_bytes()).unwrap_or_default();
    let first = match after {
        None => Bound::Included((index, 0, [].as_slice(), [].as_slice())),
        Some(after) => Bound::Excluded((index, after.at.0, after.key.as_str().as_bytes(), what.as_slice())),
    };
    let end = Bound::Excluded((index, now.0.saturating_add(1), [].as_slice(), [].as_slice()));
    let due = snapshot.open_table(DUE)?;
    let (mut items, mut last) = (Vec::new(), None);
    for (count, row) in due.range::<(u64, u64, &[u8], &[u8])>((first, end))?.enumerate() {
        if count == limit {
            return Ok((items, last));
        }
        let row = row?.0;
        let (_, at, key, what) = row.value();
        let entry = DueEntry::of_row(at, key, what)?;
        items.extend(here.item(&entry, now)?);
        last = Some(entry);
    }
    Ok((items, None))
}

#[async_trait]
impl<E: TableEngine> LifecycleStore for TableMeta<E> {
    async fn set_lifecycle_day(&self, day: Day) -> Result<(), MetaError> {
        let present =
            self.engine.read(|snapshot| Ok(self::day(&snapshot.open_table(tables::COUNTERS)?)?)).await?;
        if present == day {
            return Ok(());
        }
        self.write(move |tables| Ok(tables.set_lifecycle_day(day)?)).await
    }

    async fn buckets_with_rules(&self) -> Result<Vec<BucketUid>, MetaError> {
        self.engine
            .read(|snapshot| {
                let rows = snapshot.open_table(LIFECYCLES)?;
                rows.all()?.map(|entry| Ok(BucketUid(entry?.0.value()))).collect()
            })
            .await
    }

    async fn index_step(&self, limit: usize) -> Result<bool, MetaError> {
        // No transaction for nothing.
        if !self.engine.read(has_work).await? {
            return Ok(false);
        }
        self.write(move |tables| Ok(tables.index_step(limit)?)).await
    }

    async fn count_due(&self, bucket: BucketUid, now: Timestamp) -> Result<u64, MetaError> {
        self.engine
            .read(|snapshot| {
                let Some(row) = snapshot.open_table(LIFECYCLES)?.get(bucket.0)? else { return Ok(0) };
                let (index, empty) = (row.value().0, [].as_slice());
                let due = (index, 0, empty, empty)..(index, now.0.saturating_add(1), empty, empty);
                Ok(snapshot.open_table(DUE)?.range(due)?.count() as u64)
            })
            .await
    }

    async fn due(
        &self,
        bucket: BucketUid,
        now: Timestamp,
        after: Option<&DueEntry>,
        limit: usize,
    ) -> Result<(Vec<DueItem>, Option<DueEntry>), MetaError> {
        self.engine.read(|snapshot| page(snapshot, bucket, now, after, limit)).await
    }

    async fn expire(
        &self,
        bucket: BucketUid,
        due: Vec<(DueEntry, [u8; 8])>,
        now: Timestamp,
    ) -> Result<Vec<Expiry>, MetaError> {
        self.write(move |tables| tables.expire(bucket, &due, now)).await
    }
}
