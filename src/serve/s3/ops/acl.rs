//! ACLs: who may do what beside the owner. There are two, `private` and `public-read`, both of buckets, and they are the
//! bucket's visibility: a public bucket can be listed and read by everyone, through this API and the others.
//!
//! An object has the ACL that follows from its bucket. What asks for more is refused by name, never half granted.

use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::bucket::{Bucket, Namespace, ObjectRef, Visibility};
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{access_denied, invalid_argument, malformed_xml, not_implemented};
use crate::serve::s3::{S3Api, object_key, versions};

use super::buckets;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// What a canned ACL of a bucket means. Source: S3 user guide, "Canned ACL".
fn canned(acl: &str) -> S3Result<Visibility> {
    match acl {
        "" | "private" => Ok(Visibility::Private),
        "public-read" => Ok(Visibility::Public),
        "public-read-write" | "authenticated-read" | "aws-exec-read" | "log-delivery-write" => {
            Err(not_implemented(&format!("The ACL {acl} of a bucket")))
        }
        _ => Err(unknown(acl)),
    }
}

fn unknown(acl: &str) -> S3Error {
    invalid_argument(format!("There is no canned ACL {acl:?}"))
}

/// Whether a canned ACL lets others than the owner in.
fn is_public(acl: &str) -> bool {
    matches!(acl, "public-read" | "public-read-write" | "authenticated-read")
}

/// The visibility that a new bucket's ACL asks for.
pub(super) fn of_new_bucket(acl: Option<&dto::BucketCannedACL>) -> S3Result<Visibility> {
    canned(acl.map_or("", dto::BucketCannedACL::as_str))
}

/// Refuses an ACL that comes with an object, if the object will not have it. `private` is what an object has that comes
/// without one, also where a setting of the bucket makes all of it public, as a bucket's policy does on AWS. Decision
/// 0077.
pub(in crate::serve::s3) async fn check_of_write(api: &S3Api, bucket: &Bucket, acl: &str) -> S3Result<()> {
    if acl == "private" { Ok(()) } else { check_of_object(api, bucket, acl).await }
}

/// Refuses an ACL of an object that the object does not have already.
pub(in crate::serve::s3) async fn check_of_object(api: &S3Api, bucket: &Bucket, acl: &str) -> S3Result<()> {
    if is_public(acl) {
        must_not_block(api, bucket).await?;
    }
    match (acl, bucket.visibility) {
        // A bucket's owner owns what is in it.
        ("" | "bucket-owner-full-control" | "bucket-owner-read", _)
        | ("private", Visibility::Private)
        | ("public-read", Visibility::Public) => Ok(()),
        ("private", Visibility::Public) => {
            Err(not_implemented("The ACL private of an object in a public bucket"))
        }
        ("public-read" | "public-read-write" | "authenticated-read" | "aws-exec-read", _) => {
            Err(not_implemented(&format!("The ACL {acl} of an object")))
        }
        _ => Err(unknown(acl)),
    }
}

/// Refuses to make public what the bucket's public access block keeps from being so.
async fn must_not_block(api: &S3Api, bucket: &Bucket) -> S3Result<()> {
    let block = api.buckets.bucket_settings(&bucket.id).await?.public_access_block.unwrap_or_default();
    if block.block_public_acls {
        return Err(access_denied());
    }
    if block.ignore_public_acls {
        return Err(not_implemented("A public ACL that IgnorePublicAcls leaves without effect"));
    }
    Ok(())
}

fn grantee(type_: &'static str) -> dto::Grantee {
    let type_ = dto::Type::from_static(type_);
    dto::Grantee { display_name: None, email_address: None, id: None, type_, uri: None }
}

fn grant(grantee: dto::Grantee, permission: &'static str) -> dto::Grant {
    dto::Grant { grantee: Some(grantee), permission: Some(dto::Permission::from_static(permission)) }
}

/// The grants that are true of a bucket and of all that is in it.
fn grants(owner: &dto::Owner, visibility: Visibility) -> dto::Grants {
    let dto::Owner { display_name, id } = owner.clone();
    let user = dto::Grantee { display_name, id, ..grantee(dto::Type::CANONICAL_USER) };
    let mut grants = vec![grant(user, dto::Permission::FULL_CONTROL)];
    if visibility == Visibility::Public {
        let everyone = dto::Grantee { uri: Some(ALL_USERS.to_owned()), ..grantee(dto::Type::GROUP) };
        grants.push(grant(everyone, dto::Permission::READ));
    }
    grants
}

/// A bucket's ACL.
pub(super) fn get_bucket(
    context: &Context,
    _: S3Request<dto::GetBucketAclInput>,
) -> S3Result<S3Response<dto::GetBucketAclOutput>> {
    let owner = buckets::owner(context);
    let grants = Some(grants(&owner, context.bucket()?.visibility));
    Ok(S3Response::new(dto::GetBucketAclOutput { grants, owner: Some(owner) }))
}

/// An object's ACL.
pub(super) async fn get_object(
    context: &Context,
    request: S3Request<dto::GetObjectAclInput>,
) -> S3Result<S3Response<dto::GetObjectAclOutput>> {
    let version = versions::parse(request.input.version_id.as_deref())?;
    let bucket = context.bucket()?;
    let key = object_key(&request.input.key)?;
    context.api.buckets.object(&bucket.id, ObjectRef { key: &key, version }).await?;
    let owner = buckets::owner(context);
    let grants = Some(grants(&owner, bucket.visibility));
    Ok(S3Response::new(dto::GetObjectAclOutput { grants, owner: Some(owner), request_charged: None }))
}

