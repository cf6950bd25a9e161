//! The admin door: accounts and credentials at run time, for bearers of an admin token only. JSON in and out.
//!
//! | | |
//! |---|---|
//! | `GET /admin/accounts` | all accounts |
//! | `POST /admin/accounts` `{name, kind?, members?, new_buckets?}` | makes one |
//! | `PUT /admin/accounts/{name}/settings` `{new_buckets}` | says who may read buckets created without saying: `public`, `private`, or `null` for `hub.new_buckets` |
//! | `PUT /admin/accounts/{name}/members` `{members}` | gives an organisation other members |
//! | `DELETE /admin/accounts/{name}` | removes one that has nothing |
//! | `GET /admin/keys` | all credentials, without their secrets |
//! | `POST /admin/keys` `{account, permission?, buckets?, expires_at?}` | makes one and shows its secrets, this once |
//! | `POST /admin/keys/{id}/rotate` | gives it new secrets and shows them, this once |
//! | `DELETE /admin/keys/{id}` | ends it |
//! | `POST /admin/backups` `{name}` | copies the store to a folder of this name where backups are kept; answers when it is there |
//!
//! Errors are `{"error": "..."}`.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::auth::{AccessKeyId, Account, Accounts, AuthError, Caller, NewKey, Permission};
use crate::model::names::Namespace;
use crate::serve::http::routes::{Routed, Row, find};
use crate::serve::http::{RequestContext, bearer_token};
use crate::store::backup::{BackupReport, backup};
use crate::store::local::LocalStore;
use crate::store::pace::Pace;

mod shapes;
#[cfg(test)]
mod tests;

use shapes::{AskedAccount, AskedKey, AskedSettings, account_json, key_json, with_secrets};

/// Largest body: an organisation of ten thousand members.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the door opens to.
pub struct AdminDoor {
    /// The accounts.
    pub accounts: Arc<Accounts>,
    /// Where backups go; none are made without.
    pub backups: Option<Backups>,
}

/// What is backed up, and where to.
pub struct Backups {
    /// The store.
    pub store: Arc<LocalStore>,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// The folder that each backup is a folder in. A caller names but that: an admin token must not write anywhere else.
    pub folder: PathBuf,
    /// Files beside the store that belong to a backup, if they are there.
    pub beside: &'static [&'static str],
}

/// What lies below `/admin`, which the caller nests it at.
pub fn router(door: AdminDoor) -> Routed {
    let router = Router::new().fallback(handle).with_state(Arc::new(door));
    Routed::new(router, TABLE.iter().map(|row| (row.method.as_str(), row.pattern)))
}

/// What answers a route.
#[derive(Debug, Clone, Copy)]
enum To {
    ListAccounts,
    CreateAccount,
    SetMembers,
    Settings,
    RemoveAccount,
    ListKeys,
    CreateKey,
    RotateKey,
    RevokeKey,
    Backup,
}

impl To {
    /// Its name in metrics and the audit log: paths are as those of the Hub's API, methods apart.
    const fn name(self) -> &'static str {
        match self {
            Self::ListAccounts => "ListAccounts",
            Self::CreateAccount => "CreateAccount",
            Self::SetMembers => "SetMembers",
            Self::Settings => "AccountSettings",
            Self::RemoveAccount => "RemoveAccount",
            Self::ListKeys => "ListKeys",
            Self::CreateKey => "CreateKey",
            Self::RotateKey => "RotateKey",
            Self::RevokeKey => "RevokeKey",
            Self::Backup => "Backup",
        }
    }
}

static TABLE: LazyLock<Vec<Row<To>>> = LazyLock::new(|| {
    let rows = [
        (Method::GET, "/accounts", To::ListAccounts),
        (Method::POST, "/accounts", To::CreateAccount),
        (Method::PUT, "/accounts/{name}/members", To::SetMembers),
        (Method::PUT, "/accounts/{name}/settings", To::Settings),
        (Method::DELETE, "/accounts/{name}", To::RemoveAccount),
        (Method::GET, "/keys", To::ListKeys),
        (Method::POST, "/keys", To::CreateKey),
        (Method::POST, "/keys/{id}/rotate", To::RotateKey),
        (Method::DELETE, "/keys/{id}", To::RevokeKey),
        (Method::POST, "/backups", To::Backup),
    ];
    rows.into_iter().map(|(method, pattern, to)| Row { method, pattern, to }).collect()
});

/// A refusal.
struct Refusal(StatusCode, String);

