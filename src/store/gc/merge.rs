//! Merging duplicates: the file records that name a chunk's other copies are pointed to the one that is kept.
//!
//! The chunk index says which copy that is ([`crate::store::duplicates`]). Of a xorb the longest runs are merged, and of
//! short ones only so many that files are not read in small pieces; a run whose kept copy does not have the right bytes
//! stays. A xorb that is kept for clients who may name it is kept by the file of its chunks from then on, whose terms are
//! moved as others' are. The steps that follow in the same pass give back what is no longer named.
//!
//! A walk over all xorbs may take several passes, and can be cut off anywhere: what is merged is not met again.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::compact::files_of;
use super::{GcError, GcOptions, GcReport, PAGE, io};
use crate::model::clock::Timestamp;
use crate::store::duplicates::{DuplicateRun, Duplicates, record_bytes};
use crate::store::local::LocalStore;
use crate::store::meta::{MetaView, MovedRun, TermChange, XorbEntry};
use crate::store::pack::log::PackLog;
use crate::store::pack::verify::check_record;
use crate::store::rows::XorbRow;
use crate::store::throttle::Throttle;
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// Xorb rows looked at together.
const XORB_PAGE: usize = 64;

/// Xorbs with duplicates whose tables are in memory at the same time, 330 KiB each at most; for each so many all file
/// records are read.
const CANDIDATES_MAX: usize = 256;

/// Chunks that the pieces of a xorb's terms are to have on average after merging: the target of the guard against
/// fragmentation.
const PIECE_CHUNKS: usize = 8;

/// Pieces that even a small xorb may come to.
const PIECES_MIN: usize = 8;

/// A walk over all xorbs.
#[derive(Default)]
pub(super) struct Walk {
    /// The last xorb that was looked at.
    last: Option<XorbHash>,
    distinct_bytes: u64,
    duplicate_bytes: u64,
}

struct Candidate {
    hash: XorbHash,
    row: XorbRow,
    runs: Vec<DuplicateRun>,
}

/// What of a walk is done at once.
struct Stretch {
    candidates: Vec<Candidate>,
    is_last: bool,
}

/// Merges: goes on with a walk until it ends, or as many chunks were looked at.
pub(super) async fn run(
    store: &Arc<LocalStore>,
    walk: &mut Walk,
    now: Timestamp,
    options: &GcOptions,
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let mut chunks_left = options.merge_chunks_max;
    while chunks_left > 0 {
        let view = store.meta.view().await?;
        let stretch = look(store, &*view, walk, now, &mut chunks_left, throttle).await?;
        if !options.dry_run && !stretch.candidates.is_empty() {
            merge(store, view, &stretch.candidates, throttle, report).await?;
        } else {
            let bytes = |candidate: &Candidate| record_bytes(&candidate.row.table, &candidate.runs);
            report.duplicate_bytes += stretch.candidates.iter().map(bytes).sum::<u64>();
        }
        if stretch.is_last {
            store.metrics.distinct_bytes.set(walk.distinct_bytes);
            store.metrics.duplicate_bytes.set(walk.duplicate_bytes);
            *walk = Walk::default();
            return Ok(());
        }
    }
    Ok(())
}

/// Looks for xorbs with duplicates that are worth merging.
async fn look(
    store: &Arc<LocalStore>,
    view: &dyn MetaView,
    walk: &mut Walk,
    now: Timestamp,
    chunks_left: &mut u64,
    throttle: &Throttle,
) -> Result<Stretch, GcError> {
    let mut duplicates = Duplicates::new(view, Arc::clone(&store.index));
    let mut candidates = Vec::new();
    while candidates.len() < CANDIDATES_MAX && *chunks_left > 0 {
        throttle.spend(0).await?;
        let xorbs = view.xorbs(walk.last.as_ref(), XORB_PAGE).await?;
        if xorbs.is_empty() {
            return Ok(Stretch { candidates, is_last: true });
        }
        for xorb in xorbs {
            if *chunks_left == 0 || candidates.len() == CANDIDATES_MAX {
                break;
            }
            walk.last = Some(xorb.hash);
            *chunks_left = chunks_left.saturating_sub(xorb.row.table.len() as u64);
            if xorb.uses == 0 && xorb.kept_until <= now {
                continue;
            }
            if store.learning.is_some() {
                know(store, &xorb);
            }
            let runs = duplicates.of(&xorb).await?;
            let XorbEntry { hash, row, .. } = xorb;
            let all = record_bytes(&row.table, &runs);
            let runs = worthwhile(&row.table, runs);
            walk.distinct_bytes += u64::from(row.table.record_bytes()) - all;
            walk.duplicate_bytes += all - record_bytes(&row.table, &runs);
            if !runs.is_empty() {
                candidates.push(Candidate { hash, row, runs });
            }
        }
    }
    Ok(Stretch { candidates, is_last: false })
}

