//! Logs: where they go and in which form. Lines go to standard error; standard output is for people.
//!
//! What a line says is decided where it is written. The rule everywhere: no secret, no query string.

use std::fmt;

mod lines;

use lines::Lines;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

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
    // s3s logs requests whole, signatures included: only whoever names it gets that.
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
    let begun = match format {
        LogFormat::Text => lines.with_ansi(false).fmt_fields(debug_fn(write_field).delimited(" ")).try_init(),
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

/// A field of a text line; plainer than the library's own, which dresses every field for terminals, even for a file.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() == "message" {
        write!(writer, "{value:?}")
    } else {
        write!(writer, "{}={value:?}", field.name())
    }
}
