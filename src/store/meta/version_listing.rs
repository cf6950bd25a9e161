//! Reading versions: single ones, and pages of all of them, merged from the current objects and the others.

use std::ops::Bound;

use redb::StorageError;

use super::kv::{ReadTable, ReadTransaction, ReadableTable as _};
use super::listing::{common_prefix, successor};
use super::tables::{self, Row, decode, decode_object};
use super::versions::{self, NULL_VERSIONS, VERSIONS, VersionName};
use crate::model::bucket::BucketUid;
use crate::model::listing::{VersionEntry, VersionPage, VersionQuery};
use crate::model::names::ObjectKey;
use crate::model::object::{Object, Version};
use crate::model::version::{Stamp, VersionRef};

/// The tables that versions are read from.
pub(super) struct VersionTables {
    objects: ReadTable<(u64, &'static [u8]), Row>,
    versions: ReadTable<VersionName, Row>,
    nulls: ReadTable<(u64, &'static [u8]), u64>,
}

/// A page that is being filled.
struct Filling<'q> {
    query: &'q VersionQuery,
    page: VersionPage,
    last: Option<(String, Option<VersionRef>)>,
}

impl Filling<'_> {
    /// Whether one more fits; if not, the next page begins after the last one.
    fn has_room(&mut self) -> bool {
        let is_full = self.page.versions.len() + self.page.common_prefixes.len() >= self.query.limit;
        if is_full {
            self.page.next = self.last.take();
        }
        !is_full
    }

    fn add(&mut self, key: &ObjectKey, version: Version, is_latest: bool) {
        self.last = Some((key.as_str().to_owned(), Some(version.name())));
        self.page.versions.push(VersionEntry { key: key.clone(), version, is_latest });
    }
}

fn corrupt(error: impl std::fmt::Display) -> StorageError {
    StorageError::Corrupted(error.to_string())
}

