//! The operations. Each gets the request's context and its input, and gives its output.
//!
//! s3s calls them by the trait [`S3`], which is implemented here, a line for each operation. An operation that is not here
//! is answered with `NotImplemented` by [`super::authorize`]. `GetObject` and `HeadObject` are called by [`super::route`].

use std::sync::Arc;

use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::context::Context;
use super::errors::access_denied;
use super::unsupported;

pub(super) mod acl;
mod attributes;
mod buckets;
mod copy;
mod lifecycle;
mod listing;
mod lock;
mod multipart;
mod objects;
mod parts;
pub(super) mod read;
mod settings;
pub(super) mod tagging;
mod versions;

/// The operations that s3s calls.
pub(super) struct Operations;

macro_rules! delegate {
    ($($method:ident($input:ident) -> $output:ident = $module:ident::$function:ident $(.$later:tt)?;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(
                async fn $method(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                    let context = request.extensions.get::<Arc<Context>>().cloned().ok_or_else(access_denied)?;
                    let result = $module::$function(&context, request)$(.$later)?;
                    result.inspect_err(|error| context.log(error))
                }
            )*
        }
    };
}

delegate! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list.await;
    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create.await;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = versions::get_bucket;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput
        = lock::get_bucket.await;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput
        = lock::put_bucket.await;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = lock::get_retention.await;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = lock::put_retention.await;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = lock::get_legal_hold.await;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = lock::put_legal_hold.await;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = versions::put_bucket.await;
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = unsupported::logging;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput)
        -> GetBucketNotificationConfigurationOutput = unsupported::notification;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput)
        -> GetBucketAccelerateConfigurationOutput = unsupported::acceleration;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = unsupported::delete_policy;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput)
        -> GetBucketLifecycleConfigurationOutput = lifecycle::get;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput)
        -> PutBucketLifecycleConfigurationOutput = lifecycle::put.await;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = lifecycle::delete.await;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = unsupported::delete_encryption;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = unsupported::delete_website;
    delete_bucket_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput
        = unsupported::delete_replication;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = acl::get_bucket;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = acl::put_bucket.await;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = settings::get_cors.await;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = settings::put_cors.await;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = settings::delete_cors.await;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = settings::get_block.await;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = settings::put_block.await;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput
        = settings::delete_block.await;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput
        = settings::get_ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput
        = settings::put_ownership;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = settings::policy_status;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = settings::get_payer;
    put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput = settings::put_payer;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tagging::get_bucket.await;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tagging::put_bucket.await;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tagging::delete_bucket.await;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete.await;
    list_objects(ListObjectsInput) -> ListObjectsOutput = listing::list_v1.await;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::list_v2.await;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = versions::list.await;
    put_object(PutObjectInput) -> PutObjectOutput = objects::put.await;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl::get_object.await;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = acl::put_object.await;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes::get.await;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::get.await;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::put.await;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete.await;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete.await;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_many.await;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::object.await;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create.await;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete.await;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort.await;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::list.await;
    upload_part(UploadPartInput) -> UploadPartOutput = parts::upload.await;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = parts::copy.await;
    list_parts(ListPartsInput) -> ListPartsOutput = parts::list.await;
}
