//! Bodies of requests, read whole up to a limit.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::{HubError, HubResult};

/// Largest JSON body: a thousand paths of 1,024 bytes, each of which JSON may write as six.
pub(super) const JSON_BYTES_MAX: usize = 8 << 20;

/// Whether a body is a form in the way of URLs.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    media_type.is_some_and(|name| name.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(body: Body, bytes_max: usize) -> HubResult<Bytes> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(HubError::too_large(bytes_max)),
        Err(_) => Err(HubError::bad_request("The body broke off")),
    }
}

/// Reads a JSON object; an empty body is an empty object. (A list would fill the fields in their order, unnamed.)
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> HubResult<T> {
    let bytes = read(body, JSON_BYTES_MAX).await?;
    let bytes: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(HubError::bad_request("The body must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| HubError::bad_request(format!("The body: {error}")))
}
