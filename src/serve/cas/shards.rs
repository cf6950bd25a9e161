//! Shards: whole in memory, as many at a time as fit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::errors::{self, CasRefusal, log};
use super::xorbs::declared_bytes;
use super::{Cas, Writer};
use crate::bucket::XetError;
use crate::model::tenant::Tenant;
use crate::model::turns::Turn;
use crate::xet::limits::SHARD_BYTES_MAX;

/// What a shard takes of memory beside itself when it is taken apart, at most: its rows become a little larger.
const MEMORY_FACTOR: u64 = 2;

/// Memory is taken in steps of this.
const MEMORY_STEP_KIB: u32 = 256;

/// How long the rest of a shard waits for memory, while the part that has come holds some; after that the answer is 429, and
/// published clients try again later.
const MEMORY_PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer in frames is held back: a refusal within that time has a status of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between frames while a shard is looked at; clients give up after five minutes without one.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// A shard that is being registered: whether it brings anything new.
type Work = AbortOnDropHandle<Result<bool, XetError>>;

/// `POST /v1/shards`: 1 if a file of it was new, else 0.
pub(super) async fn version_1(
    State(cas): State<Arc<Cas>>,
    writer: Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CasRefusal> {
    let work = begin(&cas, writer, &headers, body).await?;
    let is_new = work.await.map_err(XetError::from)??;
    Ok(errors::json(&json!({ "result": u8::from(is_new) })))
}

/// `POST /v2/shards`: the same, with progress in lines of JSON.
pub(super) async fn version_2(
    State(cas): State<Arc<Cas>>,
    writer: Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CasRefusal> {
    let mut work = begin(&cas, writer, &headers, body).await?;
    let frames = match timeout(PATIENCE, &mut work).await {
        Ok(done) => Body::from(line(&result(done.map_err(XetError::from)??))),
        Err(_) => Body::from_stream(frames(work)),
    };
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], frames).into_response())
}

/// Takes the body in and begins to work on it.
async fn begin(
    cas: &Arc<Cas>,
    Writer { bucket, key }: Writer,
    headers: &HeaderMap,
    body: Body,
) -> Result<Work, CasRefusal> {
    if declared_bytes(headers).is_some_and(|bytes| bytes > SHARD_BYTES_MAX as u64) {
        return Err(too_long());
    }
    let (memory, shard) = gather(cas, body).await?;
    let (xet, tenant) = (cas.xet.clone(), Tenant::current());
    let work = async move {
        let _memory = memory;
        xet.put_shard(bucket, key, shard).await
    };
    // Ends with the answer: what was not yet begun to be registered is given up with the client that wanted it.
    Ok(AbortOnDropHandle::new(tokio::spawn(tenant.scope(work))))
}

/// Takes the body in, with memory for what of it has come.
async fn gather(cas: &Cas, mut body: Body) -> Result<(Turn, Bytes), CasRefusal> {
    let (mut memory, mut held_kib) = (Turn::default(), 0);
    let mut shard = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| XetError::Body(error.into()))?;
        let Ok(piece) = frame.into_data() else { continue };
        if shard.len() + piece.len() > SHARD_BYTES_MAX {
            return Err(too_long());
        }
        let kib = ((shard.len() + piece.len()) as u64 * MEMORY_FACTOR).div_ceil(1024) as u32;
        if kib > held_kib {
            // In steps: most shards are small, and long ones come in thousands of pieces.
            let more = (kib - held_kib).next_multiple_of(MEMORY_STEP_KIB);
            let more_memory = cas.shard_memory.take_within(MEMORY_PATIENCE, more).await;
            memory.join(more_memory.ok_or(CasRefusal::Busy)?);
            held_kib += more;
        }
        shard.extend_from_slice(&piece);
    }
    Ok((memory, shard.freeze()))
}

fn too_long() -> CasRefusal {
    CasRefusal::Bad(format!("a shard has at most {SHARD_BYTES_MAX} bytes"))
}

fn line(frame: &Value) -> Bytes {
    Bytes::from(format!("{frame}\n"))
}

fn result(is_new: bool) -> Value {
    json!({ "type": "result", "result": u8::from(is_new) })
}

/// A frame as often as is needed, and the last one when the work is done.
fn frames(work: Work) -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some(work), |work| async move {
        let mut work = work?;
        match timeout(HEARTBEAT, &mut work).await {
            Err(_) => {
                let frame = json!({ "type": "validating", "verified": 0, "total": 1 });
                Some((Ok(line(&frame)), Some(work)))
            }
            Ok(done) => Some((Ok(line(&last_frame(done.map_err(XetError::from)))), None)),
        }
    })
}

fn last_frame(done: Result<Result<bool, XetError>, XetError>) -> Value {
    match done.and_then(|done| done) {
        Ok(is_new) => result(is_new),
        Err(error) => {
            log(&error);
            let is_ours = matches!(error, XetError::Bucket(_));
            let message = if is_ours { "storage failed".to_owned() } else { error.to_string() };
            json!({ "type": "error", "message": message, "retryable": is_ours })
        }
    }
}
