//! The project's one contract: [`BucketApi`], what a bucket can do, no matter who asks and where it lies.
//!
//! APIs speak only this; they cannot tell a bucket on this machine from one on a Hub. The words are the Hub's bucket
//! API's, with the attributes and multipart uploads that S3 adds.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;

pub use crate::engine::digest::checksum;
pub use crate::engine::{BodyIn, BoxError};
pub use crate::model::bucket::{Bucket, BucketStats, VersionStats, Visibility};
pub use crate::model::checksums::{Checksum, ChecksumAlgorithm, ChecksumType};
pub use crate::model::clock::Timestamp;
pub use crate::model::conditions::{ETagCondition, IfRange, ReadCondition, Unmet, WriteCondition};
pub use crate::model::listing::{
    After, ListPage, ListQuery, ObjectHistory, PastVersion, TreeEntry, TreePage, TreeQuery, VersionCost,
    VersionEntry, VersionPage, VersionQuery,
};
pub use crate::model::lock::{
    BucketLock, DefaultRetention, LockChange, ObjectLock, Retention, RetentionMode, RetentionPeriod,
};
pub use crate::model::names::{BucketId, BucketName, NameError, Namespace, ObjectKey, UploadId};
pub use crate::model::object::{Attributes, DeleteMarker, ETag, Object, ObjectPart, ObjectRef, Version};
pub use crate::model::range::ByteRange;
pub use crate::model::settings::{BucketChange, BucketSettings, CorsRule, PublicAccessBlock, Tags};
pub use crate::model::upload::{Part, Upload};
pub use crate::model::version::{Changed, VersionId, VersionRef, Versioning};
pub use crate::xet::hash::FileHash;

mod changes;
mod error;
pub mod hub;
pub mod limits;
mod multipart;
mod native;
mod payload;
mod traits;

pub use changes::AttributeChanges;
pub use error::BucketError;
pub use native::{NativeBuckets, NativeXet, OutlinedFile, Reach, ShardRefusal, XetError};
pub use traits::{BucketApi, Buckets, Objects, Uploads};

/// A body on its way out. An error means that the bytes cannot be had intact; anyone who sends them must cut off.
pub type BodyOut = Pin<Box<dyn Stream<Item = Result<Bytes, BucketError>> + Send>>;

/// The digests that the client declared and that must hold for the write to count.
#[derive(Default)]
pub struct DeclaredDigests {
    /// `Content-MD5`.
    pub md5: Option<[u8; 16]>,
    /// SHA-256 of the payload, from the signature.
    pub payload_sha256: Option<[u8; 32]>,
    /// `x-amz-checksum-*`, in a header or a trailer.
    pub checksum: Option<DeclaredChecksum>,
}

/// A checksum that comes with a body.
pub struct DeclaredChecksum {
    /// Which.
    pub algorithm: ChecksumAlgorithm,
    /// Its value.
    pub value: DeclaredValue,
}

/// When a declared value is known.
pub enum DeclaredValue {
    /// Before the body.
    Given(Vec<u8>),
    /// After the body: asked once, when the stream has ended; `None` if the trailer did not come.
    Trailing(Box<dyn FnOnce() -> Option<Vec<u8>> + Send>),
    /// Never: the checksum is wanted for the record, and nothing is compared.
    Computed,
}

/// A body and what is said about it.
pub struct Payload {
    /// The bytes.
    pub body: BodyIn,
    /// Its length, if known; the write fails with [`BucketError::IncompleteBody`] if the body has another.
    pub length: Option<u64>,
    /// Its digests, if declared.
    pub digests: DeclaredDigests,
}

/// A single write of a whole object.
pub struct ObjectWrite {
    /// Where to.
    pub key: ObjectKey,
    /// What is said about it.
    pub attributes: Attributes,
    /// Under what condition.
    pub condition: WriteCondition,
    /// What keeps it from being deleted; [`BucketError::NoObjectLock`] if the bucket's versions cannot be locked. Without a
    /// retention, the bucket's default holds.
    pub lock: ObjectLock,
    /// The content.
    pub payload: Payload,
}

/// An object opened for reading.
pub struct ObjectRead {
    /// What it is.
    pub object: Object,
    /// Which of its bytes follow, end excluded.
    pub range: std::ops::Range<u64>,
    /// The bytes.
    pub body: BodyOut,
}

/// Where a copy comes from.
#[derive(Debug, Clone)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version; `None` for the current one.
    pub version: Option<VersionRef>,
    /// What it must be, if anything is asked; [`BucketError::PreconditionFailed`] otherwise.
    pub condition: ReadCondition,
}

impl CopySource {
    /// The current object of a key, whatever it is.
    pub fn current(bucket: BucketId, key: ObjectKey) -> Self {
        Self { bucket, key, version: None, condition: ReadCondition::default() }
    }

    /// The object.
    pub fn object(&self) -> ObjectRef<'_> {
        ObjectRef { key: &self.key, version: self.version }
    }
}

