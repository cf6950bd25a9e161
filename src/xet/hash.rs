//! The five kinds of Xet hash, as types that cannot be mixed up, and their keyed-BLAKE3 makers.
//!
//! Invariant: a value of one of these types was either computed by a function of this module (or of
//! [`super::merkle`]) or read from a place that declares it (a URL, a shard, a row). Nothing here verifies.
//!
//! The text form of all of them is the "hex form" of the Xet specification: the 32 bytes read as four
//! little-endian `u64`, each printed as 16 lowercase hexadecimal digits. It is *not* the plain hex of the bytes.

use std::fmt;
use std::str::FromStr;

/// Key of [`ChunkHash`]. Source: Xet specification, "Hashing".
const DATA_KEY: [u8; 32] = [
    102, 151, 245, 119, 91, 149, 80, 222, 49, 53, 203, 172, 165, 151, 24, 28, 157, 228, 33, 16, 155, 235, 43,
    88, 180, 208, 176, 75, 147, 173, 242, 41,
];

/// Key of the inner nodes of the Merkle tree.
const NODE_KEY: [u8; 32] = [
    1, 126, 197, 199, 165, 71, 41, 150, 253, 148, 102, 102, 180, 138, 2, 230, 93, 221, 83, 111, 55, 199, 109,
    210, 248, 99, 82, 230, 74, 83, 113, 63,
];

/// Key of [`RangeHash`].
const VERIFICATION_KEY: [u8; 32] = [
    127, 24, 87, 214, 206, 86, 237, 102, 18, 127, 249, 19, 231, 165, 195, 243, 164, 205, 38, 213, 181, 219,
    73, 230, 65, 36, 152, 127, 40, 251, 148, 195,
];

/// Salt of [`FileHash`]; the Hub uses zero.
const FILE_SALT: [u8; 32] = [0; 32];

/// The text given was not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a Xet hash is 64 hexadecimal digits, got {got:?}")]
pub struct ParseHashError {
    got: String,
}

/// Writes the hex form of 32 hash bytes.
fn write_hex_form(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut words, mut text) = (*bytes, [0; 64]);
    words.as_chunks_mut::<8>().0.iter_mut().for_each(|word| word.reverse());
    hex::encode_to_slice(words, &mut text).map_err(|_| fmt::Error)?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

/// Reads the hex form; exactly 64 hexadecimal digits.
fn parse_hex_form(text: &str) -> Result<[u8; 32], ParseHashError> {
    let error = || ParseHashError { got: text.chars().take(80).collect() };
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(error());
    }
    let mut bytes = [0; 32];
    for (i, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let value = u64::from_str_radix(&text[i * 16..(i + 1) * 16], 16).map_err(|_| error())?;
        *word = value.to_le_bytes();
    }
    Ok(bytes)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes as they stand in binary formats.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes as they stand in binary formats.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The four little-endian words: the order in which shards sort, and what "hex form" prints.
            pub fn words(&self) -> [u64; 4] {
                let (words, _) = self.0.as_chunks::<8>();
                [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.words().cmp(&other.words())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex_form(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                parse_hex_form(text).map(Self)
            }
        }
    };
}

hash_type! {
    /// Identity of one chunk: BLAKE3 keyed with the data key, over the uncompressed bytes.
    ChunkHash
}
hash_type! {
    /// Identity of a xorb: the Merkle root over its chunks, unsalted.
    XorbHash
}
hash_type! {
    /// Identity of a file: its Merkle root keyed with the zero salt; all zero for the empty file.
    FileHash
}
hash_type! {
    /// Proof that one holds the chunks of a term: keyed hash of their concatenated hashes.
    RangeHash
}
hash_type! {
    /// A node of the Merkle tree; a leaf is a chunk hash.
    NodeHash
}

impl ChunkHash {
    /// Hashes the uncompressed bytes of one chunk.
    pub fn of(chunk: &[u8]) -> Self {
        Self(*blake3::keyed_hash(&DATA_KEY, chunk).as_bytes())
    }

    /// Whether servers offer this chunk in global deduplication wherever it stands (1 chunk in 1024).
    pub fn is_dedup_eligible(&self) -> bool {
        self.words()[3].is_multiple_of(1024)
    }
}

