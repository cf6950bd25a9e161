//! What is refused before s3s looks at a signature, because s3s 0.14.1 would accept it or name it wrongly.
//!
//! Source of the rules: S3 API reference, "Authenticating requests (Signature Version 4)".

use axum::http::header::{AUTHORIZATION, DATE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use s3s::{S3Result, s3_error};
use time::OffsetDateTime;

use super::asked::parse_date;
use super::encoding::query_pairs;
use super::errors::{invalid_argument, invalid_request, not_implemented, with_header};

/// Longest life of a presigned URL, in seconds: seven days.
const PRESIGNED_SECS_MAX: i64 = 604_800;

/// The parameters that a presigned URL must have.
const PRESIGNED_PARAMETERS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];

/// How far a signer's clock may be ahead of ours, in seconds. Source: S3 API reference, `RequestTimeTooSkewed`.
const SKEW_SECS_MAX: i64 = 900;

/// The parameters that Version 2 signs: s3s puts these into the text that it compares signatures of. Source: Amazon S3
/// user guide, "Signing and authenticating REST requests", and botocore's `HmacV1Auth.QSAOfInterest`.
const SIGNED_BY_V2: [&str; 35] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The parameters that Version 2 leaves unsigned and that may be there: its own, the two headers that botocore repeats and
/// that are read nowhere (see [`parameters`](super::parameters)), and those by which a listing is asked for in pages, which
/// select no other operation than a listing of the same bucket.
const BESIDE_V2: [&str; 20] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "content-md5",
    "content-type",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// Longest of each thing in a request's head. AWS takes 8 KB of headers; a key fills up to 3 KiB of the path,
/// percent-encoded, and up to 5 KiB of the query, as the source of a copy that is percent-encoded twice there.
const THING_BYTES_MAX: usize = 8 << 10;

/// Headers, or parameters that stand for them, that have a limit of their own beside the others: a copy may have two
/// keys of full length, and all the metadata and tags that there can be.
const OWN_LIMIT: [&str; 3] = ["x-amz-copy-source", "x-amz-meta-", "x-amz-tagging"];

/// Refuses a head of which a thing is longer than any that is meant. What AWS allows of each (a key, metadata) is
/// checked where it is read.
pub(super) fn check_size(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let thing = |name: &str| {
        let begins = |own: &&str| name.get(..own.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(own));
        OWN_LIMIT.iter().position(begins).unwrap_or(OWN_LIMIT.len())
    };
    let (mut of_query, mut of_headers) = ([0; OWN_LIMIT.len() + 1], [0; OWN_LIMIT.len() + 1]);
    for pair in uri.query().unwrap_or_default().split('&') {
        of_query[thing(pair)] += pair.len() + 1;
    }
    for (name, value) in headers {
        of_headers[thing(name.as_str())] += name.as_str().len() + value.len();
    }
    let things = of_query.into_iter().chain(of_headers).chain([uri.path().len()]);
    if things.max().is_none_or(|longest| longest <= THING_BYTES_MAX) {
        return Ok(());
    }
    Err(s3_error!(
        RequestHeaderSectionTooLarge,
        "The request header and query parameters used to make the request exceed the maximum allowed size."
    ))
}

type Pairs = [(String, String)];

fn value<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// What signatures are held to.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    /// The region that they must name.
    pub(super) region: &'r str,
    /// Whether those of Version 2 are taken.
    pub(super) signature_v2: bool,
    /// The time, in Unix seconds.
    pub(super) now_secs: u64,
}

/// Checks the form of a request's authentication, and that it is for this region.
pub(super) fn check(uri: &Uri, headers: &HeaderMap, rules: Rules<'_>) -> S3Result<()> {
    let region = rules.region;
    let pairs = query_pairs(uri.query());
    let authorization = headers.get(AUTHORIZATION).filter(|value| !value.is_empty());
    let presigned = PRESIGNED_PARAMETERS.iter().any(|name| value(&pairs, name).is_some());
    // We give out no session tokens; s3s ignores them.
    let token = headers.get("x-amz-security-token").is_some_and(|token| !token.is_empty());
    if token || value(&pairs, "X-Amz-Security-Token").is_some_and(|token| !token.is_empty()) {
        return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
    }
    // boto3 and aws-cli presign with Signature Version 2 unless told otherwise, so its URLs are taken; s3s checks
    // them. They bind neither region nor host.
    let presigned_v2 = value(&pairs, "Signature").is_some();
    if presigned_v2 && (presigned || authorization.is_some()) {
        return Err(invalid_argument("Only one auth mechanism allowed."));
    }
    if presigned_v2 {
        return check_presigned_v2(&pairs, rules);
    }
    match (presigned, authorization) {
        (true, Some(_)) => Err(invalid_argument("Only one auth mechanism allowed.")),
        (true, None) => check_presigned(&pairs, headers, region),
        (false, Some(header)) => check_header(header.to_str().unwrap_or_default(), headers, region),
        (false, None) => check_anonymous(&pairs),
    }
}

