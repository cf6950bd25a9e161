//! Listing what is in a bucket.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;

use super::buckets::paged;
use super::call::Call;
use super::dates::iso8601;
use super::error::{HubError, HubResult};
use super::paths::{next_link, parameter};
use crate::auth::Action;
use crate::bucket::{After, Object, ObjectKey, TreeEntry, TreeQuery};

/// Entries on a page. Source: the Hub's client, which reads 1,000 at a time.
const PAGE: usize = 1000;

/// A line of a listing. A field that is not known is left out.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Entry {
    #[serde(rename_all = "camelCase")]
    File {
        path: String,
        size: u64,
        xet_hash: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtime: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uploaded_at: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    Directory {
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        uploaded_at: Option<String>,
    },
}

/// A file's line.
pub(super) fn file(key: &ObjectKey, object: Object) -> Entry {
    Entry::File {
        path: key.as_str().to_owned(),
        size: object.size,
        xet_hash: object.file.to_string(),
        mtime: object.attributes.mtime().and_then(iso8601),
        uploaded_at: iso8601(object.modified_at),
        content_type: object.attributes.content_type,
    }
}

/// `GET /api/buckets/{ns}/{name}/tree[/{prefix}]?recursive=&cursor=`.
pub(super) async fn tree(call: Call) -> HubResult {
    let bucket = call.bucket(Action::ReadBucket).await?;
    let (path, query) = (call.uri.path(), call.uri.query());
    let recursive = parameter(query, "recursive");
    let is_recursive = match recursive.as_deref() {
        None | Some("true" | "True" | "1") => true,
        Some("false" | "False" | "0") => false,
        Some(_) => return Err(HubError::bad_request("recursive must be true or false")),
    };
    let after = parameter(query, "cursor").map(|cursor| {
        decode_cursor(&cursor).ok_or_else(|| HubError::bad_request("The cursor is not one that was given"))
    });
    let query = TreeQuery {
        prefix: call.names()?.path.clone(),
        recursive: is_recursive,
        after: after.transpose()?,
        limit: PAGE,
    };
    let page = call.api.buckets.tree(&bucket.id, &query).await?;
    let entries = page.entries.into_iter().filter_map(|entry| match entry {
        TreeEntry::File(key, object) => stays_inside(key.as_str()).then(|| file(&key, *object)),
        TreeEntry::Folder { path, newest } => {
            stays_inside(&path).then(|| Entry::Directory { path, uploaded_at: iso8601(newest) })
        }
    });
    let next = page.next.map(|next| {
        let parameters =
            [("recursive", if is_recursive { "true" } else { "false" }), ("cursor", &encode_cursor(&next))];
        next_link(call.origin.as_str(), path, &parameters)
    });
    Ok(paged(entries.collect(), next))
}

/// Whether a path that is joined to a folder's path stays inside that folder. S3 can store keys that do not; clients that
/// download a listing join the two without a check, and would write outside of the folder. Such a key is not listed here; it
/// can be read and deleted by its name.
fn stays_inside(path: &str) -> bool {
    !path.starts_with('/') && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn encode_cursor(after: &After) -> String {
    let (kind, text) = match after {
        After::Key(key) => ('k', key),
        After::Prefix(folder) => ('f', folder),
    };
    BASE64_URL_SAFE_NO_PAD.encode(format!("{kind}{text}"))
}

fn decode_cursor(cursor: &str) -> Option<After> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    match text.split_at_checked(1)? {
        ("k", key) => Some(After::Key(key.to_owned())),
        ("f", folder) if !folder.is_empty() => Some(After::Prefix(folder.to_owned())),
        _ => None,
    }
}
