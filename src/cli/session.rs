//! What a bucket command works with: streams, a server, a clock.

use std::sync::Arc;

use futures::TryStreamExt as _;

use super::failure::Failure;
use super::remote::connection::Connection;
use super::remote::uri::Location;
use super::terminal::Terminal;
use crate::bucket::BucketId;
use crate::bucket::hub::{BatchOp, FileEntry, ITEMS_MAX, TreeEntry, TreeQuery};
use crate::model::clock::Clock;

/// Most failed lines of a batch that are told.
const FAILED_TOLD_MAX: usize = 3;

/// A command's surroundings.
pub(in crate::cli) struct Session {
    /// Where it prints and asks.
    pub(in crate::cli) terminal: Terminal,
    /// Whom it talks to.
    pub(in crate::cli) connection: Connection,
    /// What the program was called as.
    pub(in crate::cli) program: &'static str,
    /// Whether progress may be shown.
    pub(in crate::cli) shows_progress: bool,
    /// The time.
    pub(in crate::cli) clock: Arc<dyn Clock>,
}

impl Session {
    /// The entries at a place or below it. Servers take a prefix literally (`logs` also lists `logs.json`); here it is
    /// names that count.
    pub(in crate::cli) async fn entries(
        &self,
        place: &Location,
        recursive: bool,
    ) -> Result<Vec<TreeEntry>, Failure> {
        let prefix = (!place.path.is_empty()).then(|| place.path.clone());
        let below = format!("{}/", place.path);
        let is_inside = |path: &str| place.path.is_empty() || path == place.path || path.starts_with(&below);
        let query = TreeQuery { prefix, recursive };
        let mut entries = std::pin::pin!(self.connection.hub.tree_entries(&place.bucket, query));
        let mut found = Vec::new();
        while let Some(entry) = entries.try_next().await.map_err(self.connection.about(&place.bucket))? {
            if is_inside(entry.path()) {
                found.push(entry);
            }
        }
        Ok(found)
    }

    /// The files at a place or below it.
    pub(in crate::cli) async fn files(&self, place: &Location) -> Result<Vec<FileEntry>, Failure> {
        let entries = self.entries(place, true).await?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| match entry {
                TreeEntry::File(file) => Some(file),
                TreeEntry::Directory(_) => None,
            })
            .collect())
    }

    /// The one file at a place.
    pub(in crate::cli) async fn file(&self, place: &Location) -> Result<Option<FileEntry>, Failure> {
        let found = self.connection.hub.paths_info(&place.bucket, std::slice::from_ref(&place.path)).await;
        let found = found.map_err(self.connection.about(&place.bucket))?;
        Ok(found.into_iter().find(|file| file.path == place.path))
    }

    /// Whether there is something below a place. A file of that name is no folder.
    pub(in crate::cli) async fn is_folder(&self, place: &Location) -> Result<bool, Failure> {
        if self.file(place).await?.is_some() {
            return Ok(false);
        }
        Ok(!self.entries(place, false).await?.is_empty())
    }

    /// Does all these operations, a batch after the other; what failed is told when all were tried.
    pub(in crate::cli) async fn batch(
        &self,
        bucket: &BucketId,
        operations: &[BatchOp],
    ) -> Result<(), Failure> {
        let mut failed = Vec::new();
        for operations in operations.chunks(ITEMS_MAX) {
            let outcome = self.connection.hub.batch(bucket, operations).await;
            failed.extend(outcome.map_err(self.connection.about(bucket))?.failed);
        }
        let told = failed.iter().map(|failed| (failed.path.as_str(), failed.error.as_str()));
        match several(told) {
            None => Ok(()),
            Some(told) => Err(Failure::Message(format!(
                "Failed to apply {} out of {} operation(s) on bucket '{bucket}': {told}. All others are done; run the command again.",
                failed.len(),
                operations.len()
            ))),
        }
    }
}

/// The first few of several paths and what was wrong with each, on one line.
pub(in crate::cli) fn several<'a>(failed: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    use super::remote::connection::one_line;
    let failed: Vec<_> = failed
        .map(|(path, why)| format!("{}: {}", one_line(path), one_line(why).trim_end_matches('.')))
        .collect();
    let more = failed.len().saturating_sub(FAILED_TOLD_MAX);
    let told = failed.iter().take(FAILED_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    match (failed.len(), more) {
        (0, _) => None,
        (_, 0) => Some(told),
        (_, more) => Some(format!("{told}; and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::several;

    #[test]
    fn of_many_failures_a_few_are_told() {
        let failures = ["a", "b", "c", "d", "e"].map(|path| (path, "is\nbad."));
        assert_eq!(several(std::iter::empty()), None);
        assert_eq!(several(failures[..1].iter().copied()).unwrap(), "a: is bad");
        assert_eq!(several(failures.iter().copied()).unwrap(), "a: is bad; b: is bad; c: is bad; and 2 more");
    }
}
