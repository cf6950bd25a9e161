//! The rest of a request's body that was not read when the request was answered; most often the request was refused for
//! its head.
//!
//! Little is read to its end at once, so that the connection can be used again. Where there is more, HTTP/1.1 announces
//! that it closes the connection and closes it in stages ([`super::closing`]). On HTTP/2 the stream alone is read on and
//! then ended; to reset it at once would make clients drop the answer that they have not read yet.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::closing::DrainLimits;

/// Rest of a body that is read before the answer is sent, and how long it is waited for: a small body often lies in
/// the packet behind the head, and a new connection would cost the client more.
const SMALL_BYTES_MAX: u64 = 64 << 10;
const SMALL_TIME_MAX: Duration = Duration::from_millis(100);

struct SharedBody {
    body: Body,
    has_begun: bool,
    has_ended: bool,
}

/// A body that the service reads.
struct LentBody(Arc<Mutex<SharedBody>>);

/// The same body, for the time after the service has answered.
pub(super) struct UnreadBody {
    held: Arc<Mutex<SharedBody>>,
    is_expected: bool,
}

fn lock(held: &Mutex<SharedBody>) -> MutexGuard<'_, SharedBody> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splits a request's body in the one that the service reads and the one that is looked at later; `None` if it is empty.
pub(super) fn split(body: Body, headers: &HeaderMap) -> (Body, Option<UnreadBody>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let held = Arc::new(Mutex::new(SharedBody { body, has_begun: false, has_ended: false }));
    let leftover = UnreadBody { held: Arc::clone(&held), is_expected: headers.contains_key(EXPECT) };
    (Body::new(LentBody(held)), Some(leftover))
}

impl UnreadBody {
    /// Reads a small rest. Whether the body has been read to its end.
    pub(super) async fn ends_soon(&mut self) -> bool {
        let (has_ended, has_begun, left) = {
            let held = lock(&self.held);
            (held.has_ended || held.body.is_end_stream(), held.has_begun, held.body.size_hint().lower())
        };
        if has_ended {
            return true;
        }
        // To read a body that the client asks about beforehand would tell it to send it.
        if left > SMALL_BYTES_MAX || (self.is_expected && !has_begun) {
            return false;
        }
        tokio::time::timeout(SMALL_TIME_MAX, self.read(SMALL_BYTES_MAX)).await.unwrap_or(false)
    }

    /// Reads and drops what still comes, within limits. A client that waits to be asked for its body is not.
    pub(super) async fn drain(mut self, limits: DrainLimits) {
        if !self.is_expected {
            // That it has taken too long is no failure of ours; the stream ends with this.
            let _ = tokio::time::timeout(limits.time, self.read(limits.bytes)).await;
        }
    }

    /// Whether the end came within `bytes_max`.
    async fn read(&mut self, bytes_max: u64) -> bool {
        let mut body = LentBody(Arc::clone(&self.held));
        let mut left = bytes_max;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(rest) = left.checked_sub(bytes) else { return false };
            left = rest;
        }
        true
    }
}

impl http_body::Body for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut held = lock(&self.0);
        held.has_begun = true;
        let polled = Pin::new(&mut held.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            held.has_ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}
