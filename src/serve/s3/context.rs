//! What is known of a request once its caller is authenticated: who calls, which bucket is meant, and what is asked for
//! in headers. It goes with the request to its operation.

use std::sync::{Arc, Mutex, PoisonError};

use s3s::{S3Error, S3Request, S3Result};

use crate::auth::Caller;
use crate::bucket::{Bucket, BucketId, Namespace};

use super::asked::Asked;
use super::errors::{access_denied, no_such_bucket};
use super::names::Target;

/// Who calls, and where the bucket lies that they name.
pub(super) struct Visitor {
    /// Whose signature it was, if there was one.
    pub(super) caller: Caller,
    /// The namespace of the bucket that the request is for, or else the caller's own.
    pub(super) home: Namespace,
    /// The namespace that the request's path names; a copy source, which names none, is looked for in it.
    pub(super) named: Option<Namespace>,
    /// The bucket that the request is for, looked up once.
    pub(super) target: Option<Target>,
}

impl Visitor {
    /// The bucket that the request is for; it need not be there.
    pub(super) fn bucket_id(&self) -> S3Result<&BucketId> {
        self.target.as_ref().map(Target::id).ok_or_else(no_such_bucket)
    }

    /// The bucket that the request is for. `NoSuchBucket` if it is not there.
    pub(super) fn bucket(&self) -> S3Result<&Bucket> {
        self.target.as_ref().ok_or_else(no_such_bucket)?.bucket()
    }
}

/// Who calls, and what they ask for beside what s3s reads.
#[derive(Clone)]
pub(super) struct Call {
    /// Who calls.
    pub(super) caller: Arc<Visitor>,
    /// The rest.
    pub(super) asked: Asked,
}

impl Call {
    /// Takes the call that goes with a request.
    pub(super) fn take<T>(request: &mut S3Request<T>) -> S3Result<Self> {
        request.extensions.remove().ok_or_else(access_denied)
    }
}

/// What is wrong with a request, told once it is known that its caller may make it.
#[derive(Clone)]
pub(super) struct Refused(Arc<Mutex<Option<S3Error>>>);

impl Refused {
    /// Keeps what is wrong, if anything is.
    pub(super) fn new(error: Option<S3Error>) -> Self {
        Self(Arc::new(Mutex::new(error)))
    }

    /// Tells it.
    pub(super) fn check(&self) -> S3Result<()> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map_or(Ok(()), Err)
    }
}
