//! Versions, through the whole API.

use super::form::{policy, post_to, signature};
use super::*;

const ENABLED: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const SUSPENDED: &str = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";

const VERSION: &str = "x-amz-version-id";
const MARKER: &str = "x-amz-delete-marker";

/// A bucket with an object from before it kept versions.
async fn versioned() -> Router {
    let api = api_with_object().await;
    set(&api, ENABLED).await;
    api
}

async fn set(api: &Router, configuration: &'static str) {
    let put = call(api, "PUT", "/bucket?versioning", &[], configuration).await;
    assert_eq!(put.status, 200, "{}", put.body);
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

/// Writes an object; answers its version.
async fn put(api: &Router, target: &str, body: &'static str) -> String {
    let put = call(api, "PUT", target, &[], body).await;
    assert_eq!(put.status, 200, "{}", put.body);
    header(&put, VERSION).unwrap().to_owned()
}

/// The texts of all elements of this name.
fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap()).collect()
}

async fn get(api: &Router, target: &str) -> (u16, String) {
    let got = call(api, "GET", target, &[], "").await;
    (got.status.as_u16(), got.body)
}

#[tokio::test]
async fn a_bucket_that_never_kept_versions_tells_of_none() {
    let api = api_with_object().await;
    assert!(!get(&api, "/bucket?versioning").await.1.contains("Status"));
    for (method, target) in [
        ("GET", "/bucket/a/key"),
        ("HEAD", "/bucket/a/key?versionId=null"),
        ("PUT", "/bucket/a/key"),
        ("DELETE", "/bucket/a/key"),
        ("DELETE", "/bucket/a/key?versionId=null"),
        ("DELETE", "/bucket/none"),
    ] {
        let answer = call(&api, method, target, &[], "").await;
        assert!(answer.status.is_success(), "{method} {target}: {}", answer.body);
        assert_eq!((header(&answer, VERSION), header(&answer, MARKER)), (None, None), "{method} {target}");
    }
}

