//! The time in a line: `2026-01-31T23:59:59.123456Z`.

use std::fmt;
use std::time::SystemTime;

use time::OffsetDateTime;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The system's time. Written digit by digit: formatting takes ten times as long, and every request leaves a line.
pub(super) struct SystemTimeUtc;

impl FormatTime for SystemTimeUtc {
    #[expect(clippy::disallowed_methods, reason = "lines tell the system's time, to the microsecond")]
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let text = text_of(SystemTime::now());
        writer.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

fn text_of(at: SystemTime) -> [u8; 27] {
    let at = OffsetDateTime::from(at);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micros) = at.to_hms_micro();
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let mut put = |end: usize, digits: usize, mut number: u32| {
        for place in (end - digits..end).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(4, 4, year.unsigned_abs());
    put(7, 2, u8::from(month).into());
    put(10, 2, day.into());
    put(13, 2, hour.into());
    put(16, 2, minute.into());
    put(19, 2, second.into());
    put(26, 6, micros);
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_time_is_written_in_utc_to_the_microsecond() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"),
            (1_798_761_599_999_999, "2026-12-31T23:59:59.999999Z"),
        ] {
            let written = text_of(UNIX_EPOCH + Duration::from_micros(micros));
            assert_eq!(std::str::from_utf8(&written).unwrap(), text);
        }
    }
}
