//! [`MovingStore`]: all rows of a store, to be moved to another engine.
//!
//! Engines have the same tables with the same rows, but for three: numbers that many nodes add to have a row for each shard in
//! a database, folders have rows on redb alone, and chunks are shared where there are nodes. What a cluster knows of its nodes
//! stays behind.

use async_trait::async_trait;
use redb::StorageError;

use super::bucket_names::BUCKET_NAMES;
use super::kv::{RawRow, ReadTransaction};
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{self, Failure, Tables};
use super::{MetaError, nodes};
use crate::model::bucket::BucketUid;
use crate::model::names::ObjectKey;
use crate::xet::hash::XorbHash;

/// Bytes of rows that are moved together.
const PAGE_BYTES: usize = 1 << 20;

/// Counters that are of a cluster's nodes.
const OF_NODES: [&str; 2] = [nodes::ENTERED, nodes::QUESTION];

/// Reads rows behind a key.
type ReadRows = fn(&ReadTransaction, Option<&[u8]>) -> Result<Vec<RawRow>, redb::Error>;

/// A table that is moved row by row.
struct Moved {
    name: &'static str,
    read: ReadRows,
    write: fn(&mut Tables<'_>, &[RawRow]) -> Result<(), StorageError>,
}

macro_rules! moved {
    ($($field:ident: $table:expr),* $(,)?) => {
        [$(Moved {
            name: $table.name(),
            read: |snapshot, after| Ok(snapshot.open_table($table)?.raw_rows(after, PAGE_BYTES)?),
            write: |tables, rows| tables.$field.put_raw(rows),
        }),*]
    };
}

/// The tables. Counters come last: they name the store, and packs that have its name are no other's.
const MOVED: [Moved; TABLES] = moved![
    buckets: tables::BUCKETS,
    bucket_uids: tables::BUCKET_UIDS,
    bucket_names: BUCKET_NAMES,
    bucket_settings: tables::BUCKET_SETTINGS,
    objects: tables::OBJECTS,
    versions: super::versions::VERSIONS,
    null_versions: super::versions::NULL_VERSIONS,
    versioning: super::versions::VERSIONING,
    uploads: tables::UPLOADS,
    parts: tables::PARTS,
    files: tables::FILES,
    file_terms: tables::FILE_TERMS,
    file_uses: tables::FILE_USES,
    registered: tables::REGISTERED,
    proved: super::registry::PROVED,
    xorbs: tables::XORBS,
    xorb_uses: tables::XORB_USES,
    xorb_homes: tables::XORB_HOMES,
    idle: tables::IDLE,
    kept: tables::KEPT,
    pack_xorbs: tables::PACK_XORBS,
    bucket_files: tables::BUCKET_FILES,
    accounts: tables::ACCOUNTS,
    credentials: tables::CREDENTIALS,
    lifecycles: super::lifecycle::LIFECYCLES,
    due: super::lifecycle::DUE,
    indexing: super::lifecycle::INDEXING,
    counters: tables::COUNTERS,
];

/// How many tables are moved row by row.
pub const TABLES: usize = 28;

/// Numbers that many transactions add to, each with what it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes and number of a bucket's objects.
    pub buckets: Vec<(u64, (u64, u64))>,
    /// The same of its versions, and its delete markers.
    pub versions: Vec<(u64, (u64, u64, u64))>,
    /// The end and the live bytes of a pack.
    pub packs: Vec<(u64, (u64, u64))>,
}

/// All rows, in pages.
#[async_trait]
pub trait MovingStore: Send + Sync + 'static {
    /// Rows of a table behind a key, in order; none, if there are no more.
    async fn rows_of(&self, table: usize, after: Option<Vec<u8>>) -> Result<Vec<RawRow>, MetaError>;

    /// Takes rows of a table, with what follows from them here.
    async fn take_rows(&self, table: usize, rows: Vec<RawRow>) -> Result<(), MetaError>;

    /// Numbers that many transactions add to.
    async fn totals(&self) -> Result<Totals, MetaError>;

    /// Takes such numbers.
    async fn take_totals(&self, totals: Totals) -> Result<(), MetaError>;
}

