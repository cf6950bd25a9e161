//! [`MetaStore`]: the truth about buckets, objects, uploads, files and xorbs, and the only place where it changes.
//!
//! The words are the domain's, not a key-value store's, so that an engine with a query language of its own can
//! stand behind them. What every engine must do is in [`conformance`]; each runs it.
//!
//! Invariants, kept by every transaction:
//! * a file record is there exactly as long as an object, a part or a registration uses it;
//! * a bucket's counts are those of its objects, and it knows the files that they name;
//! * a xorb's use count is the number of file records with a term in it;
//! * every xorb that a file record names has a row;
//! * a xorb with a use count of 0 has an idle record, whose generation is another each time it becomes idle;
//! * a pack's live bytes are those of the frames of the rows in it;
//! * a folder has a row exactly as long as an object lies in it or further down.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::model::bucket::{Bucket, BucketStats, BucketUid, VersionStats, Visibility};
use crate::model::clock::Timestamp;
use crate::model::conditions::{WriteCondition, WriteRefused};
use crate::model::file::FileRecord;
use crate::model::listing::{ListPage, ListQuery, TreePage, TreeQuery, VersionPage, VersionQuery};
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey, UploadId};
use crate::model::object::{Object, ObjectRef, Version};
use crate::model::settings::{BucketChange, BucketSettings};
use crate::model::upload::{Part, Upload};
use crate::model::version::VersionRef;
use crate::store::file_terms::FileTerms;
use crate::store::metrics::MetaMetrics;
pub use crate::store::rows::{FramePlace, PackRow};
use crate::store::rows::{PackId, StoredXorb, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};

mod accounts;
mod bucket_names;
mod change;
#[cfg(test)]
pub mod conformance;
mod embedded;
mod engine;
mod files;
mod folders;
mod format;
mod holdings;
mod job;
mod kv;
mod leases;
mod lifecycle;
mod listing;
mod locks;
mod moving;
mod nodes;
mod place;
mod postgres;
mod read_snapshot;
mod registry;
mod remote;
mod rows;
mod settings;
mod sharing;
mod snapshot;
mod steady;
mod table_meta;
mod tables;
mod terms;
mod tree;
mod upgrade;
mod uploads;
mod version_listing;
mod versions;
mod view;
mod writer;
mod xorbs;

pub use crate::model::version::Changed;
pub use accounts::AccountStore;
pub use change::{Amendment, Completion, Deletion, KeyChange, NewFile, ObjectChange, RelyOnPart};
pub use embedded::EmbeddedMeta;
pub use folders::DEPTH_MAX as FOLDER_DEPTH_MAX;
pub use kv::RawRow;
pub use leases::{HeldBy, Lease, LeaseStore};
pub use lifecycle::{DueCheck, DueEntry, DueItem, DueWhat, Expiry, LifecycleStore, Place as DuePlace};
pub use moving::{MovingStore, TABLES as MOVED_TABLES, Totals};
pub use nodes::{Beat, Doom, Epochs, Node, NodeState, NodeStore, Questions};
#[cfg(test)]
pub(crate) use place::Place;
#[cfg(test)]
pub(crate) use postgres::tests::address as address_for_tests;
pub use postgres::{PostgresAddress, PostgresAddressError, PostgresMeta};
pub use registry::{MetaRegistry, RegistrationName};
pub use sharing::{News, NewsRead, SharingStore};
pub use terms::{MovedRun, TermChange};
pub use view::{AnyObject, AnyObjects, Counts, MetaView, VersionPlace, XorbEntry};

