//! Object lock as S3 writes it in headers: what a write asks for, and what an answer shows.
//!
//! Source: Amazon S3 User Guide, "Locking objects with Object Lock"; S3 API reference, `PutObject`.

use axum::http::{HeaderMap, HeaderName};
use s3s::{S3Error, S3Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::auth::Action;
use crate::bucket::{ObjectLock, Retention, RetentionMode, Timestamp, Visibility};

use super::context::Context;
use super::errors::invalid_argument;
use super::object_headers::add;

const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const LEGAL_HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");
const BYPASS: HeaderName = HeaderName::from_static("x-amz-bypass-governance-retention");

const GOVERNANCE: &str = "GOVERNANCE";
const COMPLIANCE: &str = "COMPLIANCE";

/// A mode as S3 names it; `None` if it is none.
pub(super) fn parse_mode(text: &str) -> Option<RetentionMode> {
    match text {
        GOVERNANCE => Some(RetentionMode::Governance),
        COMPLIANCE => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// How S3 names a mode.
pub(super) const fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => GOVERNANCE,
        RetentionMode::Compliance => COMPLIANCE,
    }
}

/// A retention, whose end must be to come: one in the past would lock nothing, although the client believes that it does.
pub(super) fn retention(mode: RetentionMode, until: OffsetDateTime, now: Timestamp) -> S3Result<Retention> {
    let millis = u64::try_from(until.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    if millis <= now.0 {
        return Err(invalid_argument("The retain until date must be in the future!"));
    }
    Ok(Retention { mode, until: Timestamp(millis) })
}

/// The lock that the headers of a write ask for.
pub(super) fn of_write(headers: &HeaderMap, now: Timestamp) -> S3Result<ObjectLock> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let legal_hold = match text(&LEGAL_HOLD) {
        None | Some("OFF") => false,
        Some("ON") => true,
        Some(_) => return Err(invalid_argument("Legal Hold must be either of 'ON' or 'OFF'")),
    };
    let retention = match (text(&MODE), text(&UNTIL)) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode).ok_or_else(|| invalid_argument("Unknown wormMode directive."))?;
            let until = OffsetDateTime::parse(until, &Rfc3339).map_err(|_| malformed_date())?;
            Some(retention(mode, until, now)?)
        }
        _ => {
            return Err(invalid_argument(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    Ok(ObjectLock { retention, legal_hold })
}

fn malformed_date() -> S3Error {
    invalid_argument("The retain until date must be provided in ISO 8601 format")
}

/// Whether the caller asks to pass over retentions in governance mode, and may.
pub(super) fn bypasses_governance(context: &Context, headers: &HeaderMap) -> S3Result<bool> {
    let asks = headers.get(&BYPASS).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let (directory, id) = (&context.api.directory, context.bucket_id()?);
    Ok(asks && directory.may(&context.caller, Action::BypassGovernance, id, Visibility::Private))
}

/// Adds the headers that show a lock; none if there is none.
pub(super) fn add_headers(headers: &mut HeaderMap, lock: &ObjectLock) {
    if let Some(Retention { mode, until }) = lock.retention {
        add(headers, MODE, mode_name(mode));
        add(headers, UNTIL, &written(until));
    }
    if lock.legal_hold {
        add(headers, LEGAL_HOLD, "ON");
    }
}

/// A date as S3 writes it: ISO 8601 in UTC, with milliseconds.
fn written(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    date(at).format(format).unwrap_or_default()
}

/// A time as a date; one beyond the last that a date can be is that one.
pub(super) fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .unwrap_or(time::macros::datetime!(9999-12-31 23:59:59.999 UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<ObjectLock, String> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        of_write(&headers.collect(), Timestamp(1_000)).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn what_a_write_asks_for_is_what_a_read_shows() {
        let asked = [
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-object-lock-retain-until-date", "2030-01-02T03:04:05.600Z"),
            ("x-amz-object-lock-legal-hold", "ON"),
        ];
        let lock = read(&asked).unwrap();
        let mut shown = HeaderMap::new();
        add_headers(&mut shown, &lock);
        assert_eq!(shown.len(), 3);
        for (name, value) in asked {
            assert_eq!(shown[name], value);
        }
        assert_eq!(read(&[]), Ok(ObjectLock::default()));
        assert_eq!(read(&[("x-amz-object-lock-legal-hold", "OFF")]), Ok(ObjectLock::default()));
    }

    #[test]
    fn a_lock_that_would_not_be_one_is_refused() {
        let until = |mode: &'static str, until: &'static str| {
            read(&[("x-amz-object-lock-mode", mode), ("x-amz-object-lock-retain-until-date", until)])
        };
        for refused in [
            read(&[("x-amz-object-lock-mode", "GOVERNANCE")]),
            read(&[("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z")]),
            read(&[("x-amz-object-lock-legal-hold", "on")]),
            until("governance", "2030-01-01T00:00:00Z"),
            until("GOVERNANCE", "1970-01-01T00:00:01Z"),
            until("GOVERNANCE", "1930-01-01T00:00:01Z"),
            until("GOVERNANCE", "tomorrow"),
        ] {
            assert_eq!(refused, Err("InvalidArgument".to_owned()));
        }
        assert!(until("GOVERNANCE", "2030-01-01T02:00:00+02:00").is_ok());
    }
}
