//! Upgrading a store of an older format when it is opened.
//!
//! | | |
//! |---|---|
//! | 1 | the file is copied; the copy has another name |
//! | 2 | the copy is upgraded in one transaction and synced |
//! | 3 | the copy takes the file's name; the folder is synced |
//!
//! Whatever ends it before the third step, a power cut or a full disk, leaves the file as it was, for the build that wrote
//! it too; the next start begins again with the first. It takes space for the metadata once or twice more.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use redb::StorageError;
use tracing::info;

use super::MetaError;
use super::engine::{engine, open_database};
use super::format::FORMAT;
use super::kv::{OrderedKey, ReadableTable as _, Table};
use super::place::Place;
use super::tables::{COUNTERS, Row, Tables};

/// Bytes of rows rewritten at a time: memory is bounded, however large the store.
const PAGE_BYTES: usize = 4 << 20;

/// A step of an upgrade.
type Step = fn(&mut Tables<'_>) -> Result<(), StorageError>;

/// The steps, each with the last format that needs it. They are done in this order: a step may use this build's code for
/// rows, so those that make rows readable to it come first.
const STEPS: [(u64, Step); 2] = [(5, give_versions), (4, |tables| tables.split_long_records())];

/// Brings the store at a place from an older format to the present one.
pub(super) fn upgrade(place: &dyn Place, from: u64) -> Result<(), MetaError> {
    info!(
        from,
        to = FORMAT,
        "the metadata store is being upgraded; the old file stays until the new one is whole"
    );
    let begun = Instant::now();
    match on_copy(place, from) {
        Ok(()) => {
            info!(to = FORMAT, secs = begun.elapsed().as_secs_f32(), "the metadata store is upgraded");
            Ok(())
        }
        Err(error) => {
            // It only takes space; the next start removes it too.
            let _ = place.remove_copy();
            Err(as_it_was(error, from))
        }
    }
}

/// Says of an error that the store is still what it was.
fn as_it_was(error: MetaError, from: u64) -> MetaError {
    let told = |text| {
        format!("{text}; the upgrade from format {from} was not made, and the metadata are as they were")
    };
    match error {
        MetaError::Full(text) => MetaError::Full(told(text)),
        MetaError::Unavailable(text) => MetaError::Unavailable(told(text)),
        error => MetaError::Engine(told(error.to_string())),
    }
}

fn on_copy(place: &dyn Place, from: u64) -> Result<(), MetaError> {
    let copy = open_database(place.open_copy(), &Arc::default())?;
    let transaction = copy.begin_write().map_err(engine)?;
    take_steps(&transaction, from)?;
    transaction.commit().map_err(engine)?;
    copy.close().map_err(engine)?;
    place.adopt_copy().map_err(|error| engine(redb::Error::Io(error)))
}

fn take_steps(transaction: &redb::WriteTransaction, from: u64) -> Result<(), MetaError> {
    let mut tables = Tables::open(&transaction.into()).map_err(engine)?;
    for (_, step) in STEPS.iter().filter(|(last, _)| from <= *last) {
        step(&mut tables).map_err(engine)?;
    }
    drop(tables);
    transaction.open_table(COUNTERS.redb()).map_err(engine)?.insert("format", FORMAT).map_err(engine)?;
    Ok(())
}

/// To format 6, in which every row begins with its version. What follows is what the row was, but of accounts.
fn give_versions(tables: &mut Tables<'_>) -> Result<(), StorageError> {
    let versioned = |row: &[u8]| Ok([&[1], row].concat());
    rewrite(&mut tables.buckets, versioned)?;
    rewrite(&mut tables.bucket_settings, versioned)?;
    rewrite(&mut tables.objects, versioned)?;
    rewrite(&mut tables.uploads, versioned)?;
    rewrite(&mut tables.parts, versioned)?;
    rewrite(&mut tables.files, versioned)?;
    rewrite(&mut tables.file_terms, versioned)?;
    rewrite(&mut tables.xorbs, versioned)?;
    rewrite(&mut tables.accounts, account_of_format_5)?;
    rewrite(&mut tables.credentials, versioned)
}

/// An account's row ended with the visibility of its new buckets, or with nothing if that was not set.
fn account_of_format_5(row: &[u8]) -> Result<Vec<u8>, StorageError> {
    let (_, set): ((&str, u8, Vec<&str>), _) = postcard::take_from_bytes(row)
        .map_err(|error| StorageError::Corrupted(format!("an account cannot be read: {error}")))?;
    let before = &row[..row.len() - set.len()];
    Ok([&[1], before, &[u8::from(!set.is_empty())], set].concat())
}

/// Rewrites every row of a table.
fn rewrite<K: OrderedKey + 'static>(
    table: &mut Table<'_, K, Row>,
    change: impl Fn(&[u8]) -> Result<Vec<u8>, StorageError>,
) -> Result<(), StorageError> {
    let mut last: Option<Vec<u8>> = None;
    loop {
        let (mut page, mut bytes) = (Vec::new(), 0);
        let start = last.as_deref().map_or(Bound::Unbounded, |last| Bound::Excluded(K::from_bytes(last)));
        for entry in table.range::<K::SelfType<'_>>((start, Bound::Unbounded))? {
            let (key, row) = entry?;
            let row = change(row.value())?;
            bytes += row.len();
            page.push((K::as_bytes(&key.value()).as_ref().to_vec(), row));
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        let Some((key, _)) = page.last() else { return Ok(()) };
        last = Some(key.clone());
        for (key, row) in &page {
            table.insert(K::from_bytes(key), row.as_slice())?;
        }
    }
}

#[cfg(test)]
mod tests;
