//! What objects, listings and buckets answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{api_with_object, call};

#[tokio::test]
async fn an_object_is_answered_with_all_that_was_said_of_it() {
    let api = api_with_object().await;
    let get = call(&api, "GET", "/bucket/a/key", &[("x-amz-checksum-mode", "ENABLED")], "").await;
    assert_eq!((get.status.as_u16(), get.body.as_str()), (200, "0123456789"));
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("expires", "whenever"),
        ("x-amz-meta-colour", "blue"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Thu, 01 Jan 1970 00:16:40 GMT"),
        ("x-amz-checksum-crc32", "poTHxg=="),
        ("x-amz-checksum-type", "FULL_OBJECT"),
        ("server", "xetgate"),
        // As the published hf_xet computes it.
        ("x-xet-hash", "bcdabd01e6286721f6fc4f53bdc8eebeabbd1c260a1e2dc597638010acb294c5"),
    ] {
        assert_eq!(get.headers[name], value, "{name}");
    }
    let head = call(&api, "HEAD", "/bucket/a/key?response-content-type=text/html", &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], "10");
    assert_eq!(head.headers["content-type"], "text/html");
    assert!(!head.headers.contains_key("x-amz-checksum-crc32"));
}

#[tokio::test]
async fn ranges_are_partial_content_and_malformed_ones_are_ignored() {
    let api = api_with_object().await;
    for method in ["GET", "HEAD"] {
        let part = call(&api, method, "/bucket/a/key", &[("range", "bytes=2-4")], "").await;
        assert_eq!(part.status, 206, "{method}");
        assert_eq!(part.headers["content-range"], "bytes 2-4/10");
        assert_eq!(part.headers["content-length"], "3");
        let behind = call(&api, method, "/bucket/a/key", &[("range", "bytes=10-")], "").await;
        assert_eq!(behind.status, 416);
        assert_eq!(behind.headers["content-range"], "bytes */10");
        let malformed = call(&api, method, "/bucket/a/key", &[("range", "bytes=a-b")], "").await;
        assert_eq!(malformed.status, 200);
    }
    let part = call(&api, "GET", "/bucket/a/key", &[("range", "bytes=-3")], "").await;
    assert_eq!(part.body, "789");
}

#[tokio::test]
async fn conditions_are_kept() {
    let api = api_with_object().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let unchanged = call(&api, "GET", "/bucket/a/key", &[("if-none-match", etag)], "").await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""));
    assert_eq!(unchanged.headers["etag"], etag);
    assert_eq!(
        call(&api, "GET", "/bucket/a/key", &[("if-match", "\"x\"")], "").await.code(),
        "PreconditionFailed"
    );
    let create_only = call(&api, "PUT", "/bucket/a/key", &[("if-none-match", "*")], "new").await;
    assert_eq!(create_only.code(), "PreconditionFailed");
    assert_eq!(call(&api, "PUT", "/bucket/a/key", &[("if-match", etag)], "new").await.status, 200);
}

#[tokio::test]
async fn several_objects_are_deleted_each_on_its_own() {
    let api = api_with_object().await;
    let xml = "<Delete><Object><Key>a/key</Key></Object><Object><Key>gone</Key></Object>\
               <Object><Key>v</Key><VersionId>1</VersionId></Object></Delete>";
    let wrong = STANDARD.encode([0; 16]);
    assert_eq!(
        call(&api, "POST", "/bucket?delete", &[("content-md5", &wrong)], xml).await.code(),
        "BadDigest"
    );
    let answer = call(&api, "POST", "/bucket?delete", &[], xml).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.matches("<Deleted>").count(), 2, "{}", answer.body);
    assert_eq!(answer.body.matches("<Error>").count(), 1, "{}", answer.body);
    assert_eq!(call(&api, "GET", "/bucket/a/key", &[], "").await.code(), "NoSuchKey");
    assert_eq!(call(&api, "POST", "/bucket?delete", &[], "<Delete>").await.code(), "MalformedXML");
}

#[tokio::test]
async fn an_object_is_not_copied_onto_itself_unchanged() {
    let api = api_with_object().await;
    let source = ("x-amz-copy-source", "/bucket/a%2Fkey");
    assert_eq!(call(&api, "PUT", "/bucket/a/key", &[source], "").await.code(), "InvalidRequest");
    let replaced = [source, ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-colour", "red")];
    assert_eq!(call(&api, "PUT", "/bucket/a/key", &replaced, "").await.status, 200);
    let head = call(&api, "HEAD", "/bucket/a/key", &[], "").await;
    assert_eq!(head.headers["x-amz-meta-colour"], "red");
    assert_eq!(head.headers["content-type"], "binary/octet-stream");
    let copied = call(&api, "PUT", "/bucket/copy", &[source], "").await;
    assert!(copied.body.contains("<CopyObjectResult"), "{}", copied.body);
    let unwanted = [source, ("x-amz-copy-source-if-match", "\"x\"")];
    assert_eq!(call(&api, "PUT", "/bucket/copy", &unwanted, "").await.code(), "PreconditionFailed");
}

#[tokio::test]
async fn listings_answer_both_versions() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "PUT", "/bucket/a/b%20c", &[], "x").await.status, 200);
    let v1 = call(&api, "GET", "/bucket?encoding-type=url&prefix=a/", &[], "").await.body;
    assert!(v1.contains("<Key>a/b%20c</Key>") && v1.contains("<Marker></Marker>"), "{v1}");
    let v2 = call(&api, "GET", "/bucket?list-type=2&max-keys=0", &[], "").await.body;
    assert!(v2.contains("<KeyCount>0</KeyCount>") && v2.contains("<IsTruncated>false<"), "{v2}");
    for bad in ["max-keys=x", "max-keys=-1", "continuation-token=!"] {
        let answer = call(&api, "GET", &format!("/bucket?list-type=2&{bad}"), &[], "").await;
        assert_eq!(answer.code(), "InvalidArgument", "{bad}");
    }
    let versions = call(&api, "GET", "/bucket?versions", &[], "").await.body;
    assert!(versions.contains("<VersionId>null</VersionId>"), "{versions}");
}

#[tokio::test]
async fn buckets_keep_s3s_rules() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "PUT", "/bucket", &[], "").await.status, 200, "again, as in AWS's us-east-1");
    assert_eq!(call(&api, "PUT", "/Bad_Name", &[], "").await.code(), "InvalidBucketName");
    assert_eq!(call(&api, "DELETE", "/bucket", &[], "").await.code(), "BucketNotEmpty");
    assert_eq!(call(&api, "GET", "/nowhere", &[], "").await.code(), "NoSuchBucket");
    let location = call(&api, "GET", "/bucket?location", &[], "").await;
    assert_eq!(location.status, 200, "{}", location.body);
    let key = "k".repeat(1025);
    assert_eq!(call(&api, "GET", &format!("/bucket/{key}"), &[], "").await.code(), "KeyTooLongError");
}

/// botocore keeps the status of an answer that came without `100 Continue` and takes it for the next one's.
#[tokio::test]
async fn a_connection_ends_where_an_empty_body_expected_to_be_continued() {
    let api = super::api();
    call(&api, "PUT", "/bucket", &[], "").await;
    let expect = [("expect", "100-continue")];
    let empty = call(&api, "PUT", "/bucket/empty", &expect, "").await;
    assert_eq!(empty.status, 200);
    assert_eq!(empty.headers["connection"], "close");
    let full = call(&api, "PUT", "/bucket/full", &expect, "x").await;
    assert!(!full.headers.contains_key("connection"));
}