/// Lets the index know a xorb that another node has written and this one has not heard of: of what it does not know, no
/// copies are found.
fn know(store: &LocalStore, XorbEntry { hash, row, .. }: &XorbEntry) {
    let ends = [row.table.entries().first(), row.table.entries().last()];
    let is_known = |chunk: &ChunkHash| matches!(store.index.find(chunk), Ok(Some(_)));
    if !ends.into_iter().flatten().all(|entry| is_known(&entry.hash))
        && let Err(error) = store.index.add(hash, &row.table)
    {
        debug!(%error, xorb = %hash, "copies of its chunks are not found");
    }
}

/// The runs that are merged: the longest, as many as leave the xorb's terms in pieces that are long enough.
fn worthwhile(table: &ChunkTable, mut runs: Vec<DuplicateRun>) -> Vec<DuplicateRun> {
    // There is a piece in each run, and between each two.
    let runs_max = (table.len() / PIECE_CHUNKS).max(PIECES_MIN) / 2;
    runs.sort_by_key(|run| std::cmp::Reverse(run.chunks.len()));
    runs.truncate(runs_max.max(1));
    runs.sort_by_key(|run| run.chunks.start);
    runs
}

async fn merge(
    store: &Arc<LocalStore>,
    view: Box<dyn MetaView>,
    candidates: &[Candidate],
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let names: Vec<_> = candidates.iter().map(|candidate| candidate.hash).collect();
    let files = files_of(&*view, &names).await?;
    // While a view is held, the store reuses nothing of what is rewritten, and grows by each record once more.
    drop(view);
    for candidate in candidates {
        let Candidate { hash, row, runs } = candidate;
        throttle.spend(record_bytes(&row.table, runs)).await?;
        let runs = verified(store, runs).await?;
        if runs.is_empty() {
            continue;
        }
        let mut files = files.get(hash).cloned().unwrap_or_default();
        // One that clients may still name is known by its chunks from now on, wherever they are.
        files.extend(store.meta.keep_apart(*hash).await?);
        report.duplicate_bytes += record_bytes(&row.table, &runs);
        report.files_rewritten += point(store, *hash, &row.table, runs, &files).await?;
    }
    Ok(())
}

/// Those of the runs whose copies have the right bytes.
async fn verified(store: &Arc<LocalStore>, runs: &[DuplicateRun]) -> Result<Vec<DuplicateRun>, GcError> {
    let mut good = Vec::with_capacity(runs.len());
    let mut last: Option<(XorbHash, Arc<XorbRow>)> = None;
    for run in runs {
        let row = match &last {
            Some((to, row)) if *to == run.to => Arc::clone(row),
            _ => match store.meta.xorb(&run.to).await? {
                Some(row) => Arc::clone(&last.insert((run.to, Arc::new(row))).1),
                None => continue,
            },
        };
        let (packs, copies) = (Arc::clone(&store.packs), run.copies());
        let checked = spawn_blocking(move || are_right(&packs, &row, copies)).await?;
        if checked.map_err(io("reading duplicates"))? {
            good.push(run.clone());
        } else {
            warn!(xorb = %run.to, "a damaged copy is not relied on");
        }
    }
    Ok(good)
}

/// Whether chunks have the right bytes.
fn are_right(packs: &PackLog, row: &XorbRow, chunks: std::ops::Range<u32>) -> std::io::Result<bool> {
    let Some(records) = row.table.record_range(chunks.clone()) else {
        return Ok(false);
    };
    let start = row.offset + u64::from(records.start);
    let Some(bytes) = packs.read_if_there(row.pack, start, records.len())? else {
        return Ok(false);
    };
    let is_right = |index: u32| {
        let at = row.table.record_range(index..index + 1)?;
        let record = bytes.get((at.start - records.start) as usize..(at.end - records.start) as usize)?;
        check_record(record, &row.table.hash(index)?).ok()
    };
    Ok(chunks.clone().all(|index| is_right(index).is_some()))
}

/// Points files to the copies; answers how many were changed.
async fn point(
    store: &Arc<LocalStore>,
    xorb: XorbHash,
    table: &ChunkTable,
    runs: Vec<DuplicateRun>,
    files: &[FileHash],
) -> Result<u64, GcError> {
    let moved =
        runs.into_iter().map(|DuplicateRun { chunks, to, to_start }| MovedRun { chunks, to, to_start });
    let moved = HashMap::from([(xorb, moved.collect::<Vec<_>>())]);
    let tables = HashMap::from([(xorb, Arc::new(table.clone()))]);
    let mut rewritten = 0;
    for files in files.chunks(PAGE) {
        let change = TermChange {
            files: files.to_vec(),
            moved: moved.clone(),
            tables: tables.clone(),
            ..TermChange::default()
        };
        rewritten += store.meta.replace_terms(change).await? as u64;
    }
    Ok(rewritten)
}
