//! The rows of buckets and of their settings.

use serde::{Deserialize, Serialize};

use super::Stored;
use super::values::{PairsV1, RetentionModeV1, VisibilityV1, name, pairs, texts};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::clock::Timestamp;
use crate::model::lock::{BucketLock, DefaultRetention, RetentionPeriod};
use crate::model::names::{BucketId, BucketName, Namespace};
use crate::model::settings::{CorsRule, PublicAccessBlock, Tags};
use crate::model::version::Versioning;
use crate::store::versioned::{self, StoredError};

const BUCKET: &str = "a bucket";
const TAGS: &str = "a bucket's tags";
const CORS: &str = "a bucket's CORS rules";
const BLOCK: &str = "a bucket's public access block";
const LOCK: &str = "a bucket's object lock";

#[derive(Serialize, Deserialize)]
struct BucketV1<'r> {
    uid: u64,
    namespace: &'r str,
    name: &'r str,
    visibility: VisibilityV1,
    created_at: u64,
}

/// What a row of version 2 says after the fields of version 1. A bucket that never kept versions has a row of version 1.
#[derive(Serialize, Deserialize)]
enum VersioningV2 {
    Enabled,
    Suspended,
}

impl Stored for Bucket {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        // Rules have rows of their own.
        let Self { uid, id, visibility, created_at, versioning, lifecycle: _ } = self;
        let row = BucketV1 {
            uid: uid.0,
            namespace: id.namespace.as_str(),
            name: id.name.as_str(),
            visibility: (*visibility).into(),
            created_at: created_at.0,
        };
        let versioning = match versioning {
            Versioning::Off => return versioned::encode(BUCKET, 1, &row),
            Versioning::Enabled => VersioningV2::Enabled,
            Versioning::Suspended => VersioningV2::Suspended,
        };
        versioned::append(BUCKET, versioned::encode(BUCKET, 2, &row)?, &versioning)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let (stored, versioning): (BucketV1<'_>, _) = match versioned::split(BUCKET, row)? {
            (1, fields) => (versioned::decode(BUCKET, fields)?, Versioning::Off),
            (2, fields) => {
                let (stored, rest) = versioned::take(BUCKET, fields)?;
                let versioning = match versioned::decode(BUCKET, rest)? {
                    VersioningV2::Enabled => Versioning::Enabled,
                    VersioningV2::Suspended => Versioning::Suspended,
                };
                (stored, versioning)
            }
            (version, _) => return Err(StoredError::unknown_version(BUCKET, version, 2)),
        };
        let id = BucketId {
            namespace: name(BUCKET, Namespace::new(stored.namespace))?,
            name: name(BUCKET, BucketName::new(stored.name))?,
        };
        Ok(Self {
            uid: BucketUid(stored.uid),
            id,
            visibility: stored.visibility.into(),
            created_at: Timestamp(stored.created_at),
            versioning,
            lifecycle: None,
        })
    }
}

impl Stored for Tags {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        versioned::encode(TAGS, 1, &pairs(self))
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        match versioned::split(TAGS, row)? {
            (1, fields) => Ok(texts(versioned::decode::<PairsV1<'_>>(TAGS, fields)?)),
            (version, _) => Err(StoredError::unknown_version(TAGS, version, 1)),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct CorsRuleV1 {
    id: Option<String>,
    allowed_origins: Vec<String>,
    allowed_methods: Vec<String>,
    allowed_headers: Vec<String>,
    expose_headers: Vec<String>,
    max_age_secs: Option<i32>,
}

impl From<CorsRule> for CorsRuleV1 {
    fn from(rule: CorsRule) -> Self {
        let CorsRule { id, allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_secs } =
            rule;
        Self { id, allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_secs }
    }
}

impl From<CorsRuleV1> for CorsRule {
    fn from(stored: CorsRuleV1) -> Self {
        let CorsRuleV1 {
            id,
            allowed_origins,
            allowed_methods,
            allowed_headers,
            expose_headers,
            max_age_secs,
        } = stored;
        Self { id, allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_secs }
    }
}

impl Stored for Vec<CorsRule> {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let rules: Vec<CorsRuleV1> = self.iter().cloned().map(Into::into).collect();
        versioned::encode(CORS, 1, &rules)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        match versioned::split(CORS, row)? {
            (1, fields) => {
                let rules: Vec<CorsRuleV1> = versioned::decode(CORS, fields)?;
                Ok(rules.into_iter().map(Into::into).collect())
            }
            (version, _) => Err(StoredError::unknown_version(CORS, version, 1)),
        }
    }
}

/// In the order of the fields of a [`PublicAccessBlock`].
type PublicAccessBlockV1 = [bool; 4];

impl Stored for PublicAccessBlock {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets } =
            *self;
        let row: PublicAccessBlockV1 =
            [block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets];
        versioned::encode(BLOCK, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: PublicAccessBlockV1 = match versioned::split(BLOCK, row)? {
            (1, fields) => versioned::decode(BLOCK, fields)?,
            (version, _) => return Err(StoredError::unknown_version(BLOCK, version, 1)),
        };
        let [block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets] = stored;
        Ok(Self { block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets })
    }
}

#[derive(Serialize, Deserialize)]
enum PeriodV1 {
    Days(u32),
    Years(u32),
}

/// The default retention, if there is one.
type BucketLockV1 = Option<(RetentionModeV1, PeriodV1)>;

impl Stored for BucketLock {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let row: BucketLockV1 = self.default_retention.map(|DefaultRetention { mode, period }| {
            let period = match period {
                RetentionPeriod::Days(days) => PeriodV1::Days(days),
                RetentionPeriod::Years(years) => PeriodV1::Years(years),
            };
            (mode.into(), period)
        });
        versioned::encode(LOCK, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: BucketLockV1 = match versioned::split(LOCK, row)? {
            (1, fields) => versioned::decode(LOCK, fields)?,
            (version, _) => return Err(StoredError::unknown_version(LOCK, version, 1)),
        };
        let default_retention = stored.map(|(mode, period)| {
            let period = match period {
                PeriodV1::Days(days) => RetentionPeriod::Days(days),
                PeriodV1::Years(years) => RetentionPeriod::Years(years),
            };
            DefaultRetention { mode: mode.into(), period }
        });
        Ok(Self { default_retention })
    }
}
