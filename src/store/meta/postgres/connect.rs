//! Where the database is, and connections to it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::meta::MetaError;

/// Connections of a node: one writes, the others read.
const CONNECTIONS_MAX: usize = 16;

/// How long a connection may take to be made, or to be free.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How rows are found: by key, whatever the planner thinks of a table that is small or was small when it last looked. And a
/// statement that nobody waits for any more ends.
const SETTINGS: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET client_min_messages = warning; \
                        SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10min'";

/// Where the metadata are: a database, and a schema in it.
#[derive(Debug, Clone)]
pub struct PostgresAddress {
    config: Config,
    schema: String,
    authorities: Option<PathBuf>,
}

/// Why a database's address cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresAddressError {
    /// It is not one.
    #[error("is not the address of a PostgreSQL database: {0}")]
    Url(&'static str),
    /// It lacks something.
    #[error("names no {0}")]
    Missing(&'static str),
    /// The schema's name.
    #[error("is not a schema's name but {0:?}: it has small letters, digits and _, at most 63")]
    Schema(String),
}

impl PostgresAddress {
    /// From `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or as `key=value` pairs; `sslmode=require` insists on TLS. The
    /// certificate is held to the authorities in a PEM file, or to the system's.
    pub fn new(url: &str, schema: &str, authorities: Option<&Path>) -> Result<Self, PostgresAddressError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts_with_letter = schema.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !starts_with_letter || schema.len() > 63 || !schema.bytes().all(is_name) {
            return Err(PostgresAddressError::Schema(schema.to_owned()));
        }
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_url && url.contains("://") {
            return Err(PostgresAddressError::Url("it does not begin with postgres://"));
        }
        // What is wrong with it may be next to the password, or be it.
        let unreadable =
            "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for @ and the like in a password";
        let mut config = Config::from_str(url).map_err(|_| PostgresAddressError::Url(unreadable))?;
        let has_at = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
        if config.get_hosts().iter().any(has_at) {
            return Err(PostgresAddressError::Url(unreadable));
        }
        if config.get_hosts().is_empty() {
            return Err(PostgresAddressError::Missing("host"));
        }
        if config.get_user().is_none() {
            return Err(PostgresAddressError::Missing("user"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.application_name("xetgate").tcp_user_timeout(super::ANSWER_TIMEOUT);
        Ok(Self { config, schema: schema.to_owned(), authorities: authorities.map(Path::to_owned) })
    }

    /// Where that is, without secrets: for messages.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        // One port is that of all hosts.
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate().map(|(at, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<_> = hosts.collect();
        let user = self.config.get_user().unwrap_or_default();
        let database = self.config.get_dbname().unwrap_or(user);
        format!("(database {database} at {} as {user})", hosts.join(","))
    }

    /// The schema with the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whom a certificate is trusted from.
    fn authorities(&self) -> Result<RootCertStore, MetaError> {
        let mut trusted = RootCertStore::empty();
        let Some(file) = &self.authorities else {
            // Those that cannot be read are not trusted; without any, no certificate is.
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(trusted);
        };
        let told = |error: &dyn std::error::Error| {
            MetaError::Setup(format!("the authorities in {}: {error}", file.display()))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| told(&error))? {
            trusted.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
        }
        Ok(trusted)
    }

    fn tls(&self) -> Result<MakeRustlsConnect, MetaError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| MetaError::Engine(error.to_string()))?;
        let trusting = versions.with_root_certificates(self.authorities()?);
        Ok(MakeRustlsConnect::new(trusting.with_no_client_auth()))
    }

    /// Connections, made when they are needed.
    pub(super) fn pool(&self) -> Result<Pool, MetaError> {
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls()?, fast);
        // Its name is of letters, digits and `_`.
        let settings = format!("SET search_path = {}; {SETTINGS}", self.schema);
        let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let settings = settings.clone();
            Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .post_create(prepare)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| MetaError::Engine(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_and_user_and_a_plain_schema() {
        assert!(PostgresAddress::new("postgres://ada@db.example/x", "xetgate", None).is_ok());
        assert!(PostgresAddress::new("host=/run/postgresql user=ada", "x_1", None).is_ok());
        for (url, schema) in [
            ("postgres://db.example/x", "xetgate"),
            ("user=ada", "xetgate"),
            ("mysql://ada@db.example/x", "xetgate"),
            ("postgresql+asyncpg://ada:hidden@db.example/x?sslmode=require", "xetgate"),
            ("postgres://ada:hid@den@db.example/x", "xetgate"),
            ("postgres://ada:hidden@db.example/x?unknown=hidden", "xetgate"),
            ("postgres://ada@db.example/x", ""),
            ("postgres://ada@db.example/x", "a\"; drop table x"),
            ("postgres://ada@db.example/x", "1x"),
        ] {
            let refused = PostgresAddress::new(url, schema, None).unwrap_err().to_string();
            assert!(!refused.contains("hid") && !refused.contains("den"), "{refused}");
        }
    }
}
