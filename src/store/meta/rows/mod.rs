//! The rows of the metadata as they are stored: for each kind a type of its own with a version, apart from the types that
//! the rest of the code uses. Nothing here knows the engine, so another one may store the same rows.
//!
//! A row is its version (one byte), then its fields (see [`versioned`](crate::store::versioned)). What a row's key says is
//! mostly not said again, and what most rows have in common is left out.
//!
//! To change a kind of row: add a type for its next version and write that one; go on reading the versions before it;
//! raise the format of the metadata ([`super::format`]), so that an older build refuses the store when it is opened and not
//! at some row; and store an example under `tests/stores`. Rows of the older version may stay as they are: to upgrade is
//! then to write one number.

mod account;
mod bucket;
mod file;
mod lifecycle;
mod node;
mod object;
#[cfg(test)]
mod tests;
mod upload;
mod values;
mod version;
mod xorb;

pub(super) use file::{
    FileRow, decode_file, decode_file_size, decode_run, encode_file, encode_first, encode_run, encode_split,
};
pub(super) use object::{decode_modified_at, decode_object, decode_whole_object, encode_object};
pub(super) use version::decode_version;
pub(super) use xorb::{decode_xorb, encode_xorb};

use crate::store::versioned::StoredError;

/// What is stored as one row of its kind.
pub(super) trait Stored: Sized {
    /// Its row.
    fn to_row(&self) -> Result<Vec<u8>, StoredError>;

    /// Reads a row of any version up to the current one.
    fn from_row(row: &[u8]) -> Result<Self, StoredError>;
}
