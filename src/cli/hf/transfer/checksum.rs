//! Xet hashes of local files: `--checksum` compares content without moving it.

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::{Queue, Transfers};
use crate::bucket::FileHash;
use crate::cli::failure::Failure;
use crate::xet::merkle::MerkleTree;
use crate::xet::stream::StreamHasher;

/// Bytes read at once.
const BLOCK_BYTES: usize = 4 << 20;

/// Hashes a file as it is fed.
#[derive(Default)]
pub(super) struct FileHasher {
    stream: StreamHasher,
    tree: MerkleTree,
}

impl FileHasher {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for chunk in self.stream.feed(bytes, NonZeroUsize::MIN) {
            self.tree.push(chunk.hash.into(), chunk.len as u64);
        }
    }

    /// The file's hash.
    pub(super) fn finish(mut self) -> FileHash {
        if let Some(chunk) = self.stream.finish() {
            self.tree.push(chunk.hash.into(), chunk.len as u64);
        }
        self.tree.finish().map_or(FileHash::EMPTY, FileHash::from_root)
    }
}

fn hash_file(path: &Path) -> Result<FileHash, Failure> {
    let read = |error| Failure::local("read", path)(error);
    let mut file = File::open(path).map_err(read)?;
    let (mut hasher, mut block) = (FileHasher::default(), vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut block).map_err(read)? {
            0 => return Ok(hasher.finish()),
            bytes => hasher.feed(&block[..bytes]),
        }
    }
}

/// The hashes of files, several at once.
pub(in crate::cli) async fn hash_files(
    transfers: &Transfers,
    files: Vec<(String, PathBuf)>,
) -> Result<Vec<(String, FileHash)>, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = transfers.jobs.unwrap_or(cores).min(files.len());
    let (queue, stop) = (Queue::new(files), transfers.stop.clone());
    let work = move || {
        let mut hashed = Vec::new();
        while let Some((name, path)) = queue.next().filter(|_| !stop.is_told()) {
            hashed.push((name, hash_file(&path)?));
        }
        Ok(hashed)
    };
    let hashed: Result<Vec<_>, Failure> = transfers.workers(workers, work).await?.into_iter().collect();
    Ok(hashed?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..500_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut whole = FileHasher::default();
        whole.feed(&bytes);
        let mut pieces = FileHasher::default();
        bytes.chunks(7_777).for_each(|piece| pieces.feed(piece));
        assert_eq!(whole.finish(), pieces.finish());
        assert_eq!(FileHasher::default().finish(), FileHash::EMPTY);
    }
}
