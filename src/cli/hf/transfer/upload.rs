//! Uploads. Each worker takes file after file into shared xorbs; when a group is full its xorbs are sent, one shard
//! registers its files, and one batch puts them into the bucket.
//!
//! An interrupted upload costs what was not yet stored: groups that reached the bucket are there, xorbs that were sent
//! are asked for and not sent again, and their chunks are found. A file that changes while it is read is left out and told of.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Failed, Progress, Queue, Stop, Transfers, outcome};
use crate::bucket::hub::{BatchOp, HubClient, HubError, ITEMS_MAX};
use crate::bucket::{BucketId, FileHash, Timestamp};
use crate::cas::CasError;
use crate::cas::remote::{NewRemoteFile, RemoteChunks};
use crate::cli::failure::Failure;
use crate::cli::hf::files::mtime::Mtime;
use crate::cli::session::Session;
use crate::engine::{Engine, EngineError, EngineTurns, FolderIngest};
use crate::xet::xorb::ChunkTable;

/// Bytes read from a file at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A group is committed when its files have so many bytes: what an interruption can cost a worker at most, beside one
/// file.
const GROUP_BYTES_MAX: u64 = 256 << 20;

/// A file of so many bytes begins a group. So it is cut into the same xorbs whatever is uploaded beside it, and those
/// that an interrupted upload has sent are not sent again.
const LARGE_FILE_BYTES: u64 = 32 << 20;

/// Workers at most if nobody says how many: each holds some 64 MiB of xorbs.
const WORKERS_MAX: usize = 8;

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Source {
    /// A local file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// A file to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Upload {
    /// Where from.
    pub(in crate::cli) source: Source,
    /// Its path in the bucket.
    pub(in crate::cli) path: String,
    /// How many bytes it is thought to have, for the progress; 0 if that is not known.
    pub(in crate::cli) size: u64,
}

impl Transfers {
    /// Uploads all of these, and then does `afterwards` (if nothing failed).
    pub(in crate::cli) async fn upload(
        &self,
        session: &Session,
        uploads: Vec<Upload>,
        afterwards: &[BatchOp],
    ) -> Result<(), Failure> {
        let count = uploads.len();
        let bytes = uploads.iter().map(|upload| upload.size).sum();
        self.progress.begin("Uploading", count as u64, bytes);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let workers = self.jobs.unwrap_or(cores.clamp(2, WORKERS_MAX)).min(count);
        let turns = EngineTurns::far(workers.max(1));
        let engine = Engine::with_turns(Arc::new(self.chunks.clone()), turns);
        let queue = Queue::new(uploads);
        let (runtime, now) = (Handle::current(), session.clock.now());
        let (hub, bucket, chunks) =
            (session.connection.hub.clone(), self.bucket.clone(), self.chunks.clone());
        let (stop, progress) = (self.stop.clone(), Arc::clone(&self.progress));
        let work = move || {
            let (hub, bucket, chunks) = (hub.clone(), bucket.clone(), chunks.clone());
            let to = Destination {
                runtime: runtime.clone(),
                hub,
                bucket,
                chunks,
                progress: Arc::clone(&progress),
            };
            Worker { engine: engine.clone(), to, stop: stop.clone(), now, failed: Vec::new() }.run(&queue)
        };
        let done = self.workers(workers, work).await;
        self.progress.end();
        let mut failed = Vec::new();
        for done in done? {
            failed.extend(done.map_err(|error| match error {
                UploadError::Engine(error) => self.failure(session, error),
                UploadError::Hub(error) => session.connection.failure(error, Some(&self.bucket)),
            })?);
        }
        outcome(&failed, count, "uploaded")?;
        if afterwards.is_empty() { Ok(()) } else { session.batch(&self.bucket, afterwards).await }
    }
}

/// What stops a worker.
enum UploadError {
    Engine(EngineError),
    Hub(HubError),
}

impl From<EngineError> for UploadError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<HubError> for UploadError {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

/// Where groups go.
struct Destination {
    runtime: Handle,
    hub: HubClient,
    bucket: BucketId,
    chunks: RemoteChunks,
    progress: Arc<Progress>,
}

struct Worker {
    engine: Engine<RemoteChunks>,
    to: Destination,
    stop: Stop,
    now: Timestamp,
    failed: Vec<Failed>,
}

/// Files that are taken in and not yet in the bucket.
struct Group {
    ingest: FolderIngest<ChunkTable>,
    files: Vec<(String, Timestamp, Option<String>)>,
    bytes: u64,
}

impl Worker {
    fn run(mut self, queue: &Queue<Upload>) -> Result<Vec<Failed>, UploadError> {
        let mut group = self.new_group();
        while let Some(upload) = queue.next().filter(|_| !self.stop.is_told()) {
            if upload.size >= LARGE_FILE_BYTES {
                group = self.commit_and_begin(group)?;
            }
            match self.take(&mut group, &upload) {
                Ok(mtime) => {
                    let media_type = media_type(&upload);
                    group.files.push((upload.path, mtime, media_type));
                }
                Err(Refusal::File(why)) => {
                    group.ingest.drop_file();
                    self.failed.push(Failed { path: upload.path, why });
                }
                Err(Refusal::Store(error)) => return Err(error.into()),
            }
            if group.files.len() >= ITEMS_MAX || group.bytes >= GROUP_BYTES_MAX {
                group = self.commit_and_begin(group)?;
            }
        }
        self.commit(group)?;
        Ok(self.failed)
    }

