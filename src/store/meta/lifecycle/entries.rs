//! The versions of a key, and what of them is due: the one function that says what is in an index.

use std::ops::Bound;

use redb::StorageError;

use super::{DueEntry, DueWhat};
use crate::model::clock::Timestamp;
use crate::model::lifecycle::{Due, RulesInForce};
use crate::model::names::ObjectKey;
use crate::model::object::Version;
use crate::model::version::Stamp;
use crate::store::meta::kv::ReadableTable;
use crate::store::meta::rows::decode_version;
use crate::store::meta::tables::{Row, decode_object};
use crate::store::meta::versions::VersionName;

/// The tables that the versions of a key are in.
pub(super) struct KeyTables<'t, O, V> {
    pub(super) objects: &'t O,
    pub(super) versions: &'t V,
}

/// A bucket with rules, by its rows: what is due there is read from these tables, by everyone who asks.
pub(super) struct RuledBucket<'t, O, V, U> {
    pub(super) keys: KeyTables<'t, O, V>,
    pub(super) uploads: &'t U,
    pub(super) bucket: u64,
    pub(super) rules: &'t RulesInForce,
}

/// A version, without parts.
pub(super) struct Entry {
    /// Of one that is not the current object.
    pub(super) stamp: Option<Stamp>,
    pub(super) version: Version,
}

impl Entry {
    fn time(&self) -> Timestamp {
        match &self.version {
            Version::Object(object) => object.modified_at,
            Version::Marker(marker) => marker.made_at,
        }
    }

    /// The bytes of an object.
    pub(super) fn size(&self) -> u64 {
        match &self.version {
            Version::Object(object) => object.size,
            Version::Marker(_) => 0,
        }
    }
}

/// Versions of a key that follow each other, the newest first.
#[derive(Default)]
pub(super) struct Stretch {
    /// How many are newer; no more are counted than rules tell apart.
    newer: usize,
    /// When the one before the first was made.
    before: Option<Timestamp>,
    pub(super) entries: Vec<Entry>,
    /// Whether there are older ones.
    pub(super) has_more: bool,
}

/// Where versions of a key begin or end.
type VersionBound<'k> = Bound<(u64, &'k [u8], u64)>;

/// All versions of a key before a stamp.
fn older(name: (u64, &[u8]), than: Option<Stamp>) -> (VersionBound<'_>, VersionBound<'_>) {
    let first = than
        .map_or(Bound::Included((name.0, name.1, 0)), |stamp| Bound::Excluded((name.0, name.1, !stamp.0)));
    (first, Bound::Included((name.0, name.1, u64::MAX)))
}

impl<O, V> KeyTables<'_, O, V>
where
    O: ReadableTable<(u64, &'static [u8]), Row>,
    V: ReadableTable<VersionName, Row>,
{
    /// The versions of a key before a stamp, as long as `goes_on` says so of those read. Of newer ones, `newer_max` are
    /// counted.
    pub(super) fn stretch(
        &self,
        name: (u64, &[u8]),
        older_than: Option<Stamp>,
        newer_max: usize,
        goes_on: impl Fn(&[Entry]) -> bool,
    ) -> Result<Stretch, StorageError> {
        let current = self.objects.get(name)?.map(|row| decode_object(row.value())).transpose()?;
        let current = current.map(|object| Entry { stamp: None, version: Version::Object(Box::new(object)) });
        let mut stretch = Stretch::default();
        match older_than {
            None => stretch.entries.extend(current),
            Some(stamp) => {
                let newer = (name.0, name.1, 0)..=(name.0, name.1, !stamp.0);
                let before = self.versions.last_in::<(u64, &[u8], u64)>(newer.clone())?;
                let before = before.map(|(_, row)| decode_version(row.value())).transpose()?;
                let before = before.map(|version| Entry { stamp: None, version });
                stretch.newer = self.versions.range::<(u64, &[u8], u64)>(newer)?.take(newer_max).count()
                    + usize::from(current.is_some());
                stretch.before = before.or(current).map(|entry| entry.time());
            }
        }
        for entry in self.versions.range::<(u64, &[u8], u64)>(older(name, older_than))? {
            if !goes_on(&stretch.entries) {
                stretch.has_more = true;
                break;
            }
            let (name, row) = entry?;
            let (stamp, version) = (Some(Stamp(!name.value().2)), decode_version(row.value())?);
            stretch.entries.push(Entry { stamp, version });
        }
        Ok(stretch)
    }

    /// The stamp of the version that came after the one of a stamp; `None` if that is the current object.
    pub(super) fn next_newer(
        &self,
        (bucket, key): (u64, &[u8]),
        stamp: Stamp,
    ) -> Result<Option<Stamp>, StorageError> {
        let newer = (bucket, key, 0)..(bucket, key, !stamp.0);
        let next = self.versions.last_in::<(u64, &[u8], u64)>(newer)?;
        Ok(next.map(|(name, _)| Stamp(!name.value().2)))
    }
}

impl Stretch {
    /// Gives all that is, or will be, due of these versions, with the version and the rule.
    pub(super) fn each_due<'r>(
        &self,
        rules: &'r RulesInForce,
        key: &ObjectKey,
        mut give: impl FnMut(DueEntry, &Entry, Due<'r>),
    ) {
        let mut before = self.before;
        for (offset, entry) in self.entries.iter().enumerate() {
            let newer = self.newer + offset;
            let is_alone = self.entries.len() == 1 && !self.has_more;
            let found = match (newer, &entry.version, entry.stamp) {
                (0, Version::Object(object), _) => {
                    rules.of_current(key.as_str(), object).map(|due| (DueWhat::Current, due))
                }
                (0, Version::Marker(marker), Some(stamp)) if is_alone => {
                    let due = rules.of_lone_marker(key.as_str(), marker.made_at);
                    due.map(|due| (DueWhat::LoneMarker(stamp), due))
                }
                (1.., version, Some(stamp)) => {
                    let since = before.unwrap_or_else(|| entry.time());
                    let due = rules.of_noncurrent(key.as_str(), version, since, newer - 1);
                    due.map(|due| (DueWhat::Noncurrent(stamp), due))
                }
                _ => None,
            };
            if let Some((what, due)) = found {
                give(DueEntry { at: due.at, key: key.clone(), what }, entry, due);
            }
            before = Some(entry.time());
        }
    }
}
