//! The local side of a sync: which files there are, and which names may be made.
//!
//! Links to files count as what they point to; links to folders are not followed, so that no walk runs in a circle;
//! links that point nowhere, and what is neither file nor folder, do not count. Hidden files do.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;

use super::filter::Filter;
use super::mtime::Mtime;
use super::plan::{FileState, Listing};
use crate::cli::failure::Failure;
use crate::cli::transfer::PART_SUFFIX;

/// All files below a folder that the filter lets through. A folder that cannot be read is an error: taken for empty, it
/// would have its copies deleted.
pub(in crate::cli) fn walk(root: &Path, filter: &Filter) -> Result<Listing, Failure> {
    let mut listing = Listing::new();
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let read = |error| Failure::local("read", &folder)(error);
        for entry in fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let kind = entry.file_type().map_err(read)?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(Failure::Told(format!(
                    "'{}' is not a UTF-8 name and cannot stand in a bucket. Rename it.",
                    path.display()
                )));
            };
            if kind.is_dir() {
                folders.push((path, format!("{prefix}{name}/")));
                continue;
            }
            let relative = format!("{prefix}{name}");
            // What an interrupted download has left.
            if name.ends_with(PART_SUFFIX) || !filter.allows(&relative) {
                continue;
            }
            listing.extend(stat(&path)?.map(|state| (relative, state)));
        }
    }
    Ok(listing)
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
        // A link that points nowhere, one to itself, or a file where a folder was thought to be.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Ok(None),
        Err(error) => Err(Failure::local("read", path)(error)),
    }
}

/// Refuses a name from a bucket that would lead out of the folder that it is written into, on any system.
pub(in crate::cli) fn check_name(name: &str) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::Value(format!(
            "Invalid filename '{}': {why}. Rename it in the bucket, or leave it out with --exclude.",
            crate::cli::terminal::words::printable(name)
        )))
    };
    if name.replace('\\', "/").split('/').any(|part| part == "..") {
        return refuse("cannot contain a '..' path segment");
    }
    let has_drive = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
    };
    if name.starts_with('/') || name.split('/').any(|part| part.starts_with('\\') || has_drive(part)) {
        return refuse("cannot be an absolute, drive-relative or UNC path");
    }
    if name.contains('\0') {
        return refuse("cannot contain a NUL character");
    }
    Ok(())
}

/// Whether a name can be a file's: `dir/` (as S3 clients make for empty folders), `a//b` or `./a` can be none of its own.
pub(in crate::cli) fn is_file_name(name: &str) -> bool {
    name.split('/').all(|part| !part.is_empty() && part != ".")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, filter: &Filter) -> Vec<String> {
        walk(root, filter).unwrap().into_keys().collect()
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
        let listing = walk(root.path(), &Filter::default()).unwrap();
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
    fn names_that_lead_out_are_refused() {
        for bad in [
            "../x",
            "a/../../x",
            "a\\..\\x",
            "..",
            "/etc/passwd",
            "C:/x",
            "a/D:foo",
            "a:b",
            "\\\\host\\share",
            "a\0b",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b..c", "...", "1:x", "ab:c", "x\ny", "C", "é"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn marks_of_folders_are_no_files() {
        for bad in ["dir/", "a//b", "./a", "a/./b", ""] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
        assert!(is_file_name("a/.b/c"));
    }
}
