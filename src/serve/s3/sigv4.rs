//! Signature Version 4 of plain reads, checked with signing keys that are kept.
//!
//! Only says yes. Whatever is not signed in the plainest form (a path or a query that is not in canonical form already,
//! repeated headers, a date near the end of its life) and whatever is signed wrongly is `None`: s3s then looks at it
//! anew, and words the refusal. [`super::preauth`] has been asked before: host and all `x-amz-` headers are signed.
//!
//! Source: IAM user guide, "Create a signed AWS API request"; S3 API reference, "Authenticating requests".

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use time::{Date, Month, PrimitiveDateTime, Time};

use crate::auth::{Credential, Directory, Secret};
use crate::bucket::Timestamp;

use super::encoding::decode_url;

type HmacSha256 = Hmac<Sha256>;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// How far a request's date may be from now: a second less than s3s allows, so that whatever passes here would pass
/// there.
const SKEW_SECS_MAX: i64 = 15 * 60 - 1;

/// Signing keys kept: far more than the credentials that are in use at a time, at some 400 bytes each.
const KEYS_MAX: usize = 4096;

/// A credential's signing key of one day.
struct SigningKey {
    secret: Secret,
    date: [u8; 8],
    /// Keyed, so that a signature costs no more than what is signed.
    mac: HmacSha256,
}

/// Signing keys by access key id.
#[derive(Default)]
pub(super) struct SigningKeys(RwLock<HashMap<String, SigningKey>>);

/// What is signed, and by whom.
struct Signed<'r> {
    access_key_id: &'r str,
    /// `date/region/service/aws4_request`
    scope: &'r str,
    date_time: &'r str,
    headers: &'r str,
    signature: &'r str,
    payload: &'r str,
}

impl SigningKeys {
    /// Whose signature a request has, if it is a plain and right one.
    pub(super) fn caller(
        &self,
        directory: &Directory,
        region: &str,
        now: Timestamp,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
    ) -> Option<Arc<Credential>> {
        if !is_canonical(uri.path(), true) {
            return None;
        }
        let query = Query::of(uri.query().unwrap_or_default())?;
        let credential_of_query = query.value("X-Amz-Credential").map(decode_url);
        let headers_of_query = query.value("X-Amz-SignedHeaders").map(decode_url);
        let signed = match (&credential_of_query, headers.get(AUTHORIZATION)) {
            (None, Some(authorization)) => of_header(authorization.to_str().ok()?, headers)?,
            (Some(Some(credential)), None) => {
                of_query(&query, credential, headers_of_query.as_ref()?.as_deref()?, headers)?
            }
            _ => return None,
        };
        let date = signed.scope.split_once('/').filter(|(_, rest)| names_here(rest, region))?.0;
        let life = match query.value("X-Amz-Expires") {
            None => SKEW_SECS_MAX,
            Some(secs) => secs.parse().ok()?,
        };
        let age = i64::try_from(now.secs()).ok()? - secs_of(signed.date_time, date)?;
        if age < -SKEW_SECS_MAX || age >= life {
            return None;
        }
        let caller = directory.credential(signed.access_key_id)?;
        let mut mac = self.mac(&caller, date, region)?;
        let canonical = canonical_request(method, uri.path(), &query, headers, &signed)?;
        for part in [ALGORITHM, "\n", signed.date_time, "\n", signed.scope, "\n"] {
            mac.update(part.as_bytes());
        }
        let mut hashed = [0; 64];
        hex::encode_to_slice(Sha256::digest(&canonical), &mut hashed).ok()?;
        mac.update(&hashed);
        let mut signature = [0; 32];
        let is_lower = !signed.signature.bytes().any(|byte| byte.is_ascii_uppercase());
        hex::decode_to_slice(signed.signature, &mut signature).ok().filter(|()| is_lower)?;
        // In constant time.
        mac.verify_slice(&signature).ok()?;
        Some(caller)
    }

    /// A credential's keyed hash of a day.
    fn mac(&self, credential: &Credential, date: &str, region: &str) -> Option<HmacSha256> {
        let (id, secret) = (credential.access_key_id.as_str(), &credential.secret_access_key);
        if let Some(key) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(id)
            && key.date == date.as_bytes()
            && key.secret == *secret
        {
            return Some(key.mac.clone());
        }
        let mac = |key: &[u8]| HmacSha256::new_from_slice(key).ok();
        let mut derived = mac(format!("AWS4{}", secret.expose()).as_bytes())?;
        for step in [date, region, "s3", "aws4_request"] {
            derived.update(step.as_bytes());
            derived = mac(&derived.finalize().into_bytes())?;
        }
        let key = SigningKey {
            secret: secret.clone(),
            date: date.as_bytes().try_into().ok()?,
            mac: derived.clone(),
        };
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(id.to_owned(), key);
        Some(derived)
    }
}

/// Whether the scope behind its date is of this region and S3.
fn names_here(rest: &str, region: &str) -> bool {
    rest.strip_prefix(region) == Some("/s3/aws4_request")
}

fn of_header<'r>(authorization: &'r str, headers: &'r HeaderMap) -> Option<Signed<'r>> {
    let fields = authorization.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let mut fields = fields.split(',').map(str::trim);
    let (credential, signed, signature) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let (access_key_id, scope) = credential.strip_prefix("Credential=")?.split_once('/')?;
    let payload = headers.get("x-amz-content-sha256")?.to_str().ok()?;
    Some(Signed {
        access_key_id,
        scope,
        date_time: headers.get("x-amz-date")?.to_str().ok()?,
        headers: signed.strip_prefix("SignedHeaders=")?,
        signature: signature.strip_prefix("Signature=")?,
        // Of another body than the empty one nothing is read here.
        payload: matches!(payload, UNSIGNED | EMPTY).then_some(payload)?,
    })
}

