//! Making, renaming and deleting buckets, and their settings.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use super::body;
use super::buckets::{page_url, versioning_name};
use super::call::Call;
use super::error::{HubError, HubResult};
use super::paths::new_bucket_name;
use super::visibility::{Creation, Settings};
use crate::auth::{Action, Caller};
use crate::bucket::{BucketChange, BucketError, BucketId, DeleteBucket, Namespace, Visibility};

impl Call {
    /// Refuses a caller who may not have a bucket of this name.
    fn must_own(&self, id: &BucketId) -> HubResult<()> {
        if self.api.directory.may(&self.caller, Action::ManageBucket, id, Visibility::Private) {
            return Ok(());
        }
        match self.caller {
            Caller::Anonymous => Err(HubError::unauthenticated()),
            Caller::Known(_) => {
                let message = format!("You don't have the rights to create a bucket under {}", id.namespace);
                Err(HubError::forbidden(message))
            }
        }
    }
}

/// `POST /api/buckets/{ns}/{name}`.
pub(super) async fn create(call: Call, body: Body) -> HubResult {
    let names = call.names()?;
    let namespace = match call.namespace() {
        Ok(namespace) => namespace,
        Err(error) if names.namespace == "me" => return Err(error),
        Err(_) => return Err(HubError::bad_request("The namespace is not a valid name")),
    };
    let id = BucketId { namespace, name: new_bucket_name(&names.name)? };
    call.must_own(&id)?;
    let (api, url) = (&call.api, page_url(&call, &id));
    let creation: Creation = body::json(body).await?;
    let visibility = creation.asked()?.or(api.directory.new_buckets(&id.namespace)).unwrap_or(api.visibility);
    match api.buckets.create_bucket(&id, visibility).await {
        Ok(bucket) => {
            let private = bucket.visibility == Visibility::Private;
            Ok(Json(json!({ "url": url, "id": id.to_string(), "private": private })).into_response())
        }
        Err(BucketError::BucketExists(_)) => Err(HubError::exists(url)),
        Err(error) => Err(error.into()),
    }
}

/// `DELETE /api/buckets/{ns}/{name}`, with all that is in it.
pub(super) async fn delete(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ManageBucket).await?;
    call.api.buckets.delete_bucket(&bucket.id, DeleteBucket::WithContents).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/buckets/{name}`: a bucket's name without its namespace, of which there is no bucket.
pub(super) async fn delete_without_namespace(_: Call) -> HubError {
    HubError::no_such_bucket()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Move {
    from_repo: String,
    to_repo: String,
    r#type: String,
}

fn bucket_id(text: &str) -> HubResult<BucketId> {
    let malformed = || HubError::bad_request(format!("{text:?} is not a namespace and a name"));
    let (namespace, name) = text.split_once('/').ok_or_else(malformed)?;
    let namespace = Namespace::new(namespace).map_err(|error| HubError::bad_request(error.to_string()))?;
    Ok(BucketId { namespace, name: super::paths::bucket_name(name)? })
}

/// `POST /api/repos/move`.
pub(super) async fn relocate(call: Call, body: Body) -> HubResult {
    if call.caller == Caller::Anonymous {
        return Err(HubError::unauthenticated());
    }
    let Move { from_repo, to_repo, r#type } = body::json(body).await?;
    if r#type != "bucket" {
        return Err(HubError::bad_request("Only what is of type bucket can be moved here"));
    }
    let (from, to) = (bucket_id(&from_repo)?, bucket_id(&to_repo)?);
    new_bucket_name(to.name.as_str())?;
    call.bucket_of(&from, Action::ManageBucket).await?;
    call.must_own(&to)?;
    call.api.buckets.move_bucket(&from, &to).await?;
    Ok(Json(json!({ "url": page_url(&call, &to) })).into_response())
}

/// `PUT /api/buckets/{ns}/{name}/settings`.
pub(super) async fn settings(call: Call, body: Body) -> HubResult {
    let bucket = call.bucket(Action::ManageBucket).await?;
    let (visibility, versioning) = body::json::<Settings>(body).await?.asked()?;
    // First what may be refused.
    if let Some(versioning) = versioning {
        call.api.buckets.change_bucket(&bucket.id, BucketChange::Versioning(versioning)).await?;
    }
    if let Some(visibility) = visibility {
        call.api.buckets.set_visibility(&bucket.id, visibility).await?;
    }
    let private = visibility.unwrap_or(bucket.visibility) == Visibility::Private;
    let mut settings = json!({ "private": private });
    if let Some(name) = versioning_name(versioning.unwrap_or(bucket.versioning)) {
        settings["versioning"] = name.into();
    }
    Ok(Json(settings).into_response())
}