    /// Commits a group, and begins the next one only then: there is one turn for each worker.
    fn commit_and_begin(&mut self, group: Group) -> Result<Group, UploadError> {
        if group.files.is_empty() {
            return Ok(group);
        }
        self.commit(group)?;
        Ok(self.new_group())
    }

    fn new_group(&self) -> Group {
        let ingest = self.to.runtime.block_on(self.engine.ingest_folder());
        Group { ingest, files: Vec::new(), bytes: 0 }
    }

    /// Takes in one file; gives its time of change.
    fn take(&self, group: &mut Group, upload: &Upload) -> Result<Timestamp, Refusal> {
        match &upload.source {
            Source::Stdin => {
                // What follows is unknown, so it is worth asking for.
                group.ingest.begin_file(u64::MAX);
                self.feed(group, &mut io::stdin().lock())?;
                group.ingest.end_file().map_err(Refusal::of)?;
                Ok(self.now)
            }
            Source::File(path) => {
                let refused = |error: io::Error| Refusal::File(format!("cannot read it: {error}"));
                let mut file = File::open(path).map_err(refused)?;
                let before = file.metadata().map_err(refused)?;
                if !before.is_file() {
                    return Err(Refusal::File("it is no file any more".to_owned()));
                }
                group.ingest.begin_file(before.len());
                let bytes = self.feed(group, &mut file)?;
                let after = file.metadata().map_err(refused)?;
                let state = |of: &std::fs::Metadata| (of.len(), of.mtime(), of.mtime_nsec());
                if state(&before) != state(&after) || bytes != before.len() {
                    return Err(Refusal::File("it changed while it was uploaded".to_owned()));
                }
                group.ingest.end_file().map_err(Refusal::of)?;
                Ok(Mtime::of_file(before.mtime(), before.mtime_nsec()).timestamp())
            }
        }
    }

    fn feed(&self, group: &mut Group, from: &mut impl Read) -> Result<u64, Refusal> {
        let mut block = vec![0; BLOCK_BYTES];
        let mut total = 0;
        loop {
            if self.stop.is_told() {
                return Err(Refusal::File("it was interrupted".to_owned()));
            }
            let bytes = match from.read(&mut block) {
                Ok(0) => return Ok(total),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Refusal::File(format!("cannot read it: {error}"))),
            };
            group.ingest.feed(&block[..bytes]).map_err(Refusal::of)?;
            total += bytes as u64;
            group.bytes += bytes as u64;
            self.to.progress.bytes(bytes as u64);
        }
    }

    /// Sends what is new, registers the files, and puts them into the bucket.
    fn commit(&mut self, group: Group) -> Result<(), UploadError> {
        if group.files.is_empty() || self.stop.is_told() {
            return Ok(());
        }
        let to = &self.to;
        let stored = group.ingest.finish().map_err(EngineError::Cas)?;
        let files: Vec<_> = stored
            .files
            .iter()
            .map(|(record, proof)| NewRemoteFile { record, proof: &proof.terms, xorbs: &[] })
            .collect();
        let registered = to.runtime.block_on(to.chunks.register_all(&files, &stored.xorbs));
        registered.map_err(|error| EngineError::Cas(CasError::Remote(error)))?;
        let xorbs = stored.xorbs.iter().map(|xorb| (xorb.hash, xorb.row.raw_bytes()));
        to.progress.stored(group.bytes, xorbs);

        let hashes = stored.files.iter().map(|(record, _)| record.hash);
        let operations: Vec<_> = group.files.into_iter().zip(hashes).map(add).collect();
        let outcome = to.runtime.block_on(to.hub.batch(&to.bucket, &operations))?;
        to.progress.files((operations.len() - outcome.failed.len().min(operations.len())) as u64);
        self.failed
            .extend(outcome.failed.into_iter().map(|failed| Failed { path: failed.path, why: failed.error }));
        Ok(())
    }
}

fn add(((path, mtime, content_type), xet_hash): ((String, Timestamp, Option<String>), FileHash)) -> BatchOp {
    BatchOp::AddFile { path, xet_hash, mtime: mtime.0, content_type }
}

/// Why a file is not taken in.
enum Refusal {
    /// It is the file's fault.
    File(String),
    /// The store failed: no other file would fare better.
    Store(EngineError),
}

impl Refusal {
    fn of(error: CasError) -> Self {
        Self::Store(EngineError::Cas(error))
    }
}

/// The media type that a name promises: the local one, or else the one in the bucket.
fn media_type(upload: &Upload) -> Option<String> {
    let local = match &upload.source {
        Source::File(path) => Some(path.display().to_string()),
        Source::Stdin => None,
    };
    local
        .iter()
        .chain([&upload.path])
        .find_map(|name| mime_guess::from_path(name).first_raw())
        .map(str::to_owned)
}
