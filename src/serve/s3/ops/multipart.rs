//! Multipart uploads: begin, complete, abort, list.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::bucket::limits::PARTS_MAX;
use crate::bucket::{
    ChecksumAlgorithm, CompletedPart, ExpectedObject, ListUploads, NewUpload, Object, Upload,
    UploadCompletion, UploadId, UploadPage, UploadRef,
};

use crate::serve::s3::checksums::{self, set_checksums, type_of};
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{invalid_argument, invalid_request, malformed_xml, no_such_upload};
use crate::serve::s3::{attributes, conditions, lifecycle, object_key, object_lock, versions};

use super::buckets::owner;
use super::listing::{Names, non_empty, page_size};
use super::objects::etag;

/// Reads how a request names an upload.
pub(super) fn upload_ref(key: &str, id: &str) -> S3Result<UploadRef> {
    let id = UploadId::parse(id).ok_or_else(no_such_upload)?;
    Ok(UploadRef { key: object_key(key)?, id })
}

/// Reads a part number.
pub(super) fn part_number(number: i32) -> S3Result<u16> {
    let valid = u16::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number));
    valid.ok_or_else(|| invalid_argument("Part number must be an integer between 1 and 10000, inclusive"))
}

/// Creates an upload.
pub(super) async fn create(
    context: &Context,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let upload = NewUpload {
        key: object_key(&input.key)?,
        attributes: attributes::of_write(
            context.headers.attributes.clone(),
            input.metadata,
            input.tagging.as_deref(),
        )?,
        checksum: checksums::of_upload(&request.headers)?,
        lock: object_lock::of_write(&request.headers, context.api.clock.clock.now())?,
    };
    let upload = context.api.buckets.create_upload(id, upload).await?;
    let (abort_date, abort_rule_id) = lifecycle::abort(context.bucket()?, &upload).unzip();
    Ok(S3Response::new(dto::CreateMultipartUploadOutput {
        abort_date: abort_date.map(whole_seconds),
        abort_rule_id,
        bucket: Some(input.bucket),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| checksums::algorithm_to_s3(algorithm)),
        checksum_type: upload.checksum.map(|(_, over)| checksums::type_to_s3(over)),
        key: Some(input.key),
        upload_id: Some(upload.id.as_str().to_owned()),
        ..dto::CreateMultipartUploadOutput::default()
    }))
}

/// Completes an upload: the parts become an object.
pub(super) async fn complete(
    context: &Context,
    mut request: S3Request<dto::CompleteMultipartUploadInput>,
) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
    let id = context.bucket_id()?;
    let upload = upload_ref(&request.input.key, &request.input.upload_id)?;
    let named = request.input.multipart_upload.take().and_then(|named| named.parts).unwrap_or_default();
    if named.is_empty() || named.len() > usize::from(PARTS_MAX) {
        return Err(malformed_xml());
    }
    let completion = UploadCompletion {
        expected: expected(&request.input, named.len())?,
        parts: named.iter().map(completed_part).collect::<S3Result<_>>()?,
        condition: conditions::of_write(context.headers.conditions.clone())?,
    };
    let object = context.api.buckets.complete_upload(id, &upload, completion).await?;

    let dto::CompleteMultipartUploadInput { bucket, key, .. } = request.input;
    let mut output = completed(&object);
    output.location.clone_from(&context.location);
    output.version_id = versions::made(object.version);
    output.expiration = lifecycle::expiration(context.bucket()?, &key, &object);
    output.bucket = Some(bucket);
    output.key = Some(key);
    Ok(S3Response::new(output))
}

fn completed(object: &Object) -> dto::CompleteMultipartUploadOutput {
    let mut output = dto::CompleteMultipartUploadOutput {
        checksum_type: type_of(&object.checksums),
        e_tag: Some(etag(object)),
        ..dto::CompleteMultipartUploadOutput::default()
    };
    set_checksums!(output, &object.checksums, object.parts.len());
    output
}

/// The checksums of an s3s part or completion, with their algorithms.
macro_rules! named_checksums {
    ($input:expr) => {
        [
            (ChecksumAlgorithm::Crc32, &$input.checksum_crc32),
            (ChecksumAlgorithm::Crc32c, &$input.checksum_crc32c),
            (ChecksumAlgorithm::Crc64Nvme, &$input.checksum_crc64nvme),
            (ChecksumAlgorithm::Sha1, &$input.checksum_sha1),
            (ChecksumAlgorithm::Sha256, &$input.checksum_sha256),
        ]
    };
}

/// The only checksum named; several are refused.
fn the_one(
    named: [(ChecksumAlgorithm, &Option<String>); 5],
) -> S3Result<Option<(ChecksumAlgorithm, &String)>> {
    let mut named = named.into_iter().filter_map(|(algorithm, text)| Some((algorithm, text.as_ref()?)));
    let first = named.next();
    if named.next().is_some() {
        return Err(invalid_request("Expecting a single checksum. Multiple checksum Types are not allowed."));
    }
    Ok(first)
}

fn completed_part(part: &dto::CompletedPart) -> S3Result<CompletedPart> {
    let (Some(number), Some(etag)) = (part.part_number, &part.e_tag) else {
        return Err(malformed_xml());
    };
    let checksum = the_one(named_checksums!(part))?;
    let checksum = checksum.map(|(algorithm, text)| checksums::parse_named(algorithm, text)).transpose()?;
    Ok(CompletedPart { number: part_number(number)?, etag: etag.value().to_owned(), checksum })
}

