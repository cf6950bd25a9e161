//! The rows of the [`MetaStore`](super::meta::MetaStore): what is true about accounts' buckets, objects, uploads,
//! files and xorbs.
//!
//! Rows are what every layer above speaks of, so they are plain data with public fields. Invariants between rows
//! (a file's xorbs exist, use counts are right) are kept by the `MetaStore`'s transactions.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::meta::FramePlace;
use super::pack::PackId;
use super::pack::frame::HEAD as FRAME_HEAD;
use crate::model::clock::Timestamp;
use crate::model::names::{BucketId, ObjectKey, UploadId};
use crate::xet::hash::{FileHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// A bucket's identity inside one store; stays when the bucket is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketUid(pub u64);

/// Who may read a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Only those whose credential allows it.
    #[default]
    Private,
    /// Everyone.
    Public,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its identity in this store.
    pub uid: BucketUid,
    /// Its name.
    pub id: BucketId,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was created.
    pub created_at: Timestamp,
}

/// How much is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BucketStats {
    /// The sizes of its objects together.
    pub bytes: u64,
    /// How many objects there are.
    pub objects: u64,
}

/// What S3 shows as an object's `ETag`, without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The Xet hash: came in by a door that computes no MD5.
    Xet(FileHash),
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5(md5) => f.write_str(&hex::encode(md5)),
            Self::Multipart { md5, parts } => write!(f, "{}-{parts}", hex::encode(md5)),
            Self::Xet(hash) => hash.fmt(f),
        }
    }
}

/// The checksums that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (iSCSI), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

/// What a multipart object's checksum is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumType {
    /// All bytes of the object.
    FullObject,
    /// The concatenated checksums of its parts.
    Composite,
}

/// A verified checksum, kept with the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Which.
    pub algorithm: ChecksumAlgorithm,
    /// Its bytes, most significant first.
    pub value: Vec<u8>,
    /// Over what.
    pub over: ChecksumType,
}

/// What a client says about an object beside its bytes; S3's headers of the same names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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

/// One part of a completed multipart object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// Its part number.
    pub number: u16,
    /// Its length in bytes.
    pub size: u64,
    /// Its checksum, if its upload declared one.
    pub checksum: Option<Checksum>,
}

/// An object: a key's present content and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(skip)]
    pub parts: Vec<ObjectPart>,
    /// The upload it was completed from: a client that asks again gets the same answer.
    pub upload: Option<UploadId>,
}

/// A running multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The key it will become.
    pub key: ObjectKey,
    /// When it was begun.
    pub created_at: Timestamp,
    /// What the object will say of itself.
    pub attributes: Attributes,
    /// Which checksum its parts are to carry, and over what the object's will be.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

/// A stored part of a running upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Its content.
    pub file: FileHash,
    /// Its length in bytes.
    pub size: u64,
    /// Its MD5, which is its `ETag`.
    pub md5: [u8; 16],
    /// When it was stored.
    pub modified_at: Timestamp,
    /// Its checksum, if the client sent one.
    pub checksum: Option<Checksum>,
}

/// A run of chunks of one xorb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The xorb.
    pub xorb: XorbHash,
    /// First chunk.
    pub start: u32,
    /// One past the last chunk.
    pub end: u32,
    /// Uncompressed length of the run; 8192 chunks of 128 KiB fit.
    pub raw_bytes: u32,
}

/// How a file is put together: its terms, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The file's identity.
    pub hash: FileHash,
    /// Its length: the sum over the terms.
    pub size: u64,
    /// Its terms; none for the empty file.
    pub terms: Vec<Term>,
}

/// Where a xorb lies, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XorbRow {
    /// The pack that holds it.
    pub pack: PackId,
    /// Where its first chunk record begins in the pack.
    pub offset: u64,
    /// Where its frame ends in the pack (its trailer included).
    pub frame_end: u64,
    /// Its chunks.
    pub table: ChunkTable,
}

impl XorbRow {
    /// Where its frame begins in the pack.
    pub fn frame_start(&self) -> u64 {
        self.offset.saturating_sub(FRAME_HEAD.len() as u64)
    }

    /// Bytes of its frame.
    pub fn frame_bytes(&self) -> u64 {
        self.frame_end.saturating_sub(self.frame_start())
    }

    /// Where its frame lies.
    pub fn place(&self) -> FramePlace {
        FramePlace { pack: self.pack, offset: self.offset, frame_end: self.frame_end }
    }
}

/// A xorb whose bytes are stored and synced. It becomes part of the truth when a transaction takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredXorb {
    /// The xorb.
    pub hash: XorbHash,
    /// Where it lies and what is in it.
    pub row: XorbRow,
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
