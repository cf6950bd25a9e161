//! Texts for people: tables, names to the left and numbers to the right; and texts of others made harmless.

use std::fmt::{self, Write};

/// Lines up names and values.
pub(super) fn table(rows: &[(&str, String)]) -> String {
    let name_width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:name_width$}  {value:>value_width$}\n"));
    lines.collect::<Vec<_>>().concat()
}

/// Whether a character can do more to a terminal or a log than stand there: control characters, line separators, and
/// those that turn the direction of the text around them.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes a text that others have chosen (a key, say), with escapes for characters that would do something.
pub fn write_visible(out: &mut dyn Write, text: &str) -> fmt::Result {
    // Nearly every text is printable ASCII, which takes no look at single characters.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.write_str(text);
    }
    for part in text.split_inclusive(is_active) {
        let last = part.chars().next_back().filter(|c| is_active(*c));
        out.write_str(&part[..part.len() - last.map_or(0, char::len_utf8)])?;
        if let Some(active) = last {
            write!(out, "{}", active.escape_default())?;
        }
    }
    Ok(())
}

/// The same, as a text.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A text takes whatever is written to it.
    let _ = write_visible(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_cannot_do_anything() {
        for (text, shown) in [
            ("a/\u{1b}[2Jb", "a/\\u{1b}[2Jb"),
            ("line\nline\r", "line\\nline\\r"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("evil\u{202e}gpj.exe", "evil\\u{202e}gpj.exe"),
            ("ключ/ü \\ plain", "ключ/ü \\ plain"),
            ("", ""),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
