//! The rows of running multipart uploads and of their parts.

use serde::{Deserialize, Serialize};

use super::Stored;
use super::values::{AlgorithmV1, AttributesV1, ChecksumTypeV1, ChecksumV1, LockV1, name};
use crate::model::clock::Timestamp;
use crate::model::lock::ObjectLock;
use crate::model::names::{ObjectKey, UploadId};
use crate::model::upload::{Part, Upload};
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::FileHash;

const UPLOAD: &str = "an upload";
const PART: &str = "a part of an upload";

#[derive(Serialize, Deserialize)]
struct UploadV1<'r> {
    id: &'r str,
    key: &'r str,
    created_at: u64,
    #[serde(borrow)]
    attributes: AttributesV1<'r>,
    checksum: Option<(AlgorithmV1, ChecksumTypeV1)>,
}

/// A row of version 2 is one of version 1 and then a lock. An upload of an object without one has a row of version 1.
impl Stored for Upload {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { id, key, created_at, attributes, checksum, lock } = self;
        let row = UploadV1 {
            id: id.as_str(),
            key: key.as_str(),
            created_at: created_at.0,
            attributes: attributes.into(),
            checksum: checksum.map(|(algorithm, over)| (algorithm.into(), over.into())),
        };
        if *lock == ObjectLock::default() {
            return versioned::encode(UPLOAD, 1, &row);
        }
        versioned::append(UPLOAD, versioned::encode(UPLOAD, 2, &row)?, &LockV1::from(*lock))
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let (stored, lock): (UploadV1<'_>, _) = match versioned::split(UPLOAD, row)? {
            (1, fields) => (versioned::decode(UPLOAD, fields)?, ObjectLock::default()),
            (2, fields) => {
                let (stored, rest) = versioned::take(UPLOAD, fields)?;
                (stored, versioned::decode::<LockV1>(UPLOAD, rest)?.into())
            }
            (version, _) => return Err(StoredError::unknown_version(UPLOAD, version, 2)),
        };
        let id = UploadId::parse(stored.id);
        Ok(Self {
            id: id.ok_or_else(|| StoredError::damaged(UPLOAD, "its id is not an upload's"))?,
            key: name(UPLOAD, ObjectKey::new(stored.key))?,
            created_at: Timestamp(stored.created_at),
            attributes: stored.attributes.into(),
            checksum: stored.checksum.map(|(algorithm, over)| (algorithm.into(), over.into())),
            lock,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct PartV1<'r> {
    number: u16,
    file: [u8; 32],
    size: u64,
    md5: [u8; 16],
    modified_at: u64,
    #[serde(borrow)]
    checksum: Option<ChecksumV1<'r>>,
}

impl Stored for Part {
    fn to_row(&self) -> Result<Vec<u8>, StoredError> {
        let Self { number, file, size, md5, modified_at, checksum } = self;
        let row = PartV1 {
            number: *number,
            file: *file.as_bytes(),
            size: *size,
            md5: *md5,
            modified_at: modified_at.0,
            checksum: checksum.as_ref().map(Into::into),
        };
        versioned::encode(PART, 1, &row)
    }

    fn from_row(row: &[u8]) -> Result<Self, StoredError> {
        let stored: PartV1<'_> = match versioned::split(PART, row)? {
            (1, fields) => versioned::decode(PART, fields)?,
            (version, _) => return Err(StoredError::unknown_version(PART, version, 1)),
        };
        Ok(Self {
            number: stored.number,
            file: FileHash::from_bytes(stored.file),
            size: stored.size,
            md5: stored.md5,
            modified_at: Timestamp(stored.modified_at),
            checksum: stored.checksum.map(Into::into),
        })
    }
}
