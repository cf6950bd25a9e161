//! Conditions that a request sets on the present object: [`ReadCondition`] on one that is only looked at (reads, and the
//! sources of copies), [`WriteCondition`] on one that is replaced or deleted, checked in the write's transaction.
//!
//! Order and precedence: RFC 9110, section 13.2.2, which S3 follows.

use super::clock::Timestamp;
use super::object::{ETag, Object};

/// Which `ETag`s a condition means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ETagCondition {
    /// `*`: any object.
    Any,
    /// One of these, without quotes.
    OneOf(Vec<String>),
}

impl ETagCondition {
    /// Whether it means this one.
    pub fn matches(&self, etag: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(wanted) => wanted.contains(&etag.to_string()),
        }
    }
}

/// Under what condition a change is made; checked in the transaction that makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteCondition {
    /// The present object must match; [`WriteRefused::NoObject`] if there is none.
    pub if_match: Option<ETagCondition>,
    /// The present object, if there is one, must not match.
    pub if_none_match: Option<ETagCondition>,
}

/// Why a write's condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteRefused {
    /// `If-Match`, and there is no object.
    NoObject,
    /// The present object's `ETag` is not one that must match, or is one that must not.
    ETag,
}

impl WriteCondition {
    /// Checks the condition against the present object.
    pub fn check(&self, present: Option<&ETag>) -> Result<(), WriteRefused> {
        if let Some(wanted) = &self.if_match {
            let etag = present.ok_or(WriteRefused::NoObject)?;
            if !wanted.matches(etag) {
                return Err(WriteRefused::ETag);
            }
        }
        match (&self.if_none_match, present) {
            (Some(unwanted), Some(etag)) if unwanted.matches(etag) => Err(WriteRefused::ETag),
            _ => Ok(()),
        }
    }
}

/// Conditions on the object looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadCondition {
    /// On its `ETag`.
    pub etag: WriteCondition,
    /// It must have been written later; seconds since the epoch.
    pub if_modified_since: Option<i64>,
    /// It must not have been written later; seconds since the epoch.
    pub if_unmodified_since: Option<i64>,
}

/// Which condition does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// The object is another than the one asked for (`If-Match`, `If-Unmodified-Since`).
    Other,
    /// The object is one that the client has already (`If-None-Match`, `If-Modified-Since`).
    Known,
}

impl ReadCondition {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the object is as asked.
    pub fn check(&self, object: &Object) -> Result<(), Unmet> {
        let matches = |condition: &ETagCondition| condition.matches(&object.etag);
        // A date counts only without an `ETag` beside it.
        let may_be_used = match (&self.etag.if_match, self.if_unmodified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(since)) => secs(object.modified_at) <= since,
            (None, None) => true,
        };
        let is_known = match (&self.etag.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(since)) => secs(object.modified_at) <= since,
            (None, None) => false,
        };
        match (may_be_used, is_known) {
            (false, _) => Err(Unmet::Other),
            (true, true) => Err(Unmet::Known),
            (true, false) => Ok(()),
        }
    }
}

/// `If-Range`: the range is of use only if the object is still the one that the client has a part of; otherwise the
/// whole of it is wanted. Source: RFC 9110, section 13.1.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfRange {
    /// It has this `ETag`, without quotes.
    ETag(String),
    /// It was last written at this second since the epoch.
    Date(u64),
    /// A weak `ETag`, or what is neither an `ETag` nor a date: it is known of no object.
    Never,
}

impl IfRange {
    /// Reads the header's value. Quotes may be missing, as clients leave them out.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(etag) = text.strip_prefix('"') {
            return etag.strip_suffix('"').map_or(Self::Never, |etag| Self::ETag(etag.to_owned()));
        }
        if text.starts_with("W/") {
            return Self::Never;
        }
        if let Ok(date) = httpdate::parse_http_date(text) {
            let since = date.duration_since(std::time::UNIX_EPOCH);
            return since.map_or(Self::Never, |since| Self::Date(since.as_secs()));
        }
        let is_tag = !text.is_empty() && !text.contains(char::is_whitespace);
        if is_tag { Self::ETag(text.to_owned()) } else { Self::Never }
    }

    /// Whether the object with this `ETag` (without quotes, as the API that is asked shows it) and time of writing is
    /// the one meant.
    pub fn holds(&self, etag: &str, modified_at: Timestamp) -> bool {
        match self {
            Self::ETag(known) => known == etag,
            Self::Date(at) => *at == modified_at.secs(),
            Self::Never => false,
        }
    }
}

/// HTTP's dates know whole seconds.
fn secs(at: Timestamp) -> i64 {
    i64::try_from(at.secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lock::ObjectLock;
    use crate::model::object::Attributes;
    use crate::xet::hash::FileHash;

    fn object() -> Object {
        Object {
            file: FileHash::EMPTY,
            size: 0,
            etag: ETag::Md5([0; 16]),
            modified_at: Timestamp(1_000_500),
            attributes: Attributes::default(),
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
            version: None,
            lock: ObjectLock::default(),
        }
    }

    fn etags(if_match: Option<&str>, if_none_match: Option<&str>) -> ReadCondition {
        let one = |etag: Option<&str>| etag.map(|etag| ETagCondition::OneOf(vec![etag.to_owned()]));
        let etag = WriteCondition { if_match: one(if_match), if_none_match: one(if_none_match) };
        ReadCondition { etag, ..ReadCondition::default() }
    }

    const ZEROS: &str = "00000000000000000000000000000000";

    #[test]
    fn etags_tell_the_object_asked_for_from_the_one_known() {
        assert_eq!(etags(Some(ZEROS), None).check(&object()), Ok(()));
        assert_eq!(etags(Some("x"), None).check(&object()), Err(Unmet::Other));
        assert_eq!(etags(None, Some(ZEROS)).check(&object()), Err(Unmet::Known));
        assert_eq!(etags(None, Some("x")).check(&object()), Ok(()));
        assert_eq!(etags(Some("x"), Some(ZEROS)).check(&object()), Err(Unmet::Other));
    }

    #[test]
    fn a_range_is_wanted_of_the_very_object_that_a_part_is_known_of() {
        let holds = |text: &str| IfRange::parse(text).holds("abc", Timestamp(784_111_777_900));
        assert!(holds("\"abc\""));
        assert!(holds("abc"));
        assert!(holds("Sun, 06 Nov 1994 08:49:37 GMT"));
        for other in [
            "\"abd\"",
            "W/\"abc\"",
            "\"abc",
            "\"abc\", \"abd\"",
            "*",
            "",
            "Sun, 06 Nov 1994 08:49:38 GMT",
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "yesterday at noon",
        ] {
            assert!(!holds(other), "{other:?}");
        }
    }

    #[test]
    fn dates_count_in_whole_seconds_and_only_without_etags() {
        let modified = |since| ReadCondition { if_modified_since: Some(since), ..ReadCondition::default() };
        assert_eq!(modified(1000).check(&object()), Err(Unmet::Known));
        assert_eq!(modified(999).check(&object()), Ok(()));
        let unmodified =
            |since| ReadCondition { if_unmodified_since: Some(since), ..ReadCondition::default() };
        assert_eq!(unmodified(1000).check(&object()), Ok(()));
        assert_eq!(unmodified(999).check(&object()), Err(Unmet::Other));
        let both = ReadCondition { if_unmodified_since: Some(999), ..etags(Some(ZEROS), None) };
        assert_eq!(both.check(&object()), Ok(()));
        let both = ReadCondition { if_modified_since: Some(1000), ..etags(None, Some("x")) };
        assert_eq!(both.check(&object()), Ok(()));
    }
}
