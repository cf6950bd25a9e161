//! The Merkle tree over chunks, whose root names a xorb and (salted) a file.
//!
//! Source: Xet specification, "Hashing". The tree is ragged: within a level a group closes at its first node from
//! the third on whose hash is a multiple of four, or at nine nodes. That depends only on the nodes of the group,
//! so the tree can be built while chunks arrive, with at most nine open nodes a level.
//!
//! Invariant: `levels[i].open` holds fewer nodes than close a group.

use std::io::Write as _;

use super::hash::{ChunkHash, FileHash, NodeHash, XorbHash};
use super::limits::MERKLE_GROUP_MAX;

/// Place in a group from which on a node may close it.
pub(super) const CLOSES_FROM: usize = 3;

/// A node: its hash, and the bytes of the chunks under it.
pub(super) type Node = (NodeHash, u64);

/// One level of the tree, leaves being the first.
#[derive(Debug, Clone, Default)]
struct Level {
    /// Nodes of the group that is not closed yet.
    open: Vec<Node>,
    /// Whether a group of this level was closed already, so that a lone open node cannot be the root.
    has_closed: bool,
}

/// Builds the tree in memory that grows with the logarithm of the number of chunks.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    levels: Vec<Level>,
}

impl MerkleTree {
    /// A tree of no chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf: a chunk's hash and its uncompressed length.
    pub fn push(&mut self, hash: NodeHash, bytes: u64) {
        let mut node = (hash, bytes);
        for index in 0.. {
            let level = self.level(index);
            level.open.push(node);
            let is_closed = level.open.len() == MERKLE_GROUP_MAX
                || (level.open.len() >= CLOSES_FROM && node.0.is_group_end());
            if !is_closed {
                return;
            }
            node = level.close();
        }
    }

    /// The root, or `None` when nothing was pushed.
    pub fn finish(mut self) -> Option<NodeHash> {
        let mut index = 0;
        while index < self.levels.len() {
            let level = &mut self.levels[index];
            index += 1;
            if let ([(root, _)], false) = (level.open.as_slice(), level.has_closed) {
                return Some(*root);
            }
            // What is left of a level forms its last group, even when that is a single node.
            if !level.open.is_empty() {
                let node = level.close();
                self.level(index).open.push(node);
                // One more node in the level above may close a group there, but then that group is also the
                // last one: whether it is closed here or as the rest of its level makes no difference.
            }
        }
        None
    }

    /// The level at `index`, made if it is the next one.
    fn level(&mut self, index: usize) -> &mut Level {
        if index == self.levels.len() {
            self.levels.push(Level::default());
        }
        &mut self.levels[index]
    }
}

impl Level {
    /// Closes the open group and returns the node above it.
    fn close(&mut self) -> Node {
        let node = parent(&self.open);
        self.open.clear();
        self.has_closed = true;
        node
    }
}

/// The node above a group.
pub(super) fn parent(group: &[Node]) -> Node {
    // 64 digits, " : ", up to 20 digits, line feed.
    let mut text = Vec::with_capacity(MERKLE_GROUP_MAX * 88);
    let mut bytes = 0u64;
    for (hash, size) in group {
        // Writing to a vector cannot fail.
        let _ = writeln!(text, "{hash} : {size}");
        bytes = bytes.wrapping_add(*size);
    }
    (NodeHash::of_group_text(&text), bytes)
}

/// The root over chunks given as (hash, uncompressed length), in order.
fn root(chunks: impl IntoIterator<Item = (ChunkHash, u64)>) -> Option<NodeHash> {
    let mut tree = MerkleTree::new();
    for (hash, bytes) in chunks {
        tree.push(hash.into(), bytes);
    }
    tree.finish()
}

/// The hash of the xorb of these chunks, given as (hash, uncompressed length) in order; zeros for none.
pub fn xorb_hash(chunks: impl IntoIterator<Item = (ChunkHash, u64)>) -> XorbHash {
    root(chunks).map_or(XorbHash::from_bytes([0; 32]), XorbHash::from_root)
}

/// The hash of the file of these chunks, given as (hash, uncompressed length) in order;
/// [`FileHash::EMPTY`] for none.
pub fn file_hash(chunks: impl IntoIterator<Item = (ChunkHash, u64)>) -> FileHash {
    root(chunks).map_or(FileHash::EMPTY, FileHash::from_root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chunk_has_the_hash_of_zeros() {
        assert_eq!(MerkleTree::new().finish(), None);
        assert_eq!(xorb_hash([]), XorbHash::from_bytes([0; 32]));
        assert_eq!(file_hash([]), FileHash::EMPTY);
    }

    #[test]
    fn a_chunk_of_zero_hash_is_not_no_chunk() {
        let chunk = (ChunkHash::from_bytes([0; 32]), 0);
        assert_eq!(xorb_hash([chunk]), XorbHash::from_bytes([0; 32]));
        assert_eq!(
            file_hash([chunk]).to_string(),
            "638a6bc391964a85939d48f008e8bdbae6a7975e7ca2d87a3ce2492f4e4d8a4c"
        );
    }
}
