//! The local side of a sync: which files there are.
//!
//! Links to files count as what they point to; links to folders are not followed, so that no walk runs in a circle;
//! links that point nowhere, and what is neither file nor folder, do not count. Hidden files do.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::Utf8Chunk;

use rustix::io::Errno;

use super::PART_SUFFIX;
use super::filter::Filter;
use super::mtime::Mtime;
use crate::bucket::FileHash;
use crate::cli::failure::Failure;
use crate::cli::terminal::words::printable;

/// What is known of a file on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) struct FileState {
    /// Its size in bytes.
    pub(in crate::cli) size: u64,
    /// Its last change.
    pub(in crate::cli) mtime: Mtime,
    /// Its content, if that is known; needed only to compare contents.
    pub(in crate::cli) hash: Option<FileHash>,
}

/// Relative paths, `/` between names, in the order of their code points.
pub(in crate::cli) type Listing = BTreeMap<String, FileState>;

/// Errors that say that there is no such file, beside those that [`ErrorKind`] knows.
const NO_FILE: [Errno; 2] = [Errno::LOOP, Errno::NAMETOOLONG];

/// What a walk has found.
#[derive(Debug, Default)]
pub(in crate::cli) struct Walked {
    /// The files.
    pub(in crate::cli) listing: Listing,
    /// Folders that are excluded by their own names and could not be read; each ends with a slash. What is below them is
    /// not known, so nothing may be concluded from its absence.
    pub(in crate::cli) unread: Vec<String>,
}

/// A folder to be read.
struct Folder {
    path: PathBuf,
    /// Its path below the root, with a slash at its end; empty for the root.
    prefix: String,
    /// Whether its name is not UTF-8, or that of a folder it is in.
    is_odd: bool,
}

/// All files below a folder that the filter lets through; what it leaves out is neither opened nor judged. A folder
/// that cannot be read is an error: taken for empty, it would have its copies deleted.
pub(in crate::cli) fn walk(root: &Path, filter: &Filter) -> Result<Walked, Failure> {
    walk_by(root, filter, |folder| fs::read_dir(folder))
}

/// The same, with the call that opens a folder.
fn walk_by(
    root: &Path,
    filter: &Filter,
    open: impl Fn(&Path) -> io::Result<fs::ReadDir>,
) -> Result<Walked, Failure> {
    let mut walked = Walked::default();
    let mut folders = vec![Folder { path: root.to_owned(), prefix: String::new(), is_odd: false }];
    while let Some(Folder { path: folder, prefix, is_odd }) = folders.pop() {
        let read = |error| Failure::local("read", &folder)(error);
        let entries = match open(&folder) {
            Err(_) if !prefix.is_empty() && filter.excludes(prefix.trim_end_matches('/')) => {
                walked.unread.push(prefix);
                continue;
            }
            entries => entries.map_err(read)?,
        };
        for entry in entries {
            let entry = entry.map_err(read)?;
            let (kind, name, path) = (entry.file_type().map_err(read)?, entry.file_name(), entry.path());
            let is_odd = is_odd || name.to_str().is_none();
            let relative = prefix.clone() + &readable(&name);
            if kind.is_dir() {
                let prefix = relative + "/";
                if !filter.excludes_all_below(&prefix) {
                    folders.push(Folder { path, prefix, is_odd });
                }
                continue;
            }
            let is_part = name.as_bytes().ends_with(PART_SUFFIX.as_bytes());
            // What an interrupted download has left.
            if is_part || !filter.allows(&relative) {
                continue;
            }
            let Some(state) = stat(&path)? else { continue };
            if is_odd {
                return Err(Failure::Message(format!(
                    "'{}' is not a UTF-8 name and cannot stand in a bucket. Rename it, or leave it out with `sync \
                     --exclude`.",
                    printable(&path.to_string_lossy())
                )));
            }
            walked.listing.insert(relative, state);
        }
    }
    Ok(walked)
}

/// A name as patterns see it: each byte that is not UTF-8 is one character, as in Python.
fn readable(name: &OsStr) -> String {
    let chunks = name.as_bytes().utf8_chunks();
    let text = |chunk: Utf8Chunk<'_>| chunk.valid().to_owned() + &"\u{fffd}".repeat(chunk.invalid().len());
    chunks.map(text).collect()
}

