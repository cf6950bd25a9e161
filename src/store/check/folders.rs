//! Rows of folders against the objects in them.

use super::{CheckReport, Finding, PAGE};
use crate::model::bucket::BucketUid;
use crate::store::meta::{FOLDER_DEPTH_MAX, MetaError, MetaView};

/// A folder that the objects walked over lie in, and how many of them lie directly in it.
struct Open {
    folder: String,
    objects: u64,
}

/// Counts objects by folder, in the order of their keys, and compares.
pub(super) async fn check(view: &dyn MetaView, rows: u64, report: &mut CheckReport) -> Result<(), MetaError> {
    let mut walk = Walk { view, report, bucket: BucketUid(0), open: Vec::new(), matched: 0 };
    let mut last = None;
    loop {
        let page = view.objects(last.as_ref(), PAGE).await?;
        for ((bucket, key), _) in &page {
            walk.step(*bucket, key.as_str()).await?;
        }
        last = page.into_iter().next_back().map(|(name, _)| name);
        if last.is_none() {
            break;
        }
    }
    walk.close_to(0).await?;
    let empty = rows.saturating_sub(walk.matched);
    if empty > 0 {
        report.find(Finding::EmptyFolders(empty));
    }
    Ok(())
}

struct Walk<'w> {
    view: &'w dyn MetaView,
    report: &'w mut CheckReport,
    bucket: BucketUid,
    /// From the root down.
    open: Vec<Open>,
    /// Rows found of folders that hold something.
    matched: u64,
}

impl Walk<'_> {
    async fn step(&mut self, bucket: BucketUid, key: &str) -> Result<(), MetaError> {
        if bucket != self.bucket {
            self.close_to(0).await?;
            self.bucket = bucket;
        }
        let common = self.open.iter().take_while(|open| key.starts_with(&open.folder)).count();
        self.close_to(common).await?;
        let ends = std::iter::once(0).chain(key.match_indices('/').map(|(at, _)| at + 1));
        for end in ends.skip(common).take(usize::from(FOLDER_DEPTH_MAX) + 1 - common) {
            self.open.push(Open { folder: key[..end].to_owned(), objects: 0 });
        }
        let behind = key.rfind('/').map_or(0, |last| last + 1);
        if let Some(open) = self.open.last_mut().filter(|open| open.folder.len() == behind) {
            open.objects += 1;
        }
        Ok(())
    }

    /// Compares the folders from the `kept`th on: no further object lies in them.
    async fn close_to(&mut self, kept: usize) -> Result<(), MetaError> {
        while self.open.len() > kept {
            let depth = self.open.len() as u16 - 1;
            let Some(Open { folder, objects: counted }) = self.open.pop() else { break };
            let recorded = self.view.folder(self.bucket, depth, &folder).await?;
            self.matched += u64::from(recorded.is_some());
            if recorded != Some(counted) {
                self.report.find(Finding::Folder { folder, counted, recorded });
            }
        }
        Ok(())
    }
}
