//! What is due, by which rule, and when.

use super::{Expiration, Filter, Rule, RulesInForce};
use crate::model::clock::Timestamp;
use crate::model::lock::ObjectLock;
use crate::model::object::{Object, Version};

/// How long a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Day {
    /// 24 hours, and what is due is due at midnight in UTC.
    #[default]
    Utc,
    /// So many milliseconds, to the millisecond. For tests.
    Debug(u64),
}

impl Day {
    /// When so many days are over. AWS rounds up to the next midnight, which is never the moment itself.
    pub fn after(self, from: Timestamp, days: u32) -> Timestamp {
        match self {
            Self::Utc => {
                let midnights = from.0 / Timestamp::DAY_MILLIS + u64::from(days) + 1;
                Timestamp(midnights.saturating_mul(Timestamp::DAY_MILLIS))
            }
            Self::Debug(ms) => Timestamp(from.0.saturating_add(ms.saturating_mul(days.into()))),
        }
    }
}

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'r> {
    /// From when on.
    pub at: Timestamp,
    /// The rule's name.
    pub rule: &'r str,
}

impl Filter {
    fn has_key(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    }

    fn has_object(&self, key: &str, object: &Object) -> bool {
        let tags = &object.attributes.tags;
        self.has_key(key)
            && self.larger_than.is_none_or(|bytes| object.size > bytes)
            && self.smaller_than.is_none_or(|bytes| object.size < bytes)
            && self.tags.iter().all(|(name, value)| tags.get(name) == Some(value))
    }

    /// A delete marker or an upload has neither tags nor a size.
    fn has_bare(&self, key: &str) -> bool {
        self.has_key(key) && self.tags.is_empty() && self.larger_than.is_none() && self.smaller_than.is_none()
    }

    fn has_version(&self, key: &str, version: &Version) -> bool {
        match version {
            Version::Object(object) => self.has_object(key, object),
            Version::Marker(_) => self.has_bare(key),
        }
    }
}

impl RulesInForce {
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.lifecycle.rules.iter().filter(|rule| rule.is_enabled)
    }

    /// The earliest of the times at which rules make something due. Of several rules, the first.
    fn first<'r>(&'r self, time: impl Fn(&'r Rule) -> Option<Timestamp>) -> Option<Due<'r>> {
        let all = self.enabled().filter_map(|rule| Some(Due { at: time(rule)?, rule: &rule.id }));
        all.min_by_key(|due| due.at)
    }

    /// When a current object expires. Where versions are kept it stays then, behind a delete marker.
    pub fn of_current(&self, key: &str, object: &Object) -> Option<Due<'_>> {
        self.first(|rule| {
            let expiration = rule.expiration.filter(|_| rule.filter.has_object(key, object))?;
            match expiration {
                Expiration::Days(days) => Some(self.day.after(object.modified_at, days)),
                Expiration::Date(at) => Some(at),
                Expiration::LoneMarkers(_) => None,
            }
        })
    }

    /// When a delete marker goes that is all there is of its key.
    pub fn of_lone_marker(&self, key: &str, made_at: Timestamp) -> Option<Due<'_>> {
        self.first(|rule| {
            let expiration = rule.expiration.filter(|_| rule.filter.has_bare(key))?;
            match expiration {
                Expiration::Days(days) => Some(self.day.after(made_at, days)),
                Expiration::Date(at) => Some(at),
                Expiration::LoneMarkers(go) => go.then_some(made_at),
            }
        })
    }

    /// When a version goes that is not current since then, and than which so many are newer that are not current either.
    /// One that is locked goes when it no longer is, and one under a legal hold never.
    pub fn of_noncurrent(
        &self,
        key: &str,
        version: &Version,
        since: Timestamp,
        newer: usize,
    ) -> Option<Due<'_>> {
        let lock = match version {
            Version::Object(object) => object.lock,
            Version::Marker(_) => ObjectLock::default(),
        };
        let locked_until = lock.retention.map_or(Timestamp(0), |retention| retention.until);
        if lock.legal_hold {
            return None;
        }
        let due = self.first(|rule| {
            let expiration = rule.noncurrent.filter(|_| rule.filter.has_version(key, version))?;
            let is_surplus = newer >= expiration.newer_kept as usize;
            is_surplus.then(|| self.day.after(since, expiration.days))
        })?;
        Some(Due { at: due.at.max(locked_until), ..due })
    }

    /// When an upload is aborted that is not completed by then.
    pub fn of_upload(&self, key: &str, created_at: Timestamp) -> Option<Due<'_>> {
        self.first(|rule| {
            let days = rule.abort_after_days.filter(|_| rule.filter.has_bare(key))?;
            Some(self.day.after(created_at, days))
        })
    }

    /// The most versions that a rule keeps beside the current one: the place of any beyond it changes nothing.
    pub fn newer_kept_max(&self) -> usize {
        let kept = self.enabled().filter_map(|rule| rule.noncurrent).map(|expiration| expiration.newer_kept);
        kept.max().unwrap_or(0) as usize
    }
}
