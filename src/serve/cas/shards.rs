//! Shards: whole in memory, as many at a time as fit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::errors::{self, CasRefusal, log};
use super::xorbs::declared_bytes;
use super::{Door, Writer};
use crate::bucket::XetError;
use crate::xet::limits::SHARD_BYTES_MAX;

/// What a shard takes of memory beside itself when it is taken apart, at most: its rows become a little larger.
const MEMORY_FACTOR: u64 = 2;

/// So long an answer in frames is held back: what is refused by then is refused with a status.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between frames while a shard is looked at; clients give up after five minutes without one.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// A shard that is being registered: whether it brings anything new.
type Work = JoinHandle<Result<bool, XetError>>;

/// `POST /v1/shards`: 1 if a file of it was new, else 0.
pub(super) async fn version_1(
    State(door): State<Arc<Door>>,
    writer: Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CasRefusal> {
    let work = begin(&door, writer, &headers, body).await?;
    let is_new = work.await.map_err(XetError::from)??;
    Ok(errors::json(&json!({ "result": u8::from(is_new) })))
}

/// `POST /v2/shards`: the same, told in lines of JSON while it is worked on.
pub(super) async fn version_2(
    State(door): State<Arc<Door>>,
    writer: Writer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CasRefusal> {
    let mut work = begin(&door, writer, &headers, body).await?;
    let frames = match timeout(PATIENCE, &mut work).await {
        Ok(done) => Body::from(line(&result(done.map_err(XetError::from)??))),
        Err(_) => Body::from_stream(frames(work)),
    };
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], frames).into_response())
}

/// Takes the body in and begins to work on it.
async fn begin(
    door: &Arc<Door>,
    Writer { bucket, key }: Writer,
    headers: &HeaderMap,
    body: Body,
) -> Result<Work, CasRefusal> {
    let too_long = || CasRefusal::Bad(format!("a shard has at most {SHARD_BYTES_MAX} bytes"));
    let bytes = declared_bytes(headers).unwrap_or(SHARD_BYTES_MAX as u64);
    if bytes > SHARD_BYTES_MAX as u64 {
        return Err(too_long());
    }
    let kib = (bytes * MEMORY_FACTOR).div_ceil(1024) as u32;
    let memory = Arc::clone(&door.shard_memory).acquire_many_owned(kib).await;
    let memory = memory.map_err(|error| XetError::Body(error.into()))?;
    let shard = Limited::new(body, SHARD_BYTES_MAX).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { too_long() } else { XetError::Body(error).into() }
    })?;
    let (xet, shard) = (door.xet.clone(), shard.to_bytes());
    // To its end, even if the client goes away: it will ask again, and find it done.
    Ok(tokio::spawn(async move {
        let _memory = memory;
        xet.put_shard(bucket, key, shard).await
    }))
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
