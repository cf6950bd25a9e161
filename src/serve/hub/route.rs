//! All paths of the door, and which handler answers them.

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};

use super::error::{HubError, HubResult};
use super::{HubDoor, access, batch, buckets, manage, paths_info, resolve, tokens, tree, whoami};
use crate::auth::Caller;
use crate::auth::cas_token::CasScope;
use crate::serve::http::RequestContext;
use crate::serve::http::origin::Origin;
use crate::serve::http::routes::{Row, find};

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

/// What answers a route.
#[derive(Clone, Copy)]
pub(super) enum To {
    WhoAmI,
    Harnesses,
    Move,
    List,
    DeleteNameless,
    Create,
    Info,
    Delete,
    Settings,
    Tree,
    PathsInfo,
    Batch,
    Token(CasScope),
    Resolve,
}

impl To {
    /// Its name in metrics and the audit log.
    const fn name(self) -> &'static str {
        match self {
            Self::WhoAmI => "WhoAmI",
            Self::Harnesses => "Harnesses",
            Self::Move => "MoveBucket",
            Self::List => "ListBuckets",
            Self::Create => "CreateBucket",
            Self::Info => "BucketInfo",
            Self::Delete | Self::DeleteNameless => "DeleteBucket",
            Self::Settings => "Settings",
            Self::Tree => "Tree",
            Self::PathsInfo => "PathsInfo",
            Self::Batch => "Batch",
            Self::Token(CasScope::Read) => "ReadToken",
            Self::Token(CasScope::Write) => "WriteToken",
            Self::Resolve => "Resolve",
        }
    }
}

/// All routes.
pub(super) fn table() -> Vec<Row<To>> {
    const BUCKET: &str = "/api/buckets/{namespace}/{name}";
    let rows = [
        (Method::GET, "/api/whoami-v2", To::WhoAmI),
        (Method::GET, "/api/agent-harnesses", To::Harnesses),
        (Method::POST, "/api/repos/move", To::Move),
        (Method::GET, "/api/buckets/{namespace}", To::List),
        (Method::DELETE, "/api/buckets/{name}", To::DeleteNameless),
        (Method::POST, BUCKET, To::Create),
        (Method::GET, BUCKET, To::Info),
        (Method::DELETE, BUCKET, To::Delete),
        (Method::PUT, "/api/buckets/{namespace}/{name}/settings", To::Settings),
        (Method::GET, "/api/buckets/{namespace}/{name}/tree/{*prefix}", To::Tree),
        (Method::POST, "/api/buckets/{namespace}/{name}/paths-info", To::PathsInfo),
        (Method::POST, "/api/buckets/{namespace}/{name}/batch", To::Batch),
        (Method::GET, "/api/buckets/{namespace}/{name}/xet-read-token", To::Token(CasScope::Read)),
        (Method::GET, "/api/buckets/{namespace}/{name}/xet-write-token", To::Token(CasScope::Write)),
        (Method::GET, "/buckets/{namespace}/{name}/resolve/{*path}", To::Resolve),
        (Method::HEAD, "/buckets/{namespace}/{name}/resolve/{*path}", To::Resolve),
    ];
    rows.into_iter().map(|(method, pattern, to)| Row { method, pattern, to }).collect()
}

static TABLE: LazyLock<Vec<Row<To>>> = LazyLock::new(table);

/// Serves one request.
pub(super) async fn handle(State(door): State<Arc<HubDoor>>, request: Request) -> Response {
    answer(&door, request).await.unwrap_or_else(HubError::into_response)
}

async fn answer(door: &HubDoor, request: Request) -> HubResult {
    let uri = request.uri().clone();
    let segments = segments(&uri);
    let origin = request.extensions().get::<Origin>().cloned();
    let origin = origin.ok_or_else(|| HubError::bad_request("The Host header is missing"))?;
    // What is unknown is told before who calls is asked.
    let found = find(&TABLE, request.method(), &segments);
    let (row, varying, rest) = found.ok_or_else(|| unknown(&segments))?;
    let context = RequestContext::of(request.extensions());
    context.set_operation(row.to.name());
    let caller = access::caller(door, request.headers(), &context)?;
    if let [namespace, name] = *varying {
        let key = rest.join("/");
        context.set_target(&format!("{namespace}/{name}"), &key);
    }
    let (head, body) = request.into_parts();
    let call = Call { door, caller, origin, head };
    match *varying {
        [namespace, name] => of_bucket(row.to, &call, (namespace, name), rest, body).await,
        [name] => match row.to {
            To::List => buckets::list(&call, name).await,
            // A bucket's name without its namespace: there is no such bucket.
            _ => Err(HubError::no_such_bucket()),
        },
        _ => match row.to {
            To::WhoAmI => whoami::whoami(&call),
            To::Harnesses => Ok(whoami::agent_harnesses()),
            To::Move => manage::relocate(&call, body).await,
            _ => Err(HubError::no_such_route()),
        },
    }
}

/// What is said of a path that no route has. A client that looks for a model, a dataset or a space takes `RepoNotFound`
/// alone for "there is none": fsspec raises `FileNotFoundError` by it, and goes on.
fn unknown(segments: &[&str]) -> HubError {
    let is_repository = match segments {
        ["api", "models" | "datasets" | "spaces" | "kernels", name, ..] => !name.is_empty(),
        ["datasets" | "spaces" | "kernels", _, _, "resolve" | "raw", ..]
        | [_, _, "resolve" | "raw", ..]
        | [_, "resolve" | "raw", _, ..] => true,
        _ => false,
    };
    if is_repository { HubError::no_such_repository() } else { HubError::no_such_route() }
}

/// Routes that name a bucket.
async fn of_bucket(
    to: To,
    call: &Call<'_>,
    (namespace, name): (&str, &str),
    rest: &[&str],
    body: Body,
) -> HubResult {
    match to {
        To::Create => manage::create(call, namespace, name, body).await,
        To::Info => buckets::info(call, namespace, name).await,
        To::Delete => manage::delete(call, namespace, name).await,
        To::Settings => manage::settings(call, namespace, name, body).await,
        To::Tree => tree::tree(call, namespace, name, rest).await,
        To::PathsInfo => paths_info::paths_info(call, namespace, name, body).await,
        To::Batch => batch::batch(call, namespace, name, body).await,
        To::Token(scope) => tokens::token(call, namespace, name, scope).await,
        To::Resolve => resolve::resolve(call, namespace, name, rest).await,
        To::WhoAmI | To::Harnesses | To::Move | To::List | To::DeleteNameless => {
            Err(HubError::no_such_route())
        }
    }
}

/// A path's segments as they were sent, not decoded: an encoded `/` is not one that separates.
fn segments(uri: &Uri) -> Vec<&str> {
    uri.path().trim_start_matches('/').split('/').collect()
}
