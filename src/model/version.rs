//! Versions of objects: their ids, their order, and whether a bucket keeps them.
//!
//! Each write to a key of a bucket with versioning makes a version, and a delete without a version makes a delete marker,
//! which hides the object. The version that was written last is the current one. Source: Amazon S3 User Guide, "Retaining
//! multiple versions of objects with S3 Versioning".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::clock::Timestamp;

/// Whether writes to a bucket keep what they replace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versioning {
    /// No, and they never did.
    #[default]
    Off,
    /// Yes.
    Enabled,
    /// No more: a write replaces the version without an id (`null`), and the others stay.
    Suspended,
}

/// When a version was made: milliseconds since the epoch, then a count. In each key, a version that is made later has a
/// larger stamp, whatever the clock does: the transaction that makes it sees to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// Bits of the count.
const COUNT_BITS: u32 = 16;

impl Stamp {
    /// The first of a moment.
    pub const fn at(at: Timestamp) -> Self {
        Self(at.0 << COUNT_BITS)
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The id of a version: opaque to clients, and another one for each version in every bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionId {
    /// Its place among the versions of its key.
    pub stamp: Stamp,
    /// What tells it from versions that others make at the same time.
    pub random: u64,
}

impl VersionId {
    /// An id for a version that is made now.
    pub fn new(now: Timestamp, random: [u8; 8]) -> Self {
        Self { stamp: Stamp::at(now), random: u64::from_be_bytes(random) }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.stamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.random.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A version as requests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionRef {
    /// The version without an id: written while the bucket had no versioning, or had it suspended.
    Null,
    /// The one of this id.
    Id(VersionId),
}

/// The name of the version without an id.
const NULL: &str = "null";

impl VersionRef {
    /// Reads a `versionId`; `None` if it is no version's.
    pub fn parse(text: &str) -> Option<Self> {
        if text == NULL {
            return Some(Self::Null);
        }
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (stamp, random) = bytes.split_at(8);
        let number = |half: &[u8]| half.try_into().map(u64::from_be_bytes).ok();
        Some(Self::Id(VersionId { stamp: Stamp(number(stamp)?), random: number(random)? }))
    }

    /// The id, if it has one.
    pub fn id(self) -> Option<VersionId> {
        match self {
            Self::Null => None,
            Self::Id(id) => Some(id),
        }
    }
}

impl From<Option<VersionId>> for VersionRef {
    fn from(id: Option<VersionId>) -> Self {
        id.map_or(Self::Null, Self::Id)
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str(NULL),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// What a change of a key has made or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// The version; `None` in a bucket that never had any.
    pub version: Option<VersionRef>,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

impl Changed {
    /// The id of the version; `None` for `null`, too.
    pub fn id(&self) -> Option<VersionId> {
        self.version.and_then(VersionRef::id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is_one() {
        let id = VersionId::new(Timestamp(1_800_000_000_123), [7; 8]);
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(VersionRef::parse(&text), Some(VersionRef::Id(id)));
        assert_eq!(VersionRef::parse("null"), Some(VersionRef::Null));
        assert_eq!(VersionRef::Null.to_string(), "null");
        for other in [
            "",
            "Null",
            "x",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}="),
            "ä",
            "////////////////////+w",
        ] {
            assert_eq!(VersionRef::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn later_stamps_are_larger() {
        let first = Stamp::at(Timestamp(5));
        assert!(first < first.next());
        assert!(first.next() < Stamp::at(Timestamp(6)));
    }
}
