//! The Xet formats against the published and the observed vectors.

use std::fmt::Write as _;

use sha2::Digest as _;
use xetgate::xet::chunker::chunk_lengths;
use xetgate::xet::hash::{ChunkHash, FileHash, RangeHash, XorbHash};
use xetgate::xet::merkle;

const MIB: usize = 1 << 20;

/// The generator of all random vectors.
fn split_mix(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    out.truncate(len);
    out
}

fn floats() -> Vec<u8> {
    let numbers = (0..262_144).map(|i| (f64::from(i) / 1000.0) as f32);
    numbers.flat_map(f32::to_le_bytes).collect()
}

fn with_insertion() -> Vec<u8> {
    let mut data = split_mix(42, 10 * MIB);
    data.insert(5_000_000, b'X');
    data
}

/// Chunks as (hash, length).
fn chunks(data: &[u8]) -> Vec<(ChunkHash, u64)> {
    let mut rest = data;
    let lengths = chunk_lengths(data);
    let chunks = lengths.into_iter().map(|length| {
        let (chunk, tail) = rest.split_at(length);
        rest = tail;
        (ChunkHash::of(chunk), length as u64)
    });
    chunks.collect()
}

fn root(data: &[u8]) -> String {
    merkle::xorb_hash(chunks(data)).to_string()
}

fn range_hash(data: &[u8]) -> String {
    let chunks = chunks(data);
    RangeHash::of(chunks.iter().map(|(hash, _)| hash)).to_string()
}

/// The ends of the chunks, as the vectors list them.
fn cuts(data: &[u8]) -> String {
    let mut end = 0;
    let ends = chunk_lengths(data).into_iter().map(|length| {
        end += length;
        end.to_string()
    });
    ends.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_gear_table_is_the_published_one() {
    let mut bytes = Vec::new();
    let mut text = String::new();
    for entry in &gearhash::DEFAULT_TABLE {
        bytes.extend_from_slice(&entry.to_le_bytes());
        writeln!(text, "{entry:016x}").unwrap();
    }
    assert_eq!(text, include_str!("vectors/gear_table.txt"));
    assert_eq!(
        hex::encode(sha2::Sha256::digest(&bytes)),
        "e1d3936666d7ae7a977c958e9afcc75f90aaca758ce5fbe4ece61dffefe1912c"
    );
    assert_eq!(
        blake3::hash(&bytes).to_hex().as_str(),
        "f60341922f1af687111d59d36d19c4726158eefb2544163b58ff06de0509ec0c"
    );
}

#[test]
fn trees_have_the_published_roots() {
    let mut leaves: Vec<(ChunkHash, u64)> = Vec::new();
    let mut trees = 0;
    for line in include_str!("vectors/merkle_vectors.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["#", ..] => {}
            ["leaves", count] => leaves = Vec::with_capacity(count.parse().unwrap()),
            ["root", root] => {
                assert_eq!(leaves.len(), leaves.capacity(), "the leaves are complete");
                assert_eq!(merkle::xorb_hash(leaves.clone()), root.parse::<XorbHash>().unwrap());
            }
            ["file", file] => {
                assert_eq!(merkle::file_hash(leaves.clone()), file.parse::<FileHash>().unwrap());
                trees += 1;
            }
            [hash, size] => leaves.push((hash.parse().unwrap(), size.parse().unwrap())),
            _ => panic!("cannot read {line:?}"),
        }
    }
    assert_eq!(trees, 18);
}

/// The input of a file vector, by its name.
fn input(name: &str) -> Vec<u8> {
    match &name[3..] {
        "empty" => vec![],
        "one_00" => vec![0],
        "one_61" => vec![b'a'],
        "hello" => b"Hello, World!".to_vec(),
        "1KiB_zeros" => vec![0; 1024],
        "8191_sm42" => split_mix(42, 8191),
        "8192_sm42" => split_mix(42, 8192),
        "64KiB_zeros" => vec![0; 65_536],
        "128KiB_zeros" => vec![0; 131_072],
        "128KiB+1_zeros" => vec![0; 131_073],
        "1MiB_zeros" => vec![0; MIB],
        "1000003_sm42" => split_mix(42, 1_000_003),
        "1MiB_sm42" => split_mix(42, MIB),
        "10MiB_sm42" => split_mix(42, 10 * MIB),
        "10MiB_sm42_insert1" => with_insertion(),
        "100MiB_sm42" => split_mix(42, 100 * MIB),
        "10MiB_sm42_x2" => split_mix(42, 10 * MIB).repeat(2),
        "1MiB_ramp" => (0..MIB).map(|i| i as u8).collect(),
        "1MiB_f32" => floats(),
        "16MiB_zeros" => vec![0; 16 * MIB],
        _ => panic!("unknown vector {name}"),
    }
}

