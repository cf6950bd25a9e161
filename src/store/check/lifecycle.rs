//! What is due by lifecycle rules, as it is in the indexes, against the objects and uploads that make it due.

use super::{CheckReport, Finding, PAGE};
use crate::store::meta::{DuePlace, MetaView};
use crate::store::throttle::Throttle;

/// Compares every index that is filled; one that is being filled is looked at by the next check.
pub(super) async fn check(
    view: &dyn MetaView,
    throttle: &Throttle,
    report: &mut CheckReport,
) -> Result<(), super::CheckError> {
    for bucket in view.buckets().await? {
        let mut wrong = |what| report.find(Finding::BadLifecycle { bucket: bucket.id.to_string(), what });
        let (mut place, mut expected, mut missing) = (Some(DuePlace::start()), 0, 0);
        while let Some(from) = place {
            throttle.spend(0).await?;
            let Some(found) = view.check_due(bucket.uid, &from, PAGE).await? else { break };
            expected += found.expected;
            for entry in &found.missing {
                missing += 1;
                wrong(format!(
                    "{:?} of {} is due at {} and not in the index",
                    entry.what, entry.key, entry.at.0
                ));
            }
            place = found.next;
        }
        // What is there and not expected; all of an index that was just taken away is.
        let superfluous = (view.due_rows(Some(bucket.uid)).await? + missing).saturating_sub(expected);
        if superfluous > 0 {
            wrong(format!("{superfluous} rows of the index are of nothing that is due"));
        }
    }
    match view.due_rows(None).await? {
        0 => Ok(()),
        rows => {
            let what = format!("{rows} rows are in an index that no bucket has");
            report.find(Finding::BadLifecycle { bucket: "none".to_owned(), what });
            Ok(())
        }
    }
}
