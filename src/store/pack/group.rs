//! Group commit: small frames of many writers share one append and one sync.
//!
//! Frames that come while a group is being synced wait and form the next group. On files a lone frame never waits for
//! company; an object costs a request however few frames are in it, so the first frame waits a moment for others, and
//! several groups are on their way at once.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::log::{PackHold, PackLease, PackLog};
use super::{PackId, PackMedium};

/// Frames up to this size are worth gathering: beyond it, writing costs more than syncing.
pub const SMALL_FRAME_BYTES_MAX: usize = 1 << 20;

/// Most frames in one group, which bounds its memory to 64 MiB.
const GROUP_MAX: usize = 64;

/// Groups on their way to an object store at once. Each is a request that takes tens of milliseconds; with more, groups
/// and therefore objects become smaller.
const OBJECT_WRITERS: usize = 4;

/// How long a frame waits for others to share its object: little beside the request, and much beside the time between two
/// uploads of a busy gateway.
const OBJECT_WAIT: Duration = Duration::from_millis(5);

/// Where a frame lies, and what keeps it there until it has a row.
#[derive(Clone)]
pub struct Placed {
    /// The pack, and where in it the frame begins.
    pub place: (PackId, u64),
    /// To be kept until the frame has a row.
    pub hold: Arc<PackHold>,
}

/// The packs, and where in them frames begin.
type Places = Vec<(PackId, u64)>;

/// A frame, and where to answer its place.
struct Job {
    frame: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Placed, Arc<io::Error>>;

/// A frame on its way to a pack: ready when it is synced. It arrives also if nobody waits for it.
pub struct Placing(oneshot::Receiver<Answer>);

impl Future for Placing {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(Arc::new(gone()))))
    }
}

/// Appends small frames for everyone; its threads end when it is dropped.
///
/// The queue has no bound of its own: anyone who waits holds its frame anyhow, and how many may wait is bounded by the
/// engine's turns.
pub struct GroupWriter {
    jobs: mpsc::Sender<Job>,
}

impl GroupWriter {
    /// Starts the threads.
    pub fn start(log: &Arc<PackLog>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (writers, wait) = match log.medium() {
            PackMedium::File => (1, Duration::ZERO),
            PackMedium::Object => (OBJECT_WRITERS, OBJECT_WAIT),
        };
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..writers {
            let (log, queue) = (Arc::clone(log), Arc::clone(&queue));
            let thread = std::thread::Builder::new().name("pack-writer".to_owned());
            thread.spawn(move || append_in_groups(&log, &queue, wait))?;
        }
        Ok(Self { jobs })
    }

    /// Appends a frame and syncs it; the answer says where it lies.
    pub fn place(&self, frame: Vec<u8>) -> io::Result<Placing> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { frame, answer }).map_err(|_| gone())?;
        Ok(Placing(answered))
    }
}

fn gone() -> io::Error {
    io::Error::other("the pack writer has stopped")
}

/// The next group: the first frame that comes, and those that have come or come within `wait` of it. `None` at the end.
fn next_group(queue: &Mutex<mpsc::Receiver<Job>>, wait: Duration) -> Option<Vec<Job>> {
    // Held while it waits: the other writers would only wait for the same frame.
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut group = vec![queue.recv().ok()?];
    group.extend(queue.try_iter().take(GROUP_MAX - 1));
    if !wait.is_zero() {
        let until = Instant::now() + wait;
        while group.len() < GROUP_MAX
            && let Ok(job) = queue.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            group.push(job);
        }
    }
    Some(group)
}

fn append_in_groups(log: &Arc<PackLog>, queue: &Mutex<mpsc::Receiver<Job>>, wait: Duration) {
    while let Some(group) = next_group(queue, wait) {
        let (frames, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.frame, job.answer)).unzip();
        log.metrics.group.add(frames.len() as u64);
        for (answer, placed) in answers.into_iter().zip(append_group(log.lease(), &frames)) {
            // The one who asked may have gone; then its frame is dead bytes, for gc.
            let _ = answer.send(placed);
        }
    }
}

/// An answer for each frame; what holds the packs is in the answers alone.
fn append_group(lease: PackLease, frames: &[Vec<u8>]) -> Vec<Result<Placed, Arc<io::Error>>> {
    match append_frames(lease, frames) {
        Ok((places, hold)) => {
            let hold = Arc::new(hold);
            places.into_iter().map(|place| Ok(Placed { place, hold: Arc::clone(&hold) })).collect()
        }
        Err(error) => {
            let error = Arc::new(error);
            frames.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    }
}

/// One lease, one sync. On an error all of it is taken back.
fn append_frames(mut lease: PackLease, frames: &[Vec<u8>]) -> io::Result<(Places, PackHold)> {
    let mut places = Vec::with_capacity(frames.len());
    for frame in frames {
        places.push(lease.position()?);
        lease.append(frame)?;
    }
    Ok((places, lease.commit()?))
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryPacks, PackStore};
    use super::*;

    #[test]
    fn frames_of_many_writers_lie_whole_in_few_packs() {
        let packs = MemoryPacks::default();
        let log = Arc::new(PackLog::open(Arc::new(packs.clone()), &[], 1 << 20).unwrap());
        let writer = GroupWriter::start(&log).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..16_u8 {
                let (writer, log) = (&writer, &log);
                scope.spawn(move || {
                    for round in 0..20 {
                        let frame = vec![thread; 100 + round];
                        let (pack, offset) =
                            futures::executor::block_on(writer.place(frame.clone()).unwrap()).unwrap().place;
                        assert_eq!(log.read(pack, offset, frame.len()).unwrap(), frame);
                    }
                });
            }
        });
        assert_eq!(packs.list().unwrap().len(), 1, "one writer thread needs one pack");
    }
}
