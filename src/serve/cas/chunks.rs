//! "Have you this chunk?"

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::errors::CasRefusal;
use super::{Cas, Writer, names};

/// `GET /v1/chunks/{prefix}/{chunk}`: a keyed shard, or 404, which clients take for the usual answer that it is. For
/// writers only: a client that downloads has no use for it, and could ask what others hold.
pub(super) async fn query(
    State(cas): State<Arc<Cas>>,
    _writer: Writer,
    Path((prefix, chunk)): Path<(String, String)>,
) -> Result<Response, CasRefusal> {
    names::check_prefix(&prefix)?;
    match cas.xet.dedup(names::hash(&chunk)?).await? {
        Some(shard) => Ok(([(CONTENT_TYPE, "application/octet-stream")], shard).into_response()),
        None => Err(CasRefusal::NotFound("the chunk is not known".to_owned())),
    }
}
