//! Files: how content is put together from runs of chunks.

use crate::xet::hash::{FileHash, XorbHash};

/// A run of chunks of one xorb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The xorb.
    pub xorb: XorbHash,
    /// First chunk.
    pub start: u32,
    /// One past the last chunk.
    pub end: u32,
    /// Uncompressed length of the run; 8192 chunks of 128 KiB fit.
    pub raw_bytes: u32,
}

/// How a file is put together: its terms, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The file's identity.
    pub hash: FileHash,
    /// Its length: the sum over the terms.
    pub size: u64,
    /// Its terms; none for the empty file.
    pub terms: Vec<Term>,
}
