//! The engine over a remote database: what the transactions of [`Tables`] need is fetched in few round trips, and what they
//! write is sent in one, with what they have relied on.
//!
//! | | |
//! |---|---|
//! | a read | runs on nothing, and misses rows; they are fetched, of one moment, and it runs again, until it misses none |
//! | a write | the same; then the rows it has read are checked and those it has written are written, in one transaction of the database. If one has changed meanwhile, nothing was written, and it begins again |
//! | many writes at the same time | share both, as on redb: those that come while one is under way are the next |
//!
//! What a write does is so decided by the same code as on redb, on rows that the database has confirmed at the moment of the
//! commit. Rows that were met lately are remembered ([`recent`]): they save a fetch, and do no harm if they are old.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::engine::Generation;
use super::job::{Job, job};
use super::kv::{Changes, Found, Need, ReadTransaction, SharedRows};
use super::read_snapshot::ReadSnapshot;
use super::snapshot::Snapshot;
use super::table_meta::{Reads, TableEngine};
use super::tables::{FILES, Failure, OBJECTS, Tables};
use super::{MetaError, MetaView};
use crate::store::metrics::MetaMetrics;

mod lanes;
mod reader;
mod recent;
#[cfg(test)]
mod tests;
mod writer;

use reader::{MomentReads, Reader};

/// What is asked of the database: of which table, and what.
pub(super) type Needs = BTreeSet<(&'static str, Need)>;

/// What it answers to one need.
#[derive(Clone)]
pub(super) enum Answer {
    /// Rows, by key.
    Rows(Vec<(Vec<u8>, Found)>),
    /// How many rows the table has.
    Count(u64),
}

/// What it answers.
pub(super) type Answers = Vec<((&'static str, Need), Answer)>;

/// The row that a row names, which is likely to be wanted with it: of an object, its file. Databases send it along.
pub(super) fn named_by<'v>(table: &str, value: &'v [u8]) -> Option<(&'static str, &'v [u8])> {
    if table != OBJECTS.name() {
        return None;
    }
    Some((FILES.name(), value.get(NAMED_AT..NAMED_AT + 32)?))
}

/// Where the row of an object has the hash of its file: behind its version. It only saves a round trip: what is read there is
/// looked for, and need not be found.
pub(super) const NAMED_AT: usize = 1;

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is durable.
    Yes,
    /// Something that was read has changed; nothing was written.
    Changed,
}

/// A database.
pub(super) trait Remote: Send + Sync + 'static {
    /// A moment of it.
    type Moment: Moment;

    /// Fetches rows as they are now, all of one moment.
    fn fetch(&self, needs: &Needs) -> impl Future<Output = Result<Answers, MetaError>> + Send;

    /// This moment.
    fn moment(&self) -> impl Future<Output = Result<Self::Moment, MetaError>> + Send;

    /// Makes changes if what they rely on holds; rows that are written are of this revision from then on.
    fn commit(
        &self,
        changes: &Changes,
        revision: u64,
    ) -> impl Future<Output = Result<Committed, MetaError>> + Send;

    /// A number that no other commit has, of this node or another.
    fn revision(&self) -> u64;
}

/// A moment of a database.
pub(super) trait Moment: Send + Sync + 'static {
    /// Fetches rows as they were then.
    fn fetch(&self, needs: &Needs) -> impl Future<Output = Result<Answers, MetaError>> + Send;
}

/// Writes that may wait; beyond it, callers wait.
const QUEUE_MAX: usize = 4096;

/// Tables in a remote database.
pub struct RemoteEngine<R> {
    reader: Reader<R>,
    requests: mpsc::Sender<Box<dyn Job>>,
    metrics: Arc<MetaMetrics>,
}

/// Begins to work; needs a runtime.
pub(super) fn start<R: Remote>(remote: R) -> RemoteEngine<R> {
    let (remote, metrics) = (Arc::new(remote), Arc::new(MetaMetrics::default()));
    let (requests, queue) = mpsc::channel(QUEUE_MAX);
    let writer = writer::Writer::new(Arc::clone(&remote), Arc::clone(&metrics));
    tokio::spawn(writer.write_in_groups(queue));
    RemoteEngine { reader: Reader::new(remote), requests, metrics }
}

fn learn(rows: &SharedRows, answers: Answers) {
    let mut rows = rows.lock();
    for ((table, need), answer) in answers {
        match answer {
            Answer::Rows(found) => rows.learn(table, &need, found),
            Answer::Count(count) => rows.learn_count(table, count),
        }
    }
}

async fn request<T>(
    requests: &mpsc::Sender<Box<dyn Job>>,
    (job, answered): (Box<dyn Job>, oneshot::Receiver<Result<T, MetaError>>),
) -> Result<T, MetaError> {
    let gone = || MetaError::Engine("the writer has stopped".to_owned());
    requests.send(job).await.map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}

impl<R: Remote> Reads for RemoteEngine<R> {
    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        self.reader.read(read).await
    }
}

impl<R: Remote> TableEngine for RemoteEngine<R> {
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        request(&self.requests, job(false, work)).await
    }

    async fn write_new<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tables<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, MetaError> {
        request(&self.requests, job(true, work)).await
    }

    async fn find<T: Send>(
        &self,
        find: impl Fn(&ReadSnapshot) -> Result<T, MetaError> + Send + Sync,
    ) -> Result<T, MetaError> {
        // What it answers is its own error, which is kept apart from those of the reading.
        self.reader
            .read(|transaction| {
                let read_snapshot = ReadSnapshot::open(Generation::default(), transaction);
                Ok(read_snapshot.and_then(|read_snapshot| find(&read_snapshot)))
            })
            .await?
    }

    async fn view(&self) -> Result<Box<dyn MetaView>, MetaError> {
        Ok(Box::new(Snapshot::of(MomentReads(self.reader.remote.moment().await?))))
    }

    async fn copy_to(&self, _to: PathBuf) -> Result<(), MetaError> {
        Err(MetaError::Unavailable("it is in a database: back that up as it is done there".to_owned()))
    }

    fn metrics(&self) -> Option<&MetaMetrics> {
        Some(&self.metrics)
    }
}
