//! Names in URLs and bodies, and the Hub's rules for them.

use super::error::{HubError, HubResult};
use crate::bucket::{BucketName, ObjectKey};

/// A bucket's name by the Hub's rule, which S3's is wider than.
pub(super) fn bucket_name(name: &str) -> HubResult<BucketName> {
    BucketName::new(name).map_err(|error| HubError::bad_request(error.to_string()))
}

/// A name for a new bucket.
pub(super) fn new_bucket_name(name: &str) -> HubResult<BucketName> {
    if name.contains("--") {
        return Err(HubError::bad_request(format!("bucket name {name:?} must not hold '--' or '..'")));
    }
    bucket_name(name)
}

/// A path to store a file at: no empty segment, no `.`, no `..`. (S3 allows them; what is there may be read and deleted.)
pub(super) fn new_file_path(path: &str) -> HubResult<ObjectKey> {
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        let shown: String = path.chars().take(100).collect();
        let rule = "must not hold an empty segment, '.' or '..'";
        return Err(HubError::bad_request(format!("path {shown:?} {rule}")));
    }
    ObjectKey::new(path).map_err(|error| HubError::bad_request(error.to_string()))
}

/// The value of a parameter in a query.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    values.next()
}

/// A URL's `Link` header that leads to the next page.
pub(super) fn next_link(origin: &str, path: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("<{origin}{path}?{query}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stored_where_a_path_could_not_lead() {
        for bad in ["", "/a", "a/", "a//b", "..", "../a", "a/..", "a/./b", &"x".repeat(1025)] {
            assert!(new_file_path(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.c", "..a", "a..", "ключ/ü"] {
            assert!(new_file_path(good).is_ok(), "{good:?}");
        }
        assert!(new_bucket_name("a--b").is_err() && new_bucket_name("a-b").is_ok());
    }
}
