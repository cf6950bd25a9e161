//! Conditions on reads and on copy sources. Those on writes are checked below, in the write's transaction.
//!
//! Order and precedence: RFC 9110, section 13.2.2, which S3 follows.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::header::{ETAG, LAST_MODIFIED};
use s3s::{S3Error, S3Result, s3_error};

use crate::bucket::{BucketError, ETagCondition, Object, Timestamp};

use super::asked::Conditions;
use super::errors::with_header;

/// Reads `*` or a list of `ETag`s; quotes may be missing, as clients leave them out.
pub(super) fn parse_etags(text: &str) -> ETagCondition {
    let strip = |etag: &str| {
        let etag = etag.trim();
        etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
    };
    match text.trim() {
        "*" => ETagCondition::Any,
        list => ETagCondition::OneOf(list.split(',').map(strip).collect()),
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::OneOf(etags) => etags.contains(&object.etag.to_string()),
    }
}

impl Conditions {
    /// Whether none is asked.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the conditions of a read.
    pub(super) fn check_read(&self, object: &Object) -> S3Result<()> {
        if !self.may_be_used(object) {
            return Err(BucketError::PreconditionFailed.into());
        }
        if self.is_unwanted(object) { Err(not_modified(object)) } else { Ok(()) }
    }

    /// Checks the conditions of a copy source, where nothing is answered with "not modified".
    pub(super) fn check_source(&self, object: &Object) -> S3Result<()> {
        if !self.may_be_used(object) || self.is_unwanted(object) {
            return Err(BucketError::PreconditionFailed.into());
        }
        Ok(())
    }

    /// `If-Match`, and only without it `If-Unmodified-Since`.
    fn may_be_used(&self, object: &Object) -> bool {
        match (&self.etag.if_match, self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, object),
            (None, Some(since)) => secs(object.modified_at) <= since,
            (None, None) => true,
        }
    }

    /// `If-None-Match`, and only without it `If-Modified-Since`.
    fn is_unwanted(&self, object: &Object) -> bool {
        match (&self.etag.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches(condition, object),
            (None, Some(since)) => secs(object.modified_at) <= since,
            (None, None) => false,
        }
    }
}

fn secs(at: Timestamp) -> i64 {
    i64::try_from(at.secs()).unwrap_or(i64::MAX)
}

fn not_modified(object: &Object) -> S3Error {
    let error = with_header(s3_error!(NotModified), ETAG, &format!("\"{}\"", object.etag));
    with_header(error, LAST_MODIFIED, &http_date(object.modified_at))
}

/// A time as HTTP headers write it.
pub(super) fn http_date(at: Timestamp) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Attributes, ETag, FileHash, WriteCondition};

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
        }
    }

    fn of(if_match: Option<&str>, if_none_match: Option<&str>) -> Conditions {
        let etag = WriteCondition {
            if_match: if_match.map(parse_etags),
            if_none_match: if_none_match.map(parse_etags),
        };
        Conditions { etag, ..Conditions::default() }
    }

    fn status(result: S3Result<()>) -> u16 {
        result.map_or_else(|error| error.status_code().map_or(0, |status| status.as_u16()), |()| 200)
    }

    const ZEROS: &str = "\"00000000000000000000000000000000\"";

    #[test]
    fn etag_conditions_of_reads() {
        assert_eq!(status(of(Some(ZEROS), None).check_read(&object())), 200);
        assert_eq!(status(of(Some(ZEROS.trim_matches('"')), None).check_read(&object())), 200);
        assert_eq!(status(of(Some("*"), None).check_read(&object())), 200);
        assert_eq!(status(of(Some("\"x\""), None).check_read(&object())), 412);
        assert_eq!(status(of(None, Some(ZEROS)).check_read(&object())), 304);
        assert_eq!(status(of(None, Some("\"x\"")).check_read(&object())), 200);
        assert_eq!(status(of(None, Some(ZEROS)).check_source(&object())), 412);
    }

    #[test]
    fn dates_count_in_whole_seconds_and_only_without_etags() {
        let modified = |since| Conditions { if_modified_since: Some(since), ..Conditions::default() };
        assert_eq!(status(modified(1000).check_read(&object())), 304);
        assert_eq!(status(modified(999).check_read(&object())), 200);
        let unmodified = |since| Conditions { if_unmodified_since: Some(since), ..Conditions::default() };
        assert_eq!(status(unmodified(1000).check_read(&object())), 200);
        assert_eq!(status(unmodified(999).check_read(&object())), 412);
        let both = Conditions { if_unmodified_since: Some(999), ..of(Some(ZEROS), None) };
        assert_eq!(status(both.check_read(&object())), 200);
    }

    #[test]
    fn not_modified_tells_etag_and_date() {
        let error = not_modified(&object());
        assert_eq!(error.headers().unwrap()[ETAG], ZEROS);
        assert_eq!(error.headers().unwrap()[LAST_MODIFIED], "Thu, 01 Jan 1970 00:16:40 GMT");
    }
}
