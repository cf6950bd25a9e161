//! Bad days at the Hub and its CAS.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::gateway::{Gateway, id, noise};
use super::stand_in::{Fault, StandIn};
use crate::bucket::{BucketError, ByteRange, ObjectRef, Objects as _};

/// The error's name, as the S3 API tells it from others.
fn name(error: &BucketError) -> String {
    let text = format!("{error:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_old_object_and_says_why() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let old = noise(1, 300_000);
    gateway.put("k", &old).await.unwrap();
    let batch_failed = r#"{"failed":[{"path":"k","error":"quota"}]}"#;
    let cases = [
        ("POST /cas/v1/xorbs", Fault::Status(403, ""), "AccessDenied"),
        ("POST /cas/v1/xorbs", Fault::Status(400, "no"), "Unavailable"),
        ("POST /cas/v1/xorbs", Fault::Status(503, ""), "Unavailable"),
        ("POST /cas/v1/xorbs", Fault::Status(429, ""), "Busy"),
        ("shards", Fault::Status(400, "no"), "Unavailable"),
        ("shards", Fault::Status(500, ""), "Unavailable"),
        ("shards", Fault::CutAfter(10), "Unavailable"),
        ("/batch", Fault::Status(401, ""), "AccessDenied"),
        ("/batch", Fault::Status(403, ""), "AccessDenied"),
        ("/batch", Fault::Status(404, ""), "Refused"),
        ("/batch", Fault::Status(413, ""), "Refused"),
        ("/batch", Fault::Status(422, batch_failed), "Refused"),
        ("/batch", Fault::Status(200, batch_failed), "Refused"),
        ("/batch", Fault::Status(429, ""), "Busy"),
        ("/batch", Fault::Status(500, ""), "Unavailable"),
        ("/batch", Fault::Status(200, "<html>"), "Storage"),
    ];
    for (number, (path, fault, expected)) in (10..).zip(cases) {
        let new = noise(number, 300_000);
        gateway.hub.fail(path, fault, 100);
        let error = gateway.put("k", &new).await.unwrap_err();
        assert_eq!(name(&error), expected, "{path}, case {number}: {error}");
        gateway.hub.heal();
        assert_eq!(gateway.get("k", None).await.unwrap(), old, "{path}, case {number}");
        let object = gateway
            .buckets
            .object(&id(), ObjectRef::current(&crate::bucket::ObjectKey::new("k").unwrap()))
            .await
            .unwrap();
        assert_eq!(object.attributes.user_metadata.len(), 1, "{path}: its attributes are still there");
    }
}

#[tokio::test]
async fn a_token_that_may_not_write_is_denied() {
    let hub = StandIn::start(true).await;
    for (number, status) in (80..).zip([401, 403]) {
        let gateway = Gateway::new(std::sync::Arc::clone(&hub)).await;
        gateway.hub.fail("xet-write-token", Fault::Status(status, ""), 100);
        let error = gateway.put("k", &noise(number, 1000)).await.unwrap_err();
        assert_eq!(name(&error), "AccessDenied", "{error}");
        gateway.hub.heal();
        assert!(gateway.hub.object("ada/b", "k").is_none());
    }
}

#[tokio::test]
async fn what_passes_is_not_seen_by_the_client() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    for (number, path) in (30..).zip(["token", "paths-info", "v1/xorbs", "shards", "/batch", "/v1/chunks"]) {
        for fault in
            [Fault::Status(503, ""), Fault::Status(429, ""), Fault::AfterStatus(500), Fault::CutAfter(0)]
        {
            let data = noise(number, 400_000);
            gateway.hub.fail(path, fault, 1);
            gateway.put("k", &data).await.unwrap();
            assert_eq!(gateway.get("k", None).await.unwrap(), data, "{path}");
            gateway.hub.heal();
        }
    }
}

#[tokio::test]
async fn a_read_gives_the_right_bytes_or_an_error() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let data = noise(50, 3 << 20);
    gateway.put("k", &data).await.unwrap();
    // Each from a gateway that knows nothing yet.
    let passing = [
        ("GET /xorb/", Fault::Status(503, "")),
        ("GET /xorb/", Fault::Status(403, "")),
        ("GET /xorb/", Fault::CutAfter(700_000)),
        ("GET /xorb/", Fault::CutAfter(3)),
        ("GET /xorb/", Fault::Late(Duration::from_millis(50))),
        ("reconstructions", Fault::Status(500, "")),
        ("reconstructions", Fault::CutAfter(20)),
        ("xet-read-token", Fault::Status(502, "")),
        ("/cas/", Fault::Status(401, "")),
    ];
    for (path, fault) in passing {
        let other = Gateway::new(std::sync::Arc::clone(&gateway.hub)).await;
        gateway.hub.fail(path, fault, 1);
        assert_eq!(other.get("k", None).await.unwrap(), data, "{path}");
        gateway.hub.heal();
    }
    let lasting = [
        ("GET /xorb/", Fault::Status(503, ""), "Unavailable"),
        ("GET /xorb/", Fault::Status(404, ""), "Corrupt"),
        ("GET /xorb/", Fault::Flip(1_000_000), "Corrupt"),
        ("GET /xorb/", Fault::Flip(0), "Corrupt"),
        ("reconstructions", Fault::Status(404, ""), "Corrupt"),
        ("reconstructions", Fault::Status(200, "{}"), "Corrupt"),
        ("xet-read-token", Fault::Status(403, ""), "AccessDenied"),
        ("paths-info", Fault::Status(401, ""), "AccessDenied"),
        ("paths-info", Fault::Status(500, ""), "Unavailable"),
    ];
    for (path, fault, expected) in lasting {
        let other = Gateway::new(std::sync::Arc::clone(&gateway.hub)).await;
        gateway.hub.fail(path, fault, 1000);
        let error = other.get("k", None).await.unwrap_err();
        assert_eq!(name(&error), expected, "{path}: {error}");
        gateway.hub.heal();
        assert_eq!(other.get("k", None).await.unwrap(), data, "{path}: nothing wrong was kept");
    }
}

#[tokio::test]
async fn a_range_of_known_chunks_is_checked_too() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    let data = noise(60, 3 << 20);
    gateway.put("k", &data).await.unwrap();
    gateway.hub.fail("GET /xorb/", Fault::Flip(100_000), 1);
    let range = Some(ByteRange::Bounded(1_000_000, 1_499_999));
    assert_eq!(gateway.get("k", range).await.unwrap(), data[1_000_000..1_500_000], "fetched again");
    gateway.hub.fail("GET /xorb/", Fault::Flip(200_000), 1000);
    let error = gateway.get("k", Some(ByteRange::Bounded(2_000_000, 2_999_999))).await.unwrap_err();
    assert_eq!(name(&error), "Corrupt", "{error}");
}

#[tokio::test]
async fn a_slow_request_does_not_hold_up_others() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    gateway.put("fast", &Bytes::from_static(b"x")).await.unwrap();
    gateway.hub.fail("v1/xorbs", Fault::Late(Duration::from_secs(3)), 1);
    let data = noise(70, 100_000);
    let slow = gateway.put("slow", &data);
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            gateway.get("fast", None).await.unwrap();
        }
        gateway.put("another", &noise(71, 100_000)).await.unwrap();
        begun.elapsed()
    };
    let (slow, others) = tokio::join!(slow, others);
    slow.unwrap();
    assert!(others < Duration::from_secs(2), "{others:?}");
}
