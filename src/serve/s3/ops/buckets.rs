//! Buckets: list, create, look at, delete.

use s3s::dto;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::auth::Action;
use crate::bucket::{After, Bucket, BucketError, BucketId, DeleteBucket, Visibility};

use super::acl;
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::encoding::{decode_token, encode_token};
use crate::serve::s3::errors::{invalid_argument, not_implemented};

/// Most buckets on a page. Source: S3 API reference, `ListBuckets`.
const BUCKETS_MAX: i32 = 10_000;

/// The region that AWS writes as an empty `LocationConstraint`.
const CLASSIC_REGION: &str = "us-east-1";

/// The owner of the bucket that a request is for, and of all that is in it. An account's name is its id.
pub(super) fn owner(context: &Context) -> dto::Owner {
    let name = context.namespace.as_str().to_owned();
    dto::Owner { display_name: Some(name.clone()), id: Some(name) }
}

/// The buckets of the caller's account that its key may read.
pub(super) async fn list(
    context: &Context,
    request: S3Request<dto::ListBucketsInput>,
) -> S3Result<S3Response<dto::ListBucketsOutput>> {
    let input = request.input;
    let limit = match input.max_buckets {
        None => BUCKETS_MAX,
        Some(asked) if (1..=BUCKETS_MAX).contains(&asked) => asked,
        Some(_) => {
            return Err(invalid_argument("Argument max-buckets must be an integer between 1 and 10000"));
        }
    };
    let after = match input.continuation_token.as_deref().map(decode_token) {
        None => None,
        Some(Some(After::Key(name))) => Some(name),
        Some(_) => return Err(invalid_argument("The continuation token provided is incorrect")),
    };
    let elsewhere = input.bucket_region.as_deref().is_some_and(|region| region != context.api.region);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let mut buckets = context.api.buckets.list_buckets(&context.namespace).await?;
    buckets.retain(|bucket| {
        let name = bucket.id.name.as_str();
        let asked = name.starts_with(prefix) && after.as_deref().is_none_or(|after| name > after);
        asked
            && !elsewhere
            && context.api.directory.may(&context.caller, Action::ReadBucket, &bucket.id, bucket.visibility)
    });
    let limit = usize::try_from(limit).unwrap_or_default();
    let more = buckets.len() > limit;
    buckets.truncate(limit);
    let last = buckets.last().filter(|_| more).map(|bucket| After::Key(bucket.id.name.as_str().to_owned()));
    Ok(S3Response::new(dto::ListBucketsOutput {
        buckets: Some(buckets.iter().map(|bucket| to_s3(bucket, &context.api.region)).collect()),
        continuation_token: last.as_ref().map(encode_token),
        owner: Some(owner(context)),
        prefix: input.prefix,
    }))
}

fn to_s3(bucket: &Bucket, region: &str) -> dto::Bucket {
    dto::Bucket {
        bucket_region: Some(region.to_owned()),
        creation_date: Some(whole_seconds(bucket.created_at)),
        name: Some(bucket.id.name.as_str().to_owned()),
    }
}

