//! S3's listings over the Hub's tree.
//!
//! A Hub lists a folder, or everything below it, ordered by path, in pages behind opaque links. S3 wants keys in byte
//! order from any key on, rolled up at any delimiter. So:
//! * the folder that the prefix lies in is listed, and what the prefix excludes is left out here;
//! * with delimiter `/` only direct children are asked for, and a folder is put after the siblings that sort between
//!   its name and its name with the slash (`a.txt` comes before `a/`);
//! * any other delimiter is rolled up here, from everything below the folder;
//! * to go on from a key, the last page that surely begins no later is remembered ([`Pages`]); without one (after a
//!   restart, or from another gateway) the listing is read from its beginning.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::client::{HubClient, Page, PageLink, TreeQuery};
use super::error::HubError;
use super::trail::Trail;
use super::wire::{FileEntry, TreeEntry};
use crate::bucket::{After, BucketId, ListQuery};

/// Places in listings that are remembered.
const PLACES_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// Which listing, as the Hub is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Listing {
    bucket: BucketId,
    folder: Option<String>,
    recursive: bool,
}

/// Where pages of listings begin.
pub(super) struct Pages(Mutex<LruCache<Listing, Vec<(String, PageLink)>>>);

impl Default for Pages {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(PLACES_MAX)))
    }
}

/// Places kept of one listing: a million objects.
const PLACES_OF_LISTING_MAX: usize = 1000;

impl Pages {
    /// The last known page that holds only keys after `key`'s predecessor.
    fn before(&self, listing: &Listing, key: &str) -> Option<PageLink> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = kept.get(listing)?;
        let behind = places.partition_point(|(last, _)| last.as_str() <= key);
        behind.checked_sub(1).map(|at| places[at].1.clone())
    }

    /// Notes that all keys up to `last` come before this page.
    fn note(&self, listing: &Listing, last: &str, link: &PageLink) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = kept.get_or_insert_mut(listing.clone(), Vec::new);
        match places.binary_search_by(|(known, _)| known.as_str().cmp(last)) {
            Ok(at) => places[at].1 = link.clone(),
            Err(at) if places.len() < PLACES_OF_LISTING_MAX => {
                places.insert(at, (last.to_owned(), link.clone()));
            }
            Err(_) => {}
        }
    }
}

/// A page of a listing, before its objects are dressed.
#[derive(Debug, Default)]
pub(super) struct ListedPage {
    pub(super) files: Vec<FileEntry>,
    pub(super) common_prefixes: Vec<String>,
    pub(super) next: Option<After>,
}

/// One entry in S3's order: a key with its file, or a key that ends with a slash for a folder.
struct Entry {
    key: String,
    file: Option<FileEntry>,
}

/// Reads a listing in S3's order.
struct Walk<'a> {
    client: &'a HubClient,
    pages: &'a Pages,
    listing: Listing,
    ready: VecDeque<Entry>,
    /// Folders whose place has not been reached.
    folders: VecDeque<String>,
    next: Next,
    trail: Trail,
}

enum Next {
    First,
    At(PageLink),
    End,
}

impl Walk<'_> {
    async fn next(&mut self) -> Result<Option<Entry>, HubError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let page = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => {
                    let Listing { bucket, folder, recursive } = &self.listing;
                    let query = TreeQuery { prefix: folder.clone(), recursive: *recursive };
                    self.client.tree(bucket, &query).await?
                }
                Next::At(link) => {
                    self.trail.follow(&link)?;
                    self.client.tree_page(link).await?
                }
                Next::End => {
                    let folder = self.folders.pop_front();
                    return Ok(folder.map(|key| Entry { key, file: None }));
                }
            };
            self.take(page);
        }
    }

    fn take(&mut self, page: Page<TreeEntry>) {
        let mut last = None;
        for entry in page.entries {
            last = Some(entry.path().to_owned());
            self.flush_before(entry.path());
            match entry {
                TreeEntry::Directory(folder) => {
                    let key = format!("{}/", folder.path);
                    let at = self.folders.partition_point(|other| *other < key);
                    self.folders.insert(at, key);
                }
                TreeEntry::File(file) => {
                    self.ready.push_back(Entry { key: file.path.clone(), file: Some(file) });
                }
            }
        }
        let Some(link) = page.next else { return };
        if let Some(last) = last.filter(|_| self.folders.is_empty()) {
            self.pages.note(&self.listing, &last, &link);
        }
        self.next = Next::At(link);
    }

    /// Gives out the folders that come before a path.
    fn flush_before(&mut self, path: &str) {
        while self.folders.front().is_some_and(|folder| folder.as_str() < path) {
            let key = self.folders.pop_front().unwrap_or_default();
            self.ready.push_back(Entry { key, file: None });
        }
    }
}

