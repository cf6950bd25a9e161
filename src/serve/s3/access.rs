//! May this caller do that? Asked of every operation before s3s parses its input.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3Result, s3_error};

use super::errors::{access_denied, not_implemented};
use super::gate::{Call, Refused};
use super::{S3Door, absent, refuse};
use crate::auth::Action;

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
        | "GetObjectAttributes"
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

/// What is said of an operation that the door does not have.
fn unknown(operation: &str) -> S3Error {
    match operation {
        // Nothing is missing here: no object has a torrent.
        "GetObjectTorrent" => s3_error!(NoSuchKey, "The object has no torrent."),
        _ => not_implemented(&format!("The operation {operation}")),
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name().to_owned();
        let operation = operation.as_str();
        let Some(action) = action(operation) else {
            return Err(unknown(operation));
        };
        let name = context.s3_path().get_bucket_name().map(ToOwned::to_owned);
        let caller = context.extensions_mut().get::<Call>().map(|call| Arc::clone(&call.caller));
        let caller = caller.ok_or_else(access_denied)?;
        let bucket = name.map(|name| self.0.resolve_bucket(&caller, &name)).transpose()?;
        // The order of AWS: the bucket, then permission, then arguments.
        if let Some(id) = bucket.as_ref().filter(|_| operation != "CreateBucket") {
            self.0.of_caller(context.extensions_mut()).buckets.bucket(id).await?;
        }
        if !caller.allows(action, bucket.as_ref()) {
            return Err(access_denied());
        }
        context.extensions_mut().get::<Refused>().map_or(Ok(()), Refused::check)?;
        refuse::check_parameters(operation, context.uri())?;
        absent::answer(operation).map_or(Ok(()), Err)
    }
}
