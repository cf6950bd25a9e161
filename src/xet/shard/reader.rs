//! Reads shards from untrusted senders: no length is believed before the bytes for it were seen.

use super::ShardError;
use super::format::{
    END_OF_SECTION, FLAG_DEDUP_ELIGIBLE, FLAG_METADATA, FLAG_VERIFICATION, FOOTER_VERSION, Row, Shard,
    ShardChunk, ShardFile, ShardFooter, ShardTerm, ShardXorb, TAG, VERSION, swap_sha256,
};
use crate::xet::hash::{ChunkHash, FileHash, RangeHash, XorbHash};
use crate::xet::limits::{
    CHUNK_BYTES_MAX, SHARD_BYTES_MAX, SHARD_FOOTER_BYTES, SHARD_ROW_BYTES, XORB_CHUNKS_MAX,
    XORB_RAW_BYTES_MAX,
};

impl Shard {
    /// Reads a shard, with or without a footer, that must fill `bytes`. Any order of files and xorbs will do.
    pub fn decode(bytes: &[u8]) -> Result<Self, ShardError> {
        if bytes.len() > SHARD_BYTES_MAX {
            let (bytes, max) = (bytes.len(), SHARD_BYTES_MAX);
            return Err(ShardError::TooLong { bytes, max });
        }
        let mut rows = Rows(bytes);
        let footer_bytes = read_header(&mut rows)?;
        let body_len = rows.0.len().checked_sub(footer_bytes).ok_or(ShardError::Truncated("footer"))?;
        let (body, footer) = rows.0.split_at(body_len);

        rows = Rows(body);
        let mut files = Vec::new();
        while let Some(row) = rows.next_in_section("files")? {
            files.push(read_file(&row, &mut rows, files.len())?);
        }
        let xorb_section = bytes.len() - footer_bytes - rows.0.len();
        let mut xorbs = Vec::new();
        while let Some(row) = rows.next_in_section("xorbs")? {
            xorbs.push(read_xorb(&row, &mut rows, xorbs.len())?);
        }

        let Some(footer) = footer.first_chunk() else {
            return match rows.0.len() {
                0 => Ok(Self { files, xorbs, footer: None }),
                bytes => Err(ShardError::Trailing { bytes }),
            };
        };
        let places = Places {
            xorb_section,
            sections_end: bytes.len() - footer_bytes - rows.0.len(),
            footer: bytes.len() - footer_bytes,
        };
        let footer = Some(read_footer(footer, &places)?);
        Ok(Self { files, xorbs, footer })
    }
}

/// Reads the header; returns how many bytes the footer takes.
fn read_header(rows: &mut Rows<'_>) -> Result<usize, ShardError> {
    let header = rows.next("header")?;
    if header.hash != TAG {
        return Err(ShardError::BadTag);
    }
    let (version, footer_bytes) = (header.wide(0), header.wide(2));
    if version != VERSION {
        return Err(ShardError::Unknown { what: "shard version", value: version });
    }
    match footer_bytes {
        0 => Ok(0),
        200 => Ok(SHARD_FOOTER_BYTES),
        value => Err(ShardError::Unknown { what: "footer size", value }),
    }
}

/// Reads the rest of the file whose first row is `row`.
fn read_file(row: &Row, rows: &mut Rows<'_>, file: usize) -> Result<ShardFile, ShardError> {
    let [flags, count, ..] = row.words;
    if flags & !(FLAG_VERIFICATION | FLAG_METADATA) != 0 {
        // An unknown flag may stand for rows that we would take for something else.
        return Err(ShardError::Unknown { what: "file flags", value: flags.into() });
    }
    let has_verification = flags & FLAG_VERIFICATION != 0;
    rows.expect(u64::from(count) * if has_verification { 2 } else { 1 }, "file", count)?;

    let mut terms = Vec::with_capacity(count as usize);
    for term in 0..count as usize {
        terms.push(read_term(&rows.next("terms")?).ok_or(ShardError::BadTerm { file, term })?);
    }
    if has_verification {
        for term in &mut terms {
            term.verification = Some(RangeHash::from_bytes(rows.next("verification")?.hash));
        }
    }
    let sha256 =
        if flags & FLAG_METADATA == 0 { None } else { Some(swap_sha256(&rows.next("metadata")?.hash)) };
    Ok(ShardFile { hash: FileHash::from_bytes(row.hash), terms, sha256 })
}

