//! A xorb of any bytes: what validates can be walked record by record, and written again it is the same xorb.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xetgate::xet::compression::Compressor;
use xetgate::xet::hash::{ChunkHash, XorbHash};
use xetgate::xet::xorb::{
    ChunkTable, XorbError, XorbFooter, decode_record, encode_record, read_headers, validate,
};

fn seeds() -> Vec<Vec<u8>> {
    let footed = |count| {
        let (records, table) = xetgate_fuzz::records(count);
        [records, XorbFooter::new(table).encode()].concat()
    };
    (0..=4).flat_map(|count| [xetgate_fuzz::records(count).0, footed(count)]).collect()
}

fuzz_target!(init: xetgate_fuzz::seed("xorb", seeds()), |data: &[u8]| {
    if let Ok(footer) = XorbFooter::decode(data) {
        assert!(data.ends_with(&footer.encode()), "a footer is written as it was read");
    }
    let headers = read_headers(data);
    // No fuzzer guesses a hash: the bytes say which they have.
    let hash = match validate(data, XorbHash::from_bytes([0; 32])) {
        Err(XorbError::HashMismatch { got, .. }) => got,
        Err(_) => return,
        Ok(_) => unreachable!("nothing hashes to zero"),
    };
    let table = validate(data, hash).expect("it has this hash");
    assert_eq!(ChunkTable::from_entries(table.entries().to_vec()).as_ref(), Ok(&table));
    let headers = headers.expect("it is valid");
    assert_eq!(headers.len(), table.len());

    let (mut again, mut compressor, mut at) = (Vec::new(), Compressor::new(), 0);
    for (header, entry) in headers.iter().zip(table.entries()) {
        let (decoded, raw, taken) = decode_record(&data[at..]).expect("it is valid");
        at += taken;
        assert_eq!((decoded, at), (*header, entry.record_end as usize));
        assert_eq!(ChunkHash::of(&raw), entry.hash);
        encode_record(&mut compressor, &raw, &mut again);
    }
    let again = validate(&again, hash).expect("the same chunks are the same xorb");
    assert_eq!(again.raw_bytes(), table.raw_bytes());
});
