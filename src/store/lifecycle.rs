//! Following lifecycle rules: passes that end what is due, in small transactions, bucket by bucket in turns.
//!
//! A pass reads the beginning of each bucket's index ([`super::meta::LifecycleStore`]), so it costs what is due. It may be cut
//! off anywhere: what it has not ended is due in the next. What is wanted of the index's own work (filling it after rules have
//! changed) is done first, in small steps too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::local::LocalStore;
use super::meta::{DueEntry, DueItem, DueWhat, Expiry, MetaError};
use super::throttle::{Stopped, Throttle};
use crate::model::bucket::Bucket;
use crate::model::clock::{Ambient, Timestamp};
use crate::model::names::BucketId;
use crate::model::version::VersionRef;

mod report;

pub use report::{LifecycleReport, RuleReport};

/// Rows looked at in one step of filling an index: some milliseconds of the writer's time.
const INDEX_ROWS: usize = 1000;

/// What is ended in one transaction: likewise.
const BATCH: usize = 100;

/// How soon an index is filled after rules have changed, and how soon after its start a gateway makes its first pass.
const SOON: Duration = Duration::from_secs(10);

/// How rules are followed in the background.
#[derive(Debug, Clone)]
pub struct LifecycleOptions {
    /// Rest between passes; none are made if `None`.
    pub interval: Option<Duration>,
    /// Objects, versions and uploads ended a second at most.
    pub per_sec: Option<u64>,
}

/// Why a pass ended early, or left a bucket; what it had done stands.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Something that a rule has ended, or would end.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'e> {
    /// Its bucket.
    pub bucket: &'e BucketId,
    /// What, and by which rule.
    pub item: &'e DueItem,
    /// The delete marker that hides it now; if there is one, it stays behind that.
    pub marker: Option<VersionRef>,
}

impl Ended<'_> {
    /// A line for people.
    pub fn line(&self) -> String {
        report::line(self.bucket, self.item)
    }

    /// The operation by which a client would do the same.
    pub fn operation(&self) -> &'static str {
        if matches!(self.item.entry.what, DueWhat::Upload(_)) {
            "AbortMultipartUpload"
        } else {
            "DeleteObject"
        }
    }
}

