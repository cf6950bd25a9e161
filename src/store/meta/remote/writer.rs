//! The writer of a node: many requests in one transaction of the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::recent::Recent;
use super::{Answer, Committed, Needs, Remote, learn};
use crate::store::meta::MetaError;
use crate::store::meta::engine::engine;
use crate::store::meta::job::Job;
use crate::store::meta::kv::{Need, SharedRows, WriteTransaction};
use crate::store::meta::tables::{BUCKET_FILES, FILE_USES, FILES, IDLE, OBJECTS, Tables, XORB_USES, XORBS};
use crate::store::metrics::MetaMetrics;

/// Most requests in one transaction: it keeps the memory of a transaction bounded.
const GROUP_MAX: usize = 256;

/// Requests that share a guess, at most: it takes one that is wrong.
const GUESS_MAX: usize = 8;

/// After a wrong guess, so many groups are not guessed about.
const GROUPS_WITHOUT_GUESS: i32 = 16;

/// How often a group begins again because others have changed what it has read, before its requests are told to come again.
const ATTEMPTS_MAX: u32 = 30;

/// The longest pause before it begins again.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Writes for one node.
pub(super) struct Writer<R> {
    remote: Arc<R>,
    metrics: Arc<MetaMetrics>,
    recent: Recent,
    shard: u8,
    /// Below 0 while it is better not to guess.
    trust: i32,
}

impl<R: Remote> Writer<R> {
    pub(super) fn new(remote: Arc<R>, metrics: Arc<MetaMetrics>) -> Self {
        let [shard, ..] = remote.revision().to_le_bytes();
        Self { remote, metrics, recent: Recent::default(), shard, trust: 0 }
    }

    /// Works until nobody can ask any more.
    pub(super) async fn write_in_groups(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let mut group = Vec::new();
        while queue.recv_many(&mut group, GROUP_MAX).await > 0 {
            self.metrics.group.add(group.len() as u64);
            let begun = Instant::now();
            let committed = self.write_group(&mut group).await;
            self.metrics.commit_micros.add_time(begun.elapsed());
            for job in group.drain(..) {
                job.finish(committed.as_ref().copied());
            }
        }
    }

    async fn write_group(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), MetaError> {
        let rows = SharedRows::to_write(self.shard, self.remote.revision());
        let may_guess = self.trust == 0 && group.len() <= GUESS_MAX && group.iter().all(|job| job.is_new());
        self.trust = (self.trust + 1).min(0);
        for attempt in 0..ATTEMPTS_MAX {
            let has_guessed = self.run_group(group, &rows, may_guess && attempt == 0).await?;
            let revision = self.remote.revision();
            let changes = rows.lock().changes();
            match self.remote.commit(&changes, revision).await {
                Ok(Committed::Yes) => {
                    self.recent.remember(changes, revision);
                    return Ok(());
                }
                Ok(Committed::Changed) => {}
                Err(error) => {
                    self.recent.forget();
                    return Err(error);
                }
            }
            self.recent.forget();
            if has_guessed {
                self.trust = -GROUPS_WITHOUT_GUESS;
            }
            if attempt > 0 {
                tokio::time::sleep(pause(attempt, revision)).await;
            }
            let asked = rows.lock().forget_all();
            self.fetch(&rows, asked).await?;
        }
        Err(MetaError::Busy("others change the same all the time"))
    }

    /// Runs all requests on rows that are known, and fetches what they miss, until they miss nothing. If it may guess, rows that
    /// a new object brings are taken to be absent: the commit finds out. Answers whether it has.
    async fn run_group(
        &mut self,
        group: &mut [Box<dyn Job>],
        rows: &SharedRows,
        may_guess: bool,
    ) -> Result<bool, MetaError> {
        let mut has_guessed = false;
        loop {
            let ran = run_once(group, rows);
            let needs = rows.lock().take_needs();
            if needs.is_empty() {
                // On a guess it may have failed for nothing.
                return if has_guessed { Ok(true) } else { ran.map(|()| false) };
            }
            let (answers, mut needs) = self.recent.answer(needs);
            learn(rows, answers);
            if may_guess && needs.iter().all(is_likely_absent) {
                has_guessed = true;
                let absent = |need| (need, Answer::Rows(Vec::new()));
                learn(rows, std::mem::take(&mut needs).into_iter().map(absent).collect());
            }
            self.fetch(rows, needs).await?;
        }
    }

    async fn fetch(&mut self, rows: &SharedRows, needs: Needs) -> Result<(), MetaError> {
        if needs.is_empty() {
            return Ok(());
        }
        let answers = self.remote.fetch(&needs).await?;
        self.recent.learn(&answers);
        learn(rows, answers);
        Ok(())
    }
}

/// Whether a row is not there if an object's key and content are new, and if what it replaces is used once.
fn is_likely_absent((table, need): &(&'static str, Need)) -> bool {
    let tables = [
        OBJECTS.name(),
        FILES.name(),
        XORBS.name(),
        BUCKET_FILES.name(),
        FILE_USES.name(),
        XORB_USES.name(),
        IDLE.name(),
    ];
    matches!(need, Need::Point(_)) && tables.contains(table)
}

fn run_once(group: &mut [Box<dyn Job>], rows: &SharedRows) -> Result<(), MetaError> {
    rows.lock().begin();
    let mut tables = Tables::open(&WriteTransaction::Rows(rows.clone())).map_err(engine)?;
    group.iter_mut().try_for_each(|job| job.run(&mut tables))
}

/// Longer each time, and another for each node.
fn pause(attempt: u32, random: u64) -> Duration {
    let longest = PAUSE_MAX.min(Duration::from_millis(1 << attempt.min(10)));
    longest * (random % 1000) as u32 / 1000
}
