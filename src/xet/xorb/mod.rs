//! Xorbs: the containers of up to 8192 chunks in which chunks travel and rest.
//!
//! A xorb's body is its chunk records one after the other ([`record`]), and what one must know to serve ranges of it
//! is its table of chunks ([`table`]). Uploads are taken apart by [`validate`], or by
//! [`ArrivingXorb`] while they come; a footer ([`footer`]) may follow the
//! records in a stored xorb, but is never part of what clients are served.
//!
//! Source: Xet specification, "Xorb format".

mod arriving;
pub mod footer;
pub mod record;
pub mod table;
mod walk;

pub use arriving::ArrivingXorb;
pub use footer::XorbFooter;
pub use record::{RecordHeader, decode_record, decode_record_borrowed, encode_record};
pub use table::{ChunkEntry, ChunkTable};
pub use walk::{read_headers, validate};

use super::compression::{DecompressError, UnknownScheme};
use super::hash::XorbHash;

/// Why bytes are not a xorb, or not the one they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XorbError {
    /// The bytes end within a chunk record.
    #[error("the chunk record is cut off: {needed} bytes needed, {got} left")]
    Truncated {
        /// Bytes the record has.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// A record of a version that this code does not know.
    #[error("unknown chunk record version {0}")]
    UnknownVersion(u8),
    /// A record with a scheme that this code does not know.
    #[error(transparent)]
    UnknownScheme(#[from] UnknownScheme),
    /// A record declares a payload above the limit.
    #[error("a chunk record declares a payload of {bytes} bytes, the limit is {max}")]
    PayloadTooLong {
        /// The declared length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A record declares an empty chunk or one above the limit.
    #[error("a chunk record declares a chunk of {bytes} bytes, chunks have 1 to {max}")]
    BadChunkLength {
        /// The declared length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A record without compression declares two lengths.
    #[error("a stored chunk record declares {raw_len} bytes in a payload of {payload_len}")]
    StoredLengthsDiffer {
        /// The declared length of the chunk.
        raw_len: u32,
        /// The declared length of the payload.
        payload_len: u32,
    },
    /// A payload does not decompress to its declared length.
    #[error("cannot decompress chunk: {0}")]
    Decompress(#[from] DecompressError),
    /// There is no chunk at all.
    #[error("the xorb holds no chunk")]
    Empty,
    /// More chunks than a xorb may hold.
    #[error("the xorb holds more than {max} chunks")]
    TooManyChunks {
        /// The limit.
        max: usize,
    },
    /// More uncompressed bytes than a xorb may hold.
    #[error("the xorb holds more than {max} uncompressed bytes")]
    TooManyRawBytes {
        /// The limit.
        max: usize,
    },
    /// More serialized bytes than a xorb may have.
    #[error("the xorb has more than {max} serialized bytes")]
    TooManyBytes {
        /// The limit.
        max: usize,
    },
    /// The end offsets of a table do not go up by possible lengths.
    #[error("chunk {index} of the table ends at an impossible offset")]
    BadOffset {
        /// Which chunk.
        index: usize,
    },
    /// The chunks are not those of the xorb expected.
    #[error("the chunks have xorb hash {got}, expected {expected}")]
    HashMismatch {
        /// The hash asked for.
        expected: XorbHash,
        /// The hash of the chunks.
        got: XorbHash,
    },
    /// The bytes do not end in a footer that this code can read.
    #[error("bad xorb footer: {0}")]
    BadFooter(&'static str),
}
