//! The XML that s3s does not write as S3 does: errors, an object's attributes, and what a form is answered.

use std::io::Write;

use bytes::Bytes;
use s3s::dto;
use s3s::xml::{DeError, DeResult, Deserialize, Deserializer, SerResult, Serialize, Serializer};

/// The namespace of answers. Source: S3 API reference.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The message of an error that has none.
const NO_MESSAGE: &str = "The request was refused.";

/// An answer's XML, with its declaration.
pub(super) fn write(answer: &impl Serialize) -> Bytes {
    let mut xml = Vec::with_capacity(512);
    let mut serializer = Serializer::new(&mut xml);
    // Memory takes all that is written into it.
    let written = serializer.decl().and_then(|()| answer.serialize(&mut serializer));
    debug_assert!(written.is_ok(), "XML is written into memory");
    xml.into()
}

/// An error as s3s writes it: a code, and perhaps a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlainError {
    /// Its code.
    pub(super) code: String,
    /// What is said about it.
    pub(super) message: Option<String>,
}

impl PlainError {
    /// Reads an error; `None` if the XML is none.
    pub(super) fn read(xml: &[u8]) -> Option<Self> {
        Self::deserialize(&mut Deserializer::new(xml)).ok()
    }
}

impl<'xml> Deserialize<'xml> for PlainError {
    fn deserialize(reader: &mut Deserializer<'xml>) -> DeResult<Self> {
        reader.named_element("Error", |reader| {
            let mut error = Self::default();
            reader.for_each_element(|reader, name| {
                match name {
                    b"Code" => error.code = reader.content()?,
                    b"Message" => error.message = Some(reader.content()?),
                    _ => return Err(DeError::UnexpectedTagName),
                }
                Ok(())
            })?;
            Ok(error)
        })
    }
}

/// An error as S3 writes it.
#[derive(Debug, Default)]
pub(super) struct WholeError<'e> {
    /// Its code.
    pub(super) code: &'e str,
    /// What is said about it.
    pub(super) message: Option<&'e str>,
    /// Of `InvalidRange`, the range and the object's size: clients of the AWS Common Runtime learn from it that an
    /// object is empty.
    pub(super) missed_range: Option<(&'e str, &'e str)>,
    /// The region that the request should have been for.
    pub(super) region: Option<&'e str>,
    /// What the request was for.
    pub(super) resource: &'e str,
    /// The request's id.
    pub(super) request_id: &'e str,
}

impl Serialize for WholeError<'_> {
    fn serialize<W: Write>(&self, xml: &mut Serializer<W>) -> SerResult {
        xml.element("Error", |xml| {
            xml.content("Code", self.code)?;
            xml.content("Message", self.message.unwrap_or(NO_MESSAGE))?;
            if let Some((range, size)) = self.missed_range {
                xml.content("RangeRequested", range)?;
                xml.content("ActualObjectSize", size)?;
            }
            if let Some(region) = self.region {
                xml.content("Region", region)?;
            }
            xml.content("Resource", self.resource)?;
            xml.content("RequestId", self.request_id)
        })
    }
}

/// The answer of `GetObjectAttributes`, whose `ETag` alone has no quotes; s3s always writes them.
pub(super) struct ObjectAttributes<'o>(pub(super) &'o dto::GetObjectAttributesOutput);

impl Serialize for ObjectAttributes<'_> {
    fn serialize<W: Write>(&self, xml: &mut Serializer<W>) -> SerResult {
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

/// What a form with the status 201 is answered.
pub(super) struct PostResponse<'p> {
    /// The address of the object.
    pub(super) location: &'p str,
    /// The bucket's name.
    pub(super) bucket: &'p str,
    /// The object's key.
    pub(super) key: &'p str,
    /// Its `ETag`, with quotes.
    pub(super) etag: &'p str,
}

impl Serialize for PostResponse<'_> {
    fn serialize<W: Write>(&self, xml: &mut Serializer<W>) -> SerResult {
        xml.element("PostResponse", |xml| {
            xml.content("Location", self.location)?;
            xml.content("Bucket", self.bucket)?;
            xml.content("Key", self.key)?;
            xml.content("ETag", self.etag)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_and_written_with_what_belongs_to_it() {
        let read = PlainError::read(
            b"<?xml version=\"1.0\"?><Error><Code>A</Code><Message>a &lt; b</Message></Error>",
        );
        let read = read.unwrap();
        assert_eq!((read.code.as_str(), read.message.as_deref()), ("A", Some("a < b")));
        let error = WholeError {
            code: &read.code,
            message: read.message.as_deref(),
            missed_range: Some(("bytes=9-", "3")),
            region: None,
            resource: "/b/k & x",
            request_id: "0A",
        };
        let xml = String::from_utf8(write(&error).into()).unwrap();
        assert!(xml.ends_with(
            "<Error><Code>A</Code><Message>a &lt; b</Message><RangeRequested>bytes=9-</RangeRequested>\
             <ActualObjectSize>3</ActualObjectSize><Resource>/b/k &amp; x</Resource><RequestId>0A</RequestId></Error>"
        ));
        assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"), "{xml}");
    }

    #[test]
    fn what_is_no_error_is_not_read_as_one() {
        for xml in ["", "text", "<ListBucketResult/>", "<Error><Code>A</Code>"] {
            assert_eq!(PlainError::read(xml.as_bytes()), None, "{xml}");
        }
        let bare = PlainError::read(b"<Error><Code>A</Code></Error>").unwrap();
        assert_eq!(bare.message, None);
    }
}
