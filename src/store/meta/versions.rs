//! Versions in the embedded engine: what a write or a delete does to the versions of its key.
//!
//! The current object of a key has its row in the table of objects, versions or not, so that listings and reads of a bucket
//! without versions are what they were. All other versions and all delete markers have rows of their own, newest first.
//! Invariants:
//! * every version in the table of versions is older than the key's row in the table of objects;
//! * a key without a row in the table of objects has no version, or the newest one is a delete marker;
//! * a key has at most one version without an id.

use std::ops::RangeInclusive;

use redb::StorageError;

use super::kv::{ReadTransaction, ReadableTable, TableDefinition};
use super::tables::{
    Failure, Row, Tables, decode, decode_object, decode_whole_object, encode, encode_object,
};
use super::{Changed, Deletion, MetaError, NewFile};
use crate::model::bucket::{BucketUid, VersionStats};
use crate::model::conditions::WriteCondition;
use crate::model::names::ObjectKey;
use crate::model::object::{DeleteMarker, Object, Version};
use crate::model::version::{Stamp, VersionId, VersionRef, Versioning};

/// Bucket, key and stamp; the stamp is inverted, so that the newest comes first.
pub(super) type VersionName = (u64, &'static [u8], u64);

/// [`VersionName`] -> [`Version`]
pub(super) const VERSIONS: TableDefinition<VersionName, Row> = TableDefinition::new("versions");

/// (bucket, key) -> the stamp of the version without an id, if it is in [`VERSIONS`]
pub(super) const NULL_VERSIONS: TableDefinition<(u64, &[u8]), u64> = TableDefinition::new("null_versions");

/// bucket -> its [`Versioning`], if it was ever enabled: 1 enabled, 2 suspended
pub(super) const VERSIONING: TableDefinition<u64, u8> = TableDefinition::new("versioning");

/// bucket -> (bytes, objects, delete markers) in [`VERSIONS`]
pub(super) const VERSION_STATS: TableDefinition<u64, (u64, u64, u64)> = TableDefinition::new("version_stats");

/// The names of all versions of a key.
fn versions_of(bucket: u64, key: &[u8]) -> RangeInclusive<(u64, &[u8], u64)> {
    (bucket, key, 0)..=(bucket, key, u64::MAX)
}

/// Whether a bucket keeps versions.
pub(super) fn versioning(
    table: &impl ReadableTable<u64, u8>,
    bucket: BucketUid,
) -> Result<Versioning, StorageError> {
    match table.get(bucket.0)?.map(|state| state.value()) {
        None => Ok(Versioning::Off),
        Some(1) => Ok(Versioning::Enabled),
        Some(2) => Ok(Versioning::Suspended),
        Some(other) => Err(StorageError::Corrupted(format!("there is no versioning state {other}"))),
    }
}

/// The stamp and the row of the newest version that is not current.
pub(super) fn newest(
    versions: &impl ReadableTable<VersionName, Row>,
    bucket: BucketUid,
    key: &ObjectKey,
) -> Result<Option<(Stamp, Version)>, StorageError> {
    let all = versions_of(bucket.0, key.as_str().as_bytes());
    let Some((name, row)) = versions.first_in::<(u64, &[u8], u64)>(all)? else { return Ok(None) };
    Ok(Some((Stamp(!name.value().2), decode(row.value())?)))
}

/// The stamp of a version that is not current, and the version.
pub(super) fn find(
    versions: &impl ReadableTable<VersionName, Row>,
    nulls: &impl ReadableTable<(u64, &'static [u8]), u64>,
    bucket: BucketUid,
    key: &ObjectKey,
    wanted: VersionRef,
) -> Result<Option<(Stamp, Version)>, StorageError> {
    let key = key.as_str().as_bytes();
    let stamp = match wanted {
        VersionRef::Id(id) => Some(id.stamp),
        VersionRef::Null => nulls.get((bucket.0, key))?.map(|stamp| Stamp(stamp.value())),
    };
    let Some(stamp) = stamp else { return Ok(None) };
    let Some(row) = versions.get((bucket.0, key, !stamp.0))? else { return Ok(None) };
    let version: Version = decode(row.value())?;
    Ok((version.name() == wanted).then_some((stamp, version)))
}

/// How much the versions of a bucket are that are not current.
pub(super) fn stats(snapshot: &ReadTransaction, bucket: BucketUid) -> Result<VersionStats, redb::Error> {
    let (bytes, objects, delete_markers) = snapshot.open_table(VERSION_STATS)?.total(bucket.0)?;
    Ok(VersionStats { bytes, objects, delete_markers })
}

/// What a version adds to the numbers of its bucket: bytes, objects, delete markers.
fn numbers_of(version: &Version) -> (u64, u64, u64) {
    match version {
        Version::Object(object) => (object.size, 1, 0),
        Version::Marker(_) => (0, 0, 1),
    }
}

/// A key in a transaction that changes it.
#[derive(Clone, Copy)]
struct Key<'k> {
    bucket: BucketUid,
    key: &'k ObjectKey,
}

impl Key<'_> {
    fn object_name(&self) -> (u64, &[u8]) {
        (self.bucket.0, self.key.as_str().as_bytes())
    }

    fn version_name(&self, stamp: Stamp) -> (u64, &[u8], u64) {
        (self.bucket.0, self.key.as_str().as_bytes(), !stamp.0)
    }
}

