//! How often a request looks its bucket up, and what happens if that fails.

use super::watched::Watched;
use super::*;

async fn watched_api() -> (Arc<Watched>, Router) {
    let buckets = Watched::new();
    let api = router(S3Api { buckets: Arc::clone(&buckets) as _, ..s3_api() }).router;
    assert_eq!(call(&api, "PUT", "/bucket", &[], "").await.status, 200);
    assert_eq!(call(&api, "PUT", "/bucket/key", &[], "0123456789").await.status, 200);
    buckets.take_calls();
    (buckets, api)
}

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                    </CORSRule></CORSConfiguration>";

async fn preflight(api: &Router, target: &str) -> Answer {
    let request = Request::builder().method("OPTIONS").uri(target).header("host", "s3.test");
    let request = request.header("origin", "https://page.example");
    let request = request.header("access-control-request-method", "GET");
    send(api, request.body(Body::empty()).unwrap()).await
}

/// A preflight that could not be looked up was once answered as if there were no such bucket, which a browser may keep.
#[tokio::test]
async fn only_a_bucket_that_is_not_there_is_answered_as_not_found() {
    let (buckets, api) = watched_api().await;
    assert_eq!(call(&api, "PUT", "/bucket?cors", &[], CORS).await.status, 200);
    assert_eq!(preflight(&api, "/bucket/key").await.status, 200);
    assert_eq!(preflight(&api, "/nowhere/key").await.code(), "AccessForbidden");
    for failing in ["buckets_named", "bucket_settings"] {
        buckets.fail(Some(failing));
        let answer = preflight(&api, "/bucket/key").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"), "{failing}");
    }
    buckets.fail(Some("bucket"));
    for (method, target) in [("GET", "/bucket"), ("PUT", "/bucket/key"), ("GET", "/bucket?acl")] {
        let answer = call(&api, method, target, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"), "{method} {target}");
    }
}

/// Each look-up is a request to the Hub in hub mode.
#[tokio::test]
async fn a_request_looks_its_bucket_up_once() {
    let (buckets, api) = watched_api().await;
    let times = |calls: &[&str]| calls.iter().filter(|call| **call == "bucket").count();
    for (method, target, body) in [
        ("PUT", "/bucket/key", "abc"),
        ("PUT", "/bucket/key?tagging", "<Tagging><TagSet/></Tagging>"),
        ("GET", "/bucket/key?tagging", ""),
        ("GET", "/bucket/key?acl", ""),
        ("DELETE", "/bucket/key", ""),
        ("POST", "/bucket/key?uploads", ""),
        ("POST", "/bucket?delete", "<Delete><Object><Key>key</Key></Object></Delete>"),
        ("HEAD", "/bucket", ""),
        ("GET", "/bucket", ""),
        ("GET", "/bucket?max-keys=0", ""),
        ("GET", "/bucket?uploads&max-uploads=0", ""),
        ("GET", "/bucket?acl", ""),
        ("PUT", "/bucket?cors", CORS),
        ("GET", "/bucket?location", ""),
        ("GET", "/bucket?versioning", ""),
        ("GET", "/bucket?policyStatus", ""),
        ("DELETE", "/bucket", ""),
    ] {
        let answer = call(&api, method, target, &[], body).await;
        let calls = buckets.take_calls();
        assert!(answer.status.is_success(), "{method} {target}: {}", answer.body);
        assert_eq!(times(&calls), 1, "{method} {target}: {calls:?}");
    }
    assert_eq!(call(&api, "PUT", "/bucket", &[], "").await.status, 200);
    assert_eq!(times(&buckets.take_calls()), 0, "a new bucket is looked up by its creation");
}

/// The copy's source is a bucket of its own.
#[tokio::test]
async fn a_copy_looks_up_its_target_and_its_source() {
    let (buckets, api) = watched_api().await;
    let copied = call(&api, "PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")], "").await;
    assert_eq!(copied.status, 200, "{}", copied.body);
    let calls = buckets.take_calls();
    assert_eq!(calls, ["bucket", "bucket", "copy"]);
}

#[tokio::test]
async fn the_slash_behind_the_bucket_may_be_encoded() {
    let (_, api) = watched_api().await;
    assert_eq!(call(&api, "GET", "/bucket/key", &[], "").await.body, "0123456789");
    let encoded = ADA.presign("GET", "/bucket%2Fkey", "");
    let request = Request::builder().uri(encoded).header("host", "s3.test").body(Body::empty()).unwrap();
    let answer = send(&api, request).await;
    // Signatures are made over the path as S3 writes it, so that this one does not hold.
    assert_eq!(answer.code(), "SignatureDoesNotMatch");
    let anonymous = Request::builder().uri("/bucket%2Fkey").header("host", "s3.test");
    let answer = send(&api, anonymous.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"));
}
