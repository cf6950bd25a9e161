//! Who a token belongs to, and a request of the published client that needs no more than an empty answer.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::call::Call;
use super::error::{HubError, HubResult};
use crate::auth::{AccountKind, Permission};

/// `GET /api/whoami-v2`.
pub(super) async fn whoami(call: Call) -> HubResult {
    let credential = call.caller.credential().ok_or_else(HubError::unauthenticated)?;
    let (directory, name) = (&call.api.directory, &credential.account);
    let kind = match directory.account(name).map(|account| account.kind) {
        Some(AccountKind::Org) => "org",
        _ => "user",
    };
    let role = match credential.permission {
        Permission::Read => "read",
        // The Hub's roles end here; only the admin API knows admins.
        Permission::Write | Permission::Admin => "write",
    };
    let organisations = directory.organisations_of(name);
    let orgs: Vec<_> = organisations
        .iter()
        .map(|org| json!({ "type": "org", "name": org.as_str(), "fullname": org.as_str() }))
        .collect();
    Ok(Json(json!({
        "type": kind,
        "id": name.as_str(),
        "name": name.as_str(),
        "fullname": name.as_str(),
        "orgs": orgs,
        "auth": {
            "type": "access_token",
            "accessToken": { "displayName": credential.access_key_id.as_str(), "role": role },
        },
    }))
    .into_response())
}

/// `GET /api/agent-harnesses`: none, so that clients print for people.
pub(super) async fn agent_harnesses(_: Call) -> Response {
    Json(json!({ "standardEnvVars": [], "harnesses": {} })).into_response()
}