/// What a path is, if it is a file or a link to one.
pub(in crate::cli) fn stat(path: &Path) -> Result<Option<FileState>, Failure> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(FileState {
            size: metadata.len(),
            mtime: Mtime::of_file(metadata.mtime(), metadata.mtime_nsec()),
            hash: None,
        })),
        Ok(_) => Ok(None),
        // A link that points nowhere, one to itself, a file where a folder was thought to be, or a name that this file
        // system cannot have.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if NO_FILE.iter().any(|none| error.raw_os_error() == Some(none.raw_os_error())) => {
            Ok(None)
        }
        Err(error) => Err(Failure::local("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, filter: &Filter) -> Vec<String> {
        walk(root, filter).unwrap().listing.into_keys().collect()
    }

    #[test]
    fn a_walk_finds_hidden_files_and_links_to_files_but_follows_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("sub/deep")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        for name in ["a.txt", ".hidden", "sub/.h", "sub/deep/é 😀.bin", ".0f-1.xetgate-part"] {
            fs::write(at(name), name).unwrap();
        }
        symlink(at("a.txt"), at("link.txt")).unwrap();
        symlink("nowhere", at("broken")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink(at("sub"), at("sub/circle")).unwrap();
        let listing = walk(root.path(), &Filter::default()).unwrap().listing;
        let found: Vec<_> = listing.keys().map(String::as_str).collect();
        assert_eq!(found, [".hidden", "a.txt", "link.txt", "sub/.h", "sub/deep/é 😀.bin"]);
        assert_eq!(listing["link.txt"].size, 5, "the size of what it points to");
        let only = Filter::new(&["sub/*".to_owned()], &["*.bin".to_owned()]);
        assert_eq!(names(root.path(), &only), ["sub/.h"]);
    }

    #[test]
    fn what_is_no_file_is_absent() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        for name in ["", "missing", "file/below"] {
            assert_eq!(stat(&root.path().join(name)).unwrap(), None, "{name:?}");
        }
        assert!(stat(&root.path().join("file")).unwrap().is_some());
    }

    #[test]
    fn filters_are_asked_before_a_name_is_judged() {
        let root = tempfile::tempdir().unwrap();
        let bad = OsStr::from_bytes(b"b\xff\xfed");
        fs::create_dir_all(root.path().join(bad).join("sub")).unwrap();
        fs::write(root.path().join("a.txt"), "").unwrap();
        assert_eq!(names(root.path(), &Filter::default()), ["a.txt"], "a folder without files is no matter");
        fs::write(root.path().join(bad).join("sub/x.tmp"), "").unwrap();
        let refusal = walk(root.path(), &Filter::default()).unwrap_err().to_string();
        assert!(refusal.contains("is not a UTF-8 name") && refusal.contains("--exclude"), "{refusal}");
        let exclude = |pattern: &str| Filter::new(&[], &[pattern.to_owned()]);
        for pattern in ["b??d/*", "b*", "*.tmp", "b[!a-z][!a-z]d/sub/x.tmp"] {
            assert_eq!(names(root.path(), &exclude(pattern)), ["a.txt"], "{pattern}");
        }
        assert_eq!(names(root.path(), &Filter::new(&["*.txt".to_owned()], &[])), ["a.txt"]);
    }

    #[test]
    fn an_unreadable_folder_is_an_error_unless_it_is_excluded() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sub/lost+found")).unwrap();
        fs::write(root.path().join("a.txt"), "").unwrap();
        let opened = Cell::new(0);
        let open = |folder: &Path| {
            opened.set(opened.get() + 1);
            if folder.ends_with("lost+found") {
                return Err(ErrorKind::PermissionDenied.into());
            }
            fs::read_dir(folder)
        };
        let refusal = walk_by(root.path(), &Filter::default(), open).unwrap_err().to_string();
        assert!(refusal.starts_with("Cannot read '") && refusal.contains("lost+found"), "{refusal}");
        assert!(walk_by(root.path(), &Filter::new(&["*.txt".to_owned()], &[]), open).is_err());
        let unread = |pattern: &str, opens: usize| {
            opened.set(0);
            let walked = walk_by(root.path(), &Filter::new(&[], &[pattern.to_owned()]), open).unwrap();
            assert_eq!(walked.listing.keys().collect::<Vec<_>>(), ["a.txt"], "{pattern}");
            assert_eq!(opened.get(), opens, "{pattern}");
            walked.unread
        };
        assert_eq!(unread("sub/lost+found/*", 2), [""; 0], "it is not even opened");
        assert_eq!(unread("sub/*", 1), [""; 0]);
        assert_eq!(unread("*lost+found", 3), ["sub/lost+found/"]);
        let root_too = |_: &Path| Err(ErrorKind::PermissionDenied.into());
        assert!(walk_by(root.path(), &Filter::new(&[], &["*".to_owned()]), root_too).is_err());
    }
}
