//! `xet-read-token` and `xet-write-token`: tokens for the CAS API.
//!
//! One client reads the body, another the headers; both are always sent. Source: `huggingface_hub`,
//! `parse_xet_connection_info_from_headers`, and `hf_xet`.

use axum::Json;
use axum::http::HeaderName;
use axum::response::IntoResponse as _;
use serde_json::json;

use super::call::Call;
use super::error::HubResult;
use crate::auth::Action;
use crate::auth::cas_token::CasScope;

const CAS_URL: HeaderName = HeaderName::from_static("x-xet-cas-url");
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-xet-access-token");
const EXPIRATION: HeaderName = HeaderName::from_static("x-xet-token-expiration");

/// `GET /api/buckets/{ns}/{name}/xet-read-token`.
pub(super) async fn read_token(call: Call) -> HubResult {
    token(call, CasScope::Read).await
}

/// `GET /api/buckets/{ns}/{name}/xet-write-token`.
pub(super) async fn write_token(call: Call) -> HubResult {
    token(call, CasScope::Write).await
}

async fn token(call: Call, scope: CasScope) -> HubResult {
    let action = match scope {
        CasScope::Read => Action::ReadBucket,
        CasScope::Write => Action::WriteBucket,
    };
    let bucket = call.bucket(action).await?;
    let token = call.api.signer.issue(bucket.uid, scope, &call.caller);
    let (cas_url, exp) = (format!("{}/cas", call.origin.as_str()), token.expires_at_secs);
    let body = Json(json!({ "casUrl": cas_url, "exp": exp, "accessToken": token.text }));
    let headers = [(CAS_URL, cas_url), (ACCESS_TOKEN, token.text), (EXPIRATION, exp.to_string())];
    Ok((headers, body).into_response())
}
