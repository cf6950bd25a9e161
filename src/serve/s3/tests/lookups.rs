//! How often a request looks its bucket up, and what happens if that fails.

use super::watched::Watched;
use super::*;

async fn watched_door() -> (Arc<Watched>, Router) {
    let buckets = Watched::new();
    let door = router(S3Door { buckets: Arc::clone(&buckets) as _, ..s3_door() }).router;
    assert_eq!(call(&door, "PUT", "/bucket", &[], "").await.status, 200);
    assert_eq!(call(&door, "PUT", "/bucket/key", &[], "0123456789").await.status, 200);
    buckets.take_calls();
    (buckets, door)
}

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                    </CORSRule></CORSConfiguration>";

async fn preflight(door: &Router, target: &str) -> Answer {
    let request = Request::builder().method("OPTIONS").uri(target).header("host", "s3.test");
    let request = request.header("origin", "https://page.example");
    let request = request.header("access-control-request-method", "GET");
    send(door, request.body(Body::empty()).unwrap()).await
}

/// A preflight that could not be looked up was once answered as if there were no such bucket, which a browser may keep.
#[tokio::test]
async fn only_a_bucket_that_is_not_there_is_answered_as_not_found() {
    let (buckets, door) = watched_door().await;
    assert_eq!(call(&door, "PUT", "/bucket?cors", &[], CORS).await.status, 200);
    assert_eq!(preflight(&door, "/bucket/key").await.status, 200);
    assert_eq!(preflight(&door, "/nowhere/key").await.code(), "AccessForbidden");
    for failing in ["buckets_named", "bucket_settings"] {
        buckets.fail(Some(failing));
        let answer = preflight(&door, "/bucket/key").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"), "{failing}");
    }
    buckets.fail(Some("bucket"));
    for (method, target) in [("GET", "/bucket"), ("PUT", "/bucket/key"), ("GET", "/bucket?acl")] {
        let answer = call(&door, method, target, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"), "{method} {target}");
    }
}
