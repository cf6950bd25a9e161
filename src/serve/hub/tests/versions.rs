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
