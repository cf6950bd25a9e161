//! What can be wrong with a configuration, in one line each.

use std::io;
use std::path::{Path, PathBuf};

use figment::error::Kind;

use super::environment::Environment;
use crate::auth::AuthError;
use crate::store::meta::PostgresAddressError;

/// An error of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A key that nobody knows.
    #[error("unknown key `{key}` in {place} (known here: {known})")]
    UnknownKey {
        /// The key, with its section.
        key: String,
        /// The file or the variable.
        place: String,
        /// The keys that may stand there.
        known: String,
    },
    /// A value that cannot be.
    #[error("`{key}` in {place}: {reason}")]
    Value {
        /// The key, with its section.
        key: String,
        /// The file or the variable.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{place} is not valid TOML: {reason}")]
    Syntax {
        /// The file.
        place: String,
        /// Where and what.
        reason: String,
    },
    /// A number that must not be zero.
    #[error("`{key}` must not be 0")]
    Zero {
        /// The key.
        key: &'static str,
    },
    /// A value that means nothing.
    #[error("`{key}` {reason}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// A file that a variable names cannot be read.
    #[error("cannot read {path}, which {name}_FILE names: {error}")]
    ReadSecret {
        /// The variable, without `_FILE`.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that a key names cannot be read.
    #[error("cannot read {path}, which `{key}` names: {error}")]
    ReadNamed {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The address of the database.
    #[error("`{key}`: it {error}")]
    Database {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        error: PostgresAddressError,
    },
    /// A secret in place and in a file.
    #[error("give either {name} or {name}_FILE")]
    Both {
        /// The variable of the secret in place.
        name: &'static str,
    },
    /// Two keys of which one is missing.
    #[error("{keys} must be given together")]
    Together {
        /// Both.
        keys: &'static str,
    },
    /// Two listeners on one address.
    #[error("`{first}` and `{second}` must not be one address")]
    SameAddress {
        /// The first's key.
        first: &'static str,
        /// The second's.
        second: &'static str,
    },
    /// A domain that cannot be in a `Host` header.
    #[error("`s3.domains`: {domain:?} is not a domain (no scheme, no port, no path)")]
    Domain {
        /// As written.
        domain: String,
    },
    /// A declared account is not right.
    #[error("account {account:?}: {reason}")]
    Account {
        /// Its name as written.
        account: String,
        /// What is wrong.
        reason: String,
    },
    /// A declared credential is not right.
    #[error("account {account:?}, access key id {access_key_id:?}: {reason}")]
    Credential {
        /// The account's name as written.
        account: String,
        /// The credential's id as written.
        access_key_id: String,
        /// What is wrong.
        reason: String,
    },
    /// The credentials together are not right.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// There is no home folder to put a data folder in.
    #[error("neither XDG_DATA_HOME nor HOME is set: name a data folder with --data-dir")]
    NoDataDir,
}

impl ConfigError {
    /// Puts the library's error into our words. Only the first of several is told.
    pub(super) fn from_figment(
        error: &figment::Error,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Self {
        let join = |last: Option<&str>| {
            error.path.iter().map(String::as_str).chain(last).collect::<Vec<_>>().join(".")
        };
        let place = |key: &str| match (environment.about(key), file) {
            (Some(variable), _) => format!("environment variable {variable}"),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => "the defaults".to_owned(),
        };
        match &error.kind {
            Kind::UnknownField(_, known) => {
                let key = join(None);
                Self::UnknownKey { place: place(&key), key, known: known.join(", ") }
            }
            Kind::MissingField(name) => {
                let key = join(Some(name));
                Self::Value { place: place(&key), key, reason: "must be given".to_owned() }
            }
            kind if error.path.is_empty() => {
                Self::Syntax { place: place(""), reason: one_line(&kind.to_string()) }
            }
            kind => {
                let key = join(None);
                // What was found there may be a secret that lost its quotes.
                let reason = if super::is_secret(&key) {
                    "must be a string".to_owned()
                } else {
                    one_line(&kind.to_string())
                };
                Self::Value { place: place(&key), key, reason }
            }
        }
    }
}

/// First and last line of a text: where and what, without the excerpt between them, which may hold a secret.
fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) => format!("{first}: {last}"),
        None => first.to_owned(),
    }
}
