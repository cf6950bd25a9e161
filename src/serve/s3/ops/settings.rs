//! A bucket's settings: CORS rules, public access block, ownership, and what is true of every bucket.

use axum::http::StatusCode;
use s3s::dto;
use s3s::{S3Request, S3Response, S3Result};

use crate::bucket::{BucketChange, CorsRule, PublicAccessBlock, Visibility};

use crate::serve::s3::context::Context;
use crate::serve::s3::cors::METHODS;
use crate::serve::s3::errors::{custom, invalid_request, malformed_xml, not_implemented};

/// Most CORS rules. Source: S3 API reference, `PutBucketCors`.
const CORS_RULES_MAX: usize = 100;

/// The answer to what takes away: no content.
fn taken_away<T>(output: T) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.status = Some(StatusCode::NO_CONTENT);
    response
}

/// A bucket's CORS rules.
pub(super) async fn get_cors(
    context: &Context,
    _: S3Request<dto::GetBucketCorsInput>,
) -> S3Result<S3Response<dto::GetBucketCorsOutput>> {
    let id = context.bucket_id()?;
    let rules = context.api.buckets.bucket_settings(id).await?.cors;
    if rules.is_empty() {
        let message = "The CORS configuration does not exist";
        return Err(custom("NoSuchCORSConfiguration", StatusCode::NOT_FOUND, message));
    }
    let cors_rules = Some(rules.into_iter().map(rule_to_s3).collect());
    Ok(S3Response::new(dto::GetBucketCorsOutput { cors_rules }))
}

fn rule_to_s3(rule: CorsRule) -> dto::CORSRule {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    dto::CORSRule {
        allowed_headers: some(rule.allowed_headers),
        allowed_methods: rule.allowed_methods,
        allowed_origins: rule.allowed_origins,
        expose_headers: some(rule.expose_headers),
        id: rule.id,
        max_age_seconds: rule.max_age_secs,
    }
}

/// Gives a bucket other CORS rules.
pub(super) async fn put_cors(
    context: &Context,
    request: S3Request<dto::PutBucketCorsInput>,
) -> S3Result<S3Response<dto::PutBucketCorsOutput>> {
    let id = context.bucket_id()?;
    let rules = request.input.cors_configuration.cors_rules;
    if rules.is_empty() || rules.len() > CORS_RULES_MAX {
        return Err(malformed_xml());
    }
    let rules = rules.into_iter().map(rule_of_s3).collect::<S3Result<_>>()?;
    context.api.buckets.change_bucket(id, BucketChange::Cors(rules)).await?;
    Ok(S3Response::new(dto::PutBucketCorsOutput::default()))
}

fn rule_of_s3(rule: dto::CORSRule) -> S3Result<CorsRule> {
    let dto::CORSRule { allowed_headers, allowed_methods, allowed_origins, expose_headers, id, .. } = rule;
    let (allowed_headers, expose_headers) =
        (allowed_headers.unwrap_or_default(), expose_headers.unwrap_or_default());
    if allowed_methods.is_empty() || allowed_origins.is_empty() {
        return Err(malformed_xml());
    }
    if let Some(method) = allowed_methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        let text = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
        return Err(invalid_request(text));
    }
    let lists = [("AllowedOrigin", &allowed_origins), ("AllowedHeader", &allowed_headers)];
    for (what, texts) in lists {
        if let Some(text) = texts.iter().find(|text| text.matches('*').count() > 1) {
            return Err(invalid_request(format!("{what} \"{text}\" can not have more than one wildcard.")));
        }
    }
    if let Some(text) = expose_headers.iter().find(|text| text.contains('*')) {
        let text = format!("ExposeHeader \"{text}\" contains wildcard, which is not supported.");
        return Err(invalid_request(text));
    }
    let max_age_secs = rule.max_age_seconds;
    Ok(CorsRule { id, allowed_origins, allowed_methods, allowed_headers, expose_headers, max_age_secs })
}

/// Takes all CORS rules from a bucket.
pub(super) async fn delete_cors(
    context: &Context,
    _: S3Request<dto::DeleteBucketCorsInput>,
) -> S3Result<S3Response<dto::DeleteBucketCorsOutput>> {
    let id = context.bucket_id()?;
    context.api.buckets.change_bucket(id, BucketChange::Cors(Vec::new())).await?;
    Ok(taken_away(dto::DeleteBucketCorsOutput::default()))
}

/// A bucket's public access block.
pub(super) async fn get_block(
    context: &Context,
    _: S3Request<dto::GetPublicAccessBlockInput>,
) -> S3Result<S3Response<dto::GetPublicAccessBlockOutput>> {
    let id = context.bucket_id()?;
    let block = context.api.buckets.bucket_settings(id).await?.public_access_block.ok_or_else(|| {
        let message = "The public access block configuration was not found";
        custom("NoSuchPublicAccessBlockConfiguration", StatusCode::NOT_FOUND, message)
    })?;
    let configuration = dto::PublicAccessBlockConfiguration {
        block_public_acls: Some(block.block_public_acls),
        block_public_policy: Some(block.block_public_policy),
        ignore_public_acls: Some(block.ignore_public_acls),
        restrict_public_buckets: Some(block.restrict_public_buckets),
    };
    let public_access_block_configuration = Some(configuration);
    Ok(S3Response::new(dto::GetPublicAccessBlockOutput { public_access_block_configuration }))
}