#[tokio::test]
async fn versioning_is_enabled_and_suspended_and_nothing_else() {
    let api = versioned().await;
    assert!(get(&api, "/bucket?versioning").await.1.contains("<Status>Enabled</Status>"));
    set(&api, SUSPENDED).await;
    assert!(get(&api, "/bucket?versioning").await.1.contains("<Status>Suspended</Status>"));
    for (configuration, status, code) in [
        ("<Status>Off</Status>", 400, "MalformedXML"),
        ("", 400, "IllegalVersioningConfigurationException"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", 501, "NotImplemented"),
    ] {
        let xml = format!("<VersioningConfiguration>{configuration}</VersioningConfiguration>").leak();
        let put = call(&api, "PUT", "/bucket?versioning", &[], xml).await;
        assert_eq!((put.status.as_u16(), put.code()), (status, code), "{configuration}");
    }
    let without = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>\
                   </VersioningConfiguration>";
    set(&api, without).await;
}

#[tokio::test]
async fn every_version_is_read_by_its_id() {
    let api = versioned().await;
    let first = put(&api, "/bucket/a/key", "first").await;
    let second = put(&api, "/bucket/a/key", "second").await;
    for (version, body) in [(&first[..], "first"), (&second[..], "second"), ("null", "0123456789")] {
        for method in ["GET", "HEAD"] {
            let target = format!("/bucket/a/key?versionId={version}");
            let got = call(&api, method, &target, &[], "").await;
            assert_eq!((got.status.as_u16(), header(&got, VERSION)), (200, Some(version)));
            assert_eq!(got.body, if method == "GET" { body } else { "" });
        }
        let attributes = [("x-amz-object-attributes", "ObjectSize")];
        let target = format!("/bucket/a/key?attributes&versionId={version}");
        let got = call(&api, "GET", &target, &attributes, "").await;
        assert_eq!(header(&got, VERSION), Some(version));
        assert!(got.body.contains(&format!("<ObjectSize>{}<", body.len())), "{}", got.body);
        let ranged = [("range", "bytes=1-2")];
        let target = format!("/bucket/a/key?versionId={version}");
        assert_eq!(call(&api, "GET", &target, &ranged, "").await.body, body[1..3]);
    }
    assert_eq!(call(&api, "GET", "/bucket/a/key", &[], "").await.body, "second");
    let unknown = format!("{}A", &first[..21]);
    let unknown = if unknown == first { format!("{}Q", &first[..21]) } else { unknown };
    for (version, status, code) in [
        (unknown.as_str(), 404, "NoSuchVersion"),
        ("nonsense", 400, "InvalidArgument"),
        ("", 400, "InvalidArgument"),
    ] {
        let got = call(&api, "GET", &format!("/bucket/a/key?versionId={version}"), &[], "").await;
        assert_eq!((got.status.as_u16(), got.code()), (status, code), "{version}");
        let of_none = call(&api, "GET", &format!("/bucket/none?versionId={version}"), &[], "").await;
        assert_eq!((of_none.status.as_u16(), of_none.code()), (status, code), "{version}");
    }
}

#[tokio::test]
async fn a_delete_marker_hides_and_is_no_object() {
    let api = versioned().await;
    let first = put(&api, "/bucket/k", "first").await;
    let deleted = call(&api, "DELETE", "/bucket/k", &[], "").await;
    assert_eq!((deleted.status.as_u16(), header(&deleted, MARKER)), (204, Some("true")));
    let marker = header(&deleted, VERSION).unwrap().to_owned();
    for method in ["GET", "HEAD"] {
        let gone = call(&api, method, "/bucket/k", &[], "").await;
        assert_eq!((gone.status.as_u16(), header(&gone, MARKER)), (404, Some("true")));
        assert_eq!(header(&gone, VERSION), Some(marker.as_str()));
        let named = call(&api, method, &format!("/bucket/k?versionId={marker}"), &[], "").await;
        assert_eq!((named.status.as_u16(), header(&named, MARKER)), (405, Some("true")));
        assert_eq!(header(&named, "allow"), Some("DELETE"));
        assert_eq!(header(&named, "last-modified"), Some("Thu, 01 Jan 1970 00:16:40 GMT"));
    }
    assert_eq!(call(&api, "GET", "/bucket/k", &[], "").await.code(), "NoSuchKey");
    assert_eq!(header(&call(&api, "GET", "/bucket/none", &[], "").await, MARKER), None);
    assert!(!get(&api, "/bucket?list-type=2").await.1.contains("<Key>k</Key>"));
    for (method, what, body) in [("GET", "tagging", ""), ("GET", "acl", ""), ("DELETE", "tagging", "")] {
        let named = call(&api, method, &format!("/bucket/k?{what}&versionId={marker}"), &[], body).await;
        assert_eq!((named.status.as_u16(), named.code()), (405, "MethodNotAllowed"), "{method} {what}");
        let current = call(&api, method, &format!("/bucket/k?{what}"), &[], body).await;
        assert_eq!((current.status.as_u16(), current.code()), (404, "NoSuchKey"), "{method} {what}");
    }
    // To delete the marker undoes the delete.
    let undone = call(&api, "DELETE", &format!("/bucket/k?versionId={marker}"), &[], "").await;
    assert_eq!((undone.status.as_u16(), header(&undone, MARKER)), (204, Some("true")));
    assert_eq!(header(&undone, VERSION), Some(marker.as_str()));
    assert_eq!(get(&api, "/bucket/k").await, (200, "first".to_owned()));
    let removed = call(&api, "DELETE", &format!("/bucket/k?versionId={first}"), &[], "").await;
    assert_eq!((header(&removed, MARKER), header(&removed, VERSION)), (None, Some(first.as_str())));
    assert_eq!(get(&api, "/bucket/k").await.0, 404);
    assert!(!get(&api, "/bucket?versions").await.1.contains("<Key>k</Key>"));
    let bad = call(&api, "DELETE", "/bucket/k?versionId=nonsense", &[], "").await;
    assert_eq!((bad.status.as_u16(), bad.code()), (400, "InvalidArgument"));
}

#[tokio::test]
async fn a_suspended_bucket_keeps_one_version_without_an_id() {
    let api = versioned().await;
    let first = put(&api, "/bucket/k", "first").await;
    set(&api, SUSPENDED).await;
    for body in ["second", "third"] {
        let put = call(&api, "PUT", "/bucket/k", &[], body).await;
        assert_eq!((put.status.as_u16(), header(&put, VERSION)), (200, None));
    }
    assert_eq!(header(&call(&api, "GET", "/bucket/k", &[], "").await, VERSION), Some("null"));
    let deleted = call(&api, "DELETE", "/bucket/k", &[], "").await;
    assert_eq!((header(&deleted, VERSION), header(&deleted, MARKER)), (Some("null"), Some("true")));
    let listed = get(&api, "/bucket?versions&prefix=k").await.1;
    assert_eq!(all(&listed, "VersionId"), ["null", &first]);
    assert_eq!(get(&api, &format!("/bucket/k?versionId={first}")).await.1, "first");
}

#[tokio::test]
async fn many_are_deleted_by_key_and_by_version() {
    let api = versioned().await;
    let first = put(&api, "/bucket/k", "first").await;
    let delete = |objects: &str| -> &'static str { format!("<Delete>{objects}</Delete>").leak() };
    let by_key = delete("<Object><Key>k</Key></Object><Object><Key>none</Key></Object>");
    let deleted = call(&api, "POST", "/bucket?delete", &[], by_key).await.body;
    assert_eq!(all(&deleted, "DeleteMarker"), ["true", "true"]);
    let markers = all(&deleted, "DeleteMarkerVersionId");
    assert_eq!((markers.len(), all(&deleted, "VersionId").len()), (2, 0));
    let one = |key: &str, version: &str| {
        format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>")
    };
    let versions = [one("k", markers[0]), one("k", &first), one("k", &first), one("k", "nonsense")];
    let deleted = call(&api, "POST", "/bucket?delete", &[], delete(&versions.concat())).await.body;
    assert_eq!(all(&deleted, "Deleted").len(), 3, "{deleted}");
    assert_eq!(all(&deleted, "DeleteMarkerVersionId"), [markers[0]]);
    assert_eq!(all(&deleted, "Code"), ["NoSuchVersion"]);
    assert_eq!(all(&get(&api, "/bucket?versions").await.1, "Key"), ["a/key", "none"]);
}

#[tokio::test]
async fn versions_are_listed_in_one_order_and_in_pages() {
    let api = versioned().await;
    let first = put(&api, "/bucket/b", "first").await;
    let marker = call(&api, "DELETE", "/bucket/b", &[], "").await;
    let marker = header(&marker, VERSION).unwrap();
    let second = put(&api, "/bucket/b", "second").await;
    put(&api, "/bucket/c/1", "c").await;
    let listed = get(&api, "/bucket?versions").await.1;
    assert_eq!(all(&listed, "Key"), ["a/key", "b", "b", "b", "c/1"]);
    assert_eq!(all(&listed, "VersionId")[..4], ["null", &second, marker, &first]);
    assert_eq!(all(&listed, "IsLatest"), ["true", "true", "false", "false", "true"]);
    assert_eq!(all(&listed, "ID"), ["ada"; 5]);
    let kinds =
        [listed.find("<DeleteMarker>").unwrap(), listed.find(&second).unwrap(), listed.find(&first).unwrap()];
    assert!(kinds[1] < kinds[0] && kinds[0] < kinds[2], "{listed}");
    for size in 1..=5 {
        let (mut keys, mut target) = (Vec::new(), format!("/bucket?versions&max-keys={size}"));
        loop {
            let page = get(&api, &target).await.1;
            keys.extend(all(&page, "VersionId").into_iter().map(ToOwned::to_owned));
            assert!(all(&page, "Key").len() <= size);
            let Some(next) = all(&page, "NextKeyMarker").first().copied() else { break };
            assert_eq!(all(&page, "IsTruncated"), ["true"]);
            let version = all(&page, "NextVersionIdMarker")[0];
            let next = next.replace('/', "%2F");
            target =
                format!("/bucket?versions&max-keys={size}&key-marker={next}&version-id-marker={version}");
        }
        assert_eq!(keys, all(&listed, "VersionId"), "pages of {size}");
    }
    let rolled = get(&api, "/bucket?versions&delimiter=%2F&encoding-type=url").await.1;
    assert_eq!((all(&rolled, "Key"), all(&rolled, "EncodingType")), (vec!["b"; 3], vec!["url"]));
    assert_eq!(rolled.matches("<CommonPrefixes>").count(), 2, "{rolled}");
    let after = get(&api, "/bucket?versions&key-marker=b").await.1;
    assert_eq!(all(&after, "Key"), ["c/1"]);
    for (query, code) in [
        ("version-id-marker=null", "InvalidArgument"),
        ("key-marker=b&version-id-marker=nonsense", "InvalidArgument"),
        ("max-keys=-1", "InvalidArgument"),
    ] {
        assert_eq!(call(&api, "GET", &format!("/bucket?versions&{query}"), &[], "").await.code(), code);
    }
    assert_eq!(all(&get(&api, "/bucket?versions&max-keys=0").await.1, "IsTruncated"), ["false"]);
}

#[tokio::test]
async fn a_version_is_copied_and_each_answer_names_both() {
    let api = versioned().await;
    let first = put(&api, "/bucket/k", "first").await;
    let second = put(&api, "/bucket/k", "second").await;
    let from = |version: &str| format!("/bucket/k?versionId={version}");
    let copied = call(&api, "PUT", "/bucket/copy", &[("x-amz-copy-source", &from(&first))], "").await;
    assert_eq!(copied.status, 200, "{}", copied.body);
    assert_eq!(header(&copied, "x-amz-copy-source-version-id"), Some(first.as_str()));
    let made = header(&copied, VERSION).unwrap();
    assert_eq!(get(&api, &format!("/bucket/copy?versionId={made}")).await.1, "first");
    // An old version becomes current again.
    let restored = call(&api, "PUT", "/bucket/k", &[("x-amz-copy-source", &from(&first))], "").await;
    assert_eq!(restored.status, 200, "{}", restored.body);
    assert_eq!(get(&api, "/bucket/k").await.1, "first");
    let current = call(&api, "PUT", "/bucket/c", &[("x-amz-copy-source", "/bucket/k")], "").await;
    assert_eq!(header(&current, "x-amz-copy-source-version-id"), header(&restored, VERSION));

    let begun = call(&api, "POST", "/bucket/parts?uploads", &[], "").await.body;
    let upload = all(&begun, "UploadId")[0];
    let target = format!("/bucket/parts?partNumber=1&uploadId={upload}");
    let part = call(&api, "PUT", &target, &[("x-amz-copy-source", &from(&second))], "").await;
    assert_eq!(header(&part, "x-amz-copy-source-version-id"), Some(second.as_str()));
    let etag = all(&part.body, "ETag")[0];
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let target = format!("/bucket/parts?uploadId={upload}");
    let completed = call(&api, "POST", &target, &[], list.leak()).await;
    assert_eq!(completed.status, 200, "{}", completed.body);
    let version = header(&completed, VERSION).unwrap();
    assert_eq!(get(&api, &format!("/bucket/parts?versionId={version}")).await.1, "second");

    let deleted = call(&api, "DELETE", "/bucket/k", &[], "").await;
    let marker = header(&deleted, VERSION).unwrap();
    for (source, status, code) in [
        ("/bucket/k".to_owned(), 404, "NoSuchKey"),
        (from(marker), 400, "InvalidRequest"),
        (from("nonsense"), 400, "InvalidArgument"),
    ] {
        let refused = call(&api, "PUT", "/bucket/copy", &[("x-amz-copy-source", &source)], "").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (status, code), "{source}");
        let target = format!("/bucket/parts?partNumber=1&uploadId={upload}");
        let refused = call(&api, "PUT", &target, &[("x-amz-copy-source", &source)], "").await;
        assert!(refused.status.is_client_error(), "{source}");
    }
}