impl Tables<'_> {
    /// Whether a bucket keeps versions.
    pub(super) fn versioning_of(&self, bucket: BucketUid) -> Result<Versioning, StorageError> {
        versioning(&self.versioning, bucket)
    }

    /// Writes an object to a key whose present object is `present`. It has the id that it is to have if the bucket gives
    /// ids, made of the time now.
    pub(super) fn put_object(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        present: Option<Object>,
        object: &Object,
        file: Option<&NewFile>,
    ) -> Result<Changed, StorageError> {
        let at = Key { bucket, key };
        // Use the new before letting go of the old: they may be one file.
        self.use_file(&object.file, file)?;
        let had_object = present.is_some();
        let versioning = versioning(&self.versioning, bucket)?;
        let (version, replaced) = match (versioning, object.version) {
            (Versioning::Enabled, Some(proposed)) => {
                let newest = self.keep_present(at, present.as_ref())?;
                (Some(later_than(proposed, newest)), None)
            }
            (Versioning::Suspended, _) => (None, self.replace_null(at, present)?.0),
            (Versioning::Off, _) | (Versioning::Enabled, None) => (None, present),
        };
        let stored;
        let object = if object.version == version {
            object
        } else {
            stored = Object { version, ..object.clone() };
            &stored
        };
        self.objects.insert(at.object_name(), encode_object(object)?.as_slice())?;
        self.count_current(bucket, replaced.as_ref(), Some(object))?;
        let replaced = replaced.map(|replaced| replaced.file);
        if replaced != Some(object.file) {
            self.hold_file(bucket, &object.file)?;
        }
        if let Some(replaced) = replaced {
            if replaced != object.file {
                self.leave_file(bucket, &replaced)?;
            }
            self.release_file(&replaced)?;
        }
        if !had_object {
            self.enter_folder(bucket, key)?;
        }
        let version = (versioning != Versioning::Off).then_some(version.into());
        Ok(Changed { version, is_marker: false })
    }

    /// Deletes what is current, or the version that is named, whose lock must allow it.
    pub(super) fn delete_object(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        deletion: &Deletion,
    ) -> Result<Changed, Failure> {
        let at = Key { bucket, key };
        let present = self.present_object(bucket, key)?;
        if let Some(version) = deletion.version {
            return self.delete_version(at, present, version, condition, deletion);
        }
        condition.check(present.as_ref().map(|object| &object.etag)).map_err(MetaError::from)?;
        let had_object = present.is_some();
        let made = match versioning(&self.versioning, bucket)? {
            Versioning::Off => {
                if let Some(present) = present {
                    self.drop_current(at, &present)?;
                }
                None
            }
            Versioning::Enabled => {
                let newest = self.keep_present(at, present.as_ref())?;
                let version = later_than(deletion.marker, newest);
                self.put_marker(at, version.stamp, Some(version), deletion)?;
                Some(VersionRef::Id(version))
            }
            Versioning::Suspended => {
                let (replaced, newest) = self.replace_null(at, present)?;
                if let Some(replaced) = replaced {
                    self.drop_current(at, &replaced)?;
                }
                let stamp = later_than(deletion.marker, newest).stamp;
                self.put_marker(at, stamp, None, deletion)?;
                self.null_versions.insert(at.object_name(), stamp.0)?;
                Some(VersionRef::Null)
            }
        };
        if had_object {
            self.leave_folder(bucket, key)?;
        }
        Ok(Changed { version: made, is_marker: made.is_some() })
    }

    fn delete_version(
        &mut self,
        at: Key<'_>,
        present: Option<Object>,
        wanted: VersionRef,
        condition: &WriteCondition,
        deletion: &Deletion,
    ) -> Result<Changed, Failure> {
        let may_go = |object: &Object| {
            condition.check(Some(&object.etag)).map_err(MetaError::from)?;
            let is_locked = object.lock.forbids_delete(deletion.at, deletion.bypasses_governance);
            if is_locked { Err(MetaError::Locked) } else { Ok(()) }
        };
        let had_object = present.is_some();
        let mut changed = Changed { version: Some(wanted), is_marker: false };
        if let Some(current) = present.filter(|object| VersionRef::from(object.version) == wanted) {
            may_go(&current)?;
            self.drop_current(at, &current)?;
        } else {
            let found = find(&self.versions, &self.null_versions, at.bucket, at.key, wanted)?;
            // A version never comes back: one that is gone is deleted already, whatever the condition.
            let Some((stamp, version)) = found else { return Ok(changed) };
            match &version {
                Version::Object(object) => may_go(object)?,
                Version::Marker(_) => changed.is_marker = true,
            }
            self.take_version(at, stamp, &version)?;
            if let Version::Object(object) = &version {
                self.drop_file(at.bucket, &object.file)?;
            }
            if had_object {
                return Ok(changed);
            }
        }
        let is_promoted = self.promote(at)?;
        match (had_object, is_promoted) {
            (true, false) => self.leave_folder(at.bucket, at.key)?,
            (false, true) => self.enter_folder(at.bucket, at.key)?,
            _ => {}
        }
        Ok(changed)
    }

    /// Makes the newest version current, if it is an object and nothing is; answers whether an object is current then.
    fn promote(&mut self, at: Key<'_>) -> Result<bool, StorageError> {
        let Some((stamp, version)) = newest(&self.versions, at.bucket, at.key)? else { return Ok(false) };
        let Version::Object(object) = &version else { return Ok(false) };
        self.take_version(at, stamp, &version)?;
        self.objects.insert(at.object_name(), encode_object(object)?.as_slice())?;
        self.count_current(at.bucket, None, Some(object))?;
        Ok(true)
    }

    /// Moves the present object, if there is one, to the versions that are not current; answers the newest stamp there.
    fn keep_present(&mut self, at: Key<'_>, present: Option<&Object>) -> Result<Option<Stamp>, StorageError> {
        let newest = newest(&self.versions, at.bucket, at.key)?.map(|(stamp, _)| stamp);
        if present.is_none() {
            return Ok(newest);
        }
        let row = self.objects.take(at.object_name())?;
        let Some(object) = row.map(|row| decode_whole_object(row.value())).transpose()? else {
            return Ok(newest);
        };
        let stamp = match object.version {
            Some(id) => id.stamp,
            // It was written without one; no other version may have the same.
            None => newest.map_or(Stamp::at(object.modified_at), |newest| {
                Stamp::at(object.modified_at).max(newest.next())
            }),
        };
        if object.version.is_none() {
            self.null_versions.insert(at.object_name(), stamp.0)?;
        }
        self.count_current(at.bucket, Some(&object), None)?;
        self.put_version(at, stamp, &Version::Object(Box::new(object)))?;
        Ok(Some(stamp))
    }

    /// Makes room for a version without an id. A present object with an id is kept, and a version without one that is
    /// not current goes; one that is current is answered, for the caller to replace. Answers the newest stamp, too.
    fn replace_null(
        &mut self,
        at: Key<'_>,
        present: Option<Object>,
    ) -> Result<(Option<Object>, Option<Stamp>), StorageError> {
        if present.as_ref().is_some_and(|present| present.version.is_none()) {
            let newest = newest(&self.versions, at.bucket, at.key)?;
            return Ok((present, newest.map(|(stamp, _)| stamp)));
        }
        let newest = self.keep_present(at, present.as_ref())?;
        if let Some((stamp, version)) =
            find(&self.versions, &self.null_versions, at.bucket, at.key, VersionRef::Null)?
        {
            self.take_version(at, stamp, &version)?;
            if let Version::Object(object) = &version {
                self.drop_file(at.bucket, &object.file)?;
            }
        }
        Ok((None, newest))
    }

    /// Removes the current object for good. Its folder is the caller's to leave.
    fn drop_current(&mut self, at: Key<'_>, present: &Object) -> Result<(), StorageError> {
        self.objects.remove(at.object_name())?;
        self.count_current(at.bucket, Some(present), None)?;
        self.drop_file(at.bucket, &present.file)
    }

    fn put_marker(
        &mut self,
        at: Key<'_>,
        stamp: Stamp,
        version: Option<VersionId>,
        deletion: &Deletion,
    ) -> Result<(), StorageError> {
        let marker = DeleteMarker { version, made_at: deletion.at };
        self.put_version(at, stamp, &Version::Marker(marker))
    }

    fn put_version(&mut self, at: Key<'_>, stamp: Stamp, version: &Version) -> Result<(), StorageError> {
        self.versions.insert(at.version_name(stamp), encode(version)?.as_slice())?;
        self.version_stats.add(at.bucket.0, numbers_of(version), (0, 0, 0))
    }

    /// Removes a row of a version; what becomes of its file is for the caller.
    fn take_version(&mut self, at: Key<'_>, stamp: Stamp, version: &Version) -> Result<(), StorageError> {
        self.versions.remove(at.version_name(stamp))?;
        if version.name() == VersionRef::Null {
            self.null_versions.remove(at.object_name())?;
        }
        self.version_stats.add(at.bucket.0, (0, 0, 0), numbers_of(version))
    }

    /// Lets go of a version's file.
    fn drop_file(
        &mut self,
        bucket: BucketUid,
        file: &crate::xet::hash::FileHash,
    ) -> Result<(), StorageError> {
        self.leave_file(bucket, file)?;
        self.release_file(file)
    }

    pub(super) fn present_object(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
    ) -> Result<Option<Object>, StorageError> {
        let row = self.objects.get((bucket.0, key.as_str().as_bytes()))?;
        row.map(|row| decode_object(row.value())).transpose()
    }

    /// Changes an object in place: the current one, or the version that is named.
    pub(super) fn amend(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: Option<VersionRef>,
        amend: impl FnOnce(&mut Object) -> Result<(), MetaError>,
    ) -> Result<Changed, Failure> {
        let at = Key { bucket, key };
        let row =
            self.objects.get(at.object_name())?.map(|row| decode_whole_object(row.value())).transpose()?;
        let current = row.filter(|object| version.is_none_or(|version| version == object.version.into()));
        let has_versions = versioning(&self.versioning, bucket)? != Versioning::Off;
        if let Some(mut object) = current {
            amend(&mut object)?;
            self.objects.insert(at.object_name(), encode_object(&object)?.as_slice())?;
            return Ok(Changed { version: has_versions.then_some(object.version.into()), is_marker: false });
        }
        let wanted = version.ok_or(MetaError::NoSuchObject)?;
        let found = find(&self.versions, &self.null_versions, bucket, key, wanted)?;
        match found.ok_or(MetaError::NoSuchVersion)? {
            (_, Version::Marker(_)) => Err(MetaError::IsDeleteMarker.into()),
            (stamp, Version::Object(mut object)) => {
                amend(&mut object)?;
                let row = encode(&Version::Object(object))?;
                self.versions.insert(at.version_name(stamp), row.as_slice())?;
                Ok(Changed { version: Some(wanted), is_marker: false })
            }
        }
    }

    /// Says whether a bucket keeps versions from now on; it never becomes one that has none again.
    pub(super) fn set_versioning(
        &mut self,
        bucket: BucketUid,
        versioning: Versioning,
    ) -> Result<(), StorageError> {
        match versioning {
            Versioning::Off => Ok(()),
            Versioning::Enabled => self.versioning.insert(bucket.0, 1),
            Versioning::Suspended => self.versioning.insert(bucket.0, 2),
        }
    }

    /// Whether a bucket has versions or delete markers that are not current objects.
    pub(super) fn has_versions(&self, bucket: u64) -> Result<bool, StorageError> {
        Ok(self.version_stats.total(bucket)? != (0, 0, 0))
    }

    /// Removes all versions of a bucket that goes.
    pub(super) fn delete_versions_of(&mut self, bucket: u64) -> Result<(), StorageError> {
        let all = (bucket, [].as_slice(), 0)..(bucket + 1, [].as_slice(), 0);
        let mut dead = Vec::new();
        for entry in self.versions.range(all.clone())? {
            let version: Version = decode(entry?.1.value())?;
            dead.extend(version.into_object().map(|object| object.file));
        }
        self.versions.remove_in(all)?;
        for file in dead {
            self.release_file(&file)?;
        }
        self.null_versions.remove_in((bucket, [].as_slice())..(bucket + 1, [].as_slice()))?;
        self.version_stats.forget(bucket)?;
        self.versioning.remove(bucket)?;
        Ok(())
    }
}

/// The id that was proposed, or one with a later stamp if others are not older.
fn later_than(proposed: VersionId, newest: Option<Stamp>) -> VersionId {
    let stamp = newest.map_or(proposed.stamp, |newest| proposed.stamp.max(newest.next()));
    VersionId { stamp, ..proposed }
}
