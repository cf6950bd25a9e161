//! What goes over the wire to a Hub and back, as the published clients write it.

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bucket::{BucketId, FileHash, Timestamp, Visibility};
use crate::model::names::{BucketName, Namespace};

/// A bucket, as the Hub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketInfo {
    /// `namespace/name`.
    #[serde(deserialize_with = "bucket_id")]
    pub id: BucketId,
    /// Whether only its owners may read it.
    pub private: bool,
    /// When it was created.
    #[serde(deserialize_with = "date")]
    pub created_at: Timestamp,
    /// Bytes of all files.
    pub size: u64,
    /// How many files there are.
    pub total_files: u64,
    /// `enabled` or `suspended`, of a bucket that keeps versions or did; huggingface.co keeps none.
    #[serde(default)]
    pub versioning: Option<String>,
}

impl BucketInfo {
    /// Who may read it.
    pub fn visibility(&self) -> Visibility {
        if self.private { Visibility::Private } else { Visibility::Public }
    }
}

/// What a new bucket is to be. What is not said is left to the Hub.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewBucket {
    /// `public` or `private`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<&'static str>,
    /// The resource group of an organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group_id: Option<String>,
    /// `us` or `eu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl NewBucket {
    /// A bucket of this visibility.
    pub fn of(visibility: Visibility) -> Self {
        let visibility = match visibility {
            Visibility::Private => "private",
            Visibility::Public => "public",
        };
        Self { visibility: Some(visibility), ..Self::default() }
    }
}

/// What creating a bucket answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreatedBucket {
    /// `{endpoint}/buckets/{namespace}/{name}`.
    pub url: String,
    /// Whether only its owners may read it, if the Hub tells.
    #[serde(default)]
    pub private: Option<bool>,
}

/// A file or a folder of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum TreeEntry {
    /// A file.
    File(FileEntry),
    /// A folder: there is a file below it.
    Directory(DirectoryEntry),
}

impl TreeEntry {
    /// Its path in the bucket.
    pub fn path(&self) -> &str {
        match self {
            Self::File(file) => &file.path,
            Self::Directory(directory) => &directory.path,
        }
    }
}

/// A file, as the Hub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Its path in the bucket.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its content.
    #[serde(deserialize_with = "file_hash")]
    pub xet_hash: FileHash,
    /// The modification time that its writer gave it.
    #[serde(default, deserialize_with = "optional_date")]
    pub mtime: Option<Timestamp>,
    /// When it came.
    #[serde(default, deserialize_with = "optional_date")]
    pub uploaded_at: Option<Timestamp>,
    /// Its media type, if the Hub tells.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A folder, as the Hub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryEntry {
    /// Its path, without a slash at the end.
    pub path: String,
    /// When the newest file below it came.
    #[serde(default, deserialize_with = "optional_date")]
    pub uploaded_at: Option<Timestamp>,
}

/// One line of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum BatchOp {
    /// Lets a path name a registered file.
    AddFile {
        /// The path.
        path: String,
        /// The file; zeros for the empty one.
        #[serde(serialize_with = "as_text")]
        xet_hash: FileHash,
        /// Modification time, in milliseconds since the epoch.
        mtime: u64,
        /// Media type.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
    },
    /// Lets a path name the content of a file of another repository, or of this one.
    CopyFile {
        /// The path.
        path: String,
        /// The content.
        #[serde(serialize_with = "as_text")]
        xet_hash: FileHash,
        /// Modification time, in milliseconds since the epoch.
        mtime: u64,
        /// `bucket`, `model`, `dataset` or `space`.
        source_repo_type: String,
        /// `namespace/name`.
        source_repo_id: String,
    },
    /// Removes a path; one that is not there is removed already.
    DeleteFile {
        /// The path.
        path: String,
    },
}

/// What a batch did not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct BatchOutcome {
    /// The lines that failed; all others are done.
    #[serde(default)]
    pub failed: Vec<FailedOp>,
}

/// A line of a batch that failed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FailedOp {
    /// Its path.
    pub path: String,
    /// What the Hub says.
    #[serde(default)]
    pub error: String,
}

/// A token for a bucket's CAS, as the Hub gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct XetTokenAnswer {
    pub(super) cas_url: String,
    pub(super) access_token: String,
    /// Unix seconds.
    pub(super) exp: u64,
}

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WhoAmI {
    /// The account's name.
    pub name: String,
    /// Its organisations.
    #[serde(default)]
    pub orgs: Vec<OrgName>,
}

/// An organisation's name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrgName {
    /// The name.
    pub name: String,
}

fn as_text<S: serde::Serializer>(hash: &FileHash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

fn file_hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FileHash, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn bucket_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BucketId, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (namespace, name) =
        text.split_once('/').ok_or_else(|| serde::de::Error::custom("a bucket id is namespace/name"))?;
    Ok(BucketId {
        namespace: Namespace::new(namespace).map_err(serde::de::Error::custom)?,
        name: BucketName::new(name).map_err(serde::de::Error::custom)?,
    })
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_date(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a date")))
}

pub(super) fn optional_date<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    // One odd date must not hide a file.
    Ok(Option::<String>::deserialize(deserializer)?.as_deref().and_then(parse_date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_lines_have_the_published_clients_fields() {
        let hash = FileHash::EMPTY;
        let add = BatchOp::AddFile { path: "a/ü".into(), xet_hash: hash, mtime: 7, content_type: None };
        let zeros = "0".repeat(64);
        assert_eq!(
            serde_json::to_string(&add).unwrap(),
            format!(r#"{{"type":"addFile","path":"a/ü","xetHash":"{zeros}","mtime":7}}"#)
        );
        let copy = BatchOp::CopyFile {
            path: "b".into(),
            xet_hash: hash,
            mtime: 8,
            source_repo_type: "bucket".into(),
            source_repo_id: "ada/x".into(),
        };
        assert_eq!(
            serde_json::to_string(&copy).unwrap(),
            format!(
                r#"{{"type":"copyFile","path":"b","xetHash":"{zeros}","mtime":8,"sourceRepoType":"bucket","sourceRepoId":"ada/x"}}"#
            )
        );
        let delete = serde_json::to_string(&BatchOp::DeleteFile { path: "c".into() }).unwrap();
        assert_eq!(delete, r#"{"type":"deleteFile","path":"c"}"#);
    }

    #[test]
    fn entries_are_read_with_what_the_hub_adds_and_leaves_out() {
        let zeros = "0".repeat(64);
        let text = format!(
            r#"[{{"type":"file","path":"a","size":1,"xetHash":"{zeros}","mtime":"2026-01-02T03:04:05.678Z","more":1}},
                {{"type":"directory","path":"d","uploadedAt":"2026-01-02T03:04:05Z"}}]"#
        );
        let entries: Vec<TreeEntry> = serde_json::from_str(&text).unwrap();
        assert_eq!(entries.iter().map(TreeEntry::path).collect::<Vec<_>>(), ["a", "d"]);
        let TreeEntry::File(file) = &entries[0] else { panic!("a file") };
        assert_eq!(file.mtime, Some(Timestamp(1_767_323_045_678)));
        assert_eq!(file.uploaded_at, None);
    }
}
