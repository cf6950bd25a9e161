//! [`MetaView`]: all rows as they were at one moment, in pages, for work that looks at everything.

use async_trait::async_trait;

use super::{DueCheck, DuePlace, MetaError, PackRow, RegistrationName};
use crate::model::bucket::{Bucket, BucketStats, BucketUid, VersionStats};
use crate::model::clock::Timestamp;
use crate::model::file::FileRecord;
use crate::model::names::{ObjectKey, UploadId};
use crate::model::object::{Object, Version};
use crate::model::upload::{Part, Upload};
use crate::model::version::Stamp;
use crate::store::rows::{PackId, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};

/// How many rows there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects.
    pub objects: u64,
    /// Running uploads.
    pub uploads: u64,
    /// File records.
    pub files: u64,
    /// Xorbs.
    pub xorbs: u64,
    /// Folders, if they have rows.
    pub folders: Option<u64>,
    /// Pairs of a bucket and a file that it has objects of.
    pub bucket_files: u64,
}

/// A xorb with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XorbEntry {
    /// The xorb.
    pub hash: XorbHash,
    /// Where it lies.
    pub row: XorbRow,
    /// How many file records use it.
    pub uses: u64,
    /// The generation of its idle record.
    pub idle: Option<u64>,
    /// Until when it is kept even if nothing uses it; 0 if it is not.
    pub kept_until: Timestamp,
    /// Whether the rows of its pack count it.
    pub in_pack: bool,
}

/// Bucket and key of a version, and its stamp: of each key, the newest comes first.
pub type VersionPlace = (BucketUid, ObjectKey, Stamp);

/// An object of any version.
pub struct AnyObject {
    /// Its bucket.
    pub bucket: BucketUid,
    /// Its key.
    pub key: ObjectKey,
    /// Whether it is the current one.
    pub is_current: bool,
    /// What it is.
    pub object: Object,
}

/// Pages of the objects of all buckets in all versions: the current ones, then the others.
pub struct AnyObjects<'v> {
    view: &'v dyn MetaView,
    next: NextPage,
}

/// Where the next page of [`AnyObjects`] begins.
enum NextPage {
    Current(Option<(BucketUid, ObjectKey)>),
    Others(Option<VersionPlace>),
}

impl<'v> AnyObjects<'v> {
    /// All of a view.
    pub fn of(view: &'v dyn MetaView) -> Self {
        Self { view, next: NextPage::Current(None) }
    }

    /// The next page; an empty one is the end.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<AnyObject>, MetaError> {
        if let NextPage::Current(after) = &self.next {
            let page = self.view.objects(after.as_ref(), limit).await?;
            if let Some((last, _)) = page.last() {
                self.next = NextPage::Current(Some(last.clone()));
                let current = |((bucket, key), object)| AnyObject { bucket, key, is_current: true, object };
                return Ok(page.into_iter().map(current).collect());
            }
            self.next = NextPage::Others(None);
        }
        while let NextPage::Others(after) = &self.next {
            let page = self.view.versions(after.as_ref(), limit).await?;
            let Some((last, _)) = page.last() else { break };
            self.next = NextPage::Others(Some(last.clone()));
            let objects: Vec<_> = page
                .into_iter()
                .filter_map(|((bucket, key, _), version)| {
                    let object = version.into_object()?;
                    Some(AnyObject { bucket, key, is_current: false, object })
                })
                .collect();
            if !objects.is_empty() {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }
}

/// Rows of one moment. Pages are ordered by what names the row, begin after `after`, and an empty one is the end.
#[async_trait]
pub trait MetaView: Send + Sync {
    /// How many rows there are.
    async fn counts(&self) -> Result<Counts, MetaError>;

    /// All buckets.
    async fn buckets(&self) -> Result<Vec<Bucket>, MetaError>;

