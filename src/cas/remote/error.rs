//! What can go wrong with a CAS far away.

use crate::cas::http::HttpError;
use crate::model::names::BucketId;

/// An error of a CAS far away, in words that say whether it helps to try again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoteError {
    /// The token is unknown, or may not do that.
    #[error("the CAS does not allow it: {0}")]
    Denied(String),
    /// The bucket whose CAS it is is not there any more, or not for this caller.
    #[error("bucket {0} does not exist")]
    NoSuchBucket(BucketId),
    /// The file or xorb is not there.
    #[error("the CAS does not have {0}")]
    Missing(String),
    /// The CAS refused what was sent; sending it again does not help.
    #[error("the CAS refused ({status}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Too many requests, also after waiting.
    #[error("the CAS is busy")]
    Busy,
    /// The CAS or the way to it failed, also when asked again.
    #[error("the CAS cannot be used now: {0}")]
    Unavailable(String),
    /// Requests are forbidden by the variable of this name.
    #[error("offline mode is enabled: unset the {0} environment variable to send requests")]
    Offline(&'static str),
    /// The answer is not what it must be: other bytes than their hash says, or no answer of this API.
    #[error("the CAS answers wrongly: {0}")]
    Wrong(String),
}

impl From<HttpError> for RemoteError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Offline(name) => Self::Offline(name),
            HttpError::TooLong { .. } | HttpError::Elsewhere { .. } => Self::Wrong(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
