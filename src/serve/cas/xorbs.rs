//! Whole xorbs: in, and how long they are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use serde_json::json;

use super::errors::{self, CasRefusal};
use super::{Cas, Writer, names};
use crate::bucket::BoxError;
use crate::xet::limits::XORB_BYTES_MAX;

/// The length that a request declares of its body.
pub(super) fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `POST /v1/xorbs/{prefix}/{xorb}`
pub(super) async fn upload(
    State(cas): State<Arc<Cas>>,
    _writer: Writer,
    Path((prefix, xorb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CasRefusal> {
    names::check_prefix(&prefix)?;
    let xorb = names::hash(&xorb)?;
    if declared_bytes(&headers).is_some_and(|bytes| bytes > XORB_BYTES_MAX as u64) {
        return Err(CasRefusal::Bad(format!("a xorb has at most {XORB_BYTES_MAX} bytes")));
    }
    let body = body.into_data_stream().map_err(|error| Box::new(error) as BoxError);
    let was_inserted = cas.xet.put_xorb(xorb, Box::pin(body)).await?;
    Ok(errors::json(&json!({ "was_inserted": was_inserted })))
}

/// `HEAD /v1/xorbs/{prefix}/{xorb}`, for writers only, like the question for a chunk.
pub(super) async fn size(
    State(cas): State<Arc<Cas>>,
    _writer: Writer,
    Path((prefix, xorb)): Path<(String, String)>,
) -> Result<Response, CasRefusal> {
    names::check_prefix(&prefix)?;
    let bytes = cas.xet.xorb_bytes(&names::hash(&xorb)?).await?;
    Ok(([(CONTENT_LENGTH, bytes)], Body::empty()).into_response())
}
