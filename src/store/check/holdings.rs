//! What each bucket is said to hold, against the objects in it: how many and how large, and of which files.

use std::collections::HashMap;

use super::{CheckReport, Finding, PAGE, Turns};
use crate::model::bucket::{BucketStats, BucketUid};
use crate::store::meta::{AnyObject, AnyObjects, MetaError, MetaView};
use crate::xet::hash::FileHash;

/// Counts objects by bucket, and by bucket and file, and compares. `rows` is how many pairs of bucket and file are
/// counted; they are looked at in turns of their files' hashes.
pub(super) async fn check(view: &dyn MetaView, rows: u64, report: &mut CheckReport) -> Result<(), MetaError> {
    let mut matched = 0;
    for turn in Turns::of(rows) {
        let mut stats: HashMap<BucketUid, BucketStats> = HashMap::new();
        let mut files: HashMap<(BucketUid, FileHash), u64> = HashMap::new();
        let mut objects = AnyObjects::of(view);
        loop {
            let page = objects.next(PAGE).await?;
            for AnyObject { bucket, is_current, object, .. } in &page {
                if *is_current {
                    let held = stats.entry(*bucket).or_default();
                    held.bytes += object.size;
                    held.objects += 1;
                }
                if turn.has(object.file.words()) {
                    *files.entry((*bucket, object.file)).or_default() += 1;
                }
            }
            if page.is_empty() {
                break;
            }
        }
        if turn.is_first() {
            check_stats(view, stats, report).await?;
        }
        for ((bucket, file), counted) in files {
            let recorded = view.objects_of_file(bucket, &file).await?;
            matched += u64::from(recorded > 0);
            if counted != recorded {
                let what = format!("file {file} in bucket {}", bucket.0);
                report.find(Finding::UseCount { what, counted, recorded });
            }
        }
    }
    let without_object = rows.saturating_sub(matched);
    if without_object > 0 {
        report.find(Finding::StaleHoldings(without_object));
    }
    Ok(())
}

async fn check_stats(
    view: &dyn MetaView,
    mut stats: HashMap<BucketUid, BucketStats>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    for bucket in view.buckets().await? {
        let counted = stats.remove(&bucket.uid).unwrap_or_default();
        let recorded = view.bucket_stats(bucket.uid).await?;
        if counted != recorded {
            report.find(Finding::Stats { bucket: bucket.id.to_string(), counted, recorded });
        }
    }
    Ok(())
}
