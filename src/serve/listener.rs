//! A listener: takes connections, speaks HTTP/1 on them, and stops without cutting off what runs.
//!
//! Everything is bounded: connections by a semaphore that is taken before one is accepted (so that more wait in the
//! kernel's queue), heads and idle time by a timer, bodies by [`super::stall`], and the end by a grace time. An error
//! of accepting, such as too many open files, is waited out: it ends when connections end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::stall::{StallBody, StallGuard};

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
    /// How long a body may stand still.
    pub stall_timeout: Duration,
    /// How long running requests may take to finish at the end.
    pub shutdown_grace: Duration,
}

/// A bound listener; nothing is accepted until it runs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Self, ListenError> {
        let failed = |error| ListenError { address, error };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, limits })
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
        let stall_timeout = self.limits.stall_timeout;
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request = request.map(|body| StallBody::wrap(body, stall_timeout));
            request.extensions_mut().insert(ConnectInfo(remote));
            let answer = router.clone().oneshot(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .serve_connection(TokioIo::new(StallGuard::new(stream, stall_timeout)), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection.await {
                // Clients break off all the time; what became of the request is in its own line.
                tracing::debug!(%error, %remote, "connection ended early");
            }
        });
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request broke off in the middle");
    }
}

#[cfg(test)]
mod tests;
