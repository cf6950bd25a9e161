//! [`Lanes`]: reads that come while others are under way are fetched together.
//!
//! A lone read is sent at once. When as many fetches are under way as there are lanes, those that come meanwhile share the
//! next one: the database is asked less often the more is asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::{Answer, Answers, Needs, Remote, named_by};
use crate::store::meta::MetaError;
use crate::store::meta::kv::Need;

/// Fetches under way at the same time.
const LANES: usize = 4;

/// Reads in one fetch, at most.
const TOGETHER_MAX: usize = 64;

type Waiting = (Needs, oneshot::Sender<Result<Answers, MetaError>>);

/// Fetches for many readers.
pub(super) struct Lanes<R> {
    remote: Arc<R>,
    waiting: Arc<Mutex<Vec<Waiting>>>,
    free: Arc<Semaphore>,
}

impl<R: Remote> Lanes<R> {
    pub(super) fn new(remote: Arc<R>) -> Self {
        Self { remote, waiting: Arc::default(), free: Arc::new(Semaphore::new(LANES)) }
    }

    /// Fetches what is needed, of one moment after this was called.
    pub(super) async fn fetch(&self, needs: Needs) -> Result<Answers, MetaError> {
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting).push((needs, answer));
        if let Ok(lane) = Arc::clone(&self.free).try_acquire_owned() {
            let (remote, waiting) = (Arc::clone(&self.remote), Arc::clone(&self.waiting));
            // On its own: who has begun it may go while others still wait.
            tokio::spawn(async move {
                while let Some(group) = next(&waiting) {
                    fetch_together(&*remote, group).await;
                }
                drop(lane);
                // One that came between the last look and the end of the lane.
                while let Some(group) = next(&waiting) {
                    fetch_together(&*remote, group).await;
                }
            });
        }
        answered.await.map_err(|_| MetaError::Engine("a fetch was given up".to_owned()))?
    }
}

fn lock(waiting: &Mutex<Vec<Waiting>>) -> MutexGuard<'_, Vec<Waiting>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(waiting: &Mutex<Vec<Waiting>>) -> Option<Vec<Waiting>> {
    let mut waiting = lock(waiting);
    let count = waiting.len().min(TOGETHER_MAX);
    let group: Vec<_> = waiting.drain(..count).collect();
    (!group.is_empty()).then_some(group)
}

async fn fetch_together<R: Remote>(remote: &R, group: Vec<Waiting>) {
    if let [_] = group.as_slice() {
        for (needs, answer) in group {
            let _ = answer.send(remote.fetch(&needs).await);
        }
        return;
    }
    let all: Needs = group.iter().flat_map(|(needs, _)| needs.iter().cloned()).collect();
    match remote.fetch(&all).await {
        Ok(answers) => {
            let answers: BTreeMap<_, _> = answers.into_iter().collect();
            for (needs, answer) in group {
                // Who asked may have gone.
                let _ = answer.send(Ok(answers_to(needs, &answers)));
            }
        }
        Err(error) => {
            for (_, answer) in group {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

/// The answers to one reader's needs, with the rows that they name if those were fetched too.
fn answers_to(needs: Needs, answers: &BTreeMap<(&'static str, Need), Answer>) -> Answers {
    let mut own = Answers::new();
    for need in needs {
        let Some(answer) = answers.get(&need) else { continue };
        if let Answer::Rows(rows) = answer {
            for (table, key) in rows.iter().filter_map(|(_, found)| named_by(need.0, &found.value)) {
                let named = (table, Need::Point(key.to_vec()));
                own.extend(answers.get(&named).map(|answer| (named, answer.clone())));
            }
        }
        own.push((need, answer.clone()));
    }
    own
}
