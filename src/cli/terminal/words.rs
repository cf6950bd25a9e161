//! Sizes, dates and names as they are printed.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::bucket::Timestamp;

/// A size for people: powers of 1000, one decimal except for bytes.
#[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
pub(in crate::cli) fn human_size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64;
    for unit in ["B", "KB", "MB", "GB", "TB"] {
        if size < 1000.0 {
            return format!("{size:.1} {unit}");
        }
        size /= 1000.0;
    }
    format!("{size:.1} PB")
}

/// A size in bytes, or for people.
pub(in crate::cli) fn size(bytes: u64, human: bool) -> String {
    if human { human_size(bytes) } else { bytes.to_string() }
}

fn moment(at: Timestamp) -> OffsetDateTime {
    micros(i128::from(at.0) * 1000)
}

fn micros(micros: i128) -> OffsetDateTime {
    // Beyond the year 9999 there is nothing to print; a bucket may still claim it.
    OffsetDateTime::from_unix_timestamp_nanos(micros.saturating_mul(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A moment as Python's `isoformat` has it, in UTC; microseconds are left out if they are zero.
pub(in crate::cli) fn iso(at: Timestamp) -> String {
    iso_of_micros(i128::from(at.0) * 1000)
}

/// The same for microseconds since the epoch.
pub(in crate::cli) fn iso_of_micros(since: i128) -> String {
    let at = micros(since);
    let mut text = formatted(at, format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]"));
    if at.microsecond() != 0 {
        let _ = write!(text, ".{:06}", at.microsecond());
    }
    text + "+00:00"
}

/// The day.
pub(in crate::cli) fn day(at: Timestamp) -> String {
    formatted(moment(at), format_description!("[year]-[month]-[day]"))
}

/// The second, or for people the minute without the year.
pub(in crate::cli) fn date(at: Timestamp, human: bool) -> String {
    if human {
        formatted(moment(at), format_description!("[month repr:short] [day] [hour]:[minute]"))
    } else {
        formatted(moment(at), format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
    }
}

fn formatted(at: OffsetDateTime, form: &[time::format_description::FormatItem<'_>]) -> String {
    // The forms above name only parts that every moment has.
    at.format(form).unwrap_or_default()
}

/// A name that cannot move the cursor or change a colour, no matter who chose it: what is not printable is escaped.
pub(in crate::cli) fn printable(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if is_printable(c) => text.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02x}"),
                    0x100..=0xffff => write!(text, "\\u{code:04x}"),
                    _ => write!(text, "\\U{code:08x}"),
                };
            }
        }
    }
    text
}

/// Neither a control nor a space other than the plain one, nor a character that only steers the direction of others.
fn is_printable(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{10ffff}'
    );
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people_are_decimal() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (2048, "2.0 KB"),
            (117_609_095, "117.6 MB"),
            (321_757_477, "321.8 MB"),
            (1_000_000_000_000, "1.0 TB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(human_size(bytes), expected);
        }
    }

    #[test]
    fn moments_are_spelt_as_python_spells_them() {
        let at = Timestamp(1_768_473_000_000);
        assert_eq!(iso(at), "2026-01-15T10:30:00+00:00");
        assert_eq!(iso(Timestamp(at.0 + 7)), "2026-01-15T10:30:00.007000+00:00");
        assert_eq!(day(at), "2026-01-15");
        assert_eq!(date(at, false), "2026-01-15 10:30:00");
        assert_eq!(date(at, true), "Jan 15 10:30");
        assert_eq!(iso_of_micros(-1), "1969-12-31T23:59:59.999999+00:00");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}é 😀\u{a0}"), "a\\x1b[2J\\nb\\u202eé 😀\\xa0");
    }
}
