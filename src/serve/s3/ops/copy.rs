//! `CopyObject`, and where copies come from.

use axum::http::HeaderMap;
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};

use crate::auth::Action;
use crate::bucket::{
    AttributeChanges, Attributes, Bucket, BucketError, Copied, CopySource, ObjectCopy, VersionId,
};

use crate::serve::s3::checksums::{requested_algorithm, set_checksums, type_of};
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{access_denied, invalid_argument, invalid_request, no_such_key};
use crate::serve::s3::request_headers::CopySourceHeader;
use crate::serve::s3::{attributes, conditions, lifecycle, object_key, object_lock, versions};

use super::objects::etag;
use super::tagging;

/// A copy source that the caller may read.
pub(super) struct Source {
    /// What the header says.
    header: CopySourceHeader,
    /// Its bucket.
    bucket: Bucket,
}

impl Source {
    /// Resolves the source of a request.
    pub(super) async fn resolve(context: &Context, headers: &HeaderMap) -> S3Result<Self> {
        let header = context.headers.source.clone();
        let header = header.ok_or_else(|| invalid_argument("Copy Source must be given"))?;
        let (api, caller) = (&context.api, &context.caller);
        let target = api.resolve(caller, context.path_namespace.as_ref(), &header.bucket).await?;
        let expected_owner = headers.get("x-amz-source-expected-bucket-owner");
        if expected_owner.is_some_and(|owner| owner != target.id().namespace.as_str()) {
            return Err(access_denied());
        }
        let bucket = target.bucket()?;
        if !api.directory.may(caller, Action::ReadBucket, &bucket.id, bucket.visibility) {
            return Err(access_denied());
        }
        Ok(Self { header, bucket: bucket.clone() })
    }

    /// The source, for the layers below; its conditions go with it.
    pub(super) fn copy_source(&self) -> CopySource {
        let CopySourceHeader { key, version, conditions: condition, .. } = self.header.clone();
        CopySource { bucket: self.bucket.id.clone(), key, version, condition }
    }

    /// How the answer names the version that was copied.
    pub(super) fn shown(&self, version: Option<VersionId>) -> Option<String> {
        versions::shown(&self.bucket, version)
    }
}

/// An error of a copy: of a source that is a delete marker, these are S3's.
pub(super) fn copy_error(error: BucketError) -> S3Error {
    match error {
        BucketError::Deleted { .. } => no_such_key(),
        BucketError::IsDeleteMarker { .. } => invalid_request(
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        ),
        error => error.into(),
    }
}

/// Whether a directive says REPLACE.
fn replaces(directive: Option<&str>, name: &str) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(invalid_argument(format!("Unknown {name} directive."))),
    }
}

/// What the directives say.
fn changes(standard: Attributes, input: &mut dto::CopyObjectInput) -> S3Result<AttributeChanges> {
    let metadata = input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str);
    let tags = input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str);
    let tags = replaces(tags, "tagging")?.then(|| tagging::of_header(input.tagging.as_deref()));
    let website_redirect_location = standard.website_redirect_location.clone();
    let metadata =
        replaces(metadata, "metadata")?.then(|| attributes::of_write(standard, input.metadata.take(), None));
    Ok(AttributeChanges {
        metadata: metadata.transpose()?,
        tags: tags.transpose()?,
        website_redirect_location,
    })
}

/// Copies an object.
pub(super) async fn object(
    context: &Context,
    mut request: S3Request<dto::CopyObjectInput>,
) -> S3Result<S3Response<dto::CopyObjectOutput>> {
    let id = context.bucket_id()?;
    let key = object_key(&request.input.key)?;
    let source = Source::resolve(context, &request.headers).await?;
    let changes = changes(context.headers.attributes.clone(), &mut request.input)?;
    let checksum = requested_algorithm(&request.headers)?;
    let is_itself = source.bucket.id == *id && source.header.key == key && source.header.version.is_none();
    if is_itself && changes.is_none() && checksum.is_none() {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let condition = conditions::of_write(context.headers.conditions.clone())?;
    let lock = object_lock::of_write(&request.headers, context.api.clock.clock.now())?;
    let copy = ObjectCopy { source: source.copy_source(), key, changes, checksum, condition, lock };
    let copied = context.api.buckets.copy(id, copy).await.map_err(copy_error)?;
    let Copied { made: object, source: source_version } = copied;
    let mut result = dto::CopyObjectResult {
        e_tag: Some(etag(&object)),
        last_modified: Some(whole_seconds(object.modified_at)),
        checksum_type: type_of(&object.checksums),
        ..dto::CopyObjectResult::default()
    };
    set_checksums!(result, &object.checksums, object.parts.len());
    Ok(S3Response::new(dto::CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: source.shown(source_version),
        version_id: versions::made(object.version),
        expiration: lifecycle::expiration(context.bucket()?, &request.input.key, &object),
        ..dto::CopyObjectOutput::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_copy_or_replace() {
        assert!(matches!(replaces(None, "metadata"), Ok(false)));
        assert!(matches!(replaces(Some("COPY"), "metadata"), Ok(false)));
        assert!(matches!(replaces(Some("REPLACE"), "metadata"), Ok(true)));
        assert_eq!(replaces(Some("replace"), "metadata").unwrap_err().code().as_str(), "InvalidArgument");
    }
}
