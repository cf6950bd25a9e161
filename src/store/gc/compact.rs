//! Copying the last live chunks out of xorbs that are mostly dead.
//!
//! A chunk lives as long as a term covers it. Of a xorb with few live chunks those are copied, as the records they
//! are, into a new xorb that gathers those of many; then the terms of the files concerned name that. Afterwards
//! nothing uses the old xorb. A file that has come to use it meanwhile goes on using it: nothing is lost, and the
//! next pass looks again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::plan::Ranges;
use super::{GcError, GcReport, PAGE, io};
use crate::store::local::LocalStore;
use crate::store::meta::{MetaError, MetaView, MovedRun, TermChange};
use crate::store::pace::Pace;
use crate::store::pack::frame;
use crate::store::pack::log::{PackHold, PackLog};
use crate::store::pack::verify::check_record;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_RAW_BYTES_MAX};
use crate::xet::xorb::ChunkTable;

/// Xorbs whose live ranges are in memory at the same time; more are looked at in turns, each of which reads all
/// file records.
const XORBS_A_TURN: u64 = 1 << 20;

/// Xorbs compacted in one pass and turn.
const CANDIDATES_MAX: usize = 4096;

/// A xorb with few live chunks.
struct Candidate {
    hash: XorbHash,
    row: XorbRow,
    live: Ranges,
}

/// Compacts.
pub(super) async fn run(
    store: &Arc<LocalStore>,
    dry_run: bool,
    pace: &Pace,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let view = store.meta.view().await?;
    let turns = view.counts().await?.xorbs / XORBS_A_TURN + 1;
    for turn in 0..turns {
        pace.spend(0).await?;
        let candidates = candidates(&*view, |xorb| xorb.words()[0] % turns == turn).await?;
        report.xorbs_compacted += candidates.len() as u64;
        if dry_run || candidates.is_empty() {
            continue;
        }
        let files = files_of(&*view, &candidates).await?;
        for batch in batches(candidates) {
            pace.spend(batch.iter().map(|candidate| u64::from(candidate.row.table.record_bytes())).sum())
                .await?;
            compact(store, batch, &files, report).await?;
        }
    }
    Ok(())
}

/// The xorbs with few live chunks among those of this turn.
async fn candidates(
    view: &dyn MetaView,
    is_in_turn: impl Fn(&XorbHash) -> bool,
) -> Result<Vec<Candidate>, MetaError> {
    let mut live: HashMap<XorbHash, Ranges> = HashMap::new();
    let mut last = None;
    loop {
        let page = view.files(last.as_ref(), PAGE).await?;
        for term in page.iter().flat_map(|record| &record.terms).filter(|term| is_in_turn(&term.xorb)) {
            live.entry(term.xorb).or_default().add(term.start..term.end);
        }
        last = page.last().map(|record| record.hash);
        if last.is_none() {
            break;
        }
    }
    let mut candidates = Vec::new();
    for (hash, live) in live {
        if candidates.len() == CANDIDATES_MAX {
            break;
        }
        let row = view.xorb(&hash).await?;
        let row = row.filter(|row| live.are_few_of(&row.table));
        candidates.extend(row.map(|row| Candidate { hash, row, live }));
    }
    Ok(candidates)
}

/// For each candidate the files that use it.
async fn files_of(
    view: &dyn MetaView,
    candidates: &[Candidate],
) -> Result<HashMap<XorbHash, Vec<FileHash>>, MetaError> {
    let mut files: HashMap<_, Vec<_>> =
        candidates.iter().map(|candidate| (candidate.hash, Vec::new())).collect();
    let mut last = None;
    loop {
        let page = view.files(last.as_ref(), PAGE).await?;
        for record in &page {
            let xorbs: HashSet<_> = record.terms.iter().map(|term| term.xorb).collect();
            for xorb in xorbs {
                if let Some(files) = files.get_mut(&xorb) {
                    files.push(record.hash);
                }
            }
        }
        last = page.last().map(|record| record.hash);
        if last.is_none() {
            return Ok(files);
        }
    }
}

/// Candidates whose live chunks fit into one xorb together.
fn batches(candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    let mut batches: Vec<Vec<Candidate>> = Vec::new();
    let (mut chunks, mut raw_bytes) = (0, 0);
    for candidate in candidates {
        let (more_chunks, more_bytes) = candidate.live.size_in(&candidate.row.table);
        (chunks, raw_bytes) = (chunks + more_chunks, raw_bytes + more_bytes as usize);
        match batches.last_mut() {
            Some(batch) if chunks <= XORB_CHUNKS_MAX && raw_bytes <= XORB_RAW_BYTES_MAX => {
                batch.push(candidate);
            }
            _ => {
                (chunks, raw_bytes) = (more_chunks, more_bytes as usize);
                batches.push(vec![candidate]);
            }
        }
    }
    batches
}