fn of_query<'r>(
    query: &Query<'r>,
    credential: &'r str,
    headers: &'r str,
    http: &HeaderMap,
) -> Option<Signed<'r>> {
    let (access_key_id, scope) = credential.split_once('/')?;
    let signature = query.value("X-Amz-Signature")?;
    if http.contains_key("x-amz-content-sha256") {
        return None;
    }
    (query.value("X-Amz-Algorithm")? == ALGORITHM).then_some(Signed {
        access_key_id,
        scope,
        date_time: query.value("X-Amz-Date")?,
        headers,
        signature,
        payload: UNSIGNED,
    })
}

/// A query whose pairs are in canonical form already.
struct Query<'r>(Vec<(&'r str, &'r str)>);

impl<'r> Query<'r> {
    /// The parameters that a plain read has: how it is signed, and what some clients call it.
    const KNOWN: [&'static str; 7] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "x-id",
    ];

    fn of(query: &'r str) -> Option<Self> {
        if query.is_empty() {
            return Some(Self(Vec::new()));
        }
        let pairs = query.split('&').map(|pair| pair.split_once('='));
        let mut pairs: Vec<_> = pairs.collect::<Option<_>>()?;
        pairs.sort_unstable();
        let is_plain =
            |(name, value): &(&str, &str)| Self::KNOWN.contains(name) && is_canonical(value, false);
        (pairs.iter().all(is_plain) && pairs.is_sorted_by(|a, b| a.0 < b.0)).then_some(Self(pairs))
    }

    fn value(&self, name: &str) -> Option<&'r str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Whether a text is percent-encoded just as a signature wants it.
fn is_canonical(text: &str, slash: bool) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().filter(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
            let (Some(high), Some(low)) = (digit(), digit()) else { return false };
            let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'A' + 10 };
            let escaped = value(high) << 4 | value(low);
            if is_plain(escaped) || (slash && escaped == b'/') {
                return false;
            }
        } else if !(is_plain(byte) || (slash && byte == b'/')) {
            return false;
        }
    }
    true
}

fn canonical_request(
    method: &Method,
    path: &str,
    query: &Query<'_>,
    headers: &HeaderMap,
    signed: &Signed<'_>,
) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(1024);
    let mut add = |parts: &[&str]| parts.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    add(&[method.as_str(), "\n", path, "\n"]);
    let mut between = "";
    for (name, value) in query.0.iter().filter(|(name, _)| *name != "X-Amz-Signature") {
        add(&[between, name, "=", value]);
        between = "&";
    }
    add(&["\n"]);
    let mut last = "";
    for name in signed.headers.split(';') {
        let value = headers.get(name)?.to_str().ok()?.trim();
        // Such a value would have to be rewritten, such a list put in order.
        if value.contains("  ") || value.contains('\t') || name <= last || name == AUTHORIZATION.as_str() {
            return None;
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        add(&[name, ":", value, "\n"]);
        last = name;
    }
    add(&["\n", signed.headers, "\n", signed.payload]);
    Some(text)
}

/// Seconds since the epoch of `YYYYMMDDTHHMMSSZ`, if it is of the day `date`.
fn secs_of(date_time: &str, date: &str) -> Option<i64> {
    let time = date_time.strip_prefix(date)?.strip_prefix('T')?.strip_suffix('Z')?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if date.len() != 8 || time.len() != 6 || !all_digits(date) || !all_digits(time) {
        return None;
    }
    let month = Month::try_from(date[4..6].parse::<u8>().ok()?).ok()?;
    let day = Date::from_calendar_date(date[..4].parse().ok()?, month, date[6..].parse().ok()?).ok()?;
    let time =
        Time::from_hms(time[..2].parse().ok()?, time[2..4].parse().ok()?, time[4..].parse().ok()?).ok()?;
    Some(PrimitiveDateTime::new(day, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_texts_are_told_from_others() {
        for good in ["/b/k", "/b/a%20b~c/%C3%BC", "/"] {
            assert!(is_canonical(good, true), "{good}");
        }
        for bad in
            ["/b/a b", "/b/%2f", "/b/%2F", "/b/%c3", "/b/%41", "/b/+", "/b/%", "/b/%4", "/b/a=b", "/b/\u{fc}"]
        {
            assert!(!is_canonical(bad, true), "{bad}");
        }
        assert!(is_canonical("AK%2F20260101", false) && !is_canonical("AK/20260101", false));
    }

    #[test]
    fn dates_are_whole_and_of_the_scope() {
        assert_eq!(secs_of("19700102T000001Z", "19700102"), Some(86_401));
        for bad in [
            "19700102T000001",
            "19700102T0000+1Z",
            "19700103T000001Z",
            "19700102 000001Z",
            "19700102T250001Z",
        ] {
            assert_eq!(secs_of(bad, "19700102"), None, "{bad}");
        }
        assert_eq!(secs_of("19701302T000001Z", "19701302"), None);
        assert_eq!(secs_of("1970T000001Z", "1970"), None);
    }

    #[test]
    fn a_query_of_a_plain_read_holds_nothing_else() {
        assert!(Query::of("").is_some() && Query::of("x-id=GetObject").is_some());
        for other in
            ["acl", "acl=", "partNumber=1", "x-id=a&x-id=b", "x-amz-date=1", "x-id=a/b", "response-expires=x"]
        {
            assert!(Query::of(other).is_none(), "{other}");
        }
    }
}