#[test]
fn files_have_the_hashes_that_the_official_client_computes() {
    let mut files = 0;
    for line in include_str!("vectors/filevectors.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, bytes, file, sha256] = words[..] else {
            panic!("cannot read {line:?}");
        };
        let data = input(name);
        assert_eq!(data.len().to_string(), bytes, "{name}");
        assert_eq!(hex::encode(sha2::Sha256::digest(&data)), sha256, "{name}: the input itself");
        assert_eq!(merkle::file_hash(chunks(&data)).to_string(), file, "{name}");
        files += 1;
    }
    assert_eq!(files, 20);
}

#[test]
fn chunk_lists_match() {
    let lists = [
        (input("13_10MiB_sm42"), include_str!("vectors/chunks_10MiB_sm42.txt")),
        (input("18_1MiB_f32"), include_str!("vectors/chunks_1MiB_f32.txt")),
    ];
    for (data, expected) in lists {
        let mut list = String::new();
        for (hash, length) in chunks(&data) {
            writeln!(list, "{hash} {length}").unwrap();
        }
        assert_eq!(list, expected);
    }
}

#[test]
fn chunk_counts_match() {
    let counts = [
        ("04_1KiB_zeros", 1),
        ("07_64KiB_zeros", 1),
        ("08_128KiB_zeros", 1),
        ("09_128KiB+1_zeros", 2),
        ("10_1MiB_zeros", 8),
        ("11_1000003_sm42", 16),
        ("12_1MiB_sm42", 17),
        ("16_10MiB_sm42_x2", 325),
        ("17_1MiB_ramp", 8),
        ("19_16MiB_zeros", 128),
    ];
    for (name, count) in counts {
        assert_eq!(chunk_lengths(&input(name)).len(), count, "{name}");
    }
}

#[test]
fn one_inserted_byte_changes_one_chunk() {
    let before = chunks(&split_mix(42, 10 * MIB));
    let after = chunks(&with_insertion());
    assert_eq!((before.len(), after.len()), (163, 163));
    let changed: Vec<_> = (0..163).filter(|i| before[*i] != after[*i]).collect();
    assert_eq!(changed, [81]);
    assert_eq!((before[81].1, after[81].1), (86_110, 86_111));
}

#[test]
fn one_chunk_of_the_large_file_is_eligible_for_dedup() {
    let chunks = chunks(&split_mix(42, 100 * MIB));
    assert_eq!(chunks.len(), 1654);
    let eligible: Vec<_> =
        chunks.iter().enumerate().filter(|(_, (hash, _))| hash.is_dedup_eligible()).collect();
    let [(index, (hash, _))] = eligible[..] else {
        panic!("{} eligible chunks", eligible.len());
    };
    assert_eq!(index, 828);
    assert_eq!(hash.to_string(), "f6ea64f1ac2911e92ae691859f346beb72adafc8e16c903e79386a55eeda6400");
}

#[test]
fn the_published_million_random_bytes_match_in_all() {
    let data = split_mix(0, 1_000_000);
    assert_eq!((data[0], data[127], data[111_111]), (175, 132, 118));
    assert_eq!(
        cuts(&data),
        "84493 134421 144853 243318 271793 336457 467529 494581 582000 596735 616815 653164 678202 724510 815591 \
         827760 958832 991092 1000000"
    );
    let hashes: Vec<_> = chunks(&data).iter().take(3).map(|(hash, _)| hash.to_string()).collect();
    assert_eq!(
        hashes,
        [
            "6eca1e7dadaf08cca5d82d318c800f07c2ddcec115a7e8627e5edd9605b94b8d",
            "624ea34d72a06e5d43a1b8dd10763f0d22f165992c397ed97563899b27fdd88a",
            "4411d2ec847c6e3f451a7451ff3933adb4f1c31587421b9f730b698a78313b47",
        ]
    );
    assert_eq!(root(&data), "6f2ce16ca5e317f0100ff0e7e5bf40a0de9032e9ee1ad04b6b8ff4e36cdfbf6c");
    assert_eq!(
        merkle::file_hash(chunks(&data)).to_string(),
        "3d17b2d7d64a0e011b6717a52d9a16bd2c3f05b743fa8adf52a7d75dafab6d89"
    );
    assert_eq!(range_hash(&data), "6daf15a7ed258b91f607e8f5e6723a8564292d12c8104c156f7bad9c255a0180");
}

