//! Properties of the Xet formats: encoding and decoding are inverse, cuts and roots equal those of plain
//! implementations of the rules, and decoders survive any bytes without exceeding what they may allocate.

use proptest::prelude::*;
use proptest::sample::Index;
use xetgate::xet::chunker::{Chunker, chunk_lengths};
use xetgate::xet::compression::{Compressor, Scheme, decompress};
use xetgate::xet::hash::{ChunkHash, FileHash, NodeHash, RangeHash, XorbHash};
use xetgate::xet::merkle::{self, MerkleTree};
use xetgate::xet::shard::{Shard, ShardChunk, ShardFile, ShardFooter, ShardTerm, ShardXorb};
use xetgate::xet::xorb::{
    ChunkEntry, ChunkTable, RecordHeader, XorbFooter, decode_record, encode_record, read_headers, validate,
};

/// Random bytes of a seed.
fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A stretch of content: random, constant, or a short pattern repeated.
fn stretch(len: usize) -> impl Strategy<Value = Vec<u8>> {
    let pattern = prop::collection::vec(any::<u8>(), 1..300);
    prop_oneof![
        (any::<u64>(), 0..len).prop_map(|(seed, len)| random_bytes(seed, len)),
        (any::<u8>(), 0..len).prop_map(|(byte, len)| vec![byte; len]),
        (pattern, 0..len).prop_map(|(pattern, len)| pattern.into_iter().cycle().take(len).collect()),
    ]
}

/// Content of a few stretches, of at most `stretches * len` bytes.
fn content(stretches: usize, len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(stretch(len), 1..=stretches).prop_map(|parts| parts.concat())
}

/// A chunk: 1 to 131072 bytes.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    content(3, 43_000).prop_filter("chunks are not empty", |chunk| !chunk.is_empty())
}

/// A xorb as it is uploaded, and its table.
fn xorb(chunks: &[Vec<u8>]) -> (Vec<u8>, ChunkTable) {
    let (mut bytes, mut table, mut compressor) = (Vec::new(), ChunkTable::default(), Compressor::new());
    for chunk in chunks {
        let header = encode_record(&mut compressor, chunk, &mut bytes);
        table.push(ChunkHash::of(chunk), header.record_len(), header.raw_len);
    }
    (bytes, table)
}

/// The cut rule word for word: every byte hashed.
fn plain_chunk_lengths(data: &[u8]) -> Vec<usize> {
    let (mut lengths, mut hash, mut len) = (Vec::new(), 0u64, 0);
    for byte in data {
        hash = (hash << 1).wrapping_add(gearhash::DEFAULT_TABLE[usize::from(*byte)]);
        len += 1;
        if len >= 8192 && (hash >> 48 == 0 || len == 131_072) {
            lengths.push(len);
            (hash, len) = (0, 0);
        }
    }
    lengths.extend((len > 0).then_some(len));
    lengths
}

/// The aggregation rule word for word: level by level.
fn plain_root(mut nodes: Vec<(NodeHash, u64)>) -> Option<NodeHash> {
    let node_key: [u8; 32] = [
        1, 126, 197, 199, 165, 71, 41, 150, 253, 148, 102, 102, 180, 138, 2, 230, 93, 221, 83, 111, 55, 199,
        109, 210, 248, 99, 82, 230, 74, 83, 113, 63,
    ];
    while nodes.len() > 1 {
        let (mut above, mut rest) = (Vec::new(), &nodes[..]);
        while !rest.is_empty() {
            let most = rest.len().min(9);
            let closing = (2..most).find(|index| rest[*index].0.words()[3] % 4 == 0);
            let (group, tail) = rest.split_at(closing.map_or(most, |index| index + 1));
            let lines: Vec<_> = group.iter().map(|(hash, size)| format!("{hash} : {size}\n")).collect();
            let hash =
                NodeHash::from_bytes(*blake3::keyed_hash(&node_key, lines.concat().as_bytes()).as_bytes());
            above.push((hash, group.iter().map(|(_, size)| size).sum()));
            rest = tail;
        }
        nodes = above;
    }
    nodes.first().map(|(hash, _)| *hash)
}

