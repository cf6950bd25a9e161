//! Tags, CORS, public access blocks and what buckets do not have, through the whole API.

use super::*;

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example</AllowedOrigin>\
                    <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
                    <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>etag</ExposeHeader>\
                    <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>";

fn tagging(pairs: &[(&str, &str)]) -> &'static str {
    let tags = pairs.iter().map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"));
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", tags.collect::<String>()).leak()
}

/// An unsigned request, as a browser's.
async fn browse(api: &Router, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(api, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_objects_tags_change_without_its_content() {
    let api = api_with_object().await;
    let before = call(&api, "HEAD", "/bucket/a/key", &[], "").await;
    let put = call(&api, "PUT", "/bucket/a/key?tagging", &[], tagging(&[("a", "1"), ("b", "")])).await;
    assert_eq!(put.status, 200, "{}", put.body);
    let got = call(&api, "GET", "/bucket/a/key?tagging", &[], "").await;
    assert!(got.body.contains("<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key>"), "{}", got.body);
    for method in ["GET", "HEAD"] {
        let seen = call(&api, method, "/bucket/a/key", &[], "").await;
        assert_eq!(seen.headers["x-amz-tagging-count"], "2");
        for kept in ["etag", "last-modified", "x-amz-meta-colour", "content-type"] {
            assert_eq!(seen.headers[kept], before.headers[kept]);
        }
    }
    let gone = call(&api, "DELETE", "/bucket/a/key?tagging", &[], "").await;
    assert_eq!(gone.status, 204);
    let seen = call(&api, "GET", "/bucket/a/key", &[], "").await;
    assert_eq!(seen.headers.get("x-amz-tagging-count"), None);
    assert_eq!(seen.body, "0123456789");
    let missing = call(&api, "PUT", "/bucket/none?tagging", &[], tagging(&[])).await;
    assert_eq!(missing.code(), "NoSuchKey");
}

#[tokio::test]
async fn tags_beyond_the_limits_are_refused_and_change_nothing() {
    let api = api_with_object().await;
    let key = "k".repeat(129);
    for bad in [&[("a", "1"), ("a", "2")][..], &[(key.as_str(), "")], &[("aws:a", "1")], &[("", "1")]] {
        let put = call(&api, "PUT", "/bucket/a/key?tagging", &[], tagging(bad)).await;
        assert_eq!((put.status.as_u16(), put.code()), (400, "InvalidTag"));
    }
    let cut = call(&api, "PUT", "/bucket/a/key?tagging", &[], "<Tagging><TagSet>").await;
    assert_eq!(cut.code(), "MalformedXML");
    let got = call(&api, "GET", "/bucket/a/key?tagging", &[], "").await;
    assert!(!got.body.contains("<Tag>"), "{}", got.body);
}

#[tokio::test]
async fn a_bucket_has_tags_of_its_own() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "GET", "/bucket?tagging", &[], "").await.code(), "NoSuchTagSet");
    let put = call(&api, "PUT", "/bucket?tagging", &[], tagging(&[("team", "ünë")])).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert!(call(&api, "GET", "/bucket?tagging", &[], "").await.body.contains("<Value>ünë</Value>"));
    assert_eq!(call(&api, "DELETE", "/bucket?tagging", &[], "").await.status, 204);
    assert_eq!(call(&api, "GET", "/bucket?tagging", &[], "").await.code(), "NoSuchTagSet");
    assert_eq!(call(&api, "GET", "/none?tagging", &[], "").await.code(), "NoSuchBucket");
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_signature() {
    let api = api_with_object().await;
    let asks = |origin, method| [("origin", origin), ("access-control-request-method", method)];
    let preflight = async |headers: &[(&str, &str)]| browse(&api, "OPTIONS", "/bucket/a/key", headers).await;
    assert_eq!(preflight(&asks("https://a.example", "GET")).await.code(), "AccessForbidden");
    assert_eq!(call(&api, "PUT", "/bucket?cors", &[], CORS).await.status, 200);

    let granted = preflight(&asks("https://a.example", "PUT")).await;
    assert_eq!((granted.status.as_u16(), granted.body.as_str()), (200, ""));
    assert_eq!(granted.headers["access-control-allow-origin"], "https://a.example");
    assert_eq!(granted.headers["access-control-allow-methods"], "GET, PUT");
    assert_eq!(granted.headers["access-control-max-age"], "60");
    for (origin, method) in [("https://a.other", "GET"), ("https://a.example", "DELETE")] {
        let refused = preflight(&asks(origin, method)).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "AccessForbidden"));
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(preflight(&[]).await.code(), "BadRequest");
    assert_eq!(preflight(&[("origin", "https://a.example")]).await.status, 400);

    assert_eq!(call(&api, "DELETE", "/bucket?cors", &[], "").await.status, 204);
    assert_eq!(preflight(&asks("https://a.example", "GET")).await.status, 403);
    assert_eq!(call(&api, "GET", "/bucket?cors", &[], "").await.code(), "NoSuchCORSConfiguration");
}