#[test]
fn a_constant_run_is_cut_at_the_longest_chunk() {
    assert_eq!(cuts(&vec![0x3b; 1_000_000]), "131072 262144 393216 524288 655360 786432 917504 1000000");
}

/// Triggers the mask once a repetition.
const PATTERN: [u8; 128] = [
    154, 52, 42, 34, 159, 75, 126, 224, 70, 236, 12, 196, 79, 236, 178, 124, 127, 50, 99, 178, 44, 176, 174,
    126, 250, 235, 205, 174, 252, 122, 35, 10, 20, 101, 214, 69, 193, 8, 115, 105, 158, 228, 120, 111, 136,
    162, 198, 251, 211, 183, 253, 252, 164, 147, 63, 16, 186, 162, 117, 23, 170, 36, 205, 187, 174, 76, 210,
    174, 211, 175, 12, 173, 145, 59, 2, 70, 222, 181, 159, 227, 182, 156, 189, 51, 226, 106, 24, 50, 183,
    157, 140, 10, 8, 23, 212, 70, 10, 234, 23, 33, 219, 254, 39, 236, 70, 49, 191, 116, 9, 115, 15, 101, 26,
    159, 165, 220, 15, 170, 56, 125, 92, 163, 94, 235, 38, 40, 49, 81,
];

#[test]
fn triggers_around_the_shortest_chunk_cut_where_they_should() {
    let cases = [
        (0, "8256 16448 24640 32832 41024 49216 57408 65536"),
        (1, "8320 16576 24832 33088 41344 49600 57856 65536"),
        (2, "8254 16574 24894 33214 41534 49854 58174 65536"),
        (3, "8317 16570 24823 33076 41329 49582 57835 65536"),
        (13, "8242 16561 24880 33199 41518 49837 58156 65536"),
        (22, "8314 16564 24814 33064 41314 49564 57814 65536"),
    ];
    for (padding, expected) in cases {
        let unit = [&PATTERN[..], &vec![0; padding]].concat();
        let mut data = unit.repeat(65_536 / unit.len() + 1);
        data.truncate(65_536);
        assert_eq!(cuts(&data), expected, "padding {padding}");
    }
}

#[test]
fn xorb_roots_match() {
    let roots = [
        ("03_hello", "45143e5337d3e15599eb0f1370a9ee88e5114a633b3dd960ee673dbc191bf089"),
        ("10_1MiB_zeros", "8c15d5bfe292d5f8f3b992149581636a5c4078ce9c4349d43f1a762ba0609839"),
        ("09_128KiB+1_zeros", "33774e8810e1614d58259f9399274b3759c85eca0c1f5cc125d285b2b860b924"),
        ("12_1MiB_sm42", "c8d570e0dce9cb4d33056789263963f829c76db96e919e5b31a0bf136b4efae4"),
        ("13_10MiB_sm42", "5f972da08fbab9bb9bcd46bdbcb5f8dc9ee9cf82e576c1326eece34a95204746"),
        ("18_1MiB_f32", "487bbb4c3da734c38edf7dfa78b0741d1e6943c076b8b6d578797abde93b29ce"),
        // A xorb of one chunk has that chunk's hash.
        ("08_128KiB_zeros", "2e39f13c248013b27e22913ba2893a654120ed0ad8eb7ecbf3f05b9d708634fc"),
        ("04_1KiB_zeros", "35dd8b15c08fe2705f75296afb8ed31afb103c284c74ae017c79c2559888ffca"),
    ];
    for (name, expected) in roots {
        assert_eq!(root(&input(name)), expected, "{name}");
    }
}

#[test]
fn range_hashes_match() {
    let ranges = [
        ("03_hello", "cfd20c714b3845a2c9ddbb009247d43d211f6377bc7e97b3a725f85684142812"),
        ("13_10MiB_sm42", "b8a14bfcc2cdebdf68130439f01032abd5abd2edb6f32ff34630c1fe8fe3851e"),
    ];
    for (name, expected) in ranges {
        assert_eq!(range_hash(&input(name)), expected, "{name}");
    }
}
