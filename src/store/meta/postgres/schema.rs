//! The tables, and which format they have.

use deadpool_postgres::{Object, Pool};

use super::error::{cannot_connect, in_time};
use crate::model::clock::Timestamp;
use crate::store::meta::MetaError;
use crate::store::meta::format::FORMAT;
use crate::store::meta::tables;

/// The oldest PostgreSQL that is known to do.
const VERSION_MIN: i32 = 15_00_00;

/// How far clocks may be apart: far less than what signatures allow, far more than NTP leaves.
const SKEW_SECS_MAX: u64 = 60;

/// Whether there is a table of that name.
const IS_THERE: &str = "SELECT to_regclass($1) IS NOT NULL";

/// Makes what is missing. Nodes that start at the same time wait for each other at a row.
pub(super) async fn prepare(pool: &Pool, schema: &str) -> Result<(), MetaError> {
    let mut client = pool.get().await.map_err(|error| cannot_connect(&error))?;
    let is_there = in_time(client.query_one(IS_THERE, &[&format!("{schema}.format")])).await?;
    if !is_there.get::<_, bool>(0) {
        make_first(&client, schema).await?;
    }
    let transaction = in_time(client.transaction()).await?;
    in_time(transaction.batch_execute(&format!(
        "INSERT INTO format VALUES (true, {FORMAT}, '{build}') ON CONFLICT DO NOTHING",
        build = env!("CARGO_PKG_VERSION")
    )))
    .await?;
    let row = in_time(transaction.query_one("SELECT format, build FROM format FOR UPDATE", &[])).await?;
    let (found, build): (i64, String) = (row.get(0), row.get(1));
    if found != FORMAT.cast_signed() {
        return Err(MetaError::Setup(format!(
            "the schema {schema} has format {found}, this xetgate reads format {FORMAT}: use xetgate {build}, which made it, or \
             a later one"
        )));
    }
    let mut tables = String::new();
    for name in tables::NAMES {
        tables += "CREATE TABLE IF NOT EXISTS ";
        tables += name;
        tables += " (k bytea PRIMARY KEY, rev bigint NOT NULL, v bytea NOT NULL);";
    }
    in_time(transaction.batch_execute(&tables)).await?;
    in_time(transaction.commit()).await
}

/// Makes the schema and its first table. A user may do so who may create schemas in the database; later that is not needed.
async fn make_first(client: &Object, schema: &str) -> Result<(), MetaError> {
    let first = format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE IF NOT EXISTS format (only_one boolean PRIMARY KEY, format bigint NOT NULL, build text NOT NULL)"
    );
    // Two that make a schema at once: one is refused, and finds it made.
    for attempt in 0.. {
        match in_time(client.batch_execute(&first)).await {
            Ok(()) => break,
            Err(_) if attempt < 3 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether there are no tables yet; refuses a database that is too old, or whose clock is another.
pub(super) async fn is_new(pool: &Pool, schema: &str, now: Timestamp) -> Result<bool, MetaError> {
    let client = pool.get().await.map_err(|error| cannot_connect(&error))?;
    let about = "SELECT current_setting('server_version_num')::int4, \
                 (extract(epoch FROM clock_timestamp()) * 1000)::int8, to_regclass($1) IS NULL";
    let row = in_time(client.query_one(about, &[&format!("{schema}.format")])).await?;
    let version: i32 = row.get(0);
    if version < VERSION_MIN {
        return Err(MetaError::Setup(format!(
            "it is PostgreSQL {}, and xetgate needs {} or later",
            version / 10_000,
            VERSION_MIN / 10_000
        )));
    }
    let ahead_secs = (now.0.cast_signed() - row.get::<_, i64>(1)) / 1000;
    if ahead_secs.unsigned_abs() > SKEW_SECS_MAX {
        let (secs, side) = (ahead_secs.unsigned_abs(), if ahead_secs > 0 { "ahead of" } else { "behind" });
        return Err(MetaError::Setup(format!(
            "the clock of this machine is {secs} s {side} the database's: set both by NTP; {SKEW_SECS_MAX} s are allowed"
        )));
    }
    Ok(row.get(2))
}