fn shard_xorb() -> impl Strategy<Value = ShardXorb> {
    let chunks = prop::collection::vec((any::<[u8; 32]>(), 1..=131_072u32, any::<bool>()), 0..20);
    (any::<[u8; 32]>(), chunks, any::<u32>()).prop_map(|(hash, list, stored_bytes)| {
        let mut raw_end = 0;
        let chunks = list.into_iter().map(|(hash, raw_bytes, dedup_eligible)| {
            let raw_start = raw_end;
            raw_end += raw_bytes;
            ShardChunk { hash: ChunkHash::from_bytes(hash), raw_start, raw_bytes, dedup_eligible }
        });
        let chunks = chunks.collect();
        ShardXorb { hash: XorbHash::from_bytes(hash), chunks, raw_bytes: raw_end, stored_bytes }
    })
}

fn shard_file() -> impl Strategy<Value = ShardFile> {
    let term = (any::<[u8; 32]>(), 0..8192u32, 1..=8192u32, any::<[u8; 32]>());
    let terms = prop::collection::vec(term, 0..12);
    (any::<[u8; 32]>(), terms, any::<bool>(), any::<Option<[u8; 32]>>()).prop_map(
        |(hash, terms, is_verified, sha256)| {
            let terms = terms.into_iter().map(|(xorb, start, count, verification)| {
                let end = (start + count).min(8192);
                ShardTerm {
                    xorb: XorbHash::from_bytes(xorb),
                    raw_bytes: (end - start) * 8192,
                    chunks: start..end,
                    verification: is_verified.then_some(RangeHash::from_bytes(verification)),
                }
            });
            ShardFile { hash: FileHash::from_bytes(hash), terms: terms.collect(), sha256 }
        },
    )
}

/// A shard in the order in which it is written.
fn shard() -> impl Strategy<Value = Shard> {
    let files = prop::collection::vec(shard_file(), 0..6);
    let xorbs = prop::collection::vec(shard_xorb(), 0..6);
    (files, xorbs).prop_map(|(mut files, mut xorbs)| {
        files.sort_by_key(|file| file.hash);
        xorbs.sort_by_key(|xorb| xorb.hash);
        Shard { files, xorbs, footer: None }
    })
}

/// A few bytes to overwrite, and where to cut off.
type Damage = (Vec<(Index, u8)>, Option<Index>);

fn damage() -> impl Strategy<Value = Damage> {
    let writes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    (writes, prop::option::weighted(0.3, any::<Index>()))
}

fn damaged(bytes: &[u8], (writes, cut): &Damage) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        for (index, byte) in writes {
            let at = index.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
    }
    bytes
}

