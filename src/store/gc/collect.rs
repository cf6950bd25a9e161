//! Removing xorbs that nothing uses.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::warn;

use super::rewrite::Dying;
use super::{GcError, GcReport, PAGE};
use crate::model::clock::Timestamp;
use crate::store::local::LocalStore;
use crate::store::meta::{Doom, IdleXorb, MetaError};
use crate::store::rows::StoredXorb;
use crate::store::throttle::Throttle;
use crate::xet::hash::XorbHash;

/// Xorbs listed before readers are waited for once; 40 bytes each.
const LISTED_MAX: usize = 100_000;

/// Xorbs removed in one transaction: their rows, with tables of up to 330 KiB, are in memory together.
const REMOVED_TOGETHER: usize = 100;

/// Idle xorbs, and the readers that must have left before they are removed.
pub(super) struct Listed {
    xorbs: Vec<IdleXorb>,
    /// Readers of this epoch and before may have records that name them.
    epoch: u64,
}

/// Removes all that is idle; answers what could not be waited for.
pub(super) async fn run(
    store: &Arc<LocalStore>,
    now: Timestamp,
    patience: Duration,
    mut waiting: Option<Listed>,
    throttle: &Throttle,
    report: &mut GcReport,
) -> Result<Option<Listed>, GcError> {
    let mut last = None;
    loop {
        let listed = if let Some(listed) = waiting.take() {
            listed
        } else {
            let listed = list(store, now, last).await?;
            let Some(listed) = listed else {
                return Ok(None);
            };
            last = listed.xorbs.last().map(|idle| idle.hash);
            listed
        };
        let patience = patience.max(store.peers.patience());
        let left = tokio::time::timeout(patience, store.peers.wait(&*store.meta, listed.epoch)).await;
        let Ok(left) = left else {
            report.xorbs_left += listed.xorbs.len() as u64;
            return Ok(Some(listed));
        };
        left?;
        for batch in listed.xorbs.chunks(store.peers.doomed_together()) {
            throttle.spend(0).await?;
            remove(store, batch.to_vec(), now, report).await?;
        }
    }
}

/// Lists idle xorbs, and only then begins a new epoch: anyone who enters later cannot read of them.
async fn list(
    store: &LocalStore,
    now: Timestamp,
    mut last: Option<XorbHash>,
) -> Result<Option<Listed>, MetaError> {
    let mut xorbs = Vec::new();
    while xorbs.len() < LISTED_MAX {
        let page = store.meta.idle_xorbs(now, last, PAGE).await?;
        let Some(behind) = page.last() else {
            break;
        };
        last = Some(behind.hash);
        xorbs.extend(page);
    }
    if xorbs.is_empty() {
        return Ok(None);
    }
    Ok(Some(Listed { xorbs, epoch: store.peers.advance(&*store.meta).await? }))
}

/// Removes those of a batch that nobody has been promised.
async fn remove(
    store: &Arc<LocalStore>,
    batch: Vec<IdleXorb>,
    now: Timestamp,
    report: &mut GcReport,
) -> Result<(), GcError> {
    let asked = batch.len();
    let store = Arc::clone(store);
    // To its end, even if the pass is dropped: they must stay doomed until the transaction has been answered.
    let removing = tokio::spawn(async move {
        let asked = Doom { xorbs: batch.iter().map(|idle| idle.hash).collect(), packs: Vec::new() };
        let doomed = store.peers.doom(&store.meta, asked).await?;
        let names: HashSet<_> = doomed.xorbs().iter().copied().collect();
        let batch: Vec<_> = batch.into_iter().filter(|idle| names.contains(&idle.hash)).collect();
        let mut removed = Ok(Vec::new());
        for batch in batch.chunks(REMOVED_TOGETHER) {
            match (store.meta.remove_xorbs(batch.to_vec(), now).await, &mut removed) {
                (Ok(gone), Ok(removed)) => removed.extend(gone),
                (gone, removed) => {
                    *removed = gone;
                    break;
                }
            }
        }
        // Also after an error, for they may be gone all the same.
        doomed.end().await?;
        let removed = removed?;
        let forgetting = spawn_blocking(move || {
            forget_chunks(&store, &removed);
            removed
        });
        Ok::<_, GcError>(forgetting.await?)
    });
    let removed = removing.await??;
    report.xorbs_left += (asked - removed.len()) as u64;
    report.xorbs_removed += removed.len() as u64;
    report.xorb_bytes_removed += removed.iter().map(|xorb| xorb.row.frame_bytes()).sum::<u64>();
    Ok(())
}

fn forget_chunks(store: &LocalStore, removed: &[StoredXorb]) {
    for StoredXorb { hash, row } in removed {
        if let Err(error) = store.index.remove(hash, &row.table) {
            warn!(%error, xorb = %hash, "the chunk index keeps the chunks of a xorb that is gone");
        }
    }
}

/// What [`run`] would remove.
pub(super) async fn preview(
    store: &LocalStore,
    now: Timestamp,
    report: &mut GcReport,
) -> Result<Dying, MetaError> {
    let mut dying: HashMap<_, u64> = HashMap::new();
    let mut last = None;
    loop {
        let page = store.meta.idle_xorbs(now, last, PAGE).await?;
        let Some(behind) = page.last() else {
            return Ok(Dying(dying));
        };
        last = Some(behind.hash);
        for idle in page {
            if let Some(row) = store.meta.xorb(&idle.hash).await? {
                report.xorbs_removed += 1;
                report.xorb_bytes_removed += row.frame_bytes();
                *dying.entry(row.pack).or_default() += row.frame_bytes();
            }
        }
    }
}