/// Why a transaction was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    /// The bucket does not exist (any more).
    #[error("the bucket does not exist")]
    NoSuchBucket,
    /// The bucket's name is taken.
    #[error("the bucket exists already")]
    BucketExists,
    /// The bucket holds objects.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// There is no such object, and the change asks for one.
    #[error("the object does not exist")]
    NoSuchObject,
    /// There is no such version of the object (any more).
    #[error("the version does not exist")]
    NoSuchVersion,
    /// The version is a delete marker, which has no content and nothing said of it.
    #[error("the version is a delete marker")]
    IsDeleteMarker,
    /// The version may not be deleted, or its retention not be made laxer.
    #[error("the version is locked")]
    Locked,
    /// The bucket has no object lock, and a lock is asked for.
    #[error("the bucket has no object lock")]
    NoObjectLock,
    /// The bucket's settings do not allow this one.
    #[error("{0}")]
    BucketState(&'static str),
    /// There is no such upload (any more).
    #[error("the upload does not exist")]
    NoSuchUpload,
    /// The account is not there.
    #[error("the account does not exist")]
    NoSuchAccount,
    /// The account's name, or the access key id, is taken.
    #[error("the name is taken")]
    NameTaken,
    /// The account has buckets or credentials.
    #[error("the account still has buckets or credentials")]
    AccountInUse,
    /// A condition does not hold.
    #[error("the condition does not hold")]
    ConditionFailed,
    /// A file record names a xorb that is not there.
    #[error("xorb {0} is not there")]
    MissingXorb(XorbHash),
    /// The file to refer to is not there (any more).
    #[error("file {0} is not there")]
    MissingFile(FileHash),
    /// A part of the upload is no longer what it was when it was read.
    #[error("part {0} has changed")]
    PartChanged(u16),
    /// The disk is full; of a write, nothing is visible, or it is found to be whole later.
    #[error("there is no space for the metadata: {0}")]
    Full(String),
    /// The disk has failed; it may work again later. Whether a write was made is not known: it is whole or not there.
    #[error("the metadata store cannot be used now: {0}")]
    Unavailable(String),
    /// The database cannot be reached, or does not answer. Of a write it is not known whether it was made.
    #[error("the database cannot be reached: {0}")]
    Away(String),
    /// It cannot be opened as it is configured; the text says what to do.
    #[error("{0}")]
    Setup(String),
    /// Too much of this is being done at the moment.
    #[error("{0}")]
    Busy(&'static str),
    /// What was to be done is now another node's to do.
    #[error("another node has taken over")]
    LeaseLost,
    /// The node was taken for dead: what it had written without rows gets none any more.
    #[error("this node was taken for dead")]
    NodeEnded,
    /// The engine failed; nothing of the transaction is visible.
    #[error("the metadata store failed: {0}")]
    Engine(String),
}

impl From<WriteRefused> for MetaError {
    fn from(refused: WriteRefused) -> Self {
        match refused {
            WriteRefused::NoObject => Self::NoSuchObject,
            WriteRefused::ETag => Self::ConditionFailed,
        }
    }
}

/// Which range is wanted of a file of this size; none, if it is empty.
pub type Wanted<'w> = &'w (dyn Fn(u64) -> Range<u64> + Send + Sync);

/// An object, and how the range that is wanted of it is put together.
#[derive(Debug, Clone)]
pub struct Content {
    /// The object.
    pub object: Object,
    /// The terms of its file that hold the range.
    pub terms: FileTerms,
}

/// A xorb that no file record uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleXorb {
    /// The xorb.
    pub hash: XorbHash,
    /// Of this idleness: a xorb that was used in between has another.
    pub generation: u64,
}

/// A xorb whose frame was copied elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XorbMove {
    /// The xorb.
    pub hash: XorbHash,
    /// Where it was when it was copied.
    pub from: FramePlace,
    /// Where the copy lies, synced.
    pub to: FramePlace,
}

