//! The tables, and which format they have.

use deadpool_postgres::Pool;

use super::error::{in_time, unavailable};
use crate::store::meta::MetaError;
use crate::store::meta::format::FORMAT;
use crate::store::meta::tables;

/// The oldest PostgreSQL that is known to do.
const VERSION_MIN: i32 = 15_00_00;

/// Makes what is missing. Nodes that start at the same time wait for each other at a row.
pub(super) async fn prepare(pool: &Pool, schema: &str) -> Result<(), MetaError> {
    let mut client = pool.get().await.map_err(|error| unavailable(&error))?;
    must_be_new_enough(&client).await?;
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
    let transaction = in_time(client.transaction()).await?;
    in_time(transaction.batch_execute(&format!(
        "INSERT INTO format VALUES (true, {FORMAT}, '{build}') ON CONFLICT DO NOTHING",
        build = env!("CARGO_PKG_VERSION")
    )))
    .await?;
    let row = in_time(transaction.query_one("SELECT format, build FROM format FOR UPDATE", &[])).await?;
    let (found, build): (i64, String) = (row.get(0), row.get(1));
    if found != FORMAT.cast_signed() {
        return Err(MetaError::Engine(format!(
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

async fn must_be_new_enough(client: &deadpool_postgres::Object) -> Result<(), MetaError> {
    let row = in_time(client.query_one("SELECT current_setting('server_version_num')::int4", &[])).await?;
    let version: i32 = row.get(0);
    if version < VERSION_MIN {
        return Err(MetaError::Engine(format!(
            "the database is PostgreSQL {}, and xetgate needs {} or later",
            version / 10_000,
            VERSION_MIN / 10_000
        )));
    }
    Ok(())
}
