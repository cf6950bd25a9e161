//! One chunk record: a header of eight bytes, and the payload.
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 1 | version, 0 |
//! | 1 | 3 | payload length, little endian |
//! | 4 | 1 | compression scheme |
//! | 5 | 3 | chunk length, little endian |
//!
//! Invariant: a decoded header is within all limits, so its lengths may be trusted for sizing buffers.

use std::borrow::Cow;

use super::XorbError;
use crate::xet::compression::{Compressor, Scheme, check_stored, decompress};
use crate::xet::limits::{CHUNK_BYTES_MAX, XORB_PAYLOAD_BYTES_MAX, XORB_RECORD_HEADER_BYTES};

/// The only version of records there is.
const VERSION: u8 = 0;

/// The header of a chunk record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// How the payload is compressed.
    pub scheme: Scheme,
    /// Bytes of the payload, at most 2^18.
    pub compressed_len: u32,
    /// Bytes of the chunk, 1 to 131072.
    pub raw_len: u32,
}

impl RecordHeader {
    /// The header as it stands in a xorb. Lengths are cut to 24 bits, which the limits never reach.
    pub fn encode(&self) -> [u8; XORB_RECORD_HEADER_BYTES] {
        let [c0, c1, c2, _] = self.compressed_len.to_le_bytes();
        let [r0, r1, r2, _] = self.raw_len.to_le_bytes();
        [VERSION, c0, c1, c2, self.scheme as u8, r0, r1, r2]
    }

    /// Reads a header and checks it against every limit.
    pub fn decode(bytes: &[u8; XORB_RECORD_HEADER_BYTES]) -> Result<Self, XorbError> {
        let [version, c0, c1, c2, scheme, r0, r1, r2] = *bytes;
        if version != VERSION {
            return Err(XorbError::UnknownVersion(version));
        }
        let header = Self {
            scheme: Scheme::try_from(scheme)?,
            compressed_len: u32::from_le_bytes([c0, c1, c2, 0]),
            raw_len: u32::from_le_bytes([r0, r1, r2, 0]),
        };
        let (payload_len, raw_len) = (header.compressed_len as usize, header.raw_len as usize);
        if payload_len > XORB_PAYLOAD_BYTES_MAX {
            let (bytes, max) = (payload_len, XORB_PAYLOAD_BYTES_MAX);
            return Err(XorbError::PayloadTooLong { bytes, max });
        }
        if raw_len == 0 || raw_len > CHUNK_BYTES_MAX {
            let (bytes, max) = (raw_len, CHUNK_BYTES_MAX);
            return Err(XorbError::BadChunkLength { bytes, max });
        }
        if header.scheme == Scheme::None && payload_len != raw_len {
            return Err(XorbError::StoredLengthsDiffer {
                raw_len: header.raw_len,
                payload_len: header.compressed_len,
            });
        }
        Ok(header)
    }

    /// Bytes of the whole record: header and payload.
    pub fn record_len(&self) -> u32 {
        XORB_RECORD_HEADER_BYTES as u32 + self.compressed_len
    }

    /// Reads the header at the start of `bytes` and returns it with its payload, not decompressed.
    pub(super) fn split_record(bytes: &[u8]) -> Result<(Self, &[u8]), XorbError> {
        let cut_off = |needed: usize| XorbError::Truncated { needed, got: bytes.len() };
        let (head, rest) = bytes.split_first_chunk().ok_or_else(|| cut_off(XORB_RECORD_HEADER_BYTES))?;
        let header = Self::decode(head)?;
        let payload = rest.get(..header.compressed_len as usize);
        let payload = payload.ok_or_else(|| cut_off(header.record_len() as usize))?;
        Ok((header, payload))
    }
}

/// Appends the record of one chunk, of 1 to 131072 bytes, to `out`; returns its header.
pub fn encode_record(compressor: &mut Compressor, raw: &[u8], out: &mut Vec<u8>) -> RecordHeader {
    debug_assert!((1..=CHUNK_BYTES_MAX).contains(&raw.len()), "not a chunk: {} bytes", raw.len());
    let (scheme, payload) = compressor.compress(raw);
    let header = RecordHeader { scheme, compressed_len: payload.len() as u32, raw_len: raw.len() as u32 };
    out.reserve(header.record_len() as usize);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
    header
}

/// Decodes the record at the start of `bytes`: its header, the chunk, and how many bytes of `bytes` it took.
pub fn decode_record(bytes: &[u8]) -> Result<(RecordHeader, Vec<u8>, usize), XorbError> {
    let (header, raw, taken) = decode_record_borrowed(bytes)?;
    Ok((header, raw.into_owned(), taken))
}

/// Like [`decode_record`], without copying a chunk that is stored uncompressed.
pub fn decode_record_borrowed(bytes: &[u8]) -> Result<(RecordHeader, Cow<'_, [u8]>, usize), XorbError> {
    let (header, payload) = RecordHeader::split_record(bytes)?;
    let raw_len = header.raw_len as usize;
    let raw = match header.scheme {
        Scheme::None => Cow::Borrowed(check_stored(payload, raw_len)?),
        scheme => Cow::Owned(decompress(scheme, payload, raw_len)?),
    };
    Ok((header, raw, header.record_len() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_its_fields_in_place() {
        let header = RecordHeader { scheme: Scheme::Bg4Lz4, compressed_len: 0x01_02_03, raw_len: 0x01_ff_fe };
        assert_eq!(header.encode(), [0, 3, 2, 1, 2, 0xfe, 0xff, 1]);
        assert_eq!(RecordHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn headers_beyond_a_limit_are_refused() {
        let cases: [(&str, [u8; 8]); 7] = [
            ("version", [1, 1, 0, 0, 0, 1, 0, 0]),
            ("scheme", [0, 1, 0, 0, 3, 1, 0, 0]),
            ("auto scheme", [0, 1, 0, 0, 99, 1, 0, 0]),
            ("payload", [0, 1, 0, 4, 1, 1, 0, 0]),
            ("chunk", [0, 1, 0, 0, 1, 1, 0, 2]),
            ("empty chunk", [0, 0, 0, 0, 0, 0, 0, 0]),
            ("stored lengths", [0, 2, 0, 0, 0, 1, 0, 0]),
        ];
        for (what, bytes) in cases {
            assert!(RecordHeader::decode(&bytes).is_err(), "{what}");
        }
        assert!(RecordHeader::decode(&[0, 0, 0, 4, 1, 0, 0, 2]).is_ok());
    }

    #[test]
    fn a_random_chunk_is_stored_and_borrowed() {
        let mut out = Vec::new();
        let header = encode_record(&mut Compressor::new(), b"Hello, World!", &mut out);
        assert_eq!(header.scheme, Scheme::None);
        assert_eq!(out, b"\0\x0d\0\0\0\x0d\0\0Hello, World!");
        out.push(7);
        let (_, raw, taken) = decode_record_borrowed(&out).unwrap();
        assert!(matches!(raw, Cow::Borrowed(b"Hello, World!")));
        assert_eq!(taken, 21);
    }

    #[test]
    fn a_cut_off_record_says_what_is_missing() {
        let record = b"\0\x0d\0\0\0\x0d\0\0Hello, World!";
        assert_eq!(decode_record(&record[..5]), Err(XorbError::Truncated { needed: 8, got: 5 }));
        assert_eq!(decode_record(&record[..20]), Err(XorbError::Truncated { needed: 21, got: 20 }));
    }
}
