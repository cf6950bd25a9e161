//! The metadata in PostgreSQL, or what speaks its protocol.
//!
//! Each table is one of the database's: a key, in bytes that sort as the keys do, a value as redb has it, and the revision of
//! the commit that wrote it. What is asked and what is written takes one round trip each ([`fetch`], [`commit`]). Every
//! transaction that writes is `SERIALIZABLE`: rows that it has found absent are as sure as those it has found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::Instant;

use super::MetaError;
use super::kv::Changes;
use super::remote::{self, Answers, Committed, Moment, Needs, Remote, RemoteEngine};
use super::table_meta::TableMeta;
use crate::model::clock::Ambient;

mod commit;
mod connect;
mod error;
mod fetch;
mod schema;
#[cfg(test)]
pub(crate) mod tests;

pub use connect::{PostgresAddress, PostgresAddressError};
use error::{is_silence, unavailable};

/// The metadata of all nodes of a cluster, in a database.
pub type PostgresMeta = TableMeta<RemoteEngine<Postgres>>;

/// How long the database may take for one round trip.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often one tries whether a database that did not answer does again.
const TRIED_EVERY: Duration = Duration::from_secs(2);

/// A transaction sees the moment of its first statement, which is not `BEGIN`.
const BEGIN_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";

/// Tables in PostgreSQL.
pub struct Postgres {
    pool: Pool,
    /// Of the revisions of this process: random, so that no two have the same.
    seed: u64,
    commits: AtomicU64,
    silence: Silence,
}

/// Remembers that the database did not answer. Who asks soon afterwards is refused at once, but one a while, who tries.
#[derive(Default)]
struct Silence(Mutex<Option<Instant>>);

impl Silence {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_be_over(&self) -> Result<(), MetaError> {
        let mut since = self.lock();
        match *since {
            Some(at) if at.elapsed() < TRIED_EVERY => {
                Err(MetaError::Away("it did not answer a moment ago".to_owned()))
            }
            Some(_) => {
                *since = Some(Instant::now());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes note of an answer, or that there was none.
    fn heard<T>(&self, answer: &Result<T, MetaError>) {
        match answer {
            Ok(_) => *self.lock() = None,
            Err(error) if is_silence(error) => *self.lock() = Some(Instant::now()),
            Err(_) => {}
        }
    }
}

impl PostgresMeta {
    /// Whether there are no tables yet. Refuses a database that xetgate cannot use, and changes nothing.
    pub async fn is_new(address: &PostgresAddress, ambient: &Ambient) -> Result<bool, MetaError> {
        schema::is_new(&address.pool()?, address.schema(), ambient.clock.now()).await
    }

    /// Other connections to the tables that there are, and a writer of their own: what goes by them does not wait for the rest.
    pub fn beside(address: &PostgresAddress, ambient: &Ambient) -> Result<Self, MetaError> {
        Ok(Self::of(remote::start(Postgres::of(address.pool()?, ambient))))
    }

    /// Connects, and makes or upgrades the tables.
    pub async fn open(address: &PostgresAddress, ambient: &Ambient) -> Result<Self, MetaError> {
        Ok(Self::of(remote::start(Postgres::open(address, ambient).await?)))
    }
}

impl Postgres {
    async fn open(address: &PostgresAddress, ambient: &Ambient) -> Result<Self, MetaError> {
        let pool = address.pool()?;
        schema::prepare(&pool, address.schema()).await?;
        Ok(Self::of(pool, ambient))
    }

    fn of(pool: Pool, ambient: &Ambient) -> Self {
        let seed = u64::from_be_bytes(ambient.random());
        Self { pool, seed, commits: AtomicU64::new(0), silence: Silence::default() }
    }

    async fn client(&self) -> Result<Object, MetaError> {
        self.silence.must_be_over()?;
        self.pool.get().await.map_err(|error| unavailable(&error))
    }
}

/// Lets others use a connection; after an error it ends, for nobody knows what it is still doing.
fn give_back(client: Object, is_well: bool) {
    if !is_well {
        drop(Object::take(client));
    }
}

/// A connection in a transaction that sees one moment.
pub(super) struct PostgresMoment(Option<Arc<Object>>);

impl Remote for Postgres {
    type Moment = PostgresMoment;

    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        let client = self.client().await?;
        let fetched = fetch::fetch(&client, needs).await;
        self.silence.heard(&fetched);
        give_back(client, fetched.is_ok());
        fetched
    }

    async fn moment(&self) -> Result<PostgresMoment, MetaError> {
        // Its transaction ends with this, also if nobody waits for its beginning any more: whoever is given the connection next
        // must not look at an old moment.
        let moment = PostgresMoment(Some(Arc::new(self.client().await?)));
        if let Some(client) = &moment.0 {
            let begun = error::in_time(client.batch_execute(BEGIN_MOMENT)).await;
            self.silence.heard(&begun);
            begun?;
        }
        Ok(moment)
    }

    async fn commit(&self, changes: &Changes, revision: u64) -> Result<Committed, MetaError> {
        let client = self.client().await?;
        let committed = commit::commit(&client, changes, revision).await;
        self.silence.heard(&committed);
        give_back(client, committed.is_ok());
        committed
    }

    /// Every number once, in an order that others do not have: a bijection of a count, from a beginning of our own
    /// (`SplitMix64`).
    fn revision(&self) -> u64 {
        let count = self.commits.fetch_add(1, Ordering::Relaxed);
        let mut mixed = self.seed.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Moment for PostgresMoment {
    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        let client = self.0.as_ref().ok_or_else(|| MetaError::Engine("the moment is over".to_owned()))?;
        fetch::fetch(client, needs).await
    }
}

impl Drop for PostgresMoment {
    /// Ends the transaction; nobody waits for that.
    fn drop(&mut self) {
        let Some(client) = self.0.take().and_then(Arc::into_inner) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                let ended = error::in_time(client.batch_execute("COMMIT")).await;
                give_back(client, ended.is_ok());
            })),
            Err(_) => drop(Object::take(client)),
        }
    }
}
