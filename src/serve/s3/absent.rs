//! What buckets and objects do not have here: versions, policies, lifecycles, locks, encryption, replication, websites.
//!
//! To set one is `NotImplemented`, by [`super::access`]. To ask for one is answered as AWS answers for a bucket that was
//! never given one, since that is the truth and clients rely on it; and to take one away that is not there succeeds,
//! as it does there.

use axum::http::StatusCode;
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};

use super::S3Door;
use super::context::Call;
use super::errors::{custom, invalid_request};

/// AWS's answer to an operation on something that no bucket has, if that is an error.
pub(super) fn answer(operation: &str) -> Option<S3Error> {
    let (code, message) = match operation {
        "GetBucketPolicy" => ("NoSuchBucketPolicy", "The bucket policy does not exist"),
        "GetBucketLifecycleConfiguration" => {
            ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
        }
        "GetBucketEncryption" => (
            "ServerSideEncryptionConfigurationNotFoundError",
            "The server side encryption configuration was not found",
        ),
        "GetBucketWebsite" => {
            ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
        }
        "GetBucketReplication" => {
            ("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
        }
        "GetObjectLockConfiguration" => (
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
        // An object cannot be locked in a bucket without Object Lock, and its lock cannot be looked at.
        "GetObjectRetention" | "PutObjectRetention" | "GetObjectLegalHold" | "PutObjectLegalHold" => {
            return Some(invalid_request("Bucket is missing Object Lock Configuration"));
        }
        _ => return None,
    };
    Some(custom(code, StatusCode::NOT_FOUND, message))
}

macro_rules! empty {
    ($($(#[$doc:meta])* $status:ident $name:ident($input:ident) -> $output:ident;)*) => {
        $(
            $(#[$doc])*
            pub(super) async fn $name(
                _: &S3Door,
                mut request: S3Request<dto::$input>,
            ) -> S3Result<S3Response<dto::$output>> {
                let Call { caller, .. } = Call::take(&mut request)?;
                caller.bucket()?;
                let mut response = S3Response::new(dto::$output::default());
                response.status = Some(StatusCode::$status);
                Ok(response)
            }
        )*
    };
}

empty! {
    /// No bucket is versioned.
    OK versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    /// No bucket's requests are logged into another bucket.
    OK logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    /// Nobody is notified.
    OK notification(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput;
    /// No bucket is accelerated.
    OK acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
    /// There is no policy to take away.
    NO_CONTENT delete_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput;
    /// There is no lifecycle to take away.
    NO_CONTENT delete_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput;
    /// There is no encryption to take away.
    NO_CONTENT delete_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput;
    /// There is no website to take away.
    NO_CONTENT delete_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput;
    /// There is no replication to take away.
    NO_CONTENT delete_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput;
}
