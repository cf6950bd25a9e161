//! All paths of the door, and which handler answers them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};

use super::error::{HubError, HubResult};
use super::{HubDoor, access, batch, buckets, manage, resolve, tokens, tree, whoami};
use crate::auth::Caller;
use crate::auth::cas_token::CasScope;
use crate::serve::origin::Origin;

/// A request, taken apart as far as every handler needs it.
pub(super) struct Call<'a> {
    /// The door.
    pub(super) door: &'a HubDoor,
    /// Who calls.
    pub(super) caller: Caller,
    /// What the caller calls us.
    pub(super) origin: Origin,
    /// The request without its body.
    pub(super) head: Parts,
}

/// Serves one request.
pub(super) async fn handle(State(door): State<Arc<HubDoor>>, request: Request) -> Response {
    answer(&door, request).await.unwrap_or_else(HubError::into_response)
}

async fn answer(door: &HubDoor, request: Request) -> HubResult {
    let uri = request.uri().clone();
    let segments = segments(&uri);
    let origin = request.extensions().get::<Origin>().cloned();
    let origin = origin.ok_or_else(|| HubError::bad_request("The Host header is missing"))?;
    if !is_known(request.method(), &segments) {
        return Err(HubError::no_such_route());
    }
    let caller = access::caller(door, request.headers())?;
    let (head, body) = request.into_parts();
    dispatch(&segments, &Call { door, caller, origin, head }, body).await
}

/// Whether anything may be at the path; what is unknown is told before who calls is asked.
fn is_known(method: &Method, segments: &[&str]) -> bool {
    match segments {
        ["api", "whoami-v2" | "agent-harnesses"] => method == Method::GET,
        ["api", "repos", "move"] => method == Method::POST,
        ["api", "buckets", _] => method == Method::GET || method == Method::DELETE,
        ["api", "buckets", _, _, ..] | ["buckets", _, _, "resolve", ..] => true,
        _ => false,
    }
}

async fn dispatch(segments: &[&str], call: &Call<'_>, body: Body) -> HubResult {
    match (&call.head.method, segments) {
        (&Method::GET, ["api", "whoami-v2"]) => whoami::whoami(call),
        (&Method::GET, ["api", "agent-harnesses"]) => Ok(whoami::agent_harnesses()),
        (&Method::POST, ["api", "repos", "move"]) => manage::relocate(call, body).await,
        (&Method::GET, ["api", "buckets", namespace]) => buckets::list(call, namespace).await,
        (&Method::POST, ["api", "buckets", namespace, name]) => {
            manage::create(call, namespace, name, body).await
        }
        (&Method::GET, ["api", "buckets", namespace, name]) => buckets::info(call, namespace, name).await,
        (&Method::DELETE, ["api", "buckets", namespace, name]) => manage::delete(call, namespace, name).await,
        (&Method::PUT, ["api", "buckets", namespace, name, "settings"]) => {
            manage::settings(call, namespace, name, body).await
        }
        (&Method::GET, ["api", "buckets", namespace, name, "tree", prefix @ ..]) => {
            tree::tree(call, namespace, name, prefix).await
        }
        (&Method::POST, ["api", "buckets", namespace, name, "paths-info"]) => {
            tree::paths_info(call, namespace, name, body).await
        }
        (&Method::POST, ["api", "buckets", namespace, name, "batch"]) => {
            batch::batch(call, namespace, name, body).await
        }
        (&Method::GET, ["api", "buckets", namespace, name, "xet-read-token"]) => {
            tokens::token(call, namespace, name, CasScope::Read).await
        }
        (&Method::GET, ["api", "buckets", namespace, name, "xet-write-token"]) => {
            tokens::token(call, namespace, name, CasScope::Write).await
        }
        (&(Method::GET | Method::HEAD), ["buckets", namespace, name, "resolve", path @ ..]) => {
            resolve::resolve(call, namespace, name, path).await
        }
        // A bucket's name without its namespace is asked for or deleted: there is no such bucket.
        (&Method::DELETE, ["api", "buckets", _]) => Err(HubError::no_such_bucket()),
        _ => Err(HubError::no_such_route()),
    }
}

/// A path's segments as they were sent, not decoded: an encoded `/` is not one that separates.
fn segments(uri: &Uri) -> Vec<&str> {
    uri.path().trim_start_matches('/').split('/').collect()
}
