//! Lifecycle: the rules by which a bucket's objects, versions and uploads end by themselves. Source: Amazon S3 User Guide,
//! "Lifecycle configuration elements".
//!
//! What is due, and when, is in [`due`]; which rules a bucket may have, in [`check`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Timestamp;

mod check;
mod due;
#[cfg(test)]
mod tests;

pub use check::{ID_CHARS_MAX, LifecycleRefused, NEWER_VERSIONS_MAX, RULES_MAX};
pub use due::{Day, Due};

/// A bucket's rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// The rules.
    pub rules: Vec<Rule>,
    /// How small objects would be transitioned. Nothing ever is, so it only comes back as it was given.
    pub transition_minimum: TransitionMinimum,
}

/// Which small objects no transition applies to. Source: S3 API reference, `TransitionDefaultMinimumObjectSize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransitionMinimum {
    /// Those of less than 128 KiB, in all storage classes.
    #[default]
    AllStorageClasses,
    /// That depends on the storage class.
    VariesByStorageClass,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, another one for each rule of a bucket.
    pub id: String,
    /// Whether it is followed.
    pub is_enabled: bool,
    /// What it is about.
    pub filter: Filter,
    /// When current objects and lone delete markers end.
    pub expiration: Option<Expiration>,
    /// When versions end that are not current.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// In how many days an upload is aborted that is not completed.
    pub abort_after_days: Option<u32>,
}

/// How a filter was written, so that it comes back in the same way; it means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterForm {
    /// As the rule's own `Prefix`, which came before filters.
    Legacy,
    /// As a `Filter` with a condition or none.
    Plain,
    /// As the `And` of a `Filter`.
    And,
}

/// What a rule is about: all that meets every condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// How it was written.
    pub form: FilterForm,
    /// How keys begin; `None` is as good as empty.
    pub prefix: Option<String>,
    /// Tags that an object has.
    pub tags: BTreeMap<String, String>,
    /// How many bytes it has more than.
    pub larger_than: Option<u64>,
    /// How many bytes it has fewer than.
    pub smaller_than: Option<u64>,
}

/// When current objects end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiration {
    /// So many days after they were written; a lone delete marker likewise.
    Days(u32),
    /// From then on, a midnight in UTC; a lone delete marker likewise.
    Date(Timestamp),
    /// Never; but a lone delete marker at once, if this is true.
    LoneMarkers(bool),
}

/// When versions end that are not current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoncurrentExpiration {
    /// So many days after the next version was written.
    pub days: u32,
    /// But only those than which so many are newer that are not current either.
    pub newer_kept: u32,
}

/// A bucket's rules, and how long a day is for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RulesInForce {
    /// The rules.
    pub lifecycle: Arc<Lifecycle>,
    /// A day.
    pub day: Day,
}
