//! Bodies of requests, and what is answered to those that cannot be used.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::{HubError, HubResult};
use crate::serve::http::body::{self, BodyError};

/// Largest JSON body: a thousand paths of 1,024 bytes, each of which JSON may write as six.
pub(super) const JSON_BYTES_MAX: usize = 8 << 20;

/// Whether a body is a form in the way of URLs.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Reads a body of at most `bytes_max`.
pub(super) async fn read(body: Body, bytes_max: usize) -> HubResult<Bytes> {
    body::read(body, bytes_max).await.map_err(|error| refused(&error, bytes_max))
}

/// Reads a JSON object; an empty body is an empty object.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> HubResult<T> {
    body::read_json(body, JSON_BYTES_MAX).await.map_err(|error| refused(&error, JSON_BYTES_MAX))
}

fn refused(error: &BodyError, bytes_max: usize) -> HubError {
    match error {
        BodyError::TooLarge => HubError::too_large(bytes_max),
        BodyError::Incomplete => HubError::bad_request("The body broke off"),
        BodyError::NotAnObject => HubError::bad_request("The body must be a JSON object"),
        BodyError::Json(error) => HubError::bad_request(format!("The body: {error}")),
    }
}
