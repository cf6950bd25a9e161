//! The whole door, from signed request to answer, over buckets in memory.

mod memory;
mod signer;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{S3Door, router};
use crate::auth::{AccessKeyId, Credential, Directory, Permission, Secret};
use crate::bucket::{BucketName, Namespace};
use crate::store::ambient::Ambient;
use memory::Memory;
use signer::{Signer, sha256_hex};

const ADA: Signer = Signer {
    access_key: "AKADA",
    secret_key: "ada's secret",
    region: "us-east-1",
};
const READER: Signer = Signer {
    access_key: "AKREAD",
    secret_key: "reader's secret",
    region: "us-east-1",
};

fn credential(signer: Signer, permission: Permission, buckets: Option<&str>) -> Credential {
    Credential {
        account: Namespace::new("ada").unwrap(),
        access_key_id: AccessKeyId::new(signer.access_key).unwrap(),
        secret_access_key: Secret::new(signer.secret_key),
        permission,
        buckets: buckets.map(|name| vec![BucketName::new(name).unwrap()]),
    }
}

fn door() -> Router {
    let directory = Directory::with(vec![
        credential(ADA, Permission::Admin, None),
        credential(READER, Permission::Read, Some("bucket")),
    ]);
    router(S3Door {
        buckets: Arc::new(Memory::default()),
        directory: Arc::new(directory),
        clock: Ambient::system(),
        region: "us-east-1".to_owned(),
    })
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The error's code, and that the error is complete.
    fn code(&self) -> &str {
        assert!(self.headers.contains_key("x-amz-request-id"));
        assert!(
            self.body.contains("<Resource>") && self.body.contains("<RequestId>"),
            "{}",
            self.body
        );
        let code = self
            .body
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map_or("", |(code, _)| code)
    }
}

async fn send(door: &Router, request: Request<Body>) -> Answer {
    let response = door.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

async fn call(
    door: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Answer {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("content-length", &length));
    }
    let signed = ADA.sign(method, target, &headers, &sha256_hex(body.as_bytes()), body);
    send(door, signed.request).await
}

async fn door_with_object() -> Router {
    let door = door();
    assert_eq!(call(&door, "PUT", "/bucket", &[], "").await.status, 200);
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-colour", "blue"),
        ("expires", "whenever"),
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let put = call(&door, "PUT", "/bucket/a/key", &headers, "0123456789").await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(put.headers["etag"], "\"781e5e245d69b566979b86e28d23f2c7\"");
    assert_eq!(put.headers["x-amz-checksum-crc32"], "poTDxg==");
    door
}

#[tokio::test]
async fn an_object_is_answered_with_all_that_was_said_of_it() {
    let door = door_with_object().await;
    let get = call(
        &door,
        "GET",
        "/bucket/a/key",
        &[("x-amz-checksum-mode", "ENABLED")],
        "",
    )
    .await;
    assert_eq!((get.status.as_u16(), get.body.as_str()), (200, "0123456789"));
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("expires", "whenever"),
        ("x-amz-meta-colour", "blue"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Thu, 01 Jan 1970 00:16:40 GMT"),
        ("x-amz-checksum-crc32", "poTDxg=="),
        ("x-amz-checksum-type", "FULL_OBJECT"),
        ("server", "xetgate"),
        ("x-xet-hash", &"0".repeat(64)),
    ] {
        assert_eq!(get.headers[name], value, "{name}");
    }
    let head = call(
        &door,
        "HEAD",
        "/bucket/a/key?response-content-type=text/html",
        &[],
        "",
    )
    .await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "10");
    assert_eq!(head.headers["content-type"], "text/html");
    assert!(!head.headers.contains_key("x-amz-checksum-crc32"));
}