/// The headers of an answer are for its owner to choose: stored text must not run as a page because a link says so.
/// Source: S3 API reference, `GetObject`, "Overriding response header values through the request".
fn check_anonymous(pairs: &Pairs) -> S3Result<()> {
    if pairs.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("response-")) {
        return Err(invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(())
}

pub(super) fn signature_v2() -> s3s::S3Error {
    invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

/// Version 2 signs a fixed list of parameters, each at most once. Of what it does not sign, anybody could add what
/// selects another operation or changes this one, so only what can do neither may be there.
fn check_presigned_v2(pairs: &Pairs, rules: Rules<'_>) -> S3Result<()> {
    if !rules.signature_v2 {
        return Err(signature_v2());
    }
    let mut names: Vec<_> = pairs.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    let may_stand = |(name, _): &(String, String)| {
        SIGNED_BY_V2.contains(&name.as_str()) || BESIDE_V2.contains(&name.as_str())
    };
    if !names.is_sorted_by(|a, b| a < b) || !pairs.iter().all(may_stand) {
        return Err(s3_error!(
            AccessDenied,
            "There were parameters present in the request which were not signed"
        ));
    }
    let expires = value(pairs, "Expires").and_then(|secs| secs.parse().ok());
    let expires = expires.ok_or_else(|| {
        s3_error!(
            AccessDenied,
            "Invalid date (should be seconds since epoch): it must be the parameter Expires"
        )
    })?;
    check_life_v2(expires, rules.now_secs)
}

/// Version 2 does not say when it was signed, so that its end is held to a week from now.
pub(super) fn check_life_v2(expires_at_secs: i64, now_secs: u64) -> S3Result<()> {
    let now = i64::try_from(now_secs).unwrap_or(i64::MAX);
    if expires_at_secs > now.saturating_add(PRESIGNED_SECS_MAX + SKEW_SECS_MAX) {
        let max = PRESIGNED_SECS_MAX;
        return Err(s3_error!(
            AccessDenied,
            "The signature must expire within a week (in seconds: {max}); sign with Signature Version 4, or for less"
        ));
    }
    Ok(())
}

fn check_presigned(pairs: &Pairs, headers: &HeaderMap, region: &str) -> S3Result<()> {
    let refused = |message: String| s3_error!(AuthorizationQueryParametersError, "{message}");
    if PRESIGNED_PARAMETERS.iter().any(|name| value(pairs, name).is_none()) {
        let names = PRESIGNED_PARAMETERS.join(", ");
        return Err(refused(format!(
            "Query-string authentication version 4 requires the {names} parameters."
        )));
    }
    // s3s lets URLs live longer than seven days. A life that cannot be is over: 403, as for one that has expired.
    let expired = |message: String| {
        let mut error = refused(message);
        error.set_status_code(StatusCode::FORBIDDEN);
        error
    };
    match value(pairs, "X-Amz-Expires").and_then(|secs| secs.parse::<i64>().ok()) {
        Some(0..=PRESIGNED_SECS_MAX) => {}
        Some(..0) => return Err(expired("X-Amz-Expires must be non-negative".to_owned())),
        Some(_) => {
            let max = PRESIGNED_SECS_MAX;
            return Err(expired(format!("X-Amz-Expires must be less than a week (in seconds): {max}")));
        }
        None => return Err(refused("X-Amz-Expires should be a number".to_owned())),
    }
    // s3s does not compare the scope with its own region.
    if let Err(wrong) = check_scope(value(pairs, "X-Amz-Credential").unwrap_or_default(), region) {
        let error = refused(format!("Error parsing the X-Amz-Credential parameter; {wrong}"));
        return Err(with_header(error, HeaderName::from_static("x-amz-bucket-region"), region));
    }
    check_signed_headers(value(pairs, "X-Amz-SignedHeaders").unwrap_or_default(), headers, true)
}

fn check_header(authorization: &str, headers: &HeaderMap, region: &str) -> S3Result<()> {
    let (algorithm, fields) = authorization.split_once(' ').unwrap_or((authorization, ""));
    match algorithm {
        "AWS4-HMAC-SHA256" => {}
        "AWS" => return Err(signature_v2()),
        "AWS4-ECDSA-P256-SHA256" => return Err(not_implemented("Signing with AWS4-ECDSA-P256-SHA256")),
        _ => return Err(invalid_argument("Unsupported Authorization Type")),
    }
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value)
    };
    let malformed =
        |what: &str| s3_error!(AuthorizationHeaderMalformed, "The authorization header is malformed; {what}");
    let (Some(credential), Some(signed), Some(_)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(malformed("it must have Credential, SignedHeaders and Signature."));
    };
    // s3s does not compare the scope with its own region.
    if let Err(wrong) = check_scope(credential, region) {
        return Err(with_header(malformed(&wrong), HeaderName::from_static("x-amz-bucket-region"), region));
    }
    check_signed_headers(signed, headers, false)
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
    // s3s accepts "sts" as well.
    if service != "s3" {
        return Err(format!("incorrect service \"{service}\". This endpoint belongs to \"s3\"."));
    }
    Ok(())
}

