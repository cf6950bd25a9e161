//! Object lock, through the whole API.

use super::form::{policy, post_to, signature};
use super::*;

/// Its key may write, and is no admin's.
const WRITER: Signer = Signer { access_key: "AKWRITER", secret_key: "secret-of-writer", region: "us-east-1" };

const FAR: &str = "2999-01-01T00:00:00.000Z";
const FARTHER: &str = "2999-01-02T00:00:00.000Z";

/// A bucket with object lock.
async fn locked() -> Router {
    let mut api = s3_api();
    let credentials = [credential(ADA, Permission::Admin, None), credential(WRITER, Permission::Write, None)];
    api.directory = Arc::new(Directory::new(credentials).unwrap());
    let api = router(api).router;
    let created = call(&api, "PUT", "/bucket", &[("x-amz-bucket-object-lock-enabled", "true")], "").await;
    assert_eq!(created.status, 200, "{}", created.body);
    api
}

async fn call_as(
    signer: Signer,
    api: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    send(api, signer.sign(method, target, headers, &sha256_hex(b""), "").request).await
}

fn version_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.headers["x-amz-version-id"].to_str().unwrap().to_owned()
}

/// Writes an object with these headers; answers the target that names its version.
async fn put(api: &Router, target: &str, headers: &[(&str, &str)]) -> String {
    format!("{target}?versionId={}", version_of(&call(api, "PUT", target, headers, "locked").await))
}

fn retained<'a>(mode: &'a str, until: &'a str) -> [(&'a str, &'a str); 2] {
    [("x-amz-object-lock-mode", mode), ("x-amz-object-lock-retain-until-date", until)]
}

fn retention(mode: &str, until: &str) -> &'static str {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>").leak()
}

fn rule(inner: &str) -> &'static str {
    let rule = format!("<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>");
    format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    )
    .leak()
}

const BYPASS: [(&str, &str); 1] = [("x-amz-bypass-governance-retention", "true")];

#[tokio::test]
async fn a_locked_bucket_keeps_versions_and_goes_on_to() {
    let api = locked().await;
    let versioning = call(&api, "GET", "/bucket?versioning", &[], "").await.body;
    assert!(versioning.contains("<Status>Enabled</Status>"), "{versioning}");
    let suspend = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let refused = call(&api, "PUT", "/bucket?versioning", &[], suspend).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "InvalidBucketState"));
    let lock = call(&api, "GET", "/bucket?object-lock", &[], "").await.body;
    assert!(
        lock.contains("<ObjectLockEnabled>Enabled</ObjectLockEnabled>") && !lock.contains("Rule"),
        "{lock}"
    );
    let again = [("x-amz-bucket-object-lock-enabled", "true")];
    assert_eq!(call(&api, "PUT", "/bucket", &again, "").await.status, 200);
    assert_eq!(call(&api, "PUT", "/plain", &[], "").await.status, 200);
    assert_eq!(call(&api, "PUT", "/plain", &again, "").await.code(), "BucketAlreadyExists");
}

