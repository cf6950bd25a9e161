//! Versions: listing them, the history of a file, bringing one back, and removing one for good. Our own extension; the Hub
//! keeps no versions.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::body;
use super::buckets::paged;
use super::call::Call;
use super::dates::iso8601;
use super::error::{HubError, HubResult};
use super::paths::{next_link, parameter};
use crate::auth::Action;
use crate::bucket::limits::HISTORY_VERSIONS_MAX;
use crate::bucket::{
    AttributeChanges, BucketError, CopySource, ObjectCopy, ObjectDelete, ObjectKey, ObjectLock, ObjectRef,
    PastVersion, RetentionMode, Version, VersionCost, VersionQuery, VersionRef, WriteCondition,
};

/// A version of a file, or a delete marker.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    r#type: &'static str,
    path: String,
    version_id: String,
    is_latest: bool,
    /// 0 of a delete marker.
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xet_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    legal_hold: bool,
    /// In a history: stored bytes of chunks that no older version of the file holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_bytes: Option<u64>,
    /// In a history: stored bytes of chunks that no other version of the file holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_bytes: Option<u64>,
}

/// Until when a version may not be deleted, and by whom.
#[derive(Serialize)]
struct Retention {
    mode: &'static str,
    until: Option<String>,
}

impl Line {
    fn new(path: &str, version: Version, is_latest: bool, cost: Option<VersionCost>) -> Self {
        let line = Self {
            r#type: "deleteMarker",
            path: path.to_owned(),
            version_id: version.name().to_string(),
            is_latest,
            size: 0,
            uploaded_at: None,
            xet_hash: None,
            mtime: None,
            retention: None,
            legal_hold: false,
            added_bytes: cost.map(|cost| cost.added),
            own_bytes: cost.map(|cost| cost.own),
        };
        match version {
            Version::Marker(marker) => Self { uploaded_at: iso8601(marker.made_at), ..line },
            Version::Object(object) => Self {
                r#type: "file",
                size: object.size,
                uploaded_at: iso8601(object.modified_at),
                xet_hash: Some(object.file.to_string()),
                mtime: object.attributes.mtime().and_then(iso8601),
                retention: object.lock.retention.map(|retention| Retention {
                    mode: match retention.mode {
                        RetentionMode::Governance => "GOVERNANCE",
                        RetentionMode::Compliance => "COMPLIANCE",
                    },
                    until: iso8601(retention.until),
                }),
                legal_hold: object.lock.legal_hold,
                ..line
            },
        }
    }
}

impl Call {
    /// The key that the path names.
    fn key(&self) -> HubResult<ObjectKey> {
        ObjectKey::new(&self.names()?.path).map_err(|error| HubError::bad_request(error.to_string()))
    }
}

/// Reads the id of a version.
fn version(text: &str) -> HubResult<VersionRef> {
    VersionRef::parse(text).ok_or_else(|| HubError::bad_request("The versionId is not one that was given"))
}

/// A page ends after a key and a version, which an id never holds a slash of.
fn cursor_of((key, version): (String, Option<VersionRef>)) -> String {
    version.map_or_else(|| format!("/{key}"), |version| format!("{version}/{key}"))
}

fn read_cursor(cursor: &str) -> Option<(String, Option<VersionRef>)> {
    let (version, key) = cursor.split_once('/')?;
    let version = if version.is_empty() { None } else { Some(VersionRef::parse(version)?) };
    Some((key.to_owned(), version))
}

/// `GET /api/buckets/{ns}/{name}/versions?prefix=&limit=&cursor=`: versions and delete markers of all files that begin with
/// the prefix, the newest of each file first.
pub(super) async fn list(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    let (path, query) = (call.uri.path(), call.uri.query());
    let limit = match parameter(query, "limit").map(|limit| limit.parse()) {
        None => HISTORY_VERSIONS_MAX,
        Some(Ok(limit @ 1..=HISTORY_VERSIONS_MAX)) => limit,
        Some(_) => {
            let rule = format!("limit must be a number from 1 to {HISTORY_VERSIONS_MAX}");
            return Err(HubError::bad_request(rule));
        }
    };
    let after = parameter(query, "cursor").map(|cursor| {
        read_cursor(&cursor).ok_or_else(|| HubError::bad_request("The cursor is not one that was given"))
    });
    let (key_marker, version_marker) = after.transpose()?.unzip();
    let prefix = parameter(query, "prefix").unwrap_or_default();
    let query =
        VersionQuery { prefix, delimiter: None, key_marker, version_marker: version_marker.flatten(), limit };
    let page = call.api.buckets.list_versions(&bucket.id, &query).await?;
    let next = page.next.map(|next| {
        let (limit, cursor) = (limit.to_string(), cursor_of(next));
        let parameters = [("prefix", query.prefix.as_str()), ("limit", &limit), ("cursor", &cursor)];
        next_link(call.origin.as_str(), path, &parameters)
    });
    let lines = page.versions.into_iter();
    let lines = lines.map(|entry| Line::new(entry.key.as_str(), entry.version, entry.is_latest, None));
    Ok(paged(lines.collect(), next))
}