/// Is told of everything that is ended.
pub type Witness = Arc<dyn Fn(&Ended<'_>) + Send + Sync>;

/// Follows the rules of a store's buckets.
pub struct Expirer {
    store: Arc<LocalStore>,
    ambient: Ambient,
    witness: Witness,
}

/// A bucket whose turn it is now and then in a pass.
struct Turn {
    bucket: Bucket,
    after: Option<DueEntry>,
    /// Whether anything was ended since the beginning of the index was read: that may have made more due.
    has_ended: bool,
}

impl Expirer {
    /// For this store.
    pub fn new(store: Arc<LocalStore>, ambient: Ambient, witness: Witness) -> Self {
        Self { store, ambient, witness }
    }

    /// Passes again and again until told to stop. May be dropped at any time.
    pub async fn run(self, options: LifecycleOptions, stop: CancellationToken) {
        let Some(interval) = options.interval else { return };
        let throttle = Throttle { bytes_per_sec: options.per_sec, stop: stop.clone() };
        let (rest, mut rested) = (interval.min(SOON), interval);
        loop {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = stop.cancelled() => return,
            }
            rested += rest;
            let outcome = if rested > interval {
                rested = Duration::ZERO;
                self.pass(false, &throttle).await.map(|report| log(&report))
            } else {
                self.fill_indexes(&throttle).await
            };
            match outcome {
                Ok(()) | Err(LifecycleError::Stopped(_)) => {}
                Err(error) => {
                    warn!(%error, "lifecycle rules could not be followed; the next pass tries again");
                }
            }
        }
    }

    /// Fills the indexes of new rules.
    async fn fill_indexes(&self, throttle: &Throttle) -> Result<(), LifecycleError> {
        let filled = async {
            while self.store.meta.index_step(INDEX_ROWS).await? {
                throttle.spend(0).await?;
            }
            Ok(())
        };
        filled.await.inspect_err(|error| self.count_failure(error))
    }

    /// Ends all that is due now; or, in a dry run, says what it would end.
    pub async fn pass(&self, dry_run: bool, throttle: &Throttle) -> Result<LifecycleReport, LifecycleError> {
        let begun = Instant::now();
        self.fill_indexes(throttle).await?;
        let now = self.ambient.clock.now();
        let mut report = LifecycleReport { dry_run, ..LifecycleReport::default() };
        let mut turns = self.turns(now).await?;
        let mut failure = None;
        while let Some(mut turn) = turns.pop_front() {
            match self.take(&mut turn, now, throttle, &mut report).await {
                Ok(true) => turns.push_back(turn),
                Ok(false) => {}
                Err(error @ LifecycleError::Stopped(_)) => return Err(error),
                // One bucket keeps no other from being looked at.
                Err(error) => {
                    self.count_failure(&error);
                    failure = Some(error);
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !dry_run {
            let metrics = &self.store.metrics.lifecycle;
            metrics.passes.add(1);
            metrics.pass_micros.set(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        Ok(report)
    }

    /// The buckets with rules.
    async fn turns(&self, now: Timestamp) -> Result<VecDeque<Turn>, MetaError> {
        let (meta, mut turns, mut due) = (&self.store.meta, VecDeque::new(), 0);
        for uid in meta.buckets_with_rules().await? {
            due += meta.count_due(uid, now).await?;
            if let Some(bucket) = meta.bucket_of(uid).await? {
                turns.push_back(Turn { bucket, after: None, has_ended: false });
            }
        }
        self.store.metrics.lifecycle.due.set(due);
        Ok(turns)
    }

    /// Ends a batch of what is due in a bucket; answers whether there may be more.
    async fn take(
        &self,
        turn: &mut Turn,
        now: Timestamp,
        throttle: &Throttle,
        report: &mut LifecycleReport,
    ) -> Result<bool, LifecycleError> {
        let Turn { bucket, after, has_ended } = turn;
        let (items, last) = self.store.meta.due(bucket.uid, now, after.as_ref(), BATCH).await?;
        let is_end = last.is_none();
        *after = last;
        if report.dry_run {
            throttle.spend(0).await?;
            for item in &items {
                self.note(bucket, item, None, report);
            }
            return Ok(!is_end);
        }
        throttle.spend(items.len() as u64).await?;
        if !items.is_empty() {
            *has_ended |= self.end(bucket, items, now, report).await?;
        }
        Ok(!is_end || std::mem::take(has_ended))
    }

    /// Ends what is due; answers whether anything was.
    async fn end(
        &self,
        bucket: &Bucket,
        items: Vec<DueItem>,
        now: Timestamp,
        report: &mut LifecycleReport,
    ) -> Result<bool, LifecycleError> {
        let entries = items.into_iter().map(|item| (item.entry, self.ambient.random())).collect();
        let mut has_ended = false;
        for outcome in self.store.meta.expire(bucket.uid, entries, now).await? {
            match outcome {
                Expiry::Done(item, marker) => {
                    has_ended = true;
                    self.count(&item.entry.what);
                    self.note(bucket, &item, marker, report);
                }
                Expiry::Locked => report.locked += 1,
                Expiry::NotDue => {}
            }
        }
        Ok(has_ended)
    }

    fn note(
        &self,
        bucket: &Bucket,
        item: &DueItem,
        marker: Option<VersionRef>,
        report: &mut LifecycleReport,
    ) {
        report.add(&bucket.id, item);
        (self.witness)(&Ended { bucket: &bucket.id, item, marker });
    }

    fn count(&self, what: &DueWhat) {
        let metrics = &self.store.metrics.lifecycle;
        let count = match what {
            DueWhat::Current => &metrics.objects,
            DueWhat::Noncurrent(_) => &metrics.noncurrent,
            DueWhat::LoneMarker(_) => &metrics.markers,
            DueWhat::Upload(_) => &metrics.uploads,
        };
        count.add(1);
        metrics.due.set(metrics.due.get().saturating_sub(1));
    }

    fn count_failure(&self, error: &LifecycleError) {
        if !matches!(error, LifecycleError::Stopped(_)) {
            self.store.metrics.lifecycle.failures.add(1);
        }
    }
}

fn log(report: &LifecycleReport) {
    if report.count() > 0 {
        info!(
            objects = report.objects,
            noncurrent_versions = report.noncurrent_versions,
            delete_markers = report.delete_markers,
            uploads = report.uploads,
            bytes = report.bytes,
            "lifecycle rules were followed"
        );
    }
}
