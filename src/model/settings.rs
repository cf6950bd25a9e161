//! What is kept about a bucket beside its row: read only by the requests that are about it.
//!
//! Each setting is a row of its own, so that one more setting changes no stored row.

use std::collections::BTreeMap;

use super::lifecycle::Lifecycle;
use super::lock::BucketLock;
use super::version::Versioning;

/// Tags of an object or a bucket.
pub type Tags = BTreeMap<String, String>;

/// Which pages of other origins may use a bucket from a browser. Source: S3 API reference, `CORSRule`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorsRule {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// `GET`, `PUT`, `HEAD`, `POST`, `DELETE`.
    pub allowed_methods: Vec<String>,
    /// Request headers, each with at most one `*`.
    pub allowed_headers: Vec<String>,
    /// Response headers that the page may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer, in seconds.
    pub max_age_secs: Option<i32>,
}

/// Which ways of making a bucket public are blocked. Source: S3 API reference, `PublicAccessBlockConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "S3's four switches, which are told apart by name")]
pub struct PublicAccessBlock {
    /// ACLs that make public are refused.
    pub block_public_acls: bool,
    /// ACLs that make public have no effect.
    pub ignore_public_acls: bool,
    /// Policies that make public are refused.
    pub block_public_policy: bool,
    /// Policies that make public have no effect for anonymous callers.
    pub restrict_public_buckets: bool,
}

/// All settings of a bucket; each is at its default until it is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketSettings {
    /// Its tags.
    pub tags: Tags,
    /// Its CORS rules, the first that fits decides.
    pub cors: Vec<CorsRule>,
    /// Its public access block, if it was given one.
    pub public_access_block: Option<PublicAccessBlock>,
    /// Its object lock, if its versions can be locked.
    pub object_lock: Option<BucketLock>,
}

/// A change of one setting; a default value takes the setting away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketChange {
    /// Its tags.
    Tags(Tags),
    /// Its CORS rules.
    Cors(Vec<CorsRule>),
    /// Its public access block.
    PublicAccessBlock(Option<PublicAccessBlock>),
    /// Its lifecycle rules, which must be ones that a bucket may have.
    Lifecycle(Option<Lifecycle>),
    /// Whether the bucket keeps versions from now on; once it does, it can only be suspended, and not even that if it has
    /// an object lock.
    Versioning(Versioning),
    /// Its object lock, which can be given to a bucket that keeps versions, and never be taken away.
    ObjectLock(BucketLock),
}
