//! What is kept of requests, and how many there may be.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Metrics for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// A listener of their own, on which they and `/health` are shown to everybody; `None` for none.
    pub listen: Option<SocketAddr>,
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
