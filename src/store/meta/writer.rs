//! The writer thread of the embedded engine: many requests in one transaction.

use std::sync::mpsc;
use std::time::Instant;

use tracing::warn;

use super::MetaError;
use super::engine::{Engine, Retry, engine};
use super::job::Job;
use super::tables::Tables;

/// Most requests in one transaction: it keeps the memory of a transaction bounded.
const GROUP_MAX: usize = 512;

/// What the writer thread is told.
pub(super) enum Request {
    /// To do some work.
    Write(Box<dyn Job>),
    /// That a reader has closed the database.
    Reopen,
}

/// Works until nobody can ask any more.
pub(super) fn write_in_groups(database: &Engine, queue: &mpsc::Receiver<Request>) {
    let mut retry = Retry::now();
    loop {
        let first = if database.is_open() {
            queue.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(retry.wait())
        };
        if matches!(first, Err(mpsc::RecvTimeoutError::Disconnected)) {
            return;
        }
        let requests = first.into_iter().chain(queue.try_iter().take(GROUP_MAX - 1));
        let group: Vec<Box<dyn Job>> = requests.filter_map(Request::job).collect();
        if !database.is_open() && retry.wait().is_zero() {
            match database.reopen() {
                Ok(()) => retry = Retry::now(),
                Err(error) => {
                    warn!(%error, "the metadata store cannot be opened again yet");
                    retry.later();
                }
            }
        }
        if !group.is_empty() {
            answer_group(database, group);
        }
    }
}

fn answer_group(database: &Engine, mut group: Vec<Box<dyn Job>>) {
    let generation = database.generation();
    database.metrics.group.add(group.len() as u64);
    let begun = Instant::now();
    let committed = write_group(database, &mut group);
    database.metrics.commit_micros.add_time(begun.elapsed());
    if let Err(error) = &committed {
        // Before anybody is answered: nobody is to see what may yet turn out not to be so.
        database.close_after(error, generation);
    }
    // Likewise: anyone who is answered sees what was committed.
    database.forget_recent();
    for job in group {
        job.finish(committed.as_ref().copied());
    }
}

/// One transaction for a group. After the first engine error nothing more is tried and nothing is kept.
fn write_group(database: &Engine, group: &mut [Box<dyn Job>]) -> Result<(), MetaError> {
    let transaction = database.begin_write()?;
    {
        let mut tables = Tables::open(&(&transaction).into()).map_err(engine)?;
        for job in group {
            job.run(&mut tables)?;
        }
    }
    transaction.commit().map_err(engine)
}

impl Request {
    fn job(self) -> Option<Box<dyn Job>> {
        match self {
            Self::Write(job) => Some(job),
            Self::Reopen => None,
        }
    }
}
