//! Who calls, and which buckets they may know of.
//!
//! What a caller may not read is told like what is not there; a stranger without a token is asked for one in both
//! cases, so that nobody learns names by trying.

use axum::http::HeaderMap;

use super::HubDoor;
use super::error::{HubError, HubResult};
use super::paths;
use super::route::Call;
use crate::auth::{Action, Caller};
use crate::bucket::{Bucket, BucketError, BucketId, Namespace};
use crate::serve::http::{NoBearerToken, RequestContext, bearer_token};

/// Who calls, by the token shown.
pub(super) fn caller(door: &HubDoor, headers: &HeaderMap, context: &RequestContext) -> HubResult<Caller> {
    let Some(token) = bearer_token(headers).map_err(|NoBearerToken| HubError::bad_token())? else {
        return Ok(Caller::Anonymous);
    };
    let credential = door.directory.bearer(token).ok_or_else(HubError::bad_token)?;
    context.admit(&credential).map_err(HubError::slow_down)?;
    Ok(Caller::Known(credential))
}

impl Call<'_> {
    /// A namespace as the path names it; `me` is the caller's own.
    pub(super) fn namespace(&self, segment: &str) -> HubResult<Namespace> {
        match (paths::decode(segment)?.as_str(), self.caller.credential()) {
            ("me", Some(credential)) => Ok(credential.account.clone()),
            ("me", None) => Err(HubError::unauthenticated()),
            (name, _) => Namespace::new(name).map_err(|_| HubError::no_such_bucket()),
        }
    }

    /// The bucket that the path names, if the caller may do this to it.
    pub(super) async fn bucket(&self, namespace: &str, name: &str, action: Action) -> HubResult<Bucket> {
        let namespace = self.namespace(namespace)?;
        let name = paths::bucket_name(&paths::decode(name)?).map_err(|_| HubError::no_such_bucket())?;
        self.bucket_of(&BucketId { namespace, name }, action).await
    }

    /// The bucket of this id, if the caller may do this to it.
    pub(super) async fn bucket_of(&self, id: &BucketId, action: Action) -> HubResult<Bucket> {
        let (directory, caller) = (&self.door.directory, &self.caller);
        let bucket = match self.door.buckets.bucket(id).await {
            Ok(bucket) => Some(bucket),
            Err(BucketError::NoSuchBucket(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let may = |bucket: &Bucket, action| directory.may(caller, action, id, bucket.visibility);
        match bucket {
            Some(bucket) if may(&bucket, action) => Ok(bucket),
            Some(bucket) if may(&bucket, Action::ReadBucket) => Err(self.refusal()),
            _ if self.caller == Caller::Anonymous => Err(HubError::hidden()),
            _ => Err(HubError::no_such_bucket()),
        }
    }

    /// What is answered to a caller who may not change what they may see.
    pub(super) fn refusal(&self) -> HubError {
        match self.caller {
            Caller::Anonymous => HubError::unauthenticated(),
            Caller::Known(_) => HubError::forbidden("You don't have the rights to do this with this token"),
        }
    }
}
