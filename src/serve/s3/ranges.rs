//! The ranges of `x-amz-copy-source-range` and `partNumber`.

use std::ops::Range;

use s3s::{S3Result, s3_error};

use crate::bucket::{ByteRange, Object};

use super::errors::invalid_argument;

/// Reads `x-amz-copy-source-range`, which knows only `bytes=first-last`.
pub(super) fn parse_copy_range(text: &str) -> S3Result<ByteRange> {
    match ByteRange::parse_header(text) {
        Some(range @ ByteRange::Bounded(..)) => Ok(range),
        _ => Err(invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
        )),
    }
}

/// The bytes of an object's part; an object that did not come in parts has one.
pub(super) fn of_part(object: &Object, number: i32) -> S3Result<Range<u64>> {
    if !(1..=10_000).contains(&number) {
        return Err(invalid_argument("Part number must be an integer between 1 and 10000, inclusive"));
    }
    if object.parts.is_empty() && number == 1 {
        return Ok(0..object.size);
    }
    let mut start = 0;
    for part in &object.parts {
        if i32::from(part.number) == number {
            return Ok(start..start + part.size);
        }
        start += part.size;
    }
    Err(s3_error!(InvalidPart, "The requested part number is not satisfiable"))
}

/// `Content-Range` of a part of an object.
pub(super) fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_range_has_a_first_and_a_last_byte() {
        assert_eq!(parse_copy_range("bytes=0-4").ok(), Some(ByteRange::Bounded(0, 4)));
        let code =
            |text| parse_copy_range(text).map_or_else(|e| e.code().as_str().to_owned(), |_| String::new());
        for bad in ["0-4", "bytes=0", "bytes=0-", "bytes=-2", "bytes=0-2,3-5", "bytes=0-bar"] {
            assert_eq!(code(bad), "InvalidArgument", "{bad:?}");
        }
    }
}
