//! Ranges of bytes as HTTP asks for them. Source: RFC 9110, section 14.1.2.

use std::ops::Range;

/// Which bytes of an object are asked for; resolved against its size when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last, both included.
    Bounded(u64, u64),
    /// From here to the end.
    From(u64),
    /// The last so many.
    Suffix(u64),
}

impl ByteRange {
    /// Reads a `Range` header that asks for one range of bytes. `None` if it asks for several, or is malformed.
    pub fn parse_header(text: &str) -> Option<Self> {
        Self::parse(text.trim().strip_prefix("bytes=")?)
    }

    /// Reads one range, `first-last`, `first-` or `-count`. `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.trim().split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", count) => Some(Self::Suffix(number(count)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Bounded(first, last))
            }
        }
    }

    /// The bytes meant in an object of `size` bytes, end excluded; `None` if there are none.
    ///
    /// The last bytes of an empty object are no bytes, which is a range that can be satisfied: an empty one, to be
    /// answered as the whole object. Source: RFC 9110, section 14.1.2 ("If the selected representation is shorter than
    /// the specified suffix-length, the entire representation is used"), which S3 follows.
    pub fn resolve(self, size: u64) -> Option<Range<u64>> {
        if size == 0 && matches!(self, Self::Suffix(1..)) {
            return Some(0..0);
        }
        let range = match self {
            Self::Bounded(first, last) => first..size.min(last.saturating_add(1)),
            Self::From(first) => first..size,
            Self::Suffix(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for 64 bits is after every end.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_range() {
        assert_eq!(ByteRange::parse_header("bytes=0-4"), Some(ByteRange::Bounded(0, 4)));
        assert_eq!(ByteRange::parse_header("bytes=5-"), Some(ByteRange::From(5)));
        assert_eq!(ByteRange::parse_header("bytes=-7"), Some(ByteRange::Suffix(7)));
        let far = ByteRange::parse_header("bytes=0-99999999999999999999");
        assert_eq!(far, Some(ByteRange::Bounded(0, u64::MAX)));
    }

    #[test]
    fn malformed_ranges_and_several_are_none() {
        for bad in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "0-4",
            "items=0-9",
            "bytes=+1-2",
            "bytes=-1-2",
        ] {
            assert_eq!(ByteRange::parse_header(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_range_is_resolved_within_the_object() {
        assert_eq!(ByteRange::Bounded(2, u64::MAX).resolve(5), Some(2..5));
        assert_eq!(ByteRange::From(5).resolve(5), None);
        assert_eq!(ByteRange::Suffix(7).resolve(5), Some(0..5));
        assert_eq!(ByteRange::Suffix(0).resolve(5), None);
    }

    #[test]
    fn the_last_bytes_of_an_empty_object_are_none_and_others_cannot_be_had() {
        assert_eq!(ByteRange::Suffix(1).resolve(0), Some(0..0));
        assert_eq!(ByteRange::Suffix(u64::MAX).resolve(0), Some(0..0));
        assert_eq!(ByteRange::Suffix(0).resolve(0), None);
        assert_eq!(ByteRange::From(0).resolve(0), None);
        assert_eq!(ByteRange::Bounded(0, 0).resolve(0), None);
    }
}
