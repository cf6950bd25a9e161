//! Filling the index of new rules, in small steps, and emptying the one before; and comparing an index with what must be in
//! it, which walks in the same way.

use std::ops::Bound;

use redb::StorageError;

use super::entries::{KeyTables, RuledBucket};
use super::keeping::{in_force, upload_due, window};
use super::{DUE, DueCheck, DueEntry, DueName, INDEXING, IndexWork, LIFECYCLES, Place};
use crate::model::bucket::BucketUid;
use crate::model::lifecycle::RulesInForce;
use crate::model::names::ObjectKey;
use crate::model::upload::Upload;
use crate::model::version::Stamp;
use crate::store::meta::kv::{ReadTransaction, ReadableTable};
use crate::store::meta::tables::{self, Row, Tables, decode, encode};
use crate::store::meta::versions::{VERSIONS, VersionName};

/// All rows of an index.
type AllOf = std::ops::Range<(u64, u64, &'static [u8], &'static [u8])>;

pub(super) fn all_of(index: u64) -> AllOf {
    (index, 0, &[], &[])..(index + 1, 0, &[], &[])
}

impl<O, V, U> RuledBucket<'_, O, V, U>
where
    O: ReadableTable<(u64, &'static [u8]), Row>,
    V: ReadableTable<VersionName, Row>,
    U: ReadableTable<(u64, &'static [u8], &'static str), Row>,
{
    /// What is due from a place on, of about so many rows; and the next place, unless it is the end.
    fn step(&self, place: &Place, limit: usize) -> Result<(Vec<DueEntry>, Option<Place>), StorageError> {
        match place {
            Place::Keys(key, stamp) => self.keys(key.clone(), *stamp, limit),
            Place::Uploads(key, upload) => self.uploads(key, upload, limit),
        }
    }

    fn keys(
        &self,
        mut key: Vec<u8>,
        mut stamp: Option<Stamp>,
        limit: usize,
    ) -> Result<(Vec<DueEntry>, Option<Place>), StorageError> {
        let (mut due, mut left) = (Vec::new(), limit);
        loop {
            if stamp.is_none() {
                match self.next_key(&key)? {
                    Some(next) => key = next,
                    None => return Ok((due, Some(Place::Uploads(Vec::new(), String::new())))),
                }
            }
            let name = std::str::from_utf8(&key).ok().and_then(|key| ObjectKey::new(key).ok());
            let name = name.ok_or_else(|| StorageError::Corrupted("a key is not UTF-8".to_owned()))?;
            // At least two, so that the first is known to be alone or not.
            let room = left.max(2);
            let read = self
                .keys
                .stretch((self.bucket, &key), stamp, window(self.rules), |read| read.len() < room)?;
            read.each_due(self.rules, &name, |entry, _, _| due.push(entry));
            left = left.saturating_sub(read.entries.len().max(1));
            stamp = read.entries.last().and_then(|entry| entry.stamp).filter(|_| read.has_more);
            if left == 0 {
                return Ok((due, Some(Place::Keys(key, stamp))));
            }
        }
    }

    /// The first key after one that has an object or a version.
    fn next_key(&self, after: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let range =
            (Bound::Excluded((self.bucket, after)), Bound::Excluded((self.bucket + 1, [].as_slice())));
        let object = self.keys.objects.first_in::<(u64, &[u8])>(range)?;
        let object = object.map(|(name, _)| name.value().1.to_vec());
        let range = (
            Bound::Excluded((self.bucket, after, u64::MAX)),
            Bound::Excluded((self.bucket + 1, [].as_slice(), 0)),
        );
        let version = self.keys.versions.first_in::<(u64, &[u8], u64)>(range)?;
        let version = version.map(|(name, _)| name.value().1.to_vec());
        Ok(object.into_iter().chain(version).min())
    }

    fn uploads(
        &self,
        key: &[u8],
        upload: &str,
        limit: usize,
    ) -> Result<(Vec<DueEntry>, Option<Place>), StorageError> {
        let range = (
            Bound::Excluded((self.bucket, key, upload)),
            Bound::Excluded((self.bucket + 1, [].as_slice(), "")),
        );
        let (mut due, mut last) = (Vec::new(), None);
        for (count, entry) in self.uploads.range::<(u64, &[u8], &str)>(range)?.enumerate() {
            if count == limit {
                return Ok((due, last));
            }
            let upload: Upload = decode(entry?.1.value())?;
            due.extend(upload_due(self.rules, &upload));
            let key = upload.key.as_str().as_bytes().to_vec();
            last = Some(Place::Uploads(key, upload.id.as_str().to_owned()));
        }
        Ok((due, None))
    }
}

/// What is to be done next: indexes are filled before others are emptied.
fn next_work(indexing: &impl ReadableTable<u64, Row>) -> Result<Option<(u64, IndexWork)>, StorageError> {
    let mut first = None;
    for entry in indexing.all()? {
        let (index, work) = entry?;
        let (index, work) = (index.value(), decode(work.value())?);
        if matches!(work, IndexWork::Fill(..)) {
            return Ok(Some((index, work)));
        }
        first.get_or_insert((index, work));
    }
    Ok(first)
}

/// Whether there is work on any index.
pub(super) fn has_work(snapshot: &ReadTransaction) -> Result<bool, redb::Error> {
    Ok(!snapshot.open_table(INDEXING)?.is_empty()?)
}

impl Tables<'_> {
    /// One step; answers whether there may be more to do.
    pub(super) fn index_step(&mut self, limit: usize) -> Result<bool, StorageError> {
        let Some((index, work)) = next_work(&self.indexing)? else { return Ok(false) };
        let next = match work {
            IndexWork::Fill(bucket, place) => self.fill(index, bucket, &place, limit)?,
            IndexWork::Empty => self.empty(index, limit)?.then_some(IndexWork::Empty),
        };
        match next {
            Some(work) => self.indexing.insert(index, encode(&work)?.as_slice())?,
            None => self.indexing.remove(index)?,
        }
        Ok(true)
    }

    fn fill(
        &mut self,
        index: u64,
        bucket: BucketUid,
        place: &Place,
        limit: usize,
    ) -> Result<Option<IndexWork>, StorageError> {
        let rules = self.rules_of(bucket)?.filter(|rules| rules.index == index);
        let Some(rules) = rules else { return Ok(Some(IndexWork::Empty)) };
        let (due, next) = self.ruled(bucket, &rules.rules).step(place, limit)?;
        due.iter().try_for_each(|entry| self.note_due(index, entry))?;
        Ok(next.map(|place| IndexWork::Fill(bucket, place)))
    }

    /// Removes rows of an index; answers whether there are more.
    fn empty(&mut self, index: u64, limit: usize) -> Result<bool, StorageError> {
        let mut rows = Vec::with_capacity(limit);
        for entry in self.due.range(all_of(index))?.take(limit) {
            let (row, _) = entry?;
            let (_, at, key, what) = row.value();
            rows.push((at, key.to_vec(), what.to_vec()));
        }
        for (at, key, what) in &rows {
            self.due.remove((index, *at, key.as_slice(), what.as_slice()))?;
        }
        Ok(rows.len() == limit)
    }
}

