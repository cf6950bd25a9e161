//! `POST /api/buckets/{ns}/{name}/batch`: many changes, one JSON object a line.
//!
//! A line that cannot be read refuses the whole request and nothing is stored: the client is wrong, not the file. So all
//! lines are read before the first change is made. A change that cannot be made is reported in `failed`, and the others
//! are made: 200 if some were, 422 if none was.
//!
//! The changes are made in groups, each a transaction of its own, so that a long batch does not keep the store's one
//! writer from everyone else (decision 0060).

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::call::Call;
use super::dates::MILLIS_MAX;
use super::error::{HubError, HubResult};
use super::paths::new_file_path;
use crate::auth::Action;
use crate::bucket::limits::BATCH_CHANGES_MAX;
use crate::bucket::{
    Attributes, BatchChange, BucketError, BucketId, BucketName, FileHash, Namespace, ObjectKey, Timestamp,
};

/// Most lines. `huggingface_hub` sends 1,000 at most; `@huggingface/hub` sends all paths that are to be deleted at once.
const LINES_MAX: usize = 10_000;

/// Largest body: a thousand of the longest lines (a path of 1,024 bytes, each of which JSON may write as six, and a
/// kilobyte of all else), or the most lines at 800 bytes each.
const BATCH_BYTES_MAX: usize = body::JSON_BYTES_MAX;

/// Longest content type that is kept. Source: RFC 6838, section 4.2, with room for parameters.
const CONTENT_TYPE_BYTES_MAX: usize = 512;

/// A line as clients write it. A field that is not known is an error: it may be a condition, and the change would be made
/// without it. `size` is what the crate `hf-hub` sends beside the hash; a file of another size is refused.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::enum_variant_names, reason = "the words of the wire: addFile, copyFile, deleteFile")]
enum Line {
    #[serde(rename_all = "camelCase")]
    AddFile {
        path: String,
        xet_hash: String,
        size: Option<u64>,
        mtime: Option<i64>,
        content_type: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    CopyFile {
        path: String,
        xet_hash: String,
        size: Option<u64>,
        mtime: Option<i64>,
        content_type: Option<String>,
        source_repo_type: String,
        source_repo_id: String,
    },
    DeleteFile {
        path: String,
    },
}

/// A line that makes sense: a change that can be tried, or why there is none like it here. Whether the caller may read
/// the source of a copy is not asked yet.
struct Asked {
    path: String,
    change: Result<BatchChange, String>,
}

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

/// Reads the line of this number.
fn asked(number: usize, line: &[u8]) -> HubResult<Asked> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|error| HubError::bad_request(format!("Line {number} of the batch: {error}")))?;
    let (path, change) = match line {
        Line::AddFile { path, xet_hash, size, mtime, content_type } => {
            let (key, file) = (new_file_path(&path)?, hash(&xet_hash)?);
            let attributes = attributes(mtime, content_type)?;
            (path, Ok(BatchChange::Add { key, file, size, proved_by: None, attributes }))
        }
        Line::CopyFile { path, xet_hash, size, mtime, content_type, source_repo_type, source_repo_id } => {
            let (key, file) = (new_file_path(&path)?, hash(&xet_hash)?);
            let source = copy_source(&source_repo_type, &source_repo_id)?;
            let attributes = attributes(mtime, content_type)?;
            (path, source.map(|source| BatchChange::Copy { key, file, size, source, attributes }))
        }
        Line::DeleteFile { path } => {
            // Any key: what S3 has put anywhere can be deleted.
            let key = ObjectKey::new(&path).map_err(|error| HubError::bad_request(error.to_string()))?;
            (path, Ok(BatchChange::Delete { key }))
        }
    };
    Ok(Asked { path, change })
}