/// The `x-amz-date` of a signature that is dated by `Date` alone, which s3s does not know: botocore signs so if it is
/// given a `Date`. A changed one does not get past the signature, which is made with it. Source: S3 API reference,
/// "Common request headers".
pub(super) fn date_of_signature(headers: &HeaderMap) -> Option<HeaderValue> {
    if headers.contains_key("x-amz-date") || !headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    // Python writes UTC as "-0000".
    let date = date.strip_suffix("-0000").map_or_else(|| date.to_owned(), |date| format!("{date}GMT"));
    let at = parse_date(&date)?;
    let at = OffsetDateTime::from_unix_timestamp(at).ok()?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    HeaderValue::from_str(&format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")).ok()
}

/// What a signature does not cover could have been added by anyone; s3s does not ask.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: S3Result<()>) -> String {
        result.map_or_else(|error| error.code().as_str().to_owned(), |()| "ok".to_owned())
    }

    const RULES: Rules<'_> = Rules { region: "us-east-1", signature_v2: true, now_secs: 1_800_000_000 };

    fn with_authorization(value: &str) -> String {
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, value.parse().unwrap()),
            (HeaderName::from_static("x-amz-date"), "20260101T000000Z".parse().unwrap()),
        ]);
        code(check(&Uri::from_static("/b"), &headers, RULES))
    }

    fn presigned(expires: &str, scope: &str) -> String {
        let uri = format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20260101%2F{scope}%2Faws4_request\
             &X-Amz-Date=20260101T000000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        );
        code(check(&uri.parse().unwrap(), &HeaderMap::new(), RULES))
    }

    #[test]
    fn each_thing_in_a_head_has_a_limit_of_its_own() {
        let size = |path: usize, query: &str, pairs: &[(&'static str, usize)]| {
            let uri: Uri = format!("/{}?{query}", "p".repeat(path)).parse().unwrap();
            let header = |(name, bytes): &(&'static str, usize)| {
                (HeaderName::from_static(name), HeaderValue::from_str(&"v".repeat(*bytes)).unwrap())
            };
            check_size(&uri, &pairs.iter().map(header).collect()).is_ok()
        };
        let copy = [("x-amz-copy-source", 3200), ("x-amz-meta-a", 2048), ("x-amz-tagging", 4000)];
        assert!(size(3200, "", &[&copy[..], &[("authorization", 1000), ("cookie", 6000)]].concat()));
        let moved = format!("X-Amz-Copy-Source={}&x-amz-meta-a={}", "s".repeat(5200), "v".repeat(6200));
        assert!(size(3200, &moved, &[("authorization", 1000)]));
        assert!(!size(9000, "", &[]));
        assert!(!size(1, &"q".repeat(9000), &[]));
        assert!(!size(1, &format!("x-amz-meta-a={}", "v".repeat(9000)), &[]));
        assert!(!size(1, "", &[("authorization", 4000), ("cookie", 4200)]));
        for (name, _) in copy {
            assert!(!size(1, "", &[(name, 9000)]), "{name}");
        }
    }

    #[test]
    fn the_scope_must_name_this_region_and_s3() {
        let rest = "SignedHeaders=host;x-amz-date, Signature=00";
        let header = |scope: &str| {
            with_authorization(&format!("AWS4-HMAC-SHA256 Credential=AK/20260101/{scope}, {rest}"))
        };
        assert_eq!(header("us-east-1/s3/aws4_request"), "ok");
        assert_eq!(header("eu-west-1/s3/aws4_request"), "AuthorizationHeaderMalformed");
        assert_eq!(header("us-east-1/sts/aws4_request"), "AuthorizationHeaderMalformed");
        assert_eq!(header("us-east-1/s3"), "AuthorizationHeaderMalformed");
    }

    #[test]
    fn a_signature_may_be_dated_by_date() {
        let date = |name: &'static str, zone: &str| {
            let date = format!("Sat, 29 Oct 1994 19:43:31 {zone}");
            let dated = (HeaderName::from_static(name), HeaderValue::from_str(&date).unwrap());
            let signed = (AUTHORIZATION, HeaderValue::from_static("AWS4"));
            date_of_signature(&HeaderMap::from_iter([signed, dated]))
        };
        assert_eq!(date("date", "GMT").unwrap(), "19941029T194331Z");
        assert_eq!(date("date", "-0000").unwrap(), "19941029T194331Z");
        assert_eq!(date("x-amz-date", "GMT"), None);
    }

    #[test]
    fn a_presigned_url_lives_for_a_week_at_most() {
        assert_eq!(presigned("604800", "us-east-1%2Fs3"), "ok");
        for bad in ["604801", "-1", "x", ""] {
            assert_eq!(presigned(bad, "us-east-1%2Fs3"), "AuthorizationQueryParametersError", "{bad:?}");
        }
        assert_eq!(presigned("60", "eu-west-1%2Fs3"), "AuthorizationQueryParametersError");
    }

    #[test]
    fn signature_version_2_is_for_presigned_urls_only() {
        assert_eq!(with_authorization("AWS AK:c2ln"), "InvalidRequest");
        let check = |uri: &str| code(check(&uri.parse().unwrap(), &HeaderMap::new(), RULES));
        let url = "/b/k?AWSAccessKeyId=AK&Expires=1&Signature=x";
        assert_eq!(check(url), "ok");
        assert_eq!(check(&format!("{url}&X-Amz-Signature=00")), "InvalidArgument");
        assert_eq!(check(&format!("{url}&x-amz-copy-source=%2Fother%2Fkey")), "AccessDenied");
        assert_eq!(check(&format!("{url}&uploads&uploads")), "AccessDenied");
        assert_eq!(check("/b/k?AWSAccessKeyId=AK&Signature=x"), "AccessDenied");
    }

    #[test]
    fn what_version_2_does_not_sign_selects_nothing() {
        let url = "/b?AWSAccessKeyId=AK&Expires=1&Signature=x";
        let check = |more: &str| {
            let uri = format!("{url}&{more}").parse().unwrap();
            code(check(&uri, &HeaderMap::new(), RULES))
        };
        for signed in SIGNED_BY_V2 {
            assert_eq!(check(signed), "ok", "{signed}");
        }
        for beside in ["prefix=a", "list-type=2", "max-keys=3"] {
            assert_eq!(check(beside), "ok", "{beside}");
        }
        for unsigned in [
            "publicAccessBlock",
            "policyStatus",
            "encryption",
            "ownershipControls",
            "legal-hold",
            "retention",
            "attributes",
            "intelligent-tiering",
            "metadataTable",
            "session",
            "id=1",
            "ACL",
            "x-id=DeleteBucket",
            "anything",
        ] {
            assert_eq!(check(unsigned), "AccessDenied", "{unsigned}");
        }
    }

    #[test]
    fn version_2_lives_for_a_week_at_most_and_can_be_turned_off() {
        let check = |expires: i64, rules| {
            let uri = format!("/b/k?AWSAccessKeyId=AK&Expires={expires}&Signature=x").parse().unwrap();
            code(check(&uri, &HeaderMap::new(), rules))
        };
        let week = 1_800_000_000 + PRESIGNED_SECS_MAX;
        assert_eq!(check(week, RULES), "ok");
        assert_eq!(check(week + SKEW_SECS_MAX, RULES), "ok");
        assert_eq!(check(week + SKEW_SECS_MAX + 1, RULES), "AccessDenied");
        assert_eq!(check(4_102_444_800, RULES), "AccessDenied");
        assert_eq!(check(week, Rules { signature_v2: false, ..RULES }), "InvalidRequest");
    }

    #[test]
    fn anonymous_callers_choose_no_headers_of_answers() {
        let check = |uri: &str| code(check(&uri.parse().unwrap(), &HeaderMap::new(), RULES));
        for name in ["response-content-type", "response-content-disposition", "Response-Expires"] {
            assert_eq!(check(&format!("/b/k?{name}=text%2Fhtml")), "InvalidRequest", "{name}");
        }
        assert_eq!(check("/b/k?response"), "ok");
    }

    #[test]
    fn an_amz_header_that_is_not_signed_is_refused() {
        let unsigned = "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, \
                        Signature=00";
        assert_eq!(with_authorization(unsigned), "AccessDenied");
    }
}