impl NodeHash {
    /// Hashes the textual form of a group of nodes.
    pub(super) fn of_group_text(text: &[u8]) -> Self {
        Self(*blake3::keyed_hash(&NODE_KEY, text).as_bytes())
    }

    /// Whether this node ends its group (1 in 4).
    pub(super) fn is_group_end(&self) -> bool {
        self.words()[3].is_multiple_of(4)
    }
}

impl From<ChunkHash> for NodeHash {
    fn from(hash: ChunkHash) -> Self {
        Self(hash.0)
    }
}

impl XorbHash {
    /// A xorb's hash is its Merkle root.
    pub fn from_root(root: NodeHash) -> Self {
        Self(root.0)
    }
}

impl FileHash {
    /// The hash of the file of no bytes.
    pub const EMPTY: Self = Self([0; 32]);

    /// Salts the Merkle root over all chunks of a file of at least one byte.
    pub fn from_root(root: NodeHash) -> Self {
        Self(*blake3::keyed_hash(&FILE_SALT, &root.0).as_bytes())
    }
}

impl RangeHash {
    /// Hashes the chunk hashes of a term, in order.
    pub fn of<'a>(chunks: impl IntoIterator<Item = &'a ChunkHash>) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&VERIFICATION_KEY);
        for chunk in chunks {
            hasher.update(&chunk.0);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// Computes a [`RangeHash`] chunk by chunk. Boxed: its state has 1.9 KB, and anyone who holds one is moved often.
pub struct RangeHasher(Box<blake3::Hasher>);

impl Default for RangeHasher {
    fn default() -> Self {
        Self(Box::new(blake3::Hasher::new_keyed(&VERIFICATION_KEY)))
    }
}

impl RangeHasher {
    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &ChunkHash) {
        self.0.update(&chunk.0);
    }

    /// The hash of the chunks so far; the next chunk begins another range.
    pub fn take(&mut self) -> RangeHash {
        let hash = RangeHash(*self.0.finalize().as_bytes());
        self.0.reset();
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_form_prints_each_word_from_its_last_byte() {
        let bytes: [u8; 32] = std::array::from_fn(|i| i as u8);
        let text = "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918";
        assert_eq!(ChunkHash::from_bytes(bytes).to_string(), text);
        assert_eq!(text.parse::<ChunkHash>().unwrap().as_bytes(), &bytes);
    }

    #[test]
    fn only_64_hex_digits_are_a_hash() {
        for bad in
            ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!("+{}", "0".repeat(63))]
        {
            assert!(bad.parse::<FileHash>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn chunk_hashes_match_the_published_ones() {
        let cases = [
            ("", "e0f2cf784e7e5f10c34f84af150e9a5ff9664216debad915364d741049870f67"),
            ("hello world", "4e39378b9d359f118190557a1f44130219a54e5fcfa07bd96cf50b466fe651b1"),
            ("Hello, World!", "45143e5337d3e15599eb0f1370a9ee88e5114a633b3dd960ee673dbc191bf089"),
        ];
        for (input, hash) in cases {
            assert_eq!(ChunkHash::of(input.as_bytes()).to_string(), hash);
        }
        assert_eq!(
            NodeHash::of_group_text(b"hello world").to_string(),
            "2fba9cb0b7c387e6b4604e48315f15b4371d879464e18a7f9d2961c21a5accbf"
        );
    }

    #[test]
    fn range_hashes_can_be_taken_chunk_by_chunk() {
        let chunks = [b"a", b"b", b"c"].map(|bytes| ChunkHash::of(bytes));
        let mut hasher = RangeHasher::default();
        hasher.push(&chunks[0]);
        hasher.push(&chunks[1]);
        assert_eq!(hasher.take(), RangeHash::of(&chunks[..2]));
        hasher.push(&chunks[2]);
        assert_eq!(hasher.take(), RangeHash::of(&chunks[2..]));
    }

    #[test]
    fn a_range_hash_matches_the_published_one() {
        let chunk = ChunkHash::of(b"Hello, World!");
        assert_eq!(
            RangeHash::of([&chunk]).to_string(),
            "cfd20c714b3845a2c9ddbb009247d43d211f6377bc7e97b3a725f85684142812"
        );
    }
}
