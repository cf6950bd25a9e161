//! A xorb of any bytes that comes in pieces: it is taken and refused as the whole is, and its records are what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xetgate::xet::hash::XorbHash;
use xetgate::xet::xorb::{ArrivingXorb, XorbError, XorbFooter, validate};

fn seeds() -> Vec<Vec<u8>> {
    let footed = |count| {
        let (records, table) = xetgate_fuzz::records(count);
        [records, XorbFooter::new(table).encode()].concat()
    };
    let xorbs = (0..=4).flat_map(|count| [xetgate_fuzz::records(count).0, footed(count)]);
    // The first byte is the length of the pieces.
    xorbs.zip((0..).step_by(25)).map(|(xorb, piece)| [vec![piece], xorb].concat()).collect()
}

fuzz_target!(init: xetgate_fuzz::seed("arriving_xorb", seeds()), |data: &[u8]| {
    let Some((piece, bytes)) = data.split_first() else {
        return;
    };
    let nobody = XorbHash::from_bytes([0; 32]);
    let (mut arriving, mut records) = (ArrivingXorb::default(), Vec::new());
    let mut pieces = bytes.chunks(usize::from(*piece) + 1);
    let fed = pieces.try_for_each(|piece| arriving.feed(piece, &mut records));
    // No fuzzer guesses a hash: the bytes say which they have.
    match validate(bytes, nobody) {
        Err(XorbError::HashMismatch { got, .. }) => {
            assert_eq!(fed, Ok(()));
            let table = arriving.finish(got).expect("the whole has this hash");
            assert_eq!(records, bytes[..table.record_bytes() as usize]);
            assert_eq!(validate(bytes, got), Ok(table));
        }
        Err(_) => assert!(fed.is_err() || !matches!(arriving.finish(nobody), Ok(_) | Err(XorbError::HashMismatch { .. }))),
        Ok(_) => unreachable!("nothing hashes to zero"),
    }
});