#[tokio::test]
async fn tags_belong_to_a_version() {
    let api = versioned().await;
    let first = put(&api, "/bucket/k", "first").await;
    let second = put(&api, "/bucket/k", "second").await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let of = |version: &str| format!("/bucket/k?tagging&versionId={version}");
    let tagged = call(&api, "PUT", &of(&first), &[], tags).await;
    assert_eq!((tagged.status.as_u16(), header(&tagged, VERSION)), (200, Some(first.as_str())));
    let got = call(&api, "GET", &of(&first), &[], "").await;
    assert_eq!((all(&got.body, "Value"), header(&got, VERSION)), (vec!["1"], Some(first.as_str())));
    let current = call(&api, "GET", "/bucket/k?tagging", &[], "").await;
    assert_eq!((all(&current.body, "Value").len(), header(&current, VERSION)), (0, Some(second.as_str())));
    assert_eq!(header(&call(&api, "DELETE", &of(&first), &[], "").await, VERSION), Some(first.as_str()));
    assert!(!call(&api, "GET", &of(&first), &[], "").await.body.contains("<Tag>"));
    for acl in [of(&first).replace("tagging", "acl"), "/bucket/k?acl".to_owned()] {
        assert_eq!(call(&api, "GET", &acl, &[], "").await.status, 200);
    }
}

