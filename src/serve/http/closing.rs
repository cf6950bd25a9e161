//! Closes connections so that the last answer can be read.
//!
//! A socket that is closed while bytes of its client lie unread in it is reset, and a reset takes the answer with it
//! that the client has not read yet. So a connection on which a request has not been read to its end is closed in
//! stages: first for writing, then what still comes is read and dropped, within limits, and only then all of it. Source:
//! RFC 9112, section 9.6.
//!
//! This stands below TLS, where what is unread is dropped as it is.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How much is read and dropped of a request that is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainLimits {
    /// Bytes in all.
    pub(super) bytes: u64,
    /// Time in all.
    pub(super) time: Duration,
    /// Time in which nothing comes.
    pub(super) idle: Duration,
}

/// Enough for what most clients send in one request (parts of uploads have 5 to 64 MiB), and for slow ones; dropping
/// bytes costs less than storing them would have.
pub(super) const DRAIN: DrainLimits =
    DrainLimits { bytes: 128 << 20, time: Duration::from_secs(30), idle: Duration::from_secs(5) };

/// Bytes that are read at once.
const SCRATCH_BYTES: usize = 16 << 10;

/// Whether a connection may hold unread bytes of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    unread: AtomicBool,
    disregarded: AtomicBool,
}

impl Unread {
    /// Everything that has come so far has been read.
    pub(super) fn clear(&self) {
        self.0.unread.store(false, Ordering::Relaxed);
    }

    /// The protocol ends each request by itself, and sends more than requests.
    pub(super) fn disregard(&self) {
        self.0.disregarded.store(true, Ordering::Relaxed);
    }

    fn set(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed) && !self.0.disregarded.load(Ordering::Relaxed)
    }
}

/// A connection that is closed in stages if it has to be.
pub(super) struct Closing<T> {
    inner: T,
    unread: Unread,
    limits: DrainLimits,
    draining: Option<Draining>,
}

struct Draining {
    left: u64,
    patience: Duration,
    end: Pin<Box<Sleep>>,
    idle: Pin<Box<Sleep>>,
    scratch: Box<[u8]>,
}

impl<T> Closing<T> {
    /// The reader of the connection's requests must clear `unread` after each.
    pub(super) fn new(inner: T, unread: Unread, limits: DrainLimits) -> Self {
        Self { inner, unread, limits, draining: None }
    }
}

impl Draining {
    fn new(limits: DrainLimits) -> Self {
        Self {
            left: limits.bytes,
            patience: limits.idle,
            end: Box::pin(tokio::time::sleep(limits.time)),
            idle: Box::pin(tokio::time::sleep(limits.idle)),
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }

    /// Ready when the client has closed its side or a limit is reached.
    fn poll<T: AsyncRead + Unpin>(&mut self, inner: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.left == 0 || self.end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buf = ReadBuf::new(&mut self.scratch);
            match Pin::new(&mut *inner).poll_read(cx, &mut buf) {
                Poll::Pending => return self.idle.as_mut().poll(cx),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buf.filled().len() as u64);
                    let until = tokio::time::Instant::now() + self.patience;
                    self.idle.as_mut().reset(until);
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Closing<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.unread.set();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Closing<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.draining.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.unread.is_set() {
                return Poll::Ready(Ok(()));
            }
        }
        let limits = this.limits;
        let draining = this.draining.get_or_insert_with(|| Draining::new(limits));
        draining.poll(&mut this.inner, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: DrainLimits =
        DrainLimits { bytes: 64 << 10, time: Duration::from_secs(20), idle: Duration::from_secs(20) };

    /// A connection of which one byte has been read, being closed; and its client.
    async fn closing(limits: DrainLimits, is_read: bool) -> (DuplexStream, JoinHandle<()>) {
        let (mut client, server) = tokio::io::duplex(1024);
        let unread = Unread::default();
        let mut server = Closing::new(server, unread.clone(), limits);
        client.write_all(b"x").await.unwrap();
        server.read_u8().await.unwrap();
        if is_read {
            unread.clear();
        }
        (client, tokio::spawn(async move { server.shutdown().await.unwrap() }))
    }

    #[tokio::test]
    async fn what_still_comes_of_a_refused_request_is_dropped() {
        let (mut client, closed) = closing(LIMITS, false).await;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        client.write_all(&vec![0; 32 << 10]).await.unwrap();
        assert!(!closed.is_finished(), "the client may have more");
        drop(client);
        closed.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_with_nothing_unread_is_closed_at_once() {
        let (_client, closed) = closing(LIMITS, true).await;
        closed.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_sends_on_for_ever_is_cut_off() {
        let (mut client, closed) = closing(LIMITS, false).await;
        let sent = async { while client.write_all(&[0; 1024]).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
        closed.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_neither_sends_nor_closes_is_cut_off() {
        let (_client, closed) =
            closing(DrainLimits { idle: Duration::from_millis(20), ..LIMITS }, false).await;
        tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_sends_slowly_is_cut_off() {
        let limits = DrainLimits { time: Duration::from_millis(100), ..LIMITS };
        let (mut client, closed) = closing(limits, false).await;
        let sent = async {
            while client.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), sent).await.unwrap();
        closed.await.unwrap();
    }
}
