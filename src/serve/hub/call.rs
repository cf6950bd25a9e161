//! A request to the Hub API, read as far as every handler needs it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};

use super::HubApi;
use super::error::{HubError, HubResult};
use crate::auth::Caller;
use crate::serve::http::origin::Origin;
use crate::serve::http::{NoBearerToken, RequestContext, bearer_token};

/// A request without its body.
pub(super) struct Call {
    pub(super) api: Arc<HubApi>,
    pub(super) caller: Caller,
    /// The scheme and host that the caller uses for us.
    pub(super) origin: Origin,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// What the path names; `None` if it is not UTF-8.
    names: Option<Names>,
}

/// What a path names, decoded; empty where the route names nothing.
#[derive(Default)]
pub(super) struct Names {
    pub(super) namespace: String,
    /// Of the bucket.
    pub(super) name: String,
    /// What follows in the bucket: a file's path, or the start of it.
    pub(super) path: String,
}

impl Names {
    fn of(params: &RawPathParams) -> Self {
        let mut names = Self::default();
        for (param, value) in params {
            match param {
                "namespace" => value.clone_into(&mut names.namespace),
                "name" => value.clone_into(&mut names.name),
                _ => value.clone_into(&mut names.path),
            }
        }
        names
    }
}

/// Who calls, by the token of the request.
fn caller(api: &HubApi, headers: &HeaderMap, context: &RequestContext) -> HubResult<Caller> {
    let Some(token) = bearer_token(headers).map_err(|NoBearerToken| HubError::bad_token())? else {
        return Ok(Caller::Anonymous);
    };
    let credential = api.directory.bearer(token).ok_or_else(HubError::bad_token)?;
    context.admit(&credential).map_err(HubError::slow_down)?;
    Ok(Caller::Known(credential))
}

impl Call {
    /// What the path names.
    pub(super) fn names(&self) -> HubResult<&Names> {
        self.names.as_ref().ok_or_else(|| HubError::bad_request("The path is not UTF-8"))
    }
}

impl FromRequestParts<Arc<HubApi>> for Call {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<HubApi>) -> HubResult<Self> {
        // The router hands HEAD to the handlers of GET. Of these routes only those of files answer it.
        if parts.method == Method::HEAD && !parts.uri.path().starts_with("/buckets/") {
            return Err(HubError::no_such_route());
        }
        let origin = parts.extensions.get::<Origin>().cloned();
        let origin = origin.ok_or_else(|| HubError::bad_request("The Host header is missing"))?;
        let context = RequestContext::of(&parts.extensions);
        let caller = caller(api, &parts.headers, &context)?;
        let names = RawPathParams::from_request_parts(parts, api).await;
        let names = names.ok().map(|params| Names::of(&params));
        if let Some(Names { namespace, name, path }) = names.as_ref().filter(|names| !names.name.is_empty()) {
            context.set_target(&format!("{namespace}/{name}"), path);
        }
        Ok(Self {
            api: Arc::clone(api),
            caller,
            origin,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            // No other extractor of these routes reads them.
            headers: std::mem::take(&mut parts.headers),
            names,
        })
    }
}
