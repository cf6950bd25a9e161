//! Accounts declared in the configuration, and the credentials made of them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Mode};
use crate::auth::{AccessKeyId, Account, AccountKind, Credential, Permission, Secret, TokenUse};
use crate::model::bucket::Visibility;
use crate::model::names::{BucketName, Namespace};

/// A declared account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Its name, which is its namespace.
    pub name: String,
    /// Whose it is.
    #[serde(default)]
    pub kind: AccountKind,
    /// The users that an organisation's buckets are theirs too.
    #[serde(default)]
    pub members: Vec<String>,
    /// Who may read the buckets that are created in it through the Hub's API without that being said, in place of
    /// `hub.new_buckets`.
    pub new_buckets: Option<Visibility>,
    /// Its credentials.
    #[serde(default)]
    pub credentials: Vec<CredentialConfig>,
}

/// A declared credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    /// Public half of the S3 key pair.
    pub access_key_id: String,
    /// Secret half, in place, ...
    pub secret_access_key: Option<String>,
    /// ... or in a file of its own; white space around it is dropped.
    pub secret_access_key_file: Option<PathBuf>,
    /// The Hub face, in place, ...
    pub token: Option<String>,
    /// ... or in a file of its own; white space around it is dropped.
    pub token_file: Option<PathBuf>,
    /// How far it reaches.
    pub permission: Permission,
    /// The only buckets it reaches.
    pub buckets: Option<Vec<String>>,
}

impl std::fmt::Debug for CredentialConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialConfig").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Config {
    /// What the tokens of credentials are for: in hub mode, for the Hub.
    pub fn token_use(&self) -> TokenUse {
        match self.mode {
            Mode::Hub => TokenUse::Passed,
            Mode::Standalone | Mode::Cluster => TokenUse::Shown,
        }
    }

    /// The declared accounts.
    pub fn declared_accounts(&self) -> Result<Vec<Account>, ConfigError> {
        let account = |declared: &AccountConfig| {
            let name = Namespace::new(&declared.name).map_err(text)?;
            let members = declared.members.iter().map(|name| Namespace::new(name).map_err(text));
            let members = members.collect::<Result<Vec<_>, _>>()?;
            if declared.kind == AccountKind::User && !members.is_empty() {
                return Err("only an account of kind \"org\" has members".to_owned());
            }
            Ok(Account { name, kind: declared.kind, members, new_buckets: declared.new_buckets })
        };
        let refused = |declared: &AccountConfig, reason| ConfigError::Account {
            account: declared.name.clone(),
            reason,
        };
        let accounts = self.accounts.iter();
        accounts.map(|declared| account(declared).map_err(|reason| refused(declared, reason))).collect()
    }

    /// The credentials of all declared accounts. Reads the secrets' files; relative ones are looked for beside the
    /// configuration file.
    pub fn credentials(&self, file: Option<&Path>) -> Result<Vec<Credential>, ConfigError> {
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut credentials = Vec::new();
        for account in &self.accounts {
            let name = Namespace::new(&account.name).map_err(|error| ConfigError::Account {
                account: account.name.clone(),
                reason: error.to_string(),
            })?;
            for declared in &account.credentials {
                credentials.push(declared.credential(&name, folder).map_err(|reason| {
                    ConfigError::Credential {
                        account: account.name.clone(),
                        access_key_id: declared.access_key_id.clone(),
                        reason,
                    }
                })?);
            }
        }
        Ok(credentials)
    }
}

impl CredentialConfig {
    fn credential(&self, account: &Namespace, folder: &Path) -> Result<Credential, String> {
        let buckets = self.buckets.as_ref().map(|names| {
            names.iter().map(|name| BucketName::new(name).map_err(text)).collect::<Result<Vec<_>, _>>()
        });
        Ok(Credential {
            account: account.clone(),
            access_key_id: AccessKeyId::new(&self.access_key_id).map_err(text)?,
            secret_access_key: self.secret(folder)?,
            token: self.token(folder)?,
            permission: self.permission,
            buckets: buckets.transpose()?,
            created_at: None,
            expires_at: None,
        })
    }

    fn secret(&self, folder: &Path) -> Result<Secret, String> {
        match (&self.secret_access_key, &self.secret_access_key_file) {
            (Some(secret), None) => named("secret_access_key", Secret::new(secret)),
            (None, Some(file)) => secret_in(&folder.join(file)),
            _ => Err("give either secret_access_key or secret_access_key_file".to_owned()),
        }
    }

    fn token(&self, folder: &Path) -> Result<Option<Secret>, String> {
        match (&self.token, &self.token_file) {
            (None, None) => Ok(None),
            (Some(token), None) => named("token", Secret::new(token)).map(Some),
            (None, Some(file)) => secret_in(&folder.join(file)).map(Some),
            _ => Err("give either token or token_file".to_owned()),
        }
    }
}

fn secret_in(path: &Path) -> Result<Secret, String> {
    let read = std::fs::read_to_string(path);
    let secret = read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    named(&path.display().to_string(), Secret::new(secret.trim()))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn named<T>(what: &str, value: Result<T, crate::auth::AuthError>) -> Result<T, String> {
    value.map_err(|error| format!("{what}: {error}"))
}
