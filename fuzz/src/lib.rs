//! What the targets share: seeds, made by our own writers when a target starts.

use std::fs;
use std::path::Path;

use xetgate::xet::compression::Compressor;
use xetgate::xet::hash::ChunkHash;
use xetgate::xet::xorb::{ChunkTable, encode_record};

/// Writes seeds to a target's corpus, where the fuzzer reads them right afterwards.
pub fn seed(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the corpus can be made");
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed can be written");
    }
}

/// Chunks that are stored in each of the ways there are: as they are, compressed, regrouped and compressed.
pub fn chunks() -> Vec<Vec<u8>> {
    let floats = (0..300_u16).flat_map(|i| (1.0 + f32::from(i) / 1e4).to_le_bytes()).collect();
    let noise = (0..200_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![b"x".to_vec(), vec![7; 900], floats, noise]
}

/// The records of the first `count` chunks, with their table.
pub fn records(count: usize) -> (Vec<u8>, ChunkTable) {
    let (mut bytes, mut table) = (Vec::new(), ChunkTable::default());
    let mut compressor = Compressor::new();
    for raw in chunks().into_iter().take(count) {
        let header = encode_record(&mut compressor, &raw, &mut bytes);
        table.push(ChunkHash::of(&raw), header.record_len(), header.raw_len);
    }
    (bytes, table)
}
