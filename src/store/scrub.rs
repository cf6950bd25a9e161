//! Scrub: reads every byte of every live frame and hashes every chunk.
//!
//! It goes from pack to pack and can go on from where it was stopped. What lies in a pack is read while nothing is
//! moved or removed; between packs gc may have its turn, and what gc moves after the cursor it has verified itself.
//!
//! The chunks of a damaged xorb are forgotten by the index: no later upload relies on them, and anyone who uploads them
//! again stores new copies, which mends every object that uses them.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::damage::objects_hit;
use super::disk::is_loss;
use super::local::LocalStore;
use super::meta::MetaError;
use super::pack::PackId;
use super::pack::log::PackLog;
use super::pack::verify::{FrameDamage, frame_damages};
use super::report;
use super::rows::StoredXorb;
use super::throttle::Throttle;
use crate::xet::hash::XorbHash;

/// Rows looked at together.
const PAGE: usize = 256;

/// Most findings of one scrub; a disk that has lost everything need not be listed.
const FINDINGS_MAX: usize = 10_000;

/// Why a scrub ended early.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Packs could not be read, which says nothing of what is in them.
    #[error("reading a pack: {0}")]
    Packs(#[from] std::io::Error),
    /// A worker thread ended early.
    #[error("a worker ended early")]
    Worker(#[from] tokio::task::JoinError),
}

/// Where a scrub goes on: everything in packs before this one is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubCursor {
    /// The pack to begin with.
    pub pack: u64,
    /// Frames that end before this are done.
    pub offset: u64,
}

impl ScrubCursor {
    /// The cursor that was saved here; the beginning if there is none that can be read.
    pub fn load(path: &Path) -> Self {
        let read = std::fs::read_to_string(path).unwrap_or_default();
        let mut numbers = read.split_whitespace().map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(pack), Some(offset)) => Self { pack, offset },
            _ => Self::default(),
        }
    }

    /// Saves where to go on. It is not synced: to lose it costs a second look.
    pub fn save(self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, format!("{} {}\n", self.pack, self.offset))
    }
}

/// Damage in a live frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The pack, as its file is called.
    pub pack: String,
    /// Where the frame's first record begins.
    pub offset: u64,
    /// The xorb.
    pub xorb: String,
    /// What is wrong.
    pub what: String,
    /// The objects and parts that cannot be read whole, by bucket and key.
    pub objects: Vec<String>,
}

/// What a scrub has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubReport {
    /// Where to go on; `None` if it came to the end.
    pub cursor: Option<ScrubCursor>,
    /// Frames read.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is damaged.
    pub damages: Vec<Damage>,
}

impl ScrubReport {
    /// The report for people: the figures, and a line for each damage.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 4] = [
            ("complete", self.cursor.is_none().to_string()),
            ("frames", self.frames.to_string()),
            ("bytes", self.bytes.to_string()),
            ("damages", self.damages.len().to_string()),
        ];
        let damages = self.damages.iter().map(|damage| {
            let Damage { pack, offset, xorb, what, objects } = damage;
            let objects = report::visible(&objects.join(", "));
            format!("pack {pack} offset {offset} xorb {xorb}: {what}; hits {objects}\n")
        });
        report::table(&rows) + &damages.collect::<String>()
    }
}

/// A damaged frame.
struct Found {
    xorb: StoredXorb,
    damages: Vec<FrameDamage>,
}

/// Scrubs from a cursor on, until the end or until it is told to stop.
pub async fn scrub(
    store: &Arc<LocalStore>,
    from: ScrubCursor,
    throttle: &Throttle,
) -> Result<ScrubReport, ScrubError> {
    let mut report = ScrubReport::default();
    let mut found = Vec::new();
    let packs = store.meta.packs().await?;
    for pack in packs.into_iter().map(|row| row.id).filter(|id| id.0 >= from.pack) {
        let begin = if pack.0 == from.pack { from.offset } else { 0 };
        let _alone = store.upkeep.lock().await;
        let xorbs = live_xorbs(store, pack, begin).await?;
        for xorb in xorbs {
            if throttle.spend(xorb.row.frame_bytes()).await.is_err() || found.len() >= FINDINGS_MAX {
                report.cursor = Some(ScrubCursor { pack: pack.0, offset: xorb.row.frame_end });
                report.damages = damages(store, &found).await?;
                return Ok(report);
            }
            report.frames += 1;
            report.bytes += xorb.row.frame_bytes();
            let packs = Arc::clone(&store.packs);
            let (xorb, damages) = spawn_blocking(move || (read(&packs, &xorb), xorb)).await.map(swap)?;
            let damages = damages?;
            if !damages.is_empty() {
                if damages.iter().any(FrameDamage::hits_data) {
                    forget_chunks(store, &xorb);
                }
                found.push(Found { xorb, damages });
            }
        }
    }
    report.damages = damages(store, &found).await?;
    Ok(report)
}

fn swap<A, B>((a, b): (A, B)) -> (B, A) {
    (b, a)
}

/// The xorbs of a pack by place, as far as they are not done. They are all of one pack, so memory is bounded.
async fn live_xorbs(store: &LocalStore, pack: PackId, begin: u64) -> Result<Vec<StoredXorb>, MetaError> {
    let mut xorbs = Vec::new();
    let mut last = None;
    loop {
        let page = store.meta.xorbs_in(pack, last, PAGE).await?;
        let Some(behind) = page.last() else {
            return Ok(xorbs);
        };
        last = Some(behind.row.offset);
        xorbs.extend(page.into_iter().filter(|xorb| xorb.row.frame_end >= begin));
    }
}

fn forget_chunks(store: &LocalStore, xorb: &StoredXorb) {
    if let Err(error) = store.index.remove(&xorb.hash, &xorb.row.table) {
        warn!(%error, xorb = %xorb.hash, "uploads may go on to rely on a damaged xorb");
    }
}

/// What is wrong with a frame; an error if that cannot be said now.
fn read(packs: &PackLog, xorb: &StoredXorb) -> std::io::Result<Vec<FrameDamage>> {
    let StoredXorb { hash, row } = xorb;
    match packs.read(row.pack, row.frame_start(), row.frame_bytes() as usize) {
        Ok(frame) => Ok(frame_damages(&frame, hash, row)),
        Err(error) if is_loss(&error) => Ok(vec![FrameDamage::CutOff]),
        Err(error) => Err(error),
    }
}

/// Says for each finding which objects it hits.
async fn damages(store: &LocalStore, found: &[Found]) -> Result<Vec<Damage>, MetaError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let view = store.meta.view().await?;
    let xorbs: HashSet<XorbHash> = found.iter().map(|found| found.xorb.hash).collect();
    let by_xorb: HashMap<_, _> = found.iter().map(|found| (found.xorb.hash, &found.damages)).collect();
    let is_hit = |xorb: &XorbHash, chunk: u32| {
        by_xorb.get(xorb).is_some_and(|damages| damages.iter().any(|damage| damage.hits(chunk)))
    };
    let hit = objects_hit(&*view, &xorbs, is_hit).await?;
    let damages = found.iter().map(|Found { xorb, damages }| Damage {
        pack: xorb.row.pack.to_string(),
        offset: xorb.row.offset,
        xorb: xorb.hash.to_string(),
        what: damages.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        objects: hit.get(&xorb.hash).into_iter().flatten().cloned().collect(),
    });
    Ok(damages.collect())
}
