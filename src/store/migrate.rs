//! Moving a whole store: from a data folder into a cluster, and back.
//!
//! Nobody uses either store meanwhile. Packs go first, under the names that they have, then all rows, and the row that names the
//! store last: if it is cut off before, the packs there belong to a store that there is not, and nobody opens them. The store
//! that is moved stays as it was.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::joining::{JoinError, must_be_new};
use super::local::{LocalStore, OpenError, check_store_id};
use super::meta::{EmbeddedMeta, MOVED_TABLES, MetaError, MetaStore, PackRow, PostgresAddress, PostgresMeta};
use super::pack::object::{ObjectAddress, ObjectPacks, ObjectPacksError, Owner};
use super::pack::{LocalPacks, PackStore};
use super::report;
use super::throttle::{Stopped, Throttle};
use crate::model::clock::Ambient;

/// Bytes read and written at a time.
const PIECE_BYTES: u64 = 8 << 20;

/// Where a store is moved to.
pub enum Place<'a> {
    /// A data folder; its packs are in it, or in an object store.
    Folder(&'a Path, Option<&'a ObjectAddress>),
    /// A cluster.
    Cluster(&'a PostgresAddress, &'a ObjectAddress),
}

/// Why a store was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The folder holds something.
    #[error("{0} is not empty: name a new folder with `data_dir`")]
    NotEmpty(PathBuf),
    /// The database holds something.
    #[error(
        "`metadata.url`: the database has tables of xetgate already: name a new one, or another `metadata.schema`"
    )]
    NotNew,
    /// Others use the store.
    #[error("{0} may change it meanwhile: stop all nodes first")]
    InUse(String),
    /// What is moved is not the same any more.
    #[error("rows have been changed while they were moved: stop all nodes first")]
    Changed,
    /// The metadata.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A data folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A cluster.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Packs in an object store.
    #[error(transparent)]
    ObjectPacks(#[from] ObjectPacksError),
    /// A pack or a folder.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What was moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MigrateReport {
    /// Packs.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Rows of the metadata.
    pub rows: u64,
}

impl MigrateReport {
    /// The report for people.
    pub fn table(&self) -> String {
        report::table(&[
            ("packs", self.packs.to_string()),
            ("pack bytes", self.pack_bytes.to_string()),
            ("rows", self.rows.to_string()),
        ])
    }
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> MigrateError {
    move |error| MigrateError::Io { doing, error }
}

/// A store that is being made of another.
pub struct Target {
    meta: Arc<dyn MetaStore>,
    packs: Arc<dyn PackStore>,
}

impl Target {
    /// Takes a place that is new, for the store of this id. Needs a runtime, and blocks.
    pub fn make(place: &Place<'_>, store_id: u64, ambient: &Ambient) -> Result<Self, MigrateError> {
        let owner = Owner { store_id, has_packs: false };
        match place {
            Place::Folder(folder, packs) => {
                let is_empty = std::fs::read_dir(folder).map_or(true, |mut inside| inside.next().is_none());
                if !is_empty {
                    return Err(MigrateError::NotEmpty(folder.to_path_buf()));
                }
                let connected = packs.map(ObjectAddress::connect).transpose()?;
                let inside = folder.join("packs");
                std::fs::create_dir_all(&inside).map_err(failed("making the data folder"))?;
                let packs: Arc<dyn PackStore> = if let Some(place) = connected {
                    Arc::new(ObjectPacks::open(place, &inside, owner, ambient)?)
                } else {
                    check_store_id(&inside, store_id)?;
                    Arc::new(LocalPacks::open(&inside).map_err(failed("opening the packs"))?)
                };
                let meta = EmbeddedMeta::open(&folder.join("meta.redb"))?;
                Ok(Self { meta: Arc::new(meta), packs })
            }
            Place::Cluster(database, packs) => {
                if !must_be_new(database, packs, ambient)? {
                    return Err(MigrateError::NotNew);
                }
                let meta = block_on(PostgresMeta::open(database, ambient))?;
                let (token, now) = (hex::encode(ambient.random::<16>()), ambient.clock.now());
                let meta: Arc<dyn MetaStore> = Arc::new(meta);
                let epochs = block_on(meta.note_epoch(&token, now))?;
                let clock = Arc::clone(&ambient.clock);
                let packs = ObjectPacks::join(packs.connect()?, store_id, epochs, token, clock)?;
                Ok(Self { meta, packs: Arc::new(packs) })
            }
        }
    }
}

/// Refuses a store that other nodes use. Those that were killed are taken for dead on the way.
async fn must_be_alone(store: &LocalStore) -> Result<(), MigrateError> {
    let asked = store.peers.advance(&*store.meta).await?;
    store.peers.wait(&*store.meta, asked).await?;
    // Of a cluster, one is this command.
    let nodes = store.meta.nodes().await?;
    if nodes.len() > 1 {
        let names: Vec<_> = nodes.into_iter().map(|node| node.node.name).collect();
        return Err(MigrateError::InUse(names.join(", ")));
    }
    Ok(())
}

/// Moves a store.
pub async fn migrate(
    store: &LocalStore,
    target: &Target,
    throttle: &Throttle,
) -> Result<MigrateReport, MigrateError> {
    must_be_alone(store).await?;
    let mut moved = MigrateReport::default();
    for row in store.meta.packs().await? {
        moved.packs += 1;
        moved.pack_bytes += row.committed_end;
        move_pack(store, target, row, throttle).await?;
    }
    let totals = store.meta.totals().await?;
    target.meta.take_totals(totals.clone()).await?;
    for table in 0..MOVED_TABLES {
        let mut after = None;
        loop {
            throttle.spend(0).await?;
            let rows = store.meta.rows_of(table, after).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            moved.rows += rows.len() as u64;
            target.meta.take_rows(table, rows).await?;
        }
    }
    if store.meta.totals().await? != totals || target.meta.totals().await? != totals {
        return Err(MigrateError::Changed);
    }
    Ok(moved)
}

/// Copies what is committed of a pack.
async fn move_pack(
    store: &LocalStore,
    target: &Target,
    PackRow { id, committed_end, .. }: PackRow,
    throttle: &Throttle,
) -> Result<(), MigrateError> {
    let mut writer = target.packs.create(id).map_err(failed("making a pack"))?;
    let mut at = 0;
    while at < committed_end {
        let piece = PIECE_BYTES.min(committed_end - at);
        throttle.spend(piece).await?;
        let packs = Arc::clone(&store.packs);
        let copying = spawn_blocking(move || {
            writer.append(&packs.read(id, at, piece as usize)?)?;
            Ok::<_, io::Error>(writer)
        });
        let copied = copying.await.map_err(io::Error::other).and_then(|copied| copied);
        writer = copied.map_err(failed("copying a pack"))?;
        at += piece;
    }
    let syncing = spawn_blocking(move || writer.sync());
    syncing.await.map_err(io::Error::other).and_then(|synced| synced).map_err(failed("finishing a pack"))
}
