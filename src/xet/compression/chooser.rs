//! Guesses from a small sample which compression scheme suits a chunk.
//!
//! The idea is the reference client's: if the four byte lanes of a chunk differ in how many bits are set, the chunk
//! is an array of numbers and regrouping pays. The reference compares distributions over one whole chunk in 32; this
//! compares means over 4 KiB of each chunk, which is cheap enough to need no memory of earlier chunks, so that a
//! chunk's record does not depend on what came before it. Text is distinguished by never having a byte of zeros or of
//! ones: its lanes may differ, by the length of its lines, but regrouping would spoil its repetitions. The guess
//! only steers size: any scheme decodes.

use super::Scheme;

/// Words of four bytes, one a lane, in one stretch of the sample.
const STRETCH_WORDS: usize = 64;

/// Stretches in a sample, spread evenly over the chunk.
const STRETCHES: usize = 16;

/// By how many hundredths of a bit a lane's mean must differ from that of all lanes. For bytes that else are alike
/// this is about the divergence of 0.02 that the reference asks for. In random bytes it is six standard deviations.
const DIFFERENCE_MIN: u64 = 28;

/// What the sample showed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sample {
    /// Words looked at.
    words: u64,
    /// Bits set in each lane.
    lanes: [u64; 4],
    /// Whether some byte was all zeros or all ones.
    is_binary: bool,
}

/// The scheme to try for `raw`; never [`Scheme::None`], since only trying tells what does not compress.
pub(super) fn choose(raw: &[u8]) -> Scheme {
    let sample = Sample::of(raw.as_chunks().0);
    if sample.is_binary && sample.has_lanes_that_differ() { Scheme::Bg4Lz4 } else { Scheme::Lz4 }
}

impl Sample {
    fn of(words: &[[u8; 4]]) -> Self {
        let mut sample = Self::default();
        if words.len() <= STRETCHES * STRETCH_WORDS {
            sample.add(words);
        } else {
            for stretch in words.chunks_exact(words.len() / STRETCHES).take(STRETCHES) {
                sample.add(&stretch[..STRETCH_WORDS]);
            }
        }
        sample
    }

    /// Adds a stretch. The loops are of the kind that compilers turn into vector instructions: this runs for every
    /// chunk, also for those that LZ4 gives up on at many gigabytes a second.
    fn add(&mut self, stretch: &[[u8; 4]]) {
        self.words += stretch.len() as u64;
        // A byte of the sum is at most 8 bits times 16 words.
        for words in stretch.chunks(16) {
            let sum: u32 = words.iter().map(|word| bits_by_byte(u32::from_le_bytes(*word))).sum();
            for (lane, bits) in self.lanes.iter_mut().zip(sum.to_le_bytes()) {
                *lane += u64::from(bits);
            }
        }
        let is_extreme = |byte: &u8| u8::from(byte.wrapping_add(1) <= 1);
        self.is_binary |= stretch.as_flattened().iter().fold(0, |any, byte| any | is_extreme(byte)) != 0;
    }

    fn has_lanes_that_differ(&self) -> bool {
        let all: u64 = self.lanes.iter().sum();
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| (4 * lane).abs_diff(all) * 100 > DIFFERENCE_MIN * 4 * self.words)
    }
}

/// How many bits are set in each byte of a word, in that byte.
fn bits_by_byte(word: u32) -> u32 {
    let pairs = word - ((word >> 1) & 0x5555_5555);
    let nibbles = (pairs & 0x3333_3333) + ((pairs >> 2) & 0x3333_3333);
    (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn arrays_of_numbers_are_regrouped() {
        let floats: Vec<u8> = (0..16_384u16).flat_map(|i| (f32::from(i) / 1000.0).to_le_bytes()).collect();
        assert_eq!(choose(&floats), Scheme::Bg4Lz4);
        let counters: Vec<u8> = (0..16_384u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(choose(&counters), Scheme::Bg4Lz4);
        // Brain floats: random mantissas, exponents around one.
        let halves: Vec<u8> = random(32_768).iter().flat_map(|byte| [*byte, 0x3f - (byte & 1)]).collect();
        assert_eq!(choose(&halves), Scheme::Bg4Lz4);
    }

    #[test]
    fn text_zeros_and_random_bytes_are_not_regrouped() {
        let text = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(1000);
        assert_eq!(choose(text.as_bytes()), Scheme::Lz4);
        assert_eq!(choose(&vec![0; 65_536]), Scheme::Lz4);
        assert_eq!(choose(&[]), Scheme::Lz4);
        for chunk in random(64 * 65_536).chunks(65_536) {
            assert_eq!(choose(chunk), Scheme::Lz4);
        }
    }

    #[test]
    fn bits_are_counted_by_lane() {
        let raw: Vec<u8> = (0..4096u32).map(|i| ((i * i) >> 3) as u8).collect();
        let mut expected = Sample { words: 1024, is_binary: true, ..Sample::default() };
        for (i, byte) in raw.iter().enumerate() {
            expected.lanes[i % 4] += u64::from(byte.count_ones());
        }
        assert_eq!(Sample::of(raw.as_chunks().0), expected);
    }
}