#[tokio::test]
async fn ranges_are_partial_content_and_malformed_ones_are_ignored() {
    let door = door_with_object().await;
    for method in ["GET", "HEAD"] {
        let part = call(&door, method, "/bucket/a/key", &[("range", "bytes=2-4")], "").await;
        assert_eq!(part.status, 206, "{method}");
        assert_eq!(part.headers["content-range"], "bytes 2-4/10");
        assert_eq!(part.headers["content-length"], "3");
        let behind = call(&door, method, "/bucket/a/key", &[("range", "bytes=10-")], "").await;
        assert_eq!(behind.status, 416);
        assert_eq!(behind.headers["content-range"], "bytes */10");
        let malformed = call(&door, method, "/bucket/a/key", &[("range", "bytes=a-b")], "").await;
        assert_eq!(malformed.status, 200);
    }
    let part = call(&door, "GET", "/bucket/a/key", &[("range", "bytes=-3")], "").await;
    assert_eq!(part.body, "789");
}

#[tokio::test]
async fn conditions_are_kept() {
    let door = door_with_object().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let unchanged = call(&door, "GET", "/bucket/a/key", &[("if-none-match", etag)], "").await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""));
    assert_eq!(unchanged.headers["etag"], etag);
    assert_eq!(
        call(&door, "GET", "/bucket/a/key", &[("if-match", "\"x\"")], "")
            .await
            .code(),
        "PreconditionFailed"
    );
    let create_only = call(&door, "PUT", "/bucket/a/key", &[("if-none-match", "*")], "new").await;
    assert_eq!(create_only.code(), "PreconditionFailed");
    assert_eq!(
        call(&door, "PUT", "/bucket/a/key", &[("if-match", etag)], "new")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn whoever_is_not_who_they_say_is_refused_in_s3s_words() {
    let door = door_with_object().await;
    let empty = sha256_hex(b"");
    let get = |signer: Signer| signer.sign("GET", "/bucket/a/key", &[], &empty, "").request;
    let code = async |request| send(&door, request).await.code().to_owned();
    assert_eq!(
        code(get(Signer {
            secret_key: "wrong",
            ..ADA
        }))
        .await,
        "SignatureDoesNotMatch"
    );
    assert_eq!(
        code(get(Signer {
            access_key: "AKNOBODY",
            ..ADA
        }))
        .await,
        "InvalidAccessKeyId"
    );
    assert_eq!(
        code(get(Signer {
            region: "eu-west-1",
            ..ADA
        }))
        .await,
        "AuthorizationHeaderMalformed"
    );
    assert_eq!(
        code(Request::get("/bucket/a/key").body(Body::empty()).unwrap()).await,
        "AccessDenied"
    );
    let mut changed = get(ADA);
    changed
        .headers_mut()
        .insert("x-amz-meta-added", "later".parse().unwrap());
    assert_eq!(code(changed).await, "AccessDenied");
    let mut old = get(ADA);
    old.headers_mut()
        .insert("x-amz-date", "20200101T000000Z".parse().unwrap());
    assert_eq!(code(old).await, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_key_does_what_it_may_and_no_more() {
    let door = door_with_object().await;
    let empty = sha256_hex(b"");
    let by_reader = |method: &str, target: &str| READER.sign(method, target, &[], &empty, "").request;
    assert_eq!(send(&door, by_reader("GET", "/bucket/a/key")).await.status, 200);
    assert_eq!(
        send(&door, by_reader("DELETE", "/bucket/a/key")).await.code(),
        "AccessDenied"
    );
    assert_eq!(
        send(&door, by_reader("GET", "/nowhere")).await.code(),
        "NoSuchBucket"
    );
    assert_eq!(call(&door, "PUT", "/second", &[], "").await.status, 200);
    assert_eq!(
        send(&door, by_reader("GET", "/second")).await.code(),
        "AccessDenied"
    );
    let listed = send(&door, by_reader("GET", "/")).await.body;
    assert!(
        listed.contains("<Name>bucket</Name>") && !listed.contains("second"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_body_that_is_not_what_was_signed_is_refused() {
    let door = door_with_object().await;
    let length = [("content-length", "3")];
    let other = ADA
        .sign("PUT", "/bucket/a/key", &length, &sha256_hex(b"abc"), "abd")
        .request;
    assert_eq!(send(&door, other).await.code(), "XAmzContentSHA256Mismatch");
    let short = ADA
        .sign(
            "PUT",
            "/bucket/a/key",
            &[("content-length", "4")],
            &sha256_hex(b"abc"),
            "abc",
        )
        .request;
    assert_eq!(send(&door, short).await.code(), "IncompleteBody");
    let xml = ADA
        .sign("POST", "/bucket?delete", &length, &sha256_hex(b"abc"), "abd")
        .request;
    assert_eq!(send(&door, xml).await.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(
        call(&door, "GET", "/bucket/a/key", &[], "").await.body,
        "0123456789"
    );
}

#[tokio::test]
async fn signed_chunks_are_checked() {
    let door = door_with_object().await;
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "6"),
    ];
    let sign = || {
        ADA.sign(
            "PUT",
            "/bucket/chunked",
            &headers,
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "",
        )
    };
    let put = |body: Vec<u8>, mut request: Request<Body>| {
        *request.body_mut() = Body::from(body);
        request
    };
    let signed = sign();
    let body = signed.chunks(&[b"abc", b"def"]);
    assert_eq!(send(&door, put(body, signed.request)).await.status, 200);
    assert_eq!(
        call(&door, "GET", "/bucket/chunked", &[], "").await.body,
        "abcdef"
    );

    let signed = sign();
    let forged = String::from_utf8(signed.chunks(&[b"abc", b"def"]))
        .unwrap()
        .replace("def", "dEf");
    assert_eq!(
        send(&door, put(forged.into_bytes(), signed.request)).await.code(),
        "SignatureDoesNotMatch"
    );

    let signed = sign();
    let cut = signed.chunks(&[b"abc", b"def"]);
    let cut = cut[..cut.len() - 90].to_vec();
    assert_eq!(
        send(&door, put(cut, signed.request)).await.code(),
        "IncompleteBody"
    );

    let signed = sign();
    assert_eq!(
        send(&door, put(b"no chunks\r\n".to_vec(), signed.request))
            .await
            .code(),
        "InvalidRequest"
    );
}

#[tokio::test]
async fn trailing_checksums_are_handed_down() {
    let door = door_with_object().await;
    let headers = [
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-decoded-content-length", "10"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let put = |trailer: &str| {
        let body = format!("a\r\n0123456789\r\n0\r\n{trailer}\r\n");
        ADA.sign(
            "PUT",
            "/bucket/trailer",
            &headers,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            body,
        )
        .request
    };
    let good = send(&door, put("x-amz-checksum-crc32:poTDxg==\r\n")).await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.headers["x-amz-checksum-crc32"], "poTDxg==");
    assert_eq!(
        send(&door, put("x-amz-checksum-crc32:AAAAAA==\r\n")).await.code(),
        "BadDigest"
    );
    assert_eq!(
        send(&door, put("x-amz-checksum-crc32:bad\r\n")).await.code(),
        "MalformedTrailerError"
    );
    assert_eq!(send(&door, put("")).await.code(), "MalformedTrailerError");
}

#[tokio::test]
async fn what_is_not_implemented_is_said_by_name() {
    let door = door_with_object().await;
    for (method, target, headers, name) in [
        ("GET", "/bucket?acl", &[][..], "GetBucketAcl"),
        ("GET", "/bucket/a/key?torrent", &[], "GetObjectTorrent"),
        ("DELETE", "/bucket?notYetInvented", &[], "notYetInvented"),
        ("GET", "/bucket/a/key?versionId=1", &[], "versionId"),
        (
            "PUT",
            "/bucket/a/key",
            &[("x-amz-server-side-encryption", "AES256")],
            "x-amz-server-side-encryption",
        ),
        (
            "PUT",
            "/bucket/a/key",
            &[("x-amz-storage-class", "GLACIER")],
            "x-amz-storage-class",
        ),
    ] {
        let answer = call(&door, method, target, headers, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (501, "NotImplemented"),
            "{target}"
        );
        assert!(answer.body.contains(name), "{}", answer.body);
    }
}

#[tokio::test]
async fn several_objects_are_deleted_each_on_its_own() {
    let door = door_with_object().await;
    let xml = "<Delete><Object><Key>a/key</Key></Object><Object><Key>gone</Key></Object>\
               <Object><Key>v</Key><VersionId>1</VersionId></Object></Delete>";
    let wrong = STANDARD.encode([0; 16]);
    assert_eq!(
        call(&door, "POST", "/bucket?delete", &[("content-md5", &wrong)], xml)
            .await
            .code(),
        "BadDigest"
    );
    let answer = call(&door, "POST", "/bucket?delete", &[], xml).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.matches("<Deleted>").count(), 2, "{}", answer.body);
    assert_eq!(answer.body.matches("<Error>").count(), 1, "{}", answer.body);
    assert_eq!(
        call(&door, "GET", "/bucket/a/key", &[], "").await.code(),
        "NoSuchKey"
    );
    assert_eq!(
        call(&door, "POST", "/bucket?delete", &[], "<Delete>")
            .await
            .code(),
        "MalformedXML"
    );
}

#[tokio::test]
async fn an_object_is_not_copied_onto_itself_unchanged() {
    let door = door_with_object().await;
    let source = ("x-amz-copy-source", "/bucket/a%2Fkey");
    assert_eq!(
        call(&door, "PUT", "/bucket/a/key", &[source], "").await.code(),
        "InvalidRequest"
    );
    let replaced = [
        source,
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-colour", "red"),
    ];
    assert_eq!(
        call(&door, "PUT", "/bucket/a/key", &replaced, "").await.status,
        200
    );
    let head = call(&door, "HEAD", "/bucket/a/key", &[], "").await;
    assert_eq!(head.headers["x-amz-meta-colour"], "red");
    assert_eq!(head.headers["content-type"], "binary/octet-stream");
    let copied = call(&door, "PUT", "/bucket/copy", &[source], "").await;
    assert!(copied.body.contains("<CopyObjectResult"), "{}", copied.body);
    let unwanted = [source, ("x-amz-copy-source-if-match", "\"x\"")];
    assert_eq!(
        call(&door, "PUT", "/bucket/copy", &unwanted, "").await.code(),
        "PreconditionFailed"
    );
}

#[tokio::test]
async fn listings_answer_both_versions() {
    let door = door_with_object().await;
    assert_eq!(call(&door, "PUT", "/bucket/a/b%20c", &[], "x").await.status, 200);
    let v1 = call(&door, "GET", "/bucket?encoding-type=url&prefix=a/", &[], "")
        .await
        .body;
    assert!(
        v1.contains("<Key>a/b%20c</Key>") && v1.contains("<Marker></Marker>"),
        "{v1}"
    );
    let v2 = call(&door, "GET", "/bucket?list-type=2&max-keys=0", &[], "")
        .await
        .body;
    assert!(
        v2.contains("<KeyCount>0</KeyCount>") && v2.contains("<IsTruncated>false<"),
        "{v2}"
    );
    for bad in ["max-keys=x", "max-keys=-1", "continuation-token=!"] {
        let answer = call(&door, "GET", &format!("/bucket?list-type=2&{bad}"), &[], "").await;
        assert_eq!(answer.code(), "InvalidArgument", "{bad}");
    }
    let versions = call(&door, "GET", "/bucket?versions", &[], "").await.body;
    assert!(versions.contains("<VersionId>null</VersionId>"), "{versions}");
}

#[tokio::test]
async fn buckets_keep_s3s_rules() {
    let door = door_with_object().await;
    let again = call(&door, "PUT", "/bucket", &[], "").await;
    assert_eq!(
        (again.status.as_u16(), again.code()),
        (409, "BucketAlreadyOwnedByYou")
    );
    assert_eq!(
        call(&door, "PUT", "/Bad_Name", &[], "").await.code(),
        "InvalidBucketName"
    );
    assert_eq!(
        call(&door, "DELETE", "/bucket", &[], "").await.code(),
        "BucketNotEmpty"
    );
    assert_eq!(
        call(&door, "GET", "/nowhere", &[], "").await.code(),
        "NoSuchBucket"
    );
    let location = call(&door, "GET", "/bucket?location", &[], "").await;
    assert_eq!(location.status, 200, "{}", location.body);
    let key = "k".repeat(1025);
    assert_eq!(
        call(&door, "GET", &format!("/bucket/{key}"), &[], "")
            .await
            .code(),
        "KeyTooLongError"
    );
}
