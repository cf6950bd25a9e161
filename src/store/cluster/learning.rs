//! What a node learns of chunks that others have written, for its own chunk index.
//!
//! It tells the others at once which xorbs it has written, and hears of theirs each second, and when an upload begins. Of what
//! it has not heard, because it was not there or has lost its index, it asks the database: for the first chunk of a file, and
//! for one in a thousand others, as a Xet client asks a server. Who knows one knows its company at once ([`company`]), so the
//! rest of a file is found too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::member::BEAT_EVERY;
use crate::store::company::company;
use crate::store::index::{ChunkHint, ChunkIndex};
use crate::store::located::XorbRows;
use crate::store::meta::{MetaError, MetaStore, News, NewsRead};
use crate::store::metrics::StoreMetrics;
use crate::store::rows::StoredXorb;
use crate::xet::hash::{ChunkHash, XorbHash};

/// Most xorbs that are told of together; those beyond are found by asking. A row of half a megabyte.
const TOLD_MAX: usize = 16_384;

/// What is written within so long is told of together.
const GATHERED: Duration = Duration::from_millis(100);

/// News are there for so long at least, and longer where little is written: who is slower asks.
const NEWS_KEPT: Duration = Duration::from_secs(30);

/// Who has heard the news so long ago need not hear them again.
const FRESH: Duration = Duration::from_millis(50);

/// An upload waits for news so long at most.
const PATIENCE: Duration = Duration::from_millis(300);

/// Rows of xorbs that are read at the same time.
const READ_TOGETHER: usize = 8;

/// What a node tells others, and learns of them.
pub struct Learning {
    /// The epoch of its packs.
    epoch: u32,
    meta: Arc<dyn MetaStore>,
    index: Arc<dyn ChunkIndex>,
    rows: Arc<XorbRows>,
    metrics: Arc<StoreMetrics>,
    /// What is to be told.
    written: Mutex<VecDeque<XorbHash>>,
    has_written: Notify,
    heard: tokio::sync::Mutex<Heard>,
}

/// How far the news were heard.
#[derive(Default)]
struct Heard {
    read: NewsRead,
    at: Option<Instant>,
}

impl Learning {
    /// Of the node of this epoch.
    pub fn new(
        epoch: u32,
        meta: Arc<dyn MetaStore>,
        index: Arc<dyn ChunkIndex>,
        rows: Arc<XorbRows>,
        metrics: Arc<StoreMetrics>,
    ) -> Self {
        let (written, has_written, heard) = (Mutex::default(), Notify::new(), tokio::sync::Mutex::default());
        Self { epoch, meta, index, rows, metrics, written, has_written, heard }
    }

    /// Takes note of xorbs that this node has written. One of a single chunk is found by its name.
    pub fn wrote(&self, xorbs: &[StoredXorb]) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for xorb in xorbs.iter().filter(|xorb| xorb.row.table.len() > 1) {
            if written.len() == TOLD_MAX {
                written.pop_front();
            }
            written.push_back(xorb.hash);
            self.has_written.notify_one();
        }
    }

    /// Where another node has this chunk; asks the database.
    pub async fn ask(&self, chunk: &ChunkHash) -> Result<Option<ChunkHint>, MetaError> {
        self.metrics.chunks_asked.add(1);
        let Some(xorb) = self.meta.shared_chunk(chunk).await? else { return Ok(None) };
        let Some(row) = self.rows.get(&xorb).await? else { return Ok(None) };
        let place = (0..).zip(row.table.entries()).find(|(_, entry)| entry.hash == *chunk);
        let Some((index, _)) = place else { return Ok(None) };
        self.metrics.chunks_shared.add(1);
        self.learn(company(&*self.meta, xorb, index).await?).await?;
        Ok(Some(ChunkHint { xorb, index }))
    }

    /// Hears the latest news, unless that was just done: an upload begins that may share chunks with the one before, which
    /// another node has taken. Does not wait for long.
    pub async fn catch_up(&self) {
        let heard = tokio::time::timeout(PATIENCE, self.hear(FRESH)).await;
        if let Ok(Err(error)) = heard {
            debug!(%error, "news of chunks have to wait");
        }
    }

    /// Tells and hears news until it is dropped.
    pub(super) async fn exchange(self: Arc<Self>) {
        tokio::join!(self.tell_all(), async {
            loop {
                if let Err(error) = self.hear(Duration::ZERO).await {
                    debug!(%error, "news of chunks have to wait");
                }
                tokio::time::sleep(BEAT_EVERY).await;
            }
        });
    }

    async fn tell_all(&self) {
        for number in 1.. {
            self.has_written.notified().await;
            tokio::time::sleep(GATHERED).await;
            let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
            let kept = NEWS_KEPT.as_millis() / GATHERED.as_millis();
            let forget_before = u64::saturating_sub(number, kept as u64);
            let told = self.meta.tell(self.epoch, number, News(written.into()), forget_before).await;
            if let Err(error) = told {
                debug!(%error, "others will not hear of some chunks");
            }
        }
    }

    async fn hear(&self, fresh: Duration) -> Result<(), MetaError> {
        // One hears for all who wait.
        let mut heard = self.heard.lock().await;
        if heard.at.is_some_and(|at| at.elapsed() < fresh) {
            return Ok(());
        }
        let (at, mut read) = (Instant::now(), heard.read.clone());
        let told = self.meta.news(self.epoch, &mut read).await?;
        let xorbs = told.len() as u64;
        self.learn(told).await?;
        self.metrics.xorbs_heard.add(xorbs);
        *heard = Heard { read, at: Some(at) };
        Ok(())
    }

    /// Lets the chunk index know the chunks of xorbs.
    async fn learn(&self, xorbs: Vec<XorbHash>) -> Result<(), MetaError> {
        let rows = stream::iter(xorbs).map(|xorb| async move {
            let row = self.meta.xorb(&xorb).await?;
            Ok::<_, MetaError>(row.map(|row| (xorb, row)))
        });
        let mut rows = std::pin::pin!(rows.buffered(READ_TOGETHER));
        while let Some(row) = rows.try_next().await? {
            let Some((xorb, row)) = row else { continue };
            if let Err(error) = self.index.add(&xorb, &row.table) {
                debug!(%error, %xorb, "its chunks will not be found");
            }
        }
        Ok(())
    }
}
