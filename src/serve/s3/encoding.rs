//! The texts that S3 wraps names in: percent-encoding, and continuation tokens.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::bucket::After;

/// All characters but the unreserved ones of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The same, but for `/`, which a listing with `encoding-type=url` keeps.
const RESERVED_BUT_SLASH: &AsciiSet = &RESERVED.remove(b'/');

/// Percent-encodes a name for a listing with `encoding-type=url`: everything but unreserved characters and `/`.
///
/// AWS writes a space as `+` there; `%20` is read alike by decoders that know `+` and by those that do not.
pub(super) fn encode_url(name: &str) -> String {
    utf8_percent_encode(name, RESERVED_BUT_SLASH).to_string()
}

/// Percent-encodes a name or a value of a query: everything but unreserved characters.
pub(super) fn encode_component(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

/// Undoes percent-encoding; a `%` without two hexadecimal digits stands for itself. `None` if it is not UTF-8.
pub(super) fn decode_url(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// The pairs of a query, decoded; `+` is a space. Bytes that are not UTF-8 become U+FFFD, as in s3s.
pub(super) fn query_pairs(query: Option<&str>) -> Vec<(String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}

/// Writes where a listing goes on as an opaque token: base64url of a tag and the name.
pub(super) fn encode_token(after: &After) -> String {
    let (tag, name) = match after {
        After::Key(key) => ('k', key),
        After::Prefix(prefix) => ('p', prefix),
    };
    URL_SAFE_NO_PAD.encode(format!("{tag}{name}"))
}

/// Reads a token back; `None` if it is none of ours.
pub(super) fn decode_token(token: &str) -> Option<After> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    match text.split_at_checked(1)? {
        ("k", key) => Some(After::Key(key.to_owned())),
        ("p", prefix) => Some(After::Prefix(prefix.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_listings_want_them() {
        assert_eq!(encode_url("foo+1/b a~r/ü"), "foo%2B1/b%20a~r/%C3%BC");
    }

    #[test]
    fn decoding_undoes_encoding() {
        for name in ["", "a b", "100%", "ключ/+?&=\u{1}", "%zz", "a%2"] {
            assert_eq!(decode_url(&encode_url(name)).as_deref(), Some(name));
        }
        assert_eq!(decode_url("100%zz%").as_deref(), Some("100%zz%"));
        assert_eq!(decode_url("%ff"), None);
    }

    #[test]
    fn query_pairs_are_decoded() {
        let expected = vec![("a b".to_owned(), "c&".to_owned()), ("uploads".to_owned(), String::new())];
        assert_eq!(query_pairs(Some("a+b=c%26&&uploads")), expected);
        assert!(query_pairs(None).is_empty());
    }

    #[test]
    fn tokens_come_back_as_they_went() {
        for after in [After::Key("a/ü".to_owned()), After::Prefix("p/".to_owned()), After::Key(String::new())]
        {
            assert_eq!(decode_token(&encode_token(&after)), Some(after));
        }
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        for bad in ["", "!", "a", &URL_SAFE_NO_PAD.encode("xkey"), &URL_SAFE_NO_PAD.encode([b'k', 0xff])] {
            assert_eq!(decode_token(bad), None, "{bad:?}");
        }
    }
}
