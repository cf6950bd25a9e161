//! Why a bucket command ends without having done its work, and with which exit code.
//!
//! Every failure is one line that says what is wrong and what to do; a command line that makes no sense is told how it
//! should look as well, and exits with 2 instead of 1. The words are those of `hf` 2.4.0 where it has any.

use std::io;
use std::path::PathBuf;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    /// The arguments do not go together; exit code 2, below the usage.
    #[error("Invalid value: {0}")]
    Usage(String),
    /// The options do not go together; exit code 2, below the usage.
    #[error("{0}")]
    Misused(String),
    /// A value cannot be used.
    #[error("Invalid value. {0}")]
    Value(String),
    /// An argument names no place in a bucket.
    #[error("{0}")]
    Uri(String),
    /// The bucket does not exist, or not for this token; told whole.
    #[error("{0}")]
    NoBucket(String),
    /// The person stopped the work; exit code 130, as shells have it for SIGINT.
    #[error("Interrupted. Run the command again to go on.")]
    Interrupted,
    /// The person said no.
    #[error("Aborted!")]
    Aborted,
    /// Nobody could be asked.
    #[error("{0} Use --yes to skip confirmation.")]
    Unconfirmed(String),
    /// A local file or folder.
    #[error("Cannot {doing} '{}': {error}.", .path.display())]
    Local {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Something else, told whole.
    #[error("{0}")]
    Message(String),
    /// Nobody reads standard output any more, or standard input failed.
    #[error("Cannot print: {0}.")]
    Print(io::Error),
}

impl Failure {
    /// An error with a local path.
    pub(in crate::cli) fn local(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Local { doing, path, error }
    }
}
