//! `POST /api/buckets/{ns}/{name}/batch`: many changes, one JSON object a line.
//!
//! A line that cannot be read refuses the whole request and nothing is stored: the client is wrong, not the file. A
//! change that cannot be made is told in `failed`, and the others are made: 200 if some were, 422 if none was.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::dates::MILLIS_MAX;
use super::error::{HubError, HubResult};
use super::paths::new_file_path;
use super::route::Call;
use crate::auth::Action;
use crate::bucket::limits::BATCH_CHANGES_MAX;
use crate::bucket::{
    Attributes, BatchChange, BucketError, BucketId, BucketName, FileHash, Namespace, ObjectKey, Timestamp,
};

/// Largest body: a thousand lines, each a path of 1,024 bytes (of which JSON may write each as six) and a kilobyte of
/// all else.
const BATCH_BYTES_MAX: usize = BATCH_CHANGES_MAX * (6 * 1024 + 1024);

/// Longest content type that is kept. Source: RFC 6838, section 4.2, with room for parameters.
const CONTENT_TYPE_BYTES_MAX: usize = 512;

/// A line as the client writes it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(clippy::enum_variant_names, reason = "the words of the wire: addFile, copyFile, deleteFile")]
enum Line {
    #[serde(rename_all = "camelCase")]
    AddFile {
        path: String,
        xet_hash: String,
        mtime: Option<i64>,
        content_type: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    CopyFile {
        path: String,
        xet_hash: String,
        mtime: Option<i64>,
        source_repo_type: String,
        source_repo_id: String,
    },
    DeleteFile {
        path: String,
    },
}

/// A change that can be tried, or why it cannot be made.
type Asked = (String, Result<BatchChange, String>);

fn hash(text: &str) -> HubResult<FileHash> {
    let malformed = || HubError::bad_request("xetHash must be 64 hexadecimal digits");
    text.parse().map_err(|_| malformed())
}

/// What is said about a file; its time is in milliseconds, and what lies before 1970 is taken for it.
fn attributes(mtime: Option<i64>, content_type: Option<String>) -> HubResult<Attributes> {
    let unfit = |text: &String| {
        text.len() > CONTENT_TYPE_BYTES_MAX || !text.bytes().all(|b| (b' '..=b'~').contains(&b))
    };
    if content_type.as_ref().is_some_and(unfit) {
        return Err(HubError::bad_request("contentType cannot be a header"));
    }
    let mut attributes = Attributes { content_type, ..Attributes::default() };
    if let Some(mtime) = mtime {
        let millis = u64::try_from(mtime).unwrap_or(0).min(MILLIS_MAX);
        attributes.set_mtime(Timestamp(millis));
    }
    Ok(attributes)
}

impl Call<'_> {
    async fn asked(&self, line: &[u8]) -> HubResult<Asked> {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| HubError::bad_request(format!("A line of the batch: {error}")))?;
        Ok(match line {
            Line::AddFile { path, xet_hash, mtime, content_type } => {
                let (key, file) = (new_file_path(&path)?, hash(&xet_hash)?);
                let proved_by = self.caller.credential().map(|shown| shown.access_key_id.as_str().to_owned());
                let attributes = attributes(mtime, content_type)?;
                (path, Ok(BatchChange::Add { key, file, proved_by, attributes }))
            }
            Line::CopyFile { path, xet_hash, mtime, source_repo_type, source_repo_id } => {
                let (key, file) = (new_file_path(&path)?, hash(&xet_hash)?);
                let source = self.copy_source(&source_repo_type, &source_repo_id).await?;
                let attributes = attributes(mtime, None)?;
                (path, source.map(|source| BatchChange::Copy { key, file, source, attributes }))
            }
            Line::DeleteFile { path } => {
                // Any key: what S3 has put anywhere can be deleted.
                let key = ObjectKey::new(&path).map_err(|error| HubError::bad_request(error.to_string()))?;
                (path, Ok(BatchChange::Delete { key }))
            }
        })
    }

    /// The bucket that is copied from, if the caller may read it; whether it is there is not told to others.
    async fn copy_source(&self, kind: &str, id: &str) -> HubResult<Result<BucketId, String>> {
        if kind != "bucket" {
            return Ok(Err(format!("a {kind} cannot be copied from: only buckets are here")));
        }
        let parsed = id.split_once('/').and_then(|(namespace, name)| {
            Some(BucketId { namespace: Namespace::new(namespace).ok()?, name: BucketName::new(name).ok()? })
        });
        let id = parsed.ok_or_else(|| HubError::bad_request("sourceRepoId is not a namespace and a name"))?;
        Ok(match self.bucket_of(&id, Action::ReadBucket).await {
            Ok(bucket) => Ok(bucket.id),
            Err(_) => Err(format!("the source bucket {id} does not exist")),
        })
    }
}

/// Makes the changes.
pub(super) async fn batch(call: &Call<'_>, namespace: &str, name: &str, body: Body) -> HubResult {
    let bucket = call.bucket(namespace, name, Action::WriteBucket).await?;
    let bytes = body::read(body, BATCH_BYTES_MAX).await?;
    let lines: Vec<_> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    if lines.len() > BATCH_CHANGES_MAX {
        return Err(HubError::bad_request(format!("A batch has at most {BATCH_CHANGES_MAX} lines")));
    }
    let (mut changes, mut paths, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for line in &lines {
        match call.asked(line).await? {
            (path, Ok(change)) => {
                changes.push(change);
                paths.push(path);
            }
            (path, Err(why)) => failed.push(failure(&path, &why)),
        }
    }
    let results = call.door.buckets.batch(&bucket.id, changes).await?;
    for (path, result) in paths.iter().zip(results) {
        match result {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => failed.push(failure(path, &error.to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    let succeeded = lines.len() - failed.len();
    let all_failed = succeeded == 0 && !failed.is_empty();
    let status = if all_failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = json!({
        "success": failed.is_empty(),
        "processed": lines.len(),
        "succeeded": succeeded,
        "failed": failed,
    });
    Ok((status, Json(body)).into_response())
}

fn failure(path: &str, error: &str) -> Value {
    json!({ "path": path, "error": error })
}

/// Whether it is the change that is at fault, and not the storage.
fn is_refusal(error: &BucketError) -> bool {
    matches!(
        error,
        BucketError::NoSuchFile(_)
            | BucketError::NoSuchBucket(_)
            | BucketError::NoSuchKey(_)
            | BucketError::PreconditionFailed
    )
}
