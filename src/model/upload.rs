//! Multipart uploads that are running, and their parts.

use super::checksums::{Checksum, ChecksumAlgorithm, ChecksumType};
use super::clock::Timestamp;
use super::lock::ObjectLock;
use super::names::{ObjectKey, UploadId};
use super::object::Attributes;
use crate::xet::hash::FileHash;

/// A running multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The lock that the object is to have.
    pub lock: ObjectLock,
}

/// A stored part of a running upload.
#[derive(Debug, Clone, PartialEq, Eq)]
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
