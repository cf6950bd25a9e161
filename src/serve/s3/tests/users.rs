//! What clients and their users tripped over at other stores: presigned addresses, ranges, parameters, texts.

use super::*;

async fn unsigned(api: &Router, method: &str, target: &str, body: &'static str) -> Answer {
    let request = Request::builder().method(method).uri(target).header("host", "s3.test");
    let request = request.header("content-length", body.len().to_string());
    send(api, request.body(Body::from(body)).unwrap()).await
}

/// The SDK for JavaScript computes the checksum of the body when it signs, and there is none yet.
#[tokio::test]
async fn a_presigned_upload_takes_any_body_whatever_checksum_is_in_its_address() {
    let api = api_with_object().await;
    let more =
        "&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-meta-a=b&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject";
    let put = unsigned(&api, "PUT", &ADA.presign("PUT", "/bucket/signed", more), "0123456789").await;
    assert_eq!(put.status, 200, "{}", put.body);
    let head = call(&api, "HEAD", "/bucket/signed", &[("x-amz-checksum-mode", "ENABLED")], "").await;
    assert_eq!(head.headers["x-amz-meta-a"], "b", "what is kept with the object still counts");
    assert!(!head.headers.contains_key("x-amz-checksum-crc32"));
    // As a header, it is the checksum of this body.
    let wrong = [("x-amz-checksum-crc32", "AAAAAA==")];
    assert_eq!(call(&api, "PUT", "/bucket/signed", &wrong, "0123456789").await.code(), "BadDigest");
    let encrypted = "&x-amz-server-side-encryption=AES256&x-id=PutObject";
    let refused = unsigned(&api, "PUT", &ADA.presign("PUT", "/bucket/signed", encrypted), "x").await;
    assert_eq!(refused.code(), "NotImplemented");
}

#[tokio::test]
async fn a_range_that_cannot_be_had_tells_the_size_and_the_end_of_nothing_is_nothing() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "PUT", "/bucket/empty", &[], "").await.status, 200);
    let beyond = call(&api, "GET", "/bucket/a/key", &[("range", "bytes=10-19")], "").await;
    assert_eq!((beyond.status.as_u16(), beyond.code()), (416, "InvalidRange"));
    let told = "<RangeRequested>bytes=10-19</RangeRequested><ActualObjectSize>10</ActualObjectSize>";
    assert!(beyond.body.contains(told), "{}", beyond.body);
    for range in ["bytes=0-0", "bytes=0-", "bytes=-0"] {
        let none = call(&api, "GET", "/bucket/empty", &[("range", range)], "").await;
        assert_eq!(none.status, 416, "{range}");
        assert!(none.body.contains("<ActualObjectSize>0</ActualObjectSize>"), "{}", none.body);
    }
    for method in ["GET", "HEAD"] {
        let end = call(&api, method, "/bucket/empty", &[("range", "bytes=-8")], "").await;
        assert_eq!((end.status.as_u16(), end.body.as_str()), (200, ""), "{method}");
        assert_eq!(end.headers["content-length"], "0");
        assert!(!end.headers.contains_key("content-range"));
    }
}

#[tokio::test]
async fn a_download_that_goes_on_gets_all_of_an_object_that_is_another_now() {
    let api = api_with_object().await;
    let etag = "\"781e5e245d69b566979b86e28d23f2c7\"";
    let date = "Thu, 01 Jan 1970 00:16:40 GMT";
    let other_date = "Thu, 01 Jan 1970 00:16:39 GMT";
    let with = |value: &'static str| [("range", "bytes=4-"), ("if-range", value)];
    for same in [etag, etag.trim_matches('"'), date] {
        let rest = call(&api, "GET", "/bucket/a/key", &with(same), "").await;
        assert_eq!((rest.status.as_u16(), rest.body.as_str()), (206, "456789"), "{same}");
    }
    let weak = "W/\"781e5e245d69b566979b86e28d23f2c7\"";
    for other in ["\"0\"", weak, other_date, "never"] {
        for method in ["GET", "HEAD"] {
            let all = call(&api, method, "/bucket/a/key", &with(other), "").await;
            assert_eq!((all.status.as_u16(), &all.headers["content-length"]), (200, &"10".parse().unwrap()));
        }
    }
    // A range that the other object does not have is no reason to refuse.
    let beyond = [("range", "bytes=90-"), ("if-range", "\"0\"")];
    assert_eq!(call(&api, "GET", "/bucket/a/key", &beyond, "").await.status, 200);
    let unmet = [("range", "bytes=4-"), ("if-range", etag), ("if-match", "\"0\"")];
    assert_eq!(call(&api, "GET", "/bucket/a/key", &unmet, "").await.code(), "PreconditionFailed");
}

