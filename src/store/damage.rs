//! From damaged chunks to the objects that are hit.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::meta::{AnyObject, AnyObjects, MetaError, MetaView};
use crate::model::bucket::BucketUid;
use crate::model::version::VersionRef;
use crate::xet::hash::{FileHash, XorbHash};

/// Rows looked at together.
const PAGE: usize = 1000;

/// Names everything whose bytes `is_hit` says of some chunk: for each xorb, `namespace/bucket/key` of objects and
/// `namespace/bucket/key (part N of upload ID)` of parts, sorted.
pub(super) async fn objects_hit(
    view: &dyn MetaView,
    xorbs: &HashSet<XorbHash>,
    is_hit: impl Fn(&XorbHash, u32) -> bool,
) -> Result<HashMap<XorbHash, BTreeSet<String>>, MetaError> {
    let files = files_hit(view, xorbs, is_hit).await?;
    let mut hit: HashMap<XorbHash, BTreeSet<String>> = HashMap::new();
    let mut note = |file: &FileHash, name: &dyn Fn() -> String| {
        for xorb in files.get(file).into_iter().flatten() {
            hit.entry(*xorb).or_default().insert(name());
        }
    };
    let buckets: HashMap<_, _> =
        view.buckets().await?.into_iter().map(|bucket| (bucket.uid, bucket.id.to_string())).collect();
    let bucket_name = |uid: &BucketUid| buckets.get(uid).cloned().unwrap_or_default();
    let mut objects = AnyObjects::of(view);
    loop {
        let page = objects.next(PAGE).await?;
        for AnyObject { bucket, key, is_current, object } in &page {
            note(&object.file, &|| {
                let name = format!("{}/{key}", bucket_name(bucket));
                if *is_current {
                    name
                } else {
                    format!("{name} (version {})", VersionRef::from(object.version))
                }
            });
        }
        if page.is_empty() {
            break;
        }
    }
    let mut last = None;
    loop {
        let page = view.uploads(last.as_ref(), PAGE).await?;
        for (bucket, upload) in &page {
            // Parts are ordered by upload, so this one's begin after its number 0.
            let mut after = Some((upload.id.clone(), 0));
            while let Some(behind) = after.take() {
                for ((id, number), part) in view.parts(Some(&behind), PAGE).await? {
                    if id != upload.id {
                        break;
                    }
                    let name = || {
                        let key = &upload.key;
                        format!("{}/{key} (part {number} of upload {id})", bucket_name(bucket))
                    };
                    note(&part.file, &name);
                    after = Some((id.clone(), number));
                }
            }
        }
        last = page.into_iter().next_back();
        if last.is_none() {
            return Ok(hit);
        }
    }
}

/// The files that are hit, with the xorbs by which.
async fn files_hit(
    view: &dyn MetaView,
    xorbs: &HashSet<XorbHash>,
    is_hit: impl Fn(&XorbHash, u32) -> bool,
) -> Result<HashMap<FileHash, HashSet<XorbHash>>, MetaError> {
    let mut files: HashMap<_, HashSet<_>> = HashMap::new();
    let mut last = None;
    loop {
        let page = view.files(last.as_ref(), PAGE).await?;
        for record in &page {
            for term in record.terms.iter().filter(|term| xorbs.contains(&term.xorb)) {
                if (term.start..term.end).any(|chunk| is_hit(&term.xorb, chunk)) {
                    files.entry(record.hash).or_default().insert(term.xorb);
                }
            }
        }
        last = page.last().map(|record| record.hash);
        if last.is_none() {
            return Ok(files);
        }
    }
}