impl VersionTables {
    pub(super) fn open(snapshot: &ReadTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            objects: snapshot.open_table(tables::OBJECTS)?,
            versions: snapshot.open_table(VERSIONS)?,
            nulls: snapshot.open_table(NULL_VERSIONS)?,
        })
    }

    /// A version that is not the current object.
    pub(super) fn find(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Version>, StorageError> {
        let found = versions::find(&self.versions, &self.nulls, bucket, key, version)?;
        Ok(found.map(|(_, version)| version))
    }

    /// The newest version that is not the current object.
    pub(super) fn newest(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Version>, StorageError> {
        Ok(versions::newest(&self.versions, bucket, key)?.map(|(_, version)| version))
    }

    /// A page of all versions of a bucket.
    pub(super) fn page(&self, bucket: BucketUid, query: &VersionQuery) -> Result<VersionPage, StorageError> {
        let mut filling = Filling { query, page: VersionPage::default(), last: None };
        let prefix = query.prefix.as_bytes();
        let mut from = Bound::Included(prefix.to_vec());
        if let Some(marker) = query.key_marker.as_deref().filter(|marker| marker.as_bytes() >= prefix) {
            from = match rolled_up(marker, query) {
                Some(rolled) if rolled == marker => Bound::Included(successor(rolled)),
                _ => Bound::Excluded(marker.as_bytes().to_vec()),
            };
            if let (Some(version), Ok(key)) = (query.version_marker, ObjectKey::new(marker))
                && !self.fill_key(bucket, &key, Some(version), &mut filling)?
            {
                return Ok(filling.page);
            }
        }
        while let Some(key) =
            self.next_key(bucket, &from)?.filter(|key| key.as_str().starts_with(&query.prefix))
        {
            if let Some(rolled) = rolled_up(key.as_str(), query) {
                if !filling.has_room() {
                    break;
                }
                filling.last = Some((rolled.to_owned(), None));
                filling.page.common_prefixes.push(rolled.to_owned());
                from = Bound::Included(successor(rolled));
                continue;
            }
            if !self.fill_key(bucket, &key, None, &mut filling)? {
                break;
            }
            from = Bound::Excluded(key.as_str().as_bytes().to_vec());
        }
        Ok(filling.page)
    }

    /// Adds the versions of a key, or those after one; answers whether there was room for all.
    fn fill_key(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        after: Option<VersionRef>,
        filling: &mut Filling<'_>,
    ) -> Result<bool, StorageError> {
        let name = key.as_str().as_bytes();
        let current =
            self.objects.get((bucket.0, name))?.map(|row| decode_object(row.value())).transpose()?;
        // Without a marker, a current object is simply the latest and comes first.
        let newest = match (&current, after) {
            (Some(_), None) => None,
            _ => versions::newest(&self.versions, bucket, key)?.map(|(stamp, _)| stamp),
        };
        let latest = current.as_ref().map(|object| stamp_of(object, newest)).or(newest);
        let start = match after {
            None => None,
            Some(VersionRef::Null) if current.as_ref().is_some_and(|object| object.version.is_none()) => {
                latest
            }
            Some(after) => self.position(bucket, key, after)?,
        };
        if let Some(object) = current
            && start.is_none_or(|start| latest < Some(start))
        {
            if !filling.has_room() {
                return Ok(false);
            }
            filling.add(key, Version::Object(Box::new(object)), true);
        }
        let first = start.map_or(Bound::Included((bucket.0, name, 0)), |stamp| {
            Bound::Excluded((bucket.0, name, !stamp.0))
        });
        let last = Bound::Included((bucket.0, name, u64::MAX));
        for entry in self.versions.range::<(u64, &[u8], u64)>((first, last))? {
            if !filling.has_room() {
                return Ok(false);
            }
            let (name, row) = entry?;
            let version = without_parts(decode(row.value())?);
            filling.add(key, version, latest == Some(Stamp(!name.value().2)));
        }
        Ok(true)
    }

    /// Where a version is, or was, among those of its key; `None` if that is not known any more. A client may have deleted
    /// what it has seen, so that a version which was not current has become it.
    fn position(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Stamp>, StorageError> {
        match version {
            VersionRef::Id(id) => Ok(Some(id.stamp)),
            VersionRef::Null => {
                let stamp = self.nulls.get((bucket.0, key.as_str().as_bytes()))?;
                Ok(stamp.map(|stamp| Stamp(stamp.value())))
            }
        }
    }

    /// The first key that has an object or a version.
    fn next_key(&self, bucket: BucketUid, from: &Bound<Vec<u8>>) -> Result<Option<ObjectKey>, StorageError> {
        let end = Bound::Excluded((bucket.0 + 1, [].as_slice()));
        let start = from.as_ref().map(|key| (bucket.0, key.as_slice()));
        let object = self.objects.first_in::<(u64, &[u8])>((start, end))?;
        let object = object.map(|(name, _)| name.value().1.to_vec());
        let start = match from {
            Bound::Included(key) => Bound::Included((bucket.0, key.as_slice(), 0)),
            Bound::Excluded(key) => Bound::Excluded((bucket.0, key.as_slice(), u64::MAX)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let end = Bound::Excluded((bucket.0 + 1, [].as_slice(), 0));
        let version = self.versions.first_in::<(u64, &[u8], u64)>((start, end))?;
        let version = version.map(|(name, _)| name.value().1.to_vec());
        let Some(key) = object.into_iter().chain(version).min() else { return Ok(None) };
        let key = std::str::from_utf8(&key).map_err(corrupt)?;
        Ok(Some(ObjectKey::new(key).map_err(corrupt)?))
    }
}

/// The stamp of a current object. One without an id has none of its own; it is newer than all versions of its key.
fn stamp_of(current: &Object, newest: Option<Stamp>) -> Stamp {
    let written = Stamp::at(current.modified_at);
    current.version.map_or(newest.map_or(written, |newest| written.max(newest.next())), |id| id.stamp)
}

/// The common prefix that a key is rolled up into.
fn rolled_up<'k>(key: &'k str, query: &VersionQuery) -> Option<&'k str> {
    common_prefix(key, &query.prefix, query.delimiter.as_deref())
}

/// Listings do not show parts, of which there may be 10,000.
fn without_parts(version: Version) -> Version {
    match version {
        Version::Object(mut object) => {
            object.parts = Vec::new();
            Version::Object(object)
        }
        marker @ Version::Marker(_) => marker,
    }
}