/// `GET /api/buckets/{ns}/{name}/versions/{path}`: the versions of a file, the newest first, and what each takes.
pub(super) async fn history(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    let key = call.key()?;
    let history = call.api.buckets.history(&bucket.id, &key).await?;
    let lines = history.versions.into_iter();
    let lines = lines
        .map(|PastVersion { version, is_latest, cost }| Line::new(key.as_str(), version, is_latest, cost));
    Ok(Json(json!({ "versions": lines.collect::<Vec<_>>(), "isWhole": history.is_whole })).into_response())
}

/// `DELETE /api/buckets/{ns}/{name}/versions/{path}?versionId=`: removes a version for good. Without its delete marker, a
/// file is there again.
pub(super) async fn delete(call: Call) -> HubResult {
    let bucket = call.bucket(Action::WriteBucket).await?;
    let key = call.key()?;
    let named = parameter(call.uri.query(), "versionId");
    let named = version(&named.ok_or_else(|| HubError::bad_request("versionId is missing"))?)?;
    let object = ObjectRef { key: &key, version: Some(named) };
    match call.api.buckets.object(&bucket.id, object).await {
        Ok(_) | Err(BucketError::IsDeleteMarker { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let deletion = ObjectDelete { version: Some(named), ..ObjectDelete::current(key) };
    let deleted = call.api.buckets.delete(&bucket.id, vec![deletion]).await?;
    deleted.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Body of a restore.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Restore {
    path: String,
    version_id: String,
}

/// `POST /api/buckets/{ns}/{name}/restore`: makes a version the current one again, by a copy of it: nothing is lost, and no
/// bytes move. One that is current already is left as it is.
pub(super) async fn restore(call: Call, body: Body) -> HubResult {
    let bucket = call.bucket(Action::WriteBucket).await?;
    let Restore { path, version_id } = body::json(body).await?;
    let key = ObjectKey::new(&path).map_err(|error| HubError::bad_request(error.to_string()))?;
    let named = version(&version_id)?;
    let current = match call.api.buckets.object(&bucket.id, ObjectRef::current(&key)).await {
        Ok(object) => Some(VersionRef::from(object.version)),
        Err(BucketError::NoSuchKey(_) | BucketError::Deleted { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if current == Some(named) {
        return Ok(Json(json!({ "path": path, "versionId": version_id, "isNew": false })).into_response());
    }
    let old = ObjectRef { key: &key, version: Some(named) };
    let old = match call.api.buckets.object(&bucket.id, old).await {
        Err(BucketError::IsDeleteMarker { .. }) => {
            let why = "This version is a delete marker, which has no content. Restore the version before it, or remove \
                       the marker";
            return Err(HubError::bad_request(why));
        }
        old => old?,
    };
    // All that is said of the version comes back, the redirect too, which no copy has unless it is asked for.
    let website_redirect_location = old.attributes.website_redirect_location;
    let source = CopySource { version: Some(named), ..CopySource::current(bucket.id.clone(), key.clone()) };
    let copy = ObjectCopy {
        source,
        key,
        changes: AttributeChanges { website_redirect_location, ..AttributeChanges::default() },
        checksum: None,
        condition: WriteCondition::default(),
        lock: ObjectLock::default(),
    };
    let made = call.api.buckets.copy(&bucket.id, copy).await?.made;
    let version_id = VersionRef::from(made.version).to_string();
    Ok(Json(json!({ "path": path, "versionId": version_id, "isNew": true })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for next in [("a/b".to_owned(), Some(VersionRef::Null)), ("/".to_owned(), None)] {
            assert_eq!(read_cursor(&cursor_of(next.clone())), Some(next));
        }
        for bad in ["", "a", "x/a"] {
            assert_eq!(read_cursor(bad), None, "{bad:?}");
        }
    }
}
