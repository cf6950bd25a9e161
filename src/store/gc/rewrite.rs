//! Deleting packs in which nothing lives, and copying the live frames out of packs that are mostly dead, or that are
//! many small objects.
//!
//! What is copied under one sync becomes one object. So frames of several objects are gathered before they are copied; of
//! files each is emptied and deleted by itself, which needs the least free space.
//!
//! A pack without a row is garbage only if no other process can be writing it: with packs in an object store, those of
//! this process. All others are left to the store, which deletes what is old enough.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::plan::{PackPlan, plan_packs};
use super::{GcError, GcOptions, GcReport, PAGE, io};
use crate::store::local::LocalStore;
use crate::store::meta::{Doom, FramePlace, MetaError, XorbMove};
use crate::store::pack::frame::HEAD;
use crate::store::pack::log::{PackHold, PackLog};
use crate::store::pack::verify::frame_damages;
use crate::store::pack::{PackId, PackMedium};
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
    // Before the rows, so that none is missed that was committed in between.
    let mut lengths = store.packs.listed().await.map_err(io("listing packs"))?;
    let living: HashSet<_> = store.meta.nodes().await?.into_iter().map(|node| node.epoch).collect();
    let mut rows = store.meta.packs().await?;
    for row in &mut rows {
        row.live_bytes -= dying.0.get(&row.id).copied().unwrap_or(0).min(row.live_bytes);
    }
    let known: HashSet<_> = rows.iter().map(|row| row.id).collect();
    // A node that lives may just be writing to a pack without rows, however long that takes. Who had written one was asked for
    // after the packs were listed and before the rows: either it lived then, or all that it has said is in them.
    let is_unknown =
        |id: &PackId| !known.contains(id) && !store.packs.is_own(*id) && !living.contains(&id.epoch());
    let unknown: Vec<_> = lengths.iter().map(|(id, _)| *id).filter(is_unknown).collect();
    lengths.retain(|(id, _)| !is_unknown(id));
    let plans = plan_packs(&lengths, &rows, options.thrift, store.packs.medium());
    if options.dry_run {
        for plan in plans {
            count(report, plan);
        }
        return Ok(());
    }
    if !unknown.is_empty() {
        let packs = Arc::clone(&store.packs);
        spawn_blocking(move || packs.discard(&unknown)).await?.map_err(io("deleting packs without rows"))?;
    }
    // All first, so that no frame is copied into a pack that is rewritten next.
    let mut retired = HashSet::new();
    for plans in plans.chunks(store.peers.doomed_together()) {
        let packs = plans.iter().map(|plan| plan.id()).collect();
        let doomed = store.peers.doom(&store.meta, Doom { xorbs: Vec::new(), packs }).await?;
        retired.extend(doomed.packs().iter().copied());
        // A pack that was retired stays so.
        doomed.end().await?;
    }
    let (free, held): (Vec<_>, Vec<_>) = plans.into_iter().partition(|plan| retired.contains(&plan.id()));
    report.packs_left += held.len() as u64;
    let mut emptying = Emptying::default();
    for plan in free {
        throttle.spend(0).await?;
        match plan {
            PackPlan::Delete { .. } => delete(store, plan, report).await?,
            PackPlan::Rewrite { .. } => emptying.add(store, plan, throttle, report).await?,
        }
    }
    emptying.finish(store, throttle, report).await
}

/// Deletes a pack, unless rows name it (again).
async fn delete(store: &LocalStore, plan: PackPlan, report: &mut GcReport) -> Result<(), GcError> {
    if store.meta.forget_pack(plan.id()).await? {
        let (packs, id) = (Arc::clone(&store.packs), plan.id());
        spawn_blocking(move || packs.delete(id)).await?.map_err(io("deleting a pack"))?;
        count(report, plan);
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

/// Retired packs whose live frames are being copied.
#[derive(Default)]
struct Emptying {
    /// Frames to be copied next, and their bytes.
    frames: Vec<StoredXorb>,
    bytes: u64,
    /// Packs of which all frames were copied, or are in `frames`.
    packs: Vec<PackPlan>,
}

impl Emptying {
    /// Copies all whole frames of a pack that have rows, the last of them perhaps later, with those of the next.
    async fn add(
        &mut self,
        store: &Arc<LocalStore>,
        plan: PackPlan,
        throttle: &Throttle,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        let mut last = None;
        loop {
            let live = store.meta.xorbs_in(plan.id(), last, PAGE).await?;
            let Some(behind) = live.last() else {
                break;
            };
            last = Some(behind.row.offset);
            self.bytes += live.iter().map(|xorb| xorb.row.frame_bytes()).sum::<u64>();
            self.frames.extend(live);
            while self.bytes > BATCH_BYTES {
                self.copy_batch(store, throttle, report).await?;
            }
        }
        self.packs.push(plan);
        if store.packs.medium() == PackMedium::File {
            self.finish(store, throttle, report).await?;
        }
        Ok(())
    }

    /// Copies what is left, and deletes the packs.
    async fn finish(
        &mut self,
        store: &Arc<LocalStore>,
        throttle: &Throttle,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        while !self.frames.is_empty() {
            self.copy_batch(store, throttle, report).await?;
        }
        for plan in std::mem::take(&mut self.packs) {
            delete(store, plan, report).await?;
        }
        Ok(())
    }

    async fn copy_batch(
        &mut self,
        store: &Arc<LocalStore>,
        throttle: &Throttle,
        report: &mut GcReport,
    ) -> Result<(), GcError> {
        let batch = take_batch(&mut self.frames);
        let bytes = batch.iter().map(|xorb| xorb.row.frame_bytes()).sum();
        self.bytes -= bytes;
        throttle.spend(bytes).await?;
        copy(store, batch, report).await
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
