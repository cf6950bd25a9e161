//! What stands where a download is to be written.
//!
//! | there is | then |
//! |---|---|
//! | nothing | a file is made, with the mode that new files have |
//! | a file | it is replaced by one of its mode, and of its owner and group as far as the system allows |
//! | a link | what it points to is replaced, or made; the link stays |
//! | a device or a pipe | the bytes are written into it |
//! | a folder | it stays, and the download fails before a byte was fetched |
//!
//! Published clients open the file that is there and write into it, so its mode, owner and links stay; here they are
//! carried over, for a file is replaced whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Links that are followed, one to the next. Source: Linux, `path_resolution(7)`.
const LINKS_MAX: usize = 40;

/// Reading and writing, for all. What else a mode says (set-user-ID and the like) ends when a file is written to.
const MODE_KEPT: u32 = 0o777;

/// Where the bytes go.
#[derive(Debug)]
pub(super) enum Target {
    /// Into a new file, which then takes this place. `old` is the file that has it now.
    File { path: PathBuf, old: Option<Metadata> },
    /// Into what is there: a device or a pipe.
    Stream(PathBuf),
}

impl Target {
    /// What `to` leads to.
    pub(super) fn of(to: &Path) -> io::Result<Self> {
        let is_special = |found: &Metadata| !found.is_file() && !found.is_dir();
        // Some links (`/dev/stdout`) lead to what has no path.
        if fs::metadata(to).is_ok_and(|found| is_special(&found)) {
            return Ok(Self::Stream(to.to_owned()));
        }
        let mut path = to.to_owned();
        for _ in 0..LINKS_MAX {
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let next = fs::read_link(&path)?;
                    path = path.parent().unwrap_or(Path::new("")).join(next);
                }
                Ok(found) if found.is_dir() => return Err(Errno::ISDIR.into()),
                Ok(found) => return Ok(Self::File { path, old: Some(found) }),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Self::File { path, old: None });
                }
                Err(error) => return Err(error),
            }
        }
        Err(Errno::LOOP.into())
    }
}

/// Opens the unfinished file beside its place. While it is written, nobody may read it who may not read the file that it
/// replaces.
pub(super) fn open_part(part: &Path, old: Option<&Metadata>) -> io::Result<File> {
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    // Its name can be guessed: a link there is another's.
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(mode).custom_flags(no_follow).open(part)?;
    if old.is_some() {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Gives a whole file the mode, owner and group of the one that it is to replace.
pub(super) fn keep_access(file: &File, old: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        // Only root may give files away; others may give them to groups that they are in. What cannot be kept is not a
        // reason to leave the old content in place.
        if fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
            let _ = fchown(file, None, Some(old.gid()));
        }
    }
    file.set_permissions(Permissions::from_mode(old.mode() & MODE_KEPT))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_what_is_or_would_be_there() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/file"), "old").unwrap();
        symlink("sub/file", at("link")).unwrap();
        symlink("link", at("twice")).unwrap();
        symlink("../new", at("sub/dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("sub", at("folder")).unwrap();
        let found = |name: &str| match Target::of(&at(name)) {
            Ok(Target::File { path, old }) => Ok((fs::canonicalize(&path).unwrap_or(path), old.is_some())),
            Ok(Target::Stream(path)) => panic!("{}", path.display()),
            Err(error) => Err(error.raw_os_error()),
        };
        let file = fs::canonicalize(at("sub/file")).unwrap();
        for name in ["sub/file", "link", "twice"] {
            assert_eq!(found(name), Ok((file.clone(), true)), "{name}");
        }
        assert_eq!(found("missing"), Ok((at("missing"), false)));
        assert_eq!(found("sub/dangling"), Ok((at("sub/../new"), false)));
        assert_eq!(found("loop"), Err(Some(Errno::LOOP.raw_os_error())));
        for folder in ["sub", "folder"] {
            assert_eq!(found(folder), Err(Some(Errno::ISDIR.raw_os_error())), "{folder}");
        }
        assert!(matches!(Target::of(Path::new("/dev/null")), Ok(Target::Stream(_))));
    }

    #[test]
    fn a_replacing_file_has_the_mode_of_the_old_one_and_is_private_until_then() {
        let root = tempfile::tempdir().unwrap();
        let (old, part) = (root.path().join("old"), root.path().join("part"));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        for kept in [0o600, 0o640, 0o755, 0o444, 0o4755] {
            fs::write(&old, "").unwrap();
            fs::set_permissions(&old, Permissions::from_mode(kept)).unwrap();
            // From an attempt when nothing was there yet.
            drop(open_part(&part, None).unwrap());
            fs::set_permissions(&part, Permissions::from_mode(0o644)).unwrap();
            let metadata = fs::metadata(&old).unwrap();
            let file = open_part(&part, Some(&metadata)).unwrap();
            assert_eq!(mode(&part), 0o600);
            keep_access(&file, &metadata).unwrap();
            assert_eq!(mode(&part), kept & 0o777, "{kept:o}");
            fs::remove_file(&old).unwrap();
            fs::remove_file(&part).unwrap();
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_unfinished_file_is_not_written_through() {
        let root = tempfile::tempdir().unwrap();
        let (victim, part) = (root.path().join("victim"), root.path().join("part"));
        fs::write(&victim, "theirs").unwrap();
        symlink(&victim, &part).unwrap();
        assert!(open_part(&part, None).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"theirs");
    }
}
