//! Objects, parts and registrations against files.

use std::collections::{HashMap, HashSet};

use super::{CheckReport, Finding, PAGE, Turns};
use crate::store::meta::{AnyObject, AnyObjects, MetaError, MetaView};
use crate::xet::hash::FileHash;

/// Counts the uses of files by objects, parts and registrations, and compares.
pub(super) async fn check_uses(
    view: &dyn MetaView,
    turn: Turns,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let mut uses: HashMap<FileHash, u64> = HashMap::new();
    count_objects(view, turn, &mut uses, report).await?;
    count_parts(view, turn, &mut uses, report).await?;
    count_registrations(view, turn, &mut uses, report).await?;
    let mut last = None;
    loop {
        let page = view.file_uses(last.as_ref(), PAGE).await?;
        for (file, recorded) in page.iter().filter(|(file, _)| turn.has(file.words())) {
            let counted = uses.remove(file).unwrap_or(0);
            if counted != *recorded {
                let what = format!("file {file}");
                report.find(Finding::UseCount { what, counted, recorded: *recorded });
            }
        }
        last = page.last().map(|(file, _)| *file);
        if last.is_none() {
            break;
        }
    }
    for (file, counted) in uses {
        report.find(Finding::UseCount { what: format!("file {file}"), counted, recorded: 0 });
    }
    if turn.is_first() {
        for file in view.stray_files(PAGE).await? {
            let what = "it is counted and has no record".to_owned();
            report.find(Finding::BadFile { file: file.to_string(), what });
        }
    }
    Ok(())
}

async fn count_objects(
    view: &dyn MetaView,
    turn: Turns,
    uses: &mut HashMap<FileHash, u64>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let buckets: HashMap<_, _> =
        view.buckets().await?.into_iter().map(|bucket| (bucket.uid, bucket.id)).collect();
    let mut objects = AnyObjects::of(view);
    loop {
        let page = objects.next(PAGE).await?;
        for AnyObject { bucket, key, object, .. } in &page {
            if turn.is_first() {
                report.objects += 1;
                if !buckets.contains_key(bucket) {
                    report.find(Finding::ObjectWithoutBucket(key.to_string()));
                }
            }
            if turn.has(object.file.words()) {
                *uses.entry(object.file).or_default() += 1;
                if !view.has_file(&object.file).await? {
                    let bucket = buckets.get(bucket).map(ToString::to_string).unwrap_or_default();
                    let owner = format!("object {bucket}/{key}");
                    report.find(Finding::WithoutFile { owner, file: object.file.to_string() });
                }
            }
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

async fn count_parts(
    view: &dyn MetaView,
    turn: Turns,
    uses: &mut HashMap<FileHash, u64>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let uploads = upload_ids(view).await?;
    let mut last = None;
    loop {
        let page = view.parts(last.as_ref(), PAGE).await?;
        for ((upload, number), part) in &page {
            if turn.is_first() {
                report.parts += 1;
                if !uploads.contains(upload.as_str()) {
                    let upload = upload.to_string();
                    report.find(Finding::PartWithoutUpload { upload, number: *number });
                }
            }
            if turn.has(part.file.words()) {
                *uses.entry(part.file).or_default() += 1;
                if !view.has_file(&part.file).await? {
                    let owner = format!("part {number} of upload {upload}");
                    report.find(Finding::WithoutFile { owner, file: part.file.to_string() });
                }
            }
        }
        last = page.into_iter().next_back().map(|(name, _)| name);
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Those of buckets that are gone count too: they outlive them.
async fn count_registrations(
    view: &dyn MetaView,
    turn: Turns,
    uses: &mut HashMap<FileHash, u64>,
    report: &mut CheckReport,
) -> Result<(), MetaError> {
    let mut last = None;
    loop {
        let page = view.registrations(last, PAGE).await?;
        for (bucket, file) in page.iter().filter(|(_, file)| turn.has(file.words())) {
            *uses.entry(*file).or_default() += 1;
            if !view.has_file(file).await? {
                let owner = format!("a registration in bucket {}", bucket.0);
                report.find(Finding::WithoutFile { owner, file: file.to_string() });
            }
        }
        last = page.last().copied();
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Running uploads are few beside objects.
async fn upload_ids(view: &dyn MetaView) -> Result<HashSet<String>, MetaError> {
    let mut ids = HashSet::new();
    let mut last = None;
    loop {
        let page = view.uploads(last.as_ref(), PAGE).await?;
        ids.extend(page.iter().map(|(_, upload)| upload.id.to_string()));
        last = page.into_iter().next_back();
        if last.is_none() {
            return Ok(ids);
        }
    }
}