/// The term in a row, unless it is impossible.
fn read_term(row: &Row) -> Option<ShardTerm> {
    let [_flags, raw_bytes, start, end] = row.words;
    let count = end.checked_sub(start).filter(|count| *count > 0)? as usize;
    let is_possible = end as usize <= XORB_CHUNKS_MAX
        && (count..=(count * CHUNK_BYTES_MAX).min(XORB_RAW_BYTES_MAX)).contains(&(raw_bytes as usize));
    is_possible.then_some(ShardTerm {
        xorb: XorbHash::from_bytes(row.hash),
        raw_bytes,
        chunks: start..end,
        verification: None,
    })
}

/// Reads the rest of the xorb whose first row is `row`.
fn read_xorb(row: &Row, rows: &mut Rows<'_>, xorb: usize) -> Result<ShardXorb, ShardError> {
    let [_flags, count, raw_bytes, stored_bytes] = row.words;
    if count as usize > XORB_CHUNKS_MAX {
        return Err(ShardError::TooManyEntries { what: "xorb", count });
    }
    rows.expect(count.into(), "xorb", count)?;
    let mut chunks = Vec::with_capacity(count as usize);
    // Stays below the limit of a chunk times that of chunks, far from overflow.
    let mut raw_end = 0;
    for _ in 0..count {
        let chunk = rows.next("chunks")?;
        let [raw_start, chunk_bytes, flags, _] = chunk.words;
        if raw_start != raw_end || !(1..=CHUNK_BYTES_MAX).contains(&(chunk_bytes as usize)) {
            return Err(ShardError::BadXorb { xorb });
        }
        raw_end += chunk_bytes;
        chunks.push(ShardChunk {
            hash: ChunkHash::from_bytes(chunk.hash),
            raw_start,
            raw_bytes: chunk_bytes,
            dedup_eligible: flags & FLAG_DEDUP_ELIGIBLE != 0,
        });
    }
    if raw_end != raw_bytes || raw_end as usize > XORB_RAW_BYTES_MAX {
        return Err(ShardError::BadXorb { xorb });
    }
    Ok(ShardXorb { hash: XorbHash::from_bytes(row.hash), chunks, raw_bytes, stored_bytes })
}

/// Where the parts of a shard were found, in bytes from its start.
struct Places {
    xorb_section: usize,
    sections_end: usize,
    footer: usize,
}

/// Reads the footer and checks its offsets against what was found.
fn read_footer(bytes: &[u8; SHARD_FOOTER_BYTES], places: &Places) -> Result<ShardFooter, ShardError> {
    let number = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    if number(0) != FOOTER_VERSION {
        return Err(ShardError::Unknown { what: "footer version", value: number(0) });
    }
    let fixed = [
        (8, SHARD_ROW_BYTES, "file section offset"),
        (16, places.xorb_section, "xorb section offset"),
        (192, places.footer, "footer offset"),
    ];
    for (at, expected, what) in fixed {
        if number(at) != expected as u64 {
            return Err(ShardError::BadOffset(what));
        }
    }
    let lookups = [(24, 12, "file lookup"), (40, 12, "xorb lookup"), (56, 16, "chunk lookup")];
    for (at, row_bytes, what) in lookups {
        let (start, count) = (number(at), number(at + 8));
        let end = count.checked_mul(row_bytes).and_then(|bytes| bytes.checked_add(start));
        let is_within =
            start >= places.sections_end as u64 && end.is_some_and(|end| end <= places.footer as u64);
        if count > 0 && !is_within {
            return Err(ShardError::BadOffset(what));
        }
    }
    let mut hmac_key = [0; 32];
    hmac_key.copy_from_slice(&bytes[72..104]);
    Ok(ShardFooter {
        hmac_key,
        created_at: number(104),
        key_expires_at: number(112),
        stored_bytes_on_disk: number(168),
        materialized_bytes: number(176),
        stored_bytes: number(184),
    })
}

/// The bytes not read yet, a row at a time.
struct Rows<'a>(&'a [u8]);

