//! How the store is looked after in the background.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Config;
use crate::model::lifecycle::Day;
use crate::store::gc::GcOptions;
use crate::store::lifecycle::LifecycleOptions;
use crate::store::upkeep::UpkeepOptions;

/// Multipart uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadsConfig {
    /// Uploads begun longer ago, in days, are aborted.
    pub expire_days: u64,
}

impl Default for UploadsConfig {
    fn default() -> Self {
        Self { expire_days: 7 }
    }
}

/// Garbage collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcConfig {
    /// Rest between passes; 0 for none in the background.
    pub interval_secs: u64,
    /// Bytes a second that a pass may move; 0 for no limit.
    pub bytes_per_sec: u64,
    /// What came in or was announced through the CAS API is kept so many days after that, even if nothing uses it:
    /// the published client refers to what it has once uploaded for three weeks, without asking.
    pub cas_grace_days: u64,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self { interval_secs: 600, bytes_per_sec: 100_000_000, cas_grace_days: 21 }
    }
}

/// Scrubbing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrubConfig {
    /// Rest between scrubs of the whole store; 0 for none in the background.
    pub interval_secs: u64,
    /// Bytes a second that a scrub may read; 0 for no limit.
    pub bytes_per_sec: u64,
}

impl Default for ScrubConfig {
    fn default() -> Self {
        Self { interval_secs: 7 * 24 * 3600, bytes_per_sec: 20_000_000 }
    }
}

/// Following lifecycle rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleConfig {
    /// Rest between passes; 0 for none in the background.
    pub interval_secs: u64,
    /// Objects, versions and uploads ended a second at most; 0 for no limit.
    pub ended_per_sec: u64,
    /// For tests: so many seconds are a day, without midnights; 0 for days of 24 hours.
    pub debug_day_secs: u64,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self { interval_secs: 3600, ended_per_sec: 1000, debug_day_secs: 0 }
    }
}

impl LifecycleConfig {
    /// How rules are followed in the background.
    pub fn options(&self) -> LifecycleOptions {
        LifecycleOptions {
            interval: unless_zero(self.interval_secs).map(Duration::from_secs),
            per_sec: unless_zero(self.ended_per_sec),
        }
    }

    /// How long a day is for rules.
    pub fn day(&self) -> Day {
        unless_zero(self.debug_day_secs).map_or(Day::Utc, |secs| Day::Debug(secs.saturating_mul(1000)))
    }
}

/// A number where 0 stands for none.
fn unless_zero(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

impl Config {
    /// How the store is looked after; a scrub's place is saved in `scrub_file`.
    pub fn upkeep(&self, scrub_file: &Path) -> UpkeepOptions {
        UpkeepOptions {
            gc: GcOptions { expire_uploads_after: Some(self.uploads_expire()), ..GcOptions::default() },
            gc_interval: unless_zero(self.gc.interval_secs).map(Duration::from_secs),
            gc_bytes_per_sec: unless_zero(self.gc.bytes_per_sec),
            scrub_interval: unless_zero(self.scrub.interval_secs).map(Duration::from_secs),
            scrub_bytes_per_sec: unless_zero(self.scrub.bytes_per_sec),
            scrub_file: Some(scrub_file.to_owned()),
        }
    }

    /// How long what came in through the CAS API is kept after that.
    pub fn cas_grace(&self) -> Duration {
        Duration::from_hours(24 * self.gc.cas_grace_days)
    }

    /// How long an upload may run.
    pub fn uploads_expire(&self) -> Duration {
        Duration::from_hours(24 * self.uploads.expire_days)
    }
}
