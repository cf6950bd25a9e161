//! Cuts a stream of bytes into content-defined chunks with a gear hash.
//!
//! Invariant: where the cuts fall depends on the bytes alone, never on the pieces in which they were fed.
//!
//! Source: Xet specification, "Chunking". A chunk ends after the first byte at which it is at least
//! [`CHUNK_BYTES_MIN`] long and the top 16 bits of the hash are zero, and in any case at [`CHUNK_BYTES_MAX`].
//! The hash starts from zero with each chunk and remembers 64 bytes, hence the first 8127 bytes of a chunk cannot
//! influence the first place where it may end, and are not hashed: hashing starts one byte more than a window early.

use super::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_MASK, GEAR_WINDOW_BYTES};

/// Bytes at the start of a chunk that are passed over unhashed.
const SKIP_BYTES: usize = CHUNK_BYTES_MIN - GEAR_WINDOW_BYTES - 1;

/// Length up to which bytes are hashed but may not end the chunk: the next byte makes it long enough.
const WARM_UP_END: usize = CHUNK_BYTES_MIN - 1;

/// The state between two pieces of a stream.
///
/// ```
/// use xetgate::xet::chunker::Chunker;
///
/// let data = vec![0; 300_000];
/// let (mut chunker, mut rest, mut lengths) = (Chunker::new(), &data[..], Vec::new());
/// while let Some(taken) = chunker.next_boundary(rest) {
///     lengths.push(taken);
///     rest = &rest[taken..];
/// }
/// assert_eq!(lengths, [131_072, 131_072]);
/// assert_eq!(chunker.pending_bytes(), 300_000 - 2 * 131_072);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Chunker {
    /// Bytes of the open chunk; always below [`CHUNK_BYTES_MAX`] between calls.
    pending: usize,
    /// Gear hash of the open chunk.
    hash: u64,
}

impl Chunker {
    /// A chunker at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds `data`. If a chunk ends within it, returns how many bytes of `data` belong to that chunk (at least
    /// one) and starts the next chunk: the caller feeds the rest again. `None`: all of `data` was consumed and the
    /// chunk goes on.
    pub fn next_boundary(&mut self, data: &[u8]) -> Option<usize> {
        // How far into `data` the chunk can reach at most; offsets below count from the start of `data`.
        let end = data.len().min(CHUNK_BYTES_MAX - self.pending);
        let skip_end = SKIP_BYTES.saturating_sub(self.pending).min(end);
        let warm_up_end = WARM_UP_END.saturating_sub(self.pending).clamp(skip_end, end);

        let mut gear = gearhash::Hasher::default();
        gear.set_hash(self.hash);
        gear.update(&data[skip_end..warm_up_end]);
        let cut = gear.next_match(&data[warm_up_end..end], CHUNK_MASK).map(|n| warm_up_end + n);
        let cut = cut.or((self.pending + end == CHUNK_BYTES_MAX).then_some(end));

        if cut.is_some() {
            *self = Self::default();
        } else {
            self.pending += end;
            self.hash = gear.get_hash();
        }
        cut
    }

    /// Whether the stream, if it ended here, would end with the last chunk returned.
    pub fn is_at_boundary(&self) -> bool {
        self.pending == 0
    }

    /// Bytes fed since the last cut.
    pub fn pending_bytes(&self) -> usize {
        self.pending
    }
}

/// The lengths of the chunks of `data`, the last one included; none for no bytes.
pub fn chunk_lengths(data: &[u8]) -> Vec<usize> {
    let (mut chunker, mut rest, mut lengths) = (Chunker::new(), data, Vec::new());
    while let Some(taken) = chunker.next_boundary(rest) {
        lengths.push(taken);
        rest = &rest[taken..];
    }
    if !chunker.is_at_boundary() {
        lengths.push(chunker.pending_bytes());
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bytes_are_no_chunks() {
        assert!(chunk_lengths(&[]).is_empty());
        let mut chunker = Chunker::new();
        assert_eq!(chunker.next_boundary(&[]), None);
        assert!(chunker.is_at_boundary());
    }

    #[test]
    fn a_constant_run_is_cut_at_the_longest_chunk() {
        assert_eq!(chunk_lengths(&vec![0; 131_073]), [131_072, 1]);
        assert_eq!(chunk_lengths(&vec![0; 131_072]), [131_072]);
    }

    #[test]
    fn fed_byte_by_byte_the_longest_chunk_still_ends() {
        let mut chunker = Chunker::new();
        let cuts: Vec<_> = (0..262_145).filter(|_| chunker.next_boundary(&[0x3b]).is_some()).collect();
        assert_eq!(cuts, [131_071, 262_143]);
        assert_eq!(chunker.pending_bytes(), 1);
    }
}