impl Rows<'_> {
    /// The next row, which belongs to the part named.
    fn next(&mut self, part: &'static str) -> Result<Row, ShardError> {
        let (row, rest) = self.0.split_first_chunk().ok_or(ShardError::Truncated(part))?;
        self.0 = rest;
        Ok(Row::decode(row))
    }

    /// The first row of the next block of a section, or `None` at the section's end.
    fn next_in_section(&mut self, section: &'static str) -> Result<Option<Row>, ShardError> {
        let row = self.next(section)?;
        Ok((row.hash != END_OF_SECTION).then_some(row))
    }

    /// Checks that as many rows are left as a list that declares `count` entries takes.
    fn expect(&self, needed: u64, what: &'static str, count: u32) -> Result<(), ShardError> {
        if needed > (self.0.len() / SHARD_ROW_BYTES) as u64 {
            return Err(ShardError::TooManyEntries { what, count });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[([u8; 32], [u32; 4])]) -> Vec<u8> {
        let header = (TAG, [2, 0, 0, 0]);
        let all = std::iter::once(&header).chain(rows);
        all.flat_map(|(hash, words)| Row { hash: *hash, words: *words }.encode()).collect()
    }

    const END: ([u8; 32], [u32; 4]) = (END_OF_SECTION, [0; 4]);
    const HASH: [u8; 32] = [7; 32];

    #[test]
    fn a_shard_of_nothing_is_three_rows() {
        let bytes = rows(&[END, END]);
        assert_eq!(Shard::decode(&bytes), Ok(Shard::default()));
        for cut in 0..bytes.len() {
            assert!(Shard::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Shard::decode(&longer), Err(ShardError::Trailing { bytes: 1 }));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_allocating() {
        for flags in [0, FLAG_VERIFICATION, FLAG_METADATA | FLAG_VERIFICATION] {
            let bytes = rows(&[(HASH, [flags, u32::MAX, 0, 0]), END, END]);
            let error = ShardError::TooManyEntries { what: "file", count: u32::MAX };
            assert_eq!(Shard::decode(&bytes), Err(error));
        }
        for count in [3, 8192, 8193, u32::MAX] {
            let bytes = rows(&[END, (HASH, [0, count, 0, 0]), END]);
            let error = ShardError::TooManyEntries { what: "xorb", count };
            assert_eq!(Shard::decode(&bytes), Err(error));
        }
    }

    #[test]
    fn impossible_terms_are_refused() {
        let decode = |bytes, start, end| {
            Shard::decode(&rows(&[(HASH, [0, 1, 0, 0]), (HASH, [0, bytes, start, end]), END, END]))
        };
        assert!(decode(131_072, 3, 4).is_ok());
        assert!(decode(1, 8191, 8192).is_ok());
        for (bytes, start, end) in [
            (1, 3, 3),
            (1, 3, 2),
            (0, 3, 4),
            (131_073, 3, 4),
            (1, 8192, 8193),
            (1, 0, u32::MAX),
            (u32::MAX, 0, 8192),
        ] {
            let error = ShardError::BadTerm { file: 0, term: 0 };
            assert_eq!(decode(bytes, start, end), Err(error), "{bytes} {start} {end}");
        }
    }

    #[test]
    fn the_chunks_of_a_xorb_must_add_up() {
        let decode = |total, second_start| {
            let chunks = [(HASH, [0, 100, 0, 0]), (HASH, [second_start, 50, FLAG_DEDUP_ELIGIBLE, 0])];
            Shard::decode(&rows(&[END, (HASH, [0, 2, total, 0]), chunks[0], chunks[1], END]))
        };
        let eligible: Vec<_> =
            decode(150, 100).unwrap().xorbs[0].chunks.iter().map(|c| c.dedup_eligible).collect();
        assert_eq!(eligible, [false, true]);
        assert_eq!(decode(151, 100), Err(ShardError::BadXorb { xorb: 0 }));
        assert_eq!(decode(150, 101), Err(ShardError::BadXorb { xorb: 0 }));
    }

    #[test]
    fn an_unknown_version_size_or_flag_is_refused() {
        let with_header = |at: usize, byte: u8| {
            let mut bytes = rows(&[END, END]);
            bytes[at] = byte;
            Shard::decode(&bytes).unwrap_err()
        };
        assert_eq!(with_header(0, b'h'), ShardError::BadTag);
        assert!(matches!(with_header(32, 3), ShardError::Unknown { what: "shard version", .. }));
        assert!(matches!(with_header(40, 199), ShardError::Unknown { what: "footer size", .. }));
        assert_eq!(with_header(40, 200), ShardError::Truncated("footer"));
        let flagged = Shard::decode(&rows(&[(HASH, [1, 0, 0, 0]), END, END]));
        assert_eq!(flagged, Err(ShardError::Unknown { what: "file flags", value: 1 }));
    }
}