#[tokio::test]
async fn every_answer_to_an_origin_carries_what_its_rule_grants() {
    let api = api_with_object().await;
    assert_eq!(call(&api, "PUT", "/bucket?cors", &[], CORS).await.status, 200);
    let origin = [("origin", "https://a.example")];
    for (target, status) in [("/bucket/a/key", 200), ("/bucket/none", 404)] {
        let answer = call(&api, "GET", target, &origin, "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["access-control-allow-origin"], "https://a.example");
        assert_eq!(answer.headers["access-control-expose-headers"], "etag");
        assert!(answer.headers["vary"].to_str().unwrap().contains("Origin"));
    }
    let unsigned = browse(&api, "GET", "/bucket/a/key", &origin).await;
    assert_eq!((unsigned.status.as_u16(), unsigned.code()), (403, "AccessDenied"));
    assert_eq!(unsigned.headers["access-control-allow-origin"], "https://a.example");
    let other = call(&api, "GET", "/bucket/a/key", &[("origin", "https://else")], "").await;
    assert_eq!(other.headers.get("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_buckets_do_not_have_is_answered_as_absent_and_cannot_be_set() {
    let api = api_with_object().await;
    let absent = [
        ("policy", "NoSuchBucketPolicy"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ];
    for (what, code) in absent {
        let got = call(&api, "GET", &format!("/bucket?{what}"), &[], "").await;
        assert_eq!((got.status.as_u16(), got.code()), (404, code));
        assert_eq!(call(&api, "GET", &format!("/none?{what}"), &[], "").await.code(), "NoSuchBucket");
    }
    for what in ["versioning", "logging", "notification", "accelerate"] {
        assert_eq!(call(&api, "GET", &format!("/bucket?{what}"), &[], "").await.status, 200, "{what}");
    }
    for what in ["policy", "encryption", "website", "replication", "logging"] {
        let put = call(&api, "PUT", &format!("/bucket?{what}"), &[], "<X/>").await;
        assert_eq!((put.status.as_u16(), put.code()), (501, "NotImplemented"), "{what}");
    }
    for what in ["policy", "lifecycle", "encryption", "website", "replication"] {
        assert_eq!(call(&api, "DELETE", &format!("/bucket?{what}"), &[], "").await.status, 204, "{what}");
    }
    for what in ["retention", "legal-hold"] {
        let got = call(&api, "GET", &format!("/bucket/a/key?{what}"), &[], "").await;
        assert_eq!((got.status.as_u16(), got.code()), (400, "InvalidRequest"));
    }
}

#[tokio::test]
async fn a_public_access_block_is_kept_and_ownership_is_the_buckets() {
    let api = api_with_object().await;
    let got = call(&api, "GET", "/bucket?publicAccessBlock", &[], "").await;
    assert_eq!(got.code(), "NoSuchPublicAccessBlockConfiguration");
    let block = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
                 </PublicAccessBlockConfiguration>";
    assert_eq!(call(&api, "PUT", "/bucket?publicAccessBlock", &[], block).await.status, 200);
    let got = call(&api, "GET", "/bucket?publicAccessBlock", &[], "").await;
    assert!(got.body.contains("<BlockPublicAcls>true<") && got.body.contains("<IgnorePublicAcls>false<"));
    assert_eq!(call(&api, "DELETE", "/bucket?publicAccessBlock", &[], "").await.status, 204);

    let owned = call(&api, "GET", "/bucket?ownershipControls", &[], "").await;
    assert!(owned.body.contains("<ObjectOwnership>BucketOwnerEnforced<"), "{}", owned.body);
    let rule = |ownership: &str| -> &'static str {
        format!("<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>")
            .leak()
    };
    for (ownership, status) in [("BucketOwnerEnforced", 200), ("ObjectWriter", 501), ("Nobody", 400)] {
        let put = call(&api, "PUT", "/bucket?ownershipControls", &[], rule(ownership)).await;
        assert_eq!(put.status, status, "{ownership}: {}", put.body);
    }
    let status = call(&api, "GET", "/bucket?policyStatus", &[], "").await;
    assert!(status.body.to_ascii_lowercase().contains("<ispublic>false<"), "{}", status.body);
}
