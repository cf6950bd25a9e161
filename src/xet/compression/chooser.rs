//! Guesses from a small sample which compression scheme suits a chunk.
//!
//! The idea is the reference client's: if the four byte lanes of a chunk differ in how many bits are set, the chunk
//! is an array of numbers and regrouping pays. The reference counts every byte of one chunk in 32; this counts
//! 4 KiB of each chunk, which costs about the same and needs no memory of earlier chunks, so that a chunk's record
//! does not depend on what came before it. Text is told apart by never having a byte of no or of eight set bits:
//! its lanes may differ, by the length of its lines, but regrouping would spoil its repetitions (the reference gets
//! there by discarding lanes with an empty count). The guess only steers size: any scheme decodes.

use super::Scheme;

/// Bytes of one stretch of the sample; a multiple of four, so that lanes stay in step.
const STRETCH_BYTES: usize = 256;

/// Stretches in a sample, spread evenly over the chunk.
const STRETCHES: usize = 16;

/// Divergence of a lane from the whole above which regrouping pays; the reference's number. On lanes that do not
/// differ, chance reaches it once in some hundred thousand samples.
const DIVERGENCE_MIN: f64 = 0.02;

/// How many bytes have 0, 1, ... 8 bits set.
type BitCounts = [u32; 9];

/// The scheme to try for `raw`; never [`Scheme::None`], since only trying tells what does not compress.
pub(super) fn choose(raw: &[u8]) -> Scheme {
    let lanes = count_lanes(raw);
    let mut whole = BitCounts::default();
    for lane in &lanes {
        for (sum, count) in whole.iter_mut().zip(lane) {
            *sum += count;
        }
    }
    let is_divergent = |lane: &BitCounts| divergence(lane, &whole) > DIVERGENCE_MIN;
    let is_text = whole[0] == 0 && whole[8] == 0;
    if !is_text && lanes.iter().any(is_divergent) { Scheme::Bg4Lz4 } else { Scheme::Lz4 }
}

/// Counts set bits by lane over the sample.
fn count_lanes(raw: &[u8]) -> [BitCounts; 4] {
    let mut lanes = [BitCounts::default(); 4];
    let mut count = |stretch: &[u8]| {
        for word in stretch.as_chunks::<4>().0 {
            for (lane, byte) in lanes.iter_mut().zip(word) {
                lane[byte.count_ones() as usize] += 1;
            }
        }
    };
    if raw.len() <= STRETCHES * STRETCH_BYTES {
        count(raw);
    } else {
        let stride = (raw.len() / STRETCHES) & !3;
        for stretch in raw.chunks_exact(stride).take(STRETCHES) {
            count(&stretch[..STRETCH_BYTES.min(stretch.len())]);
        }
    }
    lanes
}

/// The Kullback-Leibler divergence of a lane from all lanes together, in nats. Neither is empty.
fn divergence(lane: &BitCounts, whole: &BitCounts) -> f64 {
    let (lane_total, whole_total) = (lane.iter().sum::<u32>(), whole.iter().sum::<u32>());
    let share = |count: u32, total: u32| f64::from(count) / f64::from(total);
    let terms = lane.iter().zip(whole).filter(|(count, _)| **count > 0);
    terms
        .map(|(count, all)| {
            let p = share(*count, lane_total);
            p * (p / share(*all, whole_total)).ln()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_regrouped_and_text_and_zeros_are_not() {
        let floats: Vec<u8> = (0..16_384u16).flat_map(|i| (f32::from(i) / 1000.0).to_le_bytes()).collect();
        assert_eq!(choose(&floats), Scheme::Bg4Lz4);
        let text = "The quick brown fox jumps over the lazy dog, again and again. ".repeat(1000);
        assert_eq!(choose(text.as_bytes()), Scheme::Lz4);
        assert_eq!(choose(&vec![0; 65_536]), Scheme::Lz4);
        assert_eq!(choose(&[]), Scheme::Lz4);
    }
}
