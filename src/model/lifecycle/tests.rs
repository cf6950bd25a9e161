use super::*;
use crate::model::lock::{ObjectLock, Retention, RetentionMode};
use crate::model::object::{Attributes, DeleteMarker, ETag, Object, Version};
use crate::xet::hash::FileHash;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// The 20th day, at ten in the morning.
const MORNING: Timestamp = Timestamp(20 * DAY + 10 * HOUR);

fn object(size: u64, tags: &[(&str, &str)]) -> Object {
    let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Object {
        file: FileHash::EMPTY,
        size,
        etag: ETag::Md5([0; 16]),
        modified_at: MORNING,
        attributes: Attributes { tags, ..Attributes::default() },
        checksums: Vec::new(),
        parts: Vec::new(),
        upload: None,
        version: None,
        lock: ObjectLock::default(),
    }
}

fn rule(id: &str, prefix: &str) -> Rule {
    let (form, prefix) = (FilterForm::Plain, Some(prefix.to_owned()));
    let filter = Filter { form, prefix, tags: BTreeMap::new(), larger_than: None, smaller_than: None };
    Rule {
        id: id.to_owned(),
        is_enabled: true,
        filter,
        expiration: None,
        noncurrent: None,
        abort_after_days: None,
    }
}

fn expiring(id: &str, prefix: &str, days: u32) -> Rule {
    Rule { expiration: Some(Expiration::Days(days)), ..rule(id, prefix) }
}

fn keeping(days: u32, newer_kept: u32) -> Rule {
    Rule { noncurrent: Some(NoncurrentExpiration { days, newer_kept }), ..rule("old", "") }
}

fn in_force(rules: Vec<Rule>) -> RulesInForce {
    let lifecycle = Lifecycle { rules, ..Lifecycle::default() };
    RulesInForce { lifecycle: Arc::new(lifecycle), day: Day::Utc }
}

fn shown(due: Option<Due<'_>>) -> Option<(u64, &str)> {
    due.map(|due| (due.at.0, due.rule))
}

#[test]
fn days_are_rounded_up_to_the_next_midnight() {
    assert_eq!(Day::Utc.after(MORNING, 3), Timestamp(24 * DAY));
    assert_eq!(Day::Utc.after(Timestamp(20 * DAY), 3), Timestamp(24 * DAY), "of midnight, too");
    assert_eq!(Day::Utc.after(Timestamp(20 * DAY - 1), 1), Timestamp(21 * DAY));
    assert_eq!(Day::Debug(2000).after(MORNING, 3), Timestamp(MORNING.0 + 6000));
    assert!(Day::Debug(u64::MAX).after(MORNING, u32::MAX) > MORNING);
}

#[test]
fn a_current_object_is_due_by_the_earliest_rule_that_is_about_it() {
    let mut off = expiring("off", "", 1);
    off.is_enabled = false;
    let rules = in_force(vec![expiring("late", "", 30), off, expiring("soon", "logs/", 2)]);
    assert_eq!(shown(rules.of_current("logs/a", &object(1, &[]))), Some((23 * DAY, "soon")));
    assert_eq!(shown(rules.of_current("a", &object(1, &[]))), Some((51 * DAY, "late")));
    let date = Rule { expiration: Some(Expiration::Date(Timestamp(5 * DAY))), ..rule("past", "x") };
    assert_eq!(shown(in_force(vec![date]).of_current("x", &object(1, &[]))), Some((5 * DAY, "past")));
    let markers = Rule { expiration: Some(Expiration::LoneMarkers(true)), ..rule("markers", "") };
    assert_eq!(in_force(vec![markers, keeping(1, 0)]).of_current("x", &object(1, &[])), None);
}

#[test]
fn a_filter_means_all_of_its_conditions() {
    let mut some = expiring("some", "a", 1);
    some.filter.tags = [("k".to_owned(), "v".to_owned()), ("l".to_owned(), "w".to_owned())].into();
    (some.filter.larger_than, some.filter.smaller_than) = (Some(10), Some(20));
    let rules = in_force(vec![some]);
    let both: [(&str, &str); 3] = [("k", "v"), ("l", "w"), ("m", "x")];
    for (key, size, tags, is_due) in [
        ("a", 11, &both[..], true),
        ("a", 19, &both[..], true),
        ("a", 10, &both[..], false),
        ("a", 20, &both[..], false),
        ("b", 11, &both[..], false),
        ("a", 11, &both[..1], false),
        ("a", 11, &[("k", "v"), ("l", "other")], false),
    ] {
        assert_eq!(rules.of_current(key, &object(size, tags)).is_some(), is_due, "{key} {size} {tags:?}");
    }
    assert_eq!(rules.of_lone_marker("a", MORNING), None, "a marker has neither tags nor a size");
}

