//! `GetObjectAttributes`: the attributes of an object that the request names.

use s3s::dto;
use s3s::{S3Request, S3Response, S3Result};

use crate::bucket::{Object, ObjectPart, ObjectRef};

use super::listing::page_size;
use super::objects::etag;
use crate::serve::s3::checksums::{set_checksums, type_of};
use crate::serve::s3::conditions::whole_seconds;
use crate::serve::s3::context::Context;
use crate::serve::s3::errors::invalid_argument;
use crate::serve::s3::response::OverrideXml;
use crate::serve::s3::xml;
use crate::serve::s3::{object_key, versions};

/// The attributes that there are.
const KNOWN: [&str; 5] = [
    dto::ObjectAttributes::CHECKSUM,
    dto::ObjectAttributes::ETAG,
    dto::ObjectAttributes::OBJECT_PARTS,
    dto::ObjectAttributes::OBJECT_SIZE,
    dto::ObjectAttributes::STORAGE_CLASS,
];

/// Which attributes a request names; it must name one. s3s does not split the header at its commas.
fn named(header: &[dto::ObjectAttributes]) -> S3Result<Vec<&'static str>> {
    let listed = header.iter().flat_map(|list| list.as_str().split(',')).map(str::trim);
    let known = listed.filter(|name| !name.is_empty()).map(|name| {
        let found = KNOWN.into_iter().find(|known| *known == name);
        found.ok_or_else(|| invalid_argument("Invalid attribute name specified."))
    });
    let named: Vec<_> = known.collect::<S3Result<_>>()?;
    if named.is_empty() {
        return Err(invalid_argument("At least one attribute must be specified."));
    }
    Ok(named)
}

/// Answers the attributes that the request names.
pub(super) async fn get(
    context: &Context,
    request: S3Request<dto::GetObjectAttributesInput>,
) -> S3Result<S3Response<dto::GetObjectAttributesOutput>> {
    let input = request.input;
    let version = versions::parse(input.version_id.as_deref())?;
    let named = named(&input.object_attributes)?;
    let asks = |name| named.contains(&name);
    let max_parts = page_size(input.max_parts, "x-amz-max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    let id = context.bucket_id()?;
    let key = object_key(&input.key)?;
    let object = context.api.buckets.object(id, ObjectRef { key: &key, version }).await?;
    let output = dto::GetObjectAttributesOutput {
        checksum: Some(&object).filter(|_| asks(dto::ObjectAttributes::CHECKSUM)).and_then(checksum),
        e_tag: asks(dto::ObjectAttributes::ETAG).then(|| etag(&object)),
        last_modified: Some(whole_seconds(object.modified_at)),
        object_parts: Some(&object)
            .filter(|_| asks(dto::ObjectAttributes::OBJECT_PARTS))
            .and_then(|object| parts(object, marker, max_parts)),
        object_size: i64::try_from(object.size).ok().filter(|_| asks(dto::ObjectAttributes::OBJECT_SIZE)),
        storage_class: asks(dto::ObjectAttributes::STORAGE_CLASS)
            .then(|| dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
        version_id: versions::shown(context.bucket()?, object.version),
        ..dto::GetObjectAttributesOutput::default()
    };
    let written = xml::write_object_attributes(&output);
    let mut response = S3Response::new(output);
    response.extensions.insert(OverrideXml(written));
    Ok(response)
}

fn checksum(object: &Object) -> Option<dto::Checksum> {
    let checksum_type = type_of(&object.checksums)?;
    let mut checksum = dto::Checksum { checksum_type: Some(checksum_type), ..dto::Checksum::default() };
    set_checksums!(checksum, &object.checksums, object.parts.len());
    Some(checksum)
}

/// A page of an object's parts; none at all if it did not come in parts.
fn parts(object: &Object, marker: i32, max_parts: i32) -> Option<dto::GetObjectAttributesParts> {
    if object.parts.is_empty() {
        return None;
    }
    let after_marker = object.parts.iter().filter(|part| i32::from(part.number) > marker);
    let page: Vec<_> = after_marker.clone().take(usize::try_from(max_parts).unwrap_or_default()).collect();
    let is_truncated = after_marker.count() > page.len();
    Some(dto::GetObjectAttributesParts {
        is_truncated: Some(is_truncated),
        max_parts: Some(max_parts),
        next_part_number_marker: page.last().map(|part| i32::from(part.number)),
        part_number_marker: Some(marker),
        parts: Some(page.into_iter().map(part_to_s3).collect()),
        total_parts_count: i32::try_from(object.parts.len()).ok(),
    })
}

fn part_to_s3(part: &ObjectPart) -> dto::ObjectPart {
    let mut output = dto::ObjectPart {
        part_number: Some(i32::from(part.number)),
        size: i64::try_from(part.size).ok(),
        ..dto::ObjectPart::default()
    };
    set_checksums!(output, part.checksum.iter(), 0);
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Attributes, ETag, FileHash, Timestamp};
    use crate::model::lock::ObjectLock;

    #[test]
    fn attributes_are_named_in_a_list() {
        let read = |text: &str| {
            let header = [dto::ObjectAttributes::from(text.to_owned())];
            named(&header).map_err(|error| error.code().as_str().to_owned())
        };
        assert_eq!(read("ETag, ObjectSize"), Ok(vec!["ETag", "ObjectSize"]));
        for bad in ["", "ETag,Nonsense", "etag"] {
            assert_eq!(read(bad), Err("InvalidArgument".to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn parts_come_in_pages() {
        let part = |number| ObjectPart { number, size: 5, checksum: None };
        let object = Object {
            file: FileHash::EMPTY,
            size: 15,
            etag: ETag::Multipart { md5: [0; 16], parts: 3 },
            modified_at: Timestamp(0),
            attributes: Attributes::default(),
            checksums: Vec::new(),
            parts: vec![part(1), part(2), part(7)],
            upload: None,
            version: None,
            lock: ObjectLock::default(),
        };
        let page = |marker, max| {
            let page = parts(&object, marker, max).unwrap();
            let numbers: Vec<_> = page.parts.unwrap().iter().filter_map(|part| part.part_number).collect();
            (numbers, page.is_truncated, page.next_part_number_marker)
        };
        assert_eq!(page(0, 2), (vec![1, 2], Some(true), Some(2)));
        assert_eq!(page(2, 2), (vec![7], Some(false), Some(7)));
        assert_eq!(page(7, 2), (vec![], Some(false), None));
        assert_eq!(parts(&object, 0, 2).unwrap().total_parts_count, Some(3));
        assert!(parts(&Object { parts: Vec::new(), ..object }, 0, 2).is_none());
    }
}
