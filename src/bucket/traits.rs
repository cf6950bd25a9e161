//! The project's one contract, in three parts: [`Buckets`], [`Objects`] and [`Uploads`], which together are
//! [`BucketApi`]. Every call is atomic, and an answered write is durable.

use async_trait::async_trait;

use super::{
    BatchChange, Bucket, BucketChange, BucketError, BucketId, BucketName, BucketSettings, BucketStats,
    ByteRange, Changed, Copied, CopySource, DeleteBucket, ListPage, ListQuery, ListUploads, LockChange,
    Namespace, NewUpload, Object, ObjectCopy, ObjectDelete, ObjectHistory, ObjectKey, ObjectRead, ObjectRef,
    ObjectWrite, Part, PartPage, Payload, Tags, TreePage, TreeQuery, Upload, UploadCompletion, UploadPage,
    UploadRef, VersionPage, VersionQuery, VersionStats, Visibility,
};

/// What can be done with buckets.
#[async_trait]
pub trait Buckets: Send + Sync + 'static {
    /// Creates a bucket. [`BucketError::BucketExists`] if the name is taken.
    async fn create_bucket(&self, id: &BucketId, visibility: Visibility) -> Result<Bucket, BucketError>;

    /// Creates a bucket whose versions can be locked, and which keeps them from the beginning.
    async fn create_locked_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
    ) -> Result<Bucket, BucketError>;

    /// Looks a bucket up. [`BucketError::NoSuchBucket`].
    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError>;

    /// All buckets of a namespace, by name.
    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError>;

    /// The buckets of one name in all namespaces, the one that has had the name for longest first: for callers who name
    /// no namespace.
    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, BucketError>;

    /// A bucket's settings. [`BucketError::NoSuchBucket`].
    async fn bucket_settings(&self, id: &BucketId) -> Result<BucketSettings, BucketError>;

    /// Changes one setting of a bucket. [`BucketError::NoSuchBucket`]; [`BucketError::BucketState`] if its other settings do
    /// not allow it.
    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), BucketError>;

    /// Gives a bucket another name, perhaps in another namespace. [`BucketError::BucketExists`] if that is taken.
    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), BucketError>;

    /// Changes who may read a bucket.
    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), BucketError>;

    /// How much is in a bucket, of its current objects; costs nothing, however much it is.
    async fn bucket_stats(&self, id: &BucketId) -> Result<BucketStats, BucketError>;

    /// How much the versions of a bucket are that are not its current objects; costs nothing either.
    async fn version_stats(&self, id: &BucketId) -> Result<VersionStats, BucketError>;

    /// Whether all that the buckets rest on can be reached.
    async fn reach(&self) -> Result<(), BucketError>;

    /// Deletes a bucket and its running uploads. One that has versions or delete markers is not empty.
    async fn delete_bucket(&self, id: &BucketId, mode: DeleteBucket) -> Result<(), BucketError>;
}

/// What can be done with the objects of a bucket.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// Lists objects in the byte order of their keys, rolled up at a delimiter if asked.
    async fn list(&self, id: &BucketId, query: &ListQuery) -> Result<ListPage, BucketError>;

    /// Lists a bucket as files and folders.
    async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<TreePage, BucketError>;

    /// Lists versions and delete markers: of keys in byte order, of each key from the newest to the oldest.
    async fn list_versions(&self, id: &BucketId, query: &VersionQuery) -> Result<VersionPage, BucketError>;

    /// The newest [`HISTORY_VERSIONS_MAX`](super::limits::HISTORY_VERSIONS_MAX) versions of an object, and what each takes.
    /// [`BucketError::NoSuchKey`] if there is none.
    async fn history(&self, id: &BucketId, key: &ObjectKey) -> Result<ObjectHistory, BucketError>;

    /// The rows of at most [`PATHS_MAX`](super::limits::PATHS_MAX) objects, all of one moment, in the order asked.
    async fn paths_info(&self, id: &BucketId, keys: &[ObjectKey])
    -> Result<Vec<Option<Object>>, BucketError>;

    /// Makes at most [`BATCH_CHANGES_MAX`](super::limits::BATCH_CHANGES_MAX) changes in order, each on its own, those that succeed all in one
    /// transaction. Results in the order asked.
    async fn batch(
        &self,
        id: &BucketId,
        changes: Vec<BatchChange>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError>;

    /// An object's row. [`BucketError::NoSuchKey`], [`BucketError::Deleted`]; of a version that is named
    /// [`BucketError::NoSuchVersion`], [`BucketError::IsDeleteMarker`].
    async fn object(&self, id: &BucketId, object: ObjectRef<'_>) -> Result<Object, BucketError>;

    /// Opens an object for reading; errors as of [`Objects::object`], and [`BucketError::RangeNotSatisfiable`] if the range
    /// holds no byte of it.
    async fn read(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError>;

    /// Writes an object, and answers it with its version. On any error the previous object stays as it was.
    async fn write(&self, id: &BucketId, write: ObjectWrite) -> Result<Object, BucketError>;

    /// Copies an object, from this or another bucket.
    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Copied<Object>, BucketError>;

    /// Deletes objects, each on its own; deleting what is not there succeeds. Answers what was made (a delete marker) or
    /// removed (a version that was named), in the order asked.
    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<Changed, BucketError>>, BucketError>;

    /// Gives an object other tags, and leaves all else as it is. Errors as of [`Objects::object`].
    async fn tag_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        tags: Tags,
    ) -> Result<Changed, BucketError>;

    /// Changes what keeps an object from being deleted. [`BucketError::NoObjectLock`]; [`BucketError::Locked`] if its
    /// retention may not be made laxer; else errors as of [`Objects::object`].
    async fn lock_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
        change: LockChange,
    ) -> Result<Changed, BucketError>;
}

/// What can be done with multipart uploads.
#[async_trait]
pub trait Uploads: Send + Sync + 'static {
    /// Begins a multipart upload.
    async fn create_upload(&self, id: &BucketId, upload: NewUpload) -> Result<Upload, BucketError>;

    /// A running upload. [`BucketError::NoSuchUpload`].
    async fn upload(&self, id: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError>;

    /// Stores a part; the last write of a number wins.
    async fn write_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        payload: Payload,
    ) -> Result<Part, BucketError>;

    /// Stores a part that is a range of an existing object; no bytes move. [`BucketError::RangeNotSatisfiable`] if the
    /// range does not lie within it.
    async fn copy_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        source: &CopySource,
        range: Option<ByteRange>,
    ) -> Result<Copied<Part>, BucketError>;

    /// Lists stored parts after a number.
    async fn list_parts(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, BucketError>;

    /// Lists running uploads.
    async fn list_uploads(&self, id: &BucketId, query: &ListUploads) -> Result<UploadPage, BucketError>;

    /// Puts the parts together and makes the object visible. Asked again for the upload it has completed, it
    /// answers the same object.
    async fn complete_upload(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError>;

    /// Ends an upload and forgets its parts.
    async fn abort_upload(&self, id: &BucketId, upload: &UploadRef) -> Result<(), BucketError>;
}

/// What a store of buckets can do.
pub trait BucketApi: Buckets + Objects + Uploads {}

impl<B: Buckets + Objects + Uploads> BucketApi for B {}
