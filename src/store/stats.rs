//! Figures about a store.

use std::sync::Arc;

use serde::Serialize;

use super::duplicates::{Duplicates, record_bytes};
use super::local::LocalStore;
use super::meta::{AnyObjects, MetaError};
use super::report;

/// Rows looked at together; xorb rows are large.
const PAGE: usize = 256;

/// Why the figures could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The packs could not be listed.
    #[error("listing packs: {0}")]
    Packs(#[from] std::io::Error),
}

/// Figures of one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Buckets.
    pub buckets: u64,
    /// Current objects.
    pub objects: u64,
    /// Their bytes, as clients see them.
    pub logical_bytes: u64,
    /// Objects that are versions and not current.
    pub versions: u64,
    /// Their bytes, as clients see them.
    pub version_bytes: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Running multipart uploads.
    pub uploads: u64,
    /// Bytes of their parts.
    pub upload_bytes: u64,
    /// File records.
    pub files: u64,
    /// Xorbs that file records use.
    pub xorbs: u64,
    /// Their uncompressed bytes.
    pub raw_bytes: u64,
    /// Their bytes in packs.
    pub stored_bytes: u64,
    /// Bytes of the records of distinct chunks in these xorbs.
    pub distinct_bytes: u64,
    /// Bytes of further copies of these chunks: the same chunk stored more than once.
    pub duplicate_bytes: u64,
    /// Xorbs that nothing uses, for gc.
    pub idle_xorbs: u64,
    /// Their bytes in packs.
    pub idle_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Bytes of packs in frames that have no rows, for gc.
    pub dead_bytes: u64,
    /// Bytes of objects, versions and parts for each uncompressed byte stored; 1 if there are none.
    pub dedup_ratio: f64,
    /// Uncompressed bytes for each byte in packs; 1 if there are none.
    pub compression_ratio: f64,
    /// Bytes of the chunk index.
    pub index_bytes: u64,
}

#[expect(clippy::cast_precision_loss, reason = "a ratio is for people")]
fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 1.0 } else { of as f64 / to as f64 }
}

/// Counts everything.
pub async fn stats(store: &LocalStore) -> Result<Stats, StatsError> {
    let view = store.meta.view().await?;
    let counts = view.counts().await?;
    let mut stats = Stats {
        buckets: view.buckets().await?.len() as u64,
        objects: counts.objects,
        uploads: counts.uploads,
        files: counts.files,
        index_bytes: store.index.bytes(),
        ..Stats::default()
    };
    let mut objects = AnyObjects::of(&*view);
    loop {
        let page = objects.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        for any in page {
            if any.is_current {
                stats.logical_bytes += any.object.size;
            } else {
                stats.versions += 1;
                stats.version_bytes += any.object.size;
            }
        }
    }
    for bucket in view.buckets().await? {
        stats.delete_markers += view.version_stats(bucket.uid).await?.delete_markers;
    }
    let mut last = None;
    loop {
        let page = view.parts(last.as_ref(), PAGE).await?;
        stats.upload_bytes += page.iter().map(|(_, part)| part.size).sum::<u64>();
        last = page.into_iter().next_back().map(|(name, _)| name);
        if last.is_none() {
            break;
        }
    }
    let mut duplicates = Duplicates::new(&*view, Arc::clone(&store.index));
    let mut last = None;
    loop {
        let page = view.xorbs(last.as_ref(), PAGE).await?;
        for xorb in &page {
            let bytes = xorb.row.frame_bytes();
            if xorb.uses == 0 {
                stats.idle_xorbs += 1;
                stats.idle_bytes += bytes;
            } else {
                stats.xorbs += 1;
                stats.raw_bytes += u64::from(xorb.row.table.raw_bytes());
                stats.stored_bytes += bytes;
                let copies = record_bytes(&xorb.row.table, &duplicates.of(xorb).await?);
                stats.duplicate_bytes += copies;
                stats.distinct_bytes += u64::from(xorb.row.table.record_bytes()) - copies;
            }
        }
        last = page.last().map(|xorb| xorb.hash);
        if last.is_none() {
            break;
        }
    }
    let packs = store.packs.listed().await?;
    stats.packs = packs.len() as u64;
    stats.pack_bytes = packs.iter().map(|(_, len)| len).sum();
    stats.dead_bytes = stats.pack_bytes.saturating_sub(stats.stored_bytes + stats.idle_bytes);
    stats.dedup_ratio =
        ratio(stats.logical_bytes + stats.version_bytes + stats.upload_bytes, stats.raw_bytes);
    stats.compression_ratio = ratio(stats.raw_bytes, stats.stored_bytes);
    Ok(stats)
}

impl Stats {
    /// The figures for people.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 22] = [
            ("buckets", self.buckets.to_string()),
            ("objects", self.objects.to_string()),
            ("logical bytes", self.logical_bytes.to_string()),
            ("versions", self.versions.to_string()),
            ("version bytes", self.version_bytes.to_string()),
            ("delete markers", self.delete_markers.to_string()),
            ("uploads", self.uploads.to_string()),
            ("upload bytes", self.upload_bytes.to_string()),
            ("files", self.files.to_string()),
            ("xorbs", self.xorbs.to_string()),
            ("raw bytes", self.raw_bytes.to_string()),
            ("stored bytes", self.stored_bytes.to_string()),
            ("distinct bytes", self.distinct_bytes.to_string()),
            ("duplicate bytes", self.duplicate_bytes.to_string()),
            ("idle xorbs", self.idle_xorbs.to_string()),
            ("idle bytes", self.idle_bytes.to_string()),
            ("packs", self.packs.to_string()),
            ("pack bytes", self.pack_bytes.to_string()),
            ("dead bytes", self.dead_bytes.to_string()),
            ("dedup ratio", format!("{:.2}", self.dedup_ratio)),
            ("compression ratio", format!("{:.2}", self.compression_ratio)),
            ("index bytes", self.index_bytes.to_string()),
        ];
        report::table(&rows)
    }
}
