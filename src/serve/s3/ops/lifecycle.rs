//! A bucket's lifecycle rules, as S3 writes them.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};
use time::OffsetDateTime;

use crate::bucket::{BucketChange, Tags, Timestamp};
use crate::model::lifecycle::{
    Expiration, Filter, FilterForm, Lifecycle, LifecycleRefused, NoncurrentExpiration, Rule,
    TransitionMinimum,
};

use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{custom, invalid_argument, invalid_request, malformed_xml, not_implemented};

const TRANSITION_MINIMUM: HeaderName =
    HeaderName::from_static("x-amz-transition-default-minimum-object-size");
const ALL_STORAGE_CLASSES: &str = "all_storage_classes_128K";
const VARIES_BY_STORAGE_CLASS: &str = "varies_by_storage_class";

const ENABLED: &str = "Enabled";
const DISABLED: &str = "Disabled";

/// A bucket's rules.
pub(super) fn get(
    context: &Context,
    _: S3Request<dto::GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<dto::GetBucketLifecycleConfigurationOutput>> {
    let rules = context.bucket()?.lifecycle.as_ref().ok_or_else(|| {
        let message = "The lifecycle configuration does not exist";
        custom("NoSuchLifecycleConfiguration", StatusCode::NOT_FOUND, message)
    })?;
    let Lifecycle { rules, transition_minimum } = &*rules.lifecycle;
    let rules = Some(rules.iter().map(rule_to_s3).collect());
    let output = dto::GetBucketLifecycleConfigurationOutput { rules, ..Default::default() };
    let mut response = S3Response::new(output);
    let minimum = match transition_minimum {
        TransitionMinimum::AllStorageClasses => ALL_STORAGE_CLASSES,
        TransitionMinimum::VariesByStorageClass => VARIES_BY_STORAGE_CLASS,
    };
    response.headers.insert(TRANSITION_MINIMUM, HeaderValue::from_static(minimum));
    Ok(response)
}

/// Gives a bucket other rules.
pub(super) async fn put(
    context: &Context,
    request: S3Request<dto::PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<dto::PutBucketLifecycleConfigurationOutput>> {
    let transition_minimum = match request.headers.get(TRANSITION_MINIMUM).map(HeaderValue::as_bytes) {
        None => TransitionMinimum::default(),
        Some(value) if value == ALL_STORAGE_CLASSES.as_bytes() => TransitionMinimum::AllStorageClasses,
        Some(value) if value == VARIES_BY_STORAGE_CLASS.as_bytes() => TransitionMinimum::VariesByStorageClass,
        Some(_) => return Err(invalid_argument(format!("The value of {TRANSITION_MINIMUM} is not valid"))),
    };
    let given = request.input.lifecycle_configuration.ok_or_else(malformed_xml)?;
    let rule = |rule| rule_of_s3(rule, || hex::encode(context.api.clock.random::<16>()));
    let rules = given.rules.into_iter().map(rule).collect::<S3Result<_>>()?;
    let lifecycle = Lifecycle { rules, transition_minimum };
    lifecycle.check().map_err(refused)?;
    let change = BucketChange::Lifecycle(Some(lifecycle));
    context.api.buckets.change_bucket(context.bucket_id()?, change).await?;
    Ok(S3Response::new(dto::PutBucketLifecycleConfigurationOutput::default()))
}

/// Takes all rules from a bucket.
pub(super) async fn delete(
    context: &Context,
    _: S3Request<dto::DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<dto::DeleteBucketLifecycleOutput>> {
    // One that has none, on a Hub say, has none afterwards.
    if context.bucket()?.lifecycle.is_some() {
        context.api.buckets.change_bucket(context.bucket_id()?, BucketChange::Lifecycle(None)).await?;
    }
    let mut response = S3Response::new(dto::DeleteBucketLifecycleOutput::default());
    response.status = Some(StatusCode::NO_CONTENT);
    Ok(response)
}

fn refused(refused: LifecycleRefused) -> S3Error {
    match refused {
        LifecycleRefused::Malformed => malformed_xml(),
        LifecycleRefused::Argument(message) => invalid_argument(message),
        LifecycleRefused::Request(message) => invalid_request(message),
    }
}

fn rule_of_s3(rule: dto::LifecycleRule, new_id: impl Fn() -> String) -> S3Result<Rule> {
    for transition in rule.transitions.iter().flatten() {
        transition.date.clone().map_or(Ok(()), |at| midnight(at).map(drop))?;
    }
    if rule.transitions.is_some_and(|all| !all.is_empty()) {
        return Err(not_implemented("The lifecycle action Transition"));
    }
    if rule.noncurrent_version_transitions.is_some_and(|all| !all.is_empty()) {
        return Err(not_implemented("The lifecycle action NoncurrentVersionTransition"));
    }
    let is_enabled = match rule.status.as_str() {
        ENABLED => true,
        DISABLED => false,
        _ => return Err(malformed_xml()),
    };
    let noncurrent = rule.noncurrent_version_expiration.as_ref().map(noncurrent_of_s3).transpose()?;
    let abort = rule.abort_incomplete_multipart_upload;
    let abort = abort.map(|abort| abort.days_after_initiation.ok_or_else(malformed_xml)).transpose()?;
    Ok(Rule {
        id: rule.id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
        is_enabled,
        filter: filter_of_s3(rule.prefix, rule.filter)?,
        expiration: rule.expiration.map(expiration_of_s3).transpose()?.flatten(),
        noncurrent,
        abort_after_days: abort.map(|days| number(days, "DaysAfterInitiation")).transpose()?,
    })
}

/// Takes a number that must not be negative.
fn number(given: i32, what: &str) -> S3Result<u32> {
    u32::try_from(given).map_err(|_| invalid_argument(format!("'{what}' must be a positive integer")))
}

fn bytes(given: i64, what: &str) -> S3Result<u64> {
    u64::try_from(given).map_err(|_| invalid_argument(format!("'{what}' must not be negative")))
}

fn midnight(at: dto::Timestamp) -> S3Result<Timestamp> {
    let millis = OffsetDateTime::from(at).unix_timestamp_nanos().div_euclid(1_000_000);
    let at = u64::try_from(millis).map_err(|_| invalid_argument("'Date' must not be before 1970"))?;
    let at = Timestamp(at);
    if at.is_midnight() { Ok(at) } else { Err(invalid_argument("'Date' must be at midnight GMT")) }
}

/// `None` if it asks for nothing: `ExpiredObjectDeleteMarker` may be false beside days or a date.
fn expiration_of_s3(given: dto::LifecycleExpiration) -> S3Result<Option<Expiration>> {
    let dto::LifecycleExpiration { date, days, expired_object_delete_marker: markers } = given;
    match (days, date, markers) {
        (Some(days), None, None | Some(false)) => Ok(Some(Expiration::Days(number(days, "Days")?))),
        (None, Some(date), None | Some(false)) => Ok(Some(Expiration::Date(midnight(date)?))),
        (None, None, Some(go)) => Ok(Some(Expiration::LoneMarkers(go))),
        _ => Err(malformed_xml()),
    }
}

fn noncurrent_of_s3(given: &dto::NoncurrentVersionExpiration) -> S3Result<NoncurrentExpiration> {
    let days = given.noncurrent_days.ok_or_else(malformed_xml)?;
    let newer_kept = match given.newer_noncurrent_versions {
        Some(newer) if newer < 1 => {
            return Err(invalid_argument("'NewerNoncurrentVersions' must be a positive integer"));
        }
        newer => number(newer.unwrap_or(0), "NewerNoncurrentVersions")?,
    };
    Ok(NoncurrentExpiration { days: number(days, "NoncurrentDays")?, newer_kept })
}

/// A filter whose conditions all must hold. AWS wants one condition, or all in `And`; several beside each other are taken as
/// if they were in it, as other stores do.
fn filter_of_s3(prefix: Option<String>, filter: Option<dto::LifecycleRuleFilter>) -> S3Result<Filter> {
    let (form, filter) = match (prefix, filter) {
        (Some(_), Some(_)) => {
            return Err(invalid_request(
                "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
            ));
        }
        (None, None) => return Err(malformed_xml()),
        (prefix @ Some(_), None) => {
            (FilterForm::Legacy, dto::LifecycleRuleFilter { prefix, ..Default::default() })
        }
        (None, Some(filter)) => {
            let form = if filter.and.is_some() { FilterForm::And } else { FilterForm::Plain };
            (form, filter)
        }
    };
    let beside = dto::LifecycleRuleAndOperator {
        object_size_greater_than: filter.object_size_greater_than,
        object_size_less_than: filter.object_size_less_than,
        prefix: filter.prefix,
        tags: filter.tag.map(|tag| vec![tag]),
    };
    let mut all = Filter { form, prefix: None, tags: Tags::new(), larger_than: None, smaller_than: None };
    for given in [beside].into_iter().chain(filter.and) {
        add_conditions(&mut all, given)?;
    }
    let count = usize::from(all.prefix.is_some())
        + all.tags.len()
        + usize::from(all.larger_than.is_some())
        + usize::from(all.smaller_than.is_some());
    if count > 1 && form == FilterForm::Plain {
        all.form = FilterForm::And;
    }
    Ok(all)
}

fn add_conditions(all: &mut Filter, given: dto::LifecycleRuleAndOperator) -> S3Result<()> {
    if let Some(prefix) = given.prefix {
        // Of two, one must begin with the other: nothing else could begin with both.
        all.prefix = Some(match all.prefix.take() {
            Some(other) if other.starts_with(&prefix) => other,
            Some(other) if !prefix.starts_with(&other) => return Err(malformed_xml()),
            _ => prefix,
        });
    }
    for tag in given.tags.into_iter().flatten() {
        let (Some(key), Some(value)) = (tag.key, tag.value) else { return Err(malformed_xml()) };
        if all.tags.insert(key, value).is_some() {
            return Err(invalid_request("Duplicate Tag Keys are not allowed."));
        }
    }
    if let Some(given) = given.object_size_greater_than {
        all.larger_than = Some(bytes(given, "ObjectSizeGreaterThan")?);
    }
    if let Some(given) = given.object_size_less_than {
        all.smaller_than = Some(bytes(given, "ObjectSizeLessThan")?);
    }
    Ok(())
}

fn rule_to_s3(rule: &Rule) -> dto::LifecycleRule {
    let Rule { id, is_enabled, filter, expiration, noncurrent, abort_after_days } = rule;
    let is_legacy = filter.form == FilterForm::Legacy;
    dto::LifecycleRule {
        id: Some(id.clone()),
        status: dto::ExpirationStatus::from_static(if *is_enabled { ENABLED } else { DISABLED }),
        prefix: filter.prefix.clone().filter(|_| is_legacy),
        filter: (!is_legacy).then(|| filter_to_s3(filter)),
        expiration: expiration.map(expiration_to_s3),
        noncurrent_version_expiration: noncurrent.map(|noncurrent| dto::NoncurrentVersionExpiration {
            noncurrent_days: Some(noncurrent.days.cast_signed()),
            newer_noncurrent_versions: (noncurrent.newer_kept > 0)
                .then(|| noncurrent.newer_kept.cast_signed()),
        }),
        abort_incomplete_multipart_upload: abort_after_days.map(|days| dto::AbortIncompleteMultipartUpload {
            days_after_initiation: Some(days.cast_signed()),
        }),
        noncurrent_version_transitions: None,
        transitions: None,
    }
}

fn filter_to_s3(filter: &Filter) -> dto::LifecycleRuleFilter {
    let Filter { form, prefix, tags, larger_than, smaller_than } = filter;
    let tag =
        |(key, value): (&String, &String)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) };
    let size = |bytes: &u64| i64::try_from(*bytes).unwrap_or(i64::MAX);
    if *form == FilterForm::And {
        let and = dto::LifecycleRuleAndOperator {
            object_size_greater_than: larger_than.as_ref().map(size),
            object_size_less_than: smaller_than.as_ref().map(size),
            prefix: prefix.clone(),
            tags: (!tags.is_empty()).then(|| tags.iter().map(tag).collect()),
        };
        return dto::LifecycleRuleFilter { and: Some(and), ..Default::default() };
    }
    dto::LifecycleRuleFilter {
        and: None,
        object_size_greater_than: larger_than.as_ref().map(size),
        object_size_less_than: smaller_than.as_ref().map(size),
        prefix: prefix.clone(),
        tag: tags.iter().next().map(tag),
    }
}

fn expiration_to_s3(expiration: Expiration) -> dto::LifecycleExpiration {
    let mut given = dto::LifecycleExpiration::default();
    match expiration {
        Expiration::Days(days) => given.days = Some(days.cast_signed()),
        Expiration::Date(at) => given.date = Some(whole_seconds(at)),
        Expiration::LoneMarkers(go) => given.expired_object_delete_marker = Some(go),
    }
    given
}