impl Tables<'_> {
    fn take_rows(&mut self, table: usize, rows: &[RawRow]) -> Result<(), Failure> {
        let Some(moved) = MOVED.get(table) else { return Ok(()) };
        (moved.write)(self, rows)?;
        if moved.name == tables::OBJECTS.name() {
            rows.iter().try_for_each(|row| self.took_object(&row.key))?;
        } else if moved.name == tables::XORBS.name() {
            rows.iter().try_for_each(|row| self.took_xorb(row))?;
        }
        Ok(())
    }

    fn took_xorb(&mut self, RawRow { key, value }: &RawRow) -> Result<(), StorageError> {
        let hash: [u8; 32] = key.as_slice().try_into().map_err(|_| damaged())?;
        let hash = XorbHash::from_bytes(hash);
        let row = super::xorbs::decode_xorb(&hash, value)?;
        self.share_chunks(&hash, &row.table)
    }

    fn took_object(&mut self, name: &[u8]) -> Result<(), StorageError> {
        let (bucket, key) = name.split_first_chunk().ok_or_else(damaged)?;
        let key = std::str::from_utf8(key).ok().and_then(|key| ObjectKey::new(key).ok());
        self.enter_folder(BucketUid(u64::from_be_bytes(*bucket)), &key.ok_or_else(damaged)?)
    }

    fn take_totals(&mut self, totals: &Totals) -> Result<(), StorageError> {
        let Totals { buckets, versions, packs } = totals;
        buckets.iter().try_for_each(|(bucket, total)| self.bucket_stats.change_shard(*bucket, |_| *total))?;
        versions
            .iter()
            .try_for_each(|(bucket, total)| self.version_stats.change_shard(*bucket, |_| *total))?;
        packs.iter().try_for_each(|(pack, total)| self.packs.change_shard(*pack, |_| *total))
    }
}

fn damaged() -> StorageError {
    StorageError::Corrupted("the name of a row cannot be read".to_owned())
}

fn totals(snapshot: &ReadTransaction) -> Result<Totals, redb::Error> {
    let mut totals = Totals::default();
    for (bucket, (bytes, objects)) in snapshot.open_table(tables::BUCKET_STATS)?.all_shards()? {
        match totals.buckets.last_mut().filter(|(last, _)| *last == bucket) {
            Some((_, sum)) => *sum = (sum.0.wrapping_add(bytes), sum.1.wrapping_add(objects)),
            None => totals.buckets.push((bucket, (bytes, objects))),
        }
    }
    for (bucket, of) in snapshot.open_table(super::versions::VERSION_STATS)?.all_shards()? {
        match totals.versions.last_mut().filter(|(last, _)| *last == bucket) {
            Some((_, sum)) => {
                *sum = (sum.0.wrapping_add(of.0), sum.1.wrapping_add(of.1), sum.2.wrapping_add(of.2));
            }
            None => totals.versions.push((bucket, of)),
        }
    }
    let packs = super::xorbs::packs(snapshot)?;
    totals.packs = packs.into_iter().map(|pack| (pack.id.0, (pack.committed_end, pack.live_bytes))).collect();
    Ok(totals)
}

#[async_trait]
impl<E: TableEngine> MovingStore for TableMeta<E> {
    async fn rows_of(&self, table: usize, after: Option<Vec<u8>>) -> Result<Vec<RawRow>, MetaError> {
        let Some(moved) = MOVED.get(table) else { return Ok(Vec::new()) };
        let mut rows = self.engine.read(|snapshot| (moved.read)(snapshot, after.as_deref())).await?;
        if moved.name == tables::COUNTERS.name() {
            rows.retain(|row| !OF_NODES.iter().any(|name| name.as_bytes() == row.key));
        }
        Ok(rows)
    }

    async fn take_rows(&self, table: usize, rows: Vec<RawRow>) -> Result<(), MetaError> {
        self.write(move |tables| tables.take_rows(table, &rows)).await
    }

    async fn totals(&self) -> Result<Totals, MetaError> {
        self.engine.read(totals).await
    }

    async fn take_totals(&self, totals: Totals) -> Result<(), MetaError> {
        self.write(move |tables| Ok(tables.take_totals(&totals)?)).await
    }
}
