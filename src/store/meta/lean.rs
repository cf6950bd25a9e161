//! Objects and xorbs as rows, in few bytes: a small object's metadata would else be a fifth of it.
//!
//! What a row's key says is not said again, and what most rows have in common is left out: a xorb of one chunk has the
//! chunk's hash, most objects say nothing of themselves but a well-known type.

use redb::StorageError;
use serde::{Deserialize, Serialize};

use super::tables::{decode, encode};
use crate::model::checksums::Checksum;
use crate::model::clock::Timestamp;
use crate::model::names::UploadId;
use crate::model::object::{Attributes, ETag, Object};
use crate::store::pack::PackId;
use crate::store::rows::XorbRow;
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::xorb::{ChunkEntry, ChunkTable};

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

/// What an object says of itself.
#[derive(Serialize, Deserialize)]
enum Said {
    Nothing,
    KnownType(u8),
    All(Box<Attributes>),
}

impl Said {
    fn of(attributes: &Attributes) -> Self {
        let only_type = Attributes { content_type: attributes.content_type.clone(), ..Attributes::default() };
        let known = KNOWN_TYPES.iter().position(|known| Some(*known) == attributes.content_type.as_deref());
        match (only_type == *attributes, known) {
            (true, Some(known)) => Self::KnownType(known as u8),
            (true, None) if attributes.content_type.is_none() => Self::Nothing,
            _ => Self::All(Box::new(attributes.clone())),
        }
    }

    fn attributes(self) -> Result<Attributes, StorageError> {
        match self {
            Self::Nothing => Ok(Attributes::default()),
            Self::All(attributes) => Ok(*attributes),
            Self::KnownType(known) => {
                let unknown = || StorageError::Corrupted(format!("there is no content type {known}"));
                let content_type = KNOWN_TYPES.get(usize::from(known)).ok_or_else(unknown)?;
                Ok(Attributes { content_type: Some((*content_type).to_owned()), ..Attributes::default() })
            }
        }
    }
}

/// An [`Object`] without its parts.
#[derive(Serialize, Deserialize)]
struct LeanObject {
    file: FileHash,
    size: u64,
    etag: ETag,
    modified_at: Timestamp,
    said: Said,
    checksums: Vec<Checksum>,
    upload: Option<UploadId>,
}

/// An object's row is the object and then its parts, so that whoever does not want them need not read them.
pub(super) fn encode_object(object: &Object) -> Result<Vec<u8>, StorageError> {
    let Object { file, size, etag, modified_at, attributes, checksums, parts, upload } = object;
    let (checksums, upload, said) = (checksums.clone(), upload.clone(), Said::of(attributes));
    let lean = LeanObject {
        file: *file,
        size: *size,
        etag: *etag,
        modified_at: *modified_at,
        said,
        checksums,
        upload,
    };
    let mut row = encode(&lean)?;
    row.extend(encode(parts)?);
    Ok(row)
}

fn split_object(row: &[u8]) -> Result<(Object, &[u8]), StorageError> {
    let (lean, parts) = postcard::take_from_bytes(row)
        .map_err(|error| StorageError::Corrupted(format!("an object cannot be read: {error}")))?;
    let LeanObject { file, size, etag, modified_at, said, checksums, upload } = lean;
    let attributes = said.attributes()?;
    Ok((Object { file, size, etag, modified_at, attributes, checksums, parts: Vec::new(), upload }, parts))
}

/// Reads an object without its parts.
pub(super) fn decode_object(row: &[u8]) -> Result<Object, StorageError> {
    Ok(split_object(row)?.0)
}

/// Reads when an object was last written, and no more of it.
pub(super) fn decode_modified_at(row: &[u8]) -> Result<Timestamp, StorageError> {
    // The first fields of a [`LeanObject`], in their order.
    let ((_, _, _, modified_at), _) = postcard::take_from_bytes::<(FileHash, u64, ETag, Timestamp)>(row)
        .map_err(|error| StorageError::Corrupted(format!("an object cannot be read: {error}")))?;
    Ok(modified_at)
}

/// Reads an object with its parts.
pub(super) fn decode_whole_object(row: &[u8]) -> Result<Object, StorageError> {
    let (object, parts) = split_object(row)?;
    Ok(Object { parts: decode(parts)?, ..object })
}

/// The chunks of a xorb: one that gives it its hash, by the ends of its record and its bytes; or any.
#[derive(Serialize)]
enum ChunksOut<'r> {
    One(u32, u32),
    Any(&'r ChunkTable),
}

