//! The listeners: S3, the Hub's where the mode has one, and one for metrics alone if it is configured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::runtime::Runtime;

use super::apis::Apis;
use super::error::GatewayError;
use crate::config::Config;
use crate::serve::http::listener::{Limits, Listener, Slowness};
use crate::serve::http::tls::Tls;

/// Connections to the listener for metrics: few programs read them.
const METRICS_CONNECTIONS_MAX: usize = 32;

/// Bound, and not yet accepting.
pub(super) struct Listeners {
    pub(super) s3: Listener,
    pub(super) hub: Option<Listener>,
    pub(super) metrics: Option<Listener>,
}

impl Listeners {
    /// Binds the configured addresses.
    pub(super) fn bind(runtime: &Runtime, config: &Config, serves_hub: bool) -> Result<Self, GatewayError> {
        let bind = |address: SocketAddr, connections_max, option| {
            let bound = runtime.block_on(Listener::bind(address, limits(config, connections_max)));
            bound.map_err(|error| GatewayError::Listen { error, option })
        };
        let s3 = bind(config.s3.listen, config.s3.max_connections, "--listen")?;
        let hub = serves_hub.then(|| bind(config.hub.listen, config.hub.max_connections, "--hub-listen"));
        let metrics = config.metrics.listen.map(|at| bind(at, METRICS_CONNECTIONS_MAX, "metrics.listen"));
        Ok(Self { s3, hub: hub.transpose()?, metrics: metrics.transpose()? })
    }

    /// Each listener with the router that it serves. Metrics are served without TLS.
    pub(super) fn with_apis(self, apis: Apis, tls: Option<&Arc<Tls>>) -> Vec<(Listener, Router)> {
        let mut served = vec![(self.s3.with_tls(tls.cloned()), apis.s3.router)];
        let hub = self.hub.map(|listener| listener.with_tls(tls.cloned()));
        served.extend(hub.zip(apis.hub.map(|hub| hub.router)));
        served.extend(self.metrics.map(|listener| (listener, apis.metrics.router)));
        served
    }
}

fn limits(config: &Config, connections_max: usize) -> Limits {
    Limits {
        connections_max,
        header_timeout: Duration::from_secs(config.server.header_timeout_secs),
        slowness: Slowness {
            stall_timeout: Duration::from_secs(config.server.stall_timeout_secs),
            bytes_per_sec_min: config.server.min_bytes_per_sec,
        },
        shutdown_grace: Duration::from_secs(config.server.shutdown_grace_secs),
    }
}
