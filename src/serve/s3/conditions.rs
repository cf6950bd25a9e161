//! Conditions as S3 writes and answers them; what they mean is the bucket's.

use std::time::{Duration, UNIX_EPOCH};

use axum::http::HeaderMap;
use httpdate::HttpDate;
use s3s::{S3Error, S3Result, dto, s3_error};

use crate::bucket::{BucketError, ETagCondition, Object, ReadCondition, Timestamp, Unmet, WriteCondition};

use super::errors::not_implemented;
use super::object_headers::add_validators;

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

/// Checks the conditions of a read.
pub(super) fn check_read(condition: &ReadCondition, object: &Object) -> S3Result<()> {
    condition.check(object).map_err(|unmet| match unmet {
        Unmet::Other => BucketError::PreconditionFailed.into(),
        Unmet::Known => not_modified(object),
    })
}

/// The conditions of a write. Conditions by date are refused: S3 has none, and if they were ignored, the client would
/// believe that they protect the object.
pub(super) fn of_write(condition: ReadCondition) -> S3Result<WriteCondition> {
    let ReadCondition { etag, if_modified_since, if_unmodified_since } = condition;
    let by_date = [(if_modified_since, "If-Modified-Since"), (if_unmodified_since, "If-Unmodified-Since")];
    match by_date.into_iter().find(|(date, _)| date.is_some()) {
        Some((_, name)) => Err(not_implemented(&format!("The header {name} of a request that writes"))),
        None => Ok(etag),
    }
}

fn not_modified(object: &Object) -> S3Error {
    let mut error = s3_error!(NotModified);
    let mut headers = HeaderMap::new();
    add_validators(&mut headers, object);
    error.set_headers(headers);
    error
}

/// A time as HTTP headers write it.
pub(super) fn http_date(at: Timestamp) -> HttpDate {
    HttpDate::from(UNIX_EPOCH + Duration::from_secs(at.secs()))
}

/// A time as answers in XML write it: in whole seconds, as HTTP's headers do, so that a client which compares a listing
/// with a read finds the same. S3 writes `.000Z` everywhere.
pub(super) fn whole_seconds(at: Timestamp) -> dto::Timestamp {
    (UNIX_EPOCH + Duration::from_secs(at.secs())).into()
}

#[cfg(test)]
mod tests {
    use axum::http::header::{ETAG, LAST_MODIFIED};

    use super::*;
    use crate::bucket::{Attributes, ETag, FileHash};
    use crate::model::lock::ObjectLock;

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

    fn status(if_match: Option<&str>, if_none_match: Option<&str>) -> u16 {
        let (if_match, if_none_match) = (if_match.map(parse_etags), if_none_match.map(parse_etags));
        let etag = WriteCondition { if_match, if_none_match };
        let checked = check_read(&ReadCondition { etag, ..ReadCondition::default() }, &object());
        checked.map_or_else(|error| error.status_code().map_or(0, |status| status.as_u16()), |()| 200)
    }

    const ZEROS: &str = "\"00000000000000000000000000000000\"";

    #[test]
    fn etags_of_reads_come_in_all_forms() {
        assert_eq!(status(Some(ZEROS), None), 200);
        assert_eq!(status(Some(ZEROS.trim_matches('"')), None), 200);
        assert_eq!(status(Some(&format!("\"x\", W/{ZEROS}")), None), 200);
        assert_eq!(status(Some("*"), None), 200);
        assert_eq!(status(Some("\"x\""), None), 412);
        assert_eq!(status(None, Some(ZEROS)), 304);
        assert_eq!(status(None, Some("\"x\"")), 200);
    }

    #[test]
    fn a_write_refuses_conditions_by_date() {
        let dated = ReadCondition { if_unmodified_since: Some(1), ..ReadCondition::default() };
        assert_eq!(of_write(dated).unwrap_err().code().as_str(), "NotImplemented");
        assert!(of_write(ReadCondition::default()).is_ok());
    }

    #[test]
    fn not_modified_shows_etag_and_date() {
        let error = not_modified(&object());
        assert_eq!(error.headers().unwrap()[ETAG], ZEROS);
        assert_eq!(error.headers().unwrap()[LAST_MODIFIED], "Thu, 01 Jan 1970 00:16:40 GMT");
    }
}
