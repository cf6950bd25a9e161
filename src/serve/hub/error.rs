//! Errors as the Hub writes them, and the one mapping of [`BucketError`] to them.
//!
//! The client goes by `X-Error-Code`, not by the status: `RepoNotFound` and `EntryNotFound` become errors of their own.
//! What it shows is `X-Error-Message` and the body's `error`. Source: `huggingface_hub`, `hf_raise_for_status`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::bucket::BucketError;
use crate::serve::http::RequestId;
use crate::serve::http::rate_limit::Busy;

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// An error that is answered.
#[derive(Debug)]
pub(super) struct HubError {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
    /// Further fields of the body.
    url: Option<String>,
    /// How large the object is whose range was missed.
    size: Option<u64>,
}

/// What handlers answer.
pub(super) type HubResult<T = Response> = Result<T, HubError>;

impl HubError {
    fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), url: None, size: None }
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, None, message)
    }

    /// 401 to an unknown token.
    pub(super) fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, None, "Invalid credentials in Authorization header")
    }

    /// 401 to a request without a token.
    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, None, "Invalid username or password.")
    }

    /// 401 to a request without a token for a bucket that is private or does not exist.
    pub(super) fn hidden() -> Self {
        let message = "Invalid username or password.";
        Self::new(StatusCode::UNAUTHORIZED, Some("RepoNotFound"), message)
    }

    /// 403.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, None, message)
    }

    /// 404 of a bucket, or of one that the caller may not know of.
    pub(super) fn no_such_bucket() -> Self {
        Self::new(StatusCode::NOT_FOUND, Some("RepoNotFound"), "Repository not found")
    }

    /// 404 of a file.
    pub(super) fn no_such_entry() -> Self {
        Self::new(StatusCode::NOT_FOUND, Some("EntryNotFound"), "Entry not found")
    }

    /// 404 of a model, a dataset or a space, of which there are none.
    pub(super) fn no_such_repository() -> Self {
        let message = "Repository not found: this server has buckets, and no models, datasets or spaces";
        Self::new(StatusCode::NOT_FOUND, Some("RepoNotFound"), message)
    }

    /// Whether the caller is refused, and nothing has failed.
    pub(super) fn is_refusal(&self) -> bool {
        self.status.is_client_error()
    }

    /// 404 of a path that leads nowhere.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, None, "Not Found")
    }

    /// 409, with the address of the bucket that has the name: a client that accepts an existing bucket reads it from here.
    pub(super) fn exists(url: String) -> Self {
        let message = "You already created this bucket";
        Self { url: Some(url), ..Self::new(StatusCode::CONFLICT, None, message) }
    }

    /// 429: the caller is over a limit. Clients wait and try again.
    pub(super) fn slow_down(_: Busy) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, None, "Too many requests: please slow down")
    }

    /// 500.
    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, None, "Internal Server Error")
    }

    /// 413.
    pub(super) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The body is larger than {bytes_max} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, None, message)
    }
}

impl From<BucketError> for HubError {
    fn from(error: BucketError) -> Self {
        let message = error.to_string();
        match error {
            BucketError::NoSuchBucket(_) => Self::no_such_bucket(),
            BucketError::NoSuchKey(_)
            | BucketError::Deleted { .. }
            | BucketError::NoSuchVersion { .. }
            | BucketError::IsDeleteMarker { .. } => Self::no_such_entry(),
            BucketError::BucketExists(_) => Self::new(StatusCode::CONFLICT, None, message),
            BucketError::TooMany { .. } | BucketError::BucketState(_) | BucketError::NoObjectLock(_) => {
                Self::bad_request(message)
            }
            BucketError::PublicAccessBlocked(_) | BucketError::Locked(_) | BucketError::HoldsLocked(_) => {
                Self::forbidden(message)
            }
            BucketError::NotImplemented(_) => Self::new(StatusCode::NOT_IMPLEMENTED, None, message),
            BucketError::RangeNotSatisfiable { size } => {
                Self { size: Some(size), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, None, message) }
            }
            BucketError::StorageFull(_) => {
                tracing::error!(%error, "the disk is full");
                Self::new(StatusCode::INSUFFICIENT_STORAGE, None, "There is no space left to store anything")
            }
            BucketError::Unavailable(_) | BucketError::Busy(_) => {
                tracing::error!(%error, "storage cannot be used");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, None, "The storage cannot be used right now")
            }
            error => {
                tracing::error!(%error, "a request failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for HubError {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({ "error": self.message });
        if let Some(url) = self.url {
            body["url"] = url.into();
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(code) = self.code {
            headers.insert(ERROR_CODE, HeaderValue::from_static(code));
        }
        // A message may repeat what the client sent; a header holds less than a body does.
        let message: String = self.message.chars().filter(|c| matches!(c, ' '..='~')).collect();
        if let Ok(message) = HeaderValue::from_str(&message) {
            headers.insert(ERROR_MESSAGE, message);
        }
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(axum::http::header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(size) = self.size {
            headers.insert(axum::http::header::CONTENT_RANGE, size_header(size));
        }
        response
    }
}

/// The answer to a request over the limit of all callers together.
pub(super) fn busy(_: &str, _: &RequestId) -> Response {
    HubError::slow_down(Busy).into_response()
}

/// The answer to a request whose handler panicked.
pub(super) fn failed(_: &str, _: &RequestId) -> Response {
    HubError::internal().into_response()
}

/// `Content-Range` of an answer without bytes. Source: RFC 9110, section 14.4.
fn size_header(size: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("bytes */{size}")).unwrap_or(HeaderValue::from_static("bytes */*"))
}
