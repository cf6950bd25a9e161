//! The rules of multipart uploads: which parts a completion may name, what the object is that they become, and how running
//! uploads are listed.

use std::ops::Range;

use fast_md5::Md5;

use super::limits::{OBJECT_BYTES_MAX, PART_BYTES_MAX, PART_BYTES_MIN};
use super::{
    BucketError, ByteRange, Checksum, CompletedPart, ETag, ExpectedObject, ListUploads, ObjectPart, Part,
    Upload, UploadPage,
};
use crate::engine::digest::checksum_of_parts;
use crate::model::bucket::BucketUid;
use crate::store::meta::{MetaError, MetaStore};

/// Of the `stored` parts (by number) those that the client names, each checked against what it says.
pub(super) fn named_parts(stored: &[Part], named: &[CompletedPart]) -> Result<Vec<Part>, BucketError> {
    if !named.is_sorted_by(|a, b| a.number < b.number) {
        return Err(BucketError::InvalidPartOrder);
    }
    let mut parts = Vec::with_capacity(named.len());
    for want in named {
        let found = stored.binary_search_by_key(&want.number, |part| part.number);
        let part = found.ok().map(|at| &stored[at]).filter(|part| is_as_named(part, want));
        parts.push(part.ok_or(BucketError::InvalidPart(want.number))?.clone());
    }
    let but_last = parts.split_last().map_or(&[][..], |(_, others)| others);
    if let Some(small) = but_last.iter().find(|part| part.size < PART_BYTES_MIN) {
        let (number, size) = (small.number, small.size);
        return Err(BucketError::PartTooSmall { number, size, min: PART_BYTES_MIN });
    }
    if parts.iter().map(|part| part.size).sum::<u64>() > OBJECT_BYTES_MAX {
        return Err(BucketError::TooLarge { max: OBJECT_BYTES_MAX });
    }
    Ok(parts)
}

fn is_as_named(part: &Part, named: &CompletedPart) -> bool {
    let checksum_holds = match (&named.checksum, &part.checksum) {
        (Some((algorithm, value)), Some(stored)) if *algorithm == stored.algorithm => *value == stored.value,
        _ => true,
    };
    ETag::Md5(part.md5).to_string() == named.etag && checksum_holds
}

/// The bytes of a source of this size that a copied part takes. A range is not shortened to the source, as a read's would be:
/// the client relies on the part's size.
pub(super) fn copied_range(range: Option<ByteRange>, size: u64) -> Result<Range<u64>, BucketError> {
    let unsatisfiable = BucketError::RangeNotSatisfiable { size };
    let range = match range {
        None => 0..size,
        Some(ByteRange::Bounded(_, last)) if last >= size => return Err(unsatisfiable),
        Some(range) => range.resolve(size).ok_or(unsatisfiable)?,
    };
    if range.end - range.start > PART_BYTES_MAX {
        return Err(BucketError::TooLarge { max: PART_BYTES_MAX });
    }
    Ok(range)
}

/// The checksum of the object, from those of its parts: the one that its upload was begun for.
pub(super) fn whole_checksum(upload: &Upload, parts: &[Part]) -> Option<Checksum> {
    let (algorithm, over) = upload.checksum?;
    let values = parts.iter().map(|part| {
        let checksum = part.checksum.as_ref().filter(|checksum| checksum.algorithm == algorithm)?;
        Some((checksum.value.as_slice(), part.size))
    });
    let value = checksum_of_parts(algorithm, over, &values.collect::<Option<Vec<_>>>()?)?;
    Some(Checksum { algorithm, value, over })
}

/// Checks what the client says of the whole object.
pub(super) fn check_expected(
    expected: &ExpectedObject,
    upload: &Upload,
    parts: &[Part],
    checksum: Option<&Checksum>,
) -> Result<(), BucketError> {
    let actual: u64 = parts.iter().map(|part| part.size).sum();
    if let Some(declared) = expected.size.filter(|size| *size != actual) {
        return Err(BucketError::SizeMismatch { declared, actual });
    }
    if expected.over.is_some_and(|over| upload.checksum.is_none_or(|(_, begun)| begun != over)) {
        return Err(BucketError::OtherChecksum);
    }
    let Some((algorithm, value)) = &expected.checksum else {
        return Ok(());
    };
    if upload.checksum.is_none_or(|(begun, _)| begun != *algorithm) {
        return Err(BucketError::OtherChecksum);
    }
    match checksum {
        Some(checksum) if checksum.value == *value => Ok(()),
        _ => Err(BucketError::ChecksumMismatch(*algorithm)),
    }
}

pub(super) fn multipart_etag(parts: &[Part]) -> ETag {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&part.md5);
    }
    ETag::Multipart { md5: md5.finalize(), parts: parts.len() as u16 }
}

pub(super) fn object_part(part: &Part) -> ObjectPart {
    ObjectPart { number: part.number, size: part.size, checksum: part.checksum.clone() }
}

/// Rows read at a time.
const ROWS: usize = 1000;

/// Sorts after every upload id, which are hexadecimal.
const BEHIND_ALL_IDS: &str = "~";

fn common_prefix<'k>(key: &'k str, query: &ListUploads) -> Option<&'k str> {
    let delimiter = query.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
    let behind = key.get(query.prefix.len()..)?.find(delimiter)?;
    key.get(..query.prefix.len() + behind + delimiter.len())
}

/// Where the listing begins: after this key and upload id.
fn start(query: &ListUploads) -> (String, String) {
    let marker = query.key_marker.as_ref().map(|key| {
        let id = query.upload_marker.as_ref().map_or(BEHIND_ALL_IDS, |id| id.as_str());
        (key.clone(), id.to_owned())
    });
    let prefix = (query.prefix.clone(), String::new());
    marker.map_or(prefix.clone(), |marker| marker.max(prefix))
}

/// One page. Running uploads are few beside objects, so what is rolled up is read over.
pub(super) async fn upload_page(
    meta: &dyn MetaStore,
    bucket: BucketUid,
    query: &ListUploads,
) -> Result<UploadPage, MetaError> {
    let mut page = UploadPage::default();
    let mut after = start(query);
    loop {
        // Others have their turn between two pages, and a request that was given up ends here.
        tokio::task::yield_now().await;
        let rows = meta.uploads(bucket, (&after.0, &after.1), ROWS).await?;
        let Some(last) = rows.last() else {
            return Ok(page);
        };
        after = (last.key.as_str().to_owned(), last.id.as_str().to_owned());
        for upload in rows {
            if !upload.key.as_str().starts_with(&query.prefix) {
                return Ok(page);
            }
            let rolled = common_prefix(upload.key.as_str(), query);
            let is_listed = |rolled: &str| {
                page.common_prefixes.last().is_some_and(|last| last == rolled)
                    || query.key_marker.as_deref() == Some(rolled)
            };
            if rolled.is_some_and(is_listed) {
                continue;
            }
            if page.uploads.len() + page.common_prefixes.len() >= query.limit {
                page.truncated = query.limit > 0;
                return Ok(page);
            }
            match rolled {
                Some(rolled) => page.common_prefixes.push(rolled.to_owned()),
                None => page.uploads.push(upload),
            }
        }
    }
}
