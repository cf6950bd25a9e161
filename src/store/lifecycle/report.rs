//! What a pass has ended, or would end.

use serde::Serialize;

use crate::model::names::BucketId;
use crate::store::meta::{DueItem, DueWhat};
use crate::store::report;

/// What a pass has ended, or would end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LifecycleReport {
    /// Whether nothing was ended.
    pub dry_run: bool,
    /// Current objects; in a bucket with versions they stay, behind delete markers.
    pub objects: u64,
    /// Versions that were not current, delete markers among them.
    pub noncurrent_versions: u64,
    /// Delete markers that were all there was of their keys.
    pub delete_markers: u64,
    /// Uploads that were not completed.
    pub uploads: u64,
    /// The bytes of the objects and versions, as clients see them.
    pub bytes: u64,
    /// What was due and is locked.
    pub locked: u64,
    /// The same by bucket, rule and kind.
    pub rules: Vec<RuleReport>,
}

/// What one rule has ended of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// The bucket.
    pub bucket: String,
    /// The rule.
    pub rule: String,
    /// `object`, `noncurrent version`, `delete marker` or `upload`.
    pub kind: &'static str,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What something due is called.
pub(super) fn kind(what: &DueWhat) -> &'static str {
    match what {
        DueWhat::Current => "object",
        DueWhat::Noncurrent(_) => "noncurrent version",
        DueWhat::LoneMarker(_) => "delete marker",
        DueWhat::Upload(_) => "upload",
    }
}

impl LifecycleReport {
    /// How much was ended.
    pub fn count(&self) -> u64 {
        self.objects + self.noncurrent_versions + self.delete_markers + self.uploads
    }

    pub(super) fn add(&mut self, bucket: &BucketId, item: &DueItem) {
        let count = match item.entry.what {
            DueWhat::Current => &mut self.objects,
            DueWhat::Noncurrent(_) => &mut self.noncurrent_versions,
            DueWhat::LoneMarker(_) => &mut self.delete_markers,
            DueWhat::Upload(_) => &mut self.uploads,
        };
        *count += 1;
        self.bytes += item.size;
        let (bucket, kind) = (bucket.to_string(), kind(&item.entry.what));
        let is_same = |of: &&mut RuleReport| of.bucket == bucket && of.rule == item.rule && of.kind == kind;
        if let Some(of_rule) = self.rules.iter_mut().find(is_same) {
            of_rule.count += 1;
            of_rule.bytes += item.size;
        } else {
            let rule = item.rule.clone();
            self.rules.push(RuleReport { bucket, rule, kind, count: 1, bytes: item.size });
        }
    }

    /// The report for people.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 6] = [
            ("objects", self.objects.to_string()),
            ("noncurrent versions", self.noncurrent_versions.to_string()),
            ("delete markers", self.delete_markers.to_string()),
            ("uploads", self.uploads.to_string()),
            ("bytes", self.bytes.to_string()),
            ("locked", self.locked.to_string()),
        ];
        let of_rule = |of: &RuleReport| {
            let RuleReport { bucket, rule, kind, count, bytes } = of;
            let rule = report::visible(rule);
            let plural = if *count == 1 { "" } else { "s" };
            format!("{bucket}: {count} {kind}{plural} ({bytes} bytes) by rule {rule}\n")
        };
        report::table(&rows) + &self.rules.iter().map(of_rule).collect::<String>()
    }
}

/// A line for people about one thing that is due.
pub(super) fn line(bucket: &BucketId, item: &DueItem) -> String {
    let version = item.version.map(|version| format!(" ({version})")).unwrap_or_default();
    let key = report::visible(item.entry.key.as_str());
    let rule = report::visible(&item.rule);
    format!("{bucket}/{key}{version}: {}, {} bytes, by rule {rule}", kind(&item.entry.what), item.size)
}
