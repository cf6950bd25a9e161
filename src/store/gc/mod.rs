//! Garbage collection: gives back what nothing uses any more.
//!
//! A pass aborts uploads and forgets registrations that have expired, points files to one copy of chunks that are stored
//! more than once ([`merge`]), copies the live chunks out of xorbs of which much is dead ([`compact`]), removes xorbs that nothing uses ([`collect`]), and deletes or rewrites packs ([`rewrite`]); what to
//! do is decided by pure functions ([`plan`]).
//!
//! Why nothing reachable is ever removed:
//! * a xorb is removed by a transaction that checks that nothing has used it since it was listed;
//! * before that, everybody who may have read a file record that names it has left ([`crate::store::readers`]), and no
//!   running upload was promised it ([`crate::store::pins`]);
//! * a pack is deleted when no row names it, and nobody holds it for frames that have no rows yet;
//! * bytes that move are verified, and synced before their row points to them. Readers that come with the old place
//!   ask for the row again.
//!
//! A pass may be cut off at any point: what is half done is dead bytes, for the next pass.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::local::LocalStore;
use super::meta::{MetaError, MetaStore};
use super::throttle::{Stopped, Throttle};
use crate::model::clock::{Clock, Timestamp};

mod collect;
mod compact;
mod merge;
mod plan;
mod rewrite;

use collect::Listed;
pub use plan::Thrift;

/// Rows looked at together.
const PAGE: usize = 1000;

/// Passes of [`Collector::passes`] at most: each merges a part of what the one before has left.
const PASSES_MAX: usize = 8;

/// Passes go on as long as one merges more than one byte in so many of the distinct chunks'.
const MERGED_ONE_OF: u64 = 64;

/// Why a pass ended early; what it had done stands.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Packs could not be read or written.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A worker thread ended early: a bug, or the runtime is stopping.
    #[error("a worker ended early")]
    Worker(#[from] tokio::task::JoinError),
}

fn io(doing: &'static str) -> impl Fn(std::io::Error) -> GcError {
    move |error| GcError::Io { doing, error }
}

/// What a pass is to do.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Uploads begun longer ago are aborted; none if `None`.
    pub expire_uploads_after: Option<Duration>,
    /// How long to wait for readers; what they may still need is left to the next pass.
    pub patience: Duration,
    /// Whether to look for xorbs with dead chunks: it reads all file records.
    pub compact: bool,
    /// How many chunks are looked at for other copies of them, some 5 us each; the next pass goes on from there.
    pub merge_chunks_max: u64,
    /// How much dead space is worth copying what lives beside it.
    pub thrift: Thrift,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            expire_uploads_after: Some(Duration::from_hours(7 * 24)),
            patience: Duration::from_mins(1),
            compact: true,
            merge_chunks_max: 1 << 20,
            thrift: Thrift::Usual,
        }
    }
}

/// What a pass has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Whether it only looked.
    pub dry_run: bool,
    /// Uploads aborted.
    pub uploads_expired: u64,
    /// Registrations of files that were forgotten.
    pub registrations_expired: u64,
    /// Bytes of chunks that are stored elsewhere too and that no file names any more.
    pub duplicate_bytes: u64,
    /// Xorbs with dead chunks whose live chunks were copied.
    pub xorbs_compacted: u64,
    /// File records that name other xorbs now.
    pub files_rewritten: u64,
    /// Xorbs removed.
    pub xorbs_removed: u64,
    /// Bytes of their frames.
    pub xorb_bytes_removed: u64,
    /// Xorbs that nothing uses, left for a running upload or for the next pass.
    pub xorbs_left: u64,
    /// Packs deleted, rewritten ones among them.
    pub packs_deleted: u64,
    /// Packs whose live frames were copied.
    pub packs_rewritten: u64,
    /// Bytes copied.
    pub bytes_moved: u64,
    /// Bytes given back to the file system, copies taken off.
    pub bytes_freed: i64,
    /// Packs to be deleted or rewritten but held by running writes.
    pub packs_left: u64,
    /// Damaged frames that were not copied; scrub says what they hit.
    pub frames_damaged: u64,
}

impl GcReport {
    /// What this pass and a later one have done together.
    fn and_then(&self, later: &Self) -> Self {
        Self {
            dry_run: later.dry_run,
            uploads_expired: self.uploads_expired + later.uploads_expired,
            registrations_expired: self.registrations_expired + later.registrations_expired,
            duplicate_bytes: self.duplicate_bytes + later.duplicate_bytes,
            xorbs_compacted: self.xorbs_compacted + later.xorbs_compacted,
            files_rewritten: self.files_rewritten + later.files_rewritten,
            xorbs_removed: self.xorbs_removed + later.xorbs_removed,
            xorb_bytes_removed: self.xorb_bytes_removed + later.xorb_bytes_removed,
            xorbs_left: later.xorbs_left,
            packs_deleted: self.packs_deleted + later.packs_deleted,
            packs_rewritten: self.packs_rewritten + later.packs_rewritten,
            bytes_moved: self.bytes_moved + later.bytes_moved,
            bytes_freed: self.bytes_freed + later.bytes_freed,
            packs_left: later.packs_left,
            frames_damaged: self.frames_damaged + later.frames_damaged,
        }
    }

