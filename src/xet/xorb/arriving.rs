//! Takes a xorb apart while its bytes come, in pieces of any length, in the memory of one record.

use super::footer;
use super::{ChunkTable, RecordHeader, XorbError, decode_record_borrowed};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::{XORB_BYTES_MAX, XORB_RECORD_HEADER_BYTES};

/// A xorb of which some bytes have come. What [`super::validate`] says of a whole xorb, this says at the end, and
/// what is wrong it says as soon as it has seen it.
#[derive(Debug, Default)]
pub struct ArrivingXorb {
    table: ChunkTable,
    /// The beginning of a record, or of a footer, whose rest has not come.
    partial: Vec<u8>,
    /// Bytes so far, footer included.
    bytes: usize,
    is_in_footer: bool,
}

/// What stands at the beginning of some bytes.
enum Next {
    /// A record of this length, all of it.
    Record(usize),
    /// A footer.
    Footer,
    /// It takes so many bytes to say more.
    Wanted(usize),
}

impl ArrivingXorb {
    /// Takes the next bytes, and appends the records that have become whole, verified, to `records`: at most what has
    /// come and one record more.
    pub fn feed(&mut self, mut bytes: &[u8], records: &mut Vec<u8>) -> Result<(), XorbError> {
        self.bytes += bytes.len();
        if self.bytes > XORB_BYTES_MAX {
            return Err(XorbError::TooManyBytes { max: XORB_BYTES_MAX });
        }
        while !self.is_in_footer {
            let is_partial = !self.partial.is_empty();
            match next(if is_partial { &self.partial } else { bytes })? {
                Next::Footer => self.is_in_footer = true,
                Next::Record(len) if is_partial => {
                    // It was filled up to this length and no further.
                    debug_assert_eq!(len, self.partial.len());
                    let record = std::mem::take(&mut self.partial);
                    self.take_record(&record, records)?;
                }
                Next::Record(len) => {
                    let (record, rest) = bytes.split_at(len);
                    self.take_record(record, records)?;
                    bytes = rest;
                }
                Next::Wanted(len) => {
                    let missing = len - self.partial.len();
                    let (more, rest) = bytes.split_at(missing.min(bytes.len()));
                    self.partial.extend_from_slice(more);
                    bytes = rest;
                    if more.len() < missing {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The chunks whose records have become whole.
    pub fn table(&self) -> &ChunkTable {
        &self.table
    }

    fn take_record(&mut self, record: &[u8], records: &mut Vec<u8>) -> Result<(), XorbError> {
        let (header, raw, _) = decode_record_borrowed(record)?;
        self.table.push(ChunkHash::of(&raw), header.record_len(), header.raw_len);
        self.table.check_totals()?;
        records.extend_from_slice(record);
        Ok(())
    }

    /// Nothing more comes: the chunks of the xorb, if it is the one expected.
    pub fn finish(self, expected: XorbHash) -> Result<ChunkTable, XorbError> {
        if !self.is_in_footer && !self.partial.is_empty() {
            let needed = match next(&self.partial)? {
                Next::Wanted(len) => len,
                Next::Record(_) | Next::Footer => self.partial.len(),
            };
            return Err(XorbError::Truncated { needed, got: self.partial.len() });
        }
        if self.table.is_empty() {
            return Err(XorbError::Empty);
        }
        let got = self.table.xorb_hash();
        if got != expected {
            return Err(XorbError::HashMismatch { expected, got });
        }
        Ok(self.table)
    }
}

/// Looks at the beginning of a record, or of a footer.
fn next(bytes: &[u8]) -> Result<Next, XorbError> {
    if bytes.first() == footer::TAG.first() {
        let seen = bytes.len().min(footer::TAG.len());
        if bytes[..seen] == footer::TAG[..seen] {
            let is_whole = seen == footer::TAG.len();
            return Ok(if is_whole { Next::Footer } else { Next::Wanted(footer::TAG.len()) });
        }
    }
    let Some(head) = bytes.first_chunk::<XORB_RECORD_HEADER_BYTES>() else {
        return Ok(Next::Wanted(XORB_RECORD_HEADER_BYTES));
    };
    let len = RecordHeader::decode(head)?.record_len() as usize;
    Ok(if bytes.len() < len { Next::Wanted(len) } else { Next::Record(len) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::compression::Compressor;
    use crate::xet::xorb::{XorbFooter, encode_record, validate};

    fn xorb(chunks: &[&[u8]]) -> (Vec<u8>, XorbHash) {
        let (mut bytes, mut table, mut compressor) = (Vec::new(), ChunkTable::default(), Compressor::new());
        for chunk in chunks {
            let header = encode_record(&mut compressor, chunk, &mut bytes);
            table.push(ChunkHash::of(chunk), header.record_len(), header.raw_len);
        }
        (bytes, table.xorb_hash())
    }

    /// Feeds in pieces of this length; answers the table and the records.
    fn feed(bytes: &[u8], piece: usize, expected: XorbHash) -> Result<(ChunkTable, Vec<u8>), XorbError> {
        let (mut arriving, mut records) = (ArrivingXorb::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            arriving.feed(piece, &mut records)?;
            assert!(arriving.partial.len() <= bytes.len());
        }
        Ok((arriving.finish(expected)?, records))
    }

    #[test]
    fn any_pieces_give_what_the_whole_gives() {
        let (whole, hash) = xorb(&[b"Hello, World!", &[0; 5000], b"x"]);
        let table = validate(&whole, hash).unwrap();
        let with_footer = [whole.clone(), XorbFooter::new(table.clone()).encode()].concat();
        for bytes in [&whole, &with_footer] {
            for piece in (1..40).chain([bytes.len()]) {
                assert_eq!(feed(bytes, piece, hash), Ok((table.clone(), whole.clone())), "{piece}");
            }
        }
    }

    #[test]
    fn what_the_whole_is_refused_for_the_pieces_are_refused_for() {
        let (whole, hash) = xorb(&[b"Hello, World!", &[0; 5000]]);
        let mut cases: Vec<Vec<u8>> = (0..whole.len()).map(|len| whole[..len].to_vec()).collect();
        cases.push([&whole[..], b"x"].concat());
        cases.push([&whole[..], b"XETBLO"].concat());
        cases.push([&whole[..], b"XETBLAH-"].concat());
        let mut other = whole.clone();
        other[9] ^= 1;
        cases.push(other);
        for bytes in cases {
            assert!(validate(&bytes, hash).is_err());
            for piece in [1, 7, 4096] {
                assert!(feed(&bytes, piece, hash).is_err(), "{} in {piece}", bytes.len());
            }
        }
    }

    #[test]
    fn a_xorb_that_is_too_long_is_refused_before_its_end() {
        let (record, _) = xorb(&[&vec![7; 131_072]]);
        let (mut arriving, mut records) = (ArrivingXorb::default(), Vec::new());
        let fed = (0..).find_map(|_| {
            records.clear();
            arriving.feed(&record, &mut records).err()
        });
        assert_eq!(fed, Some(XorbError::TooManyRawBytes { max: 64 << 20 }));

        let (whole, _) = xorb(&[b"x"]);
        let mut arriving = ArrivingXorb::default();
        arriving.feed(&[&whole[..], b"XETBLOB"].concat(), &mut records).unwrap();
        let endless = (0..).find_map(|_| arriving.feed(&vec![0; 1 << 20], &mut records).err());
        assert_eq!(endless, Some(XorbError::TooManyBytes { max: XORB_BYTES_MAX }));
    }
}