#[derive(Deserialize)]
enum ChunksIn {
    One(u32, u32),
    Any(ChunkTable),
}

/// Writes where a xorb lies, in a row named by its hash.
pub(super) fn encode_xorb(hash: &XorbHash, row: &XorbRow) -> Result<Vec<u8>, StorageError> {
    let chunks = match row.table.entries() {
        [one] if one.hash.as_bytes() == hash.as_bytes() => ChunksOut::One(one.record_end, one.raw_end),
        _ => ChunksOut::Any(&row.table),
    };
    encode(&(row.pack, row.offset, row.frame_end.wrapping_sub(row.offset), chunks))
}

/// Reads where a xorb lies.
pub(super) fn decode_xorb(hash: &XorbHash, row: &[u8]) -> Result<XorbRow, StorageError> {
    let (pack, offset, bytes, chunks): (PackId, u64, u64, ChunksIn) = decode(row)?;
    let table = match chunks {
        ChunksIn::Any(table) => table,
        ChunksIn::One(record_end, raw_end) => {
            let entry = ChunkEntry { hash: ChunkHash::from_bytes(*hash.as_bytes()), record_end, raw_end };
            ChunkTable::from_entries(vec![entry])
                .map_err(|error| StorageError::Corrupted(error.to_string()))?
        }
    };
    Ok(XorbRow { pack, offset, frame_end: offset.wrapping_add(bytes), table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checksums::{ChecksumAlgorithm, ChecksumType};
    use crate::model::object::ObjectPart;

    fn object(attributes: Attributes) -> Object {
        Object {
            file: FileHash::EMPTY,
            size: 4096,
            etag: ETag::Md5([7; 16]),
            modified_at: Timestamp(1_700_000_000_000),
            attributes,
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
        }
    }

    #[test]
    fn objects_read_back_with_all_that_was_said_of_them() {
        let of_type = |content_type: &str| Attributes {
            content_type: Some(content_type.to_owned()),
            ..Attributes::default()
        };
        let tagged = Attributes { tags: [("a".to_owned(), "b".to_owned())].into(), ..of_type("text/plain") };
        for attributes in [Attributes::default(), of_type("text/plain"), of_type("text/unheard-of"), tagged] {
            let object = object(attributes);
            let row = encode_object(&object).unwrap();
            assert_eq!(decode_whole_object(&row).unwrap(), object);
            assert_eq!(decode_modified_at(&row).unwrap(), object.modified_at);
        }
        let checksum = Checksum {
            algorithm: ChecksumAlgorithm::Crc32,
            value: vec![1; 4],
            over: ChecksumType::FullObject,
        };
        let part = ObjectPart { number: 1, size: 4096, checksum: Some(checksum.clone()) };
        let upload = Some(UploadId::new(1, [2; 8]));
        let object =
            Object { checksums: vec![checksum], parts: vec![part], upload, ..object(of_type("text/plain")) };
        let row = encode_object(&object).unwrap();
        assert_eq!(decode_whole_object(&row).unwrap(), object);
        assert_eq!(decode_object(&row).unwrap(), Object { parts: Vec::new(), ..object });
    }

    #[test]
    fn a_small_object_of_a_common_type_has_a_row_of_few_bytes() {
        let attributes =
            Attributes { content_type: Some("binary/octet-stream".to_owned()), ..Attributes::default() };
        assert_eq!(encode_object(&object(attributes)).unwrap().len(), 62);
    }

    #[test]
    fn a_type_that_no_version_knew_is_damage() {
        assert!(Said::KnownType(255).attributes().is_err());
    }

    #[test]
    fn xorbs_of_one_chunk_and_of_many_read_back() {
        for chunks in [1_u8, 3] {
            let mut table = ChunkTable::default();
            let hashes: Vec<_> = (0..chunks).map(|byte| ChunkHash::of(&[byte])).collect();
            for hash in &hashes {
                table.push(*hash, 9, 1);
            }
            let xorb = table.xorb_hash();
            let row = XorbRow { pack: PackId(3), offset: 1 << 33, frame_end: (1 << 33) + 200, table };
            let bytes = encode_xorb(&xorb, &row).unwrap();
            assert_eq!(decode_xorb(&xorb, &bytes).unwrap(), row);
        }
    }

    #[test]
    fn a_xorb_of_one_chunk_whose_ends_cannot_be_is_damage() {
        let hash = XorbHash::from_bytes([1; 32]);
        let row = encode(&(PackId(1), 8_u64, 100_u64, ChunksOut::One(9, 0))).unwrap();
        assert!(decode_xorb(&hash, &row).is_err());
    }
}
