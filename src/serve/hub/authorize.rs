//! The bucket that a path names, if the caller may do what is asked.
//!
//! A bucket that the caller may not read is answered like one that does not exist; a caller without a token is asked for one
//! in both cases, so that nobody learns names by trying.

use super::call::Call;
use super::error::{HubError, HubResult};
use super::paths;
use crate::auth::{Action, Caller};
use crate::bucket::{Bucket, BucketError, BucketId, Namespace};

impl Call {
    /// A namespace as the path names it; `me` is the caller's own.
    pub(super) fn namespace(&self) -> HubResult<Namespace> {
        match (self.names()?.namespace.as_str(), self.caller.credential()) {
            ("me", Some(credential)) => Ok(credential.account.clone()),
            ("me", None) => Err(HubError::unauthenticated()),
            (name, _) => Namespace::new(name).map_err(|_| HubError::no_such_bucket()),
        }
    }

    /// The bucket that the path names, if the caller may do this to it.
    pub(super) async fn bucket(&self, action: Action) -> HubResult<Bucket> {
        let namespace = self.namespace()?;
        let name = paths::bucket_name(&self.names()?.name).map_err(|_| HubError::no_such_bucket())?;
        self.bucket_of(&BucketId { namespace, name }, action).await
    }

    /// The bucket of this id, if the caller may do this to it.
    pub(super) async fn bucket_of(&self, id: &BucketId, action: Action) -> HubResult<Bucket> {
        let (directory, caller) = (&self.api.directory, &self.caller);
        let bucket = match self.api.buckets.bucket(id).await {
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
