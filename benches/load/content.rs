//! Incompressible bytes that can be made again: they depend on a seed, an object's number and the offset alone.
//!
//! splitmix64, at some 4 GB/s; `compat-tests/oracle` uses this file too, so that both chunk the same bytes.

/// Bytes are made in blocks of this, the last one of an object cut off.
pub(crate) const BLOCK_BYTES: usize = 256 << 10;

fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A repeatable sequence of numbers.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mixed(seed ^ 0x5851_f42d_4c95_7f2d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }
}

/// Fills the beginning of a block of an object; `into` is no longer than a block.
pub(crate) fn fill(seed: u64, object: u64, block: u64, into: &mut [u8]) {
    let mut numbers = Numbers::new(mixed(mixed(seed.wrapping_add(object << 20)).wrapping_add(block)));
    let (words, rest) = into.as_chunks_mut::<8>();
    for word in words {
        *word = numbers.next().to_le_bytes();
    }
    let last = numbers.next().to_le_bytes();
    rest.copy_from_slice(&last[..rest.len()]);
}

/// A whole object.
pub(crate) fn object(seed: u64, object: u64, bytes: usize) -> Vec<u8> {
    let mut whole = vec![0; bytes];
    for (number, block) in whole.chunks_mut(BLOCK_BYTES).enumerate() {
        fill(seed, object, number as u64, block);
    }
    whole
}
