//! `GetObject` and `HeadObject`, which are read and answered without s3s.

use axum::Router;
use axum::body::Body;
use axum::http::Request;

use super::signer::{Signer, sha256_hex};
use super::{ADA, Answer, READER, api_with_object, call, send};

async fn api_with_objects() -> Router {
    let api = api_with_object().await;
    let tagged =
        [("x-amz-tagging", "a=1&b=2"), ("x-amz-meta-two-words", "a b"), ("cache-control", "no-cache")];
    assert_eq!(call(&api, "PUT", "/bucket/a%20b/%C3%BC~", &tagged, "tagged").await.status, 200);
    assert_eq!(call(&api, "PUT", "/bucket/empty", &[], "").await.status, 200);
    assert_eq!(call(&api, "PUT", "/bucket/encoded", &[("x-amz-meta-a", "=?")], "x").await.status, 200);
    let started =
        call(&api, "POST", "/bucket/parts?uploads", &[("x-amz-checksum-algorithm", "CRC32")], "").await;
    let (_, rest) = started.body.split_once("<UploadId>").unwrap();
    let id = rest.split_once('<').unwrap().0;
    let headers = [("x-amz-sdk-checksum-algorithm", "CRC32")];
    let part =
        call(&api, "PUT", &format!("/bucket/parts?partNumber=1&uploadId={id}"), &headers, "part").await;
    let xml = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag><ChecksumCRC32>{}</ChecksumCRC32>\
         </Part></CompleteMultipartUpload>",
        part.headers["etag"].to_str().unwrap(),
        part.headers["x-amz-checksum-crc32"].to_str().unwrap()
    );
    let target = format!("/bucket/parts?uploadId={id}");
    let done = call(&api, "POST", &target, &[], Box::leak(xml.into_boxed_str())).await;
    assert_eq!(done.status, 200, "{}", done.body);
    api
}

type Headers<'h> = &'h [(&'h str, &'h str)];

/// Gets an object; HEAD must answer with the same status and headers, but those of an error's body.
async fn get_and_head(api: &Router, target: &str, headers: &[(&str, &str)]) -> Answer {
    let get = call(api, "GET", target, headers, "").await;
    let mut head = call(api, "HEAD", target, headers, "").await;
    assert_eq!((get.status, head.body.as_str()), (head.status, ""), "{target} {headers:?}");
    let id = head.headers.remove("x-amz-request-id").unwrap();
    let mut expected = get.headers.clone();
    expected.insert("x-amz-request-id", id.clone());
    head.headers.insert("x-amz-request-id", id);
    if get.status.is_client_error() || get.status.is_server_error() {
        assert_eq!(expected.remove("content-type").unwrap(), "application/xml");
        expected.remove("content-length");
        head.headers.remove("content-length");
    }
    assert_eq!(expected, head.headers, "{target} {headers:?}");
    get
}

