//! Compression of single chunks: none, LZ4, or LZ4 over bytes regrouped by their position modulo four.
//!
//! Invariants: compressing reuses its buffers and allocates nothing once they have grown to the largest chunk;
//! decompressing allocates the declared length, once or (regrouped) twice, whatever the payload claims, and
//! returns exactly that many bytes or an error.
//!
//! Source: Xet specification, "Xorb format". Which scheme a writer picks is its own affair: readers accept any.

mod bg4;
mod chooser;
mod lz4_frame;

use std::fmt;

use lz4_flex::block::CompressTable;

use super::limits::CHUNK_BYTES_MAX;

/// How the payload of a chunk record is stored; the discriminant is the byte on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scheme {
    /// The bytes as they are.
    None = 0,
    /// One LZ4 frame.
    Lz4 = 1,
    /// Bytes regrouped by position modulo four, then one LZ4 frame: good for arrays of floats.
    Bg4Lz4 = 2,
}

/// A byte that stands for no compression scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression scheme {0}")]
pub struct UnknownScheme(pub u8);

impl TryFrom<u8> for Scheme {
    type Error = UnknownScheme;

    fn try_from(byte: u8) -> Result<Self, UnknownScheme> {
        match byte {
            0 => Ok(Self::None),
            1 => Ok(Self::Lz4),
            2 => Ok(Self::Bg4Lz4),
            other => Err(UnknownScheme(other)),
        }
    }
}

/// Why a payload does not decompress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The declared length is above [`CHUNK_BYTES_MAX`].
    #[error("a chunk has at most 131072 bytes, {raw_len} were declared")]
    DeclaredTooLong {
        /// The declared length.
        raw_len: usize,
    },
    /// The payload holds more bytes than declared.
    #[error("the payload is longer than the {raw_len} bytes declared")]
    Longer {
        /// The declared length.
        raw_len: usize,
    },
    /// The payload holds fewer bytes than declared.
    #[error("the payload holds {got} bytes of the {raw_len} declared")]
    Shorter {
        /// The declared length.
        raw_len: usize,
        /// Bytes it holds.
        got: usize,
    },
    /// The payload ends within an LZ4 frame.
    #[error("the LZ4 frame is cut off")]
    Truncated,
    /// Bytes follow the LZ4 frame.
    #[error("{bytes} bytes follow the LZ4 frame")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The frame's header is not one of LZ4 frame format version 1 without dictionary.
    #[error("not a supported LZ4 frame header: {0}")]
    BadHeader(&'static str),
    /// A block is damaged or longer than the frame's header allows.
    #[error("damaged block in an LZ4 frame")]
    BadBlock,
    /// A checksum or the content size within the frame does not match its content.
    #[error("the LZ4 frame fails its own {0} check")]
    BadChecksum(&'static str),
}

/// Compresses chunks one after the other, in buffers that it keeps.
pub struct Compressor {
    table: CompressTable,
    regrouped: Vec<u8>,
    frame: Vec<u8>,
}

impl Compressor {
    /// A compressor with empty buffers.
    pub fn new() -> Self {
        Self { table: CompressTable::large(), regrouped: Vec::new(), frame: Vec::new() }
    }

    /// Compresses one chunk of at most [`CHUNK_BYTES_MAX`] bytes with the scheme that suits it. Returns the scheme
    /// and the payload: the chunk itself with [`Scheme::None`] when nothing makes it smaller.
    pub fn compress<'a>(&'a mut self, raw: &'a [u8]) -> (Scheme, &'a [u8]) {
        self.compress_as(chooser::choose(raw), raw)
    }

    /// Like [`Self::compress`] with the scheme given; still falls back to [`Scheme::None`].
    pub fn compress_as<'a>(&'a mut self, scheme: Scheme, raw: &'a [u8]) -> (Scheme, &'a [u8]) {
        let content = match scheme {
            Scheme::None => return (Scheme::None, raw),
            Scheme::Lz4 => raw,
            Scheme::Bg4Lz4 => {
                bg4::split(raw, &mut self.regrouped);
                &self.regrouped
            }
        };
        match lz4_frame::encode(content, &mut self.table, &mut self.frame) {
            Some(frame) if frame.len() < raw.len() => (scheme, frame),
            _ => (Scheme::None, raw),
        }
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Decompresses one payload to exactly `raw_len` bytes.
pub fn decompress(scheme: Scheme, payload: &[u8], raw_len: usize) -> Result<Vec<u8>, DecompressError> {
    if raw_len > CHUNK_BYTES_MAX {
        return Err(DecompressError::DeclaredTooLong { raw_len });
    }
    match scheme {
        Scheme::None => check_stored(payload, raw_len).map(<[u8]>::to_vec),
        Scheme::Lz4 => lz4_frame::decode(payload, raw_len),
        Scheme::Bg4Lz4 => lz4_frame::decode(payload, raw_len).map(|regrouped| bg4::join(&regrouped)),
    }
}

/// An uncompressed payload is the chunk if its length is the declared one.
pub(super) fn check_stored(payload: &[u8], raw_len: usize) -> Result<&[u8], DecompressError> {
    match payload.len() {
        got if got < raw_len => Err(DecompressError::Shorter { raw_len, got }),
        got if got > raw_len => Err(DecompressError::Longer { raw_len }),
        _ => Ok(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_compress_to_the_published_length() {
        let raw = vec![0; CHUNK_BYTES_MAX];
        let mut compressor = Compressor::new();
        let (scheme, payload) = compressor.compress(&raw);
        assert_eq!((scheme, payload.len()), (Scheme::Lz4, 540));
        assert_eq!(decompress(scheme, payload, raw.len()).unwrap(), raw);
    }

    #[test]
    fn short_chunks_are_stored() {
        let mut compressor = Compressor::new();
        for raw in [&b""[..], b"a", b"Hello, World!"] {
            assert_eq!(compressor.compress(raw), (Scheme::None, raw));
        }
    }

    #[test]
    fn a_stored_payload_has_the_declared_length() {
        assert_eq!(decompress(Scheme::None, b"abc", 3).unwrap(), b"abc");
        assert_eq!(decompress(Scheme::None, b"abc", 4), Err(DecompressError::Shorter { raw_len: 4, got: 3 }));
        assert_eq!(decompress(Scheme::None, b"abc", 2), Err(DecompressError::Longer { raw_len: 2 }));
    }

    #[test]
    fn a_declared_length_above_the_limit_is_refused_before_reading() {
        let raw_len = CHUNK_BYTES_MAX + 1;
        for scheme in [Scheme::None, Scheme::Lz4, Scheme::Bg4Lz4] {
            assert_eq!(decompress(scheme, &[], raw_len), Err(DecompressError::DeclaredTooLong { raw_len }));
        }
    }

    #[test]
    fn unknown_schemes_are_refused() {
        assert_eq!(Scheme::try_from(2), Ok(Scheme::Bg4Lz4));
        for byte in [3, 99, 255] {
            assert_eq!(Scheme::try_from(byte), Err(UnknownScheme(byte)));
        }
    }
}
