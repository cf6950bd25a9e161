//! The admin API: accounts and credentials at run time, for bearers of an admin token only. JSON in and out.
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
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::handler::Handler as _;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::auth::{AccessKeyId, Account, Accounts, AuthError, Caller, NewKey, Permission};
use crate::model::names::Namespace;
use crate::serve::http::body::read_json;
use crate::serve::http::compression::gzip;
use crate::serve::http::routes::{DELETE, GET, POST, PUT, Routed, Routes};
use crate::serve::http::{RequestContext, bearer_token};
use crate::store::backup::{BackupReport, backup};
use crate::store::local::LocalStore;
use crate::store::meta::MetaError;
use crate::store::throttle::Throttle;

mod shapes;
#[cfg(test)]
mod tests;

use shapes::{AskedAccount, AskedKey, AskedSettings, account_json, key_json, with_secrets};

/// Largest body: an organisation of ten thousand members.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the API works on.
pub struct AdminApi {
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

/// What is below `/admin`, which the caller nests it at. The operations have names of their own in metrics and the audit log:
/// some paths are those of the Hub's API, with other methods.
pub fn router(api: AdminApi) -> Routed {
    let api = Arc::new(api);
    Routes::new()
        .named("ListAccounts", GET, "/accounts", list_accounts.layer(gzip()))
        .named("CreateAccount", POST, "/accounts", create_account)
        .named("SetMembers", PUT, "/accounts/{name}/members", set_members)
        .named("AccountSettings", PUT, "/accounts/{name}/settings", set_settings)
        .named("RemoveAccount", DELETE, "/accounts/{name}", remove_account)
        .named("ListKeys", GET, "/keys", list_keys.layer(gzip()))
        .named("CreateKey", POST, "/keys", create_key)
        .named("RotateKey", POST, "/keys/{id}/rotate", rotate_key)
        .named("RevokeKey", DELETE, "/keys/{id}", revoke_key)
        .named("Backup", POST, "/backups", create_backup)
        .routed(|router| router.method_not_allowed_fallback(unknown).fallback(unknown).with_state(api))
}

/// An error that is answered.
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
            AuthError::Store(MetaError::Away(_) | MetaError::Busy(_) | MetaError::Unavailable(_)) => {
                tracing::warn!(%error, "accounts cannot be changed now");
                let text = "the storage cannot be used right now: try again".to_owned();
                return Self(StatusCode::SERVICE_UNAVAILABLE, text);
            }
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

/// A request with an admin token. Every handler takes it before anything else.
struct Admin {
    api: Arc<AdminApi>,
    /// The name or the id in the path; empty where the route has none.
    name: String,
}

impl FromRequestParts<Arc<AdminApi>> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<AdminApi>) -> Result<Self, Refusal> {
        admit(&api.accounts, &parts.headers, &RequestContext::of(&parts.extensions))?;
        // The router hands HEAD to the handlers of GET, which do not answer it here.
        if parts.method == Method::HEAD {
            return Err(Refusal::not_found());
        }
        let names = RawPathParams::from_request_parts(parts, api).await.map_err(Refusal::bad_request)?;
        let name = names.iter().next().map_or_else(String::new, |(_, name)| name.to_owned());
        Ok(Self { api: Arc::clone(api), name })
    }
}

impl Admin {
    fn account_name(&self) -> Result<Namespace, Refusal> {
        account_name(&self.name)
    }

    fn key_id(&self) -> Result<AccessKeyId, Refusal> {
        Ok(AccessKeyId::new(&self.name)?)
    }
}

/// A path or a method that no route has.
async fn unknown(_: Admin) -> Refusal {
    Refusal::not_found()
}

/// Refuses every caller without an admin token.
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
    read_json(request.into_body(), BODY_BYTES_MAX).await.map_err(Refusal::bad_request)
}

fn account_name(text: &str) -> Result<Namespace, Refusal> {
    Namespace::new(text).map_err(Refusal::bad_request)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    members: Vec<Namespace>,
}

async fn list_accounts(admin: Admin) -> Response {
    let directory = admin.api.accounts.directory();
    let all = directory.accounts();
    let shown = all.iter().map(|account| account_json(account, directory.is_declared(&account.name)));
    Json(shown.collect::<Vec<_>>()).into_response()
}

async fn create_account(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let account: Account = body::<AskedAccount>(request).await?.into();
    std::iter::once(&account.name).chain(&account.members).try_for_each(check)?;
    admin.api.accounts.create_account(account.clone()).await?;
    Ok((StatusCode::CREATED, Json(account_json(&account, false))).into_response())
}

async fn set_members(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let Members { members } = body(request).await?;
    let name = admin.account_name()?;
    members.iter().try_for_each(check)?;
    let account = admin.api.accounts.set_members(&name, members).await?;
    Ok(Json(account_json(&account, false)).into_response())
}

async fn set_settings(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let AskedSettings { new_buckets } = body(request).await?;
    let account = admin.api.accounts.set_new_buckets(&admin.account_name()?, new_buckets).await?;
    Ok(Json(account_json(&account, false)).into_response())
}

async fn remove_account(admin: Admin) -> Result<StatusCode, Refusal> {
    admin.api.accounts.remove_account(&admin.account_name()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_keys(admin: Admin) -> Response {
    let keys = admin.api.accounts.directory().credentials();
    Json(keys.iter().map(|key| key_json(key)).collect::<Vec<_>>()).into_response()
}

async fn create_key(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let new: NewKey = body::<AskedKey>(request).await?.try_into().map_err(Refusal::bad_request)?;
    let key = admin.api.accounts.create_key(new).await?;
    Ok((StatusCode::CREATED, Json(with_secrets(&key))).into_response())
}

async fn rotate_key(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let Nothing {} = body(request).await?;
    let key = admin.api.accounts.rotate_key(&admin.key_id()?).await?;
    Ok(Json(with_secrets(&key)).into_response())
}

async fn revoke_key(admin: Admin) -> Result<StatusCode, Refusal> {
    admin.api.accounts.revoke_key(&admin.key_id()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_backup(admin: Admin, request: Request) -> Result<Response, Refusal> {
    let AskedBackup { name } = body(request).await?;
    Ok((StatusCode::CREATED, Json(back_up(&admin.api, &name).await?)).into_response())
}

/// Rotating a key takes no fields: a changed expiry or permission that is asked for here would not be set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What is asked for by `POST /admin/backups`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedBackup {
    name: String,
}

/// Makes a backup of this name.
async fn back_up(api: &AdminApi, name: &str) -> Result<BackupReport, Refusal> {
    let refused = |status, text: &str| Refusal(status, text.to_owned());
    let backups = api.backups.as_ref().ok_or_else(|| {
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
    backup(store, data_dir, &folder.join(name), beside, &Throttle::default()).await.map_err(|error| {
        tracing::error!(%error, name, "no backup could be made");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    })
}

/// Names from JSON have not passed their constructor.
fn check(name: &Namespace) -> Result<(), Refusal> {
    account_name(name.as_str()).map(drop)
}
