//! The rows of objects, in few bytes: a small object's metadata would else be a fifth of it. Most objects have no
//! attribute but a well-known type.

use serde::{Deserialize, Serialize};

use super::values::{AttributesV1, ChecksumV1, ETagV1, LockV1};
use crate::model::clock::Timestamp;
use crate::model::lock::ObjectLock;
use crate::model::names::UploadId;
use crate::model::object::{Attributes, Object, ObjectPart};
use crate::model::version::{Stamp, VersionId};
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::FileHash;

const WHAT: &str = "an object";

/// Types that a row names by their place here; only ever added to.
const KNOWN_TYPES: [&str; 8] = [
    "binary/octet-stream",
    "application/octet-stream",
    "text/plain",
    "application/json",
    "image/jpeg",
    "image/png",
    "application/x-parquet",
    "application/zstd",
];

/// The attributes of an object.
#[derive(Serialize, Deserialize)]
enum SaidV1<'r> {
    Nothing,
    KnownType(u8),
    #[serde(borrow)]
    All(Box<AttributesV1<'r>>),
}

impl<'r> SaidV1<'r> {
    fn of(attributes: &'r Attributes) -> Self {
        let content_type = attributes.content_type.as_deref();
        let known = KNOWN_TYPES.iter().position(|known| Some(*known) == content_type);
        match (has_only_a_type(attributes), known) {
            (true, Some(known)) => Self::KnownType(known as u8),
            (true, None) if content_type.is_none() => Self::Nothing,
            _ => Self::All(Box::new(attributes.into())),
        }
    }

    fn attributes(self) -> Result<Attributes, StoredError> {
        match self {
            Self::Nothing => Ok(Attributes::default()),
            Self::All(attributes) => Ok((*attributes).into()),
            Self::KnownType(known) => {
                let unknown = || StoredError::damaged(WHAT, format!("there is no content type {known}"));
                let content_type = KNOWN_TYPES.get(usize::from(known)).ok_or_else(unknown)?;
                Ok(Attributes { content_type: Some((*content_type).to_owned()), ..Attributes::default() })
            }
        }
    }
}

fn has_only_a_type(attributes: &Attributes) -> bool {
    let Attributes {
        content_type: _,
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        expires,
        website_redirect_location,
        user_metadata,
        tags,
    } = attributes;
    let headers = [
        cache_control,
        content_disposition,
        content_encoding,
        content_language,
        expires,
        website_redirect_location,
    ];
    headers.into_iter().all(Option::is_none) && user_metadata.is_empty() && tags.is_empty()
}

/// An object without its parts.
#[derive(Serialize, Deserialize)]
struct ObjectV1<'r> {
    file: [u8; 32],
    size: u64,
    etag: ETagV1,
    modified_at: u64,
    #[serde(borrow)]
    said: SaidV1<'r>,
    #[serde(borrow)]
    checksums: Vec<ChecksumV1<'r>>,
    upload: Option<&'r str>,
}

/// The first fields of an [`ObjectV1`], in their order.
type BeginningV1 = ([u8; 32], u64, ETagV1, u64);

#[derive(Serialize, Deserialize)]
struct ObjectPartV1<'r> {
    number: u16,
    size: u64,
    #[serde(borrow)]
    checksum: Option<ChecksumV1<'r>>,
}

impl<'r> From<&'r ObjectPart> for ObjectPartV1<'r> {
    fn from(ObjectPart { number, size, checksum }: &'r ObjectPart) -> Self {
        Self { number: *number, size: *size, checksum: checksum.as_ref().map(Into::into) }
    }
}

impl From<ObjectPartV1<'_>> for ObjectPart {
    fn from(ObjectPartV1 { number, size, checksum }: ObjectPartV1<'_>) -> Self {
        Self { number, size, checksum: checksum.map(Into::into) }
    }
}

/// What a row of version 2 says after the fields of version 1, before the parts: an object that has no version id and no
/// lock has a row of version 1, which is shorter.
#[derive(Serialize, Deserialize)]
struct VersionV2 {
    /// Stamp and random number.
    version: Option<(u64, u64)>,
    lock: LockV1,
}

