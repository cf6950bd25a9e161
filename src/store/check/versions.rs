//! Versions that are not current objects: their order, and what is counted of them.

use std::collections::HashMap;

use super::{CheckReport, Finding, PAGE};
use crate::model::bucket::{BucketUid, VersionStats};
use crate::model::object::Version;
use crate::model::version::{Stamp, VersionRef};
use crate::store::meta::{MetaError, MetaView, VersionPlace};

/// Compares every version with the current object of its key, and what is counted with what is there.
pub(super) async fn check(view: &dyn MetaView, report: &mut CheckReport) -> Result<(), MetaError> {
    let mut counted: HashMap<BucketUid, VersionStats> = HashMap::new();
    let mut last: Option<VersionPlace> = None;
    loop {
        let page = view.versions(last.as_ref(), PAGE).await?;
        for (place, version) in &page {
            let stats = counted.entry(place.0).or_default();
            match version {
                Version::Object(object) => {
                    stats.bytes += object.size;
                    stats.objects += 1;
                }
                Version::Marker(_) => stats.delete_markers += 1,
            }
            let same_key = |last: &VersionPlace| (last.0, &last.1) == (place.0, &place.1);
            let is_newest = !last.as_ref().is_some_and(same_key);
            if let Some(what) = wrong(view, place, version, is_newest).await? {
                let (_, key, _) = place;
                report.find(Finding::BadVersion { version: format!("{key} ({})", version.name()), what });
            }
            last = Some(place.clone());
        }
        if page.is_empty() {
            break;
        }
    }
    for bucket in view.buckets().await? {
        let counted = counted.remove(&bucket.uid).unwrap_or_default();
        if counted != view.version_stats(bucket.uid).await? {
            let what = "what its bucket counts of versions is not what is there".to_owned();
            report.find(Finding::BadVersion { version: bucket.id.to_string(), what });
        }
    }
    Ok(())
}

async fn wrong(
    view: &dyn MetaView,
    (bucket, key, stamp): &VersionPlace,
    version: &Version,
    is_newest: bool,
) -> Result<Option<String>, MetaError> {
    let named = match version.name() {
        VersionRef::Id(id) => Some(id.stamp),
        VersionRef::Null => view.null_version(*bucket, key).await?,
    };
    if named != Some(*stamp) {
        return Ok(Some("it is not where its name says".to_owned()));
    }
    if !is_newest {
        return Ok(None);
    }
    let current = view.object(*bucket, key).await?;
    Ok(match (current.map(|current| current.version), version) {
        (None, Version::Object(_)) => Some("it is the newest, and is not current".to_owned()),
        (Some(Some(id)), _) if id.stamp <= *stamp => Some(later(id.stamp)),
        _ => None,
    })
}

fn later(current: Stamp) -> String {
    format!("it is not older than the current object, whose stamp is {}", current.0)
}