impl Refusal {
    fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, "there is nothing here".to_owned())
    }

    fn bad_request(error: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        let status = match error {
            AuthError::NoSuchAccount(_) | AuthError::NoSuchCredential(_) => StatusCode::NOT_FOUND,
            AuthError::AccountExists(_)
            | AuthError::AccountInUse(_)
            | AuthError::NameLeft(_)
            | AuthError::DeclaredMember { .. }
            | AuthError::Declared(_)
            | AuthError::DuplicateAccessKeyId(_)
            | AuthError::DuplicateToken(_) => StatusCode::CONFLICT,
            AuthError::NotAnOrganisation(_) | AuthError::AccessKeyId(_) => StatusCode::BAD_REQUEST,
            _ => {
                tracing::error!(%error, "accounts could not be changed");
                return Self(StatusCode::INTERNAL_SERVER_ERROR, "the change could not be made".to_owned());
            }
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

async fn handle(State(door): State<Arc<AdminDoor>>, request: Request) -> Response {
    answer(&door, request).await.unwrap_or_else(Refusal::into_response)
}

/// Refuses everybody but bearers of an admin token.
fn admit(accounts: &Accounts, headers: &HeaderMap, context: &RequestContext) -> Result<(), Refusal> {
    let token = bearer_token(headers).ok().flatten();
    let credential = token.and_then(|token| accounts.directory().bearer(token));
    if let Some(credential) = &credential {
        let slow_down = |_| Refusal(StatusCode::TOO_MANY_REQUESTS, "please slow down".to_owned());
        context.admit(credential).map_err(slow_down)?;
    }
    match credential.map(Caller::Known) {
        None => Err(Refusal(StatusCode::UNAUTHORIZED, "an admin token is needed".to_owned())),
        Some(caller) if caller.is_admin() => Ok(()),
        Some(caller) => {
            let is_limited = caller.credential().is_some_and(|shown| shown.permission == Permission::Admin);
            let why = if is_limited { ": its key is limited to buckets" } else { "" };
            Err(Refusal(StatusCode::FORBIDDEN, format!("this is not an admin token{why}")))
        }
    }
}

/// Reads a JSON object; an empty body is an empty object.
async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let bytes = collected.map_err(Refusal::bad_request)?.to_bytes();
    let bytes: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::bad_request("the body must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(Refusal::bad_request)
}

fn account_name(text: &str) -> Result<Namespace, Refusal> {
    Namespace::new(text).map_err(Refusal::bad_request)
}

fn key_id(text: &str) -> Result<AccessKeyId, Refusal> {
    Ok(AccessKeyId::new(text)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    members: Vec<Namespace>,
}

async fn answer(door: &AdminDoor, request: Request) -> Result<Response, Refusal> {
    let accounts = &*door.accounts;
    let context = RequestContext::of(request.extensions());
    admit(accounts, request.headers(), &context)?;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let (row, varying, _) = find(&TABLE, &method, &segments).ok_or_else(Refusal::not_found)?;
    context.set_operation(row.to.name());
    // Routes that name something have one name.
    let name = varying.first().copied().unwrap_or_default();
    let done = || StatusCode::NO_CONTENT.into_response();
    match row.to {
        To::ListAccounts => Ok(list_accounts(accounts)),
        To::CreateAccount => {
            let account: Account = body::<AskedAccount>(request).await?.into();
            std::iter::once(&account.name).chain(&account.members).try_for_each(check)?;
            accounts.create_account(account.clone()).await?;
            Ok((StatusCode::CREATED, Json(account_json(&account, false))).into_response())
        }
        To::SetMembers => {
            let Members { members } = body(request).await?;
            let name = account_name(name)?;
            members.iter().try_for_each(check)?;
            let account = accounts.set_members(&name, members).await?;
            Ok(Json(account_json(&account, false)).into_response())
        }
        To::Settings => {
            let AskedSettings { new_buckets } = body(request).await?;
            let account = accounts.set_new_buckets(&account_name(name)?, new_buckets).await?;
            Ok(Json(account_json(&account, false)).into_response())
        }
        To::RemoveAccount => {
            accounts.remove_account(&account_name(name)?).await?;
            Ok(done())
        }
        To::ListKeys => {
            let keys = accounts.directory().credentials();
            Ok(Json(keys.iter().map(|key| key_json(key)).collect::<Vec<_>>()).into_response())
        }
        To::CreateKey => {
            let new: NewKey = body::<AskedKey>(request).await?.try_into().map_err(Refusal::bad_request)?;
            let key = accounts.create_key(new).await?;
            Ok((StatusCode::CREATED, Json(with_secrets(&key))).into_response())
        }
        To::RotateKey => {
            let Nothing {} = body(request).await?;
            Ok(Json(with_secrets(&accounts.rotate_key(&key_id(name)?).await?)).into_response())
        }
        To::Backup => {
            let Asked { name } = body(request).await?;
            Ok((StatusCode::CREATED, Json(back_up(door, &name).await?)).into_response())
        }
        To::RevokeKey => {
            accounts.revoke_key(&key_id(name)?).await?;
            Ok(done())
        }
    }
}

/// Rotating a key takes no fields: a changed expiry or permission that is asked for here would not be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What is asked for by `POST /admin/backups`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
}

/// Makes a backup of this name.
async fn back_up(door: &AdminDoor, name: &str) -> Result<BackupReport, Refusal> {
    let refused = |status, text: &str| Refusal(status, text.to_owned());
    let backups = door.backups.as_ref().ok_or_else(|| {
        refused(StatusCode::CONFLICT, "no backups are kept here: the configuration names no [backup] folder")
    })?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "a backup's name has 1 to 64 letters, digits, '-' and '_'",
        ));
    }
    let Backups { store, data_dir, folder, beside } = backups;
    backup(store, data_dir, &folder.join(name), beside, &Pace::default()).await.map_err(|error| {
        tracing::error!(%error, name, "no backup could be made");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    })
}

/// Names from JSON have not passed their constructor.
fn check(name: &Namespace) -> Result<(), Refusal> {
    account_name(name.as_str()).map(drop)
}

fn list_accounts(accounts: &Accounts) -> Response {
    let directory = accounts.directory();
    let all = directory.accounts();
    let shown = all.iter().map(|account| account_json(account, directory.is_declared(&account.name)));
    Json(shown.collect::<Vec<_>>()).into_response()
}
