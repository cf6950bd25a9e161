//! A listener: takes connections, speaks HTTP/1 on them, or HTTP/2 where TLS has agreed on it, and stops without cutting
//! off what runs.
//!
//! Everything is bounded: connections by a semaphore that is taken before one is accepted (so that more wait in the
//! kernel's queue), heads and idle time by a timer, bodies by [`super::stall`], and the end by a grace time. A request
//! that is answered before its body was read has its answer read all the same ([`super::unread_body`]). An error of
//! accepting, such as too many open files, is waited out: it ends when connections end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::closing::{Closing, DRAIN, Unread};
pub use super::stall::Slowness;
use super::stall::{StallBody, StallGuard};
use super::tls::Tls;
use super::unread_body::{self, UnreadBody};

/// Shortest and longest wait after a failed accept.
const BACKOFF: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(1);

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

impl ListenError {
    /// Whether another process listens there.
    pub fn is_address_in_use(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// What a listener allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections_max: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How slowly a body may come, or be taken.
    pub slowness: Slowness,
    /// How long running requests may take to finish at the end.
    pub shutdown_grace: Duration,
}

/// The request came over TLS. A request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// Streams of one HTTP/2 connection at a time: as many requests as a client of HTTP/1 has connections.
const STREAMS_MAX: u32 = 128;

/// Largest head of an HTTP/2 request, in bytes: as much as hyper takes of HTTP/1.
const HEAD_BYTES_MAX: u32 = 64 << 10;

/// A bound listener; nothing is accepted until it runs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Self, ListenError> {
        let failed = |error| ListenError { address, error };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, limits, tls: None })
    }

    /// Speaks TLS, if a certificate is given.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` ends, then waits for running requests up to the grace time. Gives how many
    /// connections were cut off at its end.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) -> usize {
        let mut stop = pin!(stop);
        let permits = Arc::new(Semaphore::new(self.limits.connections_max.min(Semaphore::MAX_PERMITS)));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.accept().await)
            };
            let (permit, (stream, remote)) = tokio::select! {
                biased;
                () = &mut stop => break,
                (permit, accepted) = next => match permit {
                    Ok(permit) => (permit, accepted),
                    Err(_closed) => break,
                },
            };
            self.spawn(&mut connections, &graceful, &router, stream, remote, permit);
            while let Some(ended) = connections.try_join_next() {
                log_panic(ended);
            }
        }
        drop(self.socket);
        let finished = tokio::time::timeout(self.limits.shutdown_grace, graceful.shutdown()).await;
        while let Some(ended) = connections.try_join_next() {
            log_panic(ended);
        }
        let cut_off = if finished.is_ok() { 0 } else { connections.len() };
        connections.shutdown().await;
        cut_off
    }

    /// The next connection; waits out errors.
    async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut backoff = *BACKOFF.start();
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                // The client has left before it was its turn.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "cannot accept connections for now");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(*BACKOFF.end());
                }
            }
        }
    }

    /// Serves one connection on a task of its own, which gives the permit back when it ends.
    fn spawn(
        &self,
        connections: &mut JoinSet<()>,
        graceful: &GracefulShutdown,
        router: &Router,
        stream: TcpStream,
        remote: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %remote, "cannot set TCP_NODELAY");
        }
        let (limits, router) = (self.limits, router.clone());
        let unread = Unread::default();
        let stream = Closing::new(StallGuard::new(stream, limits.slowness), unread.clone(), DRAIN);
        let Some(tls) = &self.tls else {
            let service = ConnectionService { router, remote, limits, unread, tls: false };
            let connection = graceful.watch(http1(stream, limits, service));
            connections.spawn(async move {
                let _permit = permit;
                log_end(connection.await, remote);
            });
            return;
        };
        let (shaking, watcher) = (tls.acceptor().accept(stream), graceful.watcher());
        connections.spawn(async move {
            let _permit = permit;
            let stream = match tokio::time::timeout(limits.header_timeout, shaking).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, %remote, "no TLS with this client"),
                Err(_) => return tracing::debug!(%remote, "the client takes too long to agree on TLS"),
            };
            let speaks_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = ConnectionService { router, remote, limits, unread, tls: true };
            if speaks_2 {
                service.unread.disregard();
                log_end(watcher.watch(http2(stream, limits, service)).await, remote);
            } else {
                log_end(watcher.watch(http1(stream, limits, service)).await, remote);
            }
        });
    }
}

/// Hands the requests of one connection to the router.
#[derive(Clone)]
struct ConnectionService {
    router: Router,
    remote: SocketAddr,
    limits: Limits,
    unread: Unread,
    tls: bool,
}

/// Decides what is done with the unread rest of the body of a request that has been answered.
async fn end(left: Option<UnreadBody>, version: Version, unread: &Unread, response: &mut Response) {
    let Some(mut left) = left else { return unread.clear() };
    if left.ends_soon().await {
        unread.clear();
    } else if version == Version::HTTP_2 {
        tokio::spawn(left.drain(DRAIN));
    } else {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

impl Service<hyper::Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let version = request.version();
        let (head, body) = request.into_parts();
        let body = StallBody::wrap(body, self.limits.slowness);
        let (body, left) = unread_body::split(body, &head.headers);
        let mut request = hyper::Request::from_parts(head, body);
        request.extensions_mut().insert(ConnectInfo(self.remote));
        if self.tls {
            request.extensions_mut().insert(OverTls);
        }
        if version == Version::HTTP_2 {
            as_of_http1(&mut request);
        }
        let (router, unread) = (self.router.clone(), self.unread.clone());
        Box::pin(async move {
            let mut response = router.oneshot(request).await?;
            end(left, version, &unread, &mut response).await;
            Ok(response)
        })
    }
}

/// Puts the host where HTTP/1 has it: the APIs look for it there, and signatures are made of it. Source: RFC 9113, section
/// 8.3.1.
fn as_of_http1<B>(request: &mut hyper::Request<B>) {
    let uri = request.uri();
    let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str).parse();
    if let Some(host) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    if let Ok(target) = target {
        *request.uri_mut() = target;
    }
}

fn http1<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    limits: Limits,
    service: ConnectionService,
) -> http1::Connection<TokioIo<S>, ConnectionService> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service)
}

fn http2<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    limits: Limits,
    service: ConnectionService,
) -> http2::Connection<TokioIo<S>, ConnectionService, TokioExecutor> {
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .adaptive_window(true)
        // A client that is gone is noticed, and an idle one that answers may stay, as long as connections are not scarce.
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service)
}

fn log_end(ended: Result<(), hyper::Error>, remote: SocketAddr) {
    if let Err(error) = ended {
        // Clients break off all the time; what became of the request is in its own line.
        tracing::debug!(%error, %remote, "connection ended early");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request broke off in the middle");
    }
}

#[cfg(test)]
mod tests;