impl VersionV2 {
    fn of(object: &Object) -> Self {
        let version = object.version.map(|VersionId { stamp, random }| (stamp.0, random));
        Self { version, lock: object.lock.into() }
    }

    fn give(self, object: &mut Object) {
        let Self { version, lock } = self;
        object.version = version.map(|(stamp, random)| VersionId { stamp: Stamp(stamp), random });
        object.lock = lock.into();
    }
}

/// An object's row is the object and then its parts, so that they need not be read with it.
pub(in crate::store::meta) fn encode_object(object: &Object) -> Result<Vec<u8>, StoredError> {
    let Object { file, size, etag, modified_at, attributes, checksums, parts, upload, version, lock } =
        object;
    let is_plain = version.is_none() && *lock == ObjectLock::default();
    let row = ObjectV1 {
        file: *file.as_bytes(),
        size: *size,
        etag: (*etag).into(),
        modified_at: modified_at.0,
        said: SaidV1::of(attributes),
        checksums: checksums.iter().map(ChecksumV1::from).collect(),
        upload: upload.as_ref().map(UploadId::as_str),
    };
    let mut row = versioned::encode(WHAT, if is_plain { 1 } else { 2 }, &row)?;
    if !is_plain {
        row = versioned::append(WHAT, row, &VersionV2::of(object))?;
    }
    versioned::append(WHAT, row, &parts.iter().map(ObjectPartV1::from).collect::<Vec<_>>())
}

fn split_object(row: &[u8]) -> Result<(Object, &[u8]), StoredError> {
    let (version, fields) = fields(row)?;
    let (stored, mut rest): (ObjectV1<'_>, _) = versioned::take(WHAT, fields)?;
    let upload = stored.upload.map(|id| {
        UploadId::parse(id).ok_or_else(|| StoredError::damaged(WHAT, "its upload has no upload's id"))
    });
    let mut object = Object {
        file: FileHash::from_bytes(stored.file),
        size: stored.size,
        etag: stored.etag.into(),
        modified_at: Timestamp(stored.modified_at),
        attributes: stored.said.attributes()?,
        checksums: stored.checksums.into_iter().map(Into::into).collect(),
        parts: Vec::new(),
        upload: upload.transpose()?,
        version: None,
        lock: ObjectLock::default(),
    };
    if version == 2 {
        let (said, parts) = versioned::take::<VersionV2>(WHAT, rest)?;
        said.give(&mut object);
        rest = parts;
    }
    Ok((object, rest))
}

/// The version of a row, and its fields.
fn fields(row: &[u8]) -> Result<(u8, &[u8]), StoredError> {
    match versioned::split(WHAT, row)? {
        (version @ 1..=2, fields) => Ok((version, fields)),
        (version, _) => Err(StoredError::unknown_version(WHAT, version, 2)),
    }
}

/// Reads an object without its parts.
pub(in crate::store::meta) fn decode_object(row: &[u8]) -> Result<Object, StoredError> {
    Ok(split_object(row)?.0)
}

/// Reads when an object was last written, and no more of it.
pub(in crate::store::meta) fn decode_modified_at(row: &[u8]) -> Result<Timestamp, StoredError> {
    let ((_, _, _, modified_at), _) = versioned::take::<BeginningV1>(WHAT, fields(row)?.1)?;
    Ok(Timestamp(modified_at))
}

/// Reads an object with its parts.
pub(in crate::store::meta) fn decode_whole_object(row: &[u8]) -> Result<Object, StoredError> {
    let (object, parts) = split_object(row)?;
    let parts: Vec<ObjectPartV1<'_>> = versioned::decode(WHAT, parts)?;
    Ok(Object { parts: parts.into_iter().map(Into::into).collect(), ..object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_no_version_knew_is_damage() {
        assert!(SaidV1::KnownType(255).attributes().is_err());
    }
}
