//! Turns: how a pool that many requests share (threads, memory, requests to another server) is shared out.
//!
//! * [`Turns`] is the pool. No tenant holds more than its share, so that the others always find some of it free.
//! * [`on_thread`] does work on a thread that may block. The work, not the future that waits for it, holds the turn; and
//!   when the future is dropped, because its client has gone, the work ends at its next step ([`Wanted`]).
//! * [`Slices`] lets long work take its turn again after each slice of it, after all who have waited meanwhile. So a
//!   pool as small as the number of cores is never held for longer than a slice, whatever a request asks for.
//!
//! Why turns are not simply held for a request: most of a request's time is spent on waiting for its client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::tenant::Tenant;

/// Shares that are remembered before those are forgotten that nobody holds.
const SHARES_KEPT: usize = 1024;

/// A pool of turns. Clones are the same pool.
#[derive(Debug, Clone)]
pub struct Turns {
    all: Arc<Queue>,
    share: usize,
    shares: Arc<Mutex<HashMap<Tenant, Weak<Queue>>>>,
}

/// A number of turns, and who waits for them.
#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Queue {
    fn new(turns: usize) -> Arc<Self> {
        Arc::new(Self { turns: Arc::new(Semaphore::new(turns)), waiting: AtomicUsize::new(0) })
    }

    /// Waits for some of the turns.
    async fn take(self: &Arc<Self>, turns: u32) -> Option<Held> {
        let _waiting = Waiting::begin(self);
        // Refused only if it were closed, which it never is.
        let permit = Arc::clone(&self.turns).acquire_many_owned(turns).await.ok()?;
        Some(Held { _permit: permit, queue: Arc::clone(self) })
    }
}

/// Counts as waiting until this is dropped, which may be before the turn comes.
struct Waiting<'a>(&'a Queue);

impl<'a> Waiting<'a> {
    fn begin(queue: &'a Queue) -> Self {
        queue.waiting.fetch_add(1, Ordering::Relaxed);
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Some turns of one queue.
#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    queue: Arc<Queue>,
}

/// Turns that are held until this is dropped.
#[derive(Debug, Default)]
pub struct Turn {
    held: Vec<Held>,
}

impl Turn {
    /// Holds what another holds, too.
    pub fn join(&mut self, other: Self) {
        self.held.extend(other.held);
    }

    /// Tells, while the turn is held, whether others wait for it.
    pub fn demand(&self) -> Demand {
        Demand { queues: self.held.iter().map(|held| Arc::clone(&held.queue)).collect() }
    }
}

/// Whether anybody waits for a turn.
#[derive(Debug)]
pub struct Demand {
    queues: Vec<Arc<Queue>>,
}

impl Demand {
    /// Whether somebody waits at this moment, of the same tenant or of another.
    pub fn is_there(&self) -> bool {
        self.queues.iter().any(|queue| queue.waiting.load(Ordering::Relaxed) > 0)
    }
}

impl Turns {
    /// A pool of `all` turns, of which one tenant holds at most `share`.
    pub fn new(all: usize, share: usize) -> Self {
        Self { all: Queue::new(all), share: share.max(1), shares: Arc::default() }
    }

    /// The part of the pool that is a tenant's; `None` for the process itself, which has all of it.
    fn share_of(&self, tenant: Tenant) -> Option<Arc<Queue>> {
        if tenant == Tenant::Own {
            return None;
        }
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&tenant).and_then(Weak::upgrade) {
            return Some(share);
        }
        if shares.len() >= SHARES_KEPT {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Queue::new(self.share);
        shares.insert(tenant, Arc::downgrade(&share));
        Some(share)
    }

    /// Waits for a turn of the current tenant.
    pub async fn take(&self) -> Turn {
        self.take_for(Tenant::current(), 1).await
    }

    /// Waits for turns of a tenant: as many as asked, or all of its share if that is less.
    pub async fn take_for(&self, tenant: Tenant, turns: u32) -> Turn {
        let share = self.share_of(tenant);
        let most = share.as_ref().map_or(u32::MAX, |_| u32::try_from(self.share).unwrap_or(u32::MAX));
        let turns = turns.min(most);
        let mut held = Turn::default();
        // The tenant's own first: who has used up its share waits among its own.
        if let Some(share) = share {
            held.held.extend(share.take(turns).await);
        }
        held.held.extend(self.all.take(turns).await);
        held
    }

    /// Like [`Turns::take_for`], for who holds some already and so must not wait for ever: `None` after `patience`.
    pub async fn take_within(&self, patience: Duration, turns: u32) -> Option<Turn> {
        tokio::time::timeout(patience, self.take_for(Tenant::current(), turns)).await.ok()
    }
}

/// Whether work is still wanted. Work asks at each of its steps.
#[derive(Debug, Clone)]
pub struct Wanted {
    token: CancellationToken,
    runtime: Handle,
    tenant: Tenant,
}

impl Wanted {
    /// Whether somebody waits for the work.
    pub fn is_wanted(&self) -> bool {
        !self.token.is_cancelled()
    }

