//! From errors to the answers of the CAS API: a status, the Hub's error headers, and a line of JSON.

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::bucket::{BucketError, XetError};
use crate::model::causes::with_causes;

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) enum CasRefusal {
    /// No token, or none that is good.
    Unauthorized(String),
    /// The caller may not.
    Forbidden(String),
    /// The request itself is wrong.
    Bad(String),
    /// There is no such thing.
    NotFound(String),
    /// The caller has too much going; clients wait and ask again.
    Busy,
    /// The buckets say no.
    Xet(XetError),
}

impl From<XetError> for CasRefusal {
    fn from(error: XetError) -> Self {
        Self::Xet(error)
    }
}

impl CasRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Xet(error) => status(error),
        }
    }

    /// What the client is shown. Details of our own faults go to the log only.
    fn message(&self) -> String {
        match self {
            Self::Unauthorized(text) | Self::Forbidden(text) | Self::Bad(text) | Self::NotFound(text) => {
                text.clone()
            }
            Self::Busy => "too many requests: please slow down".to_owned(),
            Self::Xet(XetError::Body(_)) => "the body broke off".to_owned(),
            Self::Xet(XetError::Bucket(BucketError::StorageFull(_))) => "there is no space left".to_owned(),
            Self::Xet(XetError::Bucket(_)) => "storage failed".to_owned(),
            Self::Xet(error) => error.to_string(),
        }
    }
}

fn status(error: &XetError) -> StatusCode {
    match error {
        XetError::NoSuchBucket | XetError::NoSuchFile(_) | XetError::NoSuchXorb(_) => StatusCode::NOT_FOUND,
        XetError::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        XetError::BadXorb { .. }
        | XetError::BadShard(_)
        | XetError::Refused(_)
        | XetError::TooFragmented { .. }
        | XetError::Body(_) => StatusCode::BAD_REQUEST,
        XetError::Bucket(BucketError::StorageFull(_)) => StatusCode::INSUFFICIENT_STORAGE,
        XetError::Bucket(BucketError::Unavailable(_) | BucketError::Busy(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        XetError::Bucket(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Logs an error that is our own fault, once.
pub(super) fn log(error: &XetError) {
    if status(error).is_server_error() {
        tracing::error!(error = with_causes(error), "a request to the CAS API failed");
    }
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], Body::from(text)).into_response(),
        // Plain data always can be written.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What may stand in a header of a text.
fn header_text(text: &str) -> Option<HeaderValue> {
    let visible: String = text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(500).collect();
    HeaderValue::from_str(&visible).ok()
}

impl IntoResponse for CasRefusal {
    fn into_response(self) -> Response {
        let (status, message) = (self.status(), self.message());
        let mut response = json(&json!({ "error": message }));
        *response.status_mut() = status;
        if let Some(message) = header_text(&message) {
            response.headers_mut().insert("x-error-message", message);
        }
        if status == StatusCode::NOT_FOUND {
            response.headers_mut().insert("x-error-code", HeaderValue::from_static("EntryNotFound"));
        }
        if let Self::Xet(error) = &self {
            log(error);
            if let XetError::RangeNotSatisfiable { size } = error
                && let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}"))
            {
                response.headers_mut().insert(CONTENT_RANGE, range);
            }
        }
        response
    }
}
