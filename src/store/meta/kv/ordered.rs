//! Keys as bytes that sort as the keys do.
//!
//! | | bytes |
//! |---|---|
//! | a number | big-endian |
//! | 32 bytes of a hash | as they are |
//! | a text or bytes, at the end of a key | as they are |
//! | a text or bytes, further ahead | each 00 as 00 FF, and 00 01 at the end |

/// A key of a table.
pub(in crate::store::meta) trait OrderedKey: redb::Key {
    /// Bytes that sort as the keys do.
    fn to_ordered(key: &Self::SelfType<'_>) -> Vec<u8>;

    /// The same key as redb writes it; `None` if the bytes are of no key.
    fn to_redb(ordered: &[u8]) -> Option<Vec<u8>>;
}

/// A part of a key.
pub(in crate::store::meta) trait Part: redb::Key {
    /// What borrowed parts borrow from.
    type Owned;

    fn write(part: &Self::SelfType<'_>, is_last: bool, into: &mut Vec<u8>);

    /// Takes it from the beginning of the bytes.
    fn read(from: &mut &[u8], is_last: bool) -> Option<Self::Owned>;

    fn borrow(owned: &Self::Owned) -> Self::SelfType<'_>;
}

macro_rules! number {
    ($number:ty) => {
        impl Part for $number {
            type Owned = $number;

            fn write(part: &$number, _: bool, into: &mut Vec<u8>) {
                into.extend_from_slice(&part.to_be_bytes());
            }

            fn read(from: &mut &[u8], _: bool) -> Option<$number> {
                let (number, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$number>::from_be_bytes(*number))
            }

            fn borrow(owned: &$number) -> $number {
                *owned
            }
        }
    };
}

number!(u16);
number!(u32);
number!(u64);

impl Part for [u8; 32] {
    type Owned = [u8; 32];

    fn write(part: &[u8; 32], _: bool, into: &mut Vec<u8>) {
        into.extend_from_slice(part);
    }

    fn read(from: &mut &[u8], _: bool) -> Option<[u8; 32]> {
        let (hash, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*hash)
    }

    fn borrow(owned: &[u8; 32]) -> [u8; 32] {
        *owned
    }
}

fn write_bytes(bytes: &[u8], is_last: bool, into: &mut Vec<u8>) {
    if is_last {
        return into.extend_from_slice(bytes);
    }
    for byte in bytes {
        into.push(*byte);
        if *byte == 0 {
            into.push(0xFF);
        }
    }
    into.extend_from_slice(&[0, 1]);
}

fn read_bytes(from: &mut &[u8], is_last: bool) -> Option<Vec<u8>> {
    if is_last {
        return Some(std::mem::take(from).to_vec());
    }
    let mut bytes = Vec::new();
    loop {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        if *byte != 0 {
            bytes.push(*byte);
            continue;
        }
        let (mark, rest) = from.split_first()?;
        *from = rest;
        match mark {
            0xFF => bytes.push(0),
            1 => return Some(bytes),
            _ => return None,
        }
    }
}

impl Part for &'static [u8] {
    type Owned = Vec<u8>;

    fn write(part: &&[u8], is_last: bool, into: &mut Vec<u8>) {
        write_bytes(part, is_last, into);
    }

    fn read(from: &mut &[u8], is_last: bool) -> Option<Vec<u8>> {
        read_bytes(from, is_last)
    }

    fn borrow(owned: &Vec<u8>) -> &[u8] {
        owned
    }
}

impl Part for &'static str {
    type Owned = String;

    fn write(part: &&str, is_last: bool, into: &mut Vec<u8>) {
        write_bytes(part.as_bytes(), is_last, into);
    }

    fn read(from: &mut &[u8], is_last: bool) -> Option<String> {
        String::from_utf8(read_bytes(from, is_last)?).ok()
    }

    fn borrow(owned: &String) -> &str {
        owned
    }
}

