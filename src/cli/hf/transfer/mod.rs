//! Moving bytes: files into a bucket and out of it, with the project's own engine over the server's CAS.
//!
//! Uploads share xorbs and shards between small files and reach the bucket in batches; downloads are written beside
//! their place, checked, and renamed into it. A file that fails does not stop the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bucket::BucketId;
use crate::bucket::hub::{BucketAccess, HubError};
use crate::cas::CasError;
use crate::cas::http::HttpError;
use crate::cas::remote::{Known, RemoteChunks, RemoteError, RemoteShared};
use crate::cli::failure::Failure;
use crate::cli::remote::connection::{Connection, chained};
use crate::cli::session::{Session, several};
use crate::cli::terminal::Mode;
use crate::engine::EngineError;

mod checksum;
mod download;
mod progress;
mod target;
mod upload;

pub(in crate::cli) use checksum::hash_files;
pub(in crate::cli) use download::Download;
pub(in crate::cli) use progress::Progress;
pub(in crate::cli) use upload::{Source, Upload};

/// Most files that are moved at once, whatever `--jobs` says: more open files than a system allows help nobody.
const JOBS_MAX: usize = 64;

/// How long workers are waited for when the person wants to stop: a server that does not answer holds nobody.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What became of one file that failed.
#[derive(Debug)]
pub(in crate::cli) struct Failed {
    pub(in crate::cli) path: String,
    pub(in crate::cli) why: String,
}

/// A bucket's content, and how to move it.
pub(in crate::cli) struct Transfers {
    bucket: BucketId,
    chunks: RemoteChunks,
    stop: Stop,
    progress: Arc<Progress>,
    jobs: Option<usize>,
}

/// Tells workers that the person wants to stop.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Stop(Arc<AtomicBool>);

impl Stop {
    fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Transfers {
    /// For one bucket. `jobs` is how many files are moved at once, `None` for as many as are good.
    pub(in crate::cli) fn new(session: &Session, bucket: &BucketId, jobs: Option<usize>) -> Self {
        let Connection { hub, .. } = &session.connection;
        let shared = RemoteShared::new(hub.http().clone(), None, Arc::clone(&session.clock));
        let source = BucketAccess::source(hub.clone(), bucket.clone());
        let chunks = RemoteChunks::new(shared, source, Arc::new(Known::default()));
        let shown = session.terminal.mode() == Mode::Human && session.shows_progress;
        Self {
            bucket: bucket.clone(),
            chunks,
            stop: Stop::default(),
            progress: Arc::new(Progress::new(shown)),
            jobs: jobs.map(|jobs| jobs.clamp(1, JOBS_MAX)),
        }
    }

    /// Runs blocking workers to their end, or to the person's.
    async fn workers<T: Send + 'static>(
        &self,
        count: usize,
        work: impl Fn() -> T + Send + Sync + Clone + 'static,
    ) -> Result<Vec<T>, Failure> {
        let workers = (0..count).map(|_| tokio::task::spawn_blocking(work.clone()));
        let mut workers = std::pin::pin!(futures::future::join_all(workers));
        let done = tokio::select! {
            done = &mut workers => done,
            _ = tokio::signal::ctrl_c() => {
                self.stop.0.store(true, Ordering::Relaxed);
                self.progress.end();
                // They put away what they have begun; who asks twice does not wait for it.
                tokio::select! {
                    _ = &mut workers => {}
                    _ = tokio::signal::ctrl_c() => {}
                    () = tokio::time::sleep(STOP_PATIENCE) => {}
                }
                return Err(Failure::Interrupted);
            }
        };
        let done: Result<Vec<T>, _> = done.into_iter().collect();
        done.map_err(|error| Failure::Message(format!("A worker ended early: {error}.")))
    }

    /// What a failed store means for people.
    fn failure(&self, session: &Session, error: EngineError) -> Failure {
        match &error {
            EngineError::Cas(CasError::Remote(RemoteError::NoSuchBucket(_))) => {
                session.connection.failure(HubError::NoSuchBucket(String::new()), Some(&self.bucket))
            }
            EngineError::Cas(CasError::Remote(RemoteError::Offline(name))) => {
                session.connection.failure(HubError::Http(HttpError::Offline(name)), Some(&self.bucket))
            }
            EngineError::Cas(CasError::Remote(RemoteError::Denied(why))) => session.connection.denied(why),
            _ => Failure::Message(chained(error)),
        }
    }
}

/// Turns what failed into one line.
pub(in crate::cli) fn outcome(failed: &[Failed], of: usize, verb: &str) -> Result<(), Failure> {
    let told = several(failed.iter().map(|failed| (failed.path.as_str(), failed.why.as_str())));
    match told {
        None => Ok(()),
        Some(told) => Err(Failure::Message(format!(
            "{} of {of} file(s) could not be {verb}: {told}. Run the command again for them; all others are done.",
            failed.len()
        ))),
    }
}

/// A queue that several workers take from.
struct Queue<T>(std::sync::Mutex<std::vec::IntoIter<T>>);

impl<T> Queue<T> {
    fn new(items: Vec<T>) -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::new(items.into_iter())))
    }

    fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next()
    }
}
