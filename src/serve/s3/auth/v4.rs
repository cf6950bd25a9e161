//! Signature Version 4: in the `Authorization` header, or in a URL.
//!
//! Source: S3 API reference, "Authenticating requests (Signature Version 4)".

use std::borrow::Cow;
use std::ops::Range;
use std::str::FromStr;

use axum::http::header::{AUTHORIZATION, DATE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use s3s::{S3Error, S3Result, s3_error};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::auth::{Caller, Directory};
use crate::bucket::Timestamp;

use super::body::{ChunkSigner, Declared, Signed};
use super::canonical::{ALGORITHM, Path, feed};
use super::keys::{SigningKeys, is_signature};
use super::{Head, PRESIGNED_SECS_MAX, Proof, Rules, SKEW_SECS_MAX, expired, known, mismatch, too_skewed};
use crate::serve::s3::errors::{
    invalid_argument, invalid_request, not_implemented, signature_v2, with_header,
};
use crate::serve::s3::request_headers::parse_date;

/// The parameters that a presigned URL must have.
pub(super) const PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// What a request says about its signature.
pub(in crate::serve::s3) struct Claim<'h> {
    credential: &'h str,
    signed_headers: &'h str,
    signature: &'h str,
    /// Time and life of a presigned URL.
    presigned: Option<Presigned<'h>>,
}

struct Presigned<'h> {
    date_time: &'h str,
    expires_secs: i64,
}

/// Reads a claim in a URL.
pub(super) fn of_query<'h>(head: &'h Head<'_>, region: &str) -> S3Result<Claim<'h>> {
    let refused = |message: String| s3_error!(AuthorizationQueryParametersError, "{message}");
    let values = PARAMETERS.map(|name| head.parameter(name));
    let [
        Some(algorithm),
        Some(credential),
        Some(date_time),
        Some(life),
        Some(signed_headers),
        Some(signature),
    ] = values
    else {
        let names = PARAMETERS.join(", ");
        return Err(refused(format!(
            "Query-string authentication version 4 requires the {names} parameters."
        )));
    };
    let expires_secs = life_of(life)?;
    if let Err(wrong) = check_scope(credential, region) {
        let error = refused(format!("Error parsing the X-Amz-Credential parameter; {wrong}"));
        return Err(with_header(error, BUCKET_REGION, region));
    }
    check_signed_headers(signed_headers, head.headers, true)?;
    let times = |name: &str| head.pairs.iter().filter(|(known, _)| known == name).count();
    if PARAMETERS.iter().any(|name| times(name) > 1) {
        return Err(invalid_request("Each parameter of the signature can be given once."));
    }
    if algorithm != ALGORITHM {
        return Err(not_implemented(&format!("Signing a URL with another algorithm than {ALGORITHM}")));
    }
    Ok(Claim {
        credential,
        signed_headers,
        signature,
        presigned: Some(Presigned { date_time, expires_secs }),
    })
}

/// How long a URL is valid, in seconds. An impossible time counts as expired: 403.
fn life_of(expires: &str) -> S3Result<i64> {
    let refused = |message: String| s3_error!(AuthorizationQueryParametersError, "{message}");
    let over = |message: String| {
        let mut error = refused(message);
        error.set_status_code(StatusCode::FORBIDDEN);
        error
    };
    match expires.parse::<i64>() {
        Ok(secs @ 0..=PRESIGNED_SECS_MAX) => Ok(secs),
        Ok(..0) => Err(over("X-Amz-Expires must be non-negative".to_owned())),
        Ok(_) => {
            Err(over(format!("X-Amz-Expires must be less than a week (in seconds): {PRESIGNED_SECS_MAX}")))
        }
        Err(_) => Err(refused("X-Amz-Expires should be a number".to_owned())),
    }
}

/// Reads a claim in the `Authorization` header.
pub(super) fn of_header<'h>(head: &'h Head<'_>, authorization: &'h str, region: &str) -> S3Result<Claim<'h>> {
    let (algorithm, fields) = authorization.split_once(' ').unwrap_or((authorization, ""));
    match algorithm {
        ALGORITHM => {}
        "AWS" => return Err(signature_v2()),
        "AWS4-ECDSA-P256-SHA256" => return Err(not_implemented("Signing with AWS4-ECDSA-P256-SHA256")),
        _ => return Err(invalid_argument("Unsupported Authorization Type")),
    }
    let malformed =
        |what: &str| s3_error!(AuthorizationHeaderMalformed, "The authorization header is malformed; {what}");
    let (mut credential, mut signed_headers, mut signature, mut count) = (None, None, None, 0);
    for field in fields.split(',') {
        count += 1;
        let (name, value) = field.trim().split_once('=').unwrap_or_default();
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        place.get_or_insert(value);
    }
    let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature)
    else {
        return Err(malformed("it must have Credential, SignedHeaders and Signature."));
    };
    if let Err(wrong) = check_scope(credential, region) {
        return Err(with_header(malformed(&wrong), BUCKET_REGION, region));
    }
    check_signed_headers(signed_headers, head.headers, false)?;
    if count != 3 || head.header(&AUTHORIZATION).is_none() {
        return Err(invalid_request("The authorization header must have three fields, and be sent once."));
    }
    Ok(Claim { credential, signed_headers, signature, presigned: None })
}

