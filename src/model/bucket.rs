//! Buckets: their identity, who may read them, how much is in them.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::lifecycle::RulesInForce;
use super::names::BucketId;
use super::version::Versioning;

/// A bucket's identity inside one store; stays when the bucket is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketUid(pub u64);

/// Who may read a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Only those whose credential allows it.
    #[default]
    Private,
    /// Everyone.
    Public,
}

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its identity in this store.
    pub uid: BucketUid,
    /// Its name.
    pub id: BucketId,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// Its lifecycle rules, if it has any; `None` in listings.
    pub lifecycle: Option<RulesInForce>,
}

/// How much is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BucketStats {
    /// The sizes of its objects together.
    pub bytes: u64,
    /// How many objects there are.
    pub objects: u64,
}

/// How much the versions of a bucket are that are not its current objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct VersionStats {
    /// Their sizes together.
    pub bytes: u64,
    /// How many of them are objects.
    pub objects: u64,
    /// How many are delete markers.
    pub delete_markers: u64,
}
