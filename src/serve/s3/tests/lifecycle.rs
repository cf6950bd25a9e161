//! Lifecycle rules through the whole API: how they are given and come back, and what answers say of them.

use super::*;

fn rules(rules: &str) -> &'static str {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>").leak()
}

/// A rule with this in it.
fn rule(inner: &str) -> &'static str {
    rules(&format!("<Rule>{inner}<Status>Enabled</Status></Rule>"))
}

async fn put(api: &Router, body: &'static str) -> Answer {
    call(api, "PUT", "/bucket?lifecycle", &[], body).await
}

async fn given(api: &Router) -> Answer {
    call(api, "GET", "/bucket?lifecycle", &[], "").await
}

#[tokio::test]
async fn rules_come_back_as_they_were_given() {
    let api = api_with_object().await;
    assert_eq!(given(&api).await.code(), "NoSuchLifecycleConfiguration");
    assert_eq!(call(&api, "DELETE", "/bucket?lifecycle", &[], "").await.status, 204);
    for inner in [
        "<Expiration><Days>3</Days></Expiration><ID>r</ID><Prefix>a/</Prefix>",
        "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration><Filter></Filter><ID>r</ID>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
         <Filter><Prefix></Prefix></Filter><ID>r &amp; s</ID>\
         <NoncurrentVersionExpiration><NewerNoncurrentVersions>5</NewerNoncurrentVersions>\
         <NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration>",
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
         <Filter><Prefix>x</Prefix></Filter><ID>r</ID>",
        "<Expiration><Days>3</Days></Expiration><Filter><And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>\
         <ObjectSizeLessThan>50</ObjectSizeLessThan><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
         <Tag><Key>l</Key><Value></Value></Tag></And></Filter><ID>r</ID>",
        "<Expiration><Days>3</Days></Expiration><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><ID>r</ID>",
    ] {
        let answer = put(&api, rule(inner)).await;
        assert_eq!(answer.status, 200, "{inner}: {}", answer.body);
        let got = given(&api).await;
        assert_eq!(got.headers["x-amz-transition-default-minimum-object-size"], "all_storage_classes_128K");
        assert!(got.body.contains(&format!("<Rule>{inner}<Status>Enabled</Status></Rule>")), "{}", got.body);
    }
    let minimum = [("x-amz-transition-default-minimum-object-size", "varies_by_storage_class")];
    let two = "<Rule><Expiration><Days>1</Days></Expiration><Prefix>a</Prefix><Status>Enabled</Status></Rule>\
               <Rule><Expiration><Days>2</Days></Expiration><Prefix>b</Prefix><Status>Disabled</Status></Rule>";
    assert_eq!(call(&api, "PUT", "/bucket?lifecycle", &minimum, rules(two)).await.status, 200);
    let got = given(&api).await;
    assert_eq!(got.headers["x-amz-transition-default-minimum-object-size"], "varies_by_storage_class");
    assert_eq!(got.body.matches("<ID>").count(), 2, "names are given to rules without: {}", got.body);
    assert!(got.body.contains("<Status>Disabled</Status>"));
    assert_eq!(call(&api, "DELETE", "/bucket?lifecycle", &[], "").await.status, 204);
    assert_eq!(given(&api).await.code(), "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn several_conditions_of_a_filter_are_taken_together() {
    let api = api_with_object().await;
    let several = "<Expiration><Days>3</Days></Expiration><Filter><Prefix>a/</Prefix>\
                   <Tag><Key>k</Key><Value>v</Value></Tag><And><Prefix>a</Prefix>\
                   <Tag><Key>l</Key><Value>w</Value></Tag></And></Filter><ID>r</ID>";
    assert_eq!(put(&api, rule(several)).await.status, 200);
    let body = given(&api).await.body;
    let and = "<Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
               <Tag><Key>l</Key><Value>w</Value></Tag></And></Filter>";
    assert!(body.contains(and), "{body}");
    let apart = several.replace("<And><Prefix>a</Prefix>", "<And><Prefix>b</Prefix>");
    assert_eq!(put(&api, rule(&apart)).await.code(), "MalformedXML");
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_change_nothing() {
    let api = api_with_object().await;
    let days = "<Expiration><Days>3</Days></Expiration>";
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>";
    let tagged = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
    let all = "<Filter></Filter>";
    let kept = format!("{days}{all}<ID>kept</ID>");
    assert_eq!(put(&api, rule(&kept)).await.status, 200);
    for (inner, status, code) in [
        (format!("{days}<ID>r</ID>"), 400, "MalformedXML"),
        (format!("{days}{all}<Prefix>a</Prefix>"), 400, "InvalidRequest"),
        (format!("{all}<ID>r</ID>"), 400, "InvalidRequest"),
        (format!("{all}<Expiration><Days>0</Days></Expiration>"), 400, "InvalidArgument"),
        (format!("{all}<Expiration><Days>-1</Days></Expiration>"), 400, "InvalidArgument"),
        (format!("{all}<Expiration></Expiration>"), 400, "MalformedXML"),
        (
            format!("{all}<Expiration><Date>2030-01-01T00:00:00Z</Date><Days>1</Days></Expiration>"),
            400,
            "MalformedXML",
        ),
        (format!("{all}<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>"), 400, "InvalidArgument"),
        (format!("{all}<Expiration><Date>20300101</Date></Expiration>"), 400, "MalformedXML"),
        (
            format!(
                "{all}<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            ),
            400,
            "MalformedXML",
        ),
        (
            format!(
                "{tagged}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            ),
            400,
            "InvalidRequest",
        ),
        (format!("{tagged}{abort}"), 400, "InvalidRequest"),
        (
            format!("<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>{abort}"),
            400,
            "InvalidRequest",
        ),
        (format!("{all}{days}<ID>{}</ID>", "i".repeat(256)), 400, "InvalidArgument"),
        (
            format!(
                "{all}<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"
            ),
            400,
            "InvalidArgument",
        ),
        (
            format!(
                "{all}<NoncurrentVersionExpiration><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            ),
            400,
            "MalformedXML",
        ),
        (
            format!("{all}<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>"),
            501,
            "NotImplemented",
        ),
        (
            format!(
                "{all}<NoncurrentVersionTransition><NoncurrentDays>30</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"
            ),
            501,
            "NotImplemented",
        ),
    ] {
        let answer = put(&api, rule(&inner)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{inner}: {}", answer.body);
    }
    let same = format!("<Rule>{days}{all}<ID>r</ID><Status>Enabled</Status></Rule>").repeat(2);
    assert_eq!(put(&api, rules(&same)).await.code(), "InvalidArgument");
    let status = format!("<Rule>{days}{all}<Status>enabled</Status></Rule>");
    assert_eq!(put(&api, rules(&status)).await.code(), "MalformedXML");
    assert_eq!(put(&api, rules("")).await.code(), "MalformedXML");
    let minimum = [("x-amz-transition-default-minimum-object-size", "some")];
    let refused = call(&api, "PUT", "/bucket?lifecycle", &minimum, rule(&kept)).await;
    assert_eq!(refused.code(), "InvalidArgument");
    assert!(given(&api).await.body.contains("<ID>kept</ID>"));
    let reader = READER.sign("PUT", "/bucket?lifecycle", &[], &sha256_hex(b""), "");
    assert_eq!(send(&api, reader.request).await.status, 403);
}

/// The buckets' clock stands at 1,000 seconds: a day later, the next midnight is the third day's first.
const EXPIRES: &str = "expiry-date=\"Sat, 03 Jan 1970 00:00:00 GMT\", rule-id=\"a%20rule\"";

#[tokio::test]
async fn answers_about_an_object_say_when_it_expires() {
    let api = api_with_object().await;
    let expiring =
        "<Expiration><Days>1</Days></Expiration><Filter><Prefix>a/</Prefix></Filter><ID>a rule</ID>";
    assert_eq!(put(&api, rule(expiring)).await.status, 200);
    for (method, target, headers) in [
        ("PUT", "/bucket/a/key", &[][..]),
        ("GET", "/bucket/a/key", &[]),
        ("HEAD", "/bucket/a/key", &[]),
        ("GET", "/bucket/a/key", &[("range", "bytes=1-2")]),
        ("PUT", "/bucket/a/copy", &[("x-amz-copy-source", "/bucket/a/key")]),
    ] {
        let body = if method == "PUT" && headers.is_empty() { "0123456789" } else { "" };
        let answer = call(&api, method, target, headers, body).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        assert_eq!(answer.headers["x-amz-expiration"], EXPIRES, "{method} {target}");
    }
    let other = call(&api, "PUT", "/bucket/other", &[], "0").await;
    assert_eq!(other.headers.get("x-amz-expiration"), None);
    assert_eq!(call(&api, "DELETE", "/bucket?lifecycle", &[], "").await.status, 204);
    let got = call(&api, "GET", "/bucket/a/key", &[], "").await;
    assert_eq!(got.headers.get("x-amz-expiration"), None);
}

#[tokio::test]
async fn answers_about_an_upload_say_when_it_is_aborted() {
    let api = api_with_object().await;
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload><Filter><Prefix>a/</Prefix></Filter><ID>abort</ID>";
    assert_eq!(put(&api, rule(abort)).await.status, 200);
    let begun = call(&api, "POST", "/bucket/a/new?uploads", &[], "").await;
    let id = begun.body.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once("</UploadId>"));
    let parts = format!("/bucket/a/new?uploadId={}", id.unwrap().0);
    let listed = call(&api, "GET", &parts, &[], "").await;
    for answer in [begun, listed] {
        assert_eq!(answer.headers["x-amz-abort-date"], "Sat, 03 Jan 1970 00:00:00 GMT");
        assert_eq!(answer.headers["x-amz-abort-rule-id"], "abort");
    }
    let begun = call(&api, "POST", "/bucket/b?uploads", &[], "").await;
    assert_eq!(begun.headers.get("x-amz-abort-date"), None);
}
