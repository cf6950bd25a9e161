//! What is kept of requests, and how many there may be.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Metrics for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// A listener of their own, on which they and `/health` are shown to everybody; `None` for none.
    pub listen: Option<SocketAddr>,
}

/// Traces for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// The collector's address for OTLP over HTTP, such as `http://127.0.0.1:4318`; `None` for no traces.
    pub otlp_endpoint: Option<String>,
    /// How many of all traces are kept, from 0 to 1.
    pub sample_ratio: f64,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

impl TracesConfig {
    /// Refuses an address that is none, or holds a password, which would be shown; and a share that is none.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let is_address = |text: &str| {
            text.parse::<http::Uri>().is_ok_and(|uri| {
                let is_plain = uri.query().is_none()
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
                is_plain && matches!(uri.scheme_str(), Some("http" | "https"))
            })
        };
        if self.otlp_endpoint.as_deref().is_some_and(|text| !is_address(text)) {
            return Err(ConfigError::Wrong {
                key: "traces.otlp_endpoint",
                reason: "must be an address such as http://127.0.0.1:4318, without user or query",
            });
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(ConfigError::Wrong { key: "traces.sample_ratio", reason: "must be from 0 to 1" });
        }
        Ok(())
    }
}

/// TLS of the S3 and the Hub's listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The chain of certificates, PEM; `None` for no TLS.
    pub cert_file: Option<PathBuf>,
    /// The key of the first, PEM.
    pub key_file: Option<PathBuf>,
}

/// Backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// The folder that they are made in; `None` for no backups while the gateway runs.
    pub folder: Option<PathBuf>,
}

/// The audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Its file; `None` for none.
    pub file: Option<PathBuf>,
}

/// How much callers may ask; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Requests a second, all callers together.
    pub requests_per_sec: u32,
    /// Requests at a time, all callers together.
    pub concurrent: u32,
    /// Requests a second of each access key.
    pub key_requests_per_sec: u32,
    /// Requests at a time of each access key.
    pub key_concurrent: u32,
    /// Wrong credentials answered a second to each address, after the first fifty.
    pub failed_logins_per_sec: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_sec: 0,
            concurrent: 0,
            key_requests_per_sec: 0,
            key_concurrent: 0,
            failed_logins_per_sec: 10,
        }
    }
}
