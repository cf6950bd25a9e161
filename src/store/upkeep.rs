//! Upkeep in the background: gc and scrub, again and again, slowly enough to leave the machine to its clients.
//!
//! Gc passes come at an interval. A scrub goes over the whole store and then rests; where it is it saves, so that
//! restarts do not begin it again. What is found is logged here, once, for nobody else hears of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::gc::{Collector, GcError, GcOptions, GcReport};
use super::local::LocalStore;
use super::metrics::StoreMetrics;
use super::scrub::{ScrubCursor, ScrubReport, scrub};
use super::throttle::Throttle;
use crate::model::clock::Clock;

/// How upkeep is done.
#[derive(Debug, Clone)]
pub struct UpkeepOptions {
    /// What a gc pass does.
    pub gc: GcOptions,
    /// Rest between gc passes; no gc if `None`.
    pub gc_interval: Option<Duration>,
    /// Bytes a second that gc may move.
    pub gc_bytes_per_sec: Option<u64>,
    /// Rest between scrubs; no scrub if `None`.
    pub scrub_interval: Option<Duration>,
    /// Bytes a second that scrub may read.
    pub scrub_bytes_per_sec: Option<u64>,
    /// Where a scrub's place is saved; not saved if `None`.
    pub scrub_file: Option<PathBuf>,
}

impl Default for UpkeepOptions {
    /// Gc every ten minutes at 100 MB/s, a scrub a week after the last at 20 MB/s.
    fn default() -> Self {
        Self {
            gc: GcOptions::default(),
            gc_interval: Some(Duration::from_mins(10)),
            gc_bytes_per_sec: Some(100_000_000),
            scrub_interval: Some(Duration::from_hours(7 * 24)),
            scrub_bytes_per_sec: Some(20_000_000),
            scrub_file: None,
        }
    }
}

/// Longest time that a scrub goes on before it saves its place.
const SCRUB_STRETCH: Duration = Duration::from_mins(1);

/// Keeps a store until told to stop. May be dropped at any time.
pub async fn run(
    store: Arc<LocalStore>,
    clock: Arc<dyn Clock>,
    options: UpkeepOptions,
    stop: CancellationToken,
) {
    let collector = Collector::new(Arc::clone(&store), clock);
    tokio::join!(collect(&store, &collector, &options, &stop), scrub_all(&store, &options, &stop));
}

/// Rests; answers whether to go on.
async fn rest(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = stop.cancelled() => false,
    }
}

async fn collect(
    store: &LocalStore,
    collector: &Collector,
    options: &UpkeepOptions,
    stop: &CancellationToken,
) {
    let Some(interval) = options.gc_interval else {
        return;
    };
    let throttle = Throttle { bytes_per_sec: options.gc_bytes_per_sec, stop: stop.clone() };
    while rest(interval, stop).await {
        let passed = collector.pass(&options.gc, &throttle).await;
        count_pass(&store.metrics, &passed);
        match passed {
            Ok(report) if report.xorbs_removed + report.packs_deleted + report.uploads_expired > 0 => {
                info!(
                    xorbs = report.xorbs_removed,
                    packs = report.packs_deleted,
                    uploads = report.uploads_expired,
                    bytes_freed = report.bytes_freed,
                    "garbage collected"
                );
            }
            Ok(_) | Err(GcError::Stopped(_)) => {}
            Err(error) => warn!(%error, "garbage could not be collected; the next pass tries again"),
        }
    }
}

async fn scrub_all(store: &Arc<LocalStore>, options: &UpkeepOptions, stop: &CancellationToken) {
    let Some(interval) = options.scrub_interval else {
        return;
    };
    let mut cursor = options.scrub_file.as_deref().map(ScrubCursor::load).unwrap_or_default();
    loop {
        let throttle = Throttle { bytes_per_sec: options.scrub_bytes_per_sec, stop: stop.child_token() };
        let halting = async {
            tokio::time::sleep(SCRUB_STRETCH).await;
            throttle.stop.cancel();
            std::future::pending::<()>().await;
        };
        let scrubbed = tokio::select! {
            scrubbed = scrub(store, cursor, &throttle) => scrubbed,
            () = halting => return,
        };
        let pause = match scrubbed {
            Ok(report) => {
                log_damages(&report);
                count_scrub(&store.metrics, &report);
                cursor = report.cursor.unwrap_or_default();
                if report.cursor.is_some() { Duration::ZERO } else { interval }
            }
            Err(error) => {
                warn!(%error, "scrub could not go on; it tries again");
                SCRUB_STRETCH
            }
        };
        if let Some(file) = &options.scrub_file
            && let Err(error) = cursor.save(file)
        {
            warn!(%error, "the place of the scrub could not be saved");
        }
        if !rest(pause, stop).await {
            return;
        }
    }
}

fn count_pass(metrics: &StoreMetrics, passed: &Result<GcReport, GcError>) {
    match passed {
        Ok(report) => {
            metrics.gc_passes.add(1);
            metrics.gc_xorbs.add(report.xorbs_removed);
            metrics.gc_packs.add(report.packs_deleted);
            metrics.gc_bytes_moved.add(report.bytes_moved);
        }
        Err(GcError::Stopped(_)) => {}
        Err(_) => metrics.gc_failures.add(1),
    }
}

fn count_scrub(metrics: &StoreMetrics, report: &ScrubReport) {
    metrics.scrub_bytes.add(report.bytes);
    metrics.scrub_damages.add(report.damages.len() as u64);
    metrics.scrub_pack.set(report.cursor.map_or(0, |cursor| cursor.pack));
    metrics.scrubs.add(u64::from(report.cursor.is_none()));
}

fn log_damages(report: &ScrubReport) {
    for damage in &report.damages {
        error!(
            pack = damage.pack,
            offset = damage.offset,
            xorb = damage.xorb,
            objects = damage.objects.join(", "),
            "stored data is damaged: {}",
            damage.what
        );
    }
}