    /// A page of the objects of all buckets.
    async fn objects(
        &self,
        after: Option<&(BucketUid, ObjectKey)>,
        limit: usize,
    ) -> Result<Vec<((BucketUid, ObjectKey), Object)>, MetaError>;

    /// The current object of a key.
    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError>;

    /// A page of the versions of all buckets that are not current objects, delete markers included.
    async fn versions(
        &self,
        after: Option<&VersionPlace>,
        limit: usize,
    ) -> Result<Vec<(VersionPlace, Version)>, MetaError>;

    /// Under which stamp the version without an id of a key is, if it is not the current object.
    async fn null_version(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Stamp>, MetaError>;

    /// How much the versions of a bucket are, as it is counted.
    async fn version_stats(&self, bucket: BucketUid) -> Result<VersionStats, MetaError>;

    /// How many objects the row of a folder of so many steps says lie directly in it.
    async fn folder(&self, bucket: BucketUid, depth: u16, folder: &str) -> Result<Option<u64>, MetaError>;

    /// Compares a part of a bucket's index of what is due with the rows that make it; `None` if it has none that is filled.
    async fn check_due(
        &self,
        bucket: BucketUid,
        place: &DuePlace,
        limit: usize,
    ) -> Result<Option<DueCheck>, MetaError>;

    /// How many rows a bucket's filled index of what is due has; or, without a bucket, how many are in no bucket's.
    async fn due_rows(&self, bucket: Option<BucketUid>) -> Result<u64, MetaError>;

    /// A page of the running uploads of all buckets.
    async fn uploads(
        &self,
        after: Option<&(BucketUid, Upload)>,
        limit: usize,
    ) -> Result<Vec<(BucketUid, Upload)>, MetaError>;

    /// A page of the parts of all uploads.
    async fn parts(
        &self,
        after: Option<&(UploadId, u16)>,
        limit: usize,
    ) -> Result<Vec<((UploadId, u16), Part)>, MetaError>;

    /// A page of the registrations of all buckets.
    async fn registrations(
        &self,
        after: Option<RegistrationName>,
        limit: usize,
    ) -> Result<Vec<RegistrationName>, MetaError>;

    /// What the bucket holds, as it is counted.
    async fn bucket_stats(&self, bucket: BucketUid) -> Result<BucketStats, MetaError>;

    /// How many objects of the bucket use the file, as it is counted.
    async fn objects_of_file(&self, bucket: BucketUid, file: &FileHash) -> Result<u64, MetaError>;

    /// A page of file records.
    async fn files(&self, after: Option<&FileHash>, limit: usize) -> Result<Vec<FileRecord>, MetaError>;

    /// Whether there is a record of the file.
    async fn has_file(&self, file: &FileHash) -> Result<bool, MetaError>;

    /// A page of the use counts of files.
    async fn file_uses(
        &self,
        after: Option<&FileHash>,
        limit: usize,
    ) -> Result<Vec<(FileHash, u64)>, MetaError>;

    /// A page of xorbs.
    async fn xorbs(&self, after: Option<&XorbHash>, limit: usize) -> Result<Vec<XorbEntry>, MetaError>;

    /// A xorb, with all that is known of it.
    async fn xorb_entry(&self, hash: &XorbHash) -> Result<Option<XorbEntry>, MetaError>;

    /// Where a xorb lies.
    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError>;

    /// Names of xorbs that are counted, idle or kept, and have no row.
    async fn stray_xorbs(&self, limit: usize) -> Result<Vec<XorbHash>, MetaError>;

    /// Packs and offsets where a xorb is said to lie, and no xorb's row says so.
    async fn stray_places(&self, limit: usize) -> Result<Vec<(PackId, u64)>, MetaError>;

    /// Names of files that are counted and have no record.
    async fn stray_files(&self, limit: usize) -> Result<Vec<FileHash>, MetaError>;

    /// Every pack.
    async fn packs(&self) -> Result<Vec<PackRow>, MetaError>;
}
