//! The embedded engine: redb, one writer thread, many requests in one transaction.
//!
//! A request that comes while a transaction is being synced waits and shares the next one with all that have come
//! meanwhile; a lone request never waits for company.

use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use tokio::sync::oneshot;

use super::snapshot::Snapshot;
use super::tables::{self, Failure, Tables, decode, decode_whole_object};
use super::{
    Completion, IdleXorb, ListPage, ListQuery, MetaError, MetaStore, MetaView, NewFile, ObjectChange,
    PackRow, TermChange, WriteCondition, XorbMove, listing, xorbs,
};
use crate::store::ambient::Timestamp;
use crate::store::names::{BucketId, Namespace, ObjectKey, UploadId};
use crate::store::pack::PackId;
use crate::store::rows::{
    Bucket, BucketUid, FileRecord, Object, Part, StoredXorb, Upload, Visibility, XorbRow,
};
use crate::xet::hash::{FileHash, XorbHash};

/// The tables' layout; a store of another one is refused, not guessed at.
const FORMAT: u64 = 2;

/// Most requests in one transaction: it keeps the memory of a transaction bounded.
const GROUP_MAX: usize = 512;

/// Requests that may wait for the writer; beyond it, callers wait.
const QUEUE_MAX: usize = 4096;

/// Memory for cached pages.
const CACHE_BYTES: usize = 64 << 20;

/// A request's last step: learns how the shared transaction ended.
type Finish = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// A request: does its work in the shared transaction, and says whether the engine held.
type Job = Box<dyn FnOnce(&mut Tables<'_>) -> (Result<(), String>, Finish) + Send>;

/// The metadata of one machine, in one file or in memory.
pub struct EmbeddedMeta {
    database: Arc<Database>,
    jobs: mpsc::SyncSender<Job>,
}

pub(super) fn engine(error: impl Into<redb::Error>) -> MetaError {
    MetaError::Engine(error.into().to_string())
}

impl EmbeddedMeta {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(engine)?;
        Self::start(database)
    }

    /// The store's identity; `fresh` becomes it if it has none yet.
    pub fn store_id(&self, fresh: u64) -> Result<u64, MetaError> {
        let transaction = self.database.begin_write().map_err(engine)?;
        let id = {
            let mut counters = transaction.open_table(tables::COUNTERS).map_err(engine)?;
            let known = counters.get("store_id").map_err(engine)?.map(|id| id.value());
            if known.is_none() {
                counters.insert("store_id", fresh).map_err(engine)?;
            }
            known.unwrap_or(fresh)
        };
        transaction.commit().map_err(engine)?;
        Ok(id)
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, MetaError> {
        let backend = redb::backends::InMemoryBackend::new();
        Self::start(Database::builder().create_with_backend(backend).map_err(engine)?)
    }

    fn start(database: Database) -> Result<Self, MetaError> {
        Self::prepare(&database)?;
        let database = Arc::new(database);
        let (jobs, queue) = mpsc::sync_channel(QUEUE_MAX);
        let writer = Arc::clone(&database);
        std::thread::Builder::new()
            .name("meta-writer".to_owned())
            .spawn(move || write_in_groups(&writer, &queue))
            .map_err(|error| MetaError::Engine(error.to_string()))?;
        Ok(Self { database, jobs })
    }

    /// Makes all tables, and checks the format.
    fn prepare(database: &Database) -> Result<(), MetaError> {
        let transaction = database.begin_write().map_err(engine)?;
        drop(Tables::open(&transaction).map_err(engine)?);
        {
            let mut counters = transaction.open_table(tables::COUNTERS).map_err(engine)?;
            let found = counters.get("format").map_err(engine)?.map(|format| format.value());
            match found {
                None => drop(counters.insert("format", FORMAT).map_err(engine)?),
                Some(FORMAT) => {}
                Some(other) => {
                    let text = format!("the store has format {other}, this version reads {FORMAT}");
                    return Err(MetaError::Engine(text));
                }
            }
        }
        transaction.commit().map_err(engine)
    }

    /// Runs `work` in the next transaction; the answer comes when that is durable.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            let outcome = work(tables);
            let held = match &outcome {
                Err(Failure::Engine(error)) => Err(error.to_string()),
                Ok(_) | Err(Failure::Refused(_)) => Ok(()),
            };
            let finish: Finish = Box::new(move |committed| {
                let result = match (outcome, committed) {
                    (Err(Failure::Engine(error)), _) => Err(engine(error)),
                    // What refused it may have been a neighbour's change, which is not there then.
                    (_, Err(error)) => Err(MetaError::Engine(error.to_owned())),
                    (Err(Failure::Refused(refusal)), Ok(())) => Err(refusal),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // Whoever asked may have gone; the transaction stands all the same.
                let _ = answer.send(result);
            });
            (held, finish)
        });
        let gone = || MetaError::Engine("the writer has stopped".to_owned());
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
            Err(mpsc::TrySendError::Full(job)) => {
                let jobs = self.jobs.clone();
                let sent = tokio::task::spawn_blocking(move || jobs.send(job)).await;
                sent.map_err(|_| gone())?.map_err(|_| gone())?;
            }
        }
        answered.await.map_err(|_| gone())?
    }

    /// Runs `read` on a snapshot.
    fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, MetaError> {
        let transaction = self.database.begin_read().map_err(engine)?;
        read(&transaction).map_err(engine)
    }
}