/// Compares a part of a bucket's index with what must be in it. `None` if it has none, or one that is not filled yet.
pub(in crate::store::meta) fn missing_rows(
    snapshot: &ReadTransaction,
    bucket: BucketUid,
    place: &Place,
    limit: usize,
) -> Result<Option<DueCheck>, redb::Error> {
    let (objects, versions) = (snapshot.open_table(tables::OBJECTS)?, snapshot.open_table(VERSIONS)?);
    let (uploads, due) = (snapshot.open_table(tables::UPLOADS)?, snapshot.open_table(DUE)?);
    let Some((index, rules)) = filled(snapshot, bucket)? else { return Ok(None) };
    let keys = KeyTables { objects: &objects, versions: &versions };
    let here = RuledBucket { keys, uploads: &uploads, bucket: bucket.0, rules: &rules };
    let (expected, next) = here.step(place, limit)?;
    let mut check = DueCheck { expected: expected.len() as u64, missing: Vec::new(), next };
    for entry in expected {
        if !has_row(&due, index, &entry)? {
            check.missing.push(entry);
        }
    }
    Ok(Some(check))
}

/// The rules of a bucket whose index is filled, and the number of that.
fn filled(snapshot: &ReadTransaction, bucket: BucketUid) -> Result<Option<(u64, RulesInForce)>, redb::Error> {
    let (lifecycles, counters) = (snapshot.open_table(LIFECYCLES)?, snapshot.open_table(tables::COUNTERS)?);
    let Some(found) = in_force(&lifecycles, &counters, bucket)? else { return Ok(None) };
    let is_filled = snapshot.open_table(INDEXING)?.get(found.0)?.is_none();
    Ok(is_filled.then_some(found))
}

fn has_row(
    due: &impl ReadableTable<DueName, ()>,
    index: u64,
    entry: &DueEntry,
) -> Result<bool, StorageError> {
    let what = entry.what.to_bytes();
    Ok(due.get((index, entry.at.0, entry.key.as_str().as_bytes(), what.as_slice()))?.is_some())
}

/// How many rows are in the index of a bucket, if it has one that is filled; or, of no bucket, in indexes that nobody has and
/// nobody empties.
pub(in crate::store::meta) fn row_count(
    snapshot: &ReadTransaction,
    bucket: Option<BucketUid>,
) -> Result<u64, redb::Error> {
    let due = snapshot.open_table(DUE)?;
    if let Some(bucket) = bucket {
        let Some((index, _)) = filled(snapshot, bucket)? else { return Ok(0) };
        return Ok(due.range(all_of(index))?.count() as u64);
    }
    let mut owned = std::collections::BTreeSet::new();
    for entry in snapshot.open_table(LIFECYCLES)?.all()? {
        owned.insert(entry?.1.value().0);
    }
    for entry in snapshot.open_table(INDEXING)?.all()? {
        owned.insert(entry?.0.value());
    }
    let (mut rows, mut next) = (0, 0);
    // From index to index, so that the rows of those that somebody has are not read.
    while let Some((row, _)) =
        due.first_in::<(u64, u64, &[u8], &[u8])>((next, 0, [].as_slice(), [].as_slice())..)?
    {
        let index = row.value().0;
        if !owned.contains(&index) {
            rows += due.range(all_of(index))?.count() as u64;
        }
        next = index + 1;
    }
    Ok(rows)
}
