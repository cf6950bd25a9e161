//! Cuts a stream into chunks and hashes them, on several cores if they are given.
//!
//! Where a chunk ends depends on where it began, so a stream cannot simply be shared out. But two sequences of cuts
//! over the same bytes, wherever they began, soon have a cut in common, and from there on they are one. So every core
//! cuts its share as if a chunk began there, and then the seams are cut again until that cut is met. On data whose
//! sequences never meet (long constant runs) this is correct, and as slow as one core.
//!
//! For bodies whose MD5 is wanted this is of no use: MD5 is slower than cutting and hashing on one core.

use std::num::NonZeroUsize;

use super::chunker::Chunker;
use super::hash::ChunkHash;

/// Smaller shares are not worth a thread: a seam costs some two chunks, and a thread some 50 us.
const SHARE_BYTES_MIN: usize = 1 << 20;

/// A chunk's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashedChunk {
    /// Its hash.
    pub hash: ChunkHash,
    /// Its length in bytes.
    pub len: usize,
}

impl HashedChunk {
    fn of(bytes: &[u8]) -> Self {
        Self { hash: ChunkHash::of(bytes), len: bytes.len() }
    }
}

/// Takes a stream block by block. The chunks are the same whatever the blocks and the cores.
///
/// ```
/// use std::num::NonZeroUsize;
/// use xetgate::xet::stream::StreamHasher;
///
/// let (mut hasher, cores) = (StreamHasher::default(), NonZeroUsize::new(2).unwrap());
/// let chunks = hasher.feed(&vec![0; 300_000], cores);
/// assert_eq!(chunks.iter().map(|chunk| chunk.len).collect::<Vec<_>>(), [131_072, 131_072]);
/// assert_eq!(hasher.finish().map(|chunk| chunk.len), Some(300_000 - 2 * 131_072));
/// ```
#[derive(Default)]
pub struct StreamHasher {
    chunker: Chunker,
    /// The beginning of a chunk whose end has not come yet.
    open: Vec<u8>,
}

impl StreamHasher {
    /// Takes the next block and gives the chunks that end in it. Use blocks of some 16 MiB for each core.
    pub fn feed(&mut self, block: &[u8], cores: NonZeroUsize) -> Vec<HashedChunk> {
        let mut chunks = Vec::new();
        let mut rest = block;
        if !self.open.is_empty() {
            let end = self.chunker.next_boundary(block);
            self.open.extend_from_slice(&block[..end.unwrap_or(block.len())]);
            let Some(end) = end else { return chunks };
            chunks.push(HashedChunk::of(&self.open));
            self.open.clear();
            rest = &block[end..];
        }
        let Cut { end, chunker } = cut_shares(rest, cores, &mut chunks);
        self.open.extend_from_slice(&rest[end..]);
        self.chunker = chunker;
        chunks
    }

    /// The stream ends here: the last chunk, if any.
    pub fn finish(self) -> Option<HashedChunk> {
        (!self.open.is_empty()).then(|| HashedChunk::of(&self.open))
    }
}

/// How far data was cut.
struct Cut {
    /// Where its last whole chunk ends.
    end: usize,
    /// Has seen what follows.
    chunker: Chunker,
}

/// Cuts `data`, at whose beginning a chunk begins.
fn cut_shares(data: &[u8], cores: NonZeroUsize, chunks: &mut Vec<HashedChunk>) -> Cut {
    let shares = cores.get().min(data.len() / SHARE_BYTES_MIN).max(1);
    let bound = |share: usize| data.len() * share / shares;
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..shares)
            .map(|share| {
                let own = &data[bound(share)..bound(share + 1)];
                scope.spawn(move || cut_apart(own))
            })
            .collect();
        let mut cut = cut(&data[..bound(1)], chunks);
        for (share, cutting) in (1..).zip(others) {
            // A thread that panicked has found nothing: its share is cut here.
            let found = cutting.join().unwrap_or_else(|_| cut_apart(&data[bound(share)..bound(share + 1)]));
            cut = join(&data[..bound(share + 1)], cut.end, bound(share), found, chunks);
        }
        cut
    })
}

/// Cuts one share as if a chunk began with it.
fn cut_apart(share: &[u8]) -> (Vec<HashedChunk>, Chunker) {
    let mut found = Vec::new();
    let Cut { chunker, .. } = cut(share, &mut found);
    (found, chunker)
}

/// Cuts one share.
fn cut(share: &[u8], chunks: &mut Vec<HashedChunk>) -> Cut {
    let (mut chunker, mut end) = (Chunker::new(), 0);
    while let Some(len) = chunker.next_boundary(&share[end..]) {
        chunks.push(HashedChunk::of(&share[end..end + len]));
        end += len;
    }
    Cut { end, chunker }
}

/// Cuts on from `end` until a cut is met that `found`, the chunks of the share that begins at `share_start`, has too,
/// and takes those after it, with the chunker that has cut them.
fn join(
    data: &[u8],
    mut end: usize,
    share_start: usize,
    (found, last): (Vec<HashedChunk>, Chunker),
    chunks: &mut Vec<HashedChunk>,
) -> Cut {
    let (mut met, mut behind) = (share_start, found.as_slice());
    loop {
        while met < end {
            let Some((first, rest)) = behind.split_first() else { break };
            met += first.len;
            behind = rest;
        }
        if met == end {
            chunks.extend_from_slice(behind);
            end += behind.iter().map(|chunk| chunk.len).sum::<usize>();
            return Cut { end, chunker: last };
        }
        let mut chunker = Chunker::new();
        let Some(len) = chunker.next_boundary(&data[end..]) else { return Cut { end, chunker } };
        chunks.push(HashedChunk::of(&data[end..end + len]));
        end += len;
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunker::chunk_lengths;
    use super::*;

    fn expected(data: &[u8]) -> Vec<HashedChunk> {
        let mut start = 0;
        let cut = |len| {
            start += len;
            HashedChunk::of(&data[start - len..start])
        };
        chunk_lengths(data).into_iter().map(cut).collect()
    }

    /// Noise with a constant run in it, on which cuts that began at different places do not meet.
    fn data() -> Vec<u8> {
        let mut state = 1_u64;
        let mut data: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(9 << 20)
        .collect();
        data[(3 << 20) + 12_345..5 << 20].fill(7);
        data
    }

    #[test]
    fn blocks_and_cores_do_not_change_the_chunks() {
        let data = data();
        let expected = expected(&data);
        for (cores, block) in
            [(1, 1 << 20), (2, 9 << 20), (2, 2_500_001), (3, 9 << 20), (4, 4 << 20), (9, 9 << 20)]
        {
            let mut hasher = StreamHasher::default();
            let cores = NonZeroUsize::new(cores).unwrap();
            let mut chunks: Vec<_> = data.chunks(block).flat_map(|block| hasher.feed(block, cores)).collect();
            chunks.extend(hasher.finish());
            assert!(chunks == expected, "{cores} cores, blocks of {block}");
        }
    }

    #[test]
    fn blocks_may_be_shorter_than_a_chunk() {
        let data = &data()[..600_000];
        let mut hasher = StreamHasher::default();
        let mut chunks: Vec<_> =
            data.chunks(999).flat_map(|block| hasher.feed(block, NonZeroUsize::MIN)).collect();
        chunks.extend(hasher.finish());
        assert_eq!(chunks, expected(data));
    }
}
