//! Uploads by form, through the whole API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const CONDITIONS: &str = r#"{"bucket": "bucket"}, ["starts-with", "$key", "up/"], {"acl": "private"},
    ["starts-with", "$Content-Type", "text/"], ["starts-with", "$x-amz-meta-a", ""], ["starts-with", "$tagging", ""],
    ["starts-with", "$success_action_status", ""], ["starts-with", "$success_action_redirect", ""],
    ["content-length-range", 2, 20]"#;

/// A policy that holds for an hour.
pub(super) fn policy(conditions: &str) -> String {
    policy_until(3600, conditions)
}

/// A policy that ends this many seconds from now.
fn policy_until(secs: u64, conditions: &str) -> String {
    let end = Timestamp(Ambient::system().clock.now().0 + secs * 1000);
    let end = time::OffsetDateTime::from(std::time::SystemTime::from(end));
    let end = end.format(&time::format_description::well_known::Rfc3339).unwrap();
    STANDARD.encode(format!(r#"{{"expiration": "{end}", "conditions": [{conditions}]}}"#))
}

/// Version 2: HMAC-SHA1 of the policy.
pub(super) fn signature(secret: &str, policy: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(policy.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// The fields that differ, the file, and the answer.
type Refused<'a> = (&'a [(&'a str, Option<&'a str>)], &'a str, (u16, &'a str));

async fn post(api: &Router, fields: &[(&str, &str)], file: &str) -> Answer {
    post_to(api, "/bucket", fields, file).await
}

pub(super) async fn post_to(api: &Router, target: &str, fields: &[(&str, &str)], file: &str) -> Answer {
    let mut body = String::new();
    for (name, value) in fields {
        body = [body, format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")]
            .concat();
    }
    body += "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\x\\n.txt\"\r\n";
    body = [body, format!("Content-Type: text/plain\r\n\r\n{file}\r\n--B--\r\n")].concat();
    let request = Request::builder().method("POST").uri(target).header("host", "h");
    let request = request.header("content-type", "multipart/form-data; boundary=B");
    send(api, request.body(Body::from(body)).unwrap()).await
}

/// The fields of a form that is signed as it should be, but for `changes`: another value, or none.
fn signed<'a>(
    policy: &'a str,
    signature: &'a str,
    changes: &[(&'a str, Option<&'a str>)],
) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("key", "up/${filename}"),
        ("AWSAccessKeyId", ADA.access_key),
        ("acl", "private"),
        ("policy", policy),
        ("signature", signature),
        ("Content-Type", "text/plain"),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    fields
}

async fn attempt(api: &Router, changes: &[(&str, Option<&str>)], file: &str) -> (u16, String) {
    let policy = policy(CONDITIONS);
    let signature = signature(ADA.secret_key, &policy);
    let answer = post(api, &signed(&policy, &signature, changes), file).await;
    let code = if answer.status.is_success() { String::new() } else { answer.code().to_owned() };
    (answer.status.as_u16(), code)
}

#[tokio::test]
async fn a_signed_form_stores_its_file_with_what_its_fields_say() {
    let api = api_with_object().await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let more = [("x-amz-meta-a", Some("b")), ("tagging", Some(tags)), ("x-ignore-this", Some("1"))];
    assert_eq!(attempt(&api, &more, "content").await, (204, String::new()));
    let got = call(&api, "GET", "/bucket/up/n.txt", &[], "").await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (200, "content"));
    for (name, value) in [("content-type", "text/plain"), ("x-amz-meta-a", "b"), ("x-amz-tagging-count", "1")]
    {
        assert_eq!(got.headers[name], value);
    }
}

#[tokio::test]
async fn a_form_is_answered_as_it_wants() {
    let api = api_with_object().await;
    let policy = policy(CONDITIONS);
    let signature = signature(ADA.secret_key, &policy);
    let answer =
        async |name, value| post(&api, &signed(&policy, &signature, &[(name, Some(value))]), "content").await;
    let created = answer("success_action_status", "201").await;
    assert_eq!(created.status, 201);
    assert!(created.body.contains("<Key>up/n.txt</Key>"), "{}", created.body);
    assert_eq!(answer("success_action_status", "200").await.status, 200);
    assert_eq!(answer("success_action_status", "404").await.status, 204);
    let redirected = answer("success_action_redirect", "http://h/done?x=1").await;
    assert_eq!(redirected.status, 303);
    let location = redirected.headers["location"].to_str().unwrap();
    assert!(location.starts_with("http://h/done?x=1&bucket=bucket&key=up%2Fn.txt&etag=%22"), "{location}");
}

#[tokio::test]
async fn a_form_that_its_policy_does_not_allow_stores_nothing() {
    let api = api_with_object().await;
    let refused: [Refused; 10] = [
        (&[("signature", Some("AAAA"))], "file", (403, "SignatureDoesNotMatch")),
        (&[("AWSAccessKeyId", Some("AKNOBODY"))], "file", (403, "InvalidAccessKeyId")),
        (&[("signature", None)], "file", (400, "InvalidArgument")),
        (&[("key", Some("down/x"))], "file", (403, "AccessDenied")),
        (&[("key", None)], "file", (403, "AccessDenied")),
        (&[("x-amz-meta-b", Some("not covered"))], "file", (403, "AccessDenied")),
        (&[("Content-Type", Some("image/png"))], "file", (403, "AccessDenied")),
        (&[], "1", (400, "EntityTooSmall")),
        (&[], "123456789012345678901", (400, "EntityTooLarge")),
        (&[("policy", None), ("signature", None)], "file", (403, "AccessDenied")),
    ];
    for (changes, file, (status, code)) in refused {
        assert_eq!(attempt(&api, changes, file).await, (status, code.to_owned()), "{changes:?}");
    }
    assert_eq!(call(&api, "HEAD", "/bucket/up/n.txt", &[], "").await.status, 404);
    let long = "x".repeat(21 << 10);
    assert_eq!(
        attempt(&api, &[("x-amz-meta-a", Some(&long))], "f").await.1,
        "MaxPostPreDataLengthExceededError"
    );
}

#[tokio::test]
async fn a_form_is_held_to_its_signers_permission_and_the_checksums_it_names() {
    let api = api_with_object().await;
    let policy = policy(CONDITIONS);
    let by_reader = signature(READER.secret_key, &policy);
    let fields = signed(&policy, &by_reader, &[("AWSAccessKeyId", Some(READER.access_key))]);
    assert_eq!(post(&api, &fields, "file").await.code(), "AccessDenied");
    let sum = |value| [("x-amz-checksum-crc32", Some(value))];
    assert_eq!(attempt(&api, &sum("AAAAAA=="), "file").await.0, 400);
    let right = STANDARD.encode(0x8c9f_3610_u32.to_be_bytes());
    assert_eq!(attempt(&api, &sum(&right), "file").await.0, 204);
}

#[tokio::test]
async fn a_form_of_version_2_holds_for_a_week_at_most_and_can_be_turned_off() {
    let week = 7 * 24 * 3600;
    let status = async |api: &Router, secs| {
        let policy = policy_until(secs, CONDITIONS);
        let signature = signature(ADA.secret_key, &policy);
        post(api, &signed(&policy, &signature, &[]), "content").await.status.as_u16()
    };
    let api = api_with_object().await;
    assert_eq!(status(&api, week).await, 204);
    assert_eq!(status(&api, week + 3600).await, 403);
    let api = router(S3Api { signature_v2: false, ..s3_api() }).router;
    call(&api, "PUT", "/bucket", &[], "").await;
    assert_eq!(status(&api, 3600).await, 400);
}