/// Creates a bucket, whose name must keep S3's rules.
pub(super) async fn create(
    context: &Context,
    request: S3Request<dto::CreateBucketInput>,
) -> S3Result<S3Response<dto::CreateBucketOutput>> {
    let input = request.input;
    if !is_s3_bucket_name(&input.bucket) {
        let message = "The specified bucket is not valid.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidBucketName, message));
    }
    if let Some(configuration) = input.create_bucket_configuration {
        check_configuration(&configuration, &context.api.region)?;
    }
    let id = context.bucket_id()?;
    let visibility = acl::of_new_bucket(input.acl.as_ref())?;
    let is_locked = input.object_lock_enabled_for_bucket.unwrap_or(false);
    let buckets = &context.api.buckets;
    let created = if is_locked {
        buckets.create_locked_bucket(id, visibility).await
    } else {
        buckets.create_bucket(id, visibility).await
    };
    match created {
        Err(BucketError::BucketExists(_)) if context.api.region == CLASSIC_REGION => {
            created_before(context, id, (visibility, is_locked)).await?;
        }
        created => drop(created?),
    }
    Ok(S3Response::new(dto::CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

/// In the classic region, and only there, creating a bucket again succeeds and leaves it as it is. Source: S3 API
/// reference, `CreateBucket`. One that would be another is refused: nobody's bucket becomes public by a mistake, and nobody
/// believes that versions are locked which are not.
async fn created_before(
    context: &Context,
    id: &BucketId,
    (visibility, is_locked): (Visibility, bool),
) -> S3Result<()> {
    let buckets = &context.api.buckets;
    if buckets.bucket(id).await?.visibility != visibility {
        return Err(s3_error!(
            BucketAlreadyExists,
            "The bucket exists already, with another access control list."
        ));
    }
    if is_locked && buckets.bucket_settings(id).await?.object_lock.is_none() {
        return Err(s3_error!(BucketAlreadyExists, "The bucket exists already, without Object Lock."));
    }
    Ok(())
}

fn check_configuration(configuration: &dto::CreateBucketConfiguration, region: &str) -> S3Result<()> {
    if configuration.location.is_some() || configuration.bucket.is_some() {
        return Err(not_implemented("A directory bucket (Location or Bucket in CreateBucketConfiguration)"));
    }
    match configuration.location_constraint.as_ref().map(dto::BucketLocationConstraint::as_str) {
        None | Some("") => Ok(()),
        Some(asked) if asked == region => Ok(()),
        Some(asked) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {asked} location constraint is incompatible for the region specific endpoint this request was \
             sent to; expecting {region}."
        )),
    }
}

/// Source: S3 user guide, "General purpose bucket naming rules".
fn is_s3_bucket_name(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    // Each is to be a label in a host name.
    let is_label = |label: &str| {
        let ends = label.bytes().next().zip(label.bytes().next_back());
        ends.is_some_and(|(first, last)| alphanumeric(first) && alphanumeric(last))
            && label.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
    };
    let reserved_start = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix));
    let reserved_end =
        ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix));
    (3..=63).contains(&name.len())
        && name.split('.').all(is_label)
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !reserved_start
        && !reserved_end
}

/// Whether a bucket is there, and where.
pub(super) fn head(
    context: &Context,
    _: S3Request<dto::HeadBucketInput>,
) -> S3Result<S3Response<dto::HeadBucketOutput>> {
    context.bucket()?;
    let bucket_region = Some(context.api.region.clone());
    Ok(S3Response::new(dto::HeadBucketOutput { bucket_region, ..dto::HeadBucketOutput::default() }))
}

/// A bucket's region.
pub(super) fn location(
    context: &Context,
    _: S3Request<dto::GetBucketLocationInput>,
) -> S3Result<S3Response<dto::GetBucketLocationOutput>> {
    context.bucket()?;
    let region =
        if context.api.region == CLASSIC_REGION { String::new() } else { context.api.region.clone() };
    let location_constraint = Some(dto::BucketLocationConstraint::from(region));
    Ok(S3Response::new(dto::GetBucketLocationOutput { location_constraint }))
}

/// Deletes an empty bucket.
pub(super) async fn delete(
    context: &Context,
    _: S3Request<dto::DeleteBucketInput>,
) -> S3Result<S3Response<dto::DeleteBucketOutput>> {
    let id = context.bucket_id()?;
    context.api.buckets.delete_bucket(id, DeleteBucket::IfEmpty).await?;
    Ok(S3Response::new(dto::DeleteBucketOutput {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_keep_s3s_rules() {
        for good in ["abc", "a.b-c1", "a--b", "1-2", &"x".repeat(63)] {
            assert!(is_s3_bucket_name(good), "{good:?}");
        }
        for bad in [
            "ab",
            "Abc",
            "a_bc",
            "-abc",
            "abc-",
            "abc.",
            "a..b",
            "a-.b",
            "a.-b",
            "192.168.5.4",
            "xn--abc",
            "abc-s3alias",
            "abc--ol-s3",
            "süß",
            &"x".repeat(64),
        ] {
            assert!(!is_s3_bucket_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_bucket_is_created_in_this_region_or_not_at_all() {
        let of = |region: &str| dto::CreateBucketConfiguration {
            location_constraint: Some(dto::BucketLocationConstraint::from(region.to_owned())),
            ..dto::CreateBucketConfiguration::default()
        };
        assert!(check_configuration(&of("eu-west-1"), "eu-west-1").is_ok());
        let error = check_configuration(&of("eu-west-1"), "us-east-1").unwrap_err();
        assert_eq!(error.code().as_str(), "IllegalLocationConstraintException");
    }
}