/// The store of truth. Every write is one transaction: durable when answered, invisible when refused.
#[async_trait]
pub trait MetaStore:
    AccountStore + LeaseStore + LifecycleStore + MetaRegistry + MovingStore + NodeStore + SharingStore
{
    /// The store's identity; `fresh` becomes it if it has none yet.
    async fn store_id(&self, fresh: u64) -> Result<u64, MetaError>;

    /// Creates a bucket.
    async fn create_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError>;

    /// Creates a bucket that has an object lock and keeps versions.
    async fn create_locked_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError>;

    /// Looks a bucket up.
    async fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, MetaError>;

    /// A namespace's buckets, by name.
    async fn buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, MetaError>;

    /// The present row of a bucket, whatever it is called now.
    async fn bucket_of(&self, uid: BucketUid) -> Result<Option<Bucket>, MetaError>;

    /// The buckets of one name in all namespaces, the one that has had the name for longest first; a rename makes
    /// a bucket the youngest of its new name.
    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, MetaError>;

    /// A bucket's settings; all at their defaults if there is no such bucket.
    async fn bucket_settings(&self, bucket: BucketUid) -> Result<BucketSettings, MetaError>;

    /// Changes one setting of a bucket.
    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), MetaError>;

    /// Deletes a bucket with its uploads, and with its objects and versions if `with_contents`; [`MetaError::Locked`] if
    /// one of them may not be deleted now.
    async fn delete_bucket(
        &self,
        id: &BucketId,
        with_contents: bool,
        now: Timestamp,
    ) -> Result<(), MetaError>;

    /// Gives a bucket another name, perhaps in another namespace. What is in it stays, and so do running uploads.
    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), MetaError>;

    /// Changes who may read a bucket.
    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), MetaError>;

    /// How much is in a bucket. Nothing, if it is not there.
    async fn bucket_stats(&self, bucket: BucketUid) -> Result<BucketStats, MetaError>;

    /// The size of a file, if an object of this bucket has it as its content, or this access key has proved to hold it.
    async fn file_size_in(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        proved_by: Option<&str>,
    ) -> Result<Option<u64>, MetaError>;

    /// An object.
    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError>;

    /// Objects of one moment, in the order asked.
    async fn objects(&self, bucket: BucketUid, keys: &[ObjectKey]) -> Result<Vec<Option<Object>>, MetaError>;

    /// An object and how a range of its content is put together, both of one moment. [`MetaError::NoSuchVersion`] or
    /// [`MetaError::IsDeleteMarker`] if that is what a version that is named turns out to be.
    async fn content(
        &self,
        bucket: &BucketId,
        object: ObjectRef<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Content, MetaError>;

    /// A page of objects.
    async fn list(&self, bucket: BucketUid, query: &ListQuery) -> Result<ListPage, MetaError>;

    /// A version of an object, current or not.
    async fn version(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Version>, MetaError>;

    /// The newest version of a key: its object, or a delete marker.
    async fn latest(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Version>, MetaError>;

    /// A page of versions.
    async fn list_versions(&self, bucket: BucketUid, query: &VersionQuery) -> Result<VersionPage, MetaError>;

    /// How much the versions are that are not current objects. Nothing, if the bucket is not there.
    async fn version_stats(&self, bucket: BucketUid) -> Result<VersionStats, MetaError>;

    /// A page of files and folders.
    async fn tree(&self, bucket: BucketUid, query: &TreeQuery) -> Result<TreePage, MetaError>;

    /// Changes one key under a condition. A `Put` without a [`NewFile`] needs the file to be there already.
    async fn change(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: ObjectChange,
    ) -> Result<Changed, MetaError>;

    /// Changes many keys in order, each as [`MetaStore::change`] does, and all that are not refused in one transaction.
    async fn change_many(
        &self,
        bucket: BucketUid,
        changes: Vec<KeyChange>,
    ) -> Result<Vec<Result<Changed, MetaError>>, MetaError>;

    /// Begins an upload.
    async fn create_upload(&self, bucket: BucketUid, upload: &Upload) -> Result<(), MetaError>;

    /// A running upload.
    async fn upload(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<Option<Upload>, MetaError>;

    /// Running uploads after `after` (a key and an id), ordered by key and id, at most `limit`.
    async fn uploads(
        &self,
        bucket: BucketUid,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, MetaError>;

    /// Stores a part, in place of one of the same number. A part without a [`NewFile`] needs its file to be there.
    async fn put_part(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        part: Part,
        file: Option<NewFile>,
    ) -> Result<(), MetaError>;

    /// Parts with a number above `after`, by number, at most `limit`.
    async fn parts(&self, id: &UploadId, after: u16, limit: usize) -> Result<Vec<Part>, MetaError>;

    /// Ends an upload in an object: puts it, and removes the upload and all its parts. The parts relied on must
    /// be as they were read.
    async fn complete_upload(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        completion: Completion,
    ) -> Result<Changed, MetaError>;

    /// Ends an upload and forgets its parts.
    async fn abort_upload(&self, bucket: BucketUid, key: &ObjectKey, id: &UploadId) -> Result<(), MetaError>;

    /// How a file is put together.
    async fn file(&self, hash: &FileHash) -> Result<Option<FileRecord>, MetaError>;

    /// How a range of a file is put together. Readers share what they read at the same time.
    async fn file_terms(&self, hash: &FileHash, wanted: Wanted<'_>) -> Result<Option<FileTerms>, MetaError>;

    /// All terms of several files, of one moment, in the order asked. Ends with the file that makes them more than
    /// `terms_max`, so that a request for very fragmented files costs no more than that.
    async fn files_terms(
        &self,
        hashes: &[FileHash],
        terms_max: usize,
    ) -> Result<Vec<Option<FileTerms>>, MetaError>;

    /// Where a xorb lies.
    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError>;

    /// Every pack that a committed xorb lies in.
    async fn packs(&self) -> Result<Vec<PackRow>, MetaError>;

    /// Takes xorbs that no file uses yet, and keeps them unused until then. Known ones are kept longer if need be.
    async fn register_xorbs(&self, xorbs: Vec<StoredXorb>, keep_until: Timestamp) -> Result<(), MetaError>;

    /// Xorbs after `after` that nothing uses and that need not be kept at `now`, by hash, at most `limit`.
    async fn idle_xorbs(
        &self,
        now: Timestamp,
        after: Option<XorbHash>,
        limit: usize,
    ) -> Result<Vec<IdleXorb>, MetaError>;

    /// Removes those of the xorbs that are still idle in the same generation and need not be kept at `now`; answers
    /// the rows that are gone.
    async fn remove_xorbs(&self, idle: Vec<IdleXorb>, now: Timestamp) -> Result<Vec<StoredXorb>, MetaError>;

    /// Xorbs whose rows name this pack, by offset, after the one at `after`, at most `limit`; an empty page is the end.
    async fn xorbs_in(
        &self,
        pack: PackId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredXorb>, MetaError>;

    /// Points the rows of xorbs to where they were copied; one that is not where it was is left alone. Answers how
    /// many were moved.
    async fn move_xorbs(&self, moves: Vec<XorbMove>) -> Result<usize, MetaError>;

    /// Lets file records name other xorbs that hold the same chunks. Answers how many records have changed.
    async fn replace_terms(&self, change: TermChange) -> Result<usize, MetaError>;

    /// Forgets a pack that no row names; answers whether that is so.
    async fn forget_pack(&self, pack: PackId) -> Result<bool, MetaError>;

    /// All rows as they are at this moment.
    async fn view(&self) -> Result<Box<dyn MetaView>, MetaError>;

    /// Copies all of it, as of one commit, to a new file. Writes wait meanwhile, reads do not.
    async fn copy_to(&self, _file: PathBuf) -> Result<(), MetaError> {
        Err(MetaError::Unavailable("it is in no file that could be copied".to_owned()))
    }

    /// What it has counted of its work, if it does.
    fn metrics(&self) -> Option<&MetaMetrics> {
        None
    }
}