#[tokio::test]
async fn parameters_of_other_operations_are_refused_and_those_for_logs_ignored() {
    let api = api_with_object().await;
    let copy = [("x-amz-copy-source", "/bucket/a/key")];
    assert_eq!(call(&api, "PUT", "/bucket/b", &[], "old").await.status, 200);
    for target in ["/bucket/b?uploadId=x", "/bucket/b?partNumber=1", "/bucket/b?versionId=null"] {
        assert_eq!(call(&api, "PUT", target, &copy, "").await.code(), "InvalidArgument", "{target}");
        assert_eq!(call(&api, "PUT", target, &[], "new").await.code(), "InvalidArgument", "{target}");
    }
    assert_eq!(call(&api, "DELETE", "/bucket/b?uploads", &[], "").await.code(), "InvalidArgument");
    assert_eq!(call(&api, "GET", "/bucket/b?uploads", &[], "").await.code(), "InvalidArgument");
    assert_eq!(call(&api, "GET", "/bucket/b", &[], "").await.body, "old");
    let own = "/bucket/b?x-request-of=me&x-amz-anything=1";
    assert_eq!(call(&api, "PUT", own, &[], "new").await.status, 200);
    assert_eq!(call(&api, "GET", own, &[], "").await.body, "new");
    assert_eq!(call(&api, "PUT", "/other?x-request-of=me", &[], "").await.status, 200);
    assert_eq!(call(&api, "DELETE", own, &[], "").await.status, 204);
    assert_eq!(call(&api, "DELETE", "/other?x-request-of=me", &[], "").await.status, 204);
}

#[tokio::test]
async fn names_with_control_characters_are_told_apart_in_xml() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "PUT", "/bucket/cr%0Dx", &[], "<Key>\r</Key>").await.status, 200);
    for target in ["/bucket?prefix=cr", "/bucket?list-type=2&prefix=cr", "/bucket?versions&prefix=cr"] {
        let listed = call(&api, "GET", target, &[], "").await.body;
        assert!(listed.contains("<Key>cr&#13;x</Key>") && !listed.contains('\r'), "{listed}");
    }
    let begun =
        call(&api, "POST", "/bucket/cr%0Dx?uploads", &[("content-type", "application/xml")], "").await;
    assert!(begun.body.contains("<Key>cr&#13;x</Key>"), "{}", begun.body);
    let uploads = call(&api, "GET", "/bucket?uploads", &[], "").await.body;
    assert!(uploads.contains("<Key>cr&#13;x</Key>"), "{uploads}");
    // The bytes of an object are not touched, whatever they are.
    let xml = [("content-type", "application/xml")];
    assert_eq!(call(&api, "PUT", "/bucket/xml", &xml, "<a>\r</a>").await.status, 200);
    assert_eq!(call(&api, "GET", "/bucket/xml?x-id=GetObject", &[], "").await.body, "<a>\r</a>");
    assert_eq!(
        call(&api, "GET", "/bucket/xml?response-cache-control=no-store", &[], "").await.body,
        "<a>\r</a>"
    );
    let delete = "<Delete><Object><Key>cr&#13;x</Key></Object></Delete>";
    let deleted = call(&api, "POST", "/bucket?delete", &[], delete).await.body;
    assert!(deleted.contains("<Key>cr&#13;x</Key></Deleted>"), "{deleted}");
    assert_eq!(call(&api, "GET", "/bucket/cr%0Dx", &[], "").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn times_are_whole_seconds_in_every_answer() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000_789)));
    let ambient = Ambient { clock, ..Ambient::system() };
    let buckets = Arc::new(NativeBuckets::in_memory(ambient).unwrap());
    let api = router(S3Api { buckets, ..s3_api() }).router;
    for target in ["/bucket", "/bucket/key"] {
        assert_eq!(call(&api, "PUT", target, &[], "").await.status, 200);
    }
    let copied = call(&api, "PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")], "").await.body;
    assert_eq!(call(&api, "POST", "/bucket/up?uploads", &[], "").await.status, 200);
    let mut answers = vec![copied];
    for target in ["/", "/bucket", "/bucket?list-type=2", "/bucket?versions", "/bucket?uploads"] {
        answers.push(call(&api, "GET", target, &[], "").await.body);
    }
    for answer in answers {
        assert!(answer.contains(">1970-01-01T00:16:40.000Z<"), "{answer}");
        assert!(!answer.contains("40.789"), "{answer}");
    }
}

