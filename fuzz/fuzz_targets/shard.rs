//! A shard of any bytes: what can be read is written, sorted, and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xetgate::xet::hash::{FileHash, RangeHash, XorbHash};
use xetgate::xet::shard::{Shard, ShardChunk, ShardFile, ShardFooter, ShardTerm, ShardXorb};

fn seeds() -> Vec<Vec<u8>> {
    let (_, table) = xetgate_fuzz::records(4);
    let hash = table.xorb_hash();
    let mut raw_start = 0;
    let chunks = table.entries().iter().map(|entry| {
        let chunk = ShardChunk {
            hash: entry.hash,
            raw_start,
            raw_bytes: entry.raw_end - raw_start,
            dedup_eligible: raw_start == 0,
        };
        raw_start = entry.raw_end;
        chunk
    });
    let chunks = chunks.collect();
    let xorb = ShardXorb { hash, chunks, raw_bytes: table.raw_bytes(), stored_bytes: table.record_bytes() };
    let term = |verification: Option<RangeHash>| ShardTerm {
        xorb: XorbHash::from_bytes([3; 32]),
        raw_bytes: 100,
        chunks: 1..3,
        verification,
    };
    let file = |name, terms, sha256| ShardFile { hash: FileHash::from_bytes([name; 32]), terms, sha256 };
    let files = vec![
        file(0, vec![], Some([0; 32])),
        file(1, vec![term(None), term(None)], None),
        file(2, vec![term(table.range_hash(0..2))], Some([9; 32])),
    ];
    let whole = Shard { files, xorbs: vec![xorb], footer: None };
    let stored = whole.encode_stored(&ShardFooter::of(&whole, 1));
    vec![Shard::default().encode_upload(), whole.encode_upload(), stored]
}

fuzz_target!(init: xetgate_fuzz::seed("shard", seeds()), |data: &[u8]| {
    let Ok(mut shard) = Shard::decode(data) else {
        return;
    };
    let bytes = match &shard.footer {
        None => shard.encode_upload(),
        Some(footer) => shard.encode_stored(footer),
    };
    assert!(bytes.len() <= data.len(), "nothing is invented");
    shard.files.sort_by_key(|file| file.hash);
    shard.xorbs.sort_by_key(|xorb| xorb.hash);
    assert_eq!(Shard::decode(&bytes), Ok(shard));
});
