//! The XML that s3s does not write as S3 does: errors, an object's attributes, versions, and the answer to a form.

use std::io::Write;

use bytes::Bytes;
use quick_xml::se::{QuoteLevel, Serializer};
use s3s::dto;
use s3s::xml::{SerResult, Serialize as SerializeDto, Serializer as DtoSerializer};
use serde::{Deserialize, Serialize};

/// The namespace of answers. Source: S3 API reference.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// The message of an error that has none.
const NO_MESSAGE: &str = "The request was refused.";

/// An answer's XML, with its declaration.
pub(super) fn write(answer: &impl Serialize) -> Bytes {
    let mut xml = DECLARATION.to_owned();
    let mut serializer = Serializer::new(&mut xml);
    serializer.set_quote_level(QuoteLevel::Full).expand_empty_elements(true);
    let written = answer.serialize(serializer);
    debug_assert!(written.is_ok(), "XML is written into memory");
    escape_controls(xml.into())
}

/// Replaces control characters in XML by character references. XML parsers read a raw carriage return as a line feed (XML
/// 1.0, section 2.11), and neither quick-xml nor s3s escapes it. Characters that XML cannot have at all become references
/// as well, as S3 writes them: a client that expects such names in a listing asks for `encoding-type=url`.
pub(super) fn escape_controls(xml: Bytes) -> Bytes {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n');
    if !xml.iter().any(is_control) {
        return xml;
    }
    let mut escaped = Vec::with_capacity(xml.len() + 64);
    for byte in xml {
        if is_control(&byte) {
            escaped.extend(format!("&#{byte};").into_bytes());
        } else {
            escaped.push(byte);
        }
    }
    escaped.into()
}

/// An error as s3s writes it: a code, and perhaps a message.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PlainError {
    /// The code.
    pub(super) code: String,
    /// The message.
    pub(super) message: Option<String>,
}

impl PlainError {
    /// Reads an error; `None` if the XML is none.
    pub(super) fn read(xml: &[u8]) -> Option<Self> {
        quick_xml::de::from_reader(xml).ok()
    }
}

/// An error as S3 writes it.
#[derive(Debug, Serialize)]
#[serde(rename = "Error", rename_all = "PascalCase")]
pub(super) struct ErrorDocument<'e> {
    code: &'e str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_requested: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual_object_size: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'e str>,
    resource: &'e str,
    request_id: &'e str,
}

impl<'e> ErrorDocument<'e> {
    /// An error of this code and message, of a request for this resource with this id.
    pub(super) fn new(
        code: &'e str,
        message: Option<&'e str>,
        resource: &'e str,
        request_id: &'e str,
    ) -> Self {
        let message = message.unwrap_or(NO_MESSAGE);
        Self {
            code,
            message,
            range_requested: None,
            actual_object_size: None,
            region: None,
            resource,
            request_id,
        }
    }

    /// Adds the range that an `InvalidRange` is about, and the object's size: clients of the AWS Common Runtime learn from
    /// it that an object is empty.
    pub(super) fn with_range(self, requested: Option<&'e str>, object_size: Option<&'e str>) -> Self {
        let (range_requested, actual_object_size) = requested.zip(object_size).unzip();
        Self { range_requested, actual_object_size, ..self }
    }

    /// Adds the region that the request should have been signed for.
    pub(super) fn with_region(self, region: Option<&'e str>) -> Self {
        Self { region, ..self }
    }
}

/// The answer to a form whose `success_action_status` is 201.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PostResponse<'p> {
    /// The URL of the object.
    pub(super) location: &'p str,
    /// The bucket's name.
    pub(super) bucket: &'p str,
    /// The object's key.
    pub(super) key: &'p str,
    /// The object's `ETag`, with quotes.
    #[serde(rename = "ETag")]
    pub(super) etag: &'p str,
}

/// The answer of `GetObjectAttributes`, whose `ETag` alone has no quotes; s3s always writes them.
struct ObjectAttributes<'o>(&'o dto::GetObjectAttributesOutput);

/// The XML of an object's attributes.
pub(super) fn write_object_attributes(output: &dto::GetObjectAttributesOutput) -> Bytes {
    let mut xml = Vec::with_capacity(512);
    let mut serializer = DtoSerializer::new(&mut xml);
    let written = serializer.decl().and_then(|()| ObjectAttributes(output).serialize(&mut serializer));
    debug_assert!(written.is_ok(), "XML is written into memory");
    xml.into()
}

