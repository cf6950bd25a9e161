//! Hashes and prefixes in paths, and ranges in headers.

use std::str::FromStr;

use axum::http::header::RANGE;
use axum::http::{HeaderMap, HeaderName};

use super::errors::CasRefusal;
use crate::bucket::ByteRange;
use crate::xet::hash::ParseHashError;

/// Reads a hash of a path.
pub(super) fn hash<H: FromStr<Err = ParseHashError>>(text: &str) -> Result<H, CasRefusal> {
    text.parse().map_err(|error: ParseHashError| CasRefusal::Bad(error.to_string()))
}

/// There is one key space, which has two names: the published client asks for chunks under another one than the
/// specification has.
pub(super) fn check_prefix(prefix: &str) -> Result<(), CasRefusal> {
    match prefix {
        "default" | "default-merkledb" => Ok(()),
        _ => Err(CasRefusal::NotFound("there is no such prefix".to_owned())),
    }
}

/// The byte ranges that a request asks for; `None` if it asks for all.
pub(super) fn ranges(headers: &HeaderMap, ranges_max: usize) -> Result<Option<Vec<ByteRange>>, CasRefusal> {
    ranges_of(headers, &RANGE, ranges_max)
}

/// The byte ranges in a header of this name, if it is there.
pub(super) fn ranges_of(
    headers: &HeaderMap,
    name: &HeaderName,
    ranges_max: usize,
) -> Result<Option<Vec<ByteRange>>, CasRefusal> {
    let Some(header) = headers.get(name) else {
        return Ok(None);
    };
    let bad = || CasRefusal::Bad(format!("the {name} header is malformed"));
    let list = header.to_str().ok().and_then(|text| text.trim().strip_prefix("bytes=")).ok_or_else(bad)?;
    let mut ranges = Vec::new();
    for text in list.split(',') {
        if ranges.len() == ranges_max {
            return Err(CasRefusal::Bad(format!("more than {ranges_max} ranges")));
        }
        ranges.push(ByteRange::parse(text).ok_or_else(bad)?);
    }
    Ok(Some(ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        let of = |text: &'static str| ranges(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]), 2);
        assert!(matches!(of("bytes=0-9").unwrap().as_deref(), Some([ByteRange::Bounded(0, 9)])));
        let two = of("bytes=5-, -3").unwrap();
        assert!(matches!(two.as_deref(), Some([ByteRange::From(5), ByteRange::Suffix(3)])));
        assert!(ranges(&HeaderMap::new(), 2).unwrap().is_none());
        for bad in [
            "bytes",
            "bytes=",
            "bytes=9-0",
            "bytes=a-b",
            "bytes=-",
            "chunks=0-1",
            "bytes=0-1,2-3,4-5",
            "bytes=+1-2",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
