//! [`HubClient`]'s calls about versions: an extension of the bucket API that xetgate serves and huggingface.co does not.

use reqwest::Method;
use serde::Deserialize;

use super::client::{HubClient, Page, PageLink, json, json_body, quote, read};
use super::error::HubError;
use super::trail::Trail;
use super::wire::optional_date;
use crate::bucket::{BucketId, Timestamp};
use crate::cas::http::Repeat;

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VersionKind {
    /// A file.
    File,
    /// From here on, and until the next version, there was no file.
    DeleteMarker,
}

/// Until when a version may not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RetentionInfo {
    /// `GOVERNANCE` or `COMPLIANCE`.
    pub mode: String,
    /// The end.
    #[serde(default, deserialize_with = "optional_date")]
    pub until: Option<Timestamp>,
}

/// A version, as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: VersionKind,
    /// The file's path.
    pub path: String,
    /// Its id.
    pub version_id: String,
    /// Whether it is the current one.
    pub is_latest: bool,
    /// Its length in bytes.
    pub size: u64,
    /// When it came.
    #[serde(default, deserialize_with = "optional_date")]
    pub uploaded_at: Option<Timestamp>,
    /// Its content, of a file.
    #[serde(default)]
    pub xet_hash: Option<String>,
    /// Until when it may not be deleted.
    #[serde(default)]
    pub retention: Option<RetentionInfo>,
    /// Whether it may not be deleted until that is lifted.
    #[serde(default)]
    pub legal_hold: bool,
    /// Stored bytes that it added to the history of its file.
    #[serde(default)]
    pub added_bytes: Option<u64>,
    /// Stored bytes that it alone of its file's versions holds.
    #[serde(default)]
    pub own_bytes: Option<u64>,
}

/// The versions of one file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The newest comes first.
    pub versions: Vec<VersionInfo>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The version that is current now.
    pub version_id: String,
    /// Whether it was made for this; it was the current one before, otherwise.
    pub is_new: bool,
}

/// A path as one segment of an address. `.` and `..` would lead to another one: with `..`, the removal of a version would be
/// that of its bucket.
fn segment(path: &str) -> Result<String, HubError> {
    match path {
        "." | ".." => Err(HubError::BadName(format!("'{path}' cannot be asked for: it is no file's name"))),
        path => Ok(quote(path)),
    }
}

impl HubClient {
    /// All versions of files whose path begins with `prefix`, or the first `limit` of them.
    pub async fn versions(
        &self,
        id: &BucketId,
        prefix: &str,
        limit: Option<usize>,
    ) -> Result<Vec<VersionInfo>, HubError> {
        let mut url = self.bucket_url(id, "/versions")?;
        url.query_pairs_mut().append_pair("prefix", prefix);
        let (mut found, mut trail) = (Vec::new(), Trail::default());
        let mut next = Some(PageLink::to(url));
        while let Some(link) = next.filter(|_| limit.is_none_or(|limit| found.len() < limit)) {
            trail.follow(&link)?;
            let page: Page<VersionInfo> = self.page("versions", link).await?;
            found.extend(page.entries);
            next = page.next;
        }
        found.truncate(limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The versions of a file, and what each takes. [`HubError::NoSuchEntry`] if there is none.
    pub async fn history(&self, id: &BucketId, path: &str) -> Result<History, HubError> {
        let url = self.bucket_url(id, &format!("/versions/{}", segment(path)?))?;
        let answer = self.call(Repeat::Safe, Method::GET, url, |request| request).await?;
        read("history", &answer)
    }

    /// Removes a version for good.
    pub async fn delete_version(&self, id: &BucketId, path: &str, version: &str) -> Result<(), HubError> {
        let mut url = self.bucket_url(id, &format!("/versions/{}", segment(path)?))?;
        url.query_pairs_mut().append_pair("versionId", version);
        self.call(Repeat::Unsafe, Method::DELETE, url, |request| request).await.map(drop)
    }

    /// Makes a version the current one again.
    pub async fn restore_version(
        &self,
        id: &BucketId,
        path: &str,
        version: &str,
    ) -> Result<Restored, HubError> {
        let body = json("restore", &serde_json::json!({ "path": path, "versionId": version }))?;
        let url = self.bucket_url(id, "/restore")?;
        // Done twice, it finds the version it has made, or makes another of the same content.
        let answer = self.call(Repeat::Safe, Method::POST, url, |request| json_body(request, &body)).await?;
        read("restore", &answer)
    }

    /// Lets a bucket keep versions, or stop making new ones.
    pub async fn set_versioning(&self, id: &BucketId, is_enabled: bool) -> Result<(), HubError> {
        #[derive(Deserialize)]
        struct Settings {
            versioning: Option<String>,
        }
        let wanted = if is_enabled { "enabled" } else { "suspended" };
        let body = json("settings", &serde_json::json!({ "versioning": wanted }))?;
        let url = self.bucket_url(id, "/settings")?;
        let answer = self.call(Repeat::Safe, Method::PUT, url, |request| json_body(request, &body)).await?;
        // A server that does not know the field ignores it.
        match read::<Settings>("settings", &answer)?.versioning {
            Some(versioning) if versioning == wanted => Ok(()),
            _ => Err(HubError::Refused { status: 501, message: "it keeps no versions".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `buckets rm ns/name/.. --version ID` asked for the removal of the bucket.
    #[test]
    fn a_path_stays_one_segment_of_its_address() {
        for path in [".", ".."] {
            assert!(matches!(segment(path), Err(HubError::BadName(_))), "{path}");
        }
        assert_eq!(segment("a/..").unwrap(), "a%2F..");
        assert_eq!(segment("..a").unwrap(), "..a");
    }
}
