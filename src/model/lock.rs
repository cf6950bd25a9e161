//! Object lock: how long a version may not be deleted, no matter who asks. Source: Amazon S3 User Guide, "Locking objects with
//! Object Lock".

use time::{Duration, OffsetDateTime};

use super::clock::Timestamp;

/// Who may end a retention before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionMode {
    /// Callers with a special permission who ask for it.
    Governance,
    /// Nobody.
    Compliance,
}

/// A version may not be deleted until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Who may end it.
    pub mode: RetentionMode,
    /// When it ends.
    pub until: Timestamp,
}

/// How long a default retention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionPeriod {
    /// Days of 24 hours.
    Days(u32),
    /// Years of the calendar.
    Years(u32),
}

/// How versions of a bucket are retained whose writers do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultRetention {
    /// Who may end it.
    pub mode: RetentionMode,
    /// How long it is.
    pub period: RetentionPeriod,
}

impl DefaultRetention {
    /// The retention of a version that is written then.
    pub fn from(self, at: Timestamp) -> Retention {
        let until = match self.period {
            RetentionPeriod::Days(days) => {
                Timestamp(at.0.saturating_add(u64::from(days) * Timestamp::DAY_MILLIS))
            }
            RetentionPeriod::Years(years) => {
                let roughly = at.0.saturating_add(u64::from(years) * 366 * Timestamp::DAY_MILLIS);
                years_later(at, years).unwrap_or(Timestamp(roughly))
            }
        };
        Retention { mode: self.mode, until }
    }
}

/// The same day some years later; of a 29th of February where there is none, the day after. `None` beyond the calendar.
fn years_later(at: Timestamp, years: u32) -> Option<Timestamp> {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok()?;
    let year = date.year().checked_add(i32::try_from(years).ok()?)?;
    let later = date.replace_year(year).or_else(|_| (date + Duration::DAY).replace_year(year)).ok()?;
    u64::try_from(later.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}

/// The object lock of a bucket: its versions can be locked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketLock {
    /// How versions are retained whose writers do not say; not at all, if there is none.
    pub default_retention: Option<DefaultRetention>,
}

/// A change of what keeps a version from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockChange {
    /// Its retention.
    Retention {
        /// The new one.
        retention: Option<Retention>,
        /// Whether the caller may make a governance retention laxer, and asks for it.
        bypasses_governance: bool,
    },
    /// Whether it is under a legal hold.
    LegalHold(bool),
}

/// What keeps a version from being deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// Until a time.
    pub retention: Option<Retention>,
    /// Until it is lifted.
    pub legal_hold: bool,
}

impl ObjectLock {
    /// Whether the version may not be deleted at `now`, by a caller who may bypass governance or not.
    pub fn forbids_delete(&self, now: Timestamp, bypasses_governance: bool) -> bool {
        self.legal_hold || self.retention.is_some_and(|retention| retention.binds(now, bypasses_governance))
    }

    /// Whether the retention may not become this one at `now`. One that is over may become any; to make one longer, in
    /// the same mode, is always allowed.
    pub fn forbids_retention(
        &self,
        new: Option<Retention>,
        now: Timestamp,
        bypasses_governance: bool,
    ) -> bool {
        let Some(present) = self.retention.filter(|present| present.binds(now, bypasses_governance)) else {
            return false;
        };
        let is_stricter = |new: Retention| new.until >= present.until && new.mode == present.mode;
        !new.is_some_and(is_stricter)
    }
}

impl Retention {
    fn binds(&self, now: Timestamp, bypasses_governance: bool) -> bool {
        let is_bypassed = bypasses_governance && self.mode == RetentionMode::Governance;
        now < self.until && !is_bypassed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1000);

    fn until(mode: RetentionMode, until: u64) -> Retention {
        Retention { mode, until: Timestamp(until) }
    }

    fn locked(retention: Retention) -> ObjectLock {
        ObjectLock { retention: Some(retention), legal_hold: false }
    }

    #[test]
    fn a_default_retention_is_days_or_years_of_the_calendar() {
        let end = |period, at| {
            DefaultRetention { mode: RetentionMode::Governance, period }.from(Timestamp(at)).until.0
        };
        assert_eq!(end(RetentionPeriod::Days(2), 5), 172_800_005);
        let date = |date: &str| {
            let date = OffsetDateTime::parse(date, &time::format_description::well_known::Rfc3339).unwrap();
            u64::try_from(date.unix_timestamp()).unwrap() * 1000
        };
        for (at, years, until) in [
            ("2027-03-01T01:02:03Z", 1, "2028-03-01T01:02:03Z"),
            ("2028-02-29T01:02:03Z", 4, "2032-02-29T01:02:03Z"),
            ("2028-02-29T01:02:03Z", 1, "2029-03-01T01:02:03Z"),
        ] {
            assert_eq!(end(RetentionPeriod::Years(years), date(at)), date(until), "{at}");
        }
        assert!(end(RetentionPeriod::Years(100), u64::MAX / 2) > u64::MAX / 2);
    }

    #[test]
    fn what_is_locked_is_not_deleted() {
        use RetentionMode::{Compliance, Governance};
        assert!(!ObjectLock::default().forbids_delete(NOW, false));
        let held = ObjectLock { legal_hold: true, ..ObjectLock::default() };
        assert!(held.forbids_delete(NOW, true), "nobody bypasses a hold");
        for (lock, bypass, forbidden) in [
            (until(Governance, 1001), false, true),
            (until(Governance, 1001), true, false),
            (until(Governance, 1000), false, false),
            (until(Compliance, 1001), true, true),
            (until(Compliance, 1000), false, false),
        ] {
            assert_eq!(locked(lock).forbids_delete(NOW, bypass), forbidden, "{lock:?}, {bypass}");
        }
    }

    #[test]
    fn a_retention_becomes_stricter_and_not_laxer() {
        use RetentionMode::{Compliance, Governance};
        for (old, new, bypass, forbidden) in [
            (until(Governance, 2000), Some(until(Governance, 3000)), false, false),
            (until(Governance, 2000), Some(until(Governance, 1500)), false, true),
            (until(Governance, 2000), Some(until(Governance, 1500)), true, false),
            (until(Governance, 2000), None, false, true),
            (until(Governance, 2000), None, true, false),
            (until(Governance, 2000), Some(until(Compliance, 2000)), false, true),
            (until(Governance, 2000), Some(until(Compliance, 2000)), true, false),
            (until(Compliance, 2000), Some(until(Compliance, 1999)), true, true),
            (until(Compliance, 2000), Some(until(Governance, 9000)), true, true),
            (until(Compliance, 2000), Some(until(Compliance, 2001)), false, false),
            (until(Compliance, 1000), None, false, false),
        ] {
            assert_eq!(
                locked(old).forbids_retention(new, NOW, bypass),
                forbidden,
                "{old:?} {new:?} {bypass}"
            );
        }
    }
}