    /// The report for people.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 14] = [
            ("uploads expired", self.uploads_expired.to_string()),
            ("registrations expired", self.registrations_expired.to_string()),
            ("duplicate bytes merged", self.duplicate_bytes.to_string()),
            ("xorbs compacted", self.xorbs_compacted.to_string()),
            ("files rewritten", self.files_rewritten.to_string()),
            ("xorbs removed", self.xorbs_removed.to_string()),
            ("xorb bytes removed", self.xorb_bytes_removed.to_string()),
            ("xorbs left", self.xorbs_left.to_string()),
            ("packs deleted", self.packs_deleted.to_string()),
            ("packs rewritten", self.packs_rewritten.to_string()),
            ("bytes moved", self.bytes_moved.to_string()),
            ("bytes freed", self.bytes_freed.to_string()),
            ("packs left", self.packs_left.to_string()),
            ("frames damaged", self.frames_damaged.to_string()),
        ];
        super::report::table(&rows)
    }
}

/// Collects a store's garbage; remembers between passes what it could not wait for.
pub struct Collector {
    store: Arc<LocalStore>,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Option<Listed>>,
    /// The walk over all xorbs that looks for duplicates. It is used by one pass at a time.
    walk: tokio::sync::Mutex<merge::Walk>,
}

impl Collector {
    /// A collector of `store`.
    pub fn new(store: Arc<LocalStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, waiting: Mutex::new(None), walk: tokio::sync::Mutex::default() }
    }

    /// Makes passes until one finds few duplicates: a pass leaves short runs, and when their neighbours were merged they
    /// are longer. May be dropped at any time.
    pub async fn passes(&self, options: &GcOptions, throttle: &Throttle) -> Result<GcReport, GcError> {
        let mut report = GcReport::default();
        for _ in 0..PASSES_MAX {
            let pass = self.pass(options, throttle).await?;
            report = report.and_then(&pass);
            if options.dry_run
                || pass.duplicate_bytes <= self.store.metrics.distinct_bytes.get() / MERGED_ONE_OF
            {
                break;
            }
        }
        Ok(report)
    }

    /// Makes one pass. May be dropped at any time.
    pub async fn pass(&self, options: &GcOptions, throttle: &Throttle) -> Result<GcReport, GcError> {
        let _alone = self.store.upkeep.lock().await;
        let mut report = GcReport { dry_run: options.dry_run, ..GcReport::default() };
        let now = self.clock.now();
        if let Some(age) = options.expire_uploads_after {
            let before = Timestamp(now.0.saturating_sub(age.as_millis() as u64));
            report.uploads_expired = expire_uploads(&*self.store.meta, before, options.dry_run).await?;
        }
        report.registrations_expired = forget_registrations(&self.store, now, options.dry_run).await?;
        let mut walk = self.walk.lock().await;
        merge::run(&self.store, &mut walk, now, options, throttle, &mut report).await?;
        drop(walk);
        if options.compact {
            compact::run(&self.store, now, options, throttle, &mut report).await?;
        }
        let mut dying = rewrite::Dying::default();
        if options.dry_run {
            dying = collect::preview(&self.store, now, &mut report).await?;
        } else {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            let waiting =
                collect::run(&self.store, now, options.patience, waiting, throttle, &mut report).await?;
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
        }
        rewrite::run(&self.store, options, &dying, throttle, &mut report).await?;
        Ok(report)
    }
}

/// Forgets the registrations whose time is over; answers how many.
async fn forget_registrations(store: &LocalStore, now: Timestamp, dry_run: bool) -> Result<u64, MetaError> {
    let (mut forgotten, mut last) = (0, None);
    loop {
        let page = store.meta.due_registrations(now, last, PAGE).await?;
        last = page.last().copied();
        if last.is_none() {
            return Ok(forgotten);
        }
        let asked = page.len();
        let gone = if dry_run { asked } else { store.meta.forget_registrations(page, now).await? };
        forgotten += gone as u64;
    }
}

/// Aborts uploads begun before a time; answers how many.
pub async fn expire_uploads(
    meta: &dyn MetaStore,
    before: Timestamp,
    dry_run: bool,
) -> Result<u64, MetaError> {
    let (mut expired, mut last) = (0, None);
    loop {
        let page = meta.view().await?.uploads(last.as_ref(), PAGE).await?;
        for (bucket, upload) in page.iter().filter(|(_, upload)| upload.created_at < before) {
            if !dry_run {
                match meta.abort_upload(*bucket, &upload.key, &upload.id).await {
                    // It has ended by itself.
                    Ok(()) | Err(MetaError::NoSuchUpload | MetaError::NoSuchBucket) => {}
                    Err(error) => return Err(error),
                }
            }
            expired += 1;
        }
        last = page.into_iter().next_back();
        if last.is_none() {
            return Ok(expired);
        }
    }
}
