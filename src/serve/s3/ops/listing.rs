//! `ListObjects` in both versions, and what listings have in common.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result};

use crate::bucket::{After, BucketId, ListPage, ListQuery, Object, ObjectKey};

use crate::serve::s3::checksums::{algorithm_to_s3, type_of};
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::encoding::{decode_token, encode_token, encode_url, query_pairs};
use crate::serve::s3::errors::invalid_argument;

use super::buckets::owner;
use super::objects::etag;

/// Most keys on a page, and how many there are if the client does not say. Source: S3 API reference.
const KEYS_MAX: i32 = 1000;

/// The size of a page, from `max-keys` and its siblings.
pub(super) fn page_size(asked: Option<i32>, name: &str) -> S3Result<i32> {
    match asked {
        None => Ok(KEYS_MAX),
        Some(asked) if asked < 0 => {
            Err(invalid_argument(format!("Argument {name} must be an integer between 0 and 2147483647")))
        }
        Some(asked) => Ok(asked.min(KEYS_MAX)),
    }
}

/// How names are written in a listing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    url: bool,
}

impl Names {
    /// As `encoding-type` asks.
    pub(super) fn new(encoding: Option<&dto::EncodingType>) -> S3Result<Self> {
        match encoding.map(dto::EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(dto::EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    /// A name as the listing shows it.
    pub(super) fn write(self, name: &str) -> String {
        if self.url { encode_url(name) } else { name.to_owned() }
    }

    /// Common prefixes as the listing shows them.
    pub(super) fn prefixes(self, prefixes: &[String]) -> dto::CommonPrefixList {
        prefixes.iter().map(|prefix| dto::CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }
}

/// Whether XML cannot carry a character. Source: XML 1.0, section 2.2.
fn is_no_xml(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// An empty delimiter is none.
pub(super) fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Listings are always in order, so one that need not be (`allow-unordered`, of Ceph's) is answered like any other;
/// but a delimiter with it is refused, as there.
fn check_order(uri: &axum::http::Uri, delimiter: Option<&String>) -> S3Result<()> {
    let unordered =
        query_pairs(uri.query()).iter().any(|(name, value)| name == "allow-unordered" && value == "true");
    if unordered && delimiter.is_some() {
        return Err(invalid_argument("allow-unordered cannot be used with a delimiter"));
    }
    Ok(())
}

/// Reads a page; one of no keys is answered here, as the layers below know no such page.
pub(super) async fn page(context: &Context, id: &BucketId, query: &ListQuery) -> S3Result<ListPage> {
    if query.limit == 0 {
        return Ok(ListPage::default());
    }
    Ok(context.api.buckets.list(id, query).await?)
}

fn contents(objects: &[(ObjectKey, Object)], names: Names, owner: Option<&dto::Owner>) -> dto::ObjectList {
    let entry = |(key, object): &(ObjectKey, Object)| dto::Object {
        checksum_algorithm: algorithms(object),
        checksum_type: type_of(&object.checksums),
        e_tag: Some(etag(object)),
        key: Some(names.write(key.as_str())),
        last_modified: Some(whole_seconds(object.modified_at)),
        owner: owner.cloned(),
        size: i64::try_from(object.size).ok(),
        storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
        restore_status: None,
    };
    objects.iter().map(entry).collect()
}

/// The algorithms of an object's checksums.
pub(super) fn algorithms(object: &Object) -> Option<dto::ChecksumAlgorithmList> {
    let algorithms = object.checksums.iter().map(|checksum| algorithm_to_s3(checksum.algorithm));
    (!object.checksums.is_empty()).then(|| algorithms.collect())
}

/// `ListObjects`, the first version: pages begin at a marker, which is a name.
pub(super) async fn list_v1(
    context: &Context,
    request: S3Request<dto::ListObjectsInput>,
) -> S3Result<S3Response<dto::ListObjectsOutput>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let names = Names::new(input.encoding_type.as_ref())?;
    let max_keys = page_size(input.max_keys, "max-keys")?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = non_empty(input.delimiter);
    check_order(&request.uri, delimiter.as_ref())?;
    let marker = input.marker.unwrap_or_default();
    let after = non_empty(Some(marker.clone())).map(|name| After::name(&prefix, delimiter.as_deref(), name));
    let limit = usize::try_from(max_keys).unwrap_or_default();
    let query = ListQuery { prefix, delimiter, after, limit };
    let page = page(context, id, &query).await?;
    // AWS gives the next marker only with a delimiter; without one it is the last key, which the client has.
    let next = page.next.as_ref().filter(|_| query.delimiter.is_some());
    // botocore asks for encoded names and decodes them, but not the prefix of this version.
    let prefix =
        if query.prefix.contains(is_no_xml) { names.write(&query.prefix) } else { query.prefix.clone() };
    Ok(S3Response::new(dto::ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(prefix),
        marker: Some(names.write(&marker)),
        max_keys: Some(max_keys),
        is_truncated: Some(page.next.is_some()),
        contents: Some(contents(&page.objects, names, Some(&owner(context)))),
        common_prefixes: Some(names.prefixes(&page.common_prefixes)),
        delimiter: query.delimiter.as_deref().map(|delimiter| names.write(delimiter)),
        next_marker: next.map(|after| names.write(after.as_str())),
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

/// `ListObjects`, the second version: pages begin at an opaque token.
pub(super) async fn list_v2(
    context: &Context,
    request: S3Request<dto::ListObjectsV2Input>,
) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
    let input = request.input;
    let id = context.bucket_id()?;
    let names = Names::new(input.encoding_type.as_ref())?;
    let max_keys = page_size(input.max_keys, "max-keys")?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = non_empty(input.delimiter);
    check_order(&request.uri, delimiter.as_ref())?;
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) if !token.is_empty() => {
            let after = decode_token(token);
            Some(after.ok_or_else(|| invalid_argument("The continuation token provided is incorrect"))?)
        }
        (_, Some(name)) if !name.is_empty() => Some(After::name(&prefix, delimiter.as_deref(), name.clone())),
        _ => None,
    };
    let limit = usize::try_from(max_keys).unwrap_or_default();
    let query = ListQuery { prefix, delimiter, after, limit };
    let page = page(context, id, &query).await?;
    let owner = owner(context);
    let owner = input.fetch_owner.unwrap_or(false).then_some(&owner);
    Ok(S3Response::new(dto::ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(names.write(&query.prefix)),
        max_keys: Some(max_keys),
        key_count: i32::try_from(page.objects.len() + page.common_prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(encode_token),
        contents: Some(contents(&page.objects, names, owner)),
        common_prefixes: Some(names.prefixes(&page.common_prefixes)),
        delimiter: query.delimiter.as_deref().map(|delimiter| names.write(delimiter)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.map(|name| names.write(&name)),
        request_charged: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_at_most_1000_keys() {
        assert_eq!(page_size(None, "max-keys").unwrap(), 1000);
        assert_eq!(page_size(Some(0), "max-keys").unwrap(), 0);
        assert_eq!(page_size(Some(5000), "max-keys").unwrap(), 1000);
        assert!(page_size(Some(-1), "max-keys").is_err());
    }
}
