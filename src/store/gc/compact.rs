//! Copying the live chunks out of xorbs of which much is dead.
//!
//! A chunk lives as long as a term covers it. Of a xorb with few live chunks those are copied, as the records they
//! are, into a new xorb that gathers those of many; then the terms of the files concerned name that. Afterwards
//! nothing uses the old xorb. A file that has come to use it meanwhile goes on using it: nothing is lost, and the
//! next pass looks again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::plan::{Part, Ranges, Thrift};
use super::{GcError, GcOptions, GcReport, PAGE, io};
use crate::model::clock::Timestamp;
use crate::store::local::LocalStore;
use crate::store::meta::{MetaError, MetaView, MovedRun, TermChange, XorbEntry};
use crate::store::pack::frame;
use crate::store::pack::log::{PackHold, PackLog};
use crate::store::pack::verify::check_record;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::store::throttle::Throttle;
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::limits::{XORB_CHUNKS_MAX, XORB_RAW_BYTES_MAX};
use crate::xet::xorb::ChunkTable;

/// Xorbs whose live ranges are in memory at the same time; more are looked at in turns, each of which reads all
/// file records.
const XORBS_A_TURN: u64 = 1 << 20;

/// Xorbs compacted in one pass and turn.
const CANDIDATES_MAX: usize = 4096;

/// A xorb with dead chunks.
struct Candidate {
    hash: XorbHash,
    row: XorbRow,
    live: Ranges,
}

/// Compacts.
pub(super) async fn run(
    store: &Arc<LocalStore>,
    now: Timestamp,
    options: &GcOptions,
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let turns = store.meta.view().await?.counts().await?.xorbs / XORBS_A_TURN + 1;
    for turn in 0..turns {
        throttle.spend(0).await?;
        let view = store.meta.view().await?;
        let candidates =
            candidates(&*view, now, options.thrift, |xorb| xorb.words()[0] % turns == turn).await?;
        report.xorbs_compacted += candidates.len() as u64;
        if options.dry_run || candidates.is_empty() {
            continue;
        }
        let names: Vec<_> = candidates.iter().map(|candidate| candidate.hash).collect();
        let files = files_of(&*view, &names).await?;
        // While a view is held, the store reuses nothing of what is rewritten.
        drop(view);
        for batch in batches(candidates) {
            throttle
                .spend(batch.iter().map(|candidate| u64::from(candidate.row.table.record_bytes())).sum())
                .await?;
            compact(store, batch, &files, report).await?;
        }
    }
    Ok(())
}

/// The xorbs to be compacted among those of this turn, as they lie in the packs.
async fn candidates(
    view: &dyn MetaView,
    now: Timestamp,
    thrift: Thrift,
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
    let mut parts = Vec::new();
    for (hash, live) in &live {
        // One that is kept for clients stays whole anyhow: to copy its live chunks would store them twice.
        let entry = view.xorb_entry(hash).await?.filter(|entry| entry.kept_until <= now);
        if let Some(XorbEntry { row, .. }) = entry {
            let (whole, live) = (row.table.record_bytes().into(), live.record_bytes_in(&row.table));
            parts.push(Part { name: *hash, whole, live });
        }
    }
    let mut candidates = Vec::new();
    for Part { name: hash, .. } in thrift.xorbs(parts).into_iter().take(CANDIDATES_MAX) {
        if let (Some(row), Some(live)) = (view.xorb(&hash).await?, live.remove(&hash)) {
            candidates.push(Candidate { hash, row, live });
        }
    }
    // What lies together stays together.
    candidates.sort_unstable_by_key(|candidate| (candidate.row.pack, candidate.row.offset));
    Ok(candidates)
}

/// For each of the xorbs the files that use it.
pub(super) async fn files_of(
    view: &dyn MetaView,
    xorbs: &[XorbHash],
) -> Result<HashMap<XorbHash, Vec<FileHash>>, MetaError> {
    let mut files: HashMap<_, Vec<_>> = xorbs.iter().map(|xorb| (*xorb, Vec::new())).collect();
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
            let change = TermChange { xorbs, files: files.to_vec(), moved, ..TermChange::default() };
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
    let mut starts = Vec::new();
    for candidate in batch {
        let Some(live) = read_live(packs, candidate)? else {
            warn!(xorb = %candidate.hash, pack = %candidate.row.pack, "a damaged xorb is not compacted");
            continue;
        };
        starts.push((candidate, table.len() as u32));
        for chunk in live.chunks {
            table.push(chunk.hash, chunk.record_bytes, chunk.raw_bytes);
        }
        bytes.extend(live.records);
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
    let moved = starts.into_iter().map(|(candidate, start)| (candidate.hash, runs(candidate, hash, start)));
    Ok(Some(Gathered { moved: moved.collect(), xorb, hold }))
}

/// Where the live runs of a candidate are, whose live chunks lie in `to` from `start` on.
fn runs(candidate: &Candidate, to: XorbHash, start: u32) -> Vec<MovedRun> {
    let mut to_start = start;
    let runs = candidate.live.iter().map(|chunks| {
        let run = MovedRun { chunks: chunks.clone(), to, to_start };
        to_start += chunks.end - chunks.start;
        run
    });
    runs.collect()
}

struct LiveChunk {
    hash: ChunkHash,
    record_bytes: u32,
    raw_bytes: u32,
}

/// The live records of a xorb, one after the other.
struct Live {
    records: Vec<u8>,
    chunks: Vec<LiveChunk>,
}

/// Reads a candidate's live records and checks each; `None` if one is damaged.
fn read_live(packs: &PackLog, Candidate { row, live, .. }: &Candidate) -> std::io::Result<Option<Live>> {
    let mut found = Live { records: Vec::new(), chunks: Vec::new() };
    for run in live.iter() {
        let Some(records) = row.table.record_range(run.clone()) else {
            return Ok(None);
        };
        let start = row.offset + u64::from(records.start);
        let Some(bytes) = packs.read_if_there(row.pack, start, records.len())? else {
            return Ok(None);
        };
        let mut rest = &bytes[..];
        for index in run {
            let chunk = live_chunk(&row.table, index);
            let Some((record, behind)) =
                chunk.as_ref().and_then(|chunk| rest.split_at_checked(chunk.record_bytes as usize))
            else {
                return Ok(None);
            };
            found.chunks.extend(chunk.filter(|chunk| check_record(record, &chunk.hash).is_ok()));
            rest = behind;
        }
        found.records.extend_from_slice(&bytes);
    }
    let wanted: usize = live.iter().map(|run| run.len()).sum();
    Ok((found.chunks.len() == wanted).then_some(found))
}

fn live_chunk(table: &ChunkTable, index: u32) -> Option<LiveChunk> {
    let (record, raw) = (table.record_range(index..index + 1)?, table.raw_range(index..index + 1)?);
    let (record_bytes, raw_bytes) = (record.end - record.start, raw.end - raw.start);
    Some(LiveChunk { hash: table.hash(index)?, record_bytes, raw_bytes })
}
