//! What the machine can do without a server: hash, write, sync.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use xetgate::xet::stream::StreamHasher;

use crate::Failure;

/// How much each core is handed at once, as a client that reads a file does.
const PIECE_BYTES: usize = 16 << 20;

/// Seconds that this thread has been on a core: what counts for work that only computes, on a machine that is shared.
pub(crate) fn thread_cpu_secs() -> Result<f64, Failure> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: f64 = told.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanos / 1e9)
}

/// Cuts and hashes a stream. Answers how many chunks there are.
pub(crate) fn chunk_and_hash(data: &[u8], cores: NonZeroUsize) -> usize {
    let mut hasher = StreamHasher::default();
    let pieces = data.chunks(PIECE_BYTES * cores.get());
    let chunks: usize = pieces.map(|piece| std::hint::black_box(hasher.feed(piece, cores)).len()).sum();
    chunks + usize::from(hasher.finish().is_some())
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
