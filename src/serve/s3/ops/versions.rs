//! Versioning of buckets: switched on and suspended, asked for, and `ListObjectVersions`.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::bucket::{BucketChange, Version, VersionEntry, VersionPage, VersionQuery, Versioning};

use crate::serve::s3::checksums::type_of;
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{invalid_argument, malformed_xml, not_implemented};
use crate::serve::s3::response::OverrideXml;
use crate::serve::s3::versions;
use crate::serve::s3::xml::{self, ListedVersion};

use super::buckets::owner;
use super::listing::{Names, algorithms, non_empty, page_size};
use super::objects::etag;

/// Whether a bucket keeps versions; one that never did says nothing.
pub(super) fn get_bucket(
    context: &Context,
    _: S3Request<dto::GetBucketVersioningInput>,
) -> S3Result<S3Response<dto::GetBucketVersioningOutput>> {
    let status = match context.bucket()?.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(dto::BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(dto::BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(dto::BucketVersioningStatus::from_static);
    Ok(S3Response::new(dto::GetBucketVersioningOutput {
        status,
        ..dto::GetBucketVersioningOutput::default()
    }))
}

/// Lets a bucket keep versions from now on, or no more. To delete with a second factor is not offered.
pub(super) async fn put_bucket(
    context: &Context,
    request: S3Request<dto::PutBucketVersioningInput>,
) -> S3Result<S3Response<dto::PutBucketVersioningOutput>> {
    let id = context.bucket_id()?;
    let dto::VersioningConfiguration { mfa_delete, status, .. } = request.input.versioning_configuration;
    match mfa_delete.as_ref().map(dto::MFADelete::as_str) {
        None | Some("" | dto::MFADelete::DISABLED) => {}
        Some(dto::MFADelete::ENABLED) => return Err(not_implemented("MfaDelete")),
        Some(_) => return Err(malformed_xml()),
    }
    let versioning = match status.as_ref().map(dto::BucketVersioningStatus::as_str) {
        Some(dto::BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(dto::BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) => return Err(malformed_xml()),
        None => {
            let message = "The Versioning element must be specified";
            return Err(s3_error!(IllegalVersioningConfigurationException, "{message}"));
        }
    };
    context.api.buckets.change_bucket(id, BucketChange::Versioning(versioning)).await?;
    Ok(S3Response::new(dto::PutBucketVersioningOutput {}))
}

/// Lists versions and delete markers.
pub(super) async fn list(
    context: &Context,
    request: S3Request<dto::ListObjectVersionsInput>,
) -> S3Result<S3Response<dto::ListObjectVersionsOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let names = Names::new(input.encoding_type.as_ref())?;
    let max_keys = page_size(input.max_keys, "max-keys")?;
    let key_marker = non_empty(input.key_marker);
    let version_marker = non_empty(input.version_id_marker);
    if version_marker.is_some() && key_marker.is_none() {
        return Err(invalid_argument("A version-id marker cannot be specified without a key marker."));
    }
    let query = VersionQuery {
        prefix: input.prefix.unwrap_or_default(),
        delimiter: non_empty(input.delimiter),
        version_marker: versions::parse(version_marker.as_deref())?,
        key_marker,
        limit: usize::try_from(max_keys).unwrap_or_default(),
    };
    let page = if query.limit == 0 {
        VersionPage::default()
    } else {
        context.api.buckets.list_versions(id, &query).await?
    };
    let owner = owner(context);
    let entries: Vec<_> = page.versions.iter().map(|entry| listed(entry, names, &owner)).collect();
    let (next_key, next_version) = page.next.unzip();
    let output = dto::ListObjectVersionsOutput {
        common_prefixes: Some(names.prefixes(&page.common_prefixes)),
        delimiter: query.delimiter.as_deref().map(|delimiter| names.write(delimiter)),
        encoding_type: input.encoding_type,
        is_truncated: Some(next_key.is_some()),
        key_marker: Some(names.write(query.key_marker.as_deref().unwrap_or_default())),
        max_keys: Some(max_keys),
        name: Some(input.bucket),
        next_key_marker: next_key.map(|key| names.write(&key)),
        next_version_id_marker: next_version.flatten().map(|version| version.to_string()),
        prefix: Some(names.write(&query.prefix)),
        version_id_marker: Some(version_marker.unwrap_or_default()),
        ..dto::ListObjectVersionsOutput::default()
    };
    let written = xml::write_versions(&output, &entries);
    let mut response = S3Response::new(output);
    response.extensions.insert(OverrideXml(written));
    Ok(response)
}

fn listed(entry: &VersionEntry, names: Names, owner: &dto::Owner) -> ListedVersion {
    let key = Some(names.write(entry.key.as_str()));
    let (is_latest, owner) = (Some(entry.is_latest), Some(owner.clone()));
    let version_id = Some(entry.version.name().to_string());
    match &entry.version {
        Version::Object(object) => ListedVersion::Object(Box::new(dto::ObjectVersion {
            checksum_algorithm: algorithms(object),
            checksum_type: type_of(&object.checksums),
            e_tag: Some(etag(object)),
            is_latest,
            key,
            last_modified: Some(whole_seconds(object.modified_at)),
            owner,
            restore_status: None,
            size: i64::try_from(object.size).ok(),
            storage_class: Some(dto::ObjectVersionStorageClass::from_static(
                dto::ObjectVersionStorageClass::STANDARD,
            )),
            version_id,
        })),
        Version::Marker(marker) => ListedVersion::Marker(dto::DeleteMarkerEntry {
            is_latest,
            key,
            last_modified: Some(whole_seconds(marker.made_at)),
            owner,
            version_id,
        }),
    }
}