/// A credential is `key/date/region/service/aws4_request`; the message says what is wrong with it.
pub(super) fn check_scope(credential: &str, region: &str) -> Result<(), String> {
    let mut parts = credential.rsplitn(5, '/');
    let (end, service, signed_region) = (parts.next(), parts.next(), parts.next());
    let (date, key) = (parts.next(), parts.next());
    let (Some("aws4_request"), Some(service), Some(signed_region), Some(_), Some(_)) =
        (end, service, signed_region, date, key)
    else {
        return Err("the credential must be KEY/DATE/REGION/s3/aws4_request.".to_owned());
    };
    if signed_region != region {
        return Err(format!("the region '{signed_region}' is wrong; expecting '{region}'"));
    }
    if service != "s3" {
        return Err(format!("incorrect service \"{service}\". This endpoint belongs to \"s3\"."));
    }
    Ok(())
}

/// A header that is not signed could have been added by anyone.
fn check_signed_headers(signed: &str, headers: &HeaderMap, presigned: bool) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|signed| signed.eq_ignore_ascii_case(name));
    let must_be_signed = |name: &&str| {
        name.starts_with("x-amz-") && !is_signed(name) && !(presigned && *name == "x-amz-content-sha256")
    };
    let mut names = headers.keys().map(HeaderName::as_str);
    if !is_signed("host") || names.any(|name| must_be_signed(&name)) {
        return Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed"
        ));
    }
    Ok(())
}

impl Claim<'_> {
    /// Checks the signature.
    pub(super) fn prove(
        &self,
        head: &Head<'_>,
        directory: &Directory,
        keys: &SigningKeys,
        rules: Rules<'_>,
    ) -> S3Result<Proof> {
        let (access_key_id, scope) =
            self.credential.split_once('/').ok_or_else(|| malformed("the credential"))?;
        let date = scope.split('/').next().unwrap_or_default();
        if scope.split('/').count() != 4 || date_of(date).is_none() {
            return Err(malformed("the credential"));
        }
        let date_time = self.date_time(head)?;
        let secs = secs_of(&date_time);
        if date_time.get(..8) != Some(date) && secs.is_some() {
            return Err(mismatch());
        }
        self.check_age(secs.ok_or_else(|| malformed("the date"))?, rules.now)?;
        let declared = self.declared(head)?;
        let credential = known(directory, access_key_id)?;
        let mac = keys.mac(&credential, date, rules.region).ok_or_else(mismatch)?;

        let mut signed_headers: Vec<_> = self.signed_headers.split(';').collect();
        if self.presigned.is_none() {
            signed_headers.sort_unstable();
        }
        let payload = if self.presigned.is_some() { Declared::UNSIGNED } else { declared.as_str() };
        let is_signed = |path: &Path| {
            let fed = feed(mac.clone(), head, *path, &signed_headers, payload, (&date_time, scope));
            fed.is_some_and(|mac| is_signature(mac, self.signature.as_bytes()))
        };
        if !Path::possible(head.uri.path()).iter().any(is_signed) {
            return Err(mismatch());
        }
        if declared.has_trailers() && !head.headers.contains_key("x-amz-trailer") {
            return Err(invalid_request("Missing required header for this request: x-amz-trailer"));
        }
        let payload = match declared {
            Declared::Unsigned if self.presigned.is_some() => Signed::Unsigned,
            Declared::Unsigned => Signed::Length,
            Declared::Sha256(hex) => Signed::sha256(hex).ok_or_else(mismatch)?,
            Declared::UnsignedChunks => Signed::Chunks(None),
            Declared::Chunks(_) => {
                let signer = ChunkSigner::new(mac, &date_time, scope, self.signature);
                Signed::Chunks(Some(Box::new(signer)))
            }
        };
        Ok(Proof { caller: Caller::Known(credential), payload })
    }

    /// When the request was signed, as `YYYYMMDDTHHMMSSZ`.
    fn date_time<'a>(&'a self, head: &'a Head<'_>) -> S3Result<Cow<'a, str>> {
        let sent = match &self.presigned {
            Some(presigned) => Some(Cow::Borrowed(presigned.date_time)),
            None if head.headers.contains_key(AMZ_DATE) => head.header(&AMZ_DATE).map(Cow::Borrowed),
            None => date_of_signature(head.headers).map(Cow::Owned),
        };
        let sent =
            sent.ok_or_else(|| invalid_request("The header x-amz-date is missing or cannot be read."))?;
        let is_time = sent.len() == 16
            && sent.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if is_time { Ok(sent) } else { Err(malformed("the date")) }
    }

    fn check_age(&self, signed_at_secs: i64, now: Timestamp) -> S3Result<()> {
        let millis = |secs: i64| secs.saturating_mul(1000);
        let age = i64::try_from(now.0).unwrap_or(i64::MAX).saturating_sub(millis(signed_at_secs));
        match &self.presigned {
            _ if age < -millis(SKEW_SECS_MAX) => Err(too_skewed()),
            None if age > millis(SKEW_SECS_MAX) => Err(too_skewed()),
            Some(presigned) if age > millis(presigned.expires_secs) => Err(expired()),
            _ => Ok(()),
        }
    }

    /// What the request says of its body. URLs are presigned before there is a body; its hash may come with the request.
    fn declared<'h>(&self, head: &'h Head<'_>) -> S3Result<Declared<'h>> {
        let sent = head.headers.contains_key(CONTENT_SHA256);
        let declared = head.header(&CONTENT_SHA256).map(Declared::parse).transpose()?;
        match declared {
            None if sent => Err(malformed("x-amz-content-sha256, which must be sent once,")),
            None if self.presigned.is_some() => Ok(Declared::Unsigned),
            None => Err(invalid_request("Missing required header for this request: x-amz-content-sha256")),
            Some(Declared::UnsignedChunks | Declared::Chunks(_)) if self.presigned.is_some() => {
                Err(not_implemented("A body in aws-chunked coding with a presigned URL"))
            }
            Some(declared) => Ok(declared),
        }
    }
}