async fn compact(
    store: &Arc<LocalStore>,
    batch: Vec<Candidate>,
    files_of: &HashMap<XorbHash, Vec<FileHash>>,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let packs = Arc::clone(&store.packs);
    let gathered = spawn_blocking(move || gather(&packs, &batch)).await?;
    let Some(Gathered { xorb, moved, hold }) = gathered.map_err(io("compacting xorbs"))? else {
        return Ok(());
    };
    let mut files: Vec<FileHash> =
        moved.keys().filter_map(|xorb| files_of.get(xorb)).flatten().copied().collect();
    files.sort_unstable_by_key(|file| *file.as_bytes());
    files.dedup();
    let store = Arc::clone(store);
    // To its end, even if the pass is dropped: the new xorb must be held until it has a row.
    let replacing = tokio::spawn(async move {
        let mut rewritten = 0;
        // In several transactions if need be: until the last, both xorbs are used.
        for files in files.chunks(PAGE) {
            let (xorbs, moved) = (vec![xorb.clone()], moved.clone());
            let change = TermChange { xorbs, files: files.to_vec(), moved };
            rewritten += store.meta.replace_terms(change).await?;
        }
        drop(hold);
        if let Err(error) = store.index.add(&xorb.hash, &xorb.row.table) {
            warn!(%error, xorb = %xorb.hash, "its chunks will not be found by later uploads");
        }
        Ok::<_, MetaError>(rewritten)
    });
    report.files_rewritten += replacing.await?? as u64;
    Ok(())
}

/// A new xorb, synced, and what it holds.
struct Gathered {
    xorb: StoredXorb,
    moved: HashMap<XorbHash, Vec<MovedRun>>,
    hold: PackHold,
}

/// Copies the live records of a batch into one new xorb; `None` if all of them are damaged.
fn gather(packs: &Arc<PackLog>, batch: &[Candidate]) -> std::io::Result<Option<Gathered>> {
    let (mut bytes, mut table) = (frame::HEAD.to_vec(), ChunkTable::default());
    let mut runs: HashMap<XorbHash, Vec<(std::ops::Range<u32>, u32)>> = HashMap::new();
    for candidate in batch {
        let (bytes_before, table_before) = (bytes.len(), table.clone());
        match append_live(packs, candidate, &mut bytes, &mut table)? {
            Some(moved) => drop(runs.insert(candidate.hash, moved)),
            None => {
                warn!(xorb = %candidate.hash, pack = %candidate.row.pack, "a damaged xorb is not compacted");
                bytes.truncate(bytes_before);
                table = table_before;
            }
        }
    }
    if table.is_empty() {
        return Ok(None);
    }
    let hash = table.xorb_hash();
    bytes.extend(frame::encode_trailer(&hash, &table));
    let mut lease = packs.lease();
    let (pack, start) = lease.position()?;
    lease.append(&bytes)?;
    let hold = lease.commit()?;
    let (offset, frame_end) = (start + frame::HEAD.len() as u64, start + bytes.len() as u64);
    let xorb = StoredXorb { hash, row: XorbRow { pack, offset, frame_end, table } };
    let moved = runs.into_iter().map(|(old, runs)| {
        let runs = runs.into_iter().map(|(chunks, to_start)| MovedRun { chunks, to: hash, to_start });
        (old, runs.collect())
    });
    Ok(Some(Gathered { moved: moved.collect(), xorb, hold }))
}

/// Appends a candidate's live records, each checked; answers where its runs begin, or `None` if one is damaged.
fn append_live(
    packs: &PackLog,
    candidate: &Candidate,
    bytes: &mut Vec<u8>,
    table: &mut ChunkTable,
) -> std::io::Result<Option<Vec<(std::ops::Range<u32>, u32)>>> {
    let Candidate { row, live, .. } = candidate;
    let mut moved = Vec::new();
    for run in live.iter() {
        moved.push((run.clone(), table.len() as u32));
        let Some(records) = row.table.record_range(run.clone()) else {
            return Ok(None);
        };
        let start = row.offset + u64::from(records.start);
        let Some(run_bytes) = packs.read_if_there(row.pack, start, records.len())? else {
            return Ok(None);
        };
        let mut rest = &run_bytes[..];
        for index in run {
            let (Some(hash), Some(record), Some(raw)) = (
                row.table.hash(index),
                row.table.record_range(index..index + 1),
                row.table.raw_range(index..index + 1),
            ) else {
                return Ok(None);
            };
            let (record, behind) = rest.split_at(record.len());
            if check_record(record, &hash).is_err() {
                return Ok(None);
            }
            table.push(hash, record.len() as u32, raw.end - raw.start);
            rest = behind;
        }
        bytes.extend_from_slice(&run_bytes);
    }
    Ok(Some(moved))
}