#[tokio::test]
async fn a_bucket_is_given_a_lock_once_it_keeps_versions() {
    let api = locked().await;
    assert_eq!(call(&api, "PUT", "/plain", &[], "").await.status, 200);
    let days = rule("<Mode>GOVERNANCE</Mode><Days>3</Days>");
    let early = call(&api, "PUT", "/plain?object-lock", &[], days).await;
    assert_eq!((early.status.as_u16(), early.code()), (409, "InvalidBucketState"));
    let enable = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(call(&api, "PUT", "/plain?versioning", &[], enable).await.status, 200);
    assert_eq!(call(&api, "PUT", "/plain?object-lock", &[], days).await.status, 200);
    let got = call(&api, "GET", "/plain?object-lock", &[], "").await.body;
    assert!(got.contains("<Mode>GOVERNANCE</Mode>") && got.contains("<Days>3</Days>"), "{got}");
    for (configuration, code) in [
        (rule("<Mode>governance</Mode><Days>1</Days>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidRetentionPeriod"),
        (rule("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidRetentionPeriod"),
        (rule("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidRetentionPeriod"),
        (
            "<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>",
            "MalformedXML",
        ),
    ] {
        let refused = call(&api, "PUT", "/plain?object-lock", &[], configuration).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{configuration}");
    }
}

#[tokio::test]
async fn a_retained_version_is_not_deleted() {
    let api = locked().await;
    for mode in ["GOVERNANCE", "COMPLIANCE"] {
        let target = put(&api, "/bucket/k", &retained(mode, FAR)).await;
        for method in ["GET", "HEAD"] {
            let shown = call(&api, method, "/bucket/k", &[], "").await;
            assert_eq!(shown.headers["x-amz-object-lock-mode"], mode);
            assert_eq!(shown.headers["x-amz-object-lock-retain-until-date"], FAR);
            assert_eq!(shown.headers.get("x-amz-object-lock-legal-hold"), None);
        }
        let refused = call(&api, "DELETE", &target, &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "AccessDenied"));
        assert!(refused.body.contains("object lock"), "{}", refused.body);
        // The bypass is an admin's: who may only write asks for it in vain.
        assert_eq!(call_as(WRITER, &api, "DELETE", &target, &BYPASS).await.status, 403);
        // To hide it is no deletion, and what hides it may go.
        let hidden = call(&api, "DELETE", "/bucket/k", &[], "").await;
        assert_eq!(hidden.status, 204);
        let marker = hidden.headers["x-amz-version-id"].to_str().unwrap();
        let marker = format!("/bucket/k?versionId={marker}");
        assert_eq!(call(&api, "DELETE", &marker, &[], "").await.status, 204);
        assert_eq!(call(&api, "GET", &target, &[], "").await.body, "locked");
        let bypassed = call(&api, "DELETE", &target, &BYPASS, "").await;
        assert_eq!(bypassed.status.as_u16(), if mode == "GOVERNANCE" { 204 } else { 403 });
    }
    assert_eq!(call(&api, "DELETE", "/bucket", &[], "").await.code(), "BucketNotEmpty");
}

#[tokio::test]
async fn a_retention_is_extended_and_made_laxer_by_admins_only() {
    let api = locked().await;
    let target = put(&api, "/bucket/k", &[]).await.replace('?', "?retention&");
    let none = call(&api, "GET", &target, &[], "").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "NoSuchObjectLockConfiguration"));
    let set = async |mode: &str, until: &str, headers: &[(&str, &str)]| {
        call(&api, "PUT", &target, headers, retention(mode, until)).await.status.as_u16()
    };
    assert_eq!(set("GOVERNANCE", FAR, &[]).await, 200);
    assert_eq!(set("GOVERNANCE", FARTHER, &[]).await, 200);
    let got = call(&api, "GET", &target, &[], "").await.body;
    assert!(got.contains("<Mode>GOVERNANCE</Mode><RetainUntilDate>2999-01-02T00:00:00"), "{got}");
    assert_eq!(set("GOVERNANCE", FAR, &[]).await, 403);
    assert_eq!(set("COMPLIANCE", FARTHER, &[]).await, 403);
    assert_eq!(set("GOVERNANCE", FAR, &BYPASS).await, 200);
    let ended = call(&api, "PUT", &target, &BYPASS, "<Retention/>").await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    assert_eq!(call(&api, "GET", &target, &[], "").await.status, 404);
    assert_eq!(set("COMPLIANCE", FAR, &[]).await, 200);
    assert_eq!(set("COMPLIANCE", FARTHER, &[]).await, 200);
    assert_eq!(set("COMPLIANCE", FAR, &BYPASS).await, 403);
    for (body, code) in [
        (retention("abc", FAR), "MalformedXML"),
        (retention("GOVERNANCE", "1999-01-01T00:00:00Z"), "InvalidArgument"),
        ("<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
    ] {
        let refused = call(&api, "PUT", &target, &[], body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, code), "{body}");
    }
}

#[tokio::test]
async fn a_legal_hold_is_lifted_and_never_bypassed() {
    let api = locked().await;
    let target = put(&api, "/bucket/k", &[("x-amz-object-lock-legal-hold", "ON")]).await;
    assert_eq!(call(&api, "HEAD", &target, &[], "").await.headers["x-amz-object-lock-legal-hold"], "ON");
    assert_eq!(call(&api, "DELETE", &target, &BYPASS, "").await.code(), "AccessDenied");
    let hold = target.replace('?', "?legal-hold&");
    assert!(call(&api, "GET", &hold, &[], "").await.body.contains("<Status>ON</Status>"));
    let off = "<LegalHold><Status>OFF</Status></LegalHold>";
    assert_eq!(call(&api, "PUT", &hold, &[], off).await.status, 200);
    assert!(call(&api, "GET", &hold, &[], "").await.body.contains("<Status>OFF</Status>"));
    let bad = "<LegalHold><Status>on</Status></LegalHold>";
    assert_eq!(call(&api, "PUT", &hold, &[], bad).await.code(), "MalformedXML");
    assert_eq!(call(&api, "DELETE", &target, &[], "").await.status, 204);
}