/// Makes a bucket private or public.
pub(super) async fn put_bucket(
    context: &Context,
    request: S3Request<dto::PutBucketAclInput>,
) -> S3Result<S3Response<dto::PutBucketAclOutput>> {
    let input = request.input;
    let bucket = context.bucket()?;
    let acl = input.acl.as_ref().map(dto::BucketCannedACL::as_str);
    if acl.is_some_and(is_public) {
        must_not_block(&context.api, bucket).await?;
    }
    let visibility = requested(context, acl, input.access_control_policy)?;
    if visibility == Visibility::Public {
        must_not_block(&context.api, bucket).await?;
    }
    context.api.buckets.set_visibility(&bucket.id, visibility).await?;
    Ok(S3Response::new(dto::PutBucketAclOutput::default()))
}

/// Accepts an ACL of an object that it has already.
pub(super) async fn put_object(
    context: &Context,
    request: S3Request<dto::PutObjectAclInput>,
) -> S3Result<S3Response<dto::PutObjectAclOutput>> {
    let input = request.input;
    let version = versions::parse(input.version_id.as_deref())?;
    let bucket = context.bucket()?;
    let key = object_key(&input.key)?;
    context.api.buckets.object(&bucket.id, ObjectRef { key: &key, version }).await?;
    // A canned ACL comes in a header, which was looked at before.
    if input.acl.is_none() || input.access_control_policy.is_some() {
        let visibility = requested(context, None, input.access_control_policy)?;
        if visibility != bucket.visibility {
            return Err(not_implemented("An ACL of an object that differs from its bucket's"));
        }
    }
    Ok(S3Response::new(dto::PutObjectAclOutput::default()))
}

/// The visibility that a request asks for, by a canned ACL or by grants.
fn requested(
    context: &Context,
    acl: Option<&str>,
    policy: Option<dto::AccessControlPolicy>,
) -> S3Result<Visibility> {
    match (acl, policy) {
        (Some(acl), None) => canned(acl),
        (None, Some(policy)) => granted(context, policy),
        (Some(_), Some(_)) => {
            Err(s3_error!(UnexpectedContent, "An ACL is given by a header or by a body, not by both."))
        }
        (None, None) => Err(malformed_xml()),
    }
}

/// The visibility that a list of grants amounts to.
fn granted(context: &Context, policy: dto::AccessControlPolicy) -> S3Result<Visibility> {
    let owner = &context.namespace;
    let named = policy.owner.and_then(|named| named.id);
    if named.is_some_and(|named| named != owner.as_str()) {
        return Err(not_implemented("An owner other than the bucket's account"));
    }
    let mut owner_has_all = false;
    let mut visibility = Visibility::Private;
    for grant in policy.grants.unwrap_or_default() {
        let (Some(grantee), Some(permission)) = (grant.grantee, grant.permission) else {
            return Err(malformed_xml());
        };
        match (grantee.id.as_deref(), grantee.uri.as_deref(), permission.as_str()) {
            (Some(id), None, dto::Permission::FULL_CONTROL) if id == owner.as_str() => owner_has_all = true,
            (None, Some(ALL_USERS), dto::Permission::READ) => visibility = Visibility::Public,
            _ => return Err(refused(context, &grantee, permission.as_str())),
        }
    }
    if owner_has_all {
        Ok(visibility)
    } else {
        Err(not_implemented("An ACL without FULL_CONTROL for the owner"))
    }
}

/// Why a grant cannot be given.
fn refused(context: &Context, grantee: &dto::Grantee, permission: &str) -> S3Error {
    if grantee.email_address.is_some() {
        let message = "The e-mail address you provided does not match any account on record.";
        return s3_error!(UnresolvableGrantByEmailAddress, "{message}");
    }
    let known =
        |id: &str| Namespace::new(id).ok().is_some_and(|name| context.api.directory.account(&name).is_some());
    match (grantee.id.as_deref(), grantee.uri.as_deref()) {
        (Some(id), _) if !known(id) => invalid_argument("Invalid id"),
        (_, Some(uri)) if ![ALL_USERS, AUTHENTICATED_USERS].contains(&uri) => {
            invalid_argument("Invalid group uri")
        }
        (who, group) => {
            let whom = who.or(group).unwrap_or("nobody");
            not_implemented(&format!("A grant of {permission} to {whom}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: S3Result<Visibility>) -> String {
        result.map_or_else(|error| error.code().as_str().to_owned(), |visibility| format!("{visibility:?}"))
    }

    #[test]
    fn two_canned_acls_are_a_buckets_visibility_and_others_are_refused_by_name() {
        assert_eq!(code(canned("private")), "Private");
        assert_eq!(code(canned("public-read")), "Public");
        assert_eq!(code(canned("public-read-write")), "NotImplemented");
        assert_eq!(code(canned("authenticated-read")), "NotImplemented");
        assert_eq!(code(canned("public-readish")), "InvalidArgument");
    }

    #[test]
    fn a_public_bucket_grants_reading_to_everyone() {
        let owner = dto::Owner { display_name: Some("ada".to_owned()), id: Some("ada".to_owned()) };
        assert_eq!(grants(&owner, Visibility::Private).len(), 1);
        let public = grants(&owner, Visibility::Public);
        let everyone = public[1].grantee.as_ref().unwrap();
        assert_eq!(everyone.uri.as_deref(), Some(ALL_USERS));
        assert_eq!(public[1].permission.as_ref().unwrap().as_str(), "READ");
    }
}
