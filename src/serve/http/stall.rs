//! Gives up on bodies that stand still or come too slowly, so that a client which neither sends nor takes cannot hold a
//! connection.
//!
//! Sending is watched where bytes meet the socket ([`StallGuard`]); receiving is watched where the body is asked for
//! ([`StallBody`]), because only there is it known that we wait for the client and not the client for us.
//!
//! A client has an account of time: waiting for it spends time, each byte that comes earns some ([`Slowness`]), and the
//! account never holds more than the stall timeout. So a byte now and then does not keep a connection open for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How slow a client may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slowness {
    /// How long it may let a body stand still.
    pub stall_timeout: Duration,
    /// How many bytes a second must come on the mean while they are waited for; 0 for no such limit.
    pub bytes_per_sec_min: u64,
}

impl Slowness {
    /// How much waiting this many bytes earn.
    fn earned(self, bytes: usize) -> Duration {
        if bytes == 0 {
            return Duration::ZERO;
        }
        let millis = (bytes as u64).saturating_mul(1000).checked_div(self.bytes_per_sec_min);
        millis.map_or(self.stall_timeout, Duration::from_millis)
    }
}

/// Runs while something is waited for.
struct Patience {
    slowness: Slowness,
    /// How much longer the client may be waited for.
    left: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    fn new(slowness: Slowness) -> Self {
        Self { slowness, left: slowness.stall_timeout, waiting: None }
    }

    /// To be asked after every poll, with the bytes that it has brought if it is over: whether the client is too slow.
    fn is_over(&mut self, brought: Poll<usize>, cx: &mut Context<'_>) -> bool {
        let left = self.left;
        match brought {
            Poll::Ready(bytes) => {
                let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
                let left = left.saturating_sub(waited) + self.slowness.earned(bytes);
                self.left = left.min(self.slowness.stall_timeout);
                false
            }
            Poll::Pending => {
                let begin = || (Instant::now(), Box::pin(tokio::time::sleep(left)));
                let (_, sleep) = self.waiting.get_or_insert_with(begin);
                sleep.as_mut().poll(cx).is_ready()
            }
        }
    }
}

/// Why a body or a connection was given up.
#[derive(Debug, thiserror::Error)]
#[error("the client has let the connection stand still for too long, or sends or takes too slowly")]
struct Stalled;

/// The error of a body that has stood still.
pub(in crate::serve) fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, Stalled)
}

/// Whether an error is that of a body that has stood still; what it caused is not looked at.
pub(in crate::serve) fn is_stalled(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<Stalled>)
}

/// A connection on which writing must make progress.
pub(super) struct StallGuard<T> {
    inner: T,
    patience: Patience,
}

impl<T> StallGuard<T> {
    pub(super) fn new(inner: T, slowness: Slowness) -> Self {
        Self { inner, patience: Patience::new(slowness) }
    }

    fn watch(&mut self, polled: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let written = match &polled {
            Poll::Ready(written) => Poll::Ready(*written.as_ref().unwrap_or(&0)),
            Poll::Pending => Poll::Pending,
        };
        if self.patience.is_over(written, cx) { Poll::Ready(Err(stalled())) } else { polled }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for StallGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StallGuard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A request's body whose bytes must keep coming while they are waited for.
pub(super) struct StallBody<B> {
    inner: B,
    patience: Patience,
}

impl<B> StallBody<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    pub(super) fn wrap(inner: B, slowness: Slowness) -> Body {
        if inner.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { inner, patience: Patience::new(slowness) })
    }
}

impl<B> http_body::Body for StallBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let brought = match &polled {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => Poll::Ready(0),
            Poll::Pending => Poll::Pending,
        };
        if self.patience.is_over(brought, cx) {
            return Poll::Ready(Some(Err(stalled().into())));
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
