//! Listings of objects: as a flat run of keys rolled up at a delimiter (S3), or as files and folders (the Hub).

use super::clock::Timestamp;
use super::names::ObjectKey;
use super::object::{Object, Version};
use super::version::VersionRef;

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// After this key.
    Key(String),
    /// After every key that begins with this common prefix.
    Prefix(String),
}

impl After {
    /// After a name that a client gives: after all keys of a common prefix, if it is one in a listing of this prefix and
    /// delimiter.
    pub fn name(prefix: &str, delimiter: Option<&str>, name: String) -> Self {
        let rest = name.strip_prefix(prefix).zip(delimiter);
        let is_common_prefix = rest.is_some_and(|(rest, delimiter)| {
            rest.find(delimiter).is_some_and(|at| at + delimiter.len() == rest.len())
        });
        if is_common_prefix { Self::Prefix(name) } else { Self::Key(name) }
    }

    /// The name after which a listing continues.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(name) | Self::Prefix(name) => name,
        }
    }
}

/// Which objects to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that hold it after the prefix are rolled up into common prefixes; never empty.
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: Option<After>,
    /// At most so many objects and common prefixes together.
    pub limit: usize,
}

/// A page of a listing; both lists are in the byte order of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<(ObjectKey, Object)>,
    /// The common prefixes, delimiter included.
    pub common_prefixes: Vec<String>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<After>,
}

/// Which files and folders to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeQuery {
    /// Only what begins with this. What lies directly in a folder of exactly this name is shown, not the folder.
    pub prefix: String,
    /// Whether to show all files in place of folders.
    pub recursive: bool,
    /// Where to go on.
    pub after: Option<After>,
    /// At most so many.
    pub limit: usize,
}

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeEntry {
    /// A file.
    File(ObjectKey, Box<Object>),
    /// A folder.
    Folder {
        /// Its path, without `/` at the end.
        path: String,
        /// When the newest object in it, or in a folder of it, was written.
        newest: Timestamp,
    },
}

/// A page of a listing, in the byte order of keys (a folder's ends in `/`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreePage {
    /// Its lines.
    pub entries: Vec<TreeEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<After>,
}

/// Which versions to list: of keys in byte order, of each key from the newest to the oldest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that hold it after the prefix are rolled up into common prefixes; never empty.
    pub delimiter: Option<String>,
    /// List after this key, or common prefix, ...
    pub key_marker: Option<String>,
    /// ... or within it, after this version.
    pub version_marker: Option<VersionRef>,
    /// At most so many versions and common prefixes.
    pub limit: usize,
}

/// A version in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    /// Its key.
    pub key: ObjectKey,
    /// What it is.
    pub version: Version,
    /// Whether it is the current one.
    pub is_latest: bool,
}

/// A page of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The versions.
    pub versions: Vec<VersionEntry>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// The key or common prefix, and the version, after which the next page begins; `None` at the end.
    pub next: Option<(String, Option<VersionRef>)>,
}

/// What a version of an object takes, in stored bytes of chunks: compressed, and each counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionCost {
    /// Of chunks that no older version of the object holds: what the version has added. Those of all versions together are
    /// what the history takes.
    pub added: u64,
    /// Of chunks that no other version of the object holds: what deleting it gives back, unless other objects hold them too.
    pub own: u64,
}

/// A version of an object, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastVersion {
    /// What it is.
    pub version: Version,
    /// Whether it is the current one.
    pub is_latest: bool,
    /// What it takes among the versions beside it; `None` if there were too many terms to look at.
    pub cost: Option<VersionCost>,
}

/// The versions of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHistory {
    /// The newest comes first.
    pub versions: Vec<PastVersion>,
    /// Whether these are all.
    pub is_whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_is_a_common_prefix_skips_all_of_it() {
        let after = |prefix, delimiter, name: &str| After::name(prefix, delimiter, name.to_owned());
        assert_eq!(after("", Some("/"), "a/"), After::Prefix("a/".to_owned()));
        assert_eq!(after("a/", Some("/"), "a/b/"), After::Prefix("a/b/".to_owned()));
        assert_eq!(after("", Some("/"), "a/b/"), After::Key("a/b/".to_owned()));
        assert_eq!(after("a/", Some("/"), "a/"), After::Key("a/".to_owned()));
        assert_eq!(after("b", Some("/"), "a/"), After::Key("a/".to_owned()));
        assert_eq!(after("", None, "a/"), After::Key("a/".to_owned()));
    }
}
