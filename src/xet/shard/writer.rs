//! Writes shards, in the order of the reference client: files by hash, then xorbs by hash.

use super::format::{
    END_OF_SECTION, FLAG_DEDUP_ELIGIBLE, FLAG_METADATA, FLAG_VERIFICATION, FOOTER_VERSION, Row, Shard,
    ShardFile, ShardFooter, ShardXorb, TAG, VERSION, swap_sha256,
};
use crate::xet::limits::{SHARD_FOOTER_BYTES, SHARD_ROW_BYTES};

impl Shard {
    /// The shard as clients upload it: without footer.
    pub fn encode_upload(&self) -> Vec<u8> {
        let (out, _) = self.encode_sections(0);
        out
    }

    /// The shard as servers send and keep it: with `footer` (not [`Self::footer`]), without lookup tables. Chunk
    /// hashes are written as they are: keying them is the caller's.
    pub fn encode_stored(&self, footer: &ShardFooter) -> Vec<u8> {
        let (mut out, xorb_section) = self.encode_sections(SHARD_FOOTER_BYTES);
        let end = out.len() as u64;
        let mut number = |value: u64| out.extend_from_slice(&value.to_le_bytes());
        number(FOOTER_VERSION);
        number(SHARD_ROW_BYTES as u64);
        number(xorb_section as u64);
        for _lookup in ["file", "xorb", "chunk"] {
            // An absent table is said to be empty and to stand before the footer.
            number(end);
            number(0);
        }
        for word in footer.hmac_key.as_chunks().0 {
            number(u64::from_le_bytes(*word));
        }
        number(footer.created_at);
        number(footer.key_expires_at);
        for _reserved in 0..6 {
            number(0);
        }
        number(footer.stored_bytes_on_disk);
        number(footer.materialized_bytes);
        number(footer.stored_bytes);
        number(end);
        out
    }

    /// Bytes of all that comes before a footer.
    fn section_bytes(&self) -> usize {
        let file_rows: usize = self.files.iter().map(|file| 2 + 2 * file.terms.len()).sum();
        let xorb_rows: usize = self.xorbs.iter().map(|xorb| 1 + xorb.chunks.len()).sum();
        (3 + file_rows + xorb_rows) * SHARD_ROW_BYTES
    }

    /// Header and sections; returns also where the section of xorbs begins.
    fn encode_sections(&self, footer_bytes: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(self.section_bytes() + footer_bytes);
        put(&mut out, TAG, [VERSION as u32, 0, footer_bytes as u32, 0]);

        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|file| file.hash);
        for file in files {
            put_file(&mut out, file);
        }
        put(&mut out, END_OF_SECTION, [0; 4]);

        let xorb_section = out.len();
        let mut xorbs: Vec<_> = self.xorbs.iter().collect();
        xorbs.sort_by_key(|xorb| xorb.hash);
        for xorb in xorbs {
            put_xorb(&mut out, xorb);
        }
        put(&mut out, END_OF_SECTION, [0; 4]);
        (out, xorb_section)
    }
}

fn put(out: &mut Vec<u8>, hash: [u8; 32], words: [u32; 4]) {
    out.extend_from_slice(&Row { hash, words }.encode());
}

fn put_file(out: &mut Vec<u8>, file: &ShardFile) {
    let has_verification = file.has_verification();
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    let flags = flag(has_verification, FLAG_VERIFICATION) | flag(file.sha256.is_some(), FLAG_METADATA);
    put(out, *file.hash.as_bytes(), [flags, file.terms.len() as u32, 0, 0]);
    for term in &file.terms {
        let words = [0, term.raw_bytes, term.chunks.start, term.chunks.end];
        put(out, *term.xorb.as_bytes(), words);
    }
    if has_verification {
        for verification in file.terms.iter().filter_map(|term| term.verification) {
            put(out, *verification.as_bytes(), [0; 4]);
        }
    }
    if let Some(digest) = &file.sha256 {
        put(out, swap_sha256(digest), [0; 4]);
    }
}

fn put_xorb(out: &mut Vec<u8>, xorb: &ShardXorb) {
    let words = [0, xorb.chunks.len() as u32, xorb.raw_bytes, xorb.stored_bytes];
    put(out, *xorb.hash.as_bytes(), words);
    for chunk in &xorb.chunks {
        let flags = if chunk.dedup_eligible { FLAG_DEDUP_ELIGIBLE } else { 0 };
        put(out, *chunk.hash.as_bytes(), [chunk.raw_start, chunk.raw_bytes, flags, 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::{ChunkHash, FileHash, RangeHash, XorbHash};
    use crate::xet::shard::{ShardChunk, ShardError, ShardTerm};

    fn hello() -> Shard {
        let chunk = ChunkHash::of(b"Hello, World!");
        let xorb = XorbHash::from_bytes(*chunk.as_bytes());
        let file = ShardFile {
            hash: "2028081f8fc86d0698acffb85c902a410549c3ffcc45a0b6ed666e1032d17157".parse().unwrap(),
            terms: vec![ShardTerm {
                xorb,
                raw_bytes: 13,
                chunks: 0..1,
                verification: Some(RangeHash::of([&chunk])),
            }],
            sha256: Some([0x11; 32]),
        };
        let empty = ShardFile { hash: FileHash::EMPTY, terms: vec![], sha256: Some([0; 32]) };
        let chunks = vec![ShardChunk { hash: chunk, raw_start: 0, raw_bytes: 13, dedup_eligible: false }];
        Shard {
            files: vec![file, empty],
            xorbs: vec![ShardXorb { hash: xorb, chunks, raw_bytes: 13, stored_bytes: 21 }],
            footer: None,
        }
    }

    #[test]
    fn an_upload_has_the_client_s_layout() {
        let bytes = hello().encode_upload();
        assert_eq!(bytes.len(), 11 * 48);
        assert_eq!(bytes[32..48], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // The empty file comes first, flagged for verification and metadata, with no term.
        assert_eq!(bytes[48..96], [&[0; 32][..], &0xC000_0000u32.to_le_bytes(), &[0; 12]].concat());
        assert_eq!(bytes[96..144], [0; 48]);
        let mut back = Shard::decode(&bytes).unwrap();
        back.files.reverse();
        assert_eq!(back, hello());
    }

    #[test]
    fn a_stored_shard_brings_its_footer() {
        let footer = ShardFooter { hmac_key: [5; 32], key_expires_at: 9, ..ShardFooter::of(&hello(), 8) };
        assert_eq!(
            (footer.materialized_bytes, footer.stored_bytes, footer.stored_bytes_on_disk),
            (13, 13, 21)
        );
        let bytes = hello().encode_stored(&footer);
        assert_eq!(bytes.len(), 11 * 48 + 200);
        assert_eq!(Shard::decode(&bytes).unwrap().footer, Some(footer));
    }

    #[test]
    fn a_footer_that_points_elsewhere_is_refused() {
        let good = hello().encode_stored(&ShardFooter::of(&hello(), 1));
        let start = good.len() - 200;
        for (at, what) in [(8, "file section offset"), (16, "xorb section offset"), (192, "footer offset")] {
            let mut bytes = good.clone();
            bytes[start + at] ^= 1;
            assert_eq!(Shard::decode(&bytes), Err(ShardError::BadOffset(what)));
        }
        for (at, what) in [(32, "file lookup"), (48, "xorb lookup"), (64, "chunk lookup")] {
            let mut bytes = good.clone();
            bytes[start + at..start + at + 8].fill(0xff);
            assert_eq!(Shard::decode(&bytes), Err(ShardError::BadOffset(what)));
        }
    }
}
