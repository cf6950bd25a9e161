//! Objects: a key's content, and what was said about it.

use std::collections::BTreeMap;
use std::fmt;

use super::checksums::Checksum;
use super::clock::Timestamp;
use super::lock::ObjectLock;
use super::names::{ObjectKey, UploadId};
use super::version::{VersionId, VersionRef};
use crate::xet::hash::FileHash;

/// What S3 shows as an object's `ETag`, without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ETag {
    /// MD5 of the body: single uploads.
    Md5([u8; 16]),
    /// MD5 of the parts' MD5s, and how many parts there were.
    Multipart {
        /// MD5 over the concatenated part MD5s.
        md5: [u8; 16],
        /// Number of parts.
        parts: u16,
    },
    /// The Xet hash: came in by an API that computes no MD5.
    Xet(FileHash),
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(md5) => write_md5(md5, f),
            Self::Multipart { md5, parts } => {
                write_md5(md5, f)?;
                write!(f, "-{parts}")
            }
            Self::Xet(hash) => hash.fmt(f),
        }
    }
}

fn write_md5(md5: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 32];
    hex::encode_to_slice(md5, &mut text).map_err(|_| fmt::Error)?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

/// What a client says about an object beside its bytes; S3's headers of the same names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect_location: Option<String>,
    /// `x-amz-meta-*`, names in lower case without the prefix.
    pub user_metadata: BTreeMap<String, String>,
    /// Object tags.
    pub tags: BTreeMap<String, String>,
}

/// The user metadata that says when a file was last changed where it came from: seconds since the epoch, with a
/// fraction if need be. Source: rclone, S3 backend, "Modification times".
const MTIME: &str = "mtime";

impl Attributes {
    /// When the file was last changed where it came from, if that was said in a way that can be read.
    pub fn mtime(&self) -> Option<Timestamp> {
        let text = self.user_metadata.get(MTIME)?;
        let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let secs: u64 = secs.parse().ok()?;
        let millis = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, d| sum * 10 + u64::from(d - b'0'));
        Some(Timestamp(secs.checked_mul(1000)?.checked_add(millis)?))
    }

    /// Says when the file was last changed. It is kept as user metadata, so that S3 clients which know the name read
    /// and write the same fact.
    pub fn set_mtime(&mut self, at: Timestamp) {
        let (secs, millis) = (at.secs(), at.0 % 1000);
        self.user_metadata.insert(MTIME.to_owned(), format!("{secs}.{millis:03}"));
    }
}

/// An object, in one version of it: its content and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub file: FileHash,
    /// Its length in bytes.
    pub size: u64,
    /// Its `ETag`.
    pub etag: ETag,
    /// When it was last written.
    pub modified_at: Timestamp,
    /// What was said about it.
    pub attributes: Attributes,
    /// The checksums it was stored with.
    pub checksums: Vec<Checksum>,
    /// Its parts, in order, if it came by multipart upload. Not in listings: there may be 10,000.
    pub parts: Vec<ObjectPart>,
    /// The upload it was completed from: a client that asks again gets the same answer.
    pub upload: Option<UploadId>,
    /// Its version; `None` for the one without an id, `null`.
    pub version: Option<VersionId>,
    /// What keeps it from being deleted.
    pub lock: ObjectLock,
}

/// An object as requests name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRef<'k> {
    /// Its key.
    pub key: &'k ObjectKey,
    /// The version; `None` for the current one.
    pub version: Option<VersionRef>,
}

impl<'k> ObjectRef<'k> {
    /// The current object of a key.
    pub const fn current(key: &'k ObjectKey) -> Self {
        Self { key, version: None }
    }
}

/// A delete marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteMarker {
    /// Its id; `None` for the one of `null`.
    pub version: Option<VersionId>,
    /// When it was made.
    pub made_at: Timestamp,
}

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// An object.
    Object(Box<Object>),
    /// A delete marker: from here on, and until the next write, there was no object.
    Marker(DeleteMarker),
}

impl Version {
    /// What names it.
    pub fn name(&self) -> VersionRef {
        match self {
            Self::Object(object) => object.version.into(),
            Self::Marker(marker) => marker.version.into(),
        }
    }

    /// The object, if it is one.
    pub fn into_object(self) -> Option<Object> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Marker(_) => None,
        }
    }
}

/// One part of a completed multipart object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPart {
    /// Its part number.
    pub number: u16,
    /// Its length in bytes.
    pub size: u64,
    /// Its checksum, if its upload declared one.
    pub checksum: Option<Checksum>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mtime(text: &str) -> Option<u64> {
        let user_metadata = BTreeMap::from([(MTIME.to_owned(), text.to_owned())]);
        Attributes { user_metadata, ..Attributes::default() }.mtime().map(|at| at.0)
    }

    #[test]
    fn modification_times_are_read_as_rclone_writes_them() {
        for (text, millis) in [
            ("1700000000.123456789", 1_700_000_000_123),
            ("1700000000", 1_700_000_000_000),
            ("5.05", 5_050),
            ("1.", 1_000),
        ] {
            assert_eq!(mtime(text), Some(millis), "{text}");
        }
        for bad in ["", "yesterday", "-1.5", "1.5e3", "1.-5", "99999999999999999999", "18446744073709551.9"] {
            assert_eq!(mtime(bad), None, "{bad}");
        }
        let mut attributes = Attributes::default();
        attributes.set_mtime(Timestamp(1_700_000_000_007));
        assert_eq!(attributes.mtime(), Some(Timestamp(1_700_000_000_007)));
    }
}
