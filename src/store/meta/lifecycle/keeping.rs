//! Keeping an index as its bucket is: in the transaction that changes a key, and in the one that changes the rules.
//!
//! A key may have very many versions, so only those are looked at whose rows a change may touch: the newest ones, down to
//! the last that a rule may keep for its place, and the neighbours of one that goes further down.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use redb::StorageError;

use super::entries::{Entry, KeyTables, RuledBucket, Stretch};
use super::{DueEntry, DueWhat, IndexWork, IndexedRules, Place};
use crate::model::bucket::BucketUid;
use crate::model::lifecycle::{Day, Lifecycle, RulesInForce};
use crate::model::names::ObjectKey;
use crate::model::upload::Upload;
use crate::model::version::{Stamp, VersionRef};
use crate::store::meta::kv::{ReadableTable, Table};
use crate::store::meta::tables::{Row, Tables, decode, encode};
use crate::store::meta::versions::VersionName;

/// The counter of indexes.
const INDEXES: &str = "lifecycle_indexes";

/// The counter that says how many milliseconds a day has, if it is not a day.
const DAY_MS: &str = "lifecycle_day_ms";

/// The tables of a key, in a transaction that writes.
type Objects<'t> = Table<'t, (u64, &'static [u8]), Row>;
type Versions<'t> = Table<'t, VersionName, Row>;
type Uploads<'t> = Table<'t, (u64, &'static [u8], &'static str), Row>;

/// The rules that were looked up in this physical transaction, by bucket.
pub(in crate::store::meta) type RulesCache = HashMap<u64, Option<Arc<IndexedRules>>>;

/// A key, before it is changed.
pub(in crate::store::meta) struct Watched {
    rules: Arc<IndexedRules>,
    /// Versions from this one on are looked at, and the one before it; all, if `None`.
    floor: Option<Stamp>,
    /// Further down, two versions before this one are.
    below: Option<Stamp>,
    before: BTreeSet<DueEntry>,
}

/// A bucket's rules.
pub(in crate::store::meta) fn in_force(
    lifecycles: &impl ReadableTable<u64, (u64, Row)>,
    counters: &impl ReadableTable<&'static str, u64>,
    bucket: BucketUid,
) -> Result<Option<(u64, RulesInForce)>, StorageError> {
    let Some(row) = lifecycles.get(bucket.0)? else { return Ok(None) };
    let (index, row) = row.value();
    Ok(Some((index, RulesInForce { lifecycle: Arc::new(decode(row)?), day: day(counters)? })))
}

/// How many of the newest versions are looked at: those that rules may keep, the current one, and two that may go.
pub(super) fn window(rules: &RulesInForce) -> usize {
    rules.newer_kept_max() + 3
}

fn collect(stretch: &Stretch, rules: &RulesInForce, key: &ObjectKey, into: &mut BTreeSet<DueEntry>) {
    stretch.each_due(rules, key, |entry, _, _| {
        into.insert(entry);
    });
}

impl Tables<'_> {
    pub(super) fn rules_of(&mut self, bucket: BucketUid) -> Result<Option<Arc<IndexedRules>>, StorageError> {
        if let Some(known) = self.rules.get(&bucket.0) {
            return Ok(known.clone());
        }
        let found = in_force(&self.lifecycles, &self.counters, bucket)?;
        let found = found.map(|(index, rules)| Arc::new(IndexedRules { index, rules }));
        self.rules.insert(bucket.0, found.clone());
        Ok(found)
    }

    /// Notes what of a key is in the index, before the key is changed; `going` is a version that may go.
    pub(in crate::store::meta) fn watch_key(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        going: VersionRef,
    ) -> Result<Option<Watched>, StorageError> {
        let Some(rules) = self.rules_of(bucket)? else { return Ok(None) };
        let name = (bucket.0, key.as_str().as_bytes());
        let going = match going {
            VersionRef::Id(id) => Some(id.stamp),
            VersionRef::Null => self.null_versions.get(name)?.map(|stamp| Stamp(stamp.value())),
        };
        let (tables, window) = (self.key_tables(), window(&rules.rules));
        let top = tables.stretch(name, None, window, |read| read.len() <= window)?;
        let is_all = top.entries.len() <= window;
        let floor = if is_all { None } else { top.entries[window - 1].stamp };
        let below = match (floor, going) {
            (Some(floor), Some(going)) if going < floor => tables.next_newer(name, going)?,
            _ => None,
        };
        let mut before = BTreeSet::new();
        collect(&top, &rules.rules, key, &mut before);
        if below.is_some() {
            let deep = tables.stretch(name, below, window, |read| read.len() < 2)?;
            collect(&deep, &rules.rules, key, &mut before);
        }
        Ok(Some(Watched { rules, floor, below, before }))
    }

    /// Brings the index up to date, after a key was changed.
    pub(in crate::store::meta) fn index_key(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        watched: Option<Watched>,
    ) -> Result<(), StorageError> {
        let Some(Watched { rules, floor, below, before }) = watched else { return Ok(()) };
        let name = (bucket.0, key.as_str().as_bytes());
        let is_before = |entry: &Entry| entry.stamp.is_some_and(|stamp| Some(stamp) < floor);
        let (tables, window) = (self.key_tables(), window(&rules.rules));
        let top = tables.stretch(name, None, window, |read| !read.last().is_some_and(is_before))?;
        let mut after = BTreeSet::new();
        collect(&top, &rules.rules, key, &mut after);
        if below.is_some() {
            let deep = tables.stretch(name, below, window, |read| read.len() < 2)?;
            collect(&deep, &rules.rules, key, &mut after);
        }
        before.difference(&after).try_for_each(|entry| self.forget_due(rules.index, entry))?;
        after.difference(&before).try_for_each(|entry| self.note_due(rules.index, entry))
    }

    /// An upload has begun.
    pub(in crate::store::meta) fn index_upload(
        &mut self,
        bucket: BucketUid,
        upload: &Upload,
    ) -> Result<(), StorageError> {
        let Some(rules) = self.rules_of(bucket)? else { return Ok(()) };
        upload_due(&rules.rules, upload).map_or(Ok(()), |entry| self.note_due(rules.index, &entry))
    }

    /// An upload has ended.
    pub(in crate::store::meta) fn leave_upload(
        &mut self,
        bucket: BucketUid,
        upload: &Upload,
    ) -> Result<(), StorageError> {
        let Some(rules) = self.rules_of(bucket)? else { return Ok(()) };
        upload_due(&rules.rules, upload).map_or(Ok(()), |entry| self.forget_due(rules.index, &entry))
    }

    pub(super) fn key_tables(&self) -> KeyTables<'_, Objects<'_>, Versions<'_>> {
        KeyTables { objects: &self.objects, versions: &self.versions }
    }

    pub(super) fn ruled<'s>(
        &'s self,
        bucket: BucketUid,
        rules: &'s RulesInForce,
    ) -> RuledBucket<'s, Objects<'s>, Versions<'s>, Uploads<'s>> {
        RuledBucket { keys: self.key_tables(), uploads: &self.uploads, bucket: bucket.0, rules }
    }

    pub(super) fn note_due(&mut self, index: u64, entry: &DueEntry) -> Result<(), StorageError> {
        let what = entry.what.to_bytes();
        self.due.insert((index, entry.at.0, entry.key.as_str().as_bytes(), what.as_slice()), ())?;
        Ok(())
    }

    pub(super) fn forget_due(&mut self, index: u64, entry: &DueEntry) -> Result<(), StorageError> {
        let what = entry.what.to_bytes();
        self.due.remove((index, entry.at.0, entry.key.as_str().as_bytes(), what.as_slice()))?;
        Ok(())
    }

    /// Gives a bucket other rules, or none, and what they make due to a new index.
    pub(in crate::store::meta) fn set_lifecycle(
        &mut self,
        bucket: BucketUid,
        lifecycle: Option<&Lifecycle>,
    ) -> Result<(), StorageError> {
        let present = in_force(&self.lifecycles, &self.counters, bucket)?;
        if present.as_ref().map(|(_, rules)| &*rules.lifecycle) == lifecycle {
            return Ok(());
        }
        if let Some((index, _)) = present {
            self.lifecycles.remove(bucket.0)?;
            self.indexing.insert(index, encode(&IndexWork::Empty)?.as_slice())?;
        }
        if let Some(lifecycle) = lifecycle {
            let index = self.count_up(INDEXES)?;
            self.lifecycles.insert(bucket.0, (index, encode(lifecycle)?.as_slice()))?;
            let work = IndexWork::Fill(bucket, Place::start());
            self.indexing.insert(index, encode(&work)?.as_slice())?;
        }
        self.rules.remove(&bucket.0);
        Ok(())
    }

    /// Says how long a day is; if that is new, every index is made again.
    pub(super) fn set_lifecycle_day(&mut self, day: Day) -> Result<(), StorageError> {
        match day {
            Day::Utc => self.counters.remove(DAY_MS)?,
            Day::Debug(ms) => self.counters.insert(DAY_MS, ms)?,
        }
        let mut all = Vec::new();
        for entry in self.lifecycles.all()? {
            let (bucket, row) = entry?;
            all.push((BucketUid(bucket.value()), decode::<Lifecycle>(row.value().1)?));
        }
        for (bucket, lifecycle) in all {
            self.set_lifecycle(bucket, None)?;
            self.set_lifecycle(bucket, Some(&lifecycle))?;
        }
        Ok(())
    }
}

/// The row of an upload.
pub(super) fn upload_due(rules: &RulesInForce, upload: &Upload) -> Option<DueEntry> {
    let due = rules.of_upload(upload.key.as_str(), upload.created_at)?;
    Some(DueEntry { at: due.at, key: upload.key.clone(), what: DueWhat::Upload(upload.id.clone()) })
}

/// How long a day is, as was said last.
pub(super) fn day(counters: &impl ReadableTable<&'static str, u64>) -> Result<Day, StorageError> {
    Ok(counters.get(DAY_MS)?.map_or(Day::Utc, |ms| Day::Debug(ms.value())))
}
