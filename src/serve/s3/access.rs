//! May this caller do that? Asked of every operation before s3s parses its input.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3Result};

use crate::auth::Action;
use crate::bucket::BucketError;

use super::errors::{access_denied, not_implemented};
use super::gate::Call;
use super::{S3Door, absent, refuse};

/// Asks the credential.
pub(super) struct Access(pub(super) Arc<S3Door>);

/// What an operation does to a bucket; `None` for operations that the door does not have.
fn action(operation: &str) -> Option<Action> {
    Some(match operation {
        "ListBuckets" => Action::ListBuckets,
        "CreateBucket"
        | "DeleteBucket"
        | "DeleteBucketCors"
        | "DeleteBucketEncryption"
        | "DeleteBucketLifecycle"
        | "DeleteBucketPolicy"
        | "DeleteBucketReplication"
        | "DeleteBucketTagging"
        | "DeleteBucketWebsite"
        | "DeletePublicAccessBlock"
        | "PutBucketCors"
        | "PutBucketOwnershipControls"
        | "PutBucketRequestPayment"
        | "PutBucketTagging"
        | "PutPublicAccessBlock" => Action::ManageBucket,
        "HeadBucket"
        | "GetBucketAccelerateConfiguration"
        | "GetBucketCors"
        | "GetBucketEncryption"
        | "GetBucketLifecycleConfiguration"
        | "GetBucketLocation"
        | "GetBucketLogging"
        | "GetBucketNotificationConfiguration"
        | "GetBucketOwnershipControls"
        | "GetBucketPolicy"
        | "GetBucketPolicyStatus"
        | "GetBucketReplication"
        | "GetBucketRequestPayment"
        | "GetBucketTagging"
        | "GetBucketVersioning"
        | "GetBucketWebsite"
        | "GetObjectLegalHold"
        | "GetObjectLockConfiguration"
        | "GetObjectRetention"
        | "GetPublicAccessBlock"
        | "ListObjects"
        | "ListObjectsV2"
        | "ListObjectVersions"
        | "ListMultipartUploads"
        | "ListParts"
        | "GetObject"
        | "HeadObject"
        | "GetObjectTagging" => Action::ReadBucket,
        "PutObject"
        | "PutObjectLegalHold"
        | "PutObjectRetention"
        | "PutObjectTagging"
        | "CopyObject"
        | "DeleteObjectTagging"
        | "DeleteObject"
        | "DeleteObjects"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload" => Action::WriteBucket,
        _ => return None,
    })
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name();
        let Some(action) = action(operation) else {
            return Err(not_implemented(&format!("The operation {operation}")));
        };
        refuse::check_parameters(operation, context.uri())?;
        let absent = absent::answer(operation);
        let name = context.s3_path().get_bucket_name().map(ToOwned::to_owned);
        let caller = context.extensions_mut().get::<Call>().map(|call| Arc::clone(&call.caller));
        let caller = caller.ok_or_else(access_denied)?;
        let bucket = name.map(|name| self.0.resolve_bucket(&caller, &name)).transpose()?;
        if caller.allows(action, bucket.as_ref()) {
            let (Some(answer), Some(id)) = (absent, bucket) else { return Ok(()) };
            let found = self.0.of_caller(context.extensions_mut()).buckets.bucket(&id).await;
            return Err(found.map_or_else(S3Error::from, |_| answer));
        }
        // A bucket that does not exist is told before that it is forbidden; the lookup is spared when it is not.
        match bucket {
            Some(id) if action != Action::ManageBucket => {
                match self.0.of_caller(context.extensions_mut()).buckets.bucket(&id).await {
                    Err(error @ BucketError::NoSuchBucket(_)) => Err(S3Error::from(error)),
                    _ => Err(access_denied()),
                }
            }
            _ => Err(access_denied()),
        }
    }
}
