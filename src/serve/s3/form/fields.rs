//! The fields of a form, up to its file.

use std::collections::{BTreeMap, HashMap};

use axum::body::Body;
use s3s::{S3Error, S3Result, s3_error};

use crate::serve::s3::errors::invalid_argument;

/// Most bytes of all fields together. Source: S3 API reference, `MaxPostPreDataLengthExceeded`.
const FIELDS_BYTES_MAX: usize = 20 << 10;

/// Fields that are headers in a PUT.
const STANDARD_HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// Fields that sign.
const SIGNING: [&str; 5] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"];

/// The fields, by name in lower case; and the name of the file.
#[derive(Default)]
pub(super) struct Fields {
    values: BTreeMap<String, String>,
    file_name: String,
}

impl Fields {
    /// A field's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Adds or replaces a field.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The name of the file on the user's machine, without its folder.
    pub(super) fn file_name(&self) -> &str {
        self.file_name.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    /// Puts the file's name in the key where it asks for it. Before the policy is looked at: it is held to the key that
    /// the object will have.
    fn complete_key(&mut self) {
        if let Some(key) = self.values.get("key") {
            let key = key.replace("${filename}", self.file_name());
            self.set("key", &key);
        }
    }

    /// The fields that are headers in a PUT; user metadata is not among them.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        fields.filter(|(name, _)| {
            let amz = name.starts_with("x-amz-") && !name.starts_with("x-amz-meta-");
            STANDARD_HEADERS.contains(name) || (amz && !SIGNING.contains(name))
        })
    }

    /// User metadata.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let fields = self.values.iter();
        let named = fields.filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?, value)));
        named.map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }
}

fn malformed(error: impl std::fmt::Display) -> S3Error {
    s3_error!(
        MalformedPOSTRequest,
        "The body of your POST request is not well-formed multipart/form-data: {error}"
    )
}

/// Reads the fields up to the file. What follows it is ignored, as on AWS.
pub(super) async fn read(content_type: &str, body: Body) -> S3Result<(Fields, multer::Field<'static>)> {
    let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
    let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
    let mut fields = Fields::default();
    let mut left = FIELDS_BYTES_MAX;
    while let Some(mut field) = form.next_field().await.map_err(malformed)? {
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            field.file_name().unwrap_or_default().clone_into(&mut fields.file_name);
            fields.complete_key();
            return Ok((fields, field));
        }
        let mut value = Vec::new();
        left = left.checked_sub(name.len()).ok_or_else(too_long)?;
        while let Some(bytes) = field.chunk().await.map_err(malformed)? {
            left = left.checked_sub(bytes.len()).ok_or_else(too_long)?;
            value.extend_from_slice(&bytes);
        }
        let value = String::from_utf8(value).map_err(|_| malformed("a field is not UTF-8"))?;
        if fields.values.insert(name, value).is_some() {
            return Err(invalid_argument("A field is given twice."));
        }
    }
    Err(invalid_argument("POST requires exactly one file upload per request."))
}

fn too_long() -> S3Error {
    s3_error!(
        MaxPostPreDataLengthExceededError,
        "Your POST request fields preceding the upload file were too large."
    )
}
