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
use crate::store::meta::{IdleXorb, MetaError};
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
            last = listed.xorbs.last().map(|idle| idle.hash);
            if last.is_none() {
                return Ok(None);
            }
            listed
        };
        if tokio::time::timeout(patience, store.readers.wait(listed.epoch)).await.is_err() {
            report.xorbs_left += listed.xorbs.len() as u64;
            return Ok(Some(listed));
        }
        for batch in listed.xorbs.chunks(REMOVED_TOGETHER) {
            throttle.spend(0).await?;
            remove(store, batch.to_vec(), now, report).await?;
        }
    }
}

/// Lists idle xorbs, and only then begins a new epoch: anyone who enters later cannot read of them.
async fn list(store: &LocalStore, now: Timestamp, mut last: Option<XorbHash>) -> Result<Listed, MetaError> {
    let mut xorbs = Vec::new();
    while xorbs.len() < LISTED_MAX {
        let page = store.meta.idle_xorbs(now, last, PAGE).await?;
        let Some(behind) = page.last() else {
            break;
        };
        last = Some(behind.hash);
        xorbs.extend(page);
    }
    Ok(Listed { xorbs, epoch: store.readers.advance() })
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
        let doomed = store.pins.doom(batch.iter().map(|idle| idle.hash));
        let names: HashSet<_> = doomed.xorbs().iter().collect();
        let batch = batch.into_iter().filter(|idle| names.contains(&idle.hash)).collect();
        let removed = store.meta.remove_xorbs(batch, now).await;
        // Also after an error, for they may be gone all the same.
        store.rows.forget(doomed.xorbs());
        let removed = removed?;
        drop(doomed);
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