/// The folder that a prefix lies in.
fn folder_of(prefix: &str) -> Option<String> {
    prefix.rfind('/').map(|slash| prefix[..slash].to_owned()).filter(|folder| !folder.is_empty())
}

/// Whether a key comes after `after`.
fn is_behind(key: &str, after: Option<&After>) -> bool {
    match after {
        None => true,
        Some(After::Key(last)) => key > last.as_str(),
        Some(After::Prefix(prefix)) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
    }
}

/// The common prefix that a key is rolled up into.
fn rolled_up(key: &str, query: &ListQuery) -> Option<String> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let behind = key.get(query.prefix.len()..)?.find(delimiter)?;
    key.get(..query.prefix.len() + behind + delimiter.len()).map(ToOwned::to_owned)
}

/// One page of a bucket's objects.
pub(super) async fn page(
    client: &HubClient,
    pages: &Pages,
    bucket: &BucketId,
    query: &ListQuery,
) -> Result<ListedPage, HubError> {
    let listing = Listing {
        bucket: bucket.clone(),
        folder: folder_of(&query.prefix),
        recursive: query.delimiter.as_deref() != Some("/"),
    };
    let after = match &query.after {
        Some(After::Key(key) | After::Prefix(key)) => pages.before(&listing, key),
        None => None,
    };
    let next = after.map_or(Next::First, Next::At);
    let mut walk = Walk {
        client,
        pages,
        listing,
        ready: VecDeque::new(),
        folders: VecDeque::new(),
        next,
        trail: Trail::default(),
    };
    let mut page = ListedPage::default();
    let mut last = None;
    while let Some(Entry { key, file }) = walk.next().await? {
        if !key.starts_with(&query.prefix) {
            if key.as_str() > query.prefix.as_str() {
                break;
            }
            continue;
        }
        let rolled = rolled_up(&key, query);
        let shown = rolled.as_deref().unwrap_or(&key);
        let is_listed =
            page.common_prefixes.last().map(String::as_str) == rolled.as_deref() && rolled.is_some();
        if is_listed || !is_behind(&key, query.after.as_ref()) || !is_behind(shown, query.after.as_ref()) {
            continue;
        }
        if page.files.len() + page.common_prefixes.len() >= query.limit {
            page.next = last;
            break;
        }
        match (rolled, file) {
            (Some(prefix), _) => {
                last = Some(After::Prefix(prefix.clone()));
                page.common_prefixes.push(prefix);
            }
            (None, Some(file)) => {
                last = Some(After::Key(key));
                page.files.push(file);
            }
            // A folder that is the prefix itself has no object.
            (None, None) => {}
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_lies_in_a_folder() {
        assert_eq!(folder_of(""), None);
        assert_eq!(folder_of("log"), None);
        assert_eq!(folder_of("/log"), None);
        assert_eq!(folder_of("a/b/log").as_deref(), Some("a/b"));
        assert_eq!(folder_of("a/b/").as_deref(), Some("a/b"));
    }

    #[test]
    fn keys_behind_a_prefix_are_those_outside_it() {
        let after = After::Prefix("a/".to_owned());
        assert!(!is_behind("a.txt", Some(&after)) && !is_behind("a/z", Some(&after)));
        assert!(is_behind("a0", Some(&after)) && is_behind("b", Some(&after)));
        let after = After::Key("a".to_owned());
        assert!(!is_behind("a", Some(&after)) && is_behind("a/", Some(&after)));
    }
}
