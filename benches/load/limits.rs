//! What the machine can do without a server: hash, write, sync.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use xetgate::xet::chunker::Chunker;
use xetgate::xet::hash::ChunkHash;

use crate::Failure;

/// How much is handed over at once, as a client that reads a file does.
const PIECE_BYTES: usize = 8 << 20;

/// Seconds that this thread has been on a core: what counts for work that only computes, on a machine that is shared.
pub(crate) fn thread_cpu_secs() -> Result<f64, Failure> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: f64 = told.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanos / 1e9)
}

/// Cuts and hashes as the engine does, copying only chunks that span pieces. Answers how many there are.
pub(crate) fn chunk_and_hash(data: &[u8]) -> usize {
    let (mut chunker, mut partial, mut chunks) = (Chunker::new(), Vec::new(), 0);
    for mut piece in data.chunks(PIECE_BYTES) {
        while let Some(end) = chunker.next_boundary(piece) {
            if partial.is_empty() {
                std::hint::black_box(ChunkHash::of(&piece[..end]));
            } else {
                partial.extend_from_slice(&piece[..end]);
                std::hint::black_box(ChunkHash::of(&partial));
                partial.clear();
            }
            chunks += 1;
            piece = &piece[end..];
        }
        partial.extend_from_slice(piece);
    }
    if !partial.is_empty() {
        std::hint::black_box(ChunkHash::of(&partial));
        chunks += 1;
    }
    chunks
}

pub(crate) fn md5(data: &[u8]) -> [u8; 16] {
    std::hint::black_box(fast_md5::digest(data))
}

pub(crate) fn write_and_sync(path: &Path, data: &[u8]) -> Result<(), Failure> {
    let mut file = File::create_new(path)?;
    for block in data.chunks(1 << 20) {
        file.write_all(block)?;
    }
    Ok(file.sync_all()?)
}

/// How often in a second 4 KiB can be appended and synced, by one who waits for each.
pub(crate) fn syncs(path: &Path, lasting: Duration) -> Result<f64, Failure> {
    let mut file = File::create_new(path)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < lasting {
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
