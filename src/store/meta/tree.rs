//! Walking a bucket as files and folders, as the Hub shows it.
//!
//! Keys are only texts; a folder is what several of them begin with. Some keys that S3 allows fit badly: a key that
//! ends in `/` is a folder's mark and shows as the folder alone, and a key with an empty segment (`a//b`) is listed as
//! a file where the segment is met, because no folder of an empty name could be entered.

use std::ops::Bound;

use redb::StorageError;

use super::kv::ReadableTable;
use super::listing::{range_to, successor};
use super::rows::decode_modified_at;
use super::tables::decode_object;
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::listing::{After, TreeEntry, TreePage, TreeQuery};
use crate::model::names::ObjectKey;

/// Most objects looked at for the newest in a folder; among more, it is the newest of the first so many by name. A
/// listing must not read all of a bucket of millions to show one line.
const FOLDER_OBJECTS_MAX: usize = 10_000;

/// Most objects looked at for a page; beyond it the page ends early. Bounds the time of one request.
const PAGE_OBJECTS_MAX: usize = 100_000;

/// The folder that `key` is shown as, `/` included; `None` if it is shown itself.
fn folder<'k>(key: &'k str, query: &TreeQuery) -> Option<&'k str> {
    if query.recursive {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let inside = usize::from(!query.prefix.is_empty() && rest.starts_with('/'));
    let end = query.prefix.len() + inside + rest.get(inside..)?.find('/')? + 1;
    let folder = key.get(..end)?;
    (folder != "/" && !folder.ends_with("//")).then_some(folder)
}

/// One page.
pub(super) fn page(
    objects: &impl ReadableTable<(u64, &'static [u8]), &'static [u8]>,
    bucket: BucketUid,
    query: &TreeQuery,
) -> Result<TreePage, StorageError> {
    let corrupt = |_| StorageError::Corrupted("an object key is not UTF-8".to_owned());
    let end = successor(&query.prefix);
    let mut page = TreePage::default();
    let mut last = None;
    let mut seen = 0;
    let mut from = first_bound(query);
    'seek: loop {
        let Some(range) = range_to(bucket, &from, &end) else {
            return Ok(page);
        };
        for entry in objects.range::<(u64, &[u8])>(range)? {
            let (name, row) = entry?;
            let key = std::str::from_utf8(name.value().1).map_err(corrupt)?;
            if page.entries.len() >= query.limit || (last.is_some() && seen >= PAGE_OBJECTS_MAX) {
                page.next = last;
                return Ok(page);
            }
            seen += 1;
            if let Some(folder) = folder(key, query) {
                let behind = successor(folder);
                let below = (bucket.0, folder.as_bytes())..(bucket.0, behind.as_slice());
                let mut newest = Timestamp(0);
                for entry in objects.range::<(u64, &[u8])>(below)?.take(FOLDER_OBJECTS_MAX) {
                    newest = newest.max(decode_modified_at(entry?.1.value())?);
                    seen += 1;
                }
                let path = folder.strip_suffix('/').unwrap_or(folder).to_owned();
                page.entries.push(TreeEntry::Folder { path, newest });
                last = Some(After::Prefix(folder.to_owned()));
                from = Bound::Included(behind);
                continue 'seek;
            }
            last = Some(After::Key(key.to_owned()));
            if !key.ends_with('/') {
                let object = Box::new(decode_object(row.value())?);
                let key = ObjectKey::new(key).map_err(|error| StorageError::Corrupted(error.to_string()))?;
                page.entries.push(TreeEntry::File(key, object));
            }
        }
        return Ok(page);
    }
}

/// Where the first key of a page may lie.
fn first_bound(query: &TreeQuery) -> Bound<Vec<u8>> {
    let prefix = query.prefix.as_bytes();
    match &query.after {
        Some(After::Key(key)) if key.as_bytes() >= prefix => Bound::Excluded(key.as_bytes().to_vec()),
        Some(After::Prefix(folder)) => Bound::Included(successor(folder).max(prefix.to_vec())),
        _ => Bound::Included(prefix.to_vec()),
    }
}
