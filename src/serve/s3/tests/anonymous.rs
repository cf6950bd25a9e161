//! What callers may do who have no key, or a key of another account.

use super::*;
use crate::serve::s3::Addressing;

/// A request without a signature.
async fn anonymous(api: &Router, method: &str, target: &str) -> Answer {
    send(api, Request::builder().method(method).uri(target).body(Body::empty()).unwrap()).await
}

/// A request of an account that owns nothing.
async fn bob(api: &Router, method: &str, target: &str) -> Answer {
    send(api, BOB.sign(method, target, &[], &sha256_hex(b""), "").request).await
}

async fn publish(api: &Router) {
    let put = call(api, "PUT", "/bucket?acl", &[("x-amz-acl", "public-read")], "").await;
    assert_eq!(put.status, 200, "{}", put.body);
}

#[tokio::test]
async fn a_private_bucket_is_shut_and_a_missing_one_is_missing() {
    let api = api_with_object().await;
    for target in ["/bucket", "/bucket/a/key", "/bucket/none", "/bucket?acl"] {
        let answer = anonymous(&api, "GET", target).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{target}");
        // In another account's namespace there is no such bucket.
        assert_eq!(bob(&api, "GET", target).await.code(), "NoSuchBucket", "{target}");
    }
    assert_eq!(anonymous(&api, "GET", "/nowhere/k").await.code(), "NoSuchBucket");
    assert_eq!(anonymous(&api, "GET", "/").await.code(), "AccessDenied");
}

#[tokio::test]
async fn a_public_bucket_is_listed_and_read_by_everyone_and_changed_by_nobody_else() {
    let api = api_with_object().await;
    publish(&api).await;
    for (method, target) in [
        ("GET", "/bucket"),
        ("GET", "/bucket?list-type=2"),
        ("GET", "/bucket/a/key"),
        ("HEAD", "/bucket/a/key"),
    ] {
        assert_eq!(anonymous(&api, method, target).await.status, 200, "{method} {target}");
        // A bare name means no other account's bucket to a caller with a key.
        assert_eq!(bob(&api, method, target).await.status, 404, "{method} {target}");
    }
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.body, "0123456789");
    assert_eq!(anonymous(&api, "GET", "/bucket/none").await.code(), "NoSuchKey");
    for (method, target) in [
        ("PUT", "/bucket/a/key"),
        ("DELETE", "/bucket/a/key"),
        ("DELETE", "/bucket"),
        ("GET", "/bucket?acl"),
        ("GET", "/bucket?tagging"),
        ("GET", "/bucket?uploads"),
        ("GET", "/bucket/a/key?acl"),
        ("PUT", "/bucket?acl"),
    ] {
        let answer = anonymous(&api, method, target).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{method} {target}");
        assert_eq!(bob(&api, method, target).await.code(), "NoSuchBucket", "{method} {target}");
    }
    let private = call(&api, "PUT", "/bucket?acl", &[("x-amz-acl", "private")], "").await;
    assert_eq!(private.status, 200, "{}", private.body);
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.status, 403);
}

#[tokio::test]
async fn ones_own_bucket_comes_before_a_public_one_of_that_name() {
    let api = api_with_object().await;
    publish(&api).await;
    assert_eq!(bob(&api, "PUT", "/bucket").await.status, 200);
    assert_eq!(bob(&api, "GET", "/bucket/a/key").await.code(), "NoSuchKey");
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.status, 200);
}

#[tokio::test]
async fn acls_tell_the_truth_and_more_is_refused_by_name() {
    let api = api_with_object().await;
    let everyone = "http://acs.amazonaws.com/groups/global/AllUsers";
    for target in ["/bucket?acl", "/bucket/a/key?acl"] {
        let acl = call(&api, "GET", target, &[], "").await;
        assert!(
            acl.body.contains("<Permission>FULL_CONTROL<") && acl.body.contains("xsi:type=\"CanonicalUser\"")
        );
        assert!(!acl.body.contains(everyone), "{}", acl.body);
    }
    let refused = async |target: &str, acl: &str| {
        call(&api, "PUT", target, &[("x-amz-acl", acl)], "").await.code().to_owned()
    };
    assert_eq!(refused("/bucket?acl", "public-read-write").await, "NotImplemented");
    assert_eq!(refused("/bucket?acl", "public-ish").await, "InvalidArgument");
    assert_eq!(refused("/bucket/a/key?acl", "public-read").await, "NotImplemented");
    assert_eq!(refused("/bucket/new", "public-read").await, "NotImplemented");
    assert_eq!(call(&api, "HEAD", "/bucket/new", &[], "").await.status, 404);
    publish(&api).await;
    for target in ["/bucket?acl", "/bucket/a/key?acl"] {
        assert!(call(&api, "GET", target, &[], "").await.body.contains(everyone), "{target}");
    }
    // With an object, `private` is the default (`users::an_object_takes_the_acl_that_it_has_anyway`).
    assert_eq!(refused("/bucket/a/key?acl", "private").await, "NotImplemented");
    let status = call(&api, "GET", "/bucket?policyStatus", &[], "").await;
    assert!(status.body.contains(">true<") || status.body.contains(">TRUE<"), "{}", status.body);
}

