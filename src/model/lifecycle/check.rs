//! Which rules a bucket may have. Source: Amazon S3 User Guide, "Lifecycle configuration elements"; S3 API reference,
//! `PutBucketLifecycleConfiguration`.

use std::collections::HashSet;

use super::{Expiration, Filter, Lifecycle, Rule};
use crate::model::names::OBJECT_KEY_BYTES_MAX;

/// Most rules of a bucket.
pub const RULES_MAX: usize = 1000;

/// Most characters of a rule's name.
pub const ID_CHARS_MAX: usize = 255;

/// Most versions that a rule keeps beside the current one.
pub const NEWER_VERSIONS_MAX: u32 = 100;

/// Why rules are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleRefused {
    /// They are not as the schema has them.
    #[error("the rules are not well-formed")]
    Malformed,
    /// A value is out of bounds.
    #[error("{0}")]
    Argument(String),
    /// Rules that each for itself may be, but not together.
    #[error("{0}")]
    Request(&'static str),
}

use LifecycleRefused::{Argument, Malformed, Request};

impl Lifecycle {
    /// Whether a bucket may have these rules.
    pub fn check(&self) -> Result<(), LifecycleRefused> {
        if self.rules.is_empty() || self.rules.len() > RULES_MAX {
            return Err(Malformed);
        }
        let mut ids = HashSet::new();
        if !self.rules.iter().all(|rule| ids.insert(&rule.id)) {
            return Err(Argument("Rule ID must be unique. Found same ID for more than one rule".to_owned()));
        }
        self.rules.iter().try_for_each(Rule::check)
    }
}

/// Refuses 0 days.
fn positive(days: u32, what: &str) -> Result<(), LifecycleRefused> {
    if days == 0 { Err(Argument(format!("{what} must be a positive integer"))) } else { Ok(()) }
}

impl Rule {
    fn check(&self) -> Result<(), LifecycleRefused> {
        let Self { id, is_enabled: _, filter, expiration, noncurrent, abort_after_days } = self;
        if id.is_empty() || id.chars().count() > ID_CHARS_MAX {
            return Err(Argument("ID length should not exceed allowed limit of 255".to_owned()));
        }
        filter.check()?;
        match expiration {
            Some(Expiration::Days(days)) => positive(*days, "'Days' for Expiration action")?,
            Some(Expiration::Date(at)) if !at.is_midnight() => {
                return Err(Argument("'Date' must be at midnight GMT".to_owned()));
            }
            Some(Expiration::LoneMarkers(_)) if !filter.tags.is_empty() => {
                return Err(Request("ExpiredObjectDeleteMarker cannot be specified with Tags"));
            }
            _ => {}
        }
        if let Some(noncurrent) = noncurrent {
            positive(noncurrent.days, "'NoncurrentDays' for NoncurrentVersionExpiration action")?;
            if noncurrent.newer_kept > NEWER_VERSIONS_MAX {
                let what = "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action";
                return Err(Argument(format!("{what} must be between 1 and {NEWER_VERSIONS_MAX}")));
            }
        }
        if let Some(days) = abort_after_days {
            positive(*days, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action")?;
            if !filter.tags.is_empty() {
                return Err(Request("AbortIncompleteMultipartUpload cannot be specified with Tags"));
            }
            if filter.larger_than.is_some() || filter.smaller_than.is_some() {
                return Err(Request("AbortIncompleteMultipartUpload cannot be specified with Object Size"));
            }
        }
        if expiration.is_none() && noncurrent.is_none() && abort_after_days.is_none() {
            return Err(Request("At least one action needs to be specified in a rule"));
        }
        Ok(())
    }
}

impl Filter {
    fn check(&self) -> Result<(), LifecycleRefused> {
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > OBJECT_KEY_BYTES_MAX) {
            return Err(Request("The maximum size of a prefix is 1024"));
        }
        match (self.larger_than, self.smaller_than) {
            // There must be a size between them.
            (Some(larger), Some(smaller)) if smaller <= larger.saturating_add(1) => Err(Request(
                "ObjectSizeGreaterThan must be less than ObjectSizeLessThan, with a size between them",
            )),
            _ => Ok(()),
        }
    }
}
