//! May this caller do that? Checked for every operation before its input is parsed.

use axum::http::{HeaderMap, Uri};
use s3s::{S3Error, S3Result, s3_error};

use super::context::Context;
use super::errors::{access_denied, not_implemented};
use super::ops::acl;
use super::{parameters, unsupported};
use crate::auth::Action;
use crate::bucket::Visibility;

/// What everyone may do with a public bucket: list it, and read what is in it. Its ACL, tags
/// and uploads are for its owner alone. Source: S3 user guide, "Mapping of ACL permissions".
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
        /// An operation's name and what it does to a bucket; `None` for operations that are not supported.
        fn supported(operation: &str) -> Option<(&'static str, Action)> {
            match operation {
                $($($name => Some(($name, Action::$action)),)+)*
                _ => None,
            }
        }

        /// All operations that a caller can be authorized for.
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
    | "PutBucketLifecycleConfiguration"
    | "PutBucketOwnershipControls"
    | "PutBucketRequestPayment"
    | "PutBucketTagging"
    | "PutBucketVersioning"
    | "PutObjectLockConfiguration"
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

/// The error of an operation that is not supported.
fn unsupported_operation(operation: &str) -> S3Error {
    match operation {
        // As AWS answers for an object that has no torrent, which is true of all objects here.
        "GetObjectTorrent" => s3_error!(NoSuchKey, "The object has no torrent."),
        _ => not_implemented(&format!("The operation {operation}")),
    }
}

/// Checks, in the order of AWS, that the bucket exists, that the caller may do this, and that the arguments are valid.
pub(super) async fn authorize(
    context: &Context,
    operation: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> S3Result<()> {
    let Some((operation, action)) = supported(operation) else {
        return Err(unsupported_operation(operation));
    };
    context.record.set_operation(operation);
    let Some(target) = &context.target else {
        let allowed = context.caller.credential().is_some_and(|credential| credential.allows(action, None));
        return if allowed { Ok(()) } else { Err(access_denied()) };
    };
    let bucket = if operation == "CreateBucket" { None } else { Some(target.bucket()?) };
    let open = bucket.filter(|_| OPEN_TO_ALL.contains(&operation));
    let visibility = open.map_or(Visibility::Private, |bucket| bucket.visibility);
    if !context.api.directory.may(&context.caller, action, target.id(), visibility) {
        return Err(access_denied());
    }
    context.check_arguments()?;
    parameters::check(operation, uri)?;
    if let Some(bucket) = bucket.filter(|_| WITH_OBJECT_ACL.contains(&operation))
        && let Some(acl) = headers.get("x-amz-acl").and_then(|acl| acl.to_str().ok())
    {
        if operation == "PutObjectAcl" {
            acl::check_of_object(&context.api, bucket, acl).await?;
        } else {
            acl::check_of_write(&context.api, bucket, acl).await?;
        }
    }
    unsupported::error_of(operation).map_or(Ok(()), Err)
}
