//! [`Engine`]: the redb database, opened again after an I/O error.
//!
//! redb refuses all further work after the first error of its backend, and so it must: it no longer knows what the
//! file holds. Anyone who meets such an error closes the database ([`Engine::close_after`]); from then on everybody is
//! answered [`MetaError::Unavailable`], until the writer thread has opened it again ([`Engine::reopen`]). redb then
//! finds the last whole commit, as after a power cut. A commit that was under way is there or is not; anyone who waited
//! for it has been told of the error, so either is right.
//!
//! Read transactions of a closed database fail at their next read, so nothing has to be waited for. Only the writer
//! thread begins write transactions and only it reopens, so none is under way when it does.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableDatabase, StorageBackend, WriteTransaction};
use tracing::{info, warn};

use super::MetaError;
use super::kv::ReadTransaction;
use super::place::Place;
use super::read_snapshot::{ReadSnapshot, Shared};
use super::steady::{SteadyBackend, Writes};
use crate::store::disk::is_full;
use crate::store::metrics::MetaMetrics;

/// Memory for cached pages.
const CACHE_BYTES: usize = 64 << 20;

/// The first pause between two tries to reopen; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause: so late a store may notice that its disk works again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What an error of redb means.
pub(super) fn engine(error: impl Into<redb::Error>) -> MetaError {
    match error.into() {
        redb::Error::Io(error) if is_full(&error) => MetaError::Full(error.to_string()),
        error @ (redb::Error::Io(_)
        | redb::Error::PreviousIo
        | redb::Error::DatabaseClosed
        | redb::Error::DatabaseAlreadyOpen) => MetaError::Unavailable(error.to_string()),
        error => MetaError::Engine(error.to_string()),
    }
}

/// Whether redb will do no more work after this error.
fn is_final(error: &MetaError) -> bool {
    matches!(error, MetaError::Full(_) | MetaError::Unavailable(_))
}

/// Which opening of the database something belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Generation(u64);

struct State {
    generation: Generation,
    /// Or why it is closed.
    database: Result<Database, MetaError>,
}

/// The database.
pub(super) struct Engine {
    place: Arc<dyn Place>,
    writes: Arc<Writes>,
    state: RwLock<State>,
    read_snapshot: Shared,
    pub(super) metrics: MetaMetrics,
}

impl Engine {
    /// Opens the database, or makes it.
    pub(super) fn open(place: Arc<dyn Place>) -> Result<Self, MetaError> {
        let writes = Arc::default();
        let database = Ok(open_database(place.open(), &writes)?);
        let state = State { generation: Generation(0), database };
        let (read_snapshot, metrics) = (Shared::default(), MetaMetrics::default());
        Ok(Self { place, writes, state: RwLock::new(state), read_snapshot, metrics })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot, and of which opening it is.
    pub(super) fn begin_read(&self) -> Result<(Generation, ReadTransaction), MetaError> {
        let state = self.state();
        let database = state.database.as_ref().map_err(Clone::clone)?;
        let snapshot = database.begin_read().map_err(engine)?;
        Ok((state.generation, ReadTransaction::Redb(snapshot)))
    }

    /// The snapshot that readers of single rows share.
    pub(super) fn read_snapshot(&self) -> Result<Arc<ReadSnapshot>, MetaError> {
        self.read_snapshot.get(|| {
            let (generation, snapshot) = self.begin_read()?;
            ReadSnapshot::open(generation, &snapshot)
        })
    }

    /// After a commit: readers are to see it.
    pub(super) fn forget_recent(&self) {
        self.read_snapshot.forget();
    }

    /// A transaction. For the writer thread only.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, MetaError> {
        let state = self.state();
        let database = state.database.as_ref().map_err(Clone::clone)?;
        database.begin_write().map_err(engine)
    }

    /// The present opening.
    pub(super) fn generation(&self) -> Generation {
        self.state().generation
    }

    /// Whether it can be used.
    pub(super) fn is_open(&self) -> bool {
        self.state().database.is_ok()
    }

    /// Closes the database if `error`, met in this opening of it, is one after which redb does no more work; answers
    /// whether the database is closed now.
    pub(super) fn close_after(&self, error: &MetaError, met_in: Generation) -> bool {
        if !is_final(error) {
            return false;
        }
        // Dropped outside of the lock: it closes the file.
        let _closed = self.take_out(error, met_in);
        // From here on none is made of this opening.
        self.read_snapshot.forget();
        !self.is_open()
    }

    fn take_out(&self, error: &MetaError, met_in: Generation) -> Option<Result<Database, MetaError>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != met_in || state.database.is_err() {
            return None;
        }
        warn!(%error, "the metadata store is closed, and will be opened again");
        let why = MetaError::Unavailable(format!("it is being opened again after an error: {error}"));
        Some(std::mem::replace(&mut state.database, Err(why)))
    }

    /// Opens a closed database again. For the writer thread only, while it has no transaction.
    pub(super) fn reopen(&self) -> Result<(), MetaError> {
        let database = open_database(self.place.open(), &self.writes)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.generation.0 += 1;
        state.database = Ok(database);
        info!("the metadata store is open again");
        Ok(())
    }
}

/// Opens the database in these bytes; `writes` is what is known of what was written to them.
pub(super) fn open_database(
    backend: Result<Box<dyn StorageBackend>, DatabaseError>,
    writes: &Arc<Writes>,
) -> Result<Database, MetaError> {
    let steady = SteadyBackend::new(backend.map_err(engine)?, Arc::clone(writes));
    let steady = steady.map_err(|error| engine(redb::Error::Io(error)))?;
    Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(steady).map_err(engine)
}

/// When to try again.
#[derive(Debug)]
pub(super) struct Retry {
    pause: Duration,
    next: Instant,
}

impl Retry {
    /// At once.
    pub(super) fn now() -> Self {
        Self { pause: PAUSE_MIN, next: Instant::now() }
    }

    /// How long until the next try.
    pub(super) fn wait(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// A try has failed.
    pub(super) fn later(&mut self) {
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}
