//! Walks over all records of a xorb: to verify an upload, or just to see its headers.

use super::footer;
use super::{ChunkTable, RecordHeader, XorbError, decode_record_borrowed};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_BYTES_MAX;

/// Takes an uploaded xorb apart and verifies all of it: the limits, every payload, and that its chunks have the
/// hash `expected`. The table's [`ChunkTable::record_bytes`] says where the records end; what follows can only be
/// a footer of an older client, which is not looked into, for nothing it says is not in the records.
pub fn validate(bytes: &[u8], expected: XorbHash) -> Result<ChunkTable, XorbError> {
    let mut table = ChunkTable::default();
    let mut rest = within_limit(bytes)?;
    while !is_at_end(rest) {
        let (header, raw, taken) = decode_record_borrowed(rest)?;
        table.push(ChunkHash::of(&raw), header.record_len(), header.raw_len);
        table.check_totals()?;
        rest = &rest[taken..];
    }
    if table.is_empty() {
        return Err(XorbError::Empty);
    }
    let got = table.xorb_hash();
    if got != expected {
        return Err(XorbError::HashMismatch { expected, got });
    }
    Ok(table)
}

/// The headers of all records, without decompressing a payload. Stops at a footer.
pub fn read_headers(bytes: &[u8]) -> Result<Vec<RecordHeader>, XorbError> {
    let mut headers = Vec::new();
    let mut rest = within_limit(bytes)?;
    let mut totals = ChunkTable::default();
    while !is_at_end(rest) {
        let (header, _) = RecordHeader::split_record(rest)?;
        totals.push(ChunkHash::from_bytes([0; 32]), header.record_len(), header.raw_len);
        totals.check_totals()?;
        headers.push(header);
        rest = &rest[header.record_len() as usize..];
    }
    Ok(headers)
}

/// Refuses a xorb that is longer than any can be.
fn within_limit(bytes: &[u8]) -> Result<&[u8], XorbError> {
    if bytes.len() > XORB_BYTES_MAX {
        return Err(XorbError::TooManyBytes { max: XORB_BYTES_MAX });
    }
    Ok(bytes)
}

/// Whether no record follows: the end, or a footer, whose first byte no record can begin with.
fn is_at_end(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(&footer::TAG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::compression::Compressor;
    use crate::xet::xorb::{XorbFooter, encode_record};

    fn xorb(chunks: &[&[u8]]) -> (Vec<u8>, ChunkTable) {
        let (mut bytes, mut table, mut compressor) = (Vec::new(), ChunkTable::default(), Compressor::new());
        for chunk in chunks {
            let header = encode_record(&mut compressor, chunk, &mut bytes);
            table.push(ChunkHash::of(chunk), header.record_len(), header.raw_len);
        }
        (bytes, table)
    }

    #[test]
    fn an_upload_is_verified_to_the_last_byte() {
        let (bytes, table) = xorb(&[b"Hello, World!", &[0; 5000]]);
        let hash = table.xorb_hash();
        assert_eq!(validate(&bytes, hash), Ok(table.clone()));
        assert_eq!(read_headers(&bytes).unwrap().len(), 2);

        let mut damaged = bytes.clone();
        damaged[9] ^= 1;
        assert!(matches!(validate(&damaged, hash), Err(XorbError::HashMismatch { .. })));
        assert!(validate(&bytes[..bytes.len() - 1], hash).is_err());
        assert!(validate(&[&bytes[..], b"x"].concat(), hash).is_err());
        assert_eq!(validate(&[], XorbHash::from_bytes([0; 32])), Err(XorbError::Empty));
    }

    #[test]
    fn a_footer_of_an_older_client_is_passed_over() {
        let (mut bytes, table) = xorb(&[b"Hello, World!"]);
        let hash = table.xorb_hash();
        let records = bytes.len();
        bytes.extend(XorbFooter::new(table.clone()).encode());
        assert_eq!(validate(&bytes, hash), Ok(table));
        assert_eq!(read_headers(&bytes).unwrap().len(), 1);
        bytes.truncate(records + 3);
        assert!(validate(&bytes, hash).is_err());
    }
}
