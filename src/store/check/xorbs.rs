//! File records against xorbs, and the rows about a xorb against each other.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use super::{CheckReport, Finding, PAGE, Turns};
use crate::model::file::{FileRecord, Term};
use crate::store::meta::{MetaError, MetaView, XorbEntry};
use crate::xet::hash::{FileHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// Xorb rows are large.
const XORB_PAGE: usize = 64;

/// Chunk tables kept while files are looked at.
const TABLES_CACHED: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

/// Checks file records, counts their uses of xorbs, and compares with the rows about xorbs.
pub(super) async fn check(
    view: &dyn MetaView,
    turn: Turns,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let mut uses = count_uses(view, turn, report).await?;
    let mut last = None;
    loop {
        let page = view.xorbs(last.as_ref(), XORB_PAGE).await?;
        for xorb in page.iter().filter(|xorb| turn.has(xorb.hash.words())) {
            report.xorbs += 1;
            let counted = uses.remove(&xorb.hash).unwrap_or(0);
            check_xorb(xorb, counted, report);
        }
        last = page.last().map(|xorb| xorb.hash);
        if last.is_none() {
            break;
        }
    }
    if turn.is_first() {
        for xorb in view.stray_xorbs(PAGE).await? {
            let what = "it is counted, idle or kept, and has no row".to_owned();
            report.find(Finding::BadXorb { xorb: xorb.to_string(), what });
        }
        for (pack, offset) in view.stray_places(PAGE).await? {
            let what = format!("a xorb is said to lie at offset {offset}, and no row says so");
            report.find(Finding::BadPack { pack: pack.to_string(), what });
        }
    }
    Ok(())
}

fn check_xorb(xorb: &XorbEntry, counted: u64, report: &mut CheckReport) {
    let name = xorb.hash.to_string();
    if counted != xorb.uses {
        let (what, recorded) = (format!("xorb {name}"), xorb.uses);
        report.find(Finding::UseCount { what, counted, recorded });
    }
    let wrongs = [
        (xorb.idle.is_some() != (xorb.uses == 0), "its idle record contradicts its use count"),
        (!xorb.in_pack, "its pack does not count it"),
        (xorb.row.table.xorb_hash() != xorb.hash, "its chunks have another hash"),
    ];
    for (_, what) in wrongs.into_iter().filter(|(is_wrong, _)| *is_wrong) {
        report.find(Finding::BadXorb { xorb: name.clone(), what: what.to_owned() });
    }
}

async fn count_uses(
    view: &dyn MetaView,
    turn: Turns,
    report: &mut CheckReport,
) -> Result<HashMap<XorbHash, u64>, MetaError> {
    let mut uses: HashMap<XorbHash, u64> = HashMap::new();
    let mut tables = LruCache::new(TABLES_CACHED);
    let mut last: Option<FileHash> = None;
    loop {
        let page = view.files(last.as_ref(), PAGE).await?;
        for record in &page {
            if turn.is_first() {
                report.files += 1;
                check_record(view, record, &mut tables, report).await?;
            }
            let xorbs: BTreeSet<_> = record.terms.iter().map(|term| term.xorb).collect();
            for xorb in xorbs.into_iter().filter(|xorb| turn.has(xorb.words())) {
                *uses.entry(xorb).or_default() += 1;
            }
        }
        last = page.last().map(|record| record.hash);
        if last.is_none() {
            return Ok(uses);
        }
    }
}

async fn check_record(
    view: &dyn MetaView,
    record: &FileRecord,
    tables: &mut LruCache<XorbHash, Option<Arc<ChunkTable>>>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let mut wrong = |what: String| report.find(Finding::BadFile { file: record.hash.to_string(), what });
    let size: u64 = record.terms.iter().map(|term| u64::from(term.raw_bytes)).sum();
    if size != record.size {
        wrong(format!("its terms have {size} bytes, it has {}", record.size));
    }
    for term in &record.terms {
        let Term { xorb, start, end, raw_bytes } = term;
        if !tables.contains(xorb) {
            let row = view.xorb(xorb).await?;
            tables.put(*xorb, row.map(|row| Arc::new(row.table)));
        }
        let Some(table) = tables.get(xorb).and_then(Option::as_ref) else {
            wrong(format!("it names xorb {xorb}, which has no row"));
            continue;
        };
        match table.raw_range(*start..*end) {
            None => wrong(format!("xorb {xorb} has no chunks {start}..{end}")),
            Some(raw) if raw.end - raw.start != *raw_bytes => {
                wrong(format!("chunks {start}..{end} of xorb {xorb} have not {raw_bytes} bytes"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