fn write_in_groups(database: &Database, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(GROUP_MAX - 1)).collect();
        let mut finishes = Vec::with_capacity(group.len());
        let committed = write_group(database, group, &mut finishes);
        for finish in finishes {
            finish(committed.as_ref().copied().map_err(String::as_str));
        }
    }
}

/// One transaction for a group. After the first engine error nothing more is tried and nothing is kept.
fn write_group(database: &Database, group: Vec<Job>, finishes: &mut Vec<Finish>) -> Result<(), String> {
    let transaction: WriteTransaction = database.begin_write().map_err(|error| error.to_string())?;
    {
        let mut tables = Tables::open(&transaction).map_err(|error| error.to_string())?;
        for job in group {
            let (held, finish) = job(&mut tables);
            finishes.push(finish);
            held?;
        }
    }
    transaction.commit().map_err(|error| error.to_string())
}

#[async_trait]
impl MetaStore for EmbeddedMeta {
    async fn create_bucket(
        &self,
        id: &BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, MetaError> {
        let bucket = Bucket { uid: BucketUid(0), id: id.clone(), visibility, created_at };
        self.write(move |tables| tables.create_bucket(bucket)).await
    }

    async fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::BUCKETS)?.get((id.namespace.as_str(), id.name.as_str()))?;
            Ok(row.map(|row| decode(row.value())).transpose()?)
        })
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

    async fn delete_bucket(&self, id: &BucketId, with_contents: bool) -> Result<(), MetaError> {
        let id = id.clone();
        self.write(move |tables| tables.delete_bucket(&id, with_contents)).await
    }

    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::OBJECTS)?.get((bucket.0, key.as_str().as_bytes()))?;
            Ok(row.map(|row| decode_whole_object(row.value())).transpose()?)
        })
    }

    async fn list(&self, bucket: BucketUid, query: &ListQuery) -> Result<ListPage, MetaError> {
        self.read(|snapshot| Ok(listing::page(&snapshot.open_table(tables::OBJECTS)?, bucket, query)?))
    }

    async fn change(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: ObjectChange,
    ) -> Result<(), MetaError> {
        let (key, condition) = (key.clone(), condition.clone());
        self.write(move |tables| tables.change(bucket, &key, &condition, change)).await
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
    ) -> Result<(), MetaError> {
        let (key, id) = (key.clone(), id.clone());
        self.write(move |tables| tables.complete_upload(bucket, &key, &id, &completion)).await
    }

    async fn abort_upload(&self, bucket: BucketUid, key: &ObjectKey, id: &UploadId) -> Result<(), MetaError> {
        let (key, id) = (key.clone(), id.clone());
        self.write(move |tables| tables.abort_upload(bucket, &key, &id)).await
    }

    async fn file(&self, hash: &FileHash) -> Result<Option<FileRecord>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::FILES)?.get(hash.as_bytes())?;
            Ok(row.map(|row| decode(row.value())).transpose()?)
        })
    }

    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::XORBS)?.get(hash.as_bytes())?;
            Ok(row.map(|row| decode(row.value())).transpose()?)
        })
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
        after: Option<XorbHash>,
        limit: usize,
    ) -> Result<Vec<XorbHash>, MetaError> {
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
        Ok(Box::new(Snapshot::of(self.database.begin_read().map_err(engine)?)))
    }
}
