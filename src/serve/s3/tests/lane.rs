//! The short way and the long way answer alike.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};

use super::signer::{Signer, sha256_hex};
use super::{ADA, Answer, READER, call, door_with_object, s3_door, send};
use crate::serve::s3::front::Front;

/// A header of which nothing follows, and that only the long way knows.
const DETOUR: (&str, &str) = ("x-amz-request-payer", "requester");

fn front() -> Front {
    Front::new(Arc::new(s3_door()))
}

/// Whether a request goes the short way.
fn is_plain(request: &Request<Body>) -> bool {
    front().plain_read_of(request).is_some()
}

fn signed(signer: Signer, method: &str, target: &str, headers: &[(&str, &str)]) -> Request<Body> {
    signer.sign(method, target, headers, &sha256_hex(b""), "").request
}

/// What must be the same of two answers: all but their ids.
fn told(answer: Answer) -> (u16, HeaderMap, String) {
    let Answer { status, mut headers, body } = answer;
    headers.remove("x-amz-request-id");
    let body = body.split_once("<RequestId>").map(|(body, _)| body.to_owned()).unwrap_or(body);
    (status.as_u16(), headers, body)
}

async fn compare(door: &Router, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
    let short = signed(ADA, method, target, headers);
    assert!(is_plain(&short), "{method} {target} {headers:?}");
    let with_detour: Vec<_> = headers.iter().copied().chain([DETOUR]).collect();
    let long = signed(ADA, method, target, &with_detour);
    assert!(!is_plain(&long));
    let (short, long) = (told(send(door, short).await), told(send(door, long).await));
    assert_eq!(short, long, "{method} {target} {headers:?}");
    short.0
}

async fn door_with_objects() -> Router {
    let door = door_with_object().await;
    let tagged =
        [("x-amz-tagging", "a=1&b=2"), ("x-amz-meta-two-words", "a b"), ("cache-control", "no-cache")];
    assert_eq!(call(&door, "PUT", "/bucket/a%20b/%C3%BC~", &tagged, "tagged").await.status, 200);
    assert_eq!(call(&door, "PUT", "/bucket/empty", &[], "").await.status, 200);
    assert_eq!(call(&door, "PUT", "/bucket/encoded", &[("x-amz-meta-a", "=?")], "x").await.status, 200);
    let started =
        call(&door, "POST", "/bucket/parts?uploads", &[("x-amz-checksum-algorithm", "CRC32")], "").await;
    let (_, rest) = started.body.split_once("<UploadId>").unwrap();
    let id = rest.split_once('<').unwrap().0;
    let headers = [("x-amz-sdk-checksum-algorithm", "CRC32")];
    let part =
        call(&door, "PUT", &format!("/bucket/parts?partNumber=1&uploadId={id}"), &headers, "part").await;
    let xml = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag><ChecksumCRC32>{}</ChecksumCRC32>\
         </Part></CompleteMultipartUpload>",
        part.headers["etag"].to_str().unwrap(),
        part.headers["x-amz-checksum-crc32"].to_str().unwrap()
    );
    let target = format!("/bucket/parts?uploadId={id}");
    let done = call(&door, "POST", &target, &[], Box::leak(xml.into_boxed_str())).await;
    assert_eq!(done.status, 200, "{}", done.body);
    door
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let door = door_with_objects().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let mut seen = Vec::new();
    for key in ["a/key", "a%20b/%C3%BC~", "empty", "encoded", "parts", "gone"] {
        for method in ["GET", "HEAD"] {
            let target = format!("/bucket/{key}");
            for headers in [
                &[][..],
                &[("x-amz-checksum-mode", "ENABLED")],
                &[("range", "bytes=1-3")],
                &[("range", "bytes=-2"), ("x-amz-checksum-mode", "ENABLED")],
                &[("range", "bytes=10-")],
                &[("range", "bytes=x")],
                &[("range", "bytes=0-0,2-3")],
                &[("if-match", etag)],
                &[("if-none-match", etag), ("range", "bytes=0-1")],
                &[("if-none-match", "*")],
                &[("if-modified-since", "Thu, 01 Jan 1970 00:16:40 GMT")],
                &[("if-unmodified-since", "Thu, 01 Jan 1970 00:16:39 GMT")],
                &[("content-type", "text/html"), ("accept-encoding", "gzip"), ("content-length", "0")],
            ] {
                seen.push(compare(&door, method, &target, headers).await);
            }
        }
    }
    for status in [200, 206, 304, 404, 412, 416] {
        assert!(seen.contains(&status), "nothing was answered with {status}");
    }
    assert_eq!(compare(&door, "GET", "/nowhere/key", &[]).await, 404);
    assert_eq!(compare(&door, "GET", "/bucket/a/key?x-id=GetObject", &[]).await, 200);
}