/// Gives a bucket a public access block.
pub(super) async fn put_block(
    context: &Context,
    request: S3Request<dto::PutPublicAccessBlockInput>,
) -> S3Result<S3Response<dto::PutPublicAccessBlockOutput>> {
    let id = context.bucket_id()?;
    let asked = request.input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: asked.block_public_acls.unwrap_or(false),
        ignore_public_acls: asked.ignore_public_acls.unwrap_or(false),
        block_public_policy: asked.block_public_policy.unwrap_or(false),
        restrict_public_buckets: asked.restrict_public_buckets.unwrap_or(false),
    };
    if block.ignore_public_acls && context.bucket()?.visibility == Visibility::Public {
        // A bucket is public for every API or for none: it cannot stay public and be private for S3 alone.
        return Err(not_implemented(
            "IgnorePublicAcls for a bucket that is public (make it private instead)",
        ));
    }
    context.api.buckets.change_bucket(id, BucketChange::PublicAccessBlock(Some(block))).await?;
    Ok(S3Response::new(dto::PutPublicAccessBlockOutput::default()))
}

/// Takes the public access block from a bucket.
pub(super) async fn delete_block(
    context: &Context,
    _: S3Request<dto::DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<dto::DeletePublicAccessBlockOutput>> {
    let id = context.bucket_id()?;
    context.api.buckets.change_bucket(id, BucketChange::PublicAccessBlock(None)).await?;
    Ok(taken_away(dto::DeletePublicAccessBlockOutput::default()))
}

/// The owner of a bucket owns all objects in it.
pub(super) fn get_ownership(
    context: &Context,
    _: S3Request<dto::GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<dto::GetBucketOwnershipControlsOutput>> {
    context.bucket()?;
    let enforced = dto::ObjectOwnership::from_static(dto::ObjectOwnership::BUCKET_OWNER_ENFORCED);
    let rules = vec![dto::OwnershipControlsRule { object_ownership: enforced }];
    let ownership_controls = Some(dto::OwnershipControls { rules });
    Ok(S3Response::new(dto::GetBucketOwnershipControlsOutput { ownership_controls }))
}

/// Accepts the one ownership that there is.
pub(super) fn put_ownership(
    context: &Context,
    request: S3Request<dto::PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<dto::PutBucketOwnershipControlsOutput>> {
    context.bucket()?;
    let rules = request.input.ownership_controls.rules;
    let [rule] = rules.as_slice() else {
        return Err(malformed_xml());
    };
    match rule.object_ownership.as_str() {
        dto::ObjectOwnership::BUCKET_OWNER_ENFORCED => {
            Ok(S3Response::new(dto::PutBucketOwnershipControlsOutput::default()))
        }
        dto::ObjectOwnership::BUCKET_OWNER_PREFERRED | dto::ObjectOwnership::OBJECT_WRITER => {
            Err(not_implemented(&format!("The object ownership {}", rule.object_ownership.as_str())))
        }
        _ => Err(malformed_xml()),
    }
}

/// There are no policies, so a bucket is public if its ACL says so.
pub(super) fn policy_status(
    context: &Context,
    _: S3Request<dto::GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<dto::GetBucketPolicyStatusOutput>> {
    let is_public = Some(context.bucket()?.visibility == Visibility::Public);
    let policy_status = Some(dto::PolicyStatus { is_public });
    Ok(S3Response::new(dto::GetBucketPolicyStatusOutput { policy_status }))
}

/// Nobody is charged here.
pub(super) fn get_payer(
    context: &Context,
    _: S3Request<dto::GetBucketRequestPaymentInput>,
) -> S3Result<S3Response<dto::GetBucketRequestPaymentOutput>> {
    context.bucket()?;
    let payer = Some(dto::Payer::from_static(dto::Payer::BUCKET_OWNER));
    Ok(S3Response::new(dto::GetBucketRequestPaymentOutput { payer }))
}

/// Accepts that the bucket's owner pays, which is always so.
pub(super) fn put_payer(
    context: &Context,
    request: S3Request<dto::PutBucketRequestPaymentInput>,
) -> S3Result<S3Response<dto::PutBucketRequestPaymentOutput>> {
    context.bucket()?;
    let payer = request.input.request_payment_configuration.payer;
    match payer.as_str() {
        dto::Payer::BUCKET_OWNER => Ok(S3Response::new(dto::PutBucketRequestPaymentOutput::default())),
        dto::Payer::REQUESTER => Err(not_implemented("The payer Requester")),
        _ => Err(malformed_xml()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origin: &str, method: &str, header: &str, exposed: &str) -> S3Result<CorsRule> {
        rule_of_s3(dto::CORSRule {
            allowed_origins: vec![origin.to_owned()],
            allowed_methods: vec![method.to_owned()],
            allowed_headers: Some(vec![header.to_owned()]),
            expose_headers: Some(vec![exposed.to_owned()]),
            id: None,
            max_age_seconds: Some(60),
        })
    }

    #[test]
    fn a_rule_comes_back_as_it_was_given() {
        let given = rule("https://*.example", "GET", "x-*", "etag").unwrap();
        assert_eq!(rule_of_s3(rule_to_s3(given.clone())).unwrap(), given);
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused() {
        for (origin, method, header, exposed) in [
            ("*.*", "GET", "x", "x"),
            ("*", "get", "x", "x"),
            ("*", "GET", "*-*", "x"),
            ("*", "GET", "x", "*"),
        ] {
            let error = rule(origin, method, header, exposed).unwrap_err();
            assert_eq!(error.code().as_str(), "InvalidRequest", "{origin} {method} {header} {exposed}");
        }
    }
}
