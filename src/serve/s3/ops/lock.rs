//! Object lock: of buckets, and the retention and the legal hold of versions.

use axum::http::StatusCode;
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result};

use crate::bucket::{
    BucketChange, BucketLock, DefaultRetention, LockChange, Object, ObjectRef, Retention, RetentionPeriod,
    Timestamp,
};

use crate::serve::s3::context::Context;
use crate::serve::s3::errors::{custom, malformed_xml, no_object_lock};
use crate::serve::s3::object_lock::{bypasses_governance, date, mode_name, parse_mode, retention};
use crate::serve::s3::{object_key, versions};

/// Longest default retention, in days and in years. Source: Amazon S3 User Guide, "Retention periods".
const DAYS_MAX: i32 = 36_500;
const YEARS_MAX: i32 = 100;

/// A bucket's object lock.
pub(super) async fn get_bucket(
    context: &Context,
    _: S3Request<dto::GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<dto::GetObjectLockConfigurationOutput>> {
    let lock = context.api.buckets.bucket_settings(context.bucket_id()?).await?.object_lock;
    let lock = lock.ok_or_else(|| {
        let message = "Object Lock configuration does not exist for this bucket";
        custom("ObjectLockConfigurationNotFoundError", StatusCode::NOT_FOUND, message)
    })?;
    let object_lock_configuration = Some(dto::ObjectLockConfiguration {
        object_lock_enabled: Some(dto::ObjectLockEnabled::from_static(dto::ObjectLockEnabled::ENABLED)),
        rule: lock.default_retention.map(rule_to_s3),
    });
    Ok(S3Response::new(dto::GetObjectLockConfigurationOutput { object_lock_configuration }))
}

fn rule_to_s3(default: DefaultRetention) -> dto::ObjectLockRule {
    let (days, years) = match default.period {
        RetentionPeriod::Days(days) => (i32::try_from(days).ok(), None),
        RetentionPeriod::Years(years) => (None, i32::try_from(years).ok()),
    };
    let mode = Some(dto::ObjectLockRetentionMode::from_static(mode_name(default.mode)));
    dto::ObjectLockRule { default_retention: Some(dto::DefaultRetention { days, mode, years }) }
}

/// Gives a bucket an object lock, or its lock another default.
pub(super) async fn put_bucket(
    context: &Context,
    request: S3Request<dto::PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<dto::PutObjectLockConfigurationOutput>> {
    let asked = request.input.object_lock_configuration.ok_or_else(malformed_xml)?;
    let enabled = asked.object_lock_enabled.as_ref().map(dto::ObjectLockEnabled::as_str);
    if enabled != Some(dto::ObjectLockEnabled::ENABLED) {
        return Err(malformed_xml());
    }
    let rule = asked.rule.map(|rule| rule.default_retention.ok_or_else(malformed_xml)).transpose()?;
    let lock = BucketLock { default_retention: rule.as_ref().map(default_of_s3).transpose()? };
    context.api.buckets.change_bucket(context.bucket_id()?, BucketChange::ObjectLock(lock)).await?;
    Ok(S3Response::new(dto::PutObjectLockConfigurationOutput::default()))
}

fn default_of_s3(asked: &dto::DefaultRetention) -> S3Result<DefaultRetention> {
    let mode = asked.mode.as_ref().and_then(|mode| parse_mode(mode.as_str())).ok_or_else(malformed_xml)?;
    let period = |count: i32, max: i32| match u32::try_from(count) {
        Ok(count @ 1..) if count <= max.unsigned_abs() => Ok(count),
        Ok(1..) => Err(invalid_period("Default retention period too large")),
        _ => Err(invalid_period("Default retention period must be a positive integer value")),
    };
    let period = match (asked.days, asked.years) {
        (Some(days), None) => RetentionPeriod::Days(period(days, DAYS_MAX)?),
        (None, Some(years)) => RetentionPeriod::Years(period(years, YEARS_MAX)?),
        _ => return Err(malformed_xml()),
    };
    Ok(DefaultRetention { mode, period })
}

fn invalid_period(message: &'static str) -> S3Error {
    custom("InvalidRetentionPeriod", StatusCode::BAD_REQUEST, message)
}

/// The object of a request about its lock, in a bucket that has object lock.
async fn object(context: &Context, key: &str, version_id: Option<&str>) -> S3Result<Object> {
    let (id, version) = (context.bucket_id()?, versions::parse(version_id)?);
    if context.api.buckets.bucket_settings(id).await?.object_lock.is_none() {
        return Err(no_object_lock());
    }
    let key = object_key(key)?;
    Ok(context.api.buckets.object(id, ObjectRef { key: &key, version }).await?)
}

/// How long a version is retained.
pub(super) async fn get_retention(
    context: &Context,
    request: S3Request<dto::GetObjectRetentionInput>,
) -> S3Result<S3Response<dto::GetObjectRetentionOutput>> {
    let object = object(context, &request.input.key, request.input.version_id.as_deref()).await?;
    let Retention { mode, until } = object.lock.retention.ok_or_else(|| {
        let message = "The specified object does not have a ObjectLock configuration";
        custom("NoSuchObjectLockConfiguration", StatusCode::NOT_FOUND, message)
    })?;
    let retention = Some(dto::ObjectLockRetention {
        mode: Some(dto::ObjectLockRetentionMode::from_static(mode_name(mode))),
        retain_until_date: Some(date(until).into()),
    });
    Ok(S3Response::new(dto::GetObjectRetentionOutput { retention }))
}

/// Retains a version for another time; an empty retention is none.
pub(super) async fn put_retention(
    context: &Context,
    request: S3Request<dto::PutObjectRetentionInput>,
) -> S3Result<S3Response<dto::PutObjectRetentionOutput>> {
    let bypasses_governance = bypasses_governance(context, &request.headers)?;
    let dto::PutObjectRetentionInput { key, version_id, retention: asked, .. } = request.input;
    let asked = asked.ok_or_else(malformed_xml)?;
    let retention = retention_of_s3(asked, context.api.clock.clock.now())?;
    let change = LockChange::Retention { retention, bypasses_governance };
    change_lock(context, &key, version_id.as_deref(), change).await?;
    Ok(S3Response::new(dto::PutObjectRetentionOutput::default()))
}

fn retention_of_s3(asked: dto::ObjectLockRetention, now: Timestamp) -> S3Result<Option<Retention>> {
    match (asked.mode, asked.retain_until_date) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode.as_str()).ok_or_else(malformed_xml)?;
            retention(mode, until.into(), now).map(Some)
        }
        _ => Err(malformed_xml()),
    }
}

