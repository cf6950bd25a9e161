//! Objects: put and delete.

use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};

use crate::bucket::{Bucket, Changed, Object, ObjectDelete, ObjectWrite, WriteCondition};
use crate::serve::s3::checksums::{set_checksums, type_of};
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{malformed_xml, no_such_version, not_implemented};
use crate::serve::s3::{
    attributes, conditions, lifecycle, object_headers, object_key, object_lock, payload, versions,
};

/// Most keys of a `DeleteObjects`. Source: S3 API reference.
const DELETE_KEYS_MAX: usize = 1000;

/// An object's `ETag` as s3s writes it.
pub(super) fn etag(object: &Object) -> dto::ETag {
    dto::ETag::Strong(object.etag.to_string())
}

/// Stores an object.
pub(super) async fn put(
    context: &Context,
    request: S3Request<dto::PutObjectInput>,
) -> S3Result<S3Response<dto::PutObjectOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let write = ObjectWrite {
        key: object_key(&input.key)?,
        attributes: attributes::of_write(
            context.headers.attributes.clone(),
            input.metadata,
            input.tagging.as_deref(),
        )?,
        condition: conditions::of_write(context.headers.conditions.clone())?,
        lock: object_lock::of_write(&request.headers, context.api.clock.clock.now())?,
        payload: payload::of_request(&request.headers, input.body, context.trailers.clone(), None)?,
    };
    let object = context.api.buckets.write(id, write).await?;
    let mut output = dto::PutObjectOutput { e_tag: Some(etag(&object)), ..dto::PutObjectOutput::default() };
    output.checksum_type = type_of(&object.checksums);
    let bucket = context.bucket()?;
    output.version_id = versions::made(object.version);
    output.expiration = lifecycle::expiration(bucket, &input.key, &object);
    set_checksums!(output, &object.checksums, object.parts.len());
    let mut response = S3Response::new(output);
    object_headers::add_xet_hash(&mut response.headers, &object);
    Ok(response)
}

/// How an answer names what a delete has made or removed.
fn shown(bucket: &Bucket, changed: &Changed) -> Option<String> {
    changed.version.and_then(|version| versions::shown(bucket, version.id()))
}

/// Deletes an object; one that is not there is deleted already.
pub(super) async fn delete(
    context: &Context,
    request: S3Request<dto::DeleteObjectInput>,
) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
    let id = context.bucket_id()?;
    let delete = ObjectDelete {
        key: object_key(&request.input.key)?,
        version: versions::parse(request.input.version_id.as_deref())?,
        condition: conditions::of_write(context.headers.conditions.clone())?,
        bypasses_governance: object_lock::bypasses_governance(context, &request.headers)?,
    };
    let mut output = dto::DeleteObjectOutput::default();
    for result in context.api.buckets.delete(id, vec![delete]).await? {
        let changed = result?;
        output.delete_marker = changed.is_marker.then_some(true);
        output.version_id = shown(context.bucket()?, &changed);
    }
    Ok(S3Response::new(output))
}

/// Deletes up to 1,000 objects, each on its own.
pub(super) async fn delete_many(
    context: &Context,
    request: S3Request<dto::DeleteObjectsInput>,
) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
    let id = context.bucket_id()?;
    let bypasses_governance = object_lock::bypasses_governance(context, &request.headers)?;
    let dto::Delete { objects, quiet } = request.input.delete;
    if objects.is_empty() || objects.len() > DELETE_KEYS_MAX {
        return Err(malformed_xml());
    }
    let mut outcomes: Vec<(dto::ObjectIdentifier, S3Result<Changed>)> = Vec::with_capacity(objects.len());
    let (mut deletes, mut places) = (Vec::new(), Vec::new());
    for object in objects {
        let outcome = match delete_of(&object) {
            Ok(delete) => {
                let delete = ObjectDelete { bypasses_governance, ..delete };
                places.push(outcomes.len());
                deletes.push(delete);
                Ok(Changed::default())
            }
            Err(error) => Err(error),
        };
        outcomes.push((object, outcome));
    }
    let results = context.api.buckets.delete(id, deletes).await?;
    for (place, result) in places.into_iter().zip(results) {
        outcomes[place].1 = result.map_err(S3Error::from).inspect_err(|error| context.log(error));
    }
    Ok(S3Response::new(delete_output(context.bucket()?, outcomes, quiet.unwrap_or(false))))
}

fn delete_of(object: &dto::ObjectIdentifier) -> S3Result<ObjectDelete> {
    // In a list, an id that cannot be one names a version that is not there.
    let version = versions::parse(object.version_id.as_deref()).map_err(|_| no_such_version())?;
    if object.size.is_some() || object.last_modified_time.is_some() {
        return Err(not_implemented("A condition on Size or LastModifiedTime"));
    }
    let if_match = object.e_tag.as_ref().map(|etag| conditions::parse_etags(etag.value()));
    Ok(ObjectDelete {
        key: object_key(&object.key)?,
        version,
        condition: WriteCondition { if_match, if_none_match: None },
        bypasses_governance: false,
    })
}

fn delete_output(
    bucket: &Bucket,
    outcomes: Vec<(dto::ObjectIdentifier, S3Result<Changed>)>,
    quiet: bool,
) -> dto::DeleteObjectsOutput {
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (object, outcome) in outcomes {
        let (key, version_id) = (Some(object.key), object.version_id);
        match outcome {
            Ok(_) if quiet => {}
            Ok(changed) => {
                let delete_marker = changed.is_marker.then_some(true);
                let delete_marker_version_id = delete_marker.and_then(|_| shown(bucket, &changed));
                deleted.push(dto::DeletedObject { delete_marker, delete_marker_version_id, key, version_id });
            }
            Err(error) => errors.push(dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key,
                message: error.message().map(ToOwned::to_owned),
                version_id,
            }),
        }
    }
    dto::DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), request_charged: None }
}
