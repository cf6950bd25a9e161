//! A run of a file's chunks as a partly built Merkle tree, in memory that grows with the logarithm of their number.
//!
//! A client that changes a range of a file needs the hash of the new file, but not the chunks that stay: it is given a
//! [`HashSubtree`] for each run of them, makes its own for what it has cut, and merges all. Source: Xet protocol 1.1,
//! `GET /v2/file-chunk-hashes`, as the crate `xet-core-structures` 1.8.0 has it.
//!
//! What groups a run's nodes fall into depends on the nodes before and after it, which are not known. But where a node
//! that may close a group follows another at a distance at which no group can reach over it, twice in a row, the second
//! closes a group whatever stands around. Between the first and the last such place of a level the groups are merged into
//! nodes of the level above; what is left over on either side stays as it is until a neighbour is merged.
//!
//! Invariant: of a run that is the whole file, every level is empty but the last, which is the root.

use super::hash::NodeHash;
use super::limits::MERKLE_GROUP_MAX;
use super::merkle::{CLOSES_FROM, Node, parent};

/// Nodes of one level that could not be merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Level {
    /// Those before the merged ones; all of them if none were.
    left: Vec<Node>,
    /// Those after the merged ones.
    right: Vec<Node>,
}

/// A run of a file's chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashSubtree {
    /// Chunks first.
    levels: Vec<Level>,
    /// Whether it begins where the file does.
    at_start: bool,
    /// Whether it ends where the file does.
    at_end: bool,
}

impl HashSubtree {
    /// The run of these chunks, given as (hash, uncompressed length) in order.
    pub fn new(at_start: bool, chunks: Vec<Node>, at_end: bool) -> Self {
        Self::assemble(at_start, vec![(chunks, Vec::new())], at_end)
    }

    /// This run and the one after it as one.
    #[must_use]
    pub fn followed_by(mut self, mut next: Self) -> Self {
        let count = self.levels.len().max(next.levels.len());
        self.levels.resize_with(count, Level::default);
        next.levels.resize_with(count, Level::default);
        let levels = self.levels.into_iter().zip(next.levels).map(|(before, behind)| {
            let join = |Level { mut left, right }: Level| {
                left.extend(right);
                left
            };
            (join(before), join(behind))
        });
        Self::assemble(self.at_start, levels.collect(), next.at_end)
    }

    /// Merges level by level; what a level gives to the one above stands between the two runs of nodes there.
    fn assemble(at_start: bool, runs: Vec<(Vec<Node>, Vec<Node>)>, at_end: bool) -> Self {
        let (mut levels, mut carried) = (Vec::with_capacity(runs.len() + 1), Vec::new());
        let (mut starts, mut ends) = (at_start, at_end);
        let mut runs = runs.into_iter();
        loop {
            let nodes = match runs.next() {
                Some((mut nodes, behind)) => {
                    nodes.append(&mut carried);
                    nodes.extend(behind);
                    nodes
                }
                None if carried.len() > 1 => std::mem::take(&mut carried),
                None => break,
            };
            let merged = mergeable(&nodes, starts, ends);
            let (left, right) = (nodes[..merged.start].to_vec(), nodes[merged.end..].to_vec());
            carried = parents(&nodes[merged]);
            starts &= left.is_empty();
            ends &= right.is_empty();
            levels.push(Level { left, right });
        }
        if !carried.is_empty() {
            levels.push(Level { left: carried, right: Vec::new() });
        }
        Self { levels, at_start, at_end }
    }

    /// Whether there are no chunks in it.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.left.is_empty() && level.right.is_empty())
    }

    /// Whether it begins where the file does, and whether it ends there.
    pub fn is_at_ends(&self) -> (bool, bool) {
        (self.at_start, self.at_end)
    }

    /// How many nodes of each level stand left and right of the merged ones, chunks first.
    pub fn shape(&self) -> impl Iterator<Item = (usize, usize)> {
        self.levels.iter().map(|level| (level.left.len(), level.right.len()))
    }

    /// All nodes with the bytes under them: what stands left from the lowest level up, then what stands right from the
    /// highest level down.
    pub fn nodes(&self) -> impl Iterator<Item = &(NodeHash, u64)> {
        let left = self.levels.iter().flat_map(|level| &level.left);
        left.chain(self.levels.iter().rev().flat_map(|level| &level.right))
    }
}

