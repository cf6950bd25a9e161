//! What can be configured, and how it is read: defaults, then one TOML file, then the environment, then flags.
//!
//! `config/xetgate.toml` documents every key with its default, and a test below holds it to that. A key nobody knows
//! is refused by name: a typing error must not silently leave a default in place. Every refusal is one line that
//! names the key and where it came from, and never repeats a secret.
//!
//! The environment is passed in, not read here, so that tests need not change the process's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::auth::root::{self, RootGiven};
use crate::model::bucket::Visibility;
use crate::telemetry::LogFormat;

mod accounts;
mod aliases;
mod cluster;
mod environment;
mod error;
mod hub_environment;
mod hub_mode;
mod packs;
mod show;
mod upkeep;
mod watch;

pub use accounts::{AccountConfig, CredentialConfig};
pub use aliases::Aliases;
pub use cluster::{ClusterConfig, ClusterGiven, MetadataConfig};
pub use error::ConfigError;
pub use hub_environment::{HubEnvironment, NO_IMPLICIT_TOKEN_VAR, clean_token};
pub use hub_mode::{CacheConfig, HubGiven, HubModeConfig, hub_given};
pub use packs::{OptionValue, PacksConfig};
pub use show::{Shown, show};
pub use upkeep::{GcConfig, LifecycleConfig, ScrubConfig, UploadsConfig};
pub use watch::{AuditConfig, BackupConfig, LimitsConfig, MetricsConfig, TlsConfig, TracesConfig};

use environment::Environment;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The data folder; `None` for the user's own, see [`default_data_dir`].
    pub data_dir: Option<PathBuf>,
    /// Where metadata and chunks live.
    pub mode: Mode,
    /// The S3 listener.
    pub s3: S3Config,
    /// The listener of the Hub's API.
    pub hub: HubConfig,
    /// The Hub behind a gateway in hub mode.
    pub hub_mode: HubModeConfig,
    /// The cache of chunks that came from far away.
    pub cache: CacheConfig,
    /// Packs in an object store.
    pub packs: PacksConfig,
    /// The metadata of a cluster.
    pub metadata: MetadataConfig,
    /// The nodes of a cluster.
    pub cluster: ClusterConfig,
    /// What holds for every listener.
    pub server: ServerConfig,
    /// TLS.
    pub tls: TlsConfig,
    /// Multipart uploads.
    pub uploads: UploadsConfig,
    /// Garbage collection.
    pub gc: GcConfig,
    /// Scrubbing.
    pub scrub: ScrubConfig,
    /// Following lifecycle rules.
    pub lifecycle: LifecycleConfig,
    /// How much callers may ask.
    pub limits: LimitsConfig,
    /// The log.
    pub log: LogConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// Traces.
    pub traces: TracesConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// Backups.
    pub backup: BackupConfig,
    /// Accounts declared here; with none, there is the root account.
    pub accounts: Vec<AccountConfig>,
}

/// Where metadata and chunks live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Mode {
    /// In the data folder.
    #[default]
    Standalone,
    /// In a database and an object store, which other nodes share.
    Cluster,
    /// On a Hub.
    Hub,
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "standalone" => Ok(Self::Standalone),
            "cluster" => Ok(Self::Cluster),
            "hub" => Ok(Self::Hub),
            other => {
                Err(format!("mode {other:?} does not exist, only \"standalone\", \"cluster\" and \"hub\" do"))
            }
        }
    }
}

impl From<Mode> for &'static str {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Standalone => "standalone",
            Mode::Cluster => "cluster",
            Mode::Hub => "hub",
        }
    }
}

/// The S3 listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The region that signatures must name.
    pub region: String,
    /// Connections served at a time; more wait to be accepted.
    pub max_connections: usize,
    /// How paths name buckets.
    pub addressing: AddressingStyle,
    /// Domains whose subdomains are buckets.
    pub domains: Vec<String>,
    /// Whether a name may mean another account's readable bucket to a caller with a key.
    pub foreign_names: bool,
    /// Whether requests signed with Signature Version 2 are taken.
    pub signature_v2: bool,
    /// What names mean to callers who have no bucket of the name.
    pub aliases: Aliases,
}

/// How paths name buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressingStyle {
    /// `/{bucket}/{key}`, in the namespace of the caller's account.
    Account,
    /// `/{namespace}/{bucket}/{key}`.
    Namespaced,
}

impl Default for S3Config {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9000));
        Self {
            listen,
            region: "us-east-1".to_owned(),
            max_connections: 1024,
            addressing: AddressingStyle::Account,
            domains: Vec::new(),
            foreign_names: false,
            signature_v2: true,
            aliases: Aliases::default(),
        }
    }
}

/// The listener of the Hub's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections served at a time; more wait to be accepted.
    pub max_connections: usize,
    /// Who may read a bucket whose creator does not say.
    pub new_buckets: Visibility,
}

impl Default for HubConfig {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 9001));
        let new_buckets = Visibility::Public;
        Self { listen, max_connections: 1024, new_buckets }
    }
}

