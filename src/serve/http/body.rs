//! Bodies of requests that are read whole, up to a limit.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// Why a body cannot be used. Each API has its own words for it.
#[derive(Debug, thiserror::Error)]
pub(in crate::serve) enum BodyError {
    /// It has more bytes than the limit.
    #[error("length limit exceeded")]
    TooLarge,
    /// The connection ended in the middle of it.
    #[error("the body broke off")]
    Incomplete,
    /// It is JSON, or nothing of the kind, but no object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// It is no JSON, or its fields are not those of the request.
    #[error(transparent)]
    Json(serde_json::Error),
}

/// Reads a body of at most `bytes_max`.
pub(in crate::serve) async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Incomplete),
    }
}

/// Reads a JSON object of at most `bytes_max`; an empty body is an empty object. A list is refused: serde would take its
/// elements for the fields, in their order.
pub(in crate::serve) async fn read_json<T: DeserializeOwned>(
    body: Body,
    bytes_max: usize,
) -> Result<T, BodyError> {
    let bytes = read(body, bytes_max).await?;
    let bytes: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(BodyError::NotAnObject);
    }
    serde_json::from_slice(bytes).map_err(BodyError::Json)
}
