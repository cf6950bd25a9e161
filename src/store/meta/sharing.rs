//! [`SharingStore`]: how nodes learn of each other's chunks, beside what each remembers of its own.
//!
//! | row | says | for |
//! |---|---|---|
//! | shared chunk | a xorb that has it; of one chunk in a thousand, and of the first of each xorb | who has the chunk, and does not know it |
//! | news | the xorbs that a node has written in a second | who is there and listens |
//!
//! All of it is hints: what they lead to is looked at before it is relied on, and what is lost costs deduplication, not data.

use std::collections::HashMap;

use async_trait::async_trait;

use super::MetaError;
use super::kv::{ReadTransaction, ReadableTable as _, TableDefinition};
use super::nodes::NODES;
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{Failure, Row, Tables, decode, encode};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// chunk hash -> a xorb that has it
pub(super) const SHARED_CHUNKS: TableDefinition<[u8; 32], [u8; 32]> = TableDefinition::new("shared_chunks");
/// (epoch of a node, number) -> [`News`]
pub(super) const NEWS: TableDefinition<(u64, u64), Row> = TableDefinition::new("news");

/// Xorbs that a node has written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News(pub Vec<XorbHash>);

/// How far the news of each node were read, by its epoch.
pub type NewsRead = HashMap<u32, u64>;

/// What nodes tell each other of their chunks.
#[async_trait]
pub trait SharingStore: Send + Sync + 'static {
    /// A xorb that may have this chunk. Only of chunks that are shared; never of a store that one process has for itself.
    async fn shared_chunk(&self, chunk: &ChunkHash) -> Result<Option<XorbHash>, MetaError>;

    /// Tells others of xorbs; news of this node before that number are forgotten. [`MetaError::NodeEnded`] if it was taken for
    /// dead.
    async fn tell(&self, epoch: u32, number: u64, news: News, forget_before: u64) -> Result<(), MetaError>;

    /// What other nodes have told since, in the order in which they did; `read` takes note of it.
    async fn news(&self, own: u32, read: &mut NewsRead) -> Result<Vec<XorbHash>, MetaError>;
}

/// The chunks of a xorb that others can ask for. A xorb of one chunk has its name.
fn shared(table: &ChunkTable) -> impl Iterator<Item = &ChunkHash> {
    let chunks = table.entries().iter().map(|entry| &entry.hash).enumerate();
    let is_one = table.len() == 1;
    chunks
        .filter(move |(at, chunk)| !is_one && (*at == 0 || chunk.is_dedup_eligible()))
        .map(|(_, chunk)| chunk)
}

impl Tables<'_> {
    /// Lets other nodes find a xorb.
    pub(super) fn share_chunks(
        &mut self,
        xorb: &XorbHash,
        table: &ChunkTable,
    ) -> Result<(), redb::StorageError> {
        if self.is_remote() {
            for chunk in shared(table) {
                self.shared_chunks.insert(chunk.as_bytes(), xorb.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Lets nobody find a xorb that is gone.
    pub(super) fn unshare_chunks(
        &mut self,
        xorb: &XorbHash,
        table: &ChunkTable,
    ) -> Result<(), redb::StorageError> {
        if self.is_remote() {
            for chunk in shared(table) {
                let is_this = self.shared_chunks.get(chunk.as_bytes())?;
                if is_this.is_some_and(|shared| shared.value() == *xorb.as_bytes()) {
                    self.shared_chunks.remove(chunk.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// The news behind what was read, and how far they go.
fn unread(
    snapshot: &ReadTransaction,
    own: u32,
    read: &NewsRead,
) -> Result<(Vec<XorbHash>, NewsRead), redb::Error> {
    let (nodes, news) = (snapshot.open_table(NODES)?, snapshot.open_table(NEWS)?);
    let (mut told, mut now_read) = (Vec::new(), NewsRead::new());
    for node in nodes.all()? {
        let epoch = node?.0.value();
        let named = u32::try_from(epoch).unwrap_or(u32::MAX);
        if named == own {
            continue;
        }
        let mut last = read.get(&named).copied().unwrap_or(0);
        for entry in news.range((epoch, last + 1)..=(epoch, u64::MAX))? {
            let (name, row) = entry?;
            last = name.value().1;
            told.extend(decode::<News>(row.value())?.0);
        }
        now_read.insert(named, last);
    }
    Ok((told, now_read))
}

#[async_trait]
impl<E: TableEngine> SharingStore for TableMeta<E> {
    async fn shared_chunk(&self, chunk: &ChunkHash) -> Result<Option<XorbHash>, MetaError> {
        self.engine
            .read(|snapshot| {
                // Both are asked for at once.
                let shared = snapshot.open_table(SHARED_CHUNKS)?.get(chunk.as_bytes())?;
                let whole = snapshot.open_table(super::tables::XORBS)?.get(chunk.as_bytes())?.is_some();
                let shared = shared.map(|xorb| XorbHash::from_bytes(xorb.value()));
                Ok(shared.or_else(|| whole.then(|| XorbHash::from_bytes(*chunk.as_bytes()))))
            })
            .await
    }

    async fn tell(&self, epoch: u32, number: u64, news: News, forget_before: u64) -> Result<(), MetaError> {
        self.write(move |tables| {
            let epoch = u64::from(epoch);
            // Nobody would ever remove what one tells who is not there.
            if tables.nodes.get(epoch)?.is_none() {
                return Err(MetaError::NodeEnded.into());
            }
            tables.news.remove_in((epoch, 0)..(epoch, forget_before))?;
            tables.news.insert((epoch, number), encode(&news)?.as_slice())?;
            Ok::<_, Failure>(())
        })
        .await
    }

    async fn news(&self, own: u32, read: &mut NewsRead) -> Result<Vec<XorbHash>, MetaError> {
        let (told, now_read) = self.engine.read(|snapshot| unread(snapshot, own, read)).await?;
        *read = now_read;
        Ok(told)
    }
}
