//! [`TableMeta`]: the [`MetaStore`] over sorted tables, whichever engine holds them.

use std::future::Future;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::engine::engine;
use super::kv::{ReadTransaction, ReadableTable};
use super::read_snapshot::ReadSnapshot;
use super::tables::{self, Failure, Tables, decode};
use super::{
    Changed, Completion, Content, IdleXorb, KeyChange, Lease, MetaError, MetaStore, MetaView, NewFile,
    ObjectChange, PackRow, TermChange, Wanted, XorbMove, bucket_names, folders, holdings, listing, settings,
    tree, versions, xorbs,
};
use crate::model::bucket::{Bucket, BucketStats, BucketUid, VersionStats, Visibility};
use crate::model::clock::Timestamp;
use crate::model::conditions::WriteCondition;
use crate::model::file::FileRecord;
use crate::model::listing::{ListPage, ListQuery, TreePage, TreeQuery, VersionPage, VersionQuery};
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey, UploadId};
use crate::model::object::{Object, ObjectRef, Version};
use crate::model::settings::{BucketChange, BucketSettings};
use crate::model::upload::{Part, Upload};
use crate::model::version::VersionRef;
use crate::store::file_terms::{FileTerms, TermRuns};
use crate::store::metrics::MetaMetrics;
use crate::store::rows::{PackId, StoredXorb, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};

/// Reads of one moment. What reads may run several times (see [`super::kv`]).
pub(super) trait Reads: Send + Sync {
    /// Runs `read` on the rows of one moment.
    fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> impl Future<Output = Result<T, MetaError>> + Send;
}

/// What holds the tables.
pub(super) trait TableEngine: Reads + 'static {
    /// Runs `work` in a transaction; the answer comes when that is durable. It may run several times.
    fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, MetaError>> + Send;

    /// Runs `work`, which is likely to write only what was not there.
    fn write_new<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, MetaError>> + Send {
        self.write(work)
    }

    /// Finds few rows, of one moment.
    fn find<T: Send>(
        &self,
        find: impl Fn(&ReadSnapshot) -> Result<T, MetaError> + Send + Sync,
    ) -> impl Future<Output = Result<T, MetaError>> + Send;

    /// All rows as they are at this moment.
    fn view(&self) -> impl Future<Output = Result<Box<dyn MetaView>, MetaError>> + Send;

    /// See [`MetaStore::copy_to`].
    fn copy_to(&self, to: PathBuf) -> impl Future<Output = Result<(), MetaError>> + Send;

    /// See [`MetaStore::metrics`].
    fn metrics(&self) -> Option<&MetaMetrics>;
}

/// The metadata in sorted tables.
pub struct TableMeta<E> {
    pub(super) engine: Arc<E>,
    /// The runs of long records that are being read.
    runs: Arc<TermRuns>,
    /// The lease that is needed to write, if one is.
    lease: Option<Lease>,
}

impl<E> TableMeta<E> {
    /// The tables of an engine.
    pub(super) fn of(engine: E) -> Self {
        Self { engine: Arc::new(engine), runs: Arc::default(), lease: None }
    }

    /// The same tables, written only while a lease is held.
    pub(super) fn leased(&self, lease: Lease) -> Self {
        let (engine, runs) = (Arc::clone(&self.engine), Arc::clone(&self.runs));
        Self { engine, runs, lease: Some(lease) }
    }

    /// Runs `work` in a transaction, if the lease is held that it needs.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError>
    where
        E: TableEngine,
    {
        let lease = self.lease.clone();
        self.engine
            .write(move |tables| {
                lease.as_ref().map_or(Ok(()), |lease| tables.must_hold(lease))?;
                work(tables)
            })
            .await
    }
}

#[async_trait]
impl<E: TableEngine> MetaStore for TableMeta<E> {
    async fn store_id(&self, fresh: u64) -> Result<u64, MetaError> {
        self.write(move |tables| tables.store_id(fresh)).await
    }

    async fn copy_to(&self, to: PathBuf) -> Result<(), MetaError> {
        self.engine.copy_to(to).await
    }

    fn metrics(&self) -> Option<&MetaMetrics> {
        self.engine.metrics()
    }

    async fn create_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError> {
        let bucket = settings::new_bucket(id, visibility, created_at);
        self.write(move |tables| tables.create_bucket(&bucket)).await
    }

    async fn create_locked_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError> {
        let bucket = settings::new_bucket(id, visibility, created_at);
        self.write(move |tables| tables.create_locked_bucket(&bucket)).await
    }

    async fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, MetaError> {
        self.engine.find(|rows| rows.bucket(id)).await
    }

    async fn bucket_of(&self, uid: BucketUid) -> Result<Option<Bucket>, MetaError> {
        self.engine.find(|rows| rows.bucket_of(uid)).await
    }

