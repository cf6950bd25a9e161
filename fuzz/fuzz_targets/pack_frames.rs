//! A walk over a pack of any bytes: it meets every byte once, and a frame that it names is one to the last byte of
//! its trailer.
//!
//! No fuzzer guesses a checksum, so of inputs that begin with an odd byte each frame is given the trailer that its
//! records call for.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use xetgate::store::pack::frame::{HEAD, TRAILER_MAGIC, decode_trailer, encode_trailer, trailer_bytes};
use xetgate::store::pack::log::PackLog;
use xetgate::store::pack::scan::{PackScan, Scanned};
use xetgate::store::pack::verify::{FrameDamage, frame_damages};
use xetgate::store::pack::{MemoryPacks, PackId, PackStore};
use xetgate::store::rows::XorbRow;
use xetgate::xet::hash::ChunkHash;
use xetgate::xet::xorb::{ChunkTable, RecordHeader};

fn seeds() -> Vec<Vec<u8>> {
    let frames: Vec<_> = (1..=4).map(frame).collect();
    let mut seeds: Vec<_> = frames.iter().map(|frame| [&[1], &frame[..]].concat()).collect();
    seeds.push([&[0], &frames.concat()[..]].concat());
    seeds.push([&[1], &frames.join(&b"torn"[..])[..]].concat());
    seeds
}

fn frame(chunks: usize) -> Vec<u8> {
    let (records, table) = xetgate_fuzz::records(chunks);
    [&HEAD[..], &records, &encode_trailer(&table.xorb_hash(), &table)].concat()
}

/// Puts a true trailer behind the records of each frame.
fn mend(pack: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = pack[at..].windows(HEAD.len()).position(|window| window == HEAD) {
        at += found + HEAD.len();
        let (mut end, mut lengths) = (at, Vec::new());
        while let Some(bytes) = pack.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
            match RecordHeader::decode(bytes) {
                Ok(header) => {
                    end += header.record_len() as usize;
                    lengths.push((header.record_len(), header.raw_len));
                }
                Err(_) if bytes.starts_with(&TRAILER_MAGIC) => break,
                Err(_) => return,
            }
        }
        let Some(trailer) = pack.get_mut(end..end + trailer_bytes(lengths.len())) else {
            return;
        };
        let mut table = ChunkTable::default();
        for (hash, (record_len, raw_len)) in trailer[48..].as_chunks().0.iter().zip(lengths) {
            table.push(ChunkHash::from_bytes(*hash), record_len, raw_len);
        }
        trailer.copy_from_slice(&encode_trailer(&table.xorb_hash(), &table));
        at = end + trailer.len();
    }
}

fuzz_target!(init: xetgate_fuzz::seed("pack_frames", seeds()), |data: &[u8]| {
    let Some((mode, pack)) = data.split_first() else {
        return;
    };
    let mut pack = pack.to_vec();
    if mode % 2 == 1 {
        mend(&mut pack);
    }
    let packs = MemoryPacks::default();
    let log = PackLog::open(Arc::new(packs.clone()), &[], 1 << 30).expect("memory does not fail");
    packs.create(PackId(1)).and_then(|mut writer| writer.append(&pack)).expect("memory does not fail");
    let mut scan = PackScan::new(&log, PackId(1), pack.len() as u64);
    let mut seen = 0;
    while let Some(scanned) = scan.step().expect("memory does not fail") {
        match scanned {
            Scanned::Gap(range) => {
                assert_eq!(range.start, seen);
                assert!(range.end > seen);
                seen = range.end;
            }
            Scanned::Frame { xorb, place, table } => {
                let frame = &pack[seen as usize..place.frame_end as usize];
                assert!(frame.starts_with(&HEAD) && place.offset == seen + HEAD.len() as u64);
                assert_eq!(table.xorb_hash(), xorb);
                let trailer = &frame[frame.len() - trailer_bytes(table.len())..];
                assert_eq!(decode_trailer(trailer).expect("it was read").xorb, xorb);
                // What it cannot know without reading the chunks is all that can be wrong.
                let row = XorbRow { pack: PackId(1), offset: place.offset, frame_end: place.frame_end, table };
                for damage in frame_damages(frame, &xorb, &row) {
                    assert!(matches!(damage, FrameDamage::Chunk { .. }), "{damage}");
                }
                seen = place.frame_end;
            }
        }
    }
    assert_eq!(seen, pack.len() as u64);
});
