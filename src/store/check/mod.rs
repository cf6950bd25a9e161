//! Check: whether every row points at something that exists, and the reverse.
//!
//! It looks at the rows of one moment ([`crate::store::meta::MetaView`]) while nothing is moved or removed, so
//! requests may go on. It reads the heads and trailers of all frames, but hashes no data: that is scrub's work.
//!
//! Its memory is bounded by looking at hashes in turns ([`Turns`]), each of which reads the rows again.

use std::sync::Arc;

use serde::Serialize;

use super::local::LocalStore;
use super::meta::{MetaError, MetaView};
use super::report;
use super::throttle::{Stopped, Throttle};
use crate::model::bucket::BucketStats;

mod files;
mod folders;
mod holdings;
mod lifecycle;
mod packs;
mod versions;
mod xorbs;

/// Rows looked at together.
const PAGE: usize = 1000;

/// Most findings of one check.
const FINDINGS_MAX: usize = 10_000;

/// Hashes counted in memory at the same time, 48 bytes each.
const HASHES_A_TURN: u64 = 1 << 20;

/// Why a check ended early.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A pack could not be read.
    #[error("reading a pack: {0}")]
    Packs(#[from] std::io::Error),
    /// It was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A worker thread ended early.
    #[error("a worker ended early")]
    Worker(#[from] tokio::task::JoinError),
}

/// Something that is not as it must be. Hashes and names are as they are shown everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// An object of a bucket that does not exist.
    #[error("object {0} is in no bucket")]
    ObjectWithoutBucket(String),
    /// An object or part whose file has no record.
    #[error("{owner} has the file {file}, which has no record")]
    WithoutFile {
        /// The object or part.
        owner: String,
        /// The file.
        file: String,
    },
    /// A part whose upload does not exist.
    #[error("part {number} belongs to upload {upload}, which does not exist")]
    PartWithoutUpload {
        /// The upload.
        upload: String,
        /// The part.
        number: u16,
    },
    /// A use count that is wrong.
    #[error("{what} is used {counted} times, its count says {recorded}")]
    UseCount {
        /// The file or xorb.
        what: String,
        /// How often it is used.
        counted: u64,
        /// What its row says.
        recorded: u64,
    },
    /// A folder whose row is wrong.
    #[error("folder {folder:?} holds {counted} objects, its row says {recorded:?}")]
    Folder {
        /// The folder; of which bucket, its number says.
        folder: String,
        /// How many objects lie directly in it.
        counted: u64,
        /// What its row says, if there is one.
        recorded: Option<u64>,
    },
    /// What a bucket is said to hold is wrong.
    #[error(
        "bucket {bucket} holds {} objects of {} bytes, its row says {} of {}",
        counted.objects, counted.bytes, recorded.objects, recorded.bytes
    )]
    Stats {
        /// The bucket.
        bucket: String,
        /// What it holds.
        counted: BucketStats,
        /// What its row says.
        recorded: BucketStats,
    },
    /// A version that is not where it must be, or is not counted as it must be.
    #[error("version {version}: {what}")]
    BadVersion {
        /// Key and version, or the bucket.
        version: String,
        /// What is wrong.
        what: String,
    },
    /// An index of what is due by lifecycle rules that is not what it must be.
    #[error("lifecycle of bucket {bucket}: {what}")]
    BadLifecycle {
        /// The bucket.
        bucket: String,
        /// What is wrong.
        what: String,
    },
    /// Files that are counted in buckets that have no object of them.
    #[error("{0} files are counted in buckets that have no object of them")]
    StaleHoldings(u64),
    /// Rows of folders that hold nothing.
    #[error("{0} folders that hold nothing have rows")]
    EmptyFolders(u64),
    /// A file record that does not add up.
    #[error("file {file}: {what}")]
    BadFile {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// Rows about a xorb that contradict each other.
    #[error("xorb {xorb}: {what}")]
    BadXorb {
        /// The xorb.
        xorb: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pack that is not what the rows say.
    #[error("pack {pack}: {what}")]
    BadPack {
        /// The pack.
        pack: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What a check has looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Objects looked at.
    pub objects: u64,
    /// Parts looked at.
    pub parts: u64,
    /// File records looked at.
    pub files: u64,
    /// Xorbs looked at.
    pub xorbs: u64,
    /// Packs walked.
    pub packs: u64,
    /// Frames found in them.
    pub frames: u64,
    /// What is not as it must be, the first of them if there are very many.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether everything is as it must be.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The report for people: the figures, and a line for each finding.
    pub fn table(&self) -> String {
        let rows: [(&str, String); 7] = [
            ("objects", self.objects.to_string()),
            ("parts", self.parts.to_string()),
            ("files", self.files.to_string()),
            ("xorbs", self.xorbs.to_string()),
            ("packs", self.packs.to_string()),
            ("frames", self.frames.to_string()),
            ("findings", self.findings.len().to_string()),
        ];
        let findings = self.findings.iter().map(|finding| report::visible(&finding.to_string()) + "\n");
        report::table(&rows) + &findings.collect::<String>()
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Which hashes are counted in which turn.
#[derive(Debug, Clone, Copy)]
struct Turns {
    all: u64,
    this: u64,
}

impl Turns {
    fn of(hashes: u64) -> impl Iterator<Item = Self> {
        let all = hashes / HASHES_A_TURN + 1;
        (0..all).map(move |this| Self { all, this })
    }

    fn has(self, words: [u64; 4]) -> bool {
        words[0] % self.all == self.this
    }

    /// Whether this turn is the one that looks at what needs no counting.
    fn is_first(self) -> bool {
        self.this == 0
    }
}

/// Checks everything. The throttle counts the packs that are read.
pub async fn check(store: &Arc<LocalStore>, throttle: &Throttle) -> Result<CheckReport, CheckError> {
    let _alone = store.upkeep.lock().await;
    let view: Arc<dyn MetaView> = store.meta.view().await?.into();
    let mut report = CheckReport::default();
    let counts = view.counts().await?;
    for turn in Turns::of(counts.files) {
        throttle.spend(0).await?;
        files::check_uses(&*view, turn, &mut report).await?;
    }
    if let Some(rows) = counts.folders {
        folders::check(&*view, rows, &mut report).await?;
    }
    holdings::check(&*view, counts.bucket_files, &mut report).await?;
    versions::check(&*view, &mut report).await?;
    lifecycle::check(&*view, throttle, &mut report).await?;
    for turn in Turns::of(counts.xorbs) {
        throttle.spend(0).await?;
        xorbs::check(&*view, turn, &mut report).await?;
    }
    packs::check(store, &view, throttle, &mut report).await?;
    Ok(report)
}