    async fn buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, MetaError> {
        self.engine
            .read(|snapshot| {
                let table = snapshot.open_table(tables::BUCKETS)?;
                let mut buckets = Vec::new();
                for entry in table.range((namespace.as_str(), "")..)? {
                    let (name, row) = entry?;
                    if name.value().0 != namespace.as_str() {
                        break;
                    }
                    buckets.push(decode(row.value())?);
                }
                Ok(buckets)
            })
            .await
    }

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, MetaError> {
        self.engine.read(|snapshot| bucket_names::named(snapshot, name)).await
    }

    async fn bucket_settings(&self, bucket: BucketUid) -> Result<BucketSettings, MetaError> {
        self.engine.read(|snapshot| settings::of_bucket(snapshot, bucket)).await
    }

    async fn change_bucket(&self, id: &BucketId, change: BucketChange) -> Result<(), MetaError> {
        let id = id.clone();
        self.write(move |tables| tables.change_bucket(&id, &change)).await
    }

    async fn delete_bucket(
        &self,
        id: &BucketId,
        with_contents: bool,
        now: Timestamp,
    ) -> Result<(), MetaError> {
        let id = id.clone();
        self.write(move |tables| tables.delete_bucket(&id, with_contents, now)).await
    }

    async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), MetaError> {
        let (from, to) = (from.clone(), to.clone());
        self.write(move |tables| tables.move_bucket(&from, &to)).await
    }

    async fn set_visibility(&self, id: &BucketId, visibility: Visibility) -> Result<(), MetaError> {
        let id = id.clone();
        self.write(move |tables| tables.set_visibility(&id, visibility)).await
    }

    async fn bucket_stats(&self, bucket: BucketUid) -> Result<BucketStats, MetaError> {
        self.engine.read(|snapshot| holdings::stats(snapshot, bucket)).await
    }

    async fn file_size_in(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        proved_by: Option<&str>,
    ) -> Result<Option<u64>, MetaError> {
        self.engine.read(|snapshot| holdings::file_size(snapshot, bucket, file, proved_by)).await
    }

    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError> {
        self.engine.find(|rows| rows.object(bucket, key)).await
    }

    async fn objects(&self, bucket: BucketUid, keys: &[ObjectKey]) -> Result<Vec<Option<Object>>, MetaError> {
        self.engine.find(|rows| keys.iter().map(|key| rows.object(bucket, key)).collect()).await
    }

    async fn content(
        &self,
        bucket: &BucketId,
        object: ObjectRef<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Content, MetaError> {
        self.engine.find(|rows| rows.content((bucket, object), &self.runs, wanted)).await
    }

    async fn list(&self, bucket: BucketUid, query: &ListQuery) -> Result<ListPage, MetaError> {
        self.engine
            .read(|snapshot| {
                if let Some(page) = folders::page(&snapshot.open_table(folders::FOLDERS)?, bucket, query)? {
                    return Ok(page);
                }
                let objects = snapshot.open_table(tables::OBJECTS)?;
                if !listing::is_at_hand(&objects, bucket, query) {
                    return Ok(ListPage::default());
                }
                Ok(listing::page(&objects, bucket, query)?)
            })
            .await
    }

    async fn version(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Version>, MetaError> {
        self.engine.find(|rows| rows.version(bucket, key, version)).await
    }

    async fn latest(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Version>, MetaError> {
        self.engine.find(|rows| rows.latest(bucket, key)).await
    }

    async fn list_versions(&self, bucket: BucketUid, query: &VersionQuery) -> Result<VersionPage, MetaError> {
        self.engine.find(|rows| rows.versions().page(bucket, query).map_err(engine)).await
    }

    async fn version_stats(&self, bucket: BucketUid) -> Result<VersionStats, MetaError> {
        self.engine.read(|snapshot| versions::stats(snapshot, bucket)).await
    }

    async fn tree(&self, bucket: BucketUid, query: &TreeQuery) -> Result<TreePage, MetaError> {
        self.engine
            .read(|snapshot| Ok(tree::page(&snapshot.open_table(tables::OBJECTS)?, bucket, query)?))
            .await
    }

    async fn change(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: ObjectChange,
    ) -> Result<Changed, MetaError> {
        let (key, condition) = (key.clone(), condition.clone());
        if matches!(change, ObjectChange::Put(_, Some(_))) {
            return self
                .engine
                .write_new(move |tables| tables.change(bucket, &key, &condition, &change))
                .await;
        }
        self.write(move |tables| tables.change(bucket, &key, &condition, &change)).await
    }

    async fn change_many(
        &self,
        bucket: BucketUid,
        changes: Vec<KeyChange>,
    ) -> Result<Vec<Result<Changed, MetaError>>, MetaError> {
        self.write(move |tables| tables.change_many(bucket, &changes)).await
    }

    async fn create_upload(&self, bucket: BucketUid, upload: &Upload) -> Result<(), MetaError> {
        let upload = upload.clone();
        self.write(move |tables| tables.create_upload(bucket, &upload)).await
    }

    async fn upload(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<Option<Upload>, MetaError> {
        self.engine
            .read(|snapshot| {
                let table = snapshot.open_table(tables::UPLOADS)?;
                let row = table.get((bucket.0, key.as_str().as_bytes(), id.as_str()))?;
                Ok(row.map(|row| decode(row.value())).transpose()?)
            })
            .await
    }

    async fn uploads(
        &self,
        bucket: BucketUid,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, MetaError> {
        self.engine
            .read(|snapshot| {
                let table = snapshot.open_table(tables::UPLOADS)?;
                let start = Bound::Excluded((bucket.0, after.0.as_bytes(), after.1));
                let end = Bound::Excluded((bucket.0 + 1, [].as_slice(), ""));
                let rows = table.range::<(u64, &[u8], &str)>((start, end))?.take(limit);
                rows.map(|entry| Ok(decode(entry?.1.value())?)).collect()
            })
            .await
    }

    async fn put_part(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        part: Part,
        file: Option<NewFile>,
    ) -> Result<(), MetaError> {
        let (key, id) = (key.clone(), id.clone());
        self.write(move |tables| tables.put_part(bucket, &key, &id, &part, file.as_ref())).await
    }

    async fn parts(&self, id: &UploadId, after: u16, limit: usize) -> Result<Vec<Part>, MetaError> {
        self.engine
            .read(|snapshot| {
                let table = snapshot.open_table(tables::PARTS)?;
                let range = (id.as_str(), after.saturating_add(1))..=(id.as_str(), u16::MAX);
                let rows = table.range(range)?.take(limit);
                rows.map(|entry| Ok(decode(entry?.1.value())?)).collect()
            })
            .await
    }

    async fn complete_upload(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        completion: Completion,
    ) -> Result<Changed, MetaError> {
        let (key, id) = (key.clone(), id.clone());
        self.write(move |tables| tables.complete_upload(bucket, &key, &id, &completion)).await
    }

    async fn abort_upload(&self, bucket: BucketUid, key: &ObjectKey, id: &UploadId) -> Result<(), MetaError> {
        let (key, id) = (key.clone(), id.clone());
        self.write(move |tables| tables.abort_upload(bucket, &key, &id)).await
    }

    async fn file(&self, hash: &FileHash) -> Result<Option<FileRecord>, MetaError> {
        self.engine.find(|rows| rows.file(hash)).await
    }

    async fn file_terms(&self, hash: &FileHash, wanted: Wanted<'_>) -> Result<Option<FileTerms>, MetaError> {
        self.engine.find(|rows| rows.terms(hash, &self.runs, wanted)).await
    }

    async fn files_terms(
        &self,
        hashes: &[FileHash],
        terms_max: usize,
    ) -> Result<Vec<Option<FileTerms>>, MetaError> {
        self.engine
            .find(|rows| {
                let (mut files, mut terms) = (Vec::with_capacity(hashes.len()), 0);
                for hash in hashes {
                    let file = rows.terms(hash, &self.runs, |size| 0..size)?;
                    terms += file.as_ref().map_or(0, FileTerms::len);
                    files.push(file);
                    if terms > terms_max {
                        break;
                    }
                }
                Ok(files)
            })
            .await
    }

    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError> {
        self.engine.find(|rows| rows.xorb(hash)).await
    }

    async fn packs(&self) -> Result<Vec<PackRow>, MetaError> {
        self.engine.read(xorbs::packs).await
    }

    async fn register_xorbs(&self, xorbs: Vec<StoredXorb>, keep_until: Timestamp) -> Result<(), MetaError> {
        self.write(move |tables| tables.register_xorbs(&xorbs, keep_until)).await
    }

    async fn idle_xorbs(
        &self,
        now: Timestamp,
        after: Option<XorbHash>,
        limit: usize,
    ) -> Result<Vec<IdleXorb>, MetaError> {
        self.engine.read(|snapshot| xorbs::idle(snapshot, now, after, limit)).await
    }

    async fn remove_xorbs(&self, idle: Vec<IdleXorb>, now: Timestamp) -> Result<Vec<StoredXorb>, MetaError> {
        self.write(move |tables| tables.remove_xorbs(&idle, now)).await
    }

    async fn xorbs_in(
        &self,
        pack: PackId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredXorb>, MetaError> {
        self.engine.read(|snapshot| xorbs::of_pack(snapshot, pack, after, limit)).await
    }

    async fn move_xorbs(&self, moves: Vec<XorbMove>) -> Result<usize, MetaError> {
        self.write(move |tables| tables.move_xorbs(&moves)).await
    }

    async fn replace_terms(&self, change: TermChange) -> Result<usize, MetaError> {
        self.write(move |tables| tables.replace_terms(&change)).await
    }

    async fn forget_pack(&self, pack: PackId) -> Result<bool, MetaError> {
        self.write(move |tables| tables.forget_pack(pack)).await
    }

    async fn view(&self) -> Result<Box<dyn MetaView>, MetaError> {
        self.engine.view().await
    }
}
