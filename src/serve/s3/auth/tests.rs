//! What claims are held to, and the examples that AWS publishes.

use axum::http::HeaderValue;

use super::*;
use crate::auth::{AccessKeyId, Permission, Secret};
use crate::bucket::Namespace;

fn code(result: S3Result<()>) -> String {
    result.map_or_else(|error| error.code().as_str().to_owned(), |()| "ok".to_owned())
}

const NOW_SECS: i64 = 1_800_000_000;
const RULES: Rules<'_> =
    Rules { region: "us-east-1", signature_v2: true, now: Timestamp(NOW_SECS.cast_unsigned() * 1000) };

/// What is said of a claim.
fn check(uri: &Uri, headers: &HeaderMap, rules: Rules<'_>) -> S3Result<()> {
    claim(&Head::new(&Method::GET, uri, headers), rules).map(|_| ())
}

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
    let header =
        |scope: &str| with_authorization(&format!("AWS4-HMAC-SHA256 Credential=AK/20260101/{scope}, {rest}"));
    assert_eq!(header("us-east-1/s3/aws4_request"), "ok");
    assert_eq!(header("eu-west-1/s3/aws4_request"), "AuthorizationHeaderMalformed");
    assert_eq!(header("us-east-1/sts/aws4_request"), "AuthorizationHeaderMalformed");
    assert_eq!(header("us-east-1/s3"), "AuthorizationHeaderMalformed");
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
    for signed in v2::SIGNED_PARAMETERS {
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
    let week = NOW_SECS + PRESIGNED_SECS_MAX;
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

/// The key pair of all examples.
fn directory() -> Directory {
    let credential = Credential {
        account: Namespace::new("ada").unwrap(),
        access_key_id: AccessKeyId::new("AKIAIOSFODNN7EXAMPLE").unwrap(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap(),
        token: None,
        permission: Permission::Read,
        buckets: None,
        created_at: None,
        expires_at: None,
    };
    Directory::new([credential]).unwrap()
}

/// Proves a request at a time, in seconds; the error's code if it cannot be.
fn proved_at(secs: u64, method: &Method, uri: &str, headers: &[(&'static str, &str)]) -> String {
    let (uri, header) = (uri.parse().unwrap(), |name| HeaderName::from_static(name));
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (header(name), HeaderValue::from_str(value).unwrap())).collect();
    let rules = Rules { now: Timestamp(secs * 1000), ..RULES };
    let head = Head::new(method, &uri, &headers);
    let proved = claim(&head, rules).and_then(|claim| {
        prove(&claim, &head, (&directory(), &SigningKeys::default()), rules, Some("johnsmith"))
    });
    code(proved.map(|proof| assert!(proof.caller.credential().is_some())))
}

/// Method, target, headers, which of them are signed, and the signature.
type Example<'e> = (&'e Method, &'e str, &'e [(&'static str, &'e str)], &'e str, &'e str);

/// Source: S3 API reference, "Examples: Signature calculations in AWS Signature Version 4".
#[test]
fn the_published_examples_of_version_4_hold() {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const FILE: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    const MIDNIGHT_SECS: u64 = 1_369_353_600;
    let (get, put) = (Method::GET, Method::PUT);
    let examples: [Example<'_>; 4] = [
        (
            &get,
            "/test.txt",
            &[("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)],
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            &put,
            "/test$file.text",
            &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", FILE),
            ],
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            &get,
            "/?lifecycle",
            &[("x-amz-content-sha256", EMPTY)],
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            &get,
            "/?max-keys=2&prefix=J",
            &[("x-amz-content-sha256", EMPTY)],
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ];
    for (method, uri, headers, signed, signature) in examples {
        let by = |signature: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                 SignedHeaders={signed},Signature={signature}"
            )
        };
        let proved = |secs: u64, signature: &str| {
            let authorization = by(signature);
            let common = [
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-date", "20130524T000000Z"),
                ("authorization", authorization.as_str()),
            ];
            proved_at(secs, method, uri, &[headers, &common[..]].concat())
        };
        assert_eq!(proved(MIDNIGHT_SECS, signature), "ok", "{method} {uri}");
        assert_eq!(proved(MIDNIGHT_SECS + 900, signature), "ok", "{method} {uri}");
        assert_eq!(proved(MIDNIGHT_SECS - 900, signature), "ok", "{method} {uri}");
        assert_eq!(proved(MIDNIGHT_SECS + 901, signature), "RequestTimeTooSkewed", "{method} {uri}");
        assert_eq!(proved(MIDNIGHT_SECS - 901, signature), "RequestTimeTooSkewed", "{method} {uri}");
        for wrong in [signature.to_uppercase(), signature.replace('4', "5"), String::new()] {
            assert_eq!(proved(MIDNIGHT_SECS, &wrong), "SignatureDoesNotMatch", "{method} {uri} {wrong}");
        }
    }
}

/// Source: S3 API reference, "Authenticating requests: using query parameters (Signature Version 4)".
#[test]
fn the_published_example_of_a_presigned_address_holds_for_its_life() {
    const MIDNIGHT_SECS: u64 = 1_369_353_600;
    let at = |secs: u64, life: &str| {
        let uri = format!(
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1\
             %2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires={life}&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
        proved_at(secs, &Method::GET, &uri, &[("host", "examplebucket.s3.amazonaws.com")])
    };
    assert_eq!(at(MIDNIGHT_SECS, "86400"), "ok");
    assert_eq!(at(MIDNIGHT_SECS + 86_400, "86400"), "ok");
    assert_eq!(at(MIDNIGHT_SECS + 86_401, "86400"), "AccessDenied");
    assert_eq!(at(MIDNIGHT_SECS - 901, "86400"), "RequestTimeTooSkewed");
    assert_eq!(at(MIDNIGHT_SECS, "86399"), "SignatureDoesNotMatch");
}

/// Source: Amazon S3 user guide, "Signing and authenticating REST requests", "Query string request authentication
/// alternative".
#[test]
fn the_published_example_of_version_2_holds() {
    let at = |secs: u64, signature: &str| {
        let uri = format!(
            "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature={signature}&Expires=1175139620"
        );
        proved_at(secs, &Method::GET, &uri, &[("host", "johnsmith.s3.amazonaws.com")])
    };
    let signature = "NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D";
    assert_eq!(at(1_175_139_000, signature), "ok");
    assert_eq!(at(1_175_139_620, signature), "ok");
    assert_eq!(at(1_175_139_621, signature), "AccessDenied");
    assert_eq!(at(1_175_139_000, "NpgCjnDzrM%2BWFzoENXmpNDUsSn9%3D"), "SignatureDoesNotMatch");
}