/// The bucket that is to be copied from.
fn copy_source(kind: &str, id: &str) -> HubResult<Result<BucketId, String>> {
    if kind != "bucket" {
        return Ok(Err(format!("a {kind} cannot be copied from: only buckets are here")));
    }
    let parsed = id.split_once('/').and_then(|(namespace, name)| {
        Some(BucketId { namespace: Namespace::new(namespace).ok()?, name: BucketName::new(name).ok()? })
    });
    parsed.map(Ok).ok_or_else(|| HubError::bad_request("sourceRepoId is not a namespace and a name"))
}

/// All lines of a body that are not empty.
fn asked_by(bytes: &[u8]) -> HubResult<Vec<Asked>> {
    let lines = || {
        let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        numbered.filter(|(_, line): &(usize, _)| !line.trim_ascii().is_empty())
    };
    let count = lines().count();
    if count > LINES_MAX {
        let message =
            format!("A batch has at most {LINES_MAX} lines, this one has {count}: send it in several");
        return Err(HubError::bad_request(message));
    }
    lines().map(|(number, line)| asked(number, line)).collect()
}

/// What is known while a batch is made.
struct Batch<'c> {
    call: &'c Call,
    bucket: BucketId,
    /// The buckets that are copied from, and whether the caller may read them.
    sources: BTreeMap<BucketId, bool>,
    failed: Vec<Value>,
}

impl Batch<'_> {
    /// Makes a group of changes, in their order.
    async fn make(&mut self, group: Vec<Asked>) -> HubResult<()> {
        let (mut changes, mut paths) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for Asked { path, change } in group {
            match self.allowed(change).await? {
                Ok(change) => {
                    changes.push(change);
                    paths.push(path);
                }
                Err(why) => self.failed.push(failure(&path, &why)),
            }
        }
        let results = self.call.api.buckets.batch(&self.bucket, changes).await?;
        for (path, result) in paths.iter().zip(results) {
            match result {
                Ok(()) => {}
                Err(error) if is_refusal(&error) => self.failed.push(failure(path, &error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The change, unless it copies from a bucket that the caller may not read; the answer does not show whether that bucket
    /// exists.
    async fn allowed(
        &mut self,
        change: Result<BatchChange, String>,
    ) -> HubResult<Result<BatchChange, String>> {
        let source = match change {
            Ok(BatchChange::Add { key, file, size, attributes, .. }) => {
                let proved_by = self.call.caller.credential();
                let proved_by = proved_by.map(|shown| shown.access_key_id.as_str().to_owned());
                return Ok(Ok(BatchChange::Add { key, file, size, proved_by, attributes }));
            }
            Ok(BatchChange::Copy { ref source, .. }) => source,
            other => return Ok(other),
        };
        let is_readable = match self.sources.get(source) {
            Some(is_readable) => *is_readable,
            None => match self.call.bucket_of(source, Action::ReadBucket).await {
                Ok(_) => true,
                Err(error) if error.is_refusal() => false,
                Err(error) => return Err(error),
            },
        };
        self.sources.insert(source.clone(), is_readable);
        let refused = format!("the source bucket {source} does not exist");
        Ok(if is_readable { change } else { Err(refused) })
    }
}

/// Makes the changes.
pub(super) async fn batch(call: Call, body: Body) -> HubResult {
    let bucket = call.bucket(Action::WriteBucket).await?.id;
    let asked = asked_by(&body::read(body, BATCH_BYTES_MAX).await?)?;
    let processed = asked.len();
    let mut batch = Batch { call: &call, bucket, sources: BTreeMap::new(), failed: Vec::new() };
    let mut asked = asked.into_iter();
    while asked.len() > 0 {
        batch.make(asked.by_ref().take(BATCH_CHANGES_MAX).collect()).await?;
    }
    let failed = batch.failed;
    let succeeded = processed - failed.len();
    let all_failed = succeeded == 0 && !failed.is_empty();
    let status = if all_failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let body = json!({
        "success": failed.is_empty(),
        "processed": processed,
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
            | BucketError::Locked(_)
            | BucketError::WrongSize { .. }
            | BucketError::PreconditionFailed
    )
}