#[tokio::test]
async fn a_presigned_url_goes_the_short_way_too() {
    let door = door_with_objects().await;
    for (method, status) in [("GET", 200), ("HEAD", 200)] {
        let get = |url: &str| {
            Request::builder().method(method).uri(url).header("host", "s3.test").body(Body::empty()).unwrap()
        };
        let short = ADA.presign(method, "/bucket/a/key", "");
        assert!(is_plain(&get(&short)));
        let long = ADA.presign(method, "/bucket/a/key", "&response-content-type=text%2Fplain");
        assert!(!is_plain(&get(&long)));
        let (short, long) = (told(send(&door, get(&short)).await), told(send(&door, get(&long)).await));
        assert_eq!(short, long);
        assert_eq!(short.0, status);
        let forged = ADA.presign(method, "/bucket/a/key", "").replace("Expires=60", "Expires=61");
        assert!(!is_plain(&get(&forged)));
    }
}

#[tokio::test]
async fn only_the_plain_and_rightly_signed_goes_the_short_way() {
    let get = |target: &str, headers: &[(&str, &str)]| is_plain(&signed(ADA, "GET", target, headers));
    assert!(get("/bucket/key", &[]));
    for target in
        ["/bucket", "/bucket/", "/", "/bucket/key?acl", "/bucket/key?partNumber=1", "/bucket//key", "/B%41/k"]
    {
        assert!(!get(target, &[]), "{target}");
    }
    for header in [
        ("x-amz-checksum-mode", "x"),
        ("x-amz-expected-bucket-owner", "ada"),
        ("x-amz-server-side-encryption-customer-key", "x"),
        ("content-length", "1"),
        ("expect", "100-continue"),
        ("transfer-encoding", "chunked"),
        // Cannot be read, which is an error.
        ("if-match", ""),
    ] {
        assert!(!get("/bucket/key", &[header]), "{header:?}");
    }
    assert!(!is_plain(&signed(ADA, "PUT", "/bucket/key", &[])));
    let wrong = Signer { secret_key: "another-secret", ..ADA };
    assert!(!is_plain(&signed(wrong, "GET", "/bucket/key", &[])));
    assert!(!is_plain(&signed(Signer { region: "elsewhere", ..ADA }, "GET", "/bucket/key", &[])));
    assert!(!is_plain(&signed(Signer { access_key: "AKNOBODY", ..ADA }, "GET", "/bucket/key", &[])));
    assert!(is_plain(&signed(READER, "GET", "/bucket/key", &[])));
    assert!(!is_plain(&signed(READER, "GET", "/other/key", &[])), "it may not read there");
    let mut changed = signed(ADA, "GET", "/bucket/key", &[("range", "bytes=0-1")]);
    changed.headers_mut().insert("range", "bytes=0-2".parse().unwrap());
    assert!(!is_plain(&changed));
    let mut old = signed(ADA, "GET", "/bucket/key", &[]);
    old.headers_mut().insert("x-amz-date", "20200101T000000Z".parse().unwrap());
    assert!(!is_plain(&old));
}

#[tokio::test]
async fn a_signing_key_is_kept_for_one_secret_only() {
    let front = front();
    let of = |request: &Request<Body>| front.plain_read_of(request).is_some();
    assert!(of(&signed(ADA, "GET", "/bucket/key", &[])));
    assert!(of(&signed(ADA, "GET", "/bucket/key", &[])), "by the kept key");
    assert!(!of(&signed(Signer { secret_key: "another-secret", ..ADA }, "GET", "/bucket/key", &[])));
    assert!(of(&signed(READER, "GET", "/bucket/key", &[])));
}
