//! Folders: how many objects lie directly in each, so that a listing by `/` need not walk what it rolls up.
//!
//! An object's folder is its key up to its last `/`, which is part of it; without one it is the root, the empty text.
//! Invariant: each folder of up to [`DEPTH_MAX`] steps that holds an object, directly or further down, has a row, and no
//! other has; the row says how many lie directly in it. Deeper ones have none, for a key may hold a thousand: they are
//! listed by seeking. A remote database has no such rows: all nodes would change the same, and it seeks by itself
//! ([`Walk`](super::kv::Walk)).

use std::ops::Bound;

use redb::StorageError;

use super::kv::{ReadTable, ReadableTable as _, TableDefinition};
use super::listing::successor;
use super::tables::Tables;
use crate::model::bucket::BucketUid;
use crate::model::listing::{After, ListPage, ListQuery};
use crate::model::names::ObjectKey;

/// Steps of the deepest folder that has a row.
pub const DEPTH_MAX: u16 = 8;

/// (bucket, steps, folder): the folders in one folder are neighbours.
pub(super) type FolderName = (u64, u16, &'static [u8]);

/// (bucket, steps, folder) -> objects directly in it
pub(super) const FOLDERS: TableDefinition<FolderName, u64> = TableDefinition::new("folders");

/// The deepest folder of a key that has a row, how deep it is, and whether the object lies directly in it.
fn folder_of(key: &str) -> (u16, &str, bool) {
    let folder = key.rfind('/').map_or("", |last| &key[..=last]);
    let mut steps = folder.match_indices('/').map(|(at, _)| at + 1);
    match steps.nth(usize::from(DEPTH_MAX) - 1) {
        Some(end) if end < folder.len() => (DEPTH_MAX, &folder[..end], false),
        _ => (depth_of(folder), folder, true),
    }
}

/// How many steps a folder has, at most [`DEPTH_MAX`] and one.
fn depth_of(folder: &str) -> u16 {
    folder.bytes().filter(|byte| *byte == b'/').take(usize::from(DEPTH_MAX) + 1).count() as u16
}

/// The folder that a folder lies in.
fn above(folder: &str) -> &str {
    let name = folder.strip_suffix('/').unwrap_or(folder);
    name.rfind('/').map_or("", |last| &folder[..=last])
}

impl Tables<'_> {
    /// A key has an object that had none.
    pub(super) fn enter_folder(&mut self, bucket: BucketUid, key: &ObjectKey) -> Result<(), StorageError> {
        if self.folders.is_remote() {
            return Ok(());
        }
        let (mut depth, mut folder, direct) = folder_of(key.as_str());
        let mut more = u64::from(direct);
        loop {
            let name = (bucket.0, depth, folder.as_bytes());
            let known = self.folders.get(name)?.map(|objects| objects.value());
            if known.is_none() || more > 0 {
                self.folders.insert(name, known.unwrap_or(0) + more)?;
            }
            if known.is_some() || depth == 0 {
                return Ok(());
            }
            (depth, folder, more) = (depth - 1, above(folder), 0);
        }
    }

    /// A key has no object any more; to be called when its row is gone.
    pub(super) fn leave_folder(&mut self, bucket: BucketUid, key: &ObjectKey) -> Result<(), StorageError> {
        if self.folders.is_remote() {
            return Ok(());
        }
        let (mut depth, mut folder, direct) = folder_of(key.as_str());
        let mut fewer = u64::from(direct);
        loop {
            let name = (bucket.0, depth, folder.as_bytes());
            let known = self.folders.get(name)?.map_or(0, |objects| objects.value());
            let left = known.saturating_sub(fewer);
            if left > 0 || self.holds_folders(bucket, depth, folder)? {
                self.folders.insert(name, left)?;
                return Ok(());
            }
            self.folders.remove(name)?;
            if depth == 0 {
                return Ok(());
            }
            (depth, folder, fewer) = (depth - 1, above(folder), 0);
        }
    }

    /// Whether a folder in which no object lies directly holds one further down.
    fn holds_folders(&self, bucket: BucketUid, depth: u16, folder: &str) -> Result<bool, StorageError> {
        let end = successor(folder);
        let end = if end.is_empty() { vec![0xFF] } else { end };
        if depth < DEPTH_MAX {
            let inside = (bucket.0, depth + 1, folder.as_bytes())..(bucket.0, depth + 1, end.as_slice());
            return Ok(self.folders.first_in::<(u64, u16, &[u8])>(inside)?.is_some());
        }
        let inside = (bucket.0, folder.as_bytes())..(bucket.0, end.as_slice());
        Ok(self.objects.first_in::<(u64, &[u8])>(inside)?.is_some())
    }

    /// A bucket is gone, with all that was in it.
    pub(super) fn delete_folders(&mut self, bucket: u64) -> Result<(), StorageError> {
        let all = (bucket, 0, [].as_slice())..(bucket + 1, 0, [].as_slice());
        self.folders.remove_in::<(u64, u16, &[u8])>(all)
    }
}

