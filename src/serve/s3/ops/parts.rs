//! Parts of multipart uploads: store, copy, list.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result};

use crate::bucket::{ChecksumAlgorithm, Copied, DeclaredDigests, Part, Upload};

use crate::serve::s3::checksums::{self, set_checksums};
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{algorithm_name, invalid_argument, invalid_request};
use crate::serve::s3::{lifecycle, payload, ranges};

use super::buckets::owner;
use super::copy::{Source, copy_error};
use super::listing::page_size;
use super::multipart::{initiator, part_number, upload_ref};

/// A part's `ETag`.
fn etag(part: &Part) -> dto::ETag {
    dto::ETag::Strong(hex::encode(part.md5))
}

/// Stores a part.
pub(super) async fn upload(
    context: &Context,
    request: S3Request<dto::UploadPartInput>,
) -> S3Result<S3Response<dto::UploadPartOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let number = part_number(input.part_number)?;
    let upload = upload_ref(&input.key, &input.upload_id)?;
    // Looked up before the body comes, for what checksum it is to have.
    let running = context.api.buckets.upload(id, &upload).await?;
    let wanted = running.checksum.map(|(algorithm, _)| algorithm);
    let payload = payload::of_request(&request.headers, input.body, context.trailers.clone(), wanted)?;
    check_algorithm(&running, &payload.digests)?;
    let part = context.api.buckets.write_part(id, &upload, number, payload).await?;
    let mut output = dto::UploadPartOutput { e_tag: Some(etag(&part)), ..dto::UploadPartOutput::default() };
    set_checksums!(output, part.checksum.iter(), 0);
    Ok(S3Response::new(output))
}

/// A part's checksum must be of the kind that its upload was begun with.
fn check_algorithm(upload: &Upload, declared: &DeclaredDigests) -> S3Result<()> {
    let (Some((expected, _)), Some(checksum)) = (upload.checksum, &declared.checksum) else {
        return Ok(());
    };
    if checksum.algorithm == expected {
        return Ok(());
    }
    let name = |algorithm: ChecksumAlgorithm| algorithm_name(algorithm).to_ascii_lowercase();
    Err(invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(expected),
        name(checksum.algorithm)
    )))
}

/// Stores a part that is a range of an object.
pub(super) async fn copy(
    context: &Context,
    request: S3Request<dto::UploadPartCopyInput>,
) -> S3Result<S3Response<dto::UploadPartCopyOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let number = part_number(input.part_number)?;
    let upload = upload_ref(&input.key, &input.upload_id)?;
    let source = Source::resolve(context, &request.headers).await?;
    let range = input.copy_source_range.as_deref().map(ranges::parse_copy_range).transpose()?;
    let copied = context.api.buckets.copy_part(id, &upload, number, &source.copy_source(), range).await;
    let Copied { made: part, source: source_version } = copied.map_err(copy_error)?;
    let mut result = dto::CopyPartResult {
        e_tag: Some(etag(&part)),
        last_modified: Some(whole_seconds(part.modified_at)),
        ..dto::CopyPartResult::default()
    };
    set_checksums!(result, part.checksum.iter(), 0);
    Ok(S3Response::new(dto::UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: source.shown(source_version),
        ..dto::UploadPartCopyOutput::default()
    }))
}

/// Lists the parts of a running upload.
pub(super) async fn list(
    context: &Context,
    request: S3Request<dto::ListPartsInput>,
) -> S3Result<S3Response<dto::ListPartsOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let upload = upload_ref(&input.key, &input.upload_id)?;
    let max_parts = page_size(input.max_parts, "max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = u16::try_from(marker).map_err(|_| {
        invalid_argument("Argument part-number-marker must be an integer between 0 and 65535")
    })?;
    let limit = usize::try_from(max_parts).unwrap_or_default();
    // A page of no parts still tells about the upload.
    let page = context.api.buckets.list_parts(id, &upload, after, limit.max(1)).await?;
    let (parts, truncated) = if limit == 0 { (Vec::new(), false) } else { (page.parts, page.truncated) };
    let owner = owner(context);
    let (abort_date, abort_rule_id) = lifecycle::abort(context.bucket()?, &page.upload).unzip();
    Ok(S3Response::new(dto::ListPartsOutput {
        abort_date: abort_date.map(whole_seconds),
        abort_rule_id,
        bucket: Some(input.bucket),
        checksum_algorithm: page.upload.checksum.map(|(algorithm, _)| checksums::algorithm_to_s3(algorithm)),
        checksum_type: page.upload.checksum.map(|(_, over)| checksums::type_to_s3(over)),
        initiator: Some(initiator(&owner)),
        is_truncated: Some(truncated),
        key: Some(input.key),
        max_parts: Some(max_parts),
        next_part_number_marker: parts.last().map(|part| i32::from(part.number)),
        owner: Some(owner),
        part_number_marker: Some(marker),
        parts: Some(parts.iter().map(part_to_s3).collect()),
        storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        upload_id: Some(input.upload_id),
        ..dto::ListPartsOutput::default()
    }))
}

fn part_to_s3(part: &Part) -> dto::Part {
    let mut output = dto::Part {
        e_tag: Some(etag(part)),
        last_modified: Some(whole_seconds(part.modified_at)),
        part_number: Some(i32::from(part.number)),
        size: i64::try_from(part.size).ok(),
        ..dto::Part::default()
    };
    set_checksums!(output, part.checksum.iter(), 0);
    output
}
