//! Names that cross layers, each made by one fallible constructor.

use std::fmt;

/// A name was refused; the text says which rule it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} {rule}")]
pub struct NameError {
    what: &'static str,
    name: String,
    rule: &'static str,
}

/// Longest object key, in bytes. Source: S3 user guide, "Object key naming guidelines".
pub const OBJECT_KEY_BYTES_MAX: usize = 1024;

/// Longest namespace or bucket name. Source: the Hub's repository names.
pub const HUB_NAME_BYTES_MAX: usize = 96;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name_type! {
    /// An account's name: a user or an organisation.
    Namespace
}
name_type! {
    /// A bucket's name inside its namespace. The Hub's rules, which are wider than S3's.
    BucketName
}
name_type! {
    /// An object's key: 1 to 1,024 bytes of UTF-8, nothing else asked.
    ObjectKey
}

/// The Hub's rule for namespaces and bucket names.
fn check_hub_name(what: &'static str, name: &str) -> Result<String, NameError> {
    let error =
        |rule| Err(NameError { what, name: name.chars().take(HUB_NAME_BYTES_MAX + 1).collect(), rule });
    if name.is_empty() || name.len() > HUB_NAME_BYTES_MAX {
        return error("must have 1 to 96 characters");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return error("may hold only letters, digits, '.', '_' and '-'");
    }
    if name.starts_with(['-', '.']) || name.ends_with(['-', '.']) {
        return error("must not begin or end with '-' or '.'");
    }
    if name.contains("--") || name.contains("..") {
        return error("must not hold '--' or '..'");
    }
    Ok(name.to_owned())
}

impl Namespace {
    /// Takes a name that keeps the Hub's rules.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_hub_name("namespace", name).map(Self)
    }
}

impl BucketName {
    /// Takes a name that keeps the Hub's rules, or S3's (which allow `--` inside).
    pub fn new(name: &str) -> Result<Self, NameError> {
        // S3 lets a name hold "--", the Hub does not; anyone who creates through an API keeps that API's rule.
        let folded = name.replace("--", "-");
        check_hub_name("bucket name", &folded)
            .map_err(|error| NameError { name: name.to_owned(), ..error })?;
        Ok(Self(name.to_owned()))
    }
}

impl ObjectKey {
    /// Takes any UTF-8 of 1 to 1,024 bytes.
    pub fn new(key: &str) -> Result<Self, NameError> {
        if key.is_empty() || key.len() > OBJECT_KEY_BYTES_MAX {
            let name = key.chars().take(64).collect();
            return Err(NameError { what: "object key", name, rule: "must have 1 to 1024 bytes" });
        }
        Ok(Self(key.to_owned()))
    }
}

/// `namespace/name`: how every layer names a bucket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct BucketId {
    /// The account that owns it.
    pub namespace: Namespace,
    /// Its name there.
    pub name: BucketName,
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A multipart upload's id: 32 hexadecimal digits that sort by time of creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct UploadId(String);

impl UploadId {
    /// Makes the id of an upload begun at `millis`, distinguished by `random`.
    pub fn new(millis: u64, random: [u8; 8]) -> Self {
        Self(format!("{millis:016x}{:016x}", u64::from_be_bytes(random)))
    }

    /// Takes an id as a client sends it; `None` if it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// When the upload was begun, in milliseconds since the epoch.
    pub fn begun_at_millis(&self) -> u64 {
        // 16 of its digits, checked when it was made.
        self.0.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_keep_the_rules_of_either_door() {
        for good in ["a", "My_Bucket.v1", "a--b", &"x".repeat(96)] {
            assert!(BucketName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a.", "a--", "a..b", "a/b", "ü", &"x".repeat(97)] {
            assert!(BucketName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn object_keys_are_any_utf8_within_1024_bytes() {
        for good in ["a", "//", "../x", "ключ", "a\u{1}b", &"k".repeat(1024)] {
            assert!(ObjectKey::new(good).is_ok(), "{good:?}");
        }
        assert!(ObjectKey::new("").is_err());
        assert!(ObjectKey::new(&"é".repeat(513)).is_err());
    }

    #[test]
    fn upload_ids_sort_by_time() {
        assert!(UploadId::new(1, [0xff; 8]) < UploadId::new(2, [0; 8]));
        assert_eq!(UploadId::parse("nonsense"), None);
    }
}