#[tokio::test]
async fn conditions_look_at_the_current_version() {
    let api = versioned().await;
    put(&api, "/bucket/k", "first").await;
    let etag = header(&call(&api, "HEAD", "/bucket/k", &[], "").await, "etag").unwrap().to_owned();
    put(&api, "/bucket/k", "second").await;
    let stale = call(&api, "PUT", "/bucket/k", &[("if-match", &etag)], "third").await;
    assert_eq!((stale.status.as_u16(), stale.code()), (412, "PreconditionFailed"));
    assert_eq!(call(&api, "PUT", "/bucket/k", &[("if-none-match", "*")], "third").await.status, 412);
    assert_eq!(call(&api, "DELETE", "/bucket/k", &[("if-match", &etag)], "").await.status, 412);
    call(&api, "DELETE", "/bucket/k", &[], "").await;
    assert_eq!(call(&api, "PUT", "/bucket/k", &[("if-match", &etag)], "third").await.status, 404);
    assert_eq!(call(&api, "PUT", "/bucket/k", &[("if-none-match", "*")], "third").await.status, 200);
}

#[tokio::test]
async fn a_bucket_with_versions_or_markers_is_not_deleted() {
    let api = versioned().await;
    call(&api, "DELETE", "/bucket/a/key", &[], "").await;
    let listed = get(&api, "/bucket?versions").await.1;
    let versions = all(&listed, "VersionId");
    assert_eq!(versions.len(), 2);
    for version in versions {
        let refused = call(&api, "DELETE", "/bucket", &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "BucketNotEmpty"));
        let target = format!("/bucket/a/key?versionId={version}");
        assert_eq!(call(&api, "DELETE", &target, &[], "").await.status, 204);
    }
    assert_eq!(call(&api, "DELETE", "/bucket", &[], "").await.status, 204);
}

#[tokio::test]
async fn an_upload_by_form_answers_its_version() {
    let api = versioned().await;
    let policy = policy(r#"{"bucket": "bucket"}, ["starts-with", "$key", ""]"#);
    let signed = signature(ADA.secret_key, &policy);
    let fields =
        [("key", "k"), ("AWSAccessKeyId", ADA.access_key), ("signature", &signed), ("policy", &policy)];
    let posted = post_to(&api, "/bucket", &fields, "by form").await;
    assert_eq!(posted.status, 204, "{}", posted.body);
    let version = header(&posted, VERSION).unwrap();
    assert_eq!(get(&api, &format!("/bucket/k?versionId={version}")).await, (200, "by form".to_owned()));
}
