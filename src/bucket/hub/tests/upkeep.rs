//! What a gateway tidies up.

use std::time::Duration;

use super::gateway::{Gateway, attributes, id, key, noise, payload};
use super::stand_in::StandIn;
use crate::bucket::hub::upkeep::expire;
use crate::bucket::{BucketError, NewUpload, ObjectLock, UploadRef, Uploads as _};

#[tokio::test]
async fn uploads_that_nobody_ends_are_forgotten_with_their_parts() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let begin = async |name| {
        let new = NewUpload {
            key: key(name),
            attributes: attributes(),
            checksum: None,
            lock: ObjectLock::default(),
        };
        let upload = gateway.buckets.create_upload(&id(), new).await.unwrap();
        UploadRef { key: upload.key, id: upload.id }
    };
    let old = begin("old").await;
    gateway.buckets.write_part(&id(), &old, 1, payload(&noise(1, 1 << 20))).await.unwrap();
    let shared = &gateway.buckets.shared;
    assert_eq!(expire(shared, Duration::from_mins(1)).await.unwrap(), 0, "not yet");
    assert!(gateway.buckets.upload(&id(), &old).await.is_ok());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let new = begin("new").await;
    gateway.buckets.write_part(&id(), &new, 1, payload(&noise(2, 1 << 20))).await.unwrap();
    let age = shared.ambient.clock.now().0 - new.id.begun_at_millis();
    assert_eq!(expire(shared, Duration::from_millis(age + 50)).await.unwrap(), 1);
    let gone = gateway.buckets.upload(&id(), &old).await;
    assert!(matches!(gone, Err(BucketError::NoSuchUpload(_))), "{gone:?}");
    assert!(gateway.buckets.upload(&id(), &new).await.is_ok());
    let kept: Vec<_> = std::fs::read_dir(gateway.folder.path().join("uploads")).unwrap().collect();
    assert_eq!(kept.len(), 1, "the other's parts are gone");
}
