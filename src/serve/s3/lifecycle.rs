//! What answers say of lifecycle rules: when an object expires, and when an upload is aborted. Source: S3 API reference,
//! `x-amz-expiration`, `x-amz-abort-date`.

use axum::http::HeaderName;

use crate::bucket::{Bucket, Object, Timestamp, Upload};
use crate::model::lifecycle::{Day, RulesInForce};

use super::conditions::http_date;
use super::encoding::encode_component;

pub(super) const EXPIRATION: HeaderName = HeaderName::from_static("x-amz-expiration");

/// The rules of a bucket with days of 24 hours, whatever a day is for tests: clients count on midnights.
fn rules(bucket: &Bucket) -> Option<RulesInForce> {
    bucket.lifecycle.as_ref().map(|rules| RulesInForce { day: Day::Utc, ..rules.clone() })
}

/// When a current object expires, and by which rule.
pub(super) fn expiration(bucket: &Bucket, key: &str, object: &Object) -> Option<String> {
    let rules = rules(bucket)?;
    let due = rules.of_current(key, object)?;
    Some(format!("expiry-date=\"{}\", rule-id=\"{}\"", http_date(due.at), encode_component(due.rule)))
}

/// When an upload is aborted, and by which rule.
pub(super) fn abort(bucket: &Bucket, upload: &Upload) -> Option<(Timestamp, String)> {
    let rules = rules(bucket)?;
    let due = rules.of_upload(upload.key.as_str(), upload.created_at)?;
    Some((due.at, due.rule.to_owned()))
}
