//! Times the official client's chunker and hasher on the bytes that `benches/load` times xetgate's on.
//!
//! `oracle BYTES [SEED]` prints one line of JSON. The path is the client's own: `next_block_bytes`, which shares the
//! memory of chunks that lie within one block and hashes each chunk, on blocks of its ingestion size.

use std::time::Instant;

use bytes::Bytes;
use xet_data::deduplication::Chunker;

#[path = "../../../benches/load/content.rs"]
#[allow(dead_code)]
mod content;

/// What the client reads at once.
const PIECE_BYTES: usize = 8 << 20;

type Failure = Box<dyn std::error::Error>;

/// Seconds that this thread has been on a core.
fn thread_cpu_secs() -> Result<f64, Failure> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(told.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9)
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let bytes: usize = arguments.next().ok_or("usage: oracle BYTES [SEED]")?.parse()?;
    let seed: u64 = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let data = Bytes::from(content::object(seed, 0, bytes));
    let (mut chunker, mut chunks) = (Chunker::default(), 0);
    let (began, cpu_began) = (Instant::now(), thread_cpu_secs()?);
    for start in (0..bytes).step_by(PIECE_BYTES) {
        let end = bytes.min(start + PIECE_BYTES);
        chunks += std::hint::black_box(chunker.next_block_bytes(&data.slice(start..end), end == bytes)).len();
    }
    let (secs, cpu_secs) = (began.elapsed().as_secs_f64(), thread_cpu_secs()? - cpu_began);
    println!("{{\"secs\": {secs}, \"cpu_secs\": {cpu_secs}, \"chunks\": {chunks}}}");
    Ok(())
}
