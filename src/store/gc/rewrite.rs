//! Deleting packs in which nothing lives, and copying the live frames out of packs that are mostly dead.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::plan::{PackPlan, plan_packs};
use super::{GcError, GcOptions, GcReport, PAGE, io};
use crate::store::local::LocalStore;
use crate::store::meta::{FramePlace, MetaError, XorbMove};
use crate::store::pack::PackId;
use crate::store::pack::frame::HEAD;
use crate::store::pack::log::{PackHold, PackLog};
use crate::store::pack::verify::frame_damages;
use crate::store::rows::StoredXorb;
use crate::store::throttle::Throttle;

/// Bytes of frames copied under one sync and one transaction.
const BATCH_BYTES: u64 = 64 << 20;

/// Live bytes of packs that the pass would remove if it were no dry run.
#[derive(Default)]
pub(super) struct Dying(pub(super) HashMap<PackId, u64>);

/// Deletes and rewrites packs.
pub(super) async fn run(
    store: &Arc<LocalStore>,
    options: &GcOptions,
    dying: &Dying,
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let packs = Arc::clone(&store.packs);
    let lengths = spawn_blocking(move || packs.list()).await?.map_err(io("listing packs"))?;
    let mut rows = store.meta.packs().await?;
    for row in &mut rows {
        row.live_bytes -= dying.0.get(&row.id).copied().unwrap_or(0).min(row.live_bytes);
    }
    let plans = plan_packs(&lengths, &rows, options.thrift);
    if options.dry_run {
        for plan in plans {
            count(report, plan);
        }
        return Ok(());
    }
    // All first, so that no frame is copied into a pack that is rewritten next.
    let (free, held): (Vec<_>, Vec<_>) = plans.into_iter().partition(|plan| store.packs.retire(plan.id()));
    report.packs_left += held.len() as u64;
    for plan in free {
        throttle.spend(0).await?;
        if let PackPlan::Rewrite { id, .. } = plan {
            empty(store, id, throttle, report).await?;
        }
        if store.meta.forget_pack(plan.id()).await? {
            let (packs, id) = (Arc::clone(&store.packs), plan.id());
            spawn_blocking(move || packs.delete(id)).await?.map_err(io("deleting a pack"))?;
            count(report, plan);
        }
    }
    Ok(())
}

fn count(report: &mut GcReport, plan: PackPlan) {
    report.packs_deleted += 1;
    match plan {
        PackPlan::Delete { len, .. } => report.bytes_freed += len.cast_signed(),
        PackPlan::Rewrite { len, live, .. } => {
            report.packs_rewritten += 1;
            report.bytes_moved += live;
            report.bytes_freed += len.cast_signed() - live.cast_signed();
        }
    }
}

/// Copies all whole frames of a retired pack that have rows.
async fn empty(
    store: &Arc<LocalStore>,
    id: PackId,
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let mut last = None;
    loop {
        let mut live = store.meta.xorbs_in(id, last, PAGE).await?;
        let Some(behind) = live.last() else {
            return Ok(());
        };
        last = Some(behind.row.offset);
        while !live.is_empty() {
            let batch = take_batch(&mut live);
            let bytes = batch.iter().map(|xorb| xorb.row.frame_bytes()).sum();
            throttle.spend(bytes).await?;
            copy(store, batch, report).await?;
        }
    }
}

/// Takes xorbs off the front, at least one and then as many as a batch may have.
fn take_batch(page: &mut Vec<StoredXorb>) -> Vec<StoredXorb> {
    let mut bytes = 0;
    let full = page.iter().position(|xorb| {
        bytes += xorb.row.frame_bytes();
        bytes > BATCH_BYTES
    });
    let rest = page.split_off(full.unwrap_or(page.len()).max(1));
    std::mem::replace(page, rest)
}

/// What became of a batch.
struct Copied {
    moves: Vec<XorbMove>,
    damaged: u64,
    /// Keeps the copies until the rows point to them.
    hold: PackHold,
}

async fn copy(store: &Arc<LocalStore>, batch: Vec<StoredXorb>, report: &mut GcReport) -> Result<(), GcError> {
    let packs = Arc::clone(&store.packs);
    let outcome = spawn_blocking(move || copy_frames(&packs, &batch)).await?;
    let Copied { moves, damaged, hold } = outcome.map_err(io("rewriting a pack"))?;
    report.frames_damaged += damaged;
    let store = Arc::clone(store);
    // To its end, even if the pass is dropped: the copies must be held until they have rows.
    let moving = tokio::spawn(async move {
        let names: Vec<_> = moves.iter().map(|moved| moved.hash).collect();
        let moved = store.meta.move_xorbs(moves).await;
        // Also after an error, for they may have moved all the same.
        store.rows.forget(&names);
        drop(hold);
        moved?;
        Ok::<_, MetaError>(())
    });
    Ok(moving.await??)
}

/// Copies whole frames and syncs the copies. A damaged one stays where it is: to copy it would be to vouch for it.
fn copy_frames(packs: &Arc<PackLog>, batch: &[StoredXorb]) -> std::io::Result<Copied> {
    let mut lease = packs.lease();
    let (mut moves, mut left) = (Vec::with_capacity(batch.len()), 0);
    for StoredXorb { hash, row } in batch {
        let frame = packs.read_if_there(row.pack, row.frame_start(), row.frame_bytes() as usize)?;
        let damages = frame.as_ref().map(|frame| frame_damages(frame, hash, row));
        let Some(frame) = frame.filter(|_| damages.is_some_and(|damages| damages.is_empty())) else {
            warn!(pack = %row.pack, offset = row.offset, xorb = %hash, "a damaged frame is not moved");
            left += 1;
            continue;
        };
        let (pack, start) = lease.position()?;
        lease.append(&frame)?;
        let (offset, frame_end) = (start + HEAD.len() as u64, start + frame.len() as u64);
        let to = FramePlace { pack, offset, frame_end };
        moves.push(XorbMove { hash: *hash, from: row.place(), to });
    }
    Ok(Copied { moves, damaged: left, hold: lease.commit()? })
}