#[test]
fn versions_that_are_not_current_are_due_after_days_beyond_those_that_are_kept() {
    let version = Version::Object(Box::new(object(1, &[])));
    let marker = Version::Marker(DeleteMarker { version: None, made_at: MORNING });
    let rules = in_force(vec![keeping(2, 3)]);
    assert_eq!(rules.newer_kept_max(), 3);
    for (newer, is_due) in [(0, false), (2, false), (3, true), (usize::MAX, true)] {
        for version in [&version, &marker] {
            let due = rules.of_noncurrent("k", version, MORNING, newer);
            assert_eq!(shown(due), Some((23 * DAY, "old")).filter(|_| is_due), "{newer}");
        }
    }
    let both = in_force(vec![keeping(9, 0), keeping(1, 2)]);
    assert_eq!(both.of_noncurrent("k", &version, MORNING, 1).unwrap().at, Timestamp(30 * DAY));
    assert_eq!(both.of_noncurrent("k", &version, MORNING, 2).unwrap().at, Timestamp(22 * DAY));
}

#[test]
fn a_locked_version_is_due_when_it_is_free() {
    let rules = in_force(vec![keeping(1, 0)]);
    let locked = |until: u64, legal_hold| {
        let retention = Some(Retention { mode: RetentionMode::Compliance, until: Timestamp(until) });
        let lock = ObjectLock { retention, legal_hold };
        Version::Object(Box::new(Object { lock, ..object(1, &[]) }))
    };
    let due = |version: &Version| rules.of_noncurrent("k", version, MORNING, 0).map(|due| due.at.0);
    assert_eq!(due(&locked(21 * DAY, false)), Some(22 * DAY));
    assert_eq!(due(&locked(90 * DAY, false)), Some(90 * DAY));
    assert_eq!(due(&locked(21 * DAY, true)), None);
}

#[test]
fn a_lone_marker_goes_at_once_or_with_its_days() {
    let with = |expiration| in_force(vec![Rule { expiration: Some(expiration), ..rule("r", "a") }]);
    let at = |expiration| with(expiration).of_lone_marker("a", MORNING).map(|due| due.at.0);
    assert_eq!(at(Expiration::LoneMarkers(true)), Some(MORNING.0));
    assert_eq!(at(Expiration::LoneMarkers(false)), None);
    assert_eq!(at(Expiration::Days(1)), Some(22 * DAY));
    assert_eq!(at(Expiration::Date(Timestamp(3 * DAY))), Some(3 * DAY));
    assert_eq!(with(Expiration::Days(1)).of_lone_marker("b", MORNING), None);
}

#[test]
fn an_upload_is_due_by_its_key_alone() {
    let abort = Rule { abort_after_days: Some(7), ..rule("abort", "a") };
    let rules = in_force(vec![abort, expiring("other", "", 1)]);
    assert_eq!(shown(rules.of_upload("a", MORNING)), Some((28 * DAY, "abort")));
    assert_eq!(rules.of_upload("b", MORNING), None);
}

#[test]
fn rules_that_cannot_be_are_refused() {
    let check = |rules: Vec<Rule>| Lifecycle { rules, ..Lifecycle::default() }.check();
    let changed = |change: &dyn Fn(&mut Rule)| {
        let mut rule = expiring("r", "", 1);
        change(&mut rule);
        check(vec![rule])
    };
    assert_eq!(check(vec![expiring("a", "", 1), keeping(1, 100)]), Ok(()));
    assert_eq!(check(Vec::new()), Err(LifecycleRefused::Malformed));
    assert_eq!(
        check((0..1001).map(|id| expiring(&id.to_string(), "", 1)).collect()),
        Err(LifecycleRefused::Malformed)
    );
    assert_eq!(check((0..1000).map(|id| expiring(&id.to_string(), "", 1)).collect()), Ok(()));
    let argument = |result| matches!(result, Err(LifecycleRefused::Argument(_)));
    let request = |result| matches!(result, Err(LifecycleRefused::Request(_)));
    let tag = |rule: &mut Rule| drop(rule.filter.tags.insert("k".to_owned(), "v".to_owned()));
    assert!(argument(check(vec![expiring("a", "", 1), expiring("a", "x", 1)])));
    assert!(argument(changed(&|rule| rule.id = "i".repeat(256))));
    assert!(argument(changed(&|rule| rule.expiration = Some(Expiration::Days(0)))));
    assert!(argument(changed(&|rule| rule.expiration = Some(Expiration::Date(MORNING)))));
    assert!(argument(changed(&|rule| rule.noncurrent = keeping(0, 1).noncurrent)));
    assert!(argument(changed(&|rule| rule.noncurrent = keeping(1, 101).noncurrent)));
    assert!(argument(changed(&|rule| rule.abort_after_days = Some(0))));
    assert!(request(changed(&|rule| rule.expiration = None)));
    assert!(request(changed(&|rule| rule.filter.prefix = Some("p".repeat(1025)))));
    assert!(request(changed(&|rule| {
        rule.expiration = Some(Expiration::LoneMarkers(true));
        tag(rule);
    })));
    assert!(request(changed(&|rule| {
        rule.abort_after_days = Some(1);
        tag(rule);
    })));
    assert!(request(changed(&|rule| {
        rule.abort_after_days = Some(1);
        rule.filter.larger_than = Some(1);
    })));
    assert!(request(changed(&|rule| {
        (rule.filter.larger_than, rule.filter.smaller_than) = (Some(5), Some(6));
    })));
    assert_eq!(
        changed(&|rule| (rule.filter.larger_than, rule.filter.smaller_than) = (Some(5), Some(7))),
        Ok(())
    );
}
