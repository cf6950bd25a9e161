//! All paths of the Hub API, and which handler answers each.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler as _;
use axum::http::Uri;
use tower::ServiceExt as _;

use super::error::HubError;
use super::{HubApi, batch, buckets, manage, paths_info, resolve, tokens, tree, versions, whoami};
use crate::serve::http::compression::gzip;
use crate::serve::http::routes::{DELETE, GET, HEAD, POST, PUT, Routed, Routes};

/// `/api` and `/buckets`, for the root of a listener. Every other path is answered 404. Every request must carry its
/// [`Origin`](crate::serve::http::origin::Origin).
pub fn router(api: HubApi) -> Routed {
    const BUCKETS: &str = "/api/buckets/{namespace}";
    const BUCKET: &str = "/api/buckets/{namespace}/{name}";
    const VERSIONS: &str = "/api/buckets/{namespace}/{name}/versions/{*path}";
    const FILE: &str = "/buckets/{namespace}/{name}/resolve/{*path}";
    Routes::new()
        .named("WhoAmI", GET, "/api/whoami-v2", whoami::whoami)
        .named("Harnesses", GET, "/api/agent-harnesses", whoami::agent_harnesses)
        .named("MoveBucket", POST, "/api/repos/move", manage::relocate)
        .named("ListBuckets", GET, BUCKETS, buckets::list.layer(gzip()))
        .named("DeleteBucket", DELETE, BUCKETS, manage::delete_without_namespace)
        .named("CreateBucket", POST, BUCKET, manage::create)
        .named("BucketInfo", GET, BUCKET, buckets::info)
        .named("DeleteBucket", DELETE, BUCKET, manage::delete)
        .named("Settings", PUT, "/api/buckets/{namespace}/{name}/settings", manage::settings)
        .named_below("Tree", GET, "/api/buckets/{namespace}/{name}/tree/{*prefix}", tree::tree.layer(gzip()))
        .named(
            "PathsInfo",
            POST,
            "/api/buckets/{namespace}/{name}/paths-info",
            paths_info::paths_info.layer(gzip()),
        )
        .named("ListVersions", GET, "/api/buckets/{namespace}/{name}/versions", versions::list.layer(gzip()))
        .named("History", GET, VERSIONS, versions::history.layer(gzip()))
        .named("DeleteVersion", DELETE, VERSIONS, versions::delete)
        .named("RestoreVersion", POST, "/api/buckets/{namespace}/{name}/restore", versions::restore)
        .named("Batch", POST, "/api/buckets/{namespace}/{name}/batch", batch::batch)
        .named("ReadToken", GET, "/api/buckets/{namespace}/{name}/xet-read-token", tokens::read_token)
        .named("WriteToken", GET, "/api/buckets/{namespace}/{name}/xet-write-token", tokens::write_token)
        .named_below("Resolve", GET, FILE, resolve::resolve)
        .named_below("Resolve", HEAD, FILE, resolve::resolve)
        .routed(|router| {
            let routes =
                router.method_not_allowed_fallback(unknown).fallback(unknown).with_state(Arc::new(api));
            with_leading_slashes(routes)
        })
}

/// Serves a path that begins with several slashes as if it began with one: clients whose endpoint is configured with a slash
/// at its end send such paths, and the router does not match them.
fn with_leading_slashes(routes: Router) -> Router {
    let with_one_slash = routes.clone();
    routes.fallback(async move |mut request: Request| {
        let target = request.uri().path_and_query().map(|target| target.as_str().trim_start_matches('/'));
        if let Some(uri) = target.and_then(|target| format!("/{target}").parse::<Uri>().ok()) {
            *request.uri_mut() = uri;
        }
        with_one_slash.oneshot(request).await
    })
}

/// What is answered to a path or a method that no route has. A client that looks for a model, a dataset or a space takes only
/// `RepoNotFound` for "there is none": fsspec raises `FileNotFoundError` by it, and goes on.
async fn unknown(uri: Uri) -> HubError {
    let segments: Vec<_> = uri.path().trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        // The router does not match an empty name.
        ["api", "buckets", "", ..]
        | ["api", "buckets", _, "", ..]
        | ["buckets", "", ..]
        | ["buckets", _, "", ..] => HubError::no_such_bucket(),
        ["api", "models" | "datasets" | "spaces" | "kernels", name, ..] if !name.is_empty() => {
            HubError::no_such_repository()
        }
        ["datasets" | "spaces" | "kernels", _, _, "resolve" | "raw", ..]
        | [_, _, "resolve" | "raw", ..]
        | [_, "resolve" | "raw", _, ..] => HubError::no_such_repository(),
        _ => HubError::no_such_route(),
    }
}
