//! `ListObjectVersions` of buckets that are not versioned: every object is its only version, `null`.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result};

use crate::bucket::{After, ListQuery, Object, ObjectKey};

use crate::serve::s3::checksums::type_of;
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::invalid_argument;
use crate::serve::s3::unsupported;

use super::buckets::owner;
use super::listing::{Names, after_name, algorithms, name_of, non_empty, page, page_size};
use super::objects::etag;

/// The version of an object that has no versions.
const NULL_VERSION: &str = "null";

/// Lists objects as versions.
pub(super) async fn list(
    context: &Context,
    request: S3Request<dto::ListObjectVersionsInput>,
) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let names = Names::new(input.encoding_type.as_ref())?;
    let max_keys = page_size(input.max_keys, "max-keys")?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = non_empty(input.delimiter);
    let marker = input.key_marker.unwrap_or_default();
    let version_marker = non_empty(input.version_id_marker);
    unsupported::check_version(version_marker.as_deref())?;
    if version_marker.is_some() && marker.is_empty() {
        return Err(invalid_argument("A version-id marker cannot be specified without a key marker."));
    }
    let after = non_empty(Some(marker.clone())).map(|name| after_name(&prefix, delimiter.as_deref(), name));
    let limit = usize::try_from(max_keys).unwrap_or_default();
    let query = ListQuery { prefix, delimiter, after, limit };
    let page = page(context, id, &query).await?;
    let owner = owner(context);
    let next_version = page.next.as_ref().filter(|after| matches!(after, After::Key(_)));
    Ok(S3Response::new(dto::ListObjectVersionsOutput {
        common_prefixes: Some(names.prefixes(&page.common_prefixes)),
        delimiter: query.delimiter.as_deref().map(|delimiter| names.write(delimiter)),
        encoding_type: input.encoding_type,
        is_truncated: Some(page.next.is_some()),
        key_marker: Some(names.write(&marker)),
        max_keys: Some(max_keys),
        name: Some(input.bucket),
        next_key_marker: page.next.as_ref().map(|after| names.write(name_of(after))),
        next_version_id_marker: next_version.map(|_| NULL_VERSION.to_owned()),
        prefix: Some(names.write(&query.prefix)),
        version_id_marker: Some(version_marker.unwrap_or_default()),
        versions: Some(page.objects.iter().map(|entry| version(entry, names, &owner)).collect()),
        ..dto::ListObjectVersionsOutput::default()
    }))
}

fn version((key, object): &(ObjectKey, Object), names: Names, owner: &dto::Owner) -> dto::ObjectVersion {
    dto::ObjectVersion {
        checksum_algorithm: algorithms(object),
        checksum_type: type_of(&object.checksums),
        e_tag: Some(etag(object)),
        is_latest: Some(true),
        key: Some(names.write(key.as_str())),
        last_modified: Some(whole_seconds(object.modified_at)),
        owner: Some(owner.clone()),
        restore_status: None,
        size: i64::try_from(object.size).ok(),
        storage_class: Some(dto::ObjectVersionStorageClass::from_static(
            dto::ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(NULL_VERSION.to_owned()),
    }
}
