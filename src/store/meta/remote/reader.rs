//! Reading: what a read needs is found out, fetched at once, and read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lanes::Lanes;
use super::recent::Recent;
use super::{Answers, Moment, Needs, Remote, learn};
use crate::store::meta::MetaError;
use crate::store::meta::engine::engine;
use crate::store::meta::kv::{Need, ReadTransaction, SharedRows};
use crate::store::meta::table_meta::Reads;

/// Fetches of a read before it is given a moment that stays.
const FETCHES_MAX: usize = 4;

/// Reads that miss nothing any more.
async fn settle<T: Send, M: Moment>(
    rows: &SharedRows,
    moment: &M,
    read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
) -> Result<T, MetaError> {
    loop {
        let (result, needs) = run(rows, &read);
        if needs.is_empty() {
            return result.map_err(engine);
        }
        learn(rows, moment.fetch(&needs).await?);
    }
}

fn run<T>(
    rows: &SharedRows,
    read: &impl Fn(&ReadTransaction) -> Result<T, redb::Error>,
) -> (Result<T, redb::Error>, Needs) {
    rows.lock().begin();
    let result = read(&ReadTransaction::Rows(rows.clone()));
    (result, rows.lock().take_needs())
}

/// Reads for a node.
pub(super) struct Reader<R> {
    pub(super) remote: Arc<R>,
    lanes: Lanes<R>,
    /// Rows that were read lately.
    recent: Mutex<Recent>,
}

impl<R: Remote> Reader<R> {
    pub(super) fn new(remote: Arc<R>) -> Self {
        Self { lanes: Lanes::new(Arc::clone(&remote)), remote, recent: Mutex::default() }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a read will need, as far as it can be told from rows that were read lately, which may be old.
    fn rehearse<T>(
        &self,
        rows: &SharedRows,
        read: &impl Fn(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Needs {
        let mut all = Needs::new();
        loop {
            let (_, needs) = run(rows, read);
            all.extend(needs.iter().cloned());
            let (answers, left) = self.recent().answer(needs);
            if answers.is_empty() || !left.is_empty() {
                return all;
            }
            learn(rows, answers);
        }
    }

    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        let answers = if needs.iter().all(is_small) {
            self.lanes.fetch(needs.clone()).await?
        } else {
            self.remote.fetch(needs).await?
        };
        self.recent().learn(&answers);
        Ok(answers)
    }
}

/// Whether a need may be asked again and again: of one row, or few.
fn is_small((_, need): &(&'static str, Need)) -> bool {
    match need {
        Need::Point(_) | Need::Last(..) => true,
        Need::First(_, _, rows) => *rows == 1,
        Need::Walk(_) | Need::Count => false,
    }
}

impl<R: Remote> Reads for Reader<R> {
    /// What it answers is of the moment of one fetch, of all that it needs. What needs much is read of a moment that stays.
    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        let mut needs = self.rehearse(&SharedRows::default(), &read);
        for _ in 0..FETCHES_MAX {
            let rows = SharedRows::default();
            if !needs.is_empty() {
                learn(&rows, self.fetch(&needs).await?);
            }
            let (result, more) = run(&rows, &read);
            if more.is_empty() {
                return result.map_err(engine);
            }
            let goes_on = more.iter().all(is_small) && needs.iter().all(is_small);
            needs.extend(more);
            if !goes_on {
                break;
            }
            needs.extend(self.rehearse(&rows, &read));
        }
        let moment = self.remote.moment().await?;
        let rows = SharedRows::default();
        learn(&rows, moment.fetch(&needs).await?);
        settle(&rows, &moment, read).await
    }
}

/// All reads of one moment.
pub(super) struct MomentReads<M>(pub(super) M);

impl<M: Moment> Reads for MomentReads<M> {
    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        settle(&SharedRows::default(), &self.0, read).await
    }
}
