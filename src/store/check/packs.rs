//! Xorb rows against the frames in the packs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::{CheckError, CheckReport, Finding, PAGE};
use crate::store::local::LocalStore;
use crate::store::meta::{MetaError, MetaView};
use crate::store::pack::PackId;
use crate::store::pack::log::PackLog;
use crate::store::pack::scan::{PackScan, Scanned};
use crate::store::throttle::Throttle;
use crate::xet::hash::XorbHash;

/// Rows of one pack.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    xorbs: u64,
    bytes: u64,
    /// Where the last frame ends.
    end: u64,
}

/// Compares packs with the rows that name them.
pub(super) async fn check(
    store: &Arc<LocalStore>,
    view: &Arc<dyn MetaView>,
    throttle: &Throttle,
    report: &mut CheckReport,
) -> Result<(), CheckError> {
    let mut sums = sum_rows(&**view).await?;
    let lengths: HashMap<_, _> = store.packs.listed().await?.into_iter().collect();
    for row in view.packs().await? {
        let sum = sums.remove(&row.id).unwrap_or_default();
        let mut wrong = |what| report.find(Finding::BadPack { pack: row.id.to_string(), what });
        if sum.bytes != row.live_bytes {
            wrong(format!("its rows have {} bytes, its count says {}", sum.bytes, row.live_bytes));
        }
        if sum.end > row.committed_end {
            wrong(format!("a row ends at {}, behind its committed end {}", sum.end, row.committed_end));
        }
        let Some(len) = lengths.get(&row.id).copied() else {
            if sum.xorbs > 0 {
                wrong(format!("it is not there, and {} rows name it", sum.xorbs));
            }
            continue;
        };
        if len < row.committed_end {
            wrong(format!("it has {len} bytes, rows were committed up to {}", row.committed_end));
        }
        throttle.spend(len).await?;
        report.packs += 1;
        let (packs, seen, runtime) = (Arc::clone(&store.packs), Arc::clone(view), Handle::current());
        let walk = move || whole_frames(&packs, row.id, len.min(row.committed_end), &*seen, &runtime);
        let (frames, whole) = spawn_blocking(walk).await??;
        report.frames += frames;
        if whole.len() as u64 != sum.xorbs {
            name_missing(store, &**view, row.id, &whole, report).await?;
        }
    }
    for (pack, sum) in sums {
        let what = format!("it has no row, and {} xorbs name it", sum.xorbs);
        report.find(Finding::BadPack { pack: pack.to_string(), what });
    }
    Ok(())
}

async fn sum_rows(view: &dyn MetaView) -> Result<HashMap<PackId, Sum>, MetaError> {
    let mut sums: HashMap<PackId, Sum> = HashMap::new();
    let mut last = None;
    loop {
        let page = view.xorbs(last.as_ref(), PAGE / 10).await?;
        for xorb in &page {
            let sum = sums.entry(xorb.row.pack).or_default();
            sum.xorbs += 1;
            sum.bytes += xorb.row.frame_bytes();
            sum.end = sum.end.max(xorb.row.frame_end);
        }
        last = page.last().map(|xorb| xorb.hash);
        if last.is_none() {
            return Ok(sums);
        }
    }
}

/// How many frames a pack has, and the xorbs whose rows agree with theirs.
fn whole_frames(
    packs: &PackLog,
    id: PackId,
    len: u64,
    view: &dyn MetaView,
    runtime: &Handle,
) -> Result<(u64, HashSet<XorbHash>), CheckError> {
    let (mut frames, mut whole) = (0, HashSet::new());
    let mut scan = PackScan::new(packs, id, len);
    while let Some(scanned) = scan.step()? {
        if let Scanned::Frame { xorb, place, table } = scanned {
            frames += 1;
            let row = runtime.block_on(view.xorb(&xorb))?;
            if row.is_some_and(|row| row.place() == place && row.table == table) {
                whole.insert(xorb);
            }
        }
    }
    Ok((frames, whole))
}

async fn name_missing(
    store: &LocalStore,
    view: &dyn MetaView,
    pack: PackId,
    whole: &HashSet<XorbHash>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let mut last = None;
    loop {
        let page = store.meta.xorbs_in(pack, last, PAGE).await?;
        last = page.last().map(|xorb| xorb.row.offset);
        if last.is_none() {
            return Ok(());
        }
        for hash in page.iter().map(|xorb| xorb.hash).filter(|hash| !whole.contains(hash)) {
            // Those that came after the moment of the view are not its affair.
            if let Some(row) = view.xorb(&hash).await? {
                let what = format!("its frame is not whole in pack {pack} at offset {}", row.offset);
                report.find(Finding::BadXorb { xorb: hash.to_string(), what });
            }
        }
    }
}
