//! Amazon S3's API over [`BucketApi`].
//!
//! A request passes these steps:
//! 1. [`handler`] gives it an id and authenticates it ([`auth`]).
//! 2. [`request`] resolves the bucket, once ([`bucket_names`]), and refuses what is not supported ([`unsupported`]).
//! 3. [`route`] finds the operation, by s3s or, for `GetObject` and `HeadObject`, by itself, and checks that the caller may
//!    do it ([`authorize`]).
//! 4. The operation ([`ops`]) gets the [`context`] and the request, calls the buckets, and gives the answer.
//! 5. [`handler`] adds the headers that every answer has, and writes errors ([`response`]).

use std::collections::HashMap;
use std::sync::Arc;

use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::auth::{Caller, Directory};
use crate::bucket::{BucketApi, BucketName, ObjectKey};
use crate::model::clock::Ambient;
use crate::serve::http::Api;
use crate::serve::http::routes::Routed;

mod addressing;
mod attributes;
mod auth;
mod authorize;
mod bucket_names;
mod checksums;
mod conditions;
mod context;
mod cors;
mod encoding;
mod errors;
mod form;
mod handler;
mod lifecycle;
mod object_headers;
mod object_lock;
mod ops;
mod parameters;
mod payload;
mod ranges;
mod request;
mod request_headers;
mod response;
mod route;
#[cfg(test)]
mod tests;
mod unsupported;
mod versions;
mod xml;

pub use addressing::Addressing;

/// The S3 listener. Source: Amazon S3 API reference, "Common response headers".
pub const API: Api =
    Api { name: "s3", id_header: "x-amz-request-id", busy: response::busy, failed: response::failed };

/// A browser's request for the CORS rules of a bucket.
const PREFLIGHT: &str = "Preflight";
/// An upload by an HTML form.
const FORM: &str = "PostObject";

/// What the API works on, and its configuration.
#[derive(Clone)]
pub struct S3Api {
    /// The buckets.
    pub buckets: Arc<dyn BucketApi>,
    /// Accounts and credentials.
    pub directory: Arc<Directory>,
    /// For the time, and for request ids in tests.
    pub clock: Ambient,
    /// The region that requests must be signed for.
    pub region: String,
    /// How requests name buckets.
    pub addressing: Addressing,
    /// Whether requests signed with Signature Version 2 are accepted.
    pub signature_v2: bool,
    /// For access keys that reach the buckets in their own way, with a Hub token of their own.
    pub by_access_key: ByAccessKey,
}

/// The API as single callers reach it, by access key id.
#[derive(Clone, Default)]
pub struct ByAccessKey(HashMap<String, Arc<S3Api>>);

/// Everything on the S3 listener: the caller mounts it at the root and adds nothing beside it.
pub fn router(api: S3Api) -> Routed {
    let handler = handler::Handler::new(Arc::new(api));
    let router = axum::Router::new().fallback(handler::handle).with_state(Arc::new(handler));
    let beside = [PREFLIGHT, FORM];
    Routed::new(router, authorize::OPERATIONS.iter().chain(&beside).map(|operation| ("S3", *operation)))
}

impl S3Api {
    /// The same API, in which the callers with these access keys reach other buckets.
    #[must_use]
    pub fn with_buckets_of(self, keys: HashMap<String, Arc<dyn BucketApi>>) -> Self {
        let api = |(id, buckets)| (id, Arc::new(Self { buckets, ..self.clone() }));
        let by_access_key = ByAccessKey(keys.into_iter().map(api).collect());
        Self { by_access_key, ..self }
    }

    /// The API as a caller reaches it.
    fn for_caller(self: &Arc<Self>, caller: &Caller) -> &Arc<Self> {
        let key = caller.credential().map(|credential| credential.access_key_id.as_str());
        key.and_then(|key| self.by_access_key.0.get(key)).unwrap_or(self)
    }
}

/// Takes a bucket's name from a path.
fn bucket_name(name: &str) -> S3Result<BucketName> {
    let message = "The specified bucket is not valid.";
    BucketName::new(name).map_err(|_| S3Error::with_message(S3ErrorCode::InvalidBucketName, message))
}

/// Takes a key from a path or a body.
fn object_key(key: &str) -> S3Result<ObjectKey> {
    ObjectKey::new(key).map_err(|error| match key.len() {
        0 => errors::invalid_argument("The object key must not be empty."),
        _ => S3Error::with_source(S3ErrorCode::KeyTooLongError, Box::new(error)),
    })
}
