//! What an error of the database means.

use std::future::Future;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use super::ANSWER_TIMEOUT;
use crate::store::meta::MetaError;

/// An error after which the database may answer again.
pub(super) fn unavailable(error: &impl std::error::Error) -> MetaError {
    MetaError::Away(with_sources(error))
}

/// Why there is no connection at all, and what to do.
pub(super) fn cannot_connect(error: &PoolError) -> MetaError {
    let (state, text) = match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            (error.code(), with_sources(error))
        }
        error => (None, with_sources(error)),
    };
    let advice = match state.map(SqlState::code) {
        Some("28P01" | "28000") => "check the user and the password",
        Some("3D000") => "create the database, or name another",
        Some("53300") => "it has no connection left: raise its max_connections",
        Some("57P03") => "it is starting or stopping: try again",
        Some(_) => "check the address, and what the user may do",
        None => "check that it runs, and can be reached from here",
    };
    MetaError::Setup(format!("{advice} ({text})"))
}

/// An error with what it was caused by, in one line.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Whether a transaction was given up because others have changed what it relies on: rows that are checked make a division by
/// zero, rows that must not be there a violation of uniqueness.
pub(super) fn is_changed(error: &tokio_postgres::Error) -> bool {
    let Some(state) = error.code() else { return false };
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
        SqlState::DIVISION_BY_ZERO,
    ]
    .contains(state)
}

/// What an error means to those who ask.
pub(super) fn meta_error(error: &tokio_postgres::Error) -> MetaError {
    let text = with_sources(error);
    // The class of an error is in the first two characters of its state. Source: PostgreSQL documentation, "Appendix A.
    // PostgreSQL Error Codes".
    match error.code().map(|state| (state, &state.code()[..2])) {
        Some((state, _)) if *state == SqlState::DISK_FULL => MetaError::Full(text),
        // Connections, resources, and what an operator does: they end.
        None | Some((_, "08" | "25" | "53" | "55" | "57" | "58" | "40")) => MetaError::Away(text),
        Some(_) => MetaError::Engine(text),
    }
}

/// What is said of a database that is there and says nothing.
const SILENT: &str = "it does not answer";

/// Whether the database has said nothing for so long that it is not asked for a while.
pub(super) fn is_silence(error: &MetaError) -> bool {
    matches!(error, MetaError::Away(text) if text == SILENT)
}

/// Waits for an answer of the database, but not for ever.
pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, MetaError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| meta_error(&error)),
        Err(_) => Err(MetaError::Away(SILENT.to_owned())),
    }
}
