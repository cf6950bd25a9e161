//! Downloads. A file is written beside its place, checked against its hash, and renamed into it: under its own name
//! there is the old file or the new one, never a half of either. What stays of the old one, [`target`](super::target) says.
//!
//! A large file that was interrupted stays beside its place, under a name that tells its content, and the next download
//! of the same content goes on where it ended. What goes on is hashed again from its first byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use tokio::runtime::Handle;

use super::checksum::FileHasher;
use super::target::{Target, keep_access, open_part};
use super::{Failed, Progress, Queue, Stop, Transfers, outcome};
use crate::bucket::FileHash;
use crate::bucket::hub::FileEntry;
use crate::cas::CasError;
use crate::cas::remote::RemoteChunks;
use crate::cli::failure::Failure;
use crate::cli::hf::files::PART_SUFFIX;
use crate::cli::remote::connection::chain;
use crate::cli::session::Session;
use crate::engine::EngineError;
use crate::xet::hash::ChunkHash;

/// Unfinished files that are smaller are not worth keeping.
const KEPT_BYTES_MIN: u64 = 8 << 20;

/// Files fetched at once if nobody says how many. Small ones wait for the server most of the time.
const WORKERS: usize = 16;

/// Bytes of what is there already that are read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A file to be downloaded.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Download {
    /// What it is.
    pub(in crate::cli) file: FileEntry,
    /// Where to.
    pub(in crate::cli) to: PathBuf,
}

impl Transfers {
    /// Downloads all of these.
    pub(in crate::cli) async fn download(&self, downloads: Vec<Download>) -> Result<(), Failure> {
        let count = downloads.len();
        let bytes = downloads.iter().map(|download| download.file.size).sum();
        self.progress.begin("Downloading", count as u64, bytes);
        let workers = self.jobs.unwrap_or(WORKERS).min(count);
        let (queue, runtime, chunks) = (Queue::new(downloads), Handle::current(), self.chunks.clone());
        let (stop, progress) = (self.stop.clone(), Arc::clone(&self.progress));
        let work = move || {
            let worker = Worker {
                runtime: runtime.clone(),
                chunks: chunks.clone(),
                stop: stop.clone(),
                progress: Arc::clone(&progress),
            };
            worker.run(&queue)
        };
        let done = self.workers(workers, work).await;
        self.progress.end();
        let failed: Vec<_> = done?.into_iter().flatten().collect();
        outcome(&failed, count, "downloaded")
    }

    /// Writes a file's bytes to standard output. They are checked as they come, the file as a whole before the last.
    pub(in crate::cli) async fn download_to_stdout(
        &self,
        session: &Session,
        file: &FileEntry,
    ) -> Result<(), Failure> {
        let mut bytes = self.chunks.open_file(file.xet_hash, file.size, 0..file.size);
        while let Some(piece) =
            bytes.try_next().await.map_err(|error| self.failure(session, EngineError::Cas(error)))?
        {
            io::stdout().write_all(&piece).map_err(Failure::Print)?;
        }
        io::stdout().flush().map_err(Failure::Print)
    }
}

struct Worker {
    runtime: Handle,
    chunks: RemoteChunks,
    stop: Stop,
    progress: Arc<Progress>,
}

/// Why a file is not downloaded.
enum DownloadError {
    Local(io::Error),
    Store(CasError),
    Interrupted,
    /// What was there from before was not its beginning.
    WrongBytes,
}

impl From<io::Error> for DownloadError {
    fn from(error: io::Error) -> Self {
        Self::Local(error)
    }
}

impl Worker {
    fn run(self, queue: &Queue<Download>) -> Vec<Failed> {
        let mut failed = Vec::new();
        while let Some(download) = queue.next().filter(|_| !self.stop.is_told()) {
            let mut done = self.download(&download);
            if let Err(DownloadError::WrongBytes) = done {
                done = self.download(&download);
            }
            let why = match done {
                Ok(()) => {
                    self.progress.files(1);
                    continue;
                }
                Err(DownloadError::Local(error)) => {
                    format!("cannot write {}: {error}", download.to.display())
                }
                Err(DownloadError::Store(error)) => chain(&error),
                Err(DownloadError::Interrupted) => "it was interrupted".to_owned(),
                Err(DownloadError::WrongBytes) => "its bytes are not its own".to_owned(),
            };
            failed.push(Failed { path: download.file.path, why });
        }
        failed
    }

    fn download(&self, download: &Download) -> Result<(), DownloadError> {
        let Download { file, to } = download;
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let (path, old) = match Target::of(to)? {
            Target::File { path, old } => (path, old),
            Target::Stream(path) => {
                let mut out = OpenOptions::new().write(true).open(path)?;
                return self.receive(file, 0, &mut out, None);
            }
        };
        let part = path.with_file_name(part_name(file.xet_hash, to));
        let fetched = self.fetch(file, &part, old.as_ref()).and_then(|()| Ok(fs::rename(&part, &path)?));
        if fetched.is_err() {
            let kept = !matches!(fetched, Err(DownloadError::WrongBytes))
                && fs::symlink_metadata(&part)
                    .is_ok_and(|part| part.is_file() && part.len() >= KEPT_BYTES_MIN);
            if !kept {
                // It may never have been made.
                let _ = fs::remove_file(&part);
            }
        }
        fetched
    }

    /// Makes the unfinished file whole, and like the one that it replaces.
    fn fetch(&self, file: &FileEntry, part: &Path, old: Option<&fs::Metadata>) -> Result<(), DownloadError> {
        let mut out = open_part(part, old)?;
        let mut have = out.metadata()?.len();
        if have > file.size {
            out.set_len(0)?;
            have = 0;
        }
        // A file that is fetched whole is checked on its way.
        let mut hasher = (have > 0).then(FileHasher::default);
        if let Some(hasher) = &mut hasher {
            hash_beginning(&mut out, hasher)?;
            self.progress.bytes(have);
        }
        self.receive(file, have, &mut out, hasher)?;
        old.map_or(Ok(()), |old| Ok(keep_access(&out, old)?))
    }

    /// Writes what comes after the first `have` bytes; `hasher` has taken those.
    fn receive(
        &self,
        file: &FileEntry,
        have: u64,
        out: &mut File,
        mut hasher: Option<FileHasher>,
    ) -> Result<(), DownloadError> {
        let mut bytes = self.chunks.open_file(file.xet_hash, file.size, have..file.size);
        while let Some(piece) = self.runtime.block_on(bytes.try_next()).map_err(DownloadError::Store)? {
            if self.stop.is_told() {
                return Err(DownloadError::Interrupted);
            }
            if let Some(hasher) = &mut hasher {
                hasher.feed(&piece);
            }
            out.write_all(&piece)?;
            self.progress.bytes(piece.len() as u64);
        }
        match hasher.map(FileHasher::finish) {
            Some(hash) if hash != file.xet_hash => Err(DownloadError::WrongBytes),
            _ => Ok(()),
        }
    }
}

fn hash_beginning(file: &mut File, hasher: &mut FileHasher) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            bytes => hasher.feed(&block[..bytes]),
        }
    }
}

/// The name of an unfinished file, told by its content and its place.
fn part_name(hash: FileHash, to: &Path) -> String {
    let place = ChunkHash::of(to.as_os_str().as_encoded_bytes()).to_string();
    format!(".{}-{}{PART_SUFFIX}", &hash.to_string()[..16], &place[..8])
}
