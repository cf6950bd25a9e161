//! [`XorbRows`]: the rows of xorbs, cached.
//!
//! Invariant: a row that a transaction has removed or moved before [`XorbRows::forget`] was called is never answered
//! afterwards; also not one that was being read from the metadata meanwhile.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::meta::{FramePlace, MetaError, MetaStore};
use super::metrics::StoreMetrics;
use super::rows::XorbRow;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// Xorb rows kept in memory. A full one has 1,000 chunks of 40 bytes, so the cache stays near 20 MiB.
const ROWS_CACHED: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");

/// A xorb's row, its table shared apart from it: the engine asks for tables only.
pub struct LocatedXorb {
    /// Where it lies.
    pub place: FramePlace,
    /// Its chunks.
    pub table: Arc<ChunkTable>,
}

impl From<XorbRow> for LocatedXorb {
    fn from(row: XorbRow) -> Self {
        Self { place: row.place(), table: Arc::new(row.table) }
    }
}

struct Cache {
    rows: LruCache<XorbHash, Arc<LocatedXorb>>,
    /// How often rows were forgotten.
    forgotten: u64,
}

/// The rows of a store's xorbs.
pub struct XorbRows {
    meta: Arc<dyn MetaStore>,
    cache: Mutex<Cache>,
    metrics: Arc<StoreMetrics>,
}

impl XorbRows {
    /// The rows in `meta`.
    pub fn new(meta: Arc<dyn MetaStore>, metrics: Arc<StoreMetrics>) -> Self {
        let cache = Cache { rows: LruCache::new(ROWS_CACHED), forgotten: 0 };
        Self { meta, cache: Mutex::new(cache), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a xorb lies, if it is there.
    pub async fn get(&self, xorb: &XorbHash) -> Result<Option<Arc<LocatedXorb>>, MetaError> {
        let forgotten = {
            let mut cache = self.lock();
            if let Some(row) = cache.rows.get(xorb) {
                self.metrics.rows_hit.add(1);
                return Ok(Some(Arc::clone(row)));
            }
            cache.forgotten
        };
        self.metrics.rows_missed.add(1);
        let Some(row) = self.meta.xorb(xorb).await? else {
            return Ok(None);
        };
        let row = Arc::new(LocatedXorb::from(row));
        let mut cache = self.lock();
        if cache.forgotten == forgotten {
            cache.rows.put(*xorb, Arc::clone(&row));
        }
        Ok(Some(row))
    }

    /// Drops rows that a transaction has changed.
    pub fn forget<'x>(&self, xorbs: impl IntoIterator<Item = &'x XorbHash>) {
        let mut cache = self.lock();
        cache.forgotten += 1;
        for xorb in xorbs {
            cache.rows.pop(xorb);
        }
    }
}
