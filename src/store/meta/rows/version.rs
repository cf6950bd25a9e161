//! The rows of versions that are not the current object of their key.

use serde::{Deserialize, Serialize};

use super::object::{decode_object, decode_whole_object, encode_object};
use crate::model::clock::Timestamp;
use crate::model::object::{DeleteMarker, Object, Version};
use crate::model::version::{Stamp, VersionId};
use crate::store::meta::rows::Stored;
use crate::store::versioned::{self, StoredError};

const WHAT: &str = "a version";

/// A row of version 1 is this, and for an object the object's own row.
#[derive(Serialize, Deserialize)]
enum KindV1 {
    Object,
    Marker { version: Option<(u64, u64)>, made_at: u64 },
}

/// Reads a version without its parts.
pub(in crate::store::meta) fn decode_version(row: &[u8]) -> Result<Version, StoredError> {
    read(row, decode_object)
}

fn read(row: &[u8], object: impl Fn(&[u8]) -> Result<Object, StoredError>) -> Result<Version, StoredError> {
    let (kind, rest) = match versioned::split(WHAT, row)? {
        (1, fields) => versioned::take::<KindV1>(WHAT, fields)?,
        (version, _) => return Err(StoredError::unknown_version(WHAT, version, 1)),
    };
    match kind {
        KindV1::Marker { .. } if !rest.is_empty() => {
            Err(StoredError::damaged(WHAT, format!("{} bytes too many", rest.len())))
        }
        KindV1::Object => Ok(Version::Object(Box::new(object(rest)?))),
        KindV1::Marker { version, made_at } => {
            let version = version.map(|(stamp, random)| VersionId { stamp: Stamp(stamp), random });
            Ok(Version::Marker(DeleteMarker { version, made_at: Timestamp(made_at) }))
        }
    }
}

impl Stored for Version {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        match self {
            Self::Object(object) => {
                let mut row = versioned::encode(WHAT, 1, &KindV1::Object)?;
                row.extend(encode_object(object)?);
                Ok(row)
            }
            Self::Marker(DeleteMarker { version, made_at }) => {
                let version = version.map(|VersionId { stamp, random }| (stamp.0, random));
                versioned::encode(WHAT, 1, &KindV1::Marker { version, made_at: made_at.0 })
            }
        }
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        read(row, decode_whole_object)
    }
}
