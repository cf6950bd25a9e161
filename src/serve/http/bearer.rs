//! The token of a request: `Authorization: Bearer TOKEN`. Source: RFC 6750, section 2.1.

use axum::http::{HeaderMap, header};

/// There is an `Authorization` header, and it holds no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct NoBearerToken;

/// The token that a request shows; `None` if it has no `Authorization` header at all.
pub(in crate::serve) fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, NoBearerToken> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| NoBearerToken)?;
    let (scheme, token) = text.split_once(' ').ok_or(NoBearerToken)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(NoBearerToken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case_and_no_other_scheme_is_taken() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            bearer_token(&headers).map(|token| token.map(str::to_owned))
        };
        assert_eq!(bearer_token(&HeaderMap::new()), Ok(None));
        for good in ["Bearer hf_x", "bearer hf_x", "BEARER   hf_x "] {
            assert_eq!(read(good), Ok(Some("hf_x".to_owned())), "{good}");
        }
        for bad in ["", "Bearer", "hf_x", "Basic aGY=", "\u{fc} hf_x"] {
            assert_eq!(read(bad), Err(NoBearerToken), "{bad}");
        }
    }
}
