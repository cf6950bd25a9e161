//! The embedded engine: redb, one writer thread, many requests in one transaction.
//!
//! A request that comes while a transaction is being synced waits and shares the next one with all that have come
//! meanwhile; a lone request never waits for company.
//!
//! After an I/O error the writer thread opens the database again (see [`super::engine`]); meanwhile all are refused.

use std::fs::File;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tracing::warn;

use super::engine::{Engine, Generation, engine};
use super::place::{FilePlace, MemoryPlace, Place};
use super::read_snapshot::ReadSnapshot;
use super::snapshot::Snapshot;
use super::tables::{self, Failure, Tables, decode};
use super::writer::{Finish, Job, Request, write_in_groups};
use super::{
    Changed, Completion, Content, IdleXorb, KeyChange, MetaError, MetaStore, MetaView, NewFile, ObjectChange,
    PackRow, TermChange, Wanted, XorbMove, bucket_names, folders, format, holdings, listing, settings, tree,
    upgrade, versions, xorbs,
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

/// Requests that may wait for the writer; beyond it, callers wait.
const QUEUE_MAX: usize = 4096;

/// The metadata of one machine, in one file or in memory.
pub struct EmbeddedMeta {
    engine: Arc<Engine>,
    requests: mpsc::SyncSender<Request>,
    /// The runs of long records that are being read.
    runs: TermRuns,
    /// Where it is; `None` in memory.
    file: Option<PathBuf>,
}

impl EmbeddedMeta {
    /// Opens the file, or makes it. One of an older format is upgraded first (see [`upgrade`]). Blocks.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let opened = Self::open_at(Arc::new(FilePlace::new(path)))?;
        Ok(Self { file: Some(path.to_owned()), ..opened })
    }

    /// The store's identity; `fresh` becomes it if it has none yet.
    pub async fn store_id(&self, fresh: u64) -> Result<u64, MetaError> {
        self.write(move |tables| tables.store_id(fresh)).await
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, MetaError> {
        Self::open_at(Arc::new(MemoryPlace::new()))
    }

    /// A store in any place.
    pub(crate) fn open_at(place: Arc<dyn Place>) -> Result<Self, MetaError> {
        let mut engine = Engine::open(Arc::clone(&place))?;
        if let Some(older) = format::older(&engine)? {
            drop(engine);
            upgrade::upgrade(&*place, older)?;
            engine = Engine::open(place)?;
        } else if let Err(error) = place.remove_copy() {
            warn!(%error, "what an upgrade has left could not be removed");
        }
        format::prepare(&engine)?;
        let engine = Arc::new(engine);
        let (requests, queue) = mpsc::sync_channel(QUEUE_MAX);
        let writer = Arc::clone(&engine);
        std::thread::Builder::new()
            .name("meta-writer".to_owned())
            .spawn(move || write_in_groups(&writer, &queue))
            .map_err(|error| MetaError::Unavailable(error.to_string()))?;
        Ok(Self { engine, requests, runs: TermRuns::default(), file: None })
    }

    /// Runs `work` in the next transaction; the answer comes when that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            let outcome = match tables {
                Ok(tables) => work(tables).map_err(|failure| match failure {
                    Failure::Refused(refusal) => (refusal, true),
                    Failure::Engine(error) => (engine(error), false),
                }),
                Err(error) => Err((error.clone(), false)),
            };
            let held = match &outcome {
                Err((error, false)) => Err(error.clone()),
                Ok(_) | Err((_, true)) => Ok(()),
            };
            let finish: Finish = Box::new(move |committed| {
                let result = match (outcome, committed) {
                    (Err((error, false)), _) => Err(error),
                    // What refused it may have been a neighbour's change, which is not there then.
                    (_, Err(error)) => Err(error.clone()),
                    (Err((refusal, true)), Ok(())) => Err(refusal),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // The one who asked may have gone; the transaction stands all the same.
                let _ = answer.send(result);
            });
            (held, finish)
        });
        let gone = || MetaError::Engine("the writer has stopped".to_owned());
        match self.requests.try_send(Request::Write(job)) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
            Err(mpsc::TrySendError::Full(request)) => {
                let requests = self.requests.clone();
                let sent = tokio::task::spawn_blocking(move || requests.send(request)).await;
                sent.map_err(|_| gone())?.map_err(|_| gone())?;
            }
        }
        answered.await.map_err(|_| gone())?
    }

    /// Runs `read` on a snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, MetaError> {
        let (generation, snapshot) = self.begin_read()?;
        read(&snapshot).map_err(engine).inspect_err(|error| self.met(error, generation))
    }

    /// Finds single rows in the snapshot that readers share.
    fn find<T>(&self, find: impl FnOnce(&ReadSnapshot) -> Result<T, MetaError>) -> Result<T, MetaError> {
        let generation = self.engine.generation();
        let read_snapshot = self.engine.read_snapshot().inspect_err(|error| self.met(error, generation))?;
        find(&read_snapshot).inspect_err(|error| self.met(error, read_snapshot.generation))
    }

    fn begin_read(&self) -> Result<(Generation, redb::ReadTransaction), MetaError> {
        let generation = self.engine.generation();
        self.engine.begin_read().inspect_err(|error| self.met(error, generation))
    }

    /// Sees to it that an error after which nothing would work any more is mended.
    fn met(&self, error: &MetaError, generation: Generation) {
        if self.engine.close_after(error, generation) {
            // If the queue is full, the writer is awake anyhow.
            let _ = self.requests.try_send(Request::Reopen);
        }
    }
}