/// A page of a listing, if all of it are folders; `None` if that cannot be told from the rows of folders.
pub(super) fn page(
    folders: &ReadTable<FolderName, u64>,
    bucket: BucketUid,
    query: &ListQuery,
) -> Result<Option<ListPage>, StorageError> {
    let prefix = query.prefix.as_str();
    let base = prefix.rfind('/').map_or("", |last| &prefix[..=last]);
    let depth = depth_of(base);
    if folders.is_remote() || query.delimiter.as_deref() != Some("/") || depth >= DEPTH_MAX {
        return Ok(None);
    }
    match folders.get((bucket.0, depth, base.as_bytes()))?.map(|objects| objects.value()) {
        None => return Ok(Some(ListPage::default())),
        Some(0) => {}
        // They lie between the folders.
        Some(_) => return Ok(None),
    }
    let start = match &query.after {
        // Of the folder that it lies in there may be more.
        Some(After::Key(key)) if key.get(prefix.len()..).is_some_and(|behind| behind.contains('/')) => {
            return Ok(None);
        }
        Some(After::Key(key)) if key.as_str() >= prefix => Bound::Excluded(key.as_bytes().to_vec()),
        Some(After::Prefix(rolled)) => Bound::Included(successor(rolled).max(prefix.as_bytes().to_vec())),
        _ => Bound::Included(prefix.as_bytes().to_vec()),
    };
    let named = |name: &Vec<u8>| (bucket.0, depth + 1, name.clone());
    let start = start.as_ref().map(named);
    let start = start.as_ref().map(|(bucket, depth, name)| (*bucket, *depth, name.as_slice()));
    let end = Bound::Excluded((bucket.0, depth + 2, [].as_slice()));
    let mut page = ListPage::default();
    for entry in folders.range::<(u64, u16, &[u8])>((start, end))? {
        let name = entry?.0;
        let folder = std::str::from_utf8(name.value().2);
        let folder = folder.map_err(|error| StorageError::Corrupted(error.to_string()))?;
        if !folder.starts_with(prefix) {
            break;
        }
        if page.common_prefixes.len() >= query.limit {
            page.next = page.common_prefixes.last().cloned().map(After::Prefix);
            break;
        }
        page.common_prefixes.push(folder.to_owned());
    }
    Ok(Some(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_key_up_to_its_last_slash() {
        assert_eq!(folder_of("key"), (0, "", true));
        assert_eq!(folder_of("a/b/key"), (2, "a/b/", true));
        assert_eq!(folder_of("a/"), (1, "a/", true));
        assert_eq!(folder_of("//x"), (2, "//", true));
        assert_eq!(folder_of("1/2/3/4/5/6/7/8/key"), (8, "1/2/3/4/5/6/7/8/", true));
        assert_eq!(folder_of("1/2/3/4/5/6/7/8/9/key"), (8, "1/2/3/4/5/6/7/8/", false));
        assert_eq!((above("a/b/"), above("a/"), above("//")), ("a/", "", "/"));
    }
}
