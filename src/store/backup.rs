//! A backup of a store, taken while it works.
//!
//! Packs are only ever appended to, so they may be copied at leisure once it is settled which bytes count: first the
//! metadata, as of one commit, then of every pack what was committed by then at least. Meanwhile upkeep, which alone
//! removes packs, waits. What came in after the commit is after the end that the copied metadata knows, and the next
//! opening cuts it off, as after a power cut. The chunk index is not copied: it is a cache of the packs.
//!
//! A backup appears under its name when it is whole. It is a data folder: to restore it is to copy it back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tokio::task::spawn_blocking;

use super::local::LocalStore;
use super::meta::{MetaError, PackRow};
use super::pack::log::PackLog;
use super::report;
use super::throttle::{Stopped, Throttle};

/// Bytes read and written at a time.
const PIECE_BYTES: u64 = 8 << 20;

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The metadata.
    #[error("copying the metadata: {0}")]
    Meta(#[from] MetaError),
    /// A file or a folder.
    #[error("{doing} {path}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// Where the backup is.
    pub folder: PathBuf,
    /// Packs.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
}

impl BackupReport {
    /// The report for people.
    pub fn table(&self) -> String {
        report::table(&[
            ("folder", self.folder.display().to_string()),
            ("packs", self.packs.to_string()),
            ("pack bytes", self.pack_bytes.to_string()),
        ])
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |error| BackupError::Io { doing, path, error }
}

/// Copies a store whose data folder is `from` to a new folder `to`, and of the files beside the store those of these
/// names that are there.
pub async fn backup(
    store: &Arc<LocalStore>,
    from: &Path,
    to: &Path,
    beside: &[&str],
    throttle: &Throttle,
) -> Result<BackupReport, BackupError> {
    let unfinished = to.with_extension("unfinished");
    if to.exists() {
        return Err(failed("making", to)(io::ErrorKind::AlreadyExists.into()));
    }
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed("removing", &unfinished))?;
    }
    let packs = unfinished.join("packs");
    DirBuilder::new().recursive(true).mode(0o700).create(&packs).map_err(failed("making", &packs))?;
    let _alone = store.upkeep.lock().await;
    store.meta.copy_to(unfinished.join("meta.redb")).await?;
    let rows = store.meta.packs().await?;
    let mut copied = BackupReport { folder: to.to_owned(), packs: 0, pack_bytes: 0 };
    for row in rows {
        let path = packs.join(format!("{}.pack", row.id));
        copied.packs += 1;
        copied.pack_bytes += row.committed_end;
        copy_pack(&store.packs, row, path, throttle).await?;
    }
    for name in beside.iter().chain(&["packs/STORE"]) {
        copy_small(&from.join(name), &unfinished.join(name))?;
    }
    for folder in [&packs, &unfinished] {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", folder))?;
    }
    fs::rename(&unfinished, to).map_err(failed("naming", to))?;
    if let Some(parent) = to.parent().and_then(|parent| File::open(parent).ok()) {
        parent.sync_all().map_err(failed("syncing the folder of", to))?;
    }
    Ok(copied)
}

fn create(path: &Path) -> Result<File, BackupError> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    options.open(path).map_err(failed("making", path))
}

/// Copies what is committed of a pack.
async fn copy_pack(
    packs: &Arc<PackLog>,
    row: PackRow,
    path: PathBuf,
    throttle: &Throttle,
) -> Result<(), BackupError> {
    let PackRow { id, committed_end, .. } = row;
    let mut file = create(&path)?;
    let mut at = 0;
    while at < committed_end {
        let piece = PIECE_BYTES.min(committed_end - at);
        throttle.spend(piece).await?;
        let (packs, named) = (Arc::clone(packs), path.clone());
        let copied = spawn_blocking(move || {
            let bytes = packs.read(id, at, piece as usize)?;
            file.write_all(&bytes)?;
            Ok::<_, io::Error>(file)
        });
        let copied = copied.await.map_err(io::Error::other).and_then(|copied| copied);
        file = copied.map_err(failed("copying to", &named))?;
        at += piece;
    }
    file.sync_all().map_err(failed("syncing", &path))
}

/// Copies a file that need not be there.
fn copy_small(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::read(from) {
        Ok(bytes) => {
            let mut file = create(to)?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("copying to", to))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("reading", from)(error)),
    }
}
