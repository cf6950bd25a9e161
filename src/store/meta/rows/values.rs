//! Values that rows of several kinds hold.

use serde::{Deserialize, Serialize};

use crate::model::accounts::{AccountKind, Permission};
use crate::model::bucket::Visibility;
use crate::model::checksums::{Checksum, ChecksumAlgorithm, ChecksumType};
use crate::model::clock::Timestamp;
use crate::model::lock::{ObjectLock, Retention, RetentionMode};
use crate::model::object::{Attributes, ETag};
use crate::store::versioned::StoredError;
use crate::xet::hash::FileHash;

/// A choice as it is stored: by its place in the list, which is only ever added to.
macro_rules! choice {
    ($stored:ident of $choice:ident { $($name:ident),+ }) => {
        #[derive(Clone, Copy, Serialize, Deserialize)]
        pub(super) enum $stored { $($name),+ }

        impl From<$choice> for $stored {
            fn from(choice: $choice) -> Self {
                match choice { $($choice::$name => Self::$name),+ }
            }
        }

        impl From<$stored> for $choice {
            fn from(stored: $stored) -> Self {
                match stored { $($stored::$name => Self::$name),+ }
            }
        }
    };
}

choice!(VisibilityV1 of Visibility { Private, Public });
choice!(AccountKindV1 of AccountKind { User, Org });
choice!(RetentionModeV1 of RetentionMode { Governance, Compliance });
choice!(PermissionV1 of Permission { Read, Write, Admin });
choice!(AlgorithmV1 of ChecksumAlgorithm { Crc32, Crc32c, Crc64Nvme, Sha1, Sha256 });
choice!(ChecksumTypeV1 of ChecksumType { FullObject, Composite });

/// What keeps a version from being deleted.
#[derive(Serialize, Deserialize)]
pub(super) struct LockV1 {
    retention: Option<(RetentionModeV1, u64)>,
    legal_hold: bool,
}

impl From<ObjectLock> for LockV1 {
    fn from(ObjectLock { retention, legal_hold }: ObjectLock) -> Self {
        let retention = retention.map(|Retention { mode, until }| (mode.into(), until.0));
        Self { retention, legal_hold }
    }
}

impl From<LockV1> for ObjectLock {
    fn from(LockV1 { retention, legal_hold }: LockV1) -> Self {
        let retention =
            retention.map(|(mode, until)| Retention { mode: mode.into(), until: Timestamp(until) });
        Self { retention, legal_hold }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum ETagV1 {
    Md5([u8; 16]),
    Multipart { md5: [u8; 16], parts: u16 },
    Xet([u8; 32]),
}

impl From<ETag> for ETagV1 {
    fn from(etag: ETag) -> Self {
        match etag {
            ETag::Md5(md5) => Self::Md5(md5),
            ETag::Multipart { md5, parts } => Self::Multipart { md5, parts },
            ETag::Xet(file) => Self::Xet(*file.as_bytes()),
        }
    }
}

impl From<ETagV1> for ETag {
    fn from(etag: ETagV1) -> Self {
        match etag {
            ETagV1::Md5(md5) => Self::Md5(md5),
            ETagV1::Multipart { md5, parts } => Self::Multipart { md5, parts },
            ETagV1::Xet(file) => Self::Xet(FileHash::from_bytes(file)),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ChecksumV1<'r> {
    algorithm: AlgorithmV1,
    value: &'r [u8],
    over: ChecksumTypeV1,
}

impl<'r> From<&'r Checksum> for ChecksumV1<'r> {
    fn from(Checksum { algorithm, value, over }: &'r Checksum) -> Self {
        Self { algorithm: (*algorithm).into(), value, over: (*over).into() }
    }
}

impl From<ChecksumV1<'_>> for Checksum {
    fn from(ChecksumV1 { algorithm, value, over }: ChecksumV1<'_>) -> Self {
        Self { algorithm: algorithm.into(), value: value.to_vec(), over: over.into() }
    }
}

/// Names with their texts, in the order of the names.
pub(super) type PairsV1<'r> = Vec<(&'r str, &'r str)>;

pub(super) fn pairs<'r>(texts: impl IntoIterator<Item = (&'r String, &'r String)>) -> PairsV1<'r> {
    texts.into_iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

pub(super) fn texts<T: FromIterator<(String, String)>>(pairs: PairsV1<'_>) -> T {
    pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

#[derive(Serialize, Deserialize)]
pub(super) struct AttributesV1<'r> {
    #[serde(borrow)]
    content_type: Option<&'r str>,
    cache_control: Option<&'r str>,
    content_disposition: Option<&'r str>,
    content_encoding: Option<&'r str>,
    content_language: Option<&'r str>,
    expires: Option<&'r str>,
    website_redirect_location: Option<&'r str>,
    user_metadata: PairsV1<'r>,
    tags: PairsV1<'r>,
}

impl<'r> From<&'r Attributes> for AttributesV1<'r> {
    fn from(attributes: &'r Attributes) -> Self {
        // By name, so that an attribute that is added is not forgotten here.
        let Attributes {
            content_type,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            expires,
            website_redirect_location,
            user_metadata,
            tags,
        } = attributes;
        Self {
            content_type: content_type.as_deref(),
            cache_control: cache_control.as_deref(),
            content_disposition: content_disposition.as_deref(),
            content_encoding: content_encoding.as_deref(),
            content_language: content_language.as_deref(),
            expires: expires.as_deref(),
            website_redirect_location: website_redirect_location.as_deref(),
            user_metadata: pairs(user_metadata),
            tags: pairs(tags),
        }
    }
}

impl From<AttributesV1<'_>> for Attributes {
    fn from(stored: AttributesV1<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            content_type: owned(stored.content_type),
            cache_control: owned(stored.cache_control),
            content_disposition: owned(stored.content_disposition),
            content_encoding: owned(stored.content_encoding),
            content_language: owned(stored.content_language),
            expires: owned(stored.expires),
            website_redirect_location: owned(stored.website_redirect_location),
            user_metadata: texts(stored.user_metadata),
            tags: texts(stored.tags),
        }
    }
}

/// A name that was checked before it was stored.
pub(super) fn name<T, E: std::fmt::Display>(
    what: &'static str,
    name: Result<T, E>,
) -> Result<T, StoredError> {
    name.map_err(|error| StoredError::damaged(what, error))
}