    /// The runtime, for a future that is to be driven to its end even if nobody waits.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Drives a future on this thread; `None` as soon as nobody waits for it any more. It is asked whenever the future
    /// waits, so one that never does ([`tokio::task::yield_now`] is enough) is driven to its end.
    pub fn block_on<F: Future>(&self, work: F) -> Option<F::Output> {
        let work = self.tenant.clone().scope(work);
        self.runtime.block_on(self.token.run_until_cancelled(work))
    }
}

/// Does work on a thread that may block, and holds `turn` until the work has ended. If this future is dropped, work that
/// has not begun never does, and the rest learns of it from [`Wanted`].
pub async fn on_thread<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce(&Wanted) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let token = CancellationToken::new();
    let _ends_with_us = token.clone().drop_guard();
    let wanted = Wanted { token, runtime: Handle::current(), tenant: Tenant::current() };
    let work = spawn_blocking(move || {
        let done = work(&wanted);
        drop(turn);
        done
    });
    AbortOnDropHandle::new(work).await
}

/// Work that takes its turn again and again.
#[derive(Debug)]
pub struct Slices {
    turns: Turns,
    turn: Option<Turn>,
    /// What is left of the slice.
    left: u64,
}

/// Bytes worked on in one slice: some 5 ms of hashing.
pub const SLICE_BYTES: u64 = 4 << 20;

impl Slices {
    /// Work that has no turn yet.
    pub fn of(turns: Turns) -> Self {
        Self { turns, turn: None, left: 0 }
    }

    /// Allows work on so many bytes; returns when it is its turn.
    pub async fn step(&mut self, bytes: u64) {
        if self.turn.is_none() || self.left == 0 {
            self.turn = None;
            // A moment at which the work can be ended, even where turns are free.
            tokio::task::yield_now().await;
            self.turn = Some(self.turns.take().await);
            self.left = SLICE_BYTES;
        }
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::*;

    fn key(name: &str) -> Tenant {
        Tenant::Key(name.into())
    }

    #[tokio::test]
    async fn a_tenant_leaves_the_others_their_turns() {
        let turns = Turns::new(4, 2);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(turns.take_for(key("A"), 1).await);
        }
        assert!(turns.take_for(key("A"), 1).now_or_never().is_none(), "A has its share");
        let other = turns.take_for(key("B"), 7).now_or_never();
        assert!(other.is_some(), "more than a share is a share");
        assert!(turns.take_for(key("C"), 1).now_or_never().is_none(), "all are taken");
        held.clear();
        assert!(turns.take_for(key("A"), 1).now_or_never().is_some());
        drop(other);
        assert!(turns.take_for(Tenant::Own, 4).now_or_never().is_some(), "nothing was lost");
    }

    #[tokio::test]
    async fn whoever_holds_a_turn_learns_that_others_wait() {
        let turns = Turns::new(2, 1);
        let first = turns.take_for(key("A"), 1).await;
        let demand = first.demand();
        assert!(!demand.is_there());
        let mut same = Box::pin(turns.take_for(key("A"), 1));
        assert!((&mut same).now_or_never().is_none());
        assert!(demand.is_there(), "of the same tenant");
        drop(same);
        assert!(!demand.is_there(), "given up");
        let _other = turns.take_for(key("B"), 1).await;
        assert!(!demand.is_there(), "there was one left");
        let mut third = Box::pin(turns.take_for(key("C"), 1));
        assert!((&mut third).now_or_never().is_none());
        assert!(demand.is_there(), "of another tenant");
        drop(first);
        assert!(third.now_or_never().is_some());
        assert!(!demand.is_there());
    }

    #[tokio::test]
    async fn who_holds_some_does_not_wait_for_ever() {
        let turns = Turns::new(4, 4);
        let mut held = turns.take_for(key("A"), 3).await;
        let more = key("A").scope(turns.take_within(Duration::from_millis(1), 2)).await;
        assert!(more.is_none());
        held.join(turns.take_for(key("A"), 1).await);
        drop(held);
        assert!(turns.take_for(key("A"), 4).now_or_never().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_ends_with_its_requester_and_holds_its_turn_until_then() {
        let turns = Turns::new(1, 1);
        let turn = turns.take().await;
        let (begun, has_begun) = mpsc::channel();
        let work = on_thread(turn, move |wanted| {
            begun.send(()).unwrap();
            let mut steps = 0_u64;
            while wanted.block_on(tokio::time::sleep(Duration::from_millis(1))).is_some() {
                steps += 1;
            }
            assert!(!wanted.is_wanted());
            steps
        });
        let mut work = Box::pin(work);
        assert!((&mut work).now_or_never().is_none());
        has_begun.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(turns.take().now_or_never().is_none(), "the work has the turn");
        drop(work);
        let again = tokio::time::timeout(Duration::from_secs(10), turns.take()).await;
        assert!(again.is_ok(), "the work has ended and given its turn back");
    }

    #[tokio::test]
    async fn long_work_lets_others_have_their_turn() {
        let turns = Turns::new(1, 1);
        let mut long = Slices::of(turns.clone());
        long.step(1).await;
        let mut waiting = Box::pin(turns.take());
        assert!((&mut waiting).now_or_never().is_none());
        long.step(SLICE_BYTES).await;
        let (turn, ()) = tokio::join!(
            async {
                drop(waiting.await);
                true
            },
            long.step(1)
        );
        assert!(turn);
    }
}
