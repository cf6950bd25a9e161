//! The data folder, and the lock that gives it to one process at a time.
//!
//! The lock is the operating system's, on an open file: it ends with the process however that ends, so a crash never
//! leaves a folder locked. The number in the file is for people.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::auth::{cas_token, root, seal};
use crate::config::{self, Config, ConfigError};

/// Name of the lock file.
const LOCK_NAME: &str = "lock";

/// What lies in the data folder that is ours, besides the keys: all of it holds what users store.
const OWN: [&str; 9] = [
    LOCK_NAME,
    "meta.redb",
    "packs",
    "index",
    "index.broken",
    "scrub-cursor",
    "hub-meta.redb",
    "hub-uploads",
    "cache",
];

/// The bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Files of the data folder that belong to a backup beside the store itself.
pub const BESIDE_STORE: [&str; 3] = [root::FILE_NAME, seal::FILE_NAME, cas_token::FILE_NAME];

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process uses it.
    #[error(
        "data folder {path} is in use by another xetgate{holder}: stop that one, or choose another folder with --data-dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, in parentheses, if it is known.
        holder: String,
    },
    /// It cannot be made, or not be written to.
    #[error("cannot use data folder {path}: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no default place for it.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The data folder, held until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder that the configuration names. Files that this process makes from now on are its owner's only,
    /// whatever library makes them: they hold what users store.
    pub fn take(config: &Config, vars: &[(String, String)]) -> Result<Self, DataFolderError> {
        let data_dir = match &config.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => config::default_data_dir(vars)?,
        };
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        Self::open(&data_dir)
    }

    /// Makes the folder if need be, for its owner only, and takes its lock.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        let failed = |error| DataFolderError::Io { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let path = fs::canonicalize(path).map_err(failed)?;
        // Its name in its parent survives a power cut from here on; not every parent lets itself be opened.
        if let Some(parent) = path.parent().and_then(|parent| File::open(parent).ok()) {
            parent.sync_all().map_err(failed)?;
        }
        let failed = |error| DataFolderError::Io { path: path.clone(), error };

        let lock_path = path.join(LOCK_NAME);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut lock = options.open(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&lock_path).unwrap_or_default();
                let holder = holder
                    .trim()
                    .parse::<u32>()
                    .map_or_else(|_| String::new(), |pid| format!(" (pid {pid})"));
                return Err(DataFolderError::InUse { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        close_to_others(&path);
        lock.set_len(0).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes other users' permissions from our files: the folder may have been made by hand, or filled by an earlier build.
/// A file whose permissions cannot be changed is only warned of, because refusing to start would not help to repair it.
fn close_to_others(folder: &Path) {
    let keys = BESIDE_STORE.map(|name| (name, true));
    for (name, is_key) in OWN.map(|name| (name, false)).into_iter().chain(keys) {
        let path = folder.join(name);
        match close(&path) {
            Ok(true) if is_key => tracing::warn!(
                path = %path.display(),
                "others could read this key until now: if anyone else uses this machine, make a new one"
            ),
            Ok(true) => tracing::info!(path = %path.display(), "others could read this until now"),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "others may read this: chmod it"),
        }
    }
}

/// Closes a file, or a folder and what is in it, to all but its owner; answers whether it was open. What lies in a
/// closed folder is closed. Links are not followed: they lead to what is not ours.
fn close(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let mode = found.permissions().mode();
    if found.is_symlink() || mode & OTHERS == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            close(&entry?.path())?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_that_was_open_to_others_holds_nothing_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(at("index/keyspaces")).unwrap();
        fs::create_dir(at("packs")).unwrap();
        let files =
            ["meta.redb", "master-key", "cas-key", "packs/1.pack", "index/keyspaces/x", "beside", "far"];
        for name in files {
            fs::write(at(name), "x").unwrap();
            fs::set_permissions(at(name), Permissions::from_mode(0o644)).unwrap();
        }
        for name in ["packs", "index", "index/keyspaces"] {
            fs::set_permissions(at(name), Permissions::from_mode(0o755)).unwrap();
        }
        symlink(at("far"), at("packs/link")).unwrap();
        let held = DataFolder::open(folder.path()).unwrap();
        let modes = files.map(|name| mode(&at(name)));
        assert_eq!(modes, [0o600, 0o600, 0o600, 0o600, 0o600, 0o644, 0o644], "what is not ours stays");
        for name in ["packs", "index", "index/keyspaces"] {
            assert_eq!(mode(&at(name)), 0o700, "{name}");
        }
        drop(held);
    }
}
