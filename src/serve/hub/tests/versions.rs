//! Buckets that keep versions: this API sees what is current, and makes versions like any other.

use super::*;
use crate::bucket::{BucketChange, LockChange, ObjectRef, VersionQuery, Versioning};

async fn versioned() -> House {
    let house = House::with_files(&["k", "other"]).await;
    let enable = BucketChange::Versioning(Versioning::Enabled);
    house.buckets.change_bucket(&ada("b"), enable).await.unwrap();
    house
}

#[tokio::test]
async fn a_batch_makes_versions_and_shows_none() {
    let house = versioned().await;
    let key = ObjectKey::new("k").unwrap();
    let before = house.buckets.object(&ada("b"), ObjectRef::current(&key)).await.unwrap();
    let other = ObjectKey::new("other").unwrap();
    let other = house.buckets.object(&ada("b"), ObjectRef::current(&other)).await.unwrap().file;
    let lines = format!(
        "{{\"type\":\"addFile\",\"path\":\"k\",\"xetHash\":\"{other}\"}}\n{{\"type\":\"deleteFile\",\"path\":\"other\"}}"
    );
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", lines).await.status, 200);
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/k").await.body, "content of other");
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/other").await.refusal(), (404, "EntryNotFound"));
    assert_eq!(house.paths().await, ["k"]);
    let old = ObjectRef { key: &key, version: Some(before.version.into()) };
    assert_eq!(house.buckets.object(&ada("b"), old).await.unwrap().file, before.file);
    let query = VersionQuery { limit: 10, ..VersionQuery::default() };
    assert_eq!(house.buckets.list_versions(&ada("b"), &query).await.unwrap().versions.len(), 4);
    let info = house.get(ADA, "/api/buckets/ada/b").await.json();
    assert_eq!((&info["totalFiles"], &info["size"]), (&1.into(), &16.into()));
    let versions = &info["versions"];
    assert_eq!(
        (&versions["totalFiles"], &versions["size"], &versions["deleteMarkers"]),
        (&2.into(), &28.into(), &1.into())
    );
    let plain = House::with_files(&["k"]).await.get(ADA, "/api/buckets/ada/b").await.json();
    assert_eq!(plain.get("versions"), None);
}

#[tokio::test]
async fn a_bucket_with_locked_versions_is_not_deleted() {
    let house = versioned().await;
    let lock = BucketChange::ObjectLock(crate::bucket::BucketLock::default());
    house.buckets.change_bucket(&ada("b"), lock).await.unwrap();
    let key = ObjectKey::new("k").unwrap();
    let hold = async |is_on| {
        let named = ObjectRef { key: &key, version: Some(crate::bucket::VersionRef::Null) };
        house.buckets.lock_object(&ada("b"), named, LockChange::LegalHold(is_on)).await.unwrap();
    };
    hold(true).await;
    let delete = r#"{"type":"deleteFile","path":"k"}"#;
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", delete).await.status, 200);
    let refused = house.call(ADA, "DELETE", "/api/buckets/ada/b", "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("x-error-message").contains("locked"), "{}", refused.header("x-error-message"));
    let moved = r#"{"fromRepo":"ada/b","toRepo":"ada/c","type":"bucket"}"#;
    assert_eq!(house.call(ADA, "POST", "/api/repos/move", moved).await.status, 200);
    assert_eq!(house.call(ADA, "DELETE", "/api/buckets/ada/c", "").await.status, 403);
    let back = r#"{"fromRepo":"ada/c","toRepo":"ada/b","type":"bucket"}"#;
    assert_eq!(house.call(ADA, "POST", "/api/repos/move", back).await.status, 200);
    hold(false).await;
    assert_eq!(house.call(ADA, "DELETE", "/api/buckets/ada/b", "").await.status, 204);
}

/// The versions of a listing, as type, path and whether it is the current one.
fn listed(lines: &Value) -> Vec<(&str, &str, bool)> {
    fn text<'l>(line: &'l Value, name: &str) -> &'l str {
        line[name].as_str().unwrap()
    }
    let lines = lines.as_array().unwrap().iter();
    lines.map(|line| (text(line, "type"), text(line, "path"), line["isLatest"].as_bool().unwrap())).collect()
}

