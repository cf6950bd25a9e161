//! The embedded engine: redb, one writer thread, many requests in one transaction.
//!
//! A request that comes while a transaction is being synced waits and shares the next one with all that have come
//! meanwhile; a lone request never waits for company.
//!
//! After an I/O error the writer thread opens the database again (see [`super::engine`]); meanwhile all are refused.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use tracing::warn;

use super::engine::{Engine, Generation, engine};
use super::job::{Job, job};
use super::kv::ReadTransaction;
use super::place::{FilePlace, MemoryPlace, Place};
use super::read_snapshot::ReadSnapshot;
use super::snapshot::{EmbeddedReads, Snapshot};
use super::table_meta::{Reads, TableEngine, TableMeta};
use super::tables::{Failure, Tables};
use super::writer::{Request, write_in_groups};
use super::{MetaError, MetaView, format, upgrade};
use crate::store::metrics::MetaMetrics;

/// Requests that may wait for the writer; beyond it, callers wait.
const QUEUE_MAX: usize = 4096;

/// The metadata of one machine, in one file or in memory.
pub type EmbeddedMeta = TableMeta<Embedded>;

/// Tables in redb.
pub struct Embedded {
    engine: Arc<Engine>,
    requests: mpsc::SyncSender<Request>,
    /// Where it is; `None` in memory.
    file: Option<PathBuf>,
}

impl EmbeddedMeta {
    /// Opens the file, or makes it. One of an older format is upgraded first (see [`upgrade`]). Blocks.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let opened = Embedded::open_at(Arc::new(FilePlace::new(path)))?;
        Ok(Self::of(Embedded { file: Some(path.to_owned()), ..opened }))
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, MetaError> {
        Self::open_at(Arc::new(MemoryPlace::new()))
    }

    /// A store in any place.
    pub(crate) fn open_at(place: Arc<dyn Place>) -> Result<Self, MetaError> {
        Ok(Self::of(Embedded::open_at(place)?))
    }
}

impl Embedded {
    fn open_at(place: Arc<dyn Place>) -> Result<Self, MetaError> {
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
        Ok(Self { engine, requests, file: None })
    }

    async fn send(&self, job: Box<dyn Job>) -> Result<(), MetaError> {
        match self.requests.try_send(Request::Write(job)) {
            Ok(()) => Ok(()),
            Err(mpsc::TrySendError::Disconnected(_)) => Err(gone()),
            Err(mpsc::TrySendError::Full(request)) => {
                let requests = self.requests.clone();
                let sent = tokio::task::spawn_blocking(move || requests.send(request)).await;
                sent.map_err(|_| gone())?.map_err(|_| gone())
            }
        }
    }

    fn begin_read(&self) -> Result<(Generation, ReadTransaction), MetaError> {
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

fn gone() -> MetaError {
    MetaError::Engine("the writer has stopped".to_owned())
}

impl Reads for Embedded {
    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        let (generation, snapshot) = self.begin_read()?;
        read(&snapshot).map_err(engine).inspect_err(|error| self.met(error, generation))
    }
}

impl TableEngine for Embedded {
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (job, answered) = job(false, work);
        self.send(job).await?;
        answered.await.map_err(|_| gone())?
    }

    /// In the snapshot that readers share.
    async fn find<T: Send>(
        &self,
        find: impl Fn(&ReadSnapshot) -> Result<T, MetaError> + Send + Sync,
    ) -> Result<T, MetaError> {
        let generation = self.engine.generation();
        let read_snapshot = self.engine.read_snapshot().inspect_err(|error| self.met(error, generation))?;
        find(&read_snapshot).inspect_err(|error| self.met(error, read_snapshot.generation))
    }

    async fn view(&self) -> Result<Box<dyn MetaView>, MetaError> {
        Ok(Box::new(Snapshot::of(EmbeddedReads(self.begin_read()?.1))))
    }

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
}