fn as_redb<K: redb::Value>(key: &K::SelfType<'_>) -> Vec<u8> {
    let bytes = K::as_bytes(key);
    AsRef::<[u8]>::as_ref(&bytes).to_vec()
}

/// A key of one part.
macro_rules! single {
    ($part:ty) => {
        impl OrderedKey for $part {
            fn to_ordered(key: &Self::SelfType<'_>) -> Vec<u8> {
                let mut bytes = Vec::new();
                <$part>::write(key, true, &mut bytes);
                bytes
            }

            fn to_redb(mut ordered: &[u8]) -> Option<Vec<u8>> {
                let owned = <$part>::read(&mut ordered, true)?;
                let key = <$part>::borrow(&owned);
                ordered.is_empty().then(|| as_redb::<$part>(&key))
            }
        }
    };
}

single!(u64);
single!([u8; 32]);
single!(&'static str);
single!(&'static [u8]);

/// A key of several parts.
macro_rules! tuple {
    ($($part:ident $name:ident $owned:ident),+; $last:ident $last_name:ident $last_owned:ident) => {
        impl<$($part: Part + 'static,)+ $last: Part + 'static> OrderedKey for ($($part,)+ $last) {
            fn to_ordered(key: &Self::SelfType<'_>) -> Vec<u8> {
                let ($($name,)+ $last_name) = key;
                let mut bytes = Vec::new();
                $($part::write($name, false, &mut bytes);)+
                $last::write($last_name, true, &mut bytes);
                bytes
            }

            fn to_redb(mut ordered: &[u8]) -> Option<Vec<u8>> {
                $(let $owned = $part::read(&mut ordered, false)?;)+
                let $last_owned = $last::read(&mut ordered, true)?;
                let key = ($($part::borrow(&$owned),)+ $last::borrow(&$last_owned));
                ordered.is_empty().then(|| as_redb::<Self>(&key))
            }
        }
    };
}

tuple!(A a a_owned; Z z z_owned);
tuple!(A a a_owned, B b b_owned; Z z z_owned);
tuple!(A a a_owned, B b b_owned, C c c_owned; Z z z_owned);

#[cfg(test)]
mod tests {
    use redb::Key as _;

    use super::*;

    type Due = (u64, u64, &'static [u8], &'static [u8]);
    type Upload = (u64, &'static [u8], &'static str);

    #[test]
    fn keys_sort_and_read_back_as_redb_has_them() {
        let texts: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\0\x01", b"\0a", b"a", b"a\0b", b"b"];
        let mut keys: Vec<(u64, u64, &[u8], &[u8])> = Vec::new();
        for number in [0, 1, 255, 256, u64::MAX] {
            for first in texts {
                keys.extend(texts.iter().map(|second| (number, 7, first, *second)));
            }
        }
        for one in &keys {
            let ordered = Due::to_ordered(one);
            let redb = Due::to_redb(&ordered).unwrap();
            assert_eq!(<Due as redb::Value>::from_bytes(&redb), *one);
            for other in &keys {
                let as_redb = Due::compare(&redb, &Due::to_redb(&Due::to_ordered(other)).unwrap());
                assert_eq!(ordered.cmp(&Due::to_ordered(other)), as_redb, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_bound_between_buckets_is_above_all_keys_of_the_first() {
        let key = Upload::to_ordered(&(3, &[0xFF; 8], "x"));
        assert!(key < Upload::to_ordered(&(4, &[], "")));
        assert!(key > Upload::to_ordered(&(3, &[], "")));
    }

    #[test]
    fn bytes_that_are_no_key_are_none() {
        for bytes in
            [&[][..], &[0; 7], &[0, 0, 0, 0, 0, 0, 0, 1, b'a'], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 2, b'x']]
        {
            assert_eq!(Upload::to_redb(bytes), None, "{bytes:?}");
        }
        assert_eq!(<[u8; 32]>::to_redb(&[0; 33]), None);
        assert_eq!(<&str as OrderedKey>::to_redb(&[0xFF]), None);
    }
}