/// A bucket with two versions of `k`, and a deleted `other`.
async fn changed() -> House {
    let house = versioned().await;
    house.put("k", "a new content of k").await;
    let delete = r#"{"type":"deleteFile","path":"other"}"#;
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", delete).await.status, 200);
    house
}

#[tokio::test]
async fn versions_are_listed_in_pages() {
    let house = changed().await;
    let all = house.get(ADA, "/api/buckets/ada/b/versions").await.json();
    let expected = [
        ("file", "k", true),
        ("file", "k", false),
        ("deleteMarker", "other", true),
        ("file", "other", false),
    ];
    assert_eq!(listed(&all), expected);
    assert_eq!((&all[1]["versionId"], &all[1]["size"]), (&"null".into(), &12.into()));
    assert!(all[0]["xetHash"].is_string() && all[0]["uploadedAt"].is_string(), "{all}");
    assert_eq!((&all[2]["size"], all[2].get("xetHash")), (&0.into(), None));
    let (mut found, mut path) = (Vec::new(), "/api/buckets/ada/b/versions?limit=1".to_owned());
    for page in 0..4 {
        let answer = house.get(ADA, &path).await;
        found.extend(answer.json().as_array().unwrap().clone());
        match answer.headers.get("link") {
            None => assert_eq!(page, 3),
            Some(link) => {
                let link = link.to_str().unwrap();
                path = link.split_once("://").unwrap().1.split_once('/').unwrap().1.to_owned();
                path = format!("/{}", path.split_once('>').unwrap().0);
            }
        }
    }
    assert_eq!(Value::from(found), all);
    let prefixed = house.get(ADA, "/api/buckets/ada/b/versions?prefix=o").await.json();
    assert_eq!(listed(&prefixed), expected[2..]);
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=!/k"] {
        let refused = house.get(ADA, &format!("/api/buckets/ada/b/versions?{bad}")).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_history_tells_what_each_version_takes() {
    let house = changed().await;
    house.put("k", "content of k").await;
    let history = house.get(ADA, "/api/buckets/ada/b/versions/k").await.json();
    assert_eq!(history["isWhole"], true);
    let versions = history["versions"].as_array().unwrap();
    let numbers = |name: &str| versions.iter().map(|line| line[name].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers("size"), [12, 18, 12]);
    let (added, own) = (numbers("addedBytes"), numbers("ownBytes"));
    assert_eq!(added[0], 0, "its content was there: {history}");
    assert!(added[1] >= 18 && added[2] >= 12, "{history}");
    assert_eq!(own, [0, added[1], 0], "the first and the last share what they have");
    let deleted = house.get(ADA, "/api/buckets/ada/b/versions/other").await.json();
    assert_eq!(deleted["versions"][0]["ownBytes"], 0);
    let longer = house.get(ADA, "/api/buckets/ada/b/versions/oth").await;
    assert_eq!(longer.refusal(), (404, "EntryNotFound"), "names count, not their beginnings");
}

#[tokio::test]
async fn a_version_comes_back_and_none_is_lost() {
    let house = changed().await;
    let restore = async |path: &str, version: &str| {
        let body = format!(r#"{{"path":"{path}","versionId":"{version}"}}"#);
        house.call(ADA, "POST", "/api/buckets/ada/b/restore", body).await
    };
    let restored = restore("k", "null").await.json();
    assert_eq!(restored["isNew"], true);
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/k").await.body, "content of k");
    let versions = house.get(ADA, "/api/buckets/ada/b/versions/k").await.json()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 3);
    assert_eq!(versions[0]["versionId"], restored["versionId"]);
    let again = restore("k", restored["versionId"].as_str().unwrap()).await.json();
    assert_eq!((&again["isNew"], &again["versionId"]), (&false.into(), &restored["versionId"]));
    let lines = house.get(ADA, "/api/buckets/ada/b/versions/other").await.json()["versions"].clone();
    let marker = restore("other", lines[0]["versionId"].as_str().unwrap()).await;
    assert_eq!(marker.status, 400);
    assert!(marker.header("x-error-message").contains("delete marker"));
    assert_eq!(restore("other", "null").await.status, 200);
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/other").await.body, "content of other");
    for (path, version, status) in [("none", "null", 404), ("k", "nonsense", 400), ("", "null", 400)] {
        assert_eq!(restore(path, version).await.status, status, "{path:?} {version}");
    }
}

#[tokio::test]
async fn a_version_is_removed_for_good_unless_it_is_locked() {
    let house = changed().await;
    let marker = house.get(ADA, "/api/buckets/ada/b/versions/other").await.json()["versions"][0].clone();
    let of_marker =
        format!("/api/buckets/ada/b/versions/other?versionId={}", marker["versionId"].as_str().unwrap());
    assert_eq!(house.call(ADA, "DELETE", &of_marker, "").await.status, 204);
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/other").await.body, "content of other");
    assert_eq!(house.call(ADA, "DELETE", &of_marker, "").await.refusal(), (404, "EntryNotFound"));
    let lock = BucketChange::ObjectLock(crate::bucket::BucketLock::default());
    house.buckets.change_bucket(&ada("b"), lock).await.unwrap();
    let key = ObjectKey::new("k").unwrap();
    let old = ObjectRef { key: &key, version: Some(crate::bucket::VersionRef::Null) };
    house.buckets.lock_object(&ada("b"), old, LockChange::LegalHold(true)).await.unwrap();
    let of_old = "/api/buckets/ada/b/versions/k?versionId=null";
    let refused = house.call(ADA, "DELETE", of_old, "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.header("x-error-message").contains("locked"));
    assert_eq!(
        house.get(ADA, "/api/buckets/ada/b/versions/k").await.json()["versions"][1]["legalHold"],
        true
    );
    for (path, status) in [("k", 400), ("k?versionId=nonsense", 400)] {
        let path = format!("/api/buckets/ada/b/versions/{path}");
        assert_eq!(house.call(ADA, "DELETE", &path, "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn whoever_may_read_sees_versions_and_whoever_may_write_changes_them() {
    let house = changed().await;
    let calls = [
        ("GET", "/api/buckets/ada/b/versions", "", true),
        ("GET", "/api/buckets/ada/b/versions/k", "", true),
        ("POST", "/api/buckets/ada/b/restore", r#"{"path":"k","versionId":"null"}"#, false),
        ("DELETE", "/api/buckets/ada/b/versions/k?versionId=null", "", false),
        ("PUT", "/api/buckets/ada/b/settings", r#"{"versioning":"suspended"}"#, false),
    ];
    for (method, path, body, is_read) in calls {
        assert_eq!(house.call(NOBODY, method, path, body).await.status, 401, "{method} {path}");
        assert_eq!(
            house.call(BOB, method, path, body).await.refusal(),
            (404, "RepoNotFound"),
            "{method} {path}"
        );
        let by_reader = house.call(READER, method, path, body).await.status;
        assert_eq!(by_reader, if is_read { 200 } else { 403 }, "{method} {path}");
    }
}

#[tokio::test]
async fn versioning_is_a_setting() {
    let house = House::with_files(&["k"]).await;
    let set = async |body: &'static str| house.call(ADA, "PUT", "/api/buckets/ada/b/settings", body).await;
    let on = set(r#"{"versioning":"enabled"}"#).await.json();
    assert_eq!(on["versioning"], "enabled");
    assert_eq!(house.get(ADA, "/api/buckets/ada/b").await.json()["versioning"], "enabled");
    let both = set(r#"{"versioning":"suspended","private":false}"#).await.json();
    assert_eq!((&both["versioning"], &both["private"]), (&"suspended".into(), &false.into()));
    for bad in
        [r#"{"versioning":"off"}"#, r#"{"versioning":true}"#, r#"{"versioning":null,"private":true}"#, "{}"]
    {
        assert_eq!(set(bad).await.status, 400, "{bad}");
    }
}