impl SerializeDto for ObjectAttributes<'_> {
    fn serialize<W: Write>(&self, xml: &mut DtoSerializer<W>) -> SerResult {
        let Self(output) = self;
        xml.element_with_ns("GetObjectAttributesResponse", NAMESPACE, |xml| {
            if let Some(checksum) = &output.checksum {
                xml.content("Checksum", checksum)?;
            }
            if let Some(etag) = &output.e_tag {
                xml.content("ETag", etag.value())?;
            }
            if let Some(parts) = &output.object_parts {
                xml.content("ObjectParts", parts)?;
            }
            if let Some(size) = &output.object_size {
                xml.content("ObjectSize", size)?;
            }
            match &output.storage_class {
                Some(class) => xml.content("StorageClass", class),
                None => Ok(()),
            }
        })
    }
}

/// An entry of a listing of versions.
pub(super) enum ListedVersion {
    /// An object.
    Object(Box<dto::ObjectVersion>),
    /// A delete marker.
    Marker(dto::DeleteMarkerEntry),
}

/// The XML of a listing of versions, in which objects and delete markers are in one order. s3s writes those before these,
/// which loses how they follow each other.
pub(super) fn write_versions(output: &dto::ListObjectVersionsOutput, entries: &[ListedVersion]) -> Bytes {
    let mut xml = Vec::with_capacity(512 + 512 * entries.len());
    let mut serializer = DtoSerializer::new(&mut xml);
    let written = serializer.decl().and_then(|()| Versions(output, entries).serialize(&mut serializer));
    debug_assert!(written.is_ok(), "XML is written into memory");
    xml.into()
}

/// In the order of AWS's answers.
struct Versions<'v>(&'v dto::ListObjectVersionsOutput, &'v [ListedVersion]);

impl SerializeDto for Versions<'_> {
    fn serialize<W: Write>(&self, xml: &mut DtoSerializer<W>) -> SerResult {
        let Self(output, entries) = self;
        xml.element_with_ns("ListVersionsResult", NAMESPACE, |xml| {
            for (name, text) in [
                ("Name", &output.name),
                ("Prefix", &output.prefix),
                ("KeyMarker", &output.key_marker),
                ("VersionIdMarker", &output.version_id_marker),
                ("NextKeyMarker", &output.next_key_marker),
                ("NextVersionIdMarker", &output.next_version_id_marker),
                ("Delimiter", &output.delimiter),
            ] {
                if let Some(text) = text {
                    xml.content(name, text)?;
                }
            }
            if let Some(max_keys) = &output.max_keys {
                xml.content("MaxKeys", max_keys)?;
            }
            if let Some(encoding) = &output.encoding_type {
                xml.content("EncodingType", encoding)?;
            }
            if let Some(is_truncated) = &output.is_truncated {
                xml.content("IsTruncated", is_truncated)?;
            }
            for entry in *entries {
                match entry {
                    ListedVersion::Object(version) => xml.content("Version", &**version)?,
                    ListedVersion::Marker(marker) => xml.content("DeleteMarker", marker)?,
                }
            }
            match &output.common_prefixes {
                Some(prefixes) => xml.flattened_list("CommonPrefixes", prefixes),
                None => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_with_all_that_is_known_of_it() {
        let read = PlainError::read(
            b"<?xml version=\"1.0\"?><Error><Code>A</Code><Message>a &lt; b</Message></Error>",
        );
        let read = read.unwrap();
        assert_eq!((read.code.as_str(), read.message.as_deref()), ("A", Some("a < b")));
        let error = ErrorDocument::new(&read.code, read.message.as_deref(), "/b/k & x", "0A");
        let error = error.with_range(Some("bytes=9-"), Some("3"));
        let xml = String::from_utf8(write(&error).into()).unwrap();
        assert!(xml.ends_with(
            "<Error><Code>A</Code><Message>a &lt; b</Message><RangeRequested>bytes=9-</RangeRequested>\
             <ActualObjectSize>3</ActualObjectSize><Resource>/b/k &amp; x</Resource><RequestId>0A</RequestId></Error>"
        ));
        assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{xml}");
    }

    #[test]
    fn other_xml_is_not_read_as_an_error() {
        for xml in ["", "text", "<ListBucketResult/>", "<Error><Code>A</Code>"] {
            assert_eq!(PlainError::read(xml.as_bytes()), None, "{xml}");
        }
        let bare = PlainError::read(b"<Error><Code>A</Code></Error>").unwrap();
        assert_eq!(bare.message, None);
    }

    #[test]
    fn control_characters_are_kept_as_references() {
        let plain = Bytes::from("<Key>a\tb\nü</Key>");
        assert_eq!(escape_controls(plain.clone()), plain);
        let escaped = escape_controls(Bytes::from("<Key>a\rb\u{1}ü</Key>"));
        assert_eq!(escaped, "<Key>a&#13;b&#1;ü</Key>".as_bytes());
    }
}
