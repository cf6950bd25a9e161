//! The rows of lifecycle rules, and of how far the index over what they make due is filled.

use serde::{Deserialize, Serialize};

use super::Stored;
use super::values::{PairsV1, pairs, texts};
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::lifecycle::{
    Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, Rule, TransitionMinimum,
};
use crate::model::version::Stamp;
use crate::store::meta::lifecycle::{IndexWork, Place};
use crate::store::versioned::{self, StoredError};

const RULES: &str = "a bucket's lifecycle rules";
const WORK: &str = "work on an index of what is due";

#[derive(Serialize, Deserialize)]
enum FormV1 {
    Legacy,
    Plain,
    And,
}

#[derive(Serialize, Deserialize)]
enum ExpirationV1 {
    Days(u32),
    Date(u64),
    LoneMarkers(bool),
}

#[derive(Serialize, Deserialize)]
struct RuleV1<'r> {
    id: &'r str,
    is_enabled: bool,
    form: FormV1,
    prefix: Option<&'r str>,
    #[serde(borrow)]
    tags: PairsV1<'r>,
    larger_than: Option<u64>,
    smaller_than: Option<u64>,
    expiration: Option<ExpirationV1>,
    /// Days, and how many newer ones are kept.
    noncurrent: Option<(u32, u32)>,
    abort_after_days: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct LifecycleV1<'r> {
    #[serde(borrow)]
    rules: Vec<RuleV1<'r>>,
    varies_by_storage_class: bool,
}

impl<'r> From<&'r Rule> for RuleV1<'r> {
    fn from(rule: &'r Rule) -> Self {
        let Rule { id, is_enabled, filter, expiration, noncurrent, abort_after_days } = rule;
        let Filter { form, prefix, tags, larger_than, smaller_than } = filter;
        Self {
            id,
            is_enabled: *is_enabled,
            form: match form {
                FilterForm::Legacy => FormV1::Legacy,
                FilterForm::Plain => FormV1::Plain,
                FilterForm::And => FormV1::And,
            },
            prefix: prefix.as_deref(),
            tags: pairs(tags),
            larger_than: *larger_than,
            smaller_than: *smaller_than,
            expiration: expiration.map(|expiration| match expiration {
                Expiration::Days(days) => ExpirationV1::Days(days),
                Expiration::Date(at) => ExpirationV1::Date(at.0),
                Expiration::LoneMarkers(go) => ExpirationV1::LoneMarkers(go),
            }),
            noncurrent: noncurrent.map(|NoncurrentExpiration { days, newer_kept }| (days, newer_kept)),
            abort_after_days: *abort_after_days,
        }
    }
}

impl From<RuleV1<'_>> for Rule {
    fn from(stored: RuleV1<'_>) -> Self {
        let filter = Filter {
            form: match stored.form {
                FormV1::Legacy => FilterForm::Legacy,
                FormV1::Plain => FilterForm::Plain,
                FormV1::And => FilterForm::And,
            },
            prefix: stored.prefix.map(str::to_owned),
            tags: texts(stored.tags),
            larger_than: stored.larger_than,
            smaller_than: stored.smaller_than,
        };
        Self {
            id: stored.id.to_owned(),
            is_enabled: stored.is_enabled,
            filter,
            expiration: stored.expiration.map(|expiration| match expiration {
                ExpirationV1::Days(days) => Expiration::Days(days),
                ExpirationV1::Date(at) => Expiration::Date(Timestamp(at)),
                ExpirationV1::LoneMarkers(go) => Expiration::LoneMarkers(go),
            }),
            noncurrent: stored.noncurrent.map(|(days, newer_kept)| NoncurrentExpiration { days, newer_kept }),
            abort_after_days: stored.abort_after_days,
        }
    }
}

impl Stored for Lifecycle {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { rules, transition_minimum } = self;
        let row = LifecycleV1 {
            rules: rules.iter().map(Into::into).collect(),
            varies_by_storage_class: *transition_minimum == TransitionMinimum::VariesByStorageClass,
        };
        versioned::encode(RULES, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: LifecycleV1<'_> = match versioned::split(RULES, row)? {
            (1, fields) => versioned::decode(RULES, fields)?,
            (version, _) => return Err(StoredError::unknown_version(RULES, version, 1)),
        };
        let transition_minimum = if stored.varies_by_storage_class {
            TransitionMinimum::VariesByStorageClass
        } else {
            TransitionMinimum::AllStorageClasses
        };
        Ok(Self { rules: stored.rules.into_iter().map(Into::into).collect(), transition_minimum })
    }
}

#[derive(Serialize, Deserialize)]
enum WorkV1<'r> {
    /// Keys are filled in up to this one of this bucket, whose versions are from this stamp on; if that is not 0.
    Keys {
        bucket: u64,
        key: &'r [u8],
        stamp: u64,
    },
    /// Uploads are, up to this one.
    Uploads {
        bucket: u64,
        key: &'r [u8],
        upload: &'r str,
    },
    Empty,
}

impl Stored for IndexWork {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let row = match self {
            Self::Fill(bucket, Place::Keys(key, stamp)) => {
                WorkV1::Keys { bucket: bucket.0, key, stamp: stamp.map_or(0, |stamp| stamp.0) }
            }
            Self::Fill(bucket, Place::Uploads(key, upload)) => {
                WorkV1::Uploads { bucket: bucket.0, key, upload }
            }
            Self::Empty => WorkV1::Empty,
        };
        versioned::encode(WORK, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored = match versioned::split(WORK, row)? {
            (1, fields) => versioned::decode(WORK, fields)?,
            (version, _) => return Err(StoredError::unknown_version(WORK, version, 1)),
        };
        Ok(match stored {
            WorkV1::Keys { bucket, key, stamp } => {
                let stamp = (stamp > 0).then_some(Stamp(stamp));
                Self::Fill(BucketUid(bucket), Place::Keys(key.to_vec(), stamp))
            }
            WorkV1::Uploads { bucket, key, upload } => {
                Self::Fill(BucketUid(bucket), Place::Uploads(key.to_vec(), upload.to_owned()))
            }
            WorkV1::Empty => Self::Empty,
        })
    }
}
