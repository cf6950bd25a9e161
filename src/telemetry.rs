//! Logs: where they go and in which form. Lines go to standard error; standard output is for people.
//!
//! What a line says is decided where it is written. The rule everywhere: no secret, no query string.

mod fields;
mod lines;
mod time;

use fields::Fields;
use lines::Lines;
use time::SystemTimeUtc;
use tracing_subscriber::EnvFilter;

/// The form of log lines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log filter {filter:?} is not valid: {error}")]
    Filter {
        /// What was given.
        filter: String,
        /// Why it is refused.
        error: tracing_subscriber::filter::ParseError,
    },
    /// There is no thread for the lines.
    #[error("logging cannot begin: {0}")]
    Thread(#[source] std::io::Error),
    /// Something in this process logs already.
    #[error("logging has been set up already")]
    SetUpAlready,
}

fn env_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    // s3s logs requests whole, signatures included: only anyone who names it gets that.
    let directives = if filter.contains("s3s") { filter.to_owned() } else { format!("{filter},s3s=off") };
    EnvFilter::try_new(directives)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), error })
}

/// Whether a filter is one.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    env_filter(filter).map(drop)
}

/// Sends this process's log lines to standard error, those that `filter` lets pass (`tracing` directives, such as
/// `info,xetgate::engine=debug`).
pub fn init(format: LogFormat, filter: &str) -> Result<LogEnd, TelemetryError> {
    let filter = env_filter(filter)?;
    let out = Lines::to(Box::new(std::io::stderr())).map_err(TelemetryError::Thread)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(out.clone());
    let lines = lines.with_timer(SystemTimeUtc);
    let begun = match format {
        LogFormat::Text => lines.with_ansi(false).fmt_fields(Fields).try_init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
    };
    begun.map_err(|_| TelemetryError::SetUpAlready)?;
    Ok(LogEnd(out))
}

/// To be kept until nothing is logged any more: sends off the last lines.
#[must_use]
pub struct LogEnd(Lines);

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Kept {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_key_in_a_text_line_is_one_line_and_no_escape_sequence() {
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false);
        let lines = lines.fmt_fields(Fields).finish();
        let key = "k\n2026-01-01 INFO forged \u{1b}[2J";
        tracing::subscriber::with_default(lines, || {
            let _inside = tracing::error_span!("s3", %key).entered();
            tracing::error!(%key, debug = ?key, "cut off: {key}");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("forged \\u{1b}[2J"), "{text}");
    }

    #[test]
    fn fields_are_names_and_values_with_texts_in_quotes() {
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false);
        let lines = lines.fmt_fields(Fields).without_time().finish();
        tracing::subscriber::with_default(lines, || {
            let nothing: Option<u64> = None;
            let address = tracing::field::display("127.0.0.1:9");
            let (plain, odd) = ("a b", "a\"b\\c\n\u{1b}ü");
            tracing::info!(target: "t", plain, odd, zero = 0_u64, most = u64::MAX, yes = true, nothing, address, "said");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let fields = r#"said plain="a b" odd="a\"b\\c\n\u{1b}ü" zero=0 most=18446744073709551615 yes=true address=127.0.0.1:9"#;
        assert_eq!(text, format!(" INFO t: {fields}\n"));
    }
}
