//! Shards: the lists in which clients register files and xorbs, and in which servers answer dedup queries.
//!
//! A shard says of files of which ranges of chunks of which xorbs they are made, and of xorbs which chunks they hold.
//! [`mod@format`] has the layout and the types, [`Shard::decode`] is in `reader`, the encoders are in `writer`. Lookup
//! tables, which only local caches need, are neither written nor looked into.
//!
//! Invariants of a decoded shard: no list is longer than the bytes it came from; each term names 1 to 8192 chunks
//! and a length they can have; the chunks of a xorb follow one another without gap and add up to its length.
//!
//! Source: Xet specification, "Shard format".

pub mod format;
mod reader;
mod writer;

pub use format::{Shard, ShardChunk, ShardFile, ShardFooter, ShardTerm, ShardXorb, keyed_chunk_hash};

/// Why bytes are not a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Longer than a shard may be.
    #[error("the shard has {bytes} bytes, the limit is {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The bytes end before the part named.
    #[error("the shard ends within its {0}")]
    Truncated(&'static str),
    /// The first bytes are not those of a shard.
    #[error("the shard does not begin with the shard tag")]
    BadTag,
    /// The part named has a version, size or flag that this code does not know.
    #[error("unknown {what} {value:#x}")]
    Unknown {
        /// Which part.
        what: &'static str,
        /// What it says.
        value: u64,
    },
    /// A list declares more rows than there are bytes for, or than a xorb has chunks.
    #[error("a {what} declares {count} entries, more than there can be")]
    TooManyEntries {
        /// Which list.
        what: &'static str,
        /// The declared count.
        count: u32,
    },
    /// A term names no chunks, impossible ones, or a length they cannot have.
    #[error("term {term} of file {file} is impossible")]
    BadTerm {
        /// Place of the file in the shard.
        file: usize,
        /// Place of the term in the file.
        term: usize,
    },
    /// The chunks of a xorb do not add up.
    #[error("the chunks of xorb {xorb} do not follow one another or do not add up")]
    BadXorb {
        /// Place of the xorb in the shard.
        xorb: usize,
    },
    /// An offset in the footer does not point where it should.
    #[error("the footer has a wrong {0}")]
    BadOffset(&'static str),
    /// Bytes follow the last part.
    #[error("{bytes} bytes follow the shard")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}
