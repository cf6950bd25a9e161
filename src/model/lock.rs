//! Object lock: how long a version may not be deleted, no matter who asks. Source: Amazon S3 User Guide, "Locking objects with
//! Object Lock".

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

    /// Whether the retention may not become this one at `now`. One that is over may become any; to make one longer is
    /// always allowed.
    pub fn forbids_retention(
        &self,
        new: Option<Retention>,
        now: Timestamp,
        bypasses_governance: bool,
    ) -> bool {
        let Some(present) = self.retention.filter(|present| present.binds(now, bypasses_governance)) else {
            return false;
        };
        let is_stricter = |new: Retention| {
            new.until >= present.until && (new.mode == present.mode || new.mode == RetentionMode::Compliance)
        };
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
            (until(Governance, 2000), Some(until(Compliance, 2000)), false, false),
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