/// Feeds bytes to every decoder; what decodes must be within the bounds of its input.
fn decode_all(bytes: &[u8], raw_len: usize) {
    for scheme in [Scheme::None, Scheme::Lz4, Scheme::Bg4Lz4] {
        if let Ok(raw) = decompress(scheme, bytes, raw_len) {
            assert_eq!((raw.len(), raw.capacity()), (raw_len, raw_len));
        }
    }
    if let Ok((header, raw, taken)) = decode_record(bytes) {
        assert_eq!(raw.len(), header.raw_len as usize);
        assert!(raw.capacity() <= 131_072 && taken <= bytes.len());
    }
    if let Ok(headers) = read_headers(bytes) {
        assert!(headers.len() * 8 <= bytes.len());
    }
    let _ = validate(bytes, XorbHash::from_bytes([0; 32]));
    if let Ok(footer) = XorbFooter::decode(bytes) {
        assert!(footer.chunks.len() * 40 <= bytes.len());
    }
    if let Ok(shard) = Shard::decode(bytes) {
        let rows = bytes.len() / 48;
        let terms: usize = shard.files.iter().map(|file| file.terms.capacity()).sum();
        let chunks: usize = shard.xorbs.iter().map(|xorb| xorb.chunks.capacity()).sum();
        assert!(shard.files.len() + shard.xorbs.len() + terms + chunks <= rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn cuts_are_those_of_the_plain_rule(data in content(4, 150_000)) {
        prop_assert_eq!(chunk_lengths(&data), plain_chunk_lengths(&data));
    }

    #[test]
    fn cuts_do_not_depend_on_the_pieces(
        data in content(4, 150_000),
        pieces in prop::collection::vec(prop_oneof![1..80usize, 1..20_000usize, 8120..8200usize], 1..40),
    ) {
        let (mut chunker, mut lengths, mut rest) = (Chunker::new(), Vec::new(), &data[..]);
        let mut length = 0;
        for piece in pieces.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut piece, tail) = rest.split_at(piece.min(rest.len()));
            rest = tail;
            while let Some(taken) = chunker.next_boundary(piece) {
                prop_assert!(taken > 0 && chunker.is_at_boundary());
                lengths.push(length + taken);
                length = 0;
                piece = &piece[taken..];
            }
            length += piece.len();
            prop_assert_eq!(chunker.pending_bytes(), length);
        }
        lengths.extend((length > 0).then_some(length));
        prop_assert_eq!(lengths, chunk_lengths(&data));
    }

    #[test]
    fn roots_are_those_of_the_plain_rule(
        leaves in prop::collection::vec((any::<[u8; 32]>(), any::<u32>()), 0..400),
        closing_of_256 in any::<u8>(),
    ) {
        // From hardly any node that closes its group to hardly any that does not.
        let leaves = leaves.into_iter().map(|(mut hash, bytes)| {
            let closes = hash[0] < closing_of_256;
            hash[24] = hash[24] & !3 | u8::from(!closes);
            (ChunkHash::from_bytes(hash), u64::from(bytes))
        });
        let leaves: Vec<_> = leaves.collect();
        let nodes: Vec<_> = leaves.iter().map(|(hash, bytes)| (NodeHash::from(*hash), *bytes)).collect();
        let mut tree = MerkleTree::new();
        for (hash, bytes) in &nodes {
            tree.push(*hash, *bytes);
        }
        let root = tree.finish();
        prop_assert_eq!(root, plain_root(nodes));
        prop_assert_eq!(merkle::file_hash(leaves), root.map_or(FileHash::EMPTY, FileHash::from_root));
    }

    #[test]
    fn every_scheme_gives_the_chunk_back(chunks in prop::collection::vec(chunk(), 1..4)) {
        // One compressor, as what it keeps of one chunk must not leak into the next.
        let mut compressor = Compressor::new();
        for chunk in &chunks {
            for wanted in [Scheme::None, Scheme::Lz4, Scheme::Bg4Lz4] {
                let (scheme, payload) = compressor.compress_as(wanted, chunk);
                prop_assert!(scheme == wanted && payload.len() < chunk.len() || scheme == Scheme::None);
                prop_assert_eq!(&decompress(scheme, payload, chunk.len()).unwrap(), chunk);
            }
            let (scheme, payload) = compressor.compress(chunk);
            prop_assert_eq!(&decompress(scheme, payload, chunk.len()).unwrap(), chunk);
        }
    }

    #[test]
    fn a_xorb_gives_its_chunks_back(chunks in prop::collection::vec(chunk(), 1..6)) {
        let (bytes, table) = xorb(&chunks);
        prop_assert_eq!(validate(&bytes, table.xorb_hash()).unwrap(), table.clone());
        let (mut rest, mut index) = (&bytes[..], 0);
        while !rest.is_empty() {
            let (header, raw, taken) = decode_record(rest).unwrap();
            prop_assert_eq!(RecordHeader::decode(&header.encode()).unwrap(), header);
            prop_assert_eq!(&raw, &chunks[index as usize]);
            let record = table.record_range(index..index + 1).unwrap();
            prop_assert_eq!(record.start as usize, bytes.len() - rest.len());
            prop_assert_eq!(record.len(), taken);
            prop_assert_eq!(table.raw_range(index..index + 1).unwrap().len(), raw.len());
            rest = &rest[taken..];
            index += 1;
        }
        prop_assert_eq!(index as usize, table.len());
    }

    #[test]
    fn a_damaged_xorb_never_passes_for_the_whole_one(
        chunks in prop::collection::vec(content(2, 3000), 1..6),
        damage in damage(),
    ) {
        let chunks: Vec<_> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        prop_assume!(!chunks.is_empty());
        let (bytes, table) = xorb(&chunks);
        // A compressed chunk has other encodings, but what passes must be the same chunks.
        if let Ok(read) = validate(&damaged(&bytes, &damage), table.xorb_hash()) {
            let hashes = |table: &ChunkTable| table.entries().iter().map(|entry| entry.hash).collect::<Vec<_>>();
            prop_assert_eq!(hashes(&read), hashes(&table));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_footer_gives_its_table_back(
        lengths in prop::collection::vec((9..=262_152u32, 1..=131_072u32), 0..200),
        buffer in any::<[u8; 16]>(),
    ) {
        let mut table = ChunkTable::default();
        for (index, (record, raw)) in lengths.into_iter().enumerate() {
            table.push(ChunkHash::of(&index.to_le_bytes()), record, raw);
        }
        let footer = XorbFooter { buffer, ..XorbFooter::new(table.clone()) };
        prop_assert_eq!(XorbFooter::decode(&footer.encode()).unwrap(), footer);
        prop_assert_eq!(ChunkTable::from_entries(table.entries().to_vec()).unwrap(), table);
    }

    #[test]
    fn a_shard_gives_its_lists_back(shard in shard(), key in any::<[u8; 32]>(), times in any::<(u64, u64)>()) {
        prop_assert_eq!(&Shard::decode(&shard.encode_upload()).unwrap(), &shard);
        let footer = ShardFooter {
            hmac_key: key,
            key_expires_at: times.1,
            ..ShardFooter::of(&shard, times.0)
        };
        let stored = Shard::decode(&shard.encode_stored(&footer)).unwrap();
        prop_assert_eq!(stored.footer.as_ref(), Some(&footer));
        prop_assert_eq!(Shard { footer: None, ..stored }, shard);
    }

    #[test]
    fn tables_of_any_entries_are_consistent_or_refused(
        entries in prop::collection::vec((0..1000u32, 0..1000u32), 0..8),
    ) {
        let hash = ChunkHash::of(b"");
        let entries = entries.into_iter().map(|(record_end, raw_end)| ChunkEntry { hash, record_end, raw_end });
        if let Ok(table) = ChunkTable::from_entries(entries.collect()) {
            for index in 0..table.len() as u32 {
                prop_assert!(table.record_range(index..index + 1).unwrap().len() > 8);
                prop_assert!(!table.raw_range(index..index + 1).unwrap().is_empty());
            }
        }
    }

    #[test]
    fn decoders_survive_any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        raw_len in 0..=131_072usize,
    ) {
        decode_all(&bytes, raw_len);
    }

    #[test]
    fn decoders_survive_damaged_records(chunk in content(2, 3000), damage in damage(), frame_only in any::<bool>()) {
        prop_assume!(!chunk.is_empty());
        let (bytes, table) = xorb(std::slice::from_ref(&chunk));
        let bytes = [bytes, XorbFooter::new(table).encode()].concat();
        let start = if frame_only { 8 } else { 0 };
        let damaged = damaged(&bytes[start..], &damage);
        decode_all(&damaged, chunk.len());
        // The frame alone, without the footer behind it.
        let mut compressor = Compressor::new();
        for scheme in [Scheme::Lz4, Scheme::Bg4Lz4] {
            let (_, payload) = compressor.compress_as(scheme, &chunk);
            decode_all(&self::damaged(payload, &damage), chunk.len());
        }
    }

    #[test]
    fn decoders_survive_damaged_footers(count in 0..20u32, damage in damage()) {
        let mut table = ChunkTable::default();
        (0..count).for_each(|index| table.push(ChunkHash::of(&index.to_le_bytes()), 100, 92));
        decode_all(&damaged(&XorbFooter::new(table).encode(), &damage), 100);
    }

    #[test]
    fn decoders_survive_damaged_shards(shard in shard(), has_footer in any::<bool>(), damage in damage()) {
        let bytes = if has_footer {
            shard.encode_stored(&ShardFooter::of(&shard, 0))
        } else {
            shard.encode_upload()
        };
        decode_all(&damaged(&bytes, &damage), 100);
    }
}
