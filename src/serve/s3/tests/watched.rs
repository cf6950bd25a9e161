//! Buckets whose calls are counted, and of which one can be made to fail.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::bucket::{
    BatchChange, Bucket, BucketChange, BucketError, BucketId, BucketSettings, BucketStats, Buckets,
    ByteRange, Changed, Copied, CopySource, DeleteBucket, ListPage, ListQuery, ListUploads, LockChange,
    NewUpload, Object, ObjectCopy, ObjectDelete, ObjectHistory, ObjectKey, ObjectRead, ObjectRef,
    ObjectWrite, Objects, Part, PartPage, Payload, Tags, TreePage, TreeQuery, Upload, UploadCompletion,
    UploadPage, UploadRef, Uploads, VersionPage, VersionQuery, VersionStats, Visibility,
};

/// Calls the buckets inside, and remembers what was called.
pub(super) struct Watched {
    inner: NativeBuckets,
    calls: Mutex<Vec<&'static str>>,
    failing: Mutex<Option<&'static str>>,
}

impl Watched {
    pub(super) fn new() -> Arc<Self> {
        let inner = NativeBuckets::in_memory(ambient()).unwrap();
        Arc::new(Self { inner, calls: Mutex::default(), failing: Mutex::default() })
    }

    /// The calls since this was last asked.
    pub(super) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// Lets one kind of call fail as if the store could not be reached.
    pub(super) fn fail(&self, call: Option<&'static str>) {
        *self.failing.lock().unwrap() = call;
    }

    fn called(&self, call: &'static str) -> Result<(), BucketError> {
        self.calls.lock().unwrap().push(call);
        let fails = *self.failing.lock().unwrap() == Some(call);
        if fails { Err(BucketError::Unavailable("the store cannot be reached".into())) } else { Ok(()) }
    }
}

macro_rules! watched {
    ($part:ident: $($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $part for Watched {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer, BucketError> {
                self.called(stringify!($name))?;
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

watched! { Buckets:
    create_bucket(id: &BucketId, visibility: Visibility) -> Bucket;
    create_locked_bucket(id: &BucketId, visibility: Visibility) -> Bucket;
    bucket(id: &BucketId) -> Bucket;
    list_buckets(namespace: &Namespace) -> Vec<Bucket>;
    buckets_named(name: &BucketName) -> Vec<Bucket>;
    bucket_settings(id: &BucketId) -> BucketSettings;
    change_bucket(id: &BucketId, change: BucketChange) -> ();
    move_bucket(from: &BucketId, to: &BucketId) -> ();
    set_visibility(id: &BucketId, visibility: Visibility) -> ();
    bucket_stats(id: &BucketId) -> BucketStats;
    version_stats(id: &BucketId) -> VersionStats;
    reach() -> ();
    delete_bucket(id: &BucketId, mode: DeleteBucket) -> ();
}

watched! { Objects:
    list(id: &BucketId, query: &ListQuery) -> ListPage;
    tree(id: &BucketId, query: &TreeQuery) -> TreePage;
    list_versions(id: &BucketId, query: &VersionQuery) -> VersionPage;
    history(id: &BucketId, key: &ObjectKey) -> ObjectHistory;
    paths_info(id: &BucketId, keys: &[ObjectKey]) -> Vec<Option<Object>>;
    batch(id: &BucketId, changes: Vec<BatchChange>) -> Vec<Result<(), BucketError>>;
    object(id: &BucketId, object: ObjectRef<'_>) -> Object;
    read(id: &BucketId, object: ObjectRef<'_>, range: Option<ByteRange>) -> ObjectRead;
    write(id: &BucketId, write: ObjectWrite) -> Object;
    copy(id: &BucketId, copy: ObjectCopy) -> Copied<Object>;
    delete(id: &BucketId, deletes: Vec<ObjectDelete>) -> Vec<Result<Changed, BucketError>>;
    tag_object(id: &BucketId, object: ObjectRef<'_>, tags: Tags) -> Changed;
    lock_object(id: &BucketId, object: ObjectRef<'_>, change: LockChange) -> Changed;
}

watched! { Uploads:
    create_upload(id: &BucketId, upload: NewUpload) -> Upload;
    upload(id: &BucketId, upload: &UploadRef) -> Upload;
    write_part(id: &BucketId, upload: &UploadRef, number: u16, payload: Payload) -> Part;
    copy_part(
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        source: &CopySource,
        range: Option<ByteRange>
    ) -> Copied<Part>;
    list_parts(id: &BucketId, upload: &UploadRef, after: u16, limit: usize) -> PartPage;
    list_uploads(id: &BucketId, query: &ListUploads) -> UploadPage;
    complete_upload(id: &BucketId, upload: &UploadRef, completion: UploadCompletion) -> Object;
    abort_upload(id: &BucketId, upload: &UploadRef) -> ();
}
