//! May this caller do that? Asked of every operation before s3s parses its input.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3Result, s3_error};

use super::context::{Call, Refused};
use super::errors::{access_denied, not_implemented};
use super::{S3Door, absent, acl, parameters};
use crate::auth::Action;
use crate::bucket::Visibility;
use crate::serve::visit::Visit;

/// Asks the credential.
pub(super) struct Access(pub(super) Arc<S3Door>);

/// What everyone may do with a public bucket: list it, and read what is in it. What is said about it beside that, its
/// ACL and tags and uploads, is its owner's business. Source: S3 user guide, "Mapping of ACL permissions".
const OPEN_TO_ALL: [&str; 8] = [
    "GetBucketLocation",
    "GetObject",
    "GetObjectAttributes",
    "HeadBucket",
    "HeadObject",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
];

/// The operations whose `x-amz-acl` is that of an object.
const WITH_OBJECT_ACL: [&str; 4] = ["CopyObject", "CreateMultipartUpload", "PutObject", "PutObjectAcl"];

macro_rules! operations {
    ($($($name:literal)|+ => $action:ident,)*) => {
        /// What an operation does to a bucket; `None` for operations that the door does not have.
        fn action(operation: &str) -> Option<Action> {
            Some(match operation {
                $($($name)|+ => Action::$action,)*
                _ => return None,
            })
        }

        /// All operations that are let through to somebody.
        pub(super) const OPERATIONS: &[&str] = &[$($($name),+),*];
    };
}

operations! {
    "ListBuckets" => ListBuckets,
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
    | "PutBucketAcl"
    | "PutBucketCors"
    | "PutBucketOwnershipControls"
    | "PutBucketRequestPayment"
    | "PutBucketTagging"
    | "PutPublicAccessBlock" => ManageBucket,
    "HeadBucket"
    | "GetBucketAccelerateConfiguration"
    | "GetBucketAcl"
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
    | "GetObjectAcl"
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
    | "GetObjectTagging" => ReadBucket,
    "PutObject"
    | "PutObjectAcl"
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
    | "AbortMultipartUpload" => WriteBucket,
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
        if let Some(known) = OPERATIONS.iter().find(|known| **known == operation) {
            Visit::of(context.extensions_mut()).is_for(known);
        }
        let names_bucket = context.s3_path().get_bucket_name().is_some();
        let acl = context.headers().get("x-amz-acl").and_then(|acl| acl.to_str().ok()).map(ToOwned::to_owned);
        let visitor = context.extensions_mut().get::<Call>().map(|call| Arc::clone(&call.caller));
        let visitor = visitor.ok_or_else(access_denied)?;
        let door = self.0.of(&visitor.caller);
        let Some(target) = &visitor.target else {
            let allowed = visitor.caller.credential().is_some_and(|shown| shown.allows(action, None));
            let allowed = allowed && !names_bucket;
            return if allowed { Ok(()) } else { Err(access_denied()) };
        };
        // The order of AWS: the bucket, then permission, then arguments.
        let creates = operation == "CreateBucket";
        let bucket = if creates { None } else { Some(target.bucket()?) };
        let open = bucket.filter(|_| OPEN_TO_ALL.contains(&operation));
        let visibility = open.map_or(Visibility::Private, |bucket| bucket.visibility);
        if !door.directory.may(&visitor.caller, action, target.id(), visibility) {
            return Err(access_denied());
        }
        context.extensions_mut().get::<Refused>().map_or(Ok(()), Refused::check)?;
        parameters::check(operation, context.uri())?;
        if let (Some(acl), Some(bucket), true) = (acl, bucket, WITH_OBJECT_ACL.contains(&operation)) {
            if operation == "PutObjectAcl" {
                acl::check_of_object(door, bucket, &acl).await?;
            } else {
                acl::check_of_write(door, bucket, &acl).await?;
            }
        }
        absent::answer(operation).map_or(Ok(()), Err)
    }
}
