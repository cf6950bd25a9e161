//! Stored values with a version: the first byte says how the rest is to be read.
//!
//! Whatever this project stores and reads again has a type of its own for each version of it, apart from the types that
//! the rest of the code uses: those may change at any time, a stored type never. A version that has been released stays
//! readable until a step of an upgrade has rewritten every value of it. Fields are written by postcard.

use serde::{Deserialize, Serialize};

/// Room for the fields of most values: they are written without growing the buffer.
const USUAL_BYTES: usize = 96;

/// Why a stored value could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoredError {
    /// A later build wrote it.
    #[error(
        "{what} is stored in version {found}, this build ({build}) reads up to version {known}: use the build of xetgate \
         that wrote it, or a later one"
    )]
    Newer {
        /// The kind of value.
        what: &'static str,
        /// Its version.
        found: u8,
        /// The last version that this build reads.
        known: u8,
        /// This build.
        build: &'static str,
    },
    /// Its bytes are not those of any value.
    #[error("{what} cannot be read: {reason}")]
    Damaged {
        /// The kind of value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It has no stored form.
    #[error("{what} cannot be written: {reason}")]
    Unwritable {
        /// The kind of value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoredError {
    /// The error for a version that no arm of a `match` reads; `known` is the last one that is read.
    pub fn unknown_version(what: &'static str, found: u8, known: u8) -> Self {
        if found <= known {
            return Self::damaged(what, format!("it has version {found}, which never was"));
        }
        Self::Newer { what, found, known, build: env!("CARGO_PKG_VERSION") }
    }

    /// The error for bytes that are not those of a value.
    pub fn damaged(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Damaged { what, reason: reason.to_string() }
    }
}

/// Writes a value: its version, then its fields.
pub fn encode(what: &'static str, version: u8, fields: &impl Serialize) -> Result<Vec<u8>, StoredError> {
    let mut value = Vec::with_capacity(USUAL_BYTES);
    value.push(version);
    append(what, value, fields)
}

/// Writes more fields after those of a value.
pub fn append(what: &'static str, value: Vec<u8>, fields: &impl Serialize) -> Result<Vec<u8>, StoredError> {
    postcard::to_extend(fields, value)
        .map_err(|error| StoredError::Unwritable { what, reason: error.to_string() })
}

/// The version of a value, and the bytes of its fields.
pub fn split<'v>(what: &'static str, value: &'v [u8]) -> Result<(u8, &'v [u8]), StoredError> {
    match value.split_first() {
        Some((version, fields)) => Ok((*version, fields)),
        None => Err(StoredError::damaged(what, "it is empty")),
    }
}

/// Reads fields that are all that is there.
pub fn decode<'v, T: Deserialize<'v>>(what: &'static str, fields: &'v [u8]) -> Result<T, StoredError> {
    match take(what, fields)? {
        (value, []) => Ok(value),
        (_, rest) => Err(StoredError::damaged(what, format!("{} bytes too many", rest.len()))),
    }
}

/// Reads fields, and answers what follows them too.
pub fn take<'v, T: Deserialize<'v>>(
    what: &'static str,
    fields: &'v [u8],
) -> Result<(T, &'v [u8]), StoredError> {
    postcard::take_from_bytes(fields).map_err(|error| StoredError::damaged(what, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_its_version_and_its_fields() {
        let value = encode("a pair", 3, &(300_u64, "x")).unwrap();
        assert_eq!(value, [3, 0xAC, 2, 1, b'x']);
        let (version, fields) = split("a pair", &value).unwrap();
        assert_eq!((version, decode::<(u64, &str)>("a pair", fields).unwrap()), (3, (300, "x")));
        let value = append("a pair", value, &7_u8).unwrap();
        let (_, fields) = split("a pair", &value).unwrap();
        assert!(
            decode::<(u64, &str)>("a pair", fields).unwrap_err().to_string().contains("1 bytes too many")
        );
        let (_, rest) = take::<(u64, &str)>("a pair", fields).unwrap();
        assert_eq!(rest, [7]);
        assert!(split("a pair", &[]).is_err());
    }

    #[test]
    fn a_later_version_is_refused_with_the_build_to_use() {
        let text = StoredError::unknown_version("a bucket", 9, 2).to_string();
        for part in ["a bucket", "version 9", "up to version 2", env!("CARGO_PKG_VERSION"), "a later one"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(matches!(StoredError::unknown_version("a bucket", 0, 2), StoredError::Damaged { .. }));
    }
}