#[tokio::test]
async fn a_copy_between_two_long_names_may_have_all_its_metadata() {
    let api = api_with_object().await;
    let (from, to) = ("%C3%BC".repeat(512), "%C3%A4".repeat(512));
    assert_eq!(call(&api, "PUT", &format!("/bucket/{from}"), &[], "x").await.status, 200);
    let source = format!("/bucket/{from}");
    let metadata = "v".repeat(2047);
    let headers = [
        ("x-amz-copy-source", source.as_str()),
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-a", metadata.as_str()),
    ];
    let copied = call(&api, "PUT", &format!("/bucket/{to}"), &headers, "").await;
    assert_eq!(copied.status, 200, "{}", copied.body);
    let head = call(&api, "HEAD", &format!("/bucket/{to}"), &[], "").await;
    assert_eq!(head.headers["x-amz-meta-a"].len(), 2047);
    let long = "v".repeat(9000);
    let refused = call(&api, "PUT", "/bucket/k", &[("x-amz-meta-a", long.as_str())], "").await;
    assert_eq!(refused.code(), "RequestHeaderSectionTooLarge");
}

#[tokio::test]
async fn a_completed_upload_tells_its_address_in_the_words_of_its_client() {
    let addressing = super::super::Addressing { domains: vec!["s3.test".to_owned()], ..Default::default() };
    let api = router(S3Api { addressing, ..s3_api() }).router;
    assert_eq!(call(&api, "PUT", "/bucket", &[], "").await.status, 200);
    let begun = call(&api, "POST", "/bucket/a%20b?uploads", &[], "").await.body;
    let id = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = call(&api, "PUT", &format!("/bucket/a%20b?partNumber=1&uploadId={id}"), &[], "x").await;
    let etag = part.headers["etag"].to_str().unwrap();
    let xml = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let target = format!("/bucket/a%20b?uploadId={id}");
    let signed = ADA.sign(
        "POST",
        &target,
        &[("content-length", &xml.len().to_string())],
        &sha256_hex(xml.as_bytes()),
        xml,
    );
    let mut request = signed.request;
    request.extensions_mut().insert(crate::serve::http::listener::OverTls);
    let completed = send(&api, request).await.body;
    assert!(completed.contains("<Location>https://s3.test/bucket/a%20b</Location>"), "{completed}");
}

#[tokio::test]
async fn an_object_takes_the_acl_that_it_has_anyway() {
    let api = api_with_object().await;
    let put = async |target: &str, acl: &str| {
        let answer = call(&api, "PUT", target, &[("x-amz-acl", acl)], "").await;
        if answer.status == 200 { String::new() } else { answer.code().to_owned() }
    };
    for acl in ["private", "bucket-owner-full-control"] {
        assert_eq!(put("/bucket/b", acl).await, "", "{acl}");
    }
    assert_eq!(put("/bucket/b", "public-read").await, "NotImplemented");
    assert_eq!(put("/bucket?acl", "public-read").await, "");
    for acl in ["private", "bucket-owner-full-control", "public-read"] {
        assert_eq!(put("/bucket/b", acl).await, "", "{acl} in a public bucket");
    }
    // Alone, it asks for a change that there is none of.
    assert_eq!(put("/bucket/b?acl", "private").await, "NotImplemented");
    assert_eq!(put("/bucket/b?acl", "public-read").await, "");
    assert_eq!(put("/bucket/b", "public-read-write").await, "NotImplemented");
}