/// Whether a version is under a legal hold. One that never was is under none.
pub(super) async fn get_legal_hold(
    context: &Context,
    request: S3Request<dto::GetObjectLegalHoldInput>,
) -> S3Result<S3Response<dto::GetObjectLegalHoldOutput>> {
    let object = object(context, &request.input.key, request.input.version_id.as_deref()).await?;
    let status = if object.lock.legal_hold {
        dto::ObjectLockLegalHoldStatus::ON
    } else {
        dto::ObjectLockLegalHoldStatus::OFF
    };
    let status = Some(dto::ObjectLockLegalHoldStatus::from_static(status));
    let legal_hold = Some(dto::ObjectLockLegalHold { status });
    Ok(S3Response::new(dto::GetObjectLegalHoldOutput { legal_hold }))
}

/// Puts a version under a legal hold, or lifts it.
pub(super) async fn put_legal_hold(
    context: &Context,
    request: S3Request<dto::PutObjectLegalHoldInput>,
) -> S3Result<S3Response<dto::PutObjectLegalHoldOutput>> {
    let dto::PutObjectLegalHoldInput { key, version_id, legal_hold, .. } = request.input;
    let status = legal_hold.and_then(|hold| hold.status).ok_or_else(malformed_xml)?;
    let is_on = match status.as_str() {
        dto::ObjectLockLegalHoldStatus::ON => true,
        dto::ObjectLockLegalHoldStatus::OFF => false,
        _ => return Err(malformed_xml()),
    };
    change_lock(context, &key, version_id.as_deref(), LockChange::LegalHold(is_on)).await?;
    Ok(S3Response::new(dto::PutObjectLegalHoldOutput::default()))
}

async fn change_lock(
    context: &Context,
    key: &str,
    version_id: Option<&str>,
    change: LockChange,
) -> S3Result<()> {
    let (key, version) = (object_key(key)?, versions::parse(version_id)?);
    let object = ObjectRef { key: &key, version };
    context.api.buckets.lock_object(context.bucket_id()?, object, change).await?;
    Ok(())
}
