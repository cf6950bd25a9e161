//! Looking at buckets: info and list.

use axum::Json;
use axum::http::header::LINK;
use axum::response::{IntoResponse as _, Response};

use super::call::Call;
use super::dates::iso8601;
use super::error::{HubError, HubResult};
use super::paths::{next_link, parameter};
use crate::auth::Action;
use crate::bucket::{Bucket, BucketError, Namespace, VersionStats, Versioning, Visibility};

/// Buckets on a page.
const PAGE: usize = 1000;

/// A bucket as the API shows it.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    id: String,
    private: bool,
    created_at: Option<String>,
    size: u64,
    total_files: u64,
    /// `enabled` or `suspended`, of a bucket that keeps versions or did. Our own; the Hub has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    versioning: Option<&'static str>,
    /// What is there beside the current files, of such a bucket. Our own, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Versions>,
}

/// Versions that are not current, and delete markers.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    size: u64,
    total_files: u64,
    delete_markers: u64,
}

async fn to_info(call: &Call, bucket: &Bucket) -> Result<Info, BucketError> {
    let stats = call.api.buckets.bucket_stats(&bucket.id).await?;
    let versions = match bucket.versioning {
        Versioning::Off => None,
        _ => Some(call.api.buckets.version_stats(&bucket.id).await?),
    };
    let versions = versions.map(|VersionStats { bytes, objects, delete_markers }| Versions {
        size: bytes,
        total_files: objects,
        delete_markers,
    });
    Ok(Info {
        id: bucket.id.to_string(),
        private: bucket.visibility == Visibility::Private,
        created_at: iso8601(bucket.created_at),
        size: stats.bytes,
        total_files: stats.objects,
        versioning: versioning_name(bucket.versioning),
        versions,
    })
}

/// Whether a bucket keeps versions, in words; `None` if it never did.
pub(super) fn versioning_name(versioning: Versioning) -> Option<&'static str> {
    match versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some("enabled"),
        Versioning::Suspended => Some("suspended"),
    }
}

/// `GET /api/buckets/{ns}/{name}`.
pub(super) async fn info(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    Ok(Json(to_info(&call, &bucket).await?).into_response())
}

/// `GET /api/buckets/{ns}?search=&cursor=`: those that the caller may read.
pub(super) async fn list(call: Call) -> HubResult {
    let query = call.uri.query();
    let (search, cursor) = (parameter(query, "search").unwrap_or_default(), parameter(query, "cursor"));
    let namespace = call.namespace()?;
    let all = call.api.buckets.list_buckets(&namespace).await?;
    if all.is_empty() && call.api.directory.account(&namespace).is_none() {
        return Err(HubError::no_such_bucket());
    }
    let needle = search.to_lowercase();
    let mut shown = all;
    shown.retain(|bucket| {
        let name = bucket.id.name.as_str();
        name.to_lowercase().contains(&needle)
            && cursor.as_deref().is_none_or(|cursor| name > cursor)
            && call.api.directory.may(&call.caller, Action::ReadBucket, &bucket.id, bucket.visibility)
    });
    let more = shown.len() > PAGE;
    shown.truncate(PAGE);
    let next = shown.last().filter(|_| more).map(|last| link(&call, &namespace, &search, last));
    let mut infos = Vec::with_capacity(shown.len());
    for bucket in &shown {
        match to_info(&call, bucket).await {
            Ok(info) => infos.push(info),
            // It has gone meanwhile.
            Err(BucketError::NoSuchBucket(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(paged(infos, next))
}

fn link(call: &Call, namespace: &Namespace, search: &str, last: &Bucket) -> String {
    let path = format!("/api/buckets/{namespace}");
    let parameters = [("search", search), ("cursor", last.id.name.as_str())];
    next_link(call.origin.as_str(), &path, &parameters)
}

/// A page, and where the next one is.
pub(super) fn paged<T: serde::Serialize>(items: Vec<T>, next: Option<String>) -> Response {
    match next {
        Some(next) => ([(LINK, next)], Json(items)).into_response(),
        None => Json(items).into_response(),
    }
}

/// The address of a bucket's page, which clients read its id from.
pub(super) fn page_url(call: &Call, id: &crate::bucket::BucketId) -> String {
    format!("{}/buckets/{id}", call.origin.as_str())
}