#[tokio::test]
async fn head_answers_what_get_does() {
    let api = api_with_objects().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let requests: [(Headers<'_>, [u16; 3]); 13] = [
        (&[], [200, 200, 200]),
        (&[("x-amz-checksum-mode", "ENABLED")], [200, 200, 200]),
        (&[("range", "bytes=1-3")], [206, 416, 206]),
        (&[("range", "bytes=-2"), ("x-amz-checksum-mode", "ENABLED")], [206, 200, 206]),
        (&[("range", "bytes=10-")], [416, 416, 416]),
        (&[("range", "bytes=x")], [200, 200, 200]),
        (&[("range", "bytes=0-0,2-3")], [200, 200, 200]),
        (&[("if-match", etag)], [200, 412, 412]),
        (&[("if-none-match", etag), ("range", "bytes=0-1")], [304, 416, 206]),
        (&[("if-none-match", "*")], [304, 304, 304]),
        (&[("if-modified-since", "Thu, 01 Jan 1970 00:16:40 GMT")], [304, 304, 304]),
        (&[("if-unmodified-since", "Thu, 01 Jan 1970 00:16:39 GMT")], [412, 412, 412]),
        (
            &[("content-type", "text/html"), ("accept-encoding", "gzip"), ("content-length", "0")],
            [200, 200, 200],
        ),
    ];
    for (headers, expected) in requests {
        for (key, status) in ["a/key", "empty", "parts"].into_iter().zip(expected) {
            let answer = get_and_head(&api, &format!("/bucket/{key}"), headers).await;
            assert_eq!(answer.status, status, "{key} {headers:?}");
        }
        assert_eq!(get_and_head(&api, "/bucket/gone", headers).await.status, 404);
    }
    assert_eq!(get_and_head(&api, "/nowhere/key", &[]).await.code(), "NoSuchBucket");
    assert_eq!(get_and_head(&api, "/bucket/a/key?x-id=GetObject", &[]).await.status, 200);
}

#[tokio::test]
async fn user_metadata_tags_and_parts_are_in_the_headers() {
    let api = api_with_objects().await;
    let tagged = get_and_head(&api, "/bucket/a%20b/%C3%BC~", &[]).await;
    for (name, value) in
        [("x-amz-tagging-count", "2"), ("x-amz-meta-two-words", "a b"), ("cache-control", "no-cache")]
    {
        assert_eq!(tagged.headers[name], value);
    }
    assert_eq!(get_and_head(&api, "/bucket/encoded", &[]).await.headers["x-amz-meta-a"], "=?");
    let headers = [("x-amz-meta-a", "=?UTF-8?B?w7w=?=")];
    assert_eq!(call(&api, "PUT", "/bucket/words", &headers, "x").await.status, 200);
    assert_eq!(get_and_head(&api, "/bucket/words", &[]).await.headers["x-amz-meta-a"], "=?UTF-8?B?w7w=?=");
    let checksums = [("x-amz-checksum-mode", "ENABLED")];
    let whole = get_and_head(&api, "/bucket/parts", &checksums).await;
    assert_eq!(whole.headers["x-amz-checksum-type"], "COMPOSITE");
    assert!(whole.headers["x-amz-checksum-crc32"].to_str().unwrap().ends_with("-1"));
    let part = get_and_head(&api, "/bucket/parts?partNumber=1", &checksums).await;
    assert_eq!((part.status.as_u16(), &part.headers["x-amz-mp-parts-count"]), (206, &"1".parse().unwrap()));
    assert!(!part.headers["x-amz-checksum-crc32"].to_str().unwrap().contains('-'));
}

#[tokio::test]
async fn parameters_that_cannot_be_read_are_refused() {
    let api = api_with_objects().await;
    for (query, code) in [
        ("partNumber=x", "InvalidArgument"),
        ("partNumber=0", "InvalidArgument"),
        ("partNumber=2", "InvalidPart"),
        ("partNumber=1&partNumber=1", "InvalidRequest"),
        ("versionId=1", "InvalidArgument"),
        ("response-expires=whenever", "InvalidArgument"),
        ("uploads", "InvalidArgument"),
    ] {
        assert_eq!(get_and_head(&api, &format!("/bucket/parts?{query}"), &[]).await.code(), code, "{query}");
    }
    let both = call(&api, "GET", "/bucket/parts?partNumber=1", &[("range", "bytes=0-1")], "").await;
    assert_eq!(both.code(), "InvalidRequest");
}

#[tokio::test]
async fn a_presigned_url_reads_and_overrides_headers() {
    let api = api_with_objects().await;
    for method in ["GET", "HEAD"] {
        let read = async |url: String| {
            let request = Request::builder().method(method).uri(url).header("host", "s3.test");
            send(&api, request.body(Body::empty()).unwrap()).await
        };
        let plain = read(ADA.presign(method, "/bucket/a/key", "")).await;
        assert_eq!(
            (plain.status.as_u16(), &plain.headers["content-type"]),
            (200, &"text/plain".parse().unwrap())
        );
        let html = read(ADA.presign(method, "/bucket/a/key", "&response-content-type=text%2Fhtml")).await;
        assert_eq!(
            (html.status.as_u16(), &html.headers["content-type"]),
            (200, &"text/html".parse().unwrap())
        );
        let forged = ADA.presign(method, "/bucket/a/key", "").replace("Expires=60", "Expires=61");
        assert_eq!(read(forged).await.status, 403);
    }
}

#[tokio::test]
async fn only_who_may_read_reads_and_a_kept_signing_key_is_of_one_secret() {
    let api = api_with_object().await;
    let status = async |signer: Signer, target: &str| {
        send(&api, signer.sign("GET", target, &[], &sha256_hex(b""), "").request).await.status.as_u16()
    };
    // The second by the signing key that the first has left.
    for _ in 0..2 {
        assert_eq!(status(ADA, "/bucket/a/key").await, 200);
        assert_eq!(status(Signer { secret_key: "another-secret", ..ADA }, "/bucket/a/key").await, 403);
    }
    assert_eq!(status(Signer { access_key: "AKNOBODY", ..ADA }, "/bucket/a/key").await, 403);
    assert_eq!(status(Signer { region: "elsewhere", ..ADA }, "/bucket/a/key").await, 400);
    assert_eq!(status(READER, "/bucket/a/key").await, 200);
    assert_eq!(call(&api, "PUT", "/other", &[], "").await.status, 200);
    assert_eq!(status(READER, "/other/key").await, 403, "it may not read there");
    let mut changed =
        ADA.sign("GET", "/bucket/a/key", &[("range", "bytes=0-1")], &sha256_hex(b""), "").request;
    changed.headers_mut().insert("range", "bytes=0-2".parse().unwrap());
    assert_eq!(send(&api, changed).await.code(), "SignatureDoesNotMatch");
    let mut old = ADA.sign("GET", "/bucket/a/key", &[], &sha256_hex(b""), "").request;
    old.headers_mut().insert("x-amz-date", "20200101T000000Z".parse().unwrap());
    assert_eq!(send(&api, old).await.status, 403);
}
