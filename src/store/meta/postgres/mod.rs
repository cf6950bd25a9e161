//! The metadata in PostgreSQL, or what speaks its protocol.
//!
//! Each table is one of the database's: a key, in bytes that sort as the keys do, a value as redb has it, and the revision of
//! the commit that wrote it. What is asked and what is written takes one round trip each ([`fetch`], [`commit`]). Every
//! transaction that writes is `SERIALIZABLE`: rows that it has found absent are as sure as those it has found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Object, Pool};

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
use error::unavailable;

/// The metadata of all nodes of a cluster, in a database.
pub type PostgresMeta = TableMeta<RemoteEngine<Postgres>>;

/// How long the database may take for one round trip.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A transaction sees the moment of its first statement, which is not `BEGIN`.
const BEGIN_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";

/// Tables in PostgreSQL.
pub struct Postgres {
    pool: Pool,
    /// Of the revisions of this process: random, so that no two have the same.
    seed: u64,
    commits: AtomicU64,
}

impl PostgresMeta {
    /// Connects, and makes or upgrades the tables.
    pub async fn open(address: &PostgresAddress, ambient: &Ambient) -> Result<Self, MetaError> {
        Ok(Self::of(remote::start(Postgres::open(address, ambient).await?)))
    }
}

impl Postgres {
    async fn open(address: &PostgresAddress, ambient: &Ambient) -> Result<Self, MetaError> {
        let pool = address.pool()?;
        schema::prepare(&pool, address.schema()).await?;
        let seed = u64::from_be_bytes(ambient.random());
        Ok(Self { pool, seed, commits: AtomicU64::new(0) })
    }

    async fn client(&self) -> Result<Object, MetaError> {
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
        give_back(client, fetched.is_ok());
        fetched
    }

    async fn moment(&self) -> Result<PostgresMoment, MetaError> {
        let client = self.client().await?;
        error::in_time(client.batch_execute(BEGIN_MOMENT)).await?;
        Ok(PostgresMoment(Some(Arc::new(client))))
    }

    async fn commit(&self, changes: &Changes, revision: u64) -> Result<Committed, MetaError> {
        let client = self.client().await?;
        let committed = commit::commit(&client, changes, revision).await;
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
