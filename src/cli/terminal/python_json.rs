//! JSON as Python's `json.dumps` spells it, because scripts compare and `hf` reads what is printed here: a space after
//! each comma and colon, and nothing but ASCII.
//!
//! Source: Python library reference, "json" (`separators`, `indent`, `ensure_ascii`).

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// A value on one line.
pub(in crate::cli) fn one_line(value: &impl Serialize) -> String {
    text(value, None)
}

/// A value with an indent of two.
pub(in crate::cli) fn indented(value: &impl Serialize) -> String {
    text(value, Some(0))
}

fn text(value: &impl Serialize, depth: Option<usize>) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Python { depth, empty: false });
    // Plain data with text keys into memory: there is nothing that could fail.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How deep an indented value is; `None` on one line.
struct Python {
    depth: Option<usize>,
    /// Whether nothing has been written into the innermost list or object.
    empty: bool,
}

impl Python {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth + 1);
        self.empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth.saturating_sub(1));
        if !self.empty {
            self.new_line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.empty = false;
        match (first, self.depth) {
            (true, None) => Ok(()),
            (false, None) => writer.write_all(b", "),
            (true, Some(_)) => self.new_line(writer),
            (false, Some(_)) => {
                writer.write_all(b",")?;
                self.new_line(writer)
            }
        }
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        let Some(depth) = self.depth else { return Ok(()) };
        writer.write_all(b"\n")?;
        (0..depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Python {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| !matches!(c, ' '..='~')) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_spaces_and_ascii_only() {
        let value = serde_json::json!([1, {"a": "é\u{7f}\n\"\\😀", "b": []}, null, true, {}]);
        assert_eq!(
            one_line(&value),
            r#"[1, {"a": "\u00e9\u007f\n\"\\\ud83d\ude00", "b": []}, null, true, {}]"#
        );
    }

    #[test]
    fn an_indent_is_two_and_empty_lists_stay_closed() {
        let value = serde_json::json!({"a": [1, 2], "b": [], "c": {}});
        assert_eq!(indented(&value), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": [],\n  \"c\": {}\n}");
        assert_eq!(indented(&serde_json::json!([])), "[]");
    }
}