#[tokio::test]
async fn grants_that_amount_to_a_canned_acl_are_taken() {
    let api = api_with_object().await;
    let policy = |grants: &str| -> &'static str {
        format!(
            "<AccessControlPolicy><Owner><ID>ada</ID></Owner><AccessControlList>{grants}</AccessControlList>\
             </AccessControlPolicy>"
        )
        .leak()
    };
    let grant = |kind: &str, who: &str, permission: &str| {
        format!(
            "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"{kind}\">{who}\
             </Grantee><Permission>{permission}</Permission></Grant>"
        )
    };
    let owner = grant("CanonicalUser", "<ID>ada</ID>", "FULL_CONTROL");
    let everyone = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>";
    let read = grant("Group", everyone, "READ");
    let put = call(&api, "PUT", "/bucket?acl", &[], policy(&format!("{owner}{read}"))).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.status, 200);
    assert_eq!(call(&api, "PUT", "/bucket?acl", &[], policy(&owner)).await.status, 200);
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.status, 403);
    let email = "<EmailAddress>x@example.org</EmailAddress>";
    for (more, code) in [
        (grant("Group", everyone, "WRITE"), "NotImplemented"),
        (grant("CanonicalUser", "<ID>bob</ID>", "READ"), "NotImplemented"),
        (grant("CanonicalUser", "<ID>nobody</ID>", "READ"), "InvalidArgument"),
        (grant("AmazonCustomerByEmail", email, "READ"), "UnresolvableGrantByEmailAddress"),
    ] {
        let put = call(&api, "PUT", "/bucket?acl", &[], policy(&format!("{owner}{more}"))).await;
        assert_eq!(put.code(), code);
    }
    assert_eq!(call(&api, "PUT", "/bucket?acl", &[], policy("")).await.code(), "NotImplemented");
}

#[tokio::test]
async fn a_public_access_block_keeps_a_bucket_private() {
    let api = api_with_object().await;
    let block = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
                 </PublicAccessBlockConfiguration>";
    assert_eq!(call(&api, "PUT", "/bucket?publicAccessBlock", &[], block).await.status, 200);
    for target in ["/bucket?acl", "/bucket/new"] {
        let put = call(&api, "PUT", target, &[("x-amz-acl", "public-read")], "").await;
        assert_eq!((put.status.as_u16(), put.code()), (403, "AccessDenied"), "{target}");
    }
    assert_eq!(anonymous(&api, "GET", "/bucket/a/key").await.status, 403);
}

#[tokio::test]
async fn a_path_may_begin_with_the_namespace() {
    let directory = Directory::new([credential(ADA, Permission::Admin, None)]).unwrap();
    let api = router(S3Api {
        buckets: Arc::new(NativeBuckets::in_memory(ambient()).unwrap()),
        directory: Arc::new(directory),
        clock: Ambient::system(),
        region: "us-east-1".to_owned(),
        by_access_key: ByAccessKey::default(),
        signature_v2: true,
        addressing: Addressing {
            namespaced: true,
            domains: vec!["s3.example".to_owned()],
            ..Addressing::default()
        },
    })
    .router;
    assert_eq!(call(&api, "PUT", "/ada/bucket", &[], "").await.status, 200);
    assert_eq!(call(&api, "PUT", "/ada/bucket/k", &[], "x").await.status, 200);
    assert_eq!(call(&api, "GET", "/ada/bucket/k", &[], "").await.body, "x");
    assert!(call(&api, "GET", "/ada", &[], "").await.body.contains("<Name>bucket</Name>"));
    assert_eq!(call(&api, "GET", "/bob/bucket/k", &[], "").await.code(), "NoSuchBucket");
}
