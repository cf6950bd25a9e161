//! The fields of a text line: `name=value`, with a space between, texts in quotes.
//!
//! Plainer than the library's own, which dresses every field for terminals, even for a file; and written without a detour
//! through formatting where a field is a text or a number, since every request leaves a line.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::store::report::write_visible;

/// Writes fields.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = FieldWriter { out: Visible(writer), is_first: true, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

/// The name of the field that is the text of the line itself.
const MESSAGE: &str = "message";

struct FieldWriter<'w> {
    out: Visible<'w>,
    is_first: bool,
    written: fmt::Result,
}

impl FieldWriter<'_> {
    fn add(&mut self, field: &Field, write: impl FnOnce(&mut Visible<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.begin(field.name()).and_then(|()| write(&mut self.out));
        }
    }

    fn begin(&mut self, name: &str) -> fmt::Result {
        let Visible(plain) = &mut self.out;
        if !std::mem::take(&mut self.is_first) {
            plain.write_char(' ')?;
        }
        if name == MESSAGE {
            return Ok(());
        }
        plain.write_str(name)?;
        plain.write_char('=')
    }
}

impl Visit for FieldWriter<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, |out| write!(out, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, text: &str) {
        self.add(field, |out| {
            let is_plain =
                text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
            if !is_plain {
                return write!(out, "{text:?}");
            }
            let Visible(plain) = out;
            plain.write_char('"')?;
            plain.write_str(text)?;
            plain.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, |Visible(plain)| {
            let (mut digits, mut start, mut rest) = ([0; 20], 20, value);
            while start == 20 || rest > 0 {
                start -= 1;
                digits[start] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            plain.write_str(std::str::from_utf8(&digits[start..]).map_err(|_| fmt::Error)?)
        });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, |Visible(plain)| plain.write_str(if value { "true" } else { "false" }));
    }
}

/// Keys and names that callers have chosen stand in a line, and neither end it nor do anything to a terminal.
struct Visible<'w>(Writer<'w>);

impl fmt::Write for Visible<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_visible(&mut self.0, text)
    }
}
