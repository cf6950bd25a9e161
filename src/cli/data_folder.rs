//! The data folder, and the lock that gives it to one process at a time.
//!
//! The lock is the operating system's, on an open file: it ends with the process however that ends, so a crash never
//! leaves a folder locked. The number in the file is for people.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::auth::{cas_token, root, seal};

/// Name of the lock file.
const LOCK_NAME: &str = "lock";

/// Files of the data folder that belong to a backup beside the store itself.
pub(super) const BESIDE_STORE: [&str; 3] = [root::FILE_NAME, seal::FILE_NAME, cas_token::FILE_NAME];

/// Why the data folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataFolderError {
    /// Another process has it.
    #[error(
        "data folder {path} is in use by another xetgate{holder}: stop that one, or choose another folder with --data-dir"
    )]
    InUse { path: PathBuf, holder: String },
    /// It cannot be made, or not be written to.
    #[error("cannot use data folder {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// The data folder, held until this is dropped.
#[derive(Debug)]
pub(super) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, for its owner only, and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, DataFolderError> {
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
        lock.set_len(0).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
