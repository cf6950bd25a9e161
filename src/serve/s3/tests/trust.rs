//! Who is let in, and what is believed of a body.

use axum::body::Body;
use axum::http::Request;

use super::signer::{Signer, sha256_hex};
use super::{ADA, READER, api_with_object, call, send};

#[tokio::test]
async fn a_caller_with_a_wrong_signature_is_refused_with_the_code_of_s3() {
    let api = api_with_object().await;
    let empty = sha256_hex(b"");
    let get = |signer: Signer| signer.sign("GET", "/bucket/a/key", &[], &empty, "").request;
    let code = async |request| send(&api, request).await.code().to_owned();
    assert_eq!(code(get(Signer { secret_key: "wrong", ..ADA })).await, "SignatureDoesNotMatch");
    assert_eq!(code(get(Signer { access_key: "AKNOBODY", ..ADA })).await, "InvalidAccessKeyId");
    assert_eq!(code(get(Signer { region: "eu-west-1", ..ADA })).await, "AuthorizationHeaderMalformed");
    assert_eq!(code(Request::get("/bucket/a/key").body(Body::empty()).unwrap()).await, "AccessDenied");
    let mut changed = get(ADA);
    changed.headers_mut().insert("x-amz-meta-added", "later".parse().unwrap());
    assert_eq!(code(changed).await, "AccessDenied");
    let mut old = get(ADA);
    old.headers_mut().insert("x-amz-date", "20200101T000000Z".parse().unwrap());
    assert_eq!(code(old).await, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_key_does_what_it_may_and_no_more() {
    let api = api_with_object().await;
    let empty = sha256_hex(b"");
    let by_reader = |method: &str, target: &str| READER.sign(method, target, &[], &empty, "").request;
    assert_eq!(send(&api, by_reader("GET", "/bucket/a/key")).await.status, 200);
    assert_eq!(send(&api, by_reader("DELETE", "/bucket/a/key")).await.code(), "AccessDenied");
    assert_eq!(send(&api, by_reader("GET", "/nowhere")).await.code(), "NoSuchBucket");
    assert_eq!(call(&api, "PUT", "/second", &[], "").await.status, 200);
    assert_eq!(send(&api, by_reader("GET", "/second")).await.code(), "AccessDenied");
    let listed = send(&api, by_reader("GET", "/")).await.body;
    assert!(listed.contains("<Name>bucket</Name>") && !listed.contains("second"), "{listed}");
}

#[tokio::test]
async fn a_body_that_is_not_what_was_signed_is_refused() {
    let api = api_with_object().await;
    let length = [("content-length", "3")];
    let other = ADA.sign("PUT", "/bucket/a/key", &length, &sha256_hex(b"abc"), "abd").request;
    assert_eq!(send(&api, other).await.code(), "XAmzContentSHA256Mismatch");
    let short =
        ADA.sign("PUT", "/bucket/a/key", &[("content-length", "4")], &sha256_hex(b"abc"), "abc").request;
    assert_eq!(send(&api, short).await.code(), "IncompleteBody");
    let xml = ADA.sign("POST", "/bucket?delete", &length, &sha256_hex(b"abc"), "abd").request;
    assert_eq!(send(&api, xml).await.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(call(&api, "GET", "/bucket/a/key", &[], "").await.body, "0123456789");
}

#[tokio::test]
async fn signed_chunks_are_checked() {
    let api = api_with_object().await;
    let headers = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "6")];
    let sign = || ADA.sign("PUT", "/bucket/chunked", &headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "");
    let put = |body: Vec<u8>, mut request: Request<Body>| {
        *request.body_mut() = Body::from(body);
        request
    };
    let signed = sign();
    let body = signed.chunks(&[b"abc", b"def"]);
    assert_eq!(send(&api, put(body, signed.request)).await.status, 200);
    assert_eq!(call(&api, "GET", "/bucket/chunked", &[], "").await.body, "abcdef");

    let signed = sign();
    let forged = String::from_utf8(signed.chunks(&[b"abc", b"def"])).unwrap().replace("def", "dEf");
    assert_eq!(send(&api, put(forged.into_bytes(), signed.request)).await.code(), "SignatureDoesNotMatch");

    let signed = sign();
    let cut = signed.chunks(&[b"abc", b"def"]);
    let cut = cut[..cut.len() - 90].to_vec();
    assert_eq!(send(&api, put(cut, signed.request)).await.code(), "IncompleteBody");

    let signed = sign();
    assert_eq!(send(&api, put(b"no chunks\r\n".to_vec(), signed.request)).await.code(), "InvalidRequest");
}

#[tokio::test]
async fn trailing_checksums_are_handed_down() {
    let api = api_with_object().await;
    let headers = [
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-decoded-content-length", "10"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let put = |trailer: &str| {
        let body = format!("a\r\n0123456789\r\n0\r\n{trailer}\r\n");
        ADA.sign("PUT", "/bucket/trailer", &headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body).request
    };
    let good = send(&api, put("x-amz-checksum-crc32:poTHxg==\r\n")).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.headers["x-amz-checksum-crc32"], "poTHxg==");
    assert_eq!(send(&api, put("x-amz-checksum-crc32:AAAAAA==\r\n")).await.code(), "BadDigest");
    assert_eq!(send(&api, put("x-amz-checksum-crc32:bad\r\n")).await.code(), "MalformedTrailerError");
    assert_eq!(send(&api, put("")).await.code(), "MalformedTrailerError");
}

#[tokio::test]
async fn what_is_not_implemented_is_said_by_name() {
    let api = api_with_object().await;
    for (method, target, headers, name) in [
        ("GET", "/bucket?metrics", &[][..], "ListBucketMetricsConfigurations"),
        ("PUT", "/bucket?policy", &[], "PutBucketPolicy"),
        ("DELETE", "/bucket?notYetInvented", &[], "notYetInvented"),
        (
            "PUT",
            "/bucket/a/key",
            &[("x-amz-server-side-encryption", "AES256")],
            "x-amz-server-side-encryption",
        ),
        ("PUT", "/bucket/a/key", &[("x-amz-storage-class", "GLACIER")], "x-amz-storage-class"),
    ] {
        let answer = call(&api, method, target, headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (501, "NotImplemented"), "{target}");
        assert!(answer.body.contains(name), "{}", answer.body);
    }
}
