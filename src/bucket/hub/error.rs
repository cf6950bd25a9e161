//! What a Hub answers when it does not do what it was asked. Source: the bucket API's error conventions, which are
//! the published client's.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::bucket::{BoxError, BucketError, BucketId, ObjectKey};
use crate::cas::http::{Answer, HttpError};

/// Longest text of a server that is repeated.
const MESSAGE_CHARS_MAX: usize = 500;

/// An error of a call to a Hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The bucket is not there, or not for this token's eyes.
    #[error("the bucket does not exist: {0}")]
    NoSuchBucket(String),
    /// The file is not there.
    #[error("the file does not exist: {0}")]
    NoSuchEntry(String),
    /// The bucket's name is taken.
    #[error("the bucket exists already: {message}")]
    BucketExists {
        /// What the Hub says.
        message: String,
        /// Where the bucket is, if the Hub says so.
        url: Option<String>,
    },
    /// The token is missing, unknown or has expired.
    #[error("the Hub does not know the token: {0}")]
    Unauthorized(String),
    /// The token may not do that.
    #[error("the token may not do that: {0}")]
    Forbidden(String),
    /// What was sent is too large.
    #[error("too large for the Hub: {0}")]
    TooLarge(String),
    /// Too many requests, also after waiting.
    #[error("the Hub is busy: {0}")]
    Busy(String),
    /// The request was refused; sending it again does not help.
    #[error("the Hub refused ({status}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What the Hub says.
        message: String,
    },
    /// The Hub failed, also when asked again.
    #[error("the Hub failed ({status}): {message}")]
    Failed {
        /// The status.
        status: u16,
        /// What the Hub says.
        message: String,
    },
    /// There is no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not what the call gives.
    #[error("the Hub's answer to {call} cannot be understood: {reason}")]
    BadAnswer {
        /// Which call.
        call: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A name cannot be used in a call.
    #[error("{0}")]
    BadName(String),
}

/// The bodies that errors come with.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: Option<serde_json::Value>,
    url: Option<String>,
}

/// What a refused call means.
pub(super) fn refusal(answer: &Answer) -> HubError {
    let header = |name: &str| {
        answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let body: ErrorBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = match &body.error {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => header("x-error-message"),
    };
    let message: String = said.chars().take(MESSAGE_CHARS_MAX).collect();
    let status = answer.status.as_u16();
    match (header("x-error-code").as_str(), answer.status) {
        (_, StatusCode::UNAUTHORIZED) => HubError::Unauthorized(message),
        ("RepoNotFound", _) => HubError::NoSuchBucket(message),
        ("EntryNotFound", _) => HubError::NoSuchEntry(message),
        (_, StatusCode::FORBIDDEN) => HubError::Forbidden(message),
        (_, StatusCode::CONFLICT) => HubError::BucketExists { message, url: body.url },
        (_, StatusCode::PAYLOAD_TOO_LARGE) => HubError::TooLarge(message),
        (_, StatusCode::TOO_MANY_REQUESTS) => HubError::Busy(message),
        (_, status_code) if status_code.is_server_error() => HubError::Failed { status, message },
        _ => HubError::Refused { status, message },
    }
}

impl HubError {
    /// What it means for a call that is about this bucket, and about this object if one is given.
    pub fn of_bucket(self, id: &BucketId, key: Option<&ObjectKey>) -> BucketError {
        match self {
            Self::NoSuchBucket(_) => BucketError::NoSuchBucket(id.clone()),
            Self::NoSuchEntry(_) if key.is_some() => key.map_or_else(
                || BucketError::NoSuchBucket(id.clone()),
                |key| BucketError::NoSuchKey(key.clone()),
            ),
            Self::BucketExists { .. } => BucketError::BucketExists(id.clone()),
            Self::Unauthorized(_) | Self::Forbidden(_) => BucketError::AccessDenied(self.to_string()),
            Self::Busy(_) => BucketError::Busy(Box::new(self)),
            Self::TooLarge(_) | Self::Refused { .. } | Self::BadName(_) | Self::NoSuchEntry(_) => {
                BucketError::Refused(self.to_string())
            }
            Self::Failed { .. } | Self::Http(_) => BucketError::Unavailable(BoxError::from(self)),
            Self::BadAnswer { .. } => BucketError::Storage(BoxError::from(self)),
        }
    }
}
