//! Tags of objects and buckets: their rules, and the operations on them.
//!
//! Source of the rules: S3 user guide, "Object tagging" and "Using cost allocation S3 bucket tags".

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::bucket::{BucketChange, ObjectRef, Tags};

use crate::serve::s3::context::Context;
use crate::serve::s3::encoding::query_pairs;
use crate::serve::s3::errors::malformed_xml;
use crate::serve::s3::{object_key, versions};

/// Most tags of an object.
const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket.
const BUCKET_TAGS_MAX: usize = 50;
/// Longest key and value, in characters.
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// Takes tags that keep S3's rules.
fn checked(pairs: impl IntoIterator<Item = (String, String)>, max: usize) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        check("Key", &key, 1, KEY_CHARS_MAX)?;
        check("Value", &value, 0, VALUE_CHARS_MAX)?;
        if key.starts_with("aws:") {
            return Err(s3_error!(InvalidTag, "System tags cannot be added/updated by requester"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > max {
        return Err(s3_error!(InvalidTag, "There can be at most {max} tags"));
    }
    Ok(tags)
}

fn check(what: &str, text: &str, min: usize, max: usize) -> S3Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    if (min..=max).contains(&text.chars().count()) && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(s3_error!(InvalidTag, "The Tag{what} you have provided is invalid"))
    }
}

/// Reads `x-amz-tagging`, which is written like a query.
pub(in crate::serve::s3) fn of_header(tagging: Option<&str>) -> S3Result<Tags> {
    checked(query_pairs(tagging), OBJECT_TAGS_MAX)
}

/// Reads an object's tags in XML.
pub(in crate::serve::s3) fn of_object(tagging: dto::Tagging) -> S3Result<Tags> {
    checked(pairs(tagging)?, OBJECT_TAGS_MAX)
}

fn pairs(tagging: dto::Tagging) -> S3Result<Vec<(String, String)>> {
    let pair = |tag: dto::Tag| Ok((tag.key.ok_or_else(malformed_xml)?, tag.value.unwrap_or_default()));
    tagging.tag_set.into_iter().map(pair).collect()
}

fn tag_set(tags: Tags) -> dto::TagSet {
    tags.into_iter().map(|(key, value)| dto::Tag { key: Some(key), value: Some(value) }).collect()
}

/// An object's tags.
pub(super) async fn get(
    context: &Context,
    request: S3Request<dto::GetObjectTaggingInput>,
) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
    let version = versions::parse(request.input.version_id.as_deref())?;
    let (bucket, key) = (context.bucket()?, object_key(&request.input.key)?);
    let object = context.api.buckets.object(&bucket.id, ObjectRef { key: &key, version }).await?;
    let tag_set = tag_set(object.attributes.tags);
    let version_id = versions::shown(bucket, object.version);
    Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set, version_id }))
}

/// Gives an object other tags.
pub(super) async fn put(
    context: &Context,
    request: S3Request<dto::PutObjectTaggingInput>,
) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
    let dto::PutObjectTaggingInput { key, version_id, tagging, .. } = request.input;
    let version_id = change(context, &key, version_id.as_deref(), of_object(tagging)?).await?;
    Ok(S3Response::new(dto::PutObjectTaggingOutput { version_id }))
}

/// Takes all tags from an object.
pub(super) async fn delete(
    context: &Context,
    request: S3Request<dto::DeleteObjectTaggingInput>,
) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
    let dto::DeleteObjectTaggingInput { key, version_id, .. } = request.input;
    let version_id = change(context, &key, version_id.as_deref(), Tags::new()).await?;
    Ok(S3Response::new(dto::DeleteObjectTaggingOutput { version_id }))
}

/// Gives an object other tags; answers how the answer names its version.
async fn change(
    context: &Context,
    key: &str,
    version_id: Option<&str>,
    tags: Tags,
) -> S3Result<Option<String>> {
    let version = versions::parse(version_id)?;
    let (bucket, key) = (context.bucket()?, object_key(key)?);
    let changed = context.api.buckets.tag_object(&bucket.id, ObjectRef { key: &key, version }, tags).await?;
    Ok(versions::shown(bucket, changed.id()))
}

/// A bucket's tags.
pub(super) async fn get_bucket(
    context: &Context,
    _: S3Request<dto::GetBucketTaggingInput>,
) -> S3Result<S3Response<dto::GetBucketTaggingOutput>> {
    let id = context.bucket_id()?;
    let tags = context.api.buckets.bucket_settings(id).await?.tags;
    if tags.is_empty() {
        return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
    }
    Ok(S3Response::new(dto::GetBucketTaggingOutput { tag_set: tag_set(tags) }))
}

/// Gives a bucket other tags.
pub(super) async fn put_bucket(
    context: &Context,
    request: S3Request<dto::PutBucketTaggingInput>,
) -> S3Result<S3Response<dto::PutBucketTaggingOutput>> {
    let id = context.bucket_id()?;
    let tags = checked(pairs(request.input.tagging)?, BUCKET_TAGS_MAX)?;
    context.api.buckets.change_bucket(id, BucketChange::Tags(tags)).await?;
    Ok(S3Response::new(dto::PutBucketTaggingOutput::default()))
}

/// Takes all tags from a bucket.
pub(super) async fn delete_bucket(
    context: &Context,
    _: S3Request<dto::DeleteBucketTaggingInput>,
) -> S3Result<S3Response<dto::DeleteBucketTaggingOutput>> {
    let id = context.bucket_id()?;
    context.api.buckets.change_bucket(id, BucketChange::Tags(Tags::new())).await?;
    let mut response = S3Response::new(dto::DeleteBucketTaggingOutput::default());
    response.status = Some(axum::http::StatusCode::NO_CONTENT);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(tagging: &str) -> String {
        of_header(Some(tagging)).map_or_else(|error| error.code().as_str().to_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn a_header_of_tags_is_written_like_a_query() {
        let tags = of_header(Some("a=1&b%20c=x%2Fy&d")).unwrap();
        let expected = [("a", "1"), ("b c", "x/y"), ("d", "")];
        assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn tags_keep_s3s_limits() {
        let many = |count: usize| (0..count).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join("&");
        let pair = |key: usize, value: usize| format!("{}={}", "ä".repeat(key), "v".repeat(value));
        for good in [many(10), pair(128, 256)] {
            assert_eq!(code(&good), "ok", "{good}");
        }
        for bad in [many(11), pair(129, 1), pair(1, 257)] {
            assert_eq!(code(&bad), "InvalidTag", "{bad}");
        }
        for bad in ["=1", "a=1&a=2", "aws:x=1", "a=%26", "a=%00"] {
            assert_eq!(code(bad), "InvalidTag", "{bad}");
        }
    }
}
