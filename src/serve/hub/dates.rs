//! Times as the Hub writes them: ISO 8601 in UTC with milliseconds, ending in `Z`.

use time::OffsetDateTime;
use time::macros::format_description;

use crate::bucket::Timestamp;

/// The end of the year 9999, in milliseconds: what four digits hold.
pub(super) const MILLIS_MAX: u64 = 253_402_300_799_999;

/// The time as text; `None` beyond the year 9999.
pub(super) fn iso8601(at: Timestamp) -> Option<String> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = Some(at.0).filter(|millis| *millis <= MILLIS_MAX)?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok()?.format(format).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_hub_writes_them() {
        let written = |millis| iso8601(Timestamp(millis));
        assert_eq!(written(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(written(1_767_323_045_678).as_deref(), Some("2026-01-02T03:04:05.678Z"));
        assert_eq!(written(MILLIS_MAX).as_deref(), Some("9999-12-31T23:59:59.999Z"));
        assert_eq!((written(MILLIS_MAX + 1), written(u64::MAX)), (None, None));
    }
}