#[tokio::test]
async fn a_default_retention_holds_for_every_way_of_writing() {
    let api = locked().await;
    put(&api, "/bucket/before", &[]).await;
    let days = rule("<Mode>COMPLIANCE</Mode><Days>1</Days>");
    assert_eq!(call(&api, "PUT", "/bucket?object-lock", &[], days).await.status, 200);
    put(&api, "/bucket/put", &[]).await;
    put(&api, "/bucket/own", &retained("GOVERNANCE", FAR)).await;
    version_of(&call(&api, "PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/own")], "").await);
    complete(&api, "/bucket/parts", &[]).await;
    complete(&api, "/bucket/own-parts", &retained("GOVERNANCE", FAR)).await;
    let policy = policy(
        r#"{"bucket": "bucket"}, ["starts-with", "$key", ""], ["starts-with", "$x-amz-object-lock-legal-hold", ""]"#,
    );
    let signed = signature(ADA.secret_key, &policy);
    let fields = [
        ("key", "form"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("AWSAccessKeyId", ADA.access_key),
        ("signature", &signed),
        ("policy", &policy),
    ];
    let posted = post_to(&api, "/bucket", &fields, "by form").await;
    assert_eq!(posted.status, 204, "{}", posted.body);
    // The clock stands at 1,000 seconds.
    let tomorrow = "1970-01-02T00:16:40.000Z";
    for (key, mode, until, hold) in [
        ("before", None, None, None),
        ("put", Some("COMPLIANCE"), Some(tomorrow), None),
        ("own", Some("GOVERNANCE"), Some(FAR), None),
        ("copy", Some("COMPLIANCE"), Some(tomorrow), None),
        ("parts", Some("COMPLIANCE"), Some(tomorrow), None),
        ("own-parts", Some("GOVERNANCE"), Some(FAR), None),
        ("form", Some("COMPLIANCE"), Some(tomorrow), Some("ON")),
    ] {
        let shown = call(&api, "HEAD", &format!("/bucket/{key}"), &[], "").await;
        let header = |name: &str| shown.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-amz-object-lock-mode"), mode, "{key}");
        assert_eq!(header("x-amz-object-lock-retain-until-date"), until, "{key}");
        assert_eq!(header("x-amz-object-lock-legal-hold"), hold, "{key}");
    }
}

/// Uploads an object in one part.
async fn complete(api: &Router, target: &str, headers: &[(&str, &str)]) {
    let between = |xml: &str, open: &str, close: &str| -> String {
        xml.split_once(open).unwrap().1.split_once(close).unwrap().0.to_owned()
    };
    let begun = call(api, "POST", &format!("{target}?uploads"), headers, "").await;
    let id = between(&begun.body, "<UploadId>", "</UploadId>");
    let part = call(api, "PUT", &format!("{target}?partNumber=1&uploadId={id}"), &[], "part").await;
    let etag = part.headers["etag"].to_str().unwrap();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    version_of(&call(api, "POST", &format!("{target}?uploadId={id}"), &[], list.leak()).await);
}

#[tokio::test]
async fn without_object_lock_a_bucket_takes_no_locks() {
    let api = api_with_object().await;
    let until = retained("GOVERNANCE", FAR);
    let hold = [("x-amz-object-lock-legal-hold", "ON")];
    let copy = [("x-amz-copy-source", "/bucket/a/key"), until[0], until[1]];
    for (method, target, headers, body) in [
        ("PUT", "/bucket/k", &until[..], "x"),
        ("PUT", "/bucket/k", &hold, "x"),
        ("PUT", "/bucket/k", &copy, ""),
        ("POST", "/bucket/k?uploads", &until, ""),
        ("GET", "/bucket/a/key?retention", &[], ""),
        ("GET", "/bucket/a/key?legal-hold", &[], ""),
        ("PUT", "/bucket/a/key?retention", &[], retention("GOVERNANCE", FAR)),
        ("PUT", "/bucket/a/key?legal-hold", &[], "<LegalHold><Status>ON</Status></LegalHold>"),
    ] {
        let refused = call(&api, method, target, headers, body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "InvalidRequest"), "{method} {target}");
    }
    assert_eq!(call(&api, "HEAD", "/bucket/k", &[], "").await.status, 404);
    for headers in [&until[..1], &until[1..], &[("x-amz-object-lock-legal-hold", "on")]] {
        assert_eq!(call(&api, "PUT", "/bucket/k", headers, "x").await.code(), "InvalidArgument");
    }
}

#[tokio::test]
async fn of_many_those_that_are_locked_stay() {
    let api = locked().await;
    let locked = put(&api, "/bucket/locked", &retained("GOVERNANCE", FAR)).await;
    let free = put(&api, "/bucket/free", &[]).await;
    let one = |target: &str| {
        let (key, version) = target.strip_prefix("/bucket/").unwrap().split_once("?versionId=").unwrap();
        format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>")
    };
    let delete: &'static str = format!("<Delete>{}{}</Delete>", one(&locked), one(&free)).leak();
    let answer = call(&api, "POST", "/bucket?delete", &[], delete).await.body;
    assert!(answer.contains("<Code>AccessDenied</Code>") && answer.contains("<Key>free</Key>"), "{answer}");
    assert_eq!(call(&api, "HEAD", &locked, &[], "").await.status, 200);
    let answer = call(&api, "POST", "/bucket?delete", &BYPASS, delete).await.body;
    assert!(!answer.contains("<Code>"), "{answer}");
    assert_eq!(call(&api, "HEAD", &locked, &[], "").await.status, 404);
}