fn malformed(what: &str) -> S3Error {
    invalid_request(format!("The signature cannot be read: {what} is malformed."))
}

/// The time of a signature that is dated by `Date` alone: botocore signs so if it is given a `Date`. Source: S3 API
/// reference, "Common request headers".
fn date_of_signature(headers: &HeaderMap) -> Option<String> {
    let date = headers.get(DATE)?.to_str().ok()?;
    // Python writes UTC as "-0000".
    let date = date.strip_suffix("-0000").map_or_else(|| date.to_owned(), |date| format!("{date}GMT"));
    let at = OffsetDateTime::from_unix_timestamp(parse_date(&date)?).ok()?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    Some(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

/// The number in decimal digits in a place of a text.
fn number<N: FromStr>(text: &str, place: Range<usize>) -> Option<N> {
    text.get(place).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// The date `YYYYMMDD`, if there is such a day.
fn date_of(text: &str) -> Option<Date> {
    let month = Month::try_from(number::<u8>(text, 4..6)?).ok()?;
    let date = Date::from_calendar_date(number(text, 0..4)?, month, number(text, 6..8)?).ok()?;
    (text.len() == 8).then_some(date)
}

/// Seconds since the epoch of `YYYYMMDDTHHMMSSZ`, if there is such a time.
fn secs_of(text: &str) -> Option<i64> {
    let time = Time::from_hms(number(text, 9..11)?, number(text, 11..13)?, number(text, 13..15)?).ok()?;
    let date = date_of(text.get(..8)?)?;
    (text.len() == 16).then(|| PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_signature_may_be_dated_by_date() {
        let date = |zone: &str| {
            let date = format!("Sat, 29 Oct 1994 19:43:31 {zone}");
            date_of_signature(&HeaderMap::from_iter([(DATE, HeaderValue::from_str(&date).unwrap())]))
        };
        assert_eq!(date("GMT").unwrap(), "19941029T194331Z");
        assert_eq!(date("-0000").unwrap(), "19941029T194331Z");
        assert_eq!(date("CET"), None);
    }

    #[test]
    fn times_are_of_the_calendar() {
        assert_eq!(secs_of("19700102T000001Z"), Some(86_401));
        for bad in ["19700102T000001", "19700102T0000+1Z", "19701302T000001Z", "19700102T250001Z", "1970"] {
            assert_eq!(secs_of(bad), None, "{bad}");
        }
    }
}