/// Which nodes of a level fall into groups that nothing around them can change. None: an empty range at the end.
fn mergeable(nodes: &[Node], at_start: bool, at_end: bool) -> std::ops::Range<usize> {
    let none = nodes.len()..nodes.len();
    if nodes.len() <= 1 {
        return none;
    }
    let start = if at_start { Some(0) } else { stable(nodes.iter().map(is_end).enumerate()) };
    let Some(start) = start else { return none };
    let end = if at_end {
        Some(nodes.len())
    } else {
        stable(nodes[start..].iter().map(is_end).enumerate().rev()).map(|end| start + end)
    };
    end.filter(|end| start < *end).map_or(none, |end| start..end)
}

fn is_end((hash, _): &Node) -> bool {
    hash.is_group_end()
}

/// The first place, in the direction of the walk, after a node that closes a group whatever is around: it and the nodes
/// before and after it on the walk may close groups, and each is as far from the next as one group can reach.
fn stable(walk: impl Iterator<Item = (usize, bool)>) -> Option<usize> {
    let reaches =
        |one: usize, other: usize| (CLOSES_FROM..MERKLE_GROUP_MAX - 1).contains(&one.abs_diff(other));
    let (mut last, mut last_but_one) = (None, None);
    for (place, _) in walk.filter(|(_, is_end)| *is_end) {
        if let (Some(last), Some(last_but_one)) = (last, last_but_one)
            && reaches(place, last)
            && reaches(last, last_but_one)
        {
            return Some(last + 1);
        }
        (last_but_one, last) = (last, Some(place));
    }
    None
}

/// The nodes above these, which are whole groups.
fn parents(mut nodes: &[Node]) -> Vec<Node> {
    let mut above = Vec::with_capacity(nodes.len().div_ceil(CLOSES_FROM));
    while !nodes.is_empty() {
        let longest = nodes.len().min(MERKLE_GROUP_MAX);
        let closes = (CLOSES_FROM - 1..longest).find(|place| is_end(&nodes[*place]));
        let (group, rest) = nodes.split_at(closes.map_or(longest, |place| place + 1));
        above.push(parent(group));
        nodes = rest;
    }
    above
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xet::hash::{ChunkHash, FileHash};
    use crate::xet::merkle::file_hash;

    fn chunks(seed: u8, count: usize) -> Vec<(ChunkHash, u64)> {
        (0..count)
            .map(|at| (ChunkHash::of(&[&[seed][..], &at.to_le_bytes()].concat()), at as u64 + 1))
            .collect()
    }

    fn run(chunks: &[(ChunkHash, u64)]) -> Vec<Node> {
        chunks.iter().map(|(hash, bytes)| ((*hash).into(), *bytes)).collect()
    }

    /// The file's hash, if the run is the whole of it.
    fn root(whole: &HashSubtree) -> FileHash {
        assert_eq!(whole.is_at_ends(), (true, true));
        let nodes: Vec<_> = whole.nodes().collect();
        assert_eq!(nodes.len(), 1, "{:?}", whole.shape().collect::<Vec<_>>());
        FileHash::from_root(nodes[0].0)
    }

    proptest! {
        #[test]
        fn runs_merge_to_the_hash_of_the_file_wherever_they_meet(
            seed: u8,
            count in 1_usize..3000,
            cuts in proptest::collection::vec(0_usize..3000, 0..8),
        ) {
            let chunks = chunks(seed, count);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(count)).chain([0, count]).collect();
            cuts.sort_unstable();
            let last = cuts.len() - 2;
            let runs = cuts.windows(2).enumerate();
            let runs = runs.map(|(at, ends)| HashSubtree::new(at == 0, run(&chunks[ends[0]..ends[1]]), at == last));
            let whole = runs.reduce(HashSubtree::followed_by).unwrap();
            prop_assert_eq!(root(&whole), file_hash(chunks));
        }
    }

    #[test]
    fn a_long_run_is_a_few_nodes() {
        let chunks = chunks(1, 200_000);
        let runs = chunks[1000..].chunks(4096).map(|some| HashSubtree::new(false, run(some), false));
        let middle = runs.reduce(HashSubtree::followed_by).unwrap();
        assert!(middle.nodes().count() < 600, "{}", middle.nodes().count());
        let first = HashSubtree::new(true, run(&chunks[..1000]), false);
        let whole = first.followed_by(middle).followed_by(HashSubtree::new(false, Vec::new(), true));
        assert_eq!(root(&whole), file_hash(chunks));
    }

    #[test]
    fn no_chunks_are_an_empty_run() {
        assert!(HashSubtree::new(false, Vec::new(), true).is_empty());
        assert!(!HashSubtree::new(false, run(&chunks(1, 1)), true).is_empty());
    }
}
