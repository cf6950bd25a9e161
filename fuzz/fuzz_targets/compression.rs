//! Payloads of any bytes, and chunks of any bytes: what we take for an LZ4 frame holds the same for its library, and
//! what we compress we decompress.
#![no_main]

use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use lz4_flex::frame::FrameDecoder;
use xetgate::xet::compression::{Compressor, Scheme, decompress};
use xetgate::xet::limits::CHUNK_BYTES_MAX;

/// Payloads with their chunk's length before them.
fn seeds() -> Vec<Vec<u8>> {
    let mut compressor = Compressor::new();
    let mut seeds = Vec::new();
    for chunk in xetgate_fuzz::chunks() {
        for scheme in [Scheme::Lz4, Scheme::Bg4Lz4] {
            let (_, payload) = compressor.compress_as(scheme, &chunk);
            seeds.push([&(chunk.len() as u32).to_le_bytes()[..3], payload].concat());
        }
    }
    seeds
}

fuzz_target!(init: xetgate_fuzz::seed("compression", seeds()), |data: &[u8]| {
    let Some(([l0, l1, l2], payload)) = data.split_first_chunk() else {
        return;
    };
    let raw_len = u32::from_le_bytes([*l0, *l1, *l2, 0]) as usize;
    for scheme in [Scheme::None, Scheme::Lz4, Scheme::Bg4Lz4] {
        let Ok(raw) = decompress(scheme, payload, raw_len) else {
            continue;
        };
        assert_eq!(raw.len(), raw_len);
        let mut theirs = Vec::new();
        if scheme == Scheme::Lz4 && FrameDecoder::new(payload).read_to_end(&mut theirs).is_ok() {
            assert!(raw == theirs, "the library reads other bytes");
        }
    }
    if payload.len() <= CHUNK_BYTES_MAX {
        let mut compressor = Compressor::new();
        for scheme in [Scheme::None, Scheme::Lz4, Scheme::Bg4Lz4] {
            let (scheme, compressed) = compressor.compress_as(scheme, payload);
            let back = decompress(scheme, compressed, payload.len());
            assert!(back.as_deref() == Ok(payload), "{scheme:?}");
        }
    }
});