/// What holds for every listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// How long running requests may take to finish once the process is told to stop.
    pub shutdown_grace_secs: u64,
    /// How long a client may take to send a request's head, or stay idle between requests.
    pub header_timeout_secs: u64,
    /// How long a body may stand still, in either direction, before the connection is given up.
    pub stall_timeout_secs: u64,
    /// How many bytes a second a body must have on the mean while it is waited for, in either direction; 0 for no such
    /// limit.
    pub min_bytes_per_sec: u64,
    /// Proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            shutdown_grace_secs: 30,
            header_timeout_secs: 30,
            stall_timeout_secs: 60,
            min_bytes_per_sec: 500,
            trusted_proxies: Vec::new(),
        }
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The form of its lines.
    pub format: LogFormat,
    /// Which lines are written, as `tracing` directives.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        // s3s logs what it was sent, signatures included.
        Self {
            format: LogFormat::Text,
            filter: "info,fjall=warn,lsm_tree=warn,object_store=warn,s3s=off".to_owned(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            mode: Mode::Standalone,
            s3: S3Config::default(),
            hub: HubConfig::default(),
            hub_mode: HubModeConfig::default(),
            cache: CacheConfig::default(),
            packs: PacksConfig::default(),
            metadata: MetadataConfig::default(),
            cluster: ClusterConfig::default(),
            server: ServerConfig::default(),
            tls: TlsConfig::default(),
            uploads: UploadsConfig::default(),
            gc: GcConfig::default(),
            scrub: ScrubConfig::default(),
            lifecycle: LifecycleConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
            traces: TracesConfig::default(),
            audit: AuditConfig::default(),
            backup: BackupConfig::default(),
            accounts: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file, if any, and lays the environment's `XETGATE__SECTION__KEY` variables over it.
    pub fn load(file: Option<&Path>, vars: &[(String, String)]) -> Result<Self, ConfigError> {
        let environment = Environment::of(vars);
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let read = |error| ConfigError::Read { path: path.to_owned(), error };
            layers = layers.merge(Toml::string(&std::fs::read_to_string(path).map_err(read)?));
        }
        let config: Self = layers
            .merge(&environment)
            .extract()
            .map_err(|error| ConfigError::from_figment(&error, file, &environment))?;
        config.check()
    }

    /// Refuses numbers that would switch the service off.
    fn check(self) -> Result<Self, ConfigError> {
        let zero = [
            ("s3.max_connections", self.s3.max_connections == 0),
            ("hub.max_connections", self.hub.max_connections == 0),
            ("server.header_timeout_secs", self.server.header_timeout_secs == 0),
            ("server.stall_timeout_secs", self.server.stall_timeout_secs == 0),
            ("uploads.expire_days", self.uploads.expire_days == 0),
            ("cluster.silence_secs", self.cluster.silence_secs == 0),
        ];
        if let Some((key, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
            return Err(ConfigError::Zero { key });
        }
        if let Some(domain) = self.s3.domains.iter().find(|domain| !is_domain(domain)) {
            return Err(ConfigError::Domain { domain: domain.clone() });
        }
        self.traces.check()?;
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return Err(ConfigError::Together { keys: "`tls.cert_file` and `tls.key_file`" });
        }
        if let Some((first, second)) = self.same_address() {
            return Err(ConfigError::SameAddress { first, second });
        }
        Ok(self)
    }

    /// Two listeners that would have one address.
    fn same_address(&self) -> Option<(&'static str, &'static str)> {
        let all = [
            ("s3.listen", Some(self.s3.listen)),
            ("hub.listen", Some(self.hub.listen).filter(|_| self.mode != Mode::Hub)),
            ("metrics.listen", self.metrics.listen),
        ];
        let fixed = all.iter().filter_map(|(key, listen)| Some((*key, listen.filter(|at| at.port() != 0)?)));
        let fixed: Vec<_> = fixed.collect();
        fixed.iter().enumerate().find_map(|(at, (first, listen))| {
            let same = fixed[at + 1..].iter().find(|(_, other)| other == listen);
            same.map(|(second, _)| (*first, *second))
        })
    }
}

/// Whether a text can be the host of a URL, below which there are others.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(label) && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether a key's value must not be shown.
fn is_secret(key: &str) -> bool {
    // Most options of an object store are harmless, but each kind has its own names for those that are not.
    key.ends_with("secret_access_key")
        || key.ends_with("token")
        || key.starts_with("packs.options.")
        || key == "metadata.url"
}

/// What a variable says, or the file that the variable of this name and `_FILE` names; white space around what a file
/// says is dropped.
fn given(vars: &[(String, String)], name: &'static str) -> Result<Option<String>, ConfigError> {
    let var = |name: &str| vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match (var(name), var(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(ConfigError::Both { name }),
        (Some(value), None) => Ok(Some(value)),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let read = std::fs::read_to_string(&path);
            let text = read.map_err(|error| ConfigError::ReadSecret { name, path, error })?;
            Ok(Some(text.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The root credential as the environment gives it.
pub fn root_given(vars: &[(String, String)]) -> Result<RootGiven, ConfigError> {
    Ok(RootGiven {
        user: given(vars, root::USER_VAR)?,
        access_key_id: given(vars, root::ACCESS_KEY_ID_VAR)?,
        secret_access_key: given(vars, root::SECRET_ACCESS_KEY_VAR)?,
        token: given(vars, root::TOKEN_VAR)?,
    })
}

/// The master key as the environment gives it: 64 hexadecimal digits.
pub fn master_key_given(vars: &[(String, String)]) -> Result<Option<String>, ConfigError> {
    given(vars, "XETGATE_MASTER_KEY")
}

/// The user's own data folder: `$XDG_DATA_HOME/xetgate`, or `~/.local/share/xetgate`. (A relative `XDG_DATA_HOME` is
/// to be ignored. Source: XDG Base Directory Specification.)
pub fn default_data_dir(vars: &[(String, String)]) -> Result<PathBuf, ConfigError> {
    let absolute = |name: &str| {
        let value = vars.iter().find(|(key, _)| key == name).map(|(_, value)| PathBuf::from(value));
        value.filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("xetgate"))
        .ok_or(ConfigError::NoDataDir)
}

#[cfg(test)]
mod tests;