/// What a completion says of the whole object, which has this number of parts.
fn expected(input: &dto::CompleteMultipartUploadInput, parts: usize) -> S3Result<ExpectedObject> {
    let size = input.mpu_object_size.map(u64::try_from).transpose();
    let size = size.map_err(|_| invalid_argument("The x-amz-mp-object-size header is invalid."))?;
    let over = input.checksum_type.as_ref().map(checksums::parse_type).transpose()?;
    let suffix = format!("-{parts}");
    let bare = |text: &'_ String| text.strip_suffix(&suffix).unwrap_or(text).to_owned();
    let checksum = the_one(named_checksums!(input))?;
    let checksum =
        checksum.map(|(algorithm, text)| checksums::parse_named(algorithm, &bare(text))).transpose()?;
    Ok(ExpectedObject { size, over, checksum })
}

/// Aborts an upload.
pub(super) async fn abort(
    context: &Context,
    request: S3Request<dto::AbortMultipartUploadInput>,
) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
    let id = context.bucket_id()?;
    let upload = upload_ref(&request.input.key, &request.input.upload_id)?;
    context.api.buckets.abort_upload(id, &upload).await?;
    Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
}

/// Lists running uploads.
pub(super) async fn list(
    context: &Context,
    request: S3Request<dto::ListMultipartUploadsInput>,
) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let names = Names::new(input.encoding_type.as_ref())?;
    let max_uploads = page_size(input.max_uploads, "max-uploads")?;
    let key_marker = non_empty(input.key_marker);
    // Without a key marker, S3 ignores the upload marker.
    let upload_marker = non_empty(input.upload_id_marker).filter(|_| key_marker.is_some());
    let query = ListUploads {
        prefix: input.prefix.unwrap_or_default(),
        delimiter: non_empty(input.delimiter),
        upload_marker: upload_marker.as_deref().map(parse_upload_marker).transpose()?,
        key_marker,
        limit: usize::try_from(max_uploads).unwrap_or_default(),
    };
    let page = if query.limit == 0 {
        UploadPage::default()
    } else {
        context.api.buckets.list_uploads(id, &query).await?
    };
    let (next_key, next_upload) = next_markers(&page);
    let owner = owner(context);
    Ok(S3Response::new(dto::ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        common_prefixes: Some(names.prefixes(&page.common_prefixes)),
        delimiter: query.delimiter.as_deref().map(|delimiter| names.write(delimiter)),
        encoding_type: input.encoding_type,
        is_truncated: Some(page.truncated),
        key_marker: Some(names.write(query.key_marker.as_deref().unwrap_or_default())),
        max_uploads: Some(max_uploads),
        next_key_marker: next_key.map(|key| names.write(&key)),
        next_upload_id_marker: next_upload,
        prefix: Some(names.write(&query.prefix)),
        upload_id_marker: Some(upload_marker.unwrap_or_default()),
        uploads: Some(page.uploads.iter().map(|upload| upload_to_s3(upload, names, &owner)).collect()),
        request_charged: None,
    }))
}

fn parse_upload_marker(text: &str) -> S3Result<UploadId> {
    UploadId::parse(text).ok_or_else(|| s3_error!(InvalidArgument, "Invalid uploadId marker"))
}

/// Where a truncated listing continues: after its last upload or its last common prefix.
fn next_markers(page: &UploadPage) -> (Option<String>, Option<String>) {
    if !page.truncated {
        return (None, None);
    }
    let upload = page.uploads.last();
    let upload_key = upload.map(|upload| upload.key.as_str());
    match page.common_prefixes.last() {
        Some(prefix) if upload_key.is_none_or(|key| key < prefix.as_str()) => (Some(prefix.clone()), None),
        _ => (upload_key.map(ToOwned::to_owned), upload.map(|upload| upload.id.as_str().to_owned())),
    }
}

/// The owner as the initiator of an upload.
pub(super) fn initiator(owner: &dto::Owner) -> dto::Initiator {
    dto::Initiator { display_name: owner.display_name.clone(), id: owner.id.clone() }
}

fn upload_to_s3(upload: &Upload, names: Names, owner: &dto::Owner) -> dto::MultipartUpload {
    dto::MultipartUpload {
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| checksums::algorithm_to_s3(algorithm)),
        checksum_type: upload.checksum.map(|(_, over)| checksums::type_to_s3(over)),
        initiated: Some(whole_seconds(upload.created_at)),
        initiator: Some(initiator(owner)),
        key: Some(names.write(upload.key.as_str())),
        owner: Some(owner.clone()),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        upload_id: Some(upload.id.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_numbers_run_from_1_to_10000() {
        assert_eq!(part_number(1).unwrap(), 1);
        assert_eq!(part_number(10_000).unwrap(), 10_000);
        for bad in [0, -1, 10_001, i32::MAX] {
            assert_eq!(part_number(bad).unwrap_err().code().as_str(), "InvalidArgument");
        }
    }

    #[test]
    fn what_cannot_be_an_upload_id_names_no_upload() {
        assert_eq!(upload_ref("k", "../x").unwrap_err().code().as_str(), "NoSuchUpload");
    }

    #[test]
    fn a_part_is_named_by_number_and_etag() {
        let part = dto::CompletedPart { part_number: Some(1), ..dto::CompletedPart::default() };
        assert_eq!(completed_part(&part).unwrap_err().code().as_str(), "MalformedXML");
    }
}