#[async_trait]
impl MetaStore for EmbeddedMeta {
    async fn copy_to(&self, to: PathBuf) -> Result<(), MetaError> {
        let from = self.file.clone();
        let from = from.ok_or_else(|| MetaError::Unavailable("it is in memory".to_owned()))?;
        // On the writer's thread: between two commits the file is as the last one left it, for what this transaction may
        // have written lies in pages that no commit names. The copy opens as the file itself does after a power cut.
        let copied = self.write(move |_| {
            let copied = std::fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all());
            Ok(copied.map_err(|error| error.to_string()))
        });
        copied.await?.map_err(MetaError::Unavailable)
    }

    fn metrics(&self) -> Option<&MetaMetrics> {
        Some(&self.engine.metrics)
    }

    async fn create_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError> {
        let bucket = settings::new_bucket(id, visibility, created_at);
        self.write(move |tables| tables.create_bucket(bucket)).await
    }

    async fn create_locked_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError> {
        let bucket = settings::new_bucket(id, visibility, created_at);
        self.write(move |tables| tables.create_locked_bucket(bucket)).await
    }

    async fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, MetaError> {
        self.find(|rows| rows.bucket(id))
    }

    async fn bucket_of(&self, uid: BucketUid) -> Result<Option<Bucket>, MetaError> {
        self.find(|rows| rows.bucket_of(uid))
    }

    async fn buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, MetaError> {
        self.read(|snapshot| {
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
    }

    async fn buckets_named(&self, name: &BucketName) -> Result<Vec<Bucket>, MetaError> {
        self.read(|snapshot| bucket_names::named(snapshot, name))
    }

    async fn bucket_settings(&self, bucket: BucketUid) -> Result<BucketSettings, MetaError> {
        self.read(|snapshot| settings::of_bucket(snapshot, bucket))
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
        self.read(|snapshot| holdings::stats(snapshot, bucket))
    }

    async fn file_size_in(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        proved_by: Option<&str>,
    ) -> Result<Option<u64>, MetaError> {
        self.read(|snapshot| holdings::file_size(snapshot, bucket, file, proved_by))
    }

    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError> {
        self.find(|rows| rows.object(bucket, key))
    }

    async fn objects(&self, bucket: BucketUid, keys: &[ObjectKey]) -> Result<Vec<Option<Object>>, MetaError> {
        self.find(|rows| keys.iter().map(|key| rows.object(bucket, key)).collect())
    }

    async fn content(
        &self,
        bucket: &BucketId,
        object: ObjectRef<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Content, MetaError> {
        self.find(|rows| rows.content((bucket, object), &self.runs, wanted))
    }

    async fn list(&self, bucket: BucketUid, query: &ListQuery) -> Result<ListPage, MetaError> {
        self.read(|snapshot| {
            if let Some(page) = folders::page(&snapshot.open_table(folders::FOLDERS)?, bucket, query)? {
                return Ok(page);
            }
            Ok(listing::page(&snapshot.open_table(tables::OBJECTS)?, bucket, query)?)
        })
    }

    async fn version(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Version>, MetaError> {
        self.find(|rows| rows.version(bucket, key, version))
    }

    async fn latest(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Version>, MetaError> {
        self.find(|rows| rows.latest(bucket, key))
    }

    async fn list_versions(&self, bucket: BucketUid, query: &VersionQuery) -> Result<VersionPage, MetaError> {
        self.find(|rows| rows.versions().page(bucket, query).map_err(engine))
    }

    async fn version_stats(&self, bucket: BucketUid) -> Result<VersionStats, MetaError> {
        self.read(|snapshot| versions::stats(snapshot, bucket))
    }

    async fn tree(&self, bucket: BucketUid, query: &TreeQuery) -> Result<TreePage, MetaError> {
        self.read(|snapshot| Ok(tree::page(&snapshot.open_table(tables::OBJECTS)?, bucket, query)?))
    }

    async fn change(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: ObjectChange,
    ) -> Result<Changed, MetaError> {
        let (key, condition) = (key.clone(), condition.clone());
        self.write(move |tables| tables.change(bucket, &key, &condition, change)).await
    }

    async fn change_many(
        &self,
        bucket: BucketUid,
        changes: Vec<KeyChange>,
    ) -> Result<Vec<Result<Changed, MetaError>>, MetaError> {
        self.write(move |tables| tables.change_many(bucket, changes)).await
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
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::UPLOADS)?;
            let row = table.get((bucket.0, key.as_str().as_bytes(), id.as_str()))?;
            Ok(row.map(|row| decode(row.value())).transpose()?)
        })
    }

    async fn uploads(
        &self,
        bucket: BucketUid,
        after: (&str, &str),
        limit: usize,
    ) -> Result<Vec<Upload>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::UPLOADS)?;
            let start = Bound::Excluded((bucket.0, after.0.as_bytes(), after.1));
            let end = Bound::Excluded((bucket.0 + 1, [].as_slice(), ""));
            let rows = table.range::<(u64, &[u8], &str)>((start, end))?.take(limit);
            rows.map(|entry| Ok(decode(entry?.1.value())?)).collect()
        })
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
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::PARTS)?;
            let range = (id.as_str(), after.saturating_add(1))..=(id.as_str(), u16::MAX);
            let rows = table.range(range)?.take(limit);
            rows.map(|entry| Ok(decode(entry?.1.value())?)).collect()
        })
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
        self.find(|rows| rows.file(hash))
    }

    async fn file_terms(&self, hash: &FileHash, wanted: Wanted<'_>) -> Result<Option<FileTerms>, MetaError> {
        self.find(|rows| rows.terms(hash, &self.runs, wanted))
    }

    async fn files_terms(
        &self,
        hashes: &[FileHash],
        terms_max: usize,
    ) -> Result<Vec<Option<FileTerms>>, MetaError> {
        self.find(|rows| {
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
    }

    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError> {
        self.find(|rows| rows.xorb(hash))
    }

    async fn packs(&self) -> Result<Vec<PackRow>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::PACKS)?;
            let rows = table.range::<u64>(..)?;
            rows.map(|entry| {
                let (id, row) = entry?;
                let (committed_end, live_bytes) = row.value();
                Ok(PackRow { id: PackId(id.value()), committed_end, live_bytes })
            })
            .collect()
        })
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
        self.read(|snapshot| xorbs::idle(snapshot, now, after, limit))
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
        self.read(|snapshot| xorbs::of_pack(snapshot, pack, after, limit))
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
        Ok(Box::new(Snapshot::of(self.begin_read()?.1)))
    }
}
