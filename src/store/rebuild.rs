//! Rebuilding the chunk index from the packs.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::spawn_blocking;

use super::index::IndexError;
use super::local::LocalStore;
use super::meta::MetaError;
use super::pack::scan::{PackScan, Scanned};
use super::report;
use super::throttle::{Stopped, Throttle};

/// Why the index could not be made again; until it is, chunks it lacks are stored again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A pack could not be read.
    #[error("reading a pack: {0}")]
    Packs(#[from] std::io::Error),
    /// The index could not be written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A worker thread ended early.
    #[error("a worker ended early")]
    Worker(#[from] tokio::task::JoinError),
}

/// What was found in the packs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// Packs walked.
    pub packs: u64,
    /// Xorbs whose chunks can be found again.
    pub xorbs: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Frames of xorbs that are gone or lie elsewhere.
    pub dead_frames: u64,
    /// Bytes that are no frame: torn ends, damage.
    pub gap_bytes: u64,
}

impl RebuildReport {
    /// The report for people.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 5] = [
            ("packs", self.packs.to_string()),
            ("xorbs", self.xorbs.to_string()),
            ("chunks", self.chunks.to_string()),
            ("dead frames", self.dead_frames.to_string()),
            ("gap bytes", self.gap_bytes.to_string()),
        ];
        report::table(&rows)
    }
}

/// Empties the chunk index and fills it from the frames of all packs. Uploads may go on; what they store meanwhile is
/// in the index too.
pub async fn rebuild_index(
    store: &Arc<LocalStore>,
    throttle: &Throttle,
) -> Result<RebuildReport, RebuildError> {
    let _alone = store.upkeep.lock().await;
    store.index.clear()?;
    let mut report = RebuildReport::default();
    for (id, len) in store.packs.listed().await? {
        throttle.spend(len).await?;
        report.packs += 1;
        let (packs, meta, index) =
            (Arc::clone(&store.packs), Arc::clone(&store.meta), Arc::clone(&store.index));
        let runtime = tokio::runtime::Handle::current();
        let walk = move || -> Result<RebuildReport, RebuildError> {
            let mut found = RebuildReport::default();
            let mut scan = PackScan::new(&packs, id, len);
            while let Some(scanned) = scan.step()? {
                match scanned {
                    Scanned::Gap(range) => found.gap_bytes += range.end - range.start,
                    Scanned::Frame { xorb, place, table } => {
                        let row = runtime.block_on(meta.xorb(&xorb))?;
                        if row.is_some_and(|row| row.place() == place && row.table == table) {
                            index.add(&xorb, &table)?;
                            found.xorbs += 1;
                            found.chunks += table.len() as u64;
                        } else {
                            found.dead_frames += 1;
                        }
                    }
                }
            }
            Ok(found)
        };
        let found = spawn_blocking(walk).await??;
        report.xorbs += found.xorbs;
        report.chunks += found.chunks;
        report.dead_frames += found.dead_frames;
        report.gap_bytes += found.gap_bytes;
    }
    Ok(report)
}
