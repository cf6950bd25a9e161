//! What goes in and comes out, as JSON.

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::auth::{Account, AccountKind, Credential, NewKey, Permission, Secret};
use crate::model::bucket::Visibility;
use crate::model::clock::Timestamp;
use crate::model::names::{BucketName, Namespace};

/// An account to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedAccount {
    name: Namespace,
    #[serde(default)]
    kind: AccountKind,
    #[serde(default)]
    members: Vec<Namespace>,
    new_buckets: Option<Visibility>,
}

impl From<AskedAccount> for Account {
    fn from(asked: AskedAccount) -> Self {
        let AskedAccount { name, kind, members, new_buckets } = asked;
        Self { name, kind, members, new_buckets }
    }
}

/// What is set of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedSettings {
    /// `null` for what the deployment says; it must be there.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) new_buckets: Option<Visibility>,
}

/// A credential to make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedKey {
    account: String,
    permission: Option<Permission>,
    buckets: Option<Vec<String>>,
    /// RFC 3339.
    expires_at: Option<String>,
}

impl TryFrom<AskedKey> for NewKey {
    type Error = String;

    fn try_from(asked: AskedKey) -> Result<Self, String> {
        let buckets = asked.buckets.map(|names| {
            names.iter().map(|name| BucketName::new(name).map_err(|error| error.to_string())).collect()
        });
        Ok(Self {
            account: Namespace::new(&asked.account).map_err(|error| error.to_string())?,
            permission: asked.permission.unwrap_or(Permission::Write),
            buckets: buckets.transpose()?,
            expires_at: asked.expires_at.as_deref().map(parse_time).transpose()?,
        })
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is not a time such as 2027-01-31T00:00:00Z");
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong())?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map(Timestamp).map_err(|_| wrong())
}

fn written(at: Timestamp) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok()?.format(&Rfc3339).ok()
}

/// An account as it is shown.
pub(super) fn account_json(account: &Account, declared: bool) -> Value {
    json!({
        "name": account.name,
        "kind": account.kind,
        "members": account.members,
        "new_buckets": account.new_buckets,
        "declared": declared,
    })
}

/// A credential as it is listed: no secret.
pub(super) fn key_json(key: &Credential) -> Value {
    json!({
        "access_key_id": key.access_key_id.as_str(),
        "account": key.account,
        "permission": key.permission,
        "buckets": key.buckets,
        "created_at": key.created_at.and_then(written),
        "expires_at": key.expires_at.and_then(written),
        "declared": key.created_at.is_none(),
    })
}

/// A credential at the one time that its secrets are shown.
pub(super) fn with_secrets(key: &Credential) -> Value {
    let mut shown = key_json(key);
    shown["secret_access_key"] = key.secret_access_key.expose().into();
    shown["token"] = key.token.as_ref().map(Secret::expose).into();
    shown
}
