//! What is known of a request once its caller is authenticated: who calls, which bucket is meant, and what its headers
//! say. Every operation gets it beside the request.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::Uri;
use s3s::{S3Error, S3Result};

use crate::auth::Caller;
use crate::bucket::{Bucket, BucketId, Namespace, ObjectKey};
use crate::serve::http::RequestContext;

use super::S3Api;
use super::auth::Trailers;
use super::bucket_names::Target;
use super::errors::{self, no_such_bucket, no_such_key};
use super::request_headers::RequestHeaders;

/// A request's context.
pub(super) struct Context {
    /// The API, with the buckets as this caller reaches them.
    pub(super) api: Arc<S3Api>,
    /// The request's id.
    pub(super) request_id: Arc<str>,
    /// The request's URI as it was sent.
    pub(super) uri: Uri,
    /// What the listener's log and metrics are to show of the request.
    pub(super) record: RequestContext,
    /// Whose signature it was, if there was one.
    pub(super) caller: Caller,
    /// The namespace of the bucket that the request is for, or else the caller's own.
    pub(super) namespace: Namespace,
    /// The namespace that the request's path names; a copy source, which names none, is looked for in it.
    pub(super) path_namespace: Option<Namespace>,
    /// The bucket that the request is for, looked up once.
    pub(super) target: Option<Target>,
    /// The object that the request is for.
    pub(super) key: Option<ObjectKey>,
    /// What the headers say that s3s does not read.
    pub(super) headers: RequestHeaders,
    /// The URL of the object, for the answer of a completed upload.
    pub(super) location: Option<String>,
    /// The trailers of the body, once it has been read.
    pub(super) trailers: Option<Trailers>,
    /// What is wrong with the request's arguments. AWS reports that the bucket does not exist, or that permission is
    /// missing, before it reports this; so it is kept until the caller is authorized.
    pub(super) argument_error: Mutex<Option<S3Error>>,
}

impl Context {
    /// The id of the bucket that the request is for, which may not exist.
    pub(super) fn bucket_id(&self) -> S3Result<&BucketId> {
        self.target.as_ref().map(Target::id).ok_or_else(no_such_bucket)
    }

    /// The bucket that the request is for. `NoSuchBucket` if it does not exist.
    pub(super) fn bucket(&self) -> S3Result<&Bucket> {
        self.target.as_ref().ok_or_else(no_such_bucket)?.bucket()
    }

    /// The key of the object that the request is for.
    pub(super) fn key(&self) -> S3Result<&ObjectKey> {
        self.key.as_ref().ok_or_else(no_such_key)
    }

    /// Reports what is wrong with the request's arguments, once.
    pub(super) fn check_arguments(&self) -> S3Result<()> {
        let error = self.argument_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), Err)
    }

    /// Logs an error that is a failure of ours.
    pub(super) fn log(&self, error: &S3Error) {
        errors::log(error, &self.request_id, &self.uri);
    }
}