/// What a copy has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied<T> {
    /// The object or the part.
    pub made: T,
    /// The version that was copied; `None` for the one without an id.
    pub source: Option<VersionId>,
}

/// A copy of a whole object; no bytes move.
#[derive(Debug, Clone)]
pub struct ObjectCopy {
    /// Where from.
    pub source: CopySource,
    /// Where to.
    pub key: ObjectKey,
    /// What the copy says of itself where it does not say what its source does.
    pub changes: AttributeChanges,
    /// The checksum it is to have; read from its bytes if the source has another. `None`: those of the source.
    pub checksum: Option<ChecksumAlgorithm>,
    /// Under what condition.
    pub condition: WriteCondition,
    /// As of an [`ObjectWrite`]; that of the source is not copied.
    pub lock: ObjectLock,
}

/// A delete of one object. Without a version, in a bucket that keeps versions, it makes a delete marker.
#[derive(Debug, Clone)]
pub struct ObjectDelete {
    /// Which.
    pub key: ObjectKey,
    /// The version to remove for good; `None` for the current object. [`BucketError::Locked`] if it may not be removed.
    pub version: Option<VersionRef>,
    /// Under what condition.
    pub condition: WriteCondition,
    /// Whether the caller may delete what a governance retention protects, and asks for it.
    pub bypasses_governance: bool,
}

impl ObjectDelete {
    /// Deletes the current object of a key, whatever it is.
    pub fn current(key: ObjectKey) -> Self {
        Self { key, version: None, condition: WriteCondition::default(), bypasses_governance: false }
    }
}

/// One change of a batch. Content is named by its hash; no bytes move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchChange {
    /// Puts an object whose content the bucket has already, or that the caller has proved to hold.
    /// [`BucketError::NoSuchFile`].
    Add {
        /// Where to.
        key: ObjectKey,
        /// The content.
        file: FileHash,
        /// The access key of the caller, whose proofs count.
        proved_by: Option<String>,
        /// How long it must be, if that is said; [`BucketError::WrongSize`].
        size: Option<u64>,
        /// What is said about it.
        attributes: Attributes,
    },
    /// Puts an object whose content another bucket has. [`BucketError::NoSuchFile`], [`BucketError::NoSuchBucket`].
    Copy {
        /// Where to.
        key: ObjectKey,
        /// The content.
        file: FileHash,
        /// As above.
        size: Option<u64>,
        /// The bucket that has it. Whether the caller may read that one is for the API to ask.
        source: BucketId,
        /// What is said about it.
        attributes: Attributes,
    },
    /// Deletes an object, if there is one.
    Delete {
        /// Which.
        key: ObjectKey,
    },
}

/// Whether a bucket that holds objects may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteBucket {
    /// Refuse with [`BucketError::BucketNotEmpty`].
    IfEmpty,
    /// Delete all that is in it; refuse with [`BucketError::HoldsLocked`] if a version may not be deleted.
    WithContents,
}

/// A multipart upload to begin.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The key it will become.
    pub key: ObjectKey,
    /// What the object will say of itself.
    pub attributes: Attributes,
    /// Which checksum its parts are to carry.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// As of an [`ObjectWrite`].
    pub lock: ObjectLock,
}

/// A running upload, as every call after its creation names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRef {
    /// The key it will become.
    pub key: ObjectKey,
    /// Its id.
    pub id: UploadId,
}

/// A part that the client names when it completes an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u16,
    /// The `ETag` it was given, without quotes.
    pub etag: String,
    /// Its checksum, if named.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

/// What a client says of an object that an upload is to become; it must hold, or there is no object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedObject {
    /// Its length in bytes; [`BucketError::SizeMismatch`].
    pub size: Option<u64>,
    /// Over what its checksum is; [`BucketError::OtherChecksum`] if the upload was begun for another.
    pub over: Option<ChecksumType>,
    /// Its checksum; [`BucketError::ChecksumMismatch`].
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

/// The end of an upload in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadCompletion {
    /// The parts, by number.
    pub parts: Vec<CompletedPart>,
    /// What the object must be.
    pub expected: ExpectedObject,
    /// Under what condition.
    pub condition: WriteCondition,
}

/// Which uploads to list: after `key_marker`, or after `upload_marker` of that very key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListUploads {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Where keys are rolled up.
    pub delimiter: Option<String>,
    /// List after this key, ...
    pub key_marker: Option<String>,
    /// ... or within it after this upload.
    pub upload_marker: Option<UploadId>,
    /// At most so many uploads and common prefixes.
    pub limit: usize,
}

/// A page of uploads, ordered by key and then by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// Whether there are more.
    pub truncated: bool,
}

/// A page of parts, ordered by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartPage {
    /// The upload.
    pub upload: Upload,
    /// The parts.
    pub parts: Vec<Part>,
    /// Whether there are more.
    pub truncated: bool,
}
