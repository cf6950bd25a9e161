//! Uploads that run at the same time send what they have in common once, and none of them depends on another's client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{StreamExt as _, stream};

use super::gateway::{Gateway, attributes, id, key, noise, payload};
use super::stand_in::{Fault, StandIn};
use crate::bucket::{
    BucketError, CompletedPart, DeclaredDigests, NewUpload, Object, ObjectLock, ObjectWrite, Objects as _,
    Payload, UploadCompletion, UploadRef, Uploads as _, WriteCondition,
};
use crate::engine::BoxError;

const PIECE: usize = 256 << 10;

/// Longer than any of these uploads takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client that sends piece after piece when it is told to.
type Client = mpsc::UnboundedSender<Result<Bytes, BoxError>>;

impl Gateway {
    /// An upload, and the client that feeds it.
    fn upload(
        self: &Arc<Self>,
        name: &str,
    ) -> (Client, impl Future<Output = Result<Object, BucketError>> + use<>) {
        let (client, pieces) = mpsc::unbounded();
        let payload = Payload { body: pieces.boxed(), length: None, digests: DeclaredDigests::default() };
        let condition = WriteCondition::default();
        let write = ObjectWrite {
            key: key(name),
            attributes: attributes(),
            condition,
            lock: ObjectLock::default(),
            payload,
        };
        let gateway = Arc::clone(self);
        (client, async move { gateway.buckets.write(&id(), write).await })
    }

    /// Uncompressed bytes of all xorbs that were sent.
    fn sent_raw_bytes(&self) -> u64 {
        self.hub.sent_raw_bytes()
    }
}

fn send(client: &Client, data: &Bytes) {
    for piece in data.chunks(PIECE) {
        client.unbounded_send(Ok(data.slice_ref(piece))).unwrap();
    }
}

/// At most one in twenty more than these bytes.
fn about(bytes: usize) -> u64 {
    bytes as u64 * 21 / 20
}

/// Lets an upload that has all its client sent take it in.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_uploads_have_in_common_is_sent_once() {
    let gateway = Arc::new(Gateway::new(StandIn::start(true).await).await);
    let shared = noise(1, 24 << 20);
    let (mut clients, mut uploads) = (Vec::new(), Vec::new());
    for number in 0..4_u64 {
        let own = noise(100 + number, 512 << 10);
        let (client, upload) = gateway.upload(&number.to_string());
        clients.push((client, [shared.clone(), own].concat().into()));
        uploads.push(tokio::spawn(upload));
    }
    // Side by side, a piece of each in turn.
    let pieces = clients.iter().map(|(_, data): &(Client, Bytes)| data.len().div_ceil(PIECE)).max().unwrap();
    for piece in 0..pieces {
        for (client, data) in &clients {
            let start = (piece * PIECE).min(data.len());
            let end = (start + PIECE).min(data.len());
            client.unbounded_send(Ok(data.slice(start..end))).unwrap();
        }
        tokio::task::yield_now().await;
    }
    let contents: Vec<Bytes> = clients.into_iter().map(|(_, data)| data).collect();
    for upload in uploads {
        upload.await.unwrap().unwrap();
    }
    for (number, data) in contents.iter().enumerate() {
        assert_eq!(gateway.get(&number.to_string(), None).await.unwrap(), *data);
    }
    let distinct = shared.len() + 4 * (512 << 10);
    assert!(gateway.sent_raw_bytes() <= about(distinct), "{} of {distinct}", gateway.sent_raw_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_does_not_wait_for_the_client_of_another() {
    let gateway = Arc::new(Gateway::new(StandIn::start(true).await).await);
    let data = noise(2, 6 << 20);
    let (stopped, first) = gateway.upload("stopped");
    let first = tokio::spawn(first);
    send(&stopped, &data);
    settle().await;
    let second = tokio::time::timeout(PATIENCE, gateway.put("second", &data)).await;
    second.expect("it does not wait").unwrap();
    assert_eq!(gateway.get("second", None).await.unwrap(), data);
    assert!(gateway.sent_raw_bytes() <= about(data.len()), "{}", gateway.sent_raw_bytes());
    // The first goes on after what was taken from it.
    let rest = noise(3, 3 << 20);
    send(&stopped, &rest);
    drop(stopped);
    first.await.unwrap().unwrap();
    assert_eq!(gateway.get("stopped", None).await.unwrap(), [data.clone(), rest.clone()].concat());
    let distinct = data.len() + rest.len();
    assert!(gateway.sent_raw_bytes() <= about(distinct), "{} of {distinct}", gateway.sent_raw_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_keeps_what_it_shares_with_one_that_fails() {
    for (number, seen) in (10..).zip([3 << 20, 40 << 20]) {
        let gateway = Arc::new(Gateway::new(StandIn::start(true).await).await);
        let data = noise(number, seen);
        let (failing, first) = gateway.upload("failing");
        let first = tokio::spawn(first);
        let (client, second) = gateway.upload("second");
        let second = tokio::spawn(second);
        send(&failing, &data);
        settle().await;
        send(&client, &data);
        settle().await;
        failing.unbounded_send(Err("cut off".into())).unwrap();
        first.await.unwrap().unwrap_err();
        drop(client);
        second.await.unwrap().unwrap();
        assert_eq!(gateway.get("second", None).await.unwrap(), data);
        assert!(gateway.sent_raw_bytes() <= about(data.len()), "{}", gateway.sent_raw_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_xorb_that_one_upload_could_not_send_is_sent_by_another() {
    let gateway = Arc::new(Gateway::new(StandIn::start(true).await).await);
    let data = noise(20, 3 << 20);
    let (first_client, first) = gateway.upload("first");
    let first = tokio::spawn(first);
    let (client, second) = gateway.upload("second");
    let second = tokio::spawn(second);
    send(&first_client, &data);
    settle().await;
    send(&client, &data);
    settle().await;
    gateway.hub.fail("POST /cas/v1/xorbs", Fault::Status(400, "no"), 1);
    drop(first_client);
    first.await.unwrap().unwrap_err();
    drop(client);
    second.await.unwrap().unwrap();
    assert_eq!(gateway.get("second", None).await.unwrap(), data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_one_upload_waits_for_is_awaited_by_all() {
    let hub = StandIn::start(true).await;
    let data = noise(30, 6 << 20);
    Gateway::new(Arc::clone(&hub)).await.put("old", &data).await.unwrap();
    let sent = hub.sent_raw_bytes();
    let gateway = Gateway::new(Arc::clone(&hub)).await;
    hub.fail("GET /cas/v1/chunks", Fault::Late(Duration::from_millis(500)), 100);
    let uploads = ["a", "b", "c"].map(|name| gateway.put(name, &data));
    for uploaded in stream::iter(uploads).buffer_unordered(3).collect::<Vec<_>>().await {
        uploaded.unwrap();
    }
    assert!(hub.sent_raw_bytes() - sent <= about(0) + (128 << 10), "{}", hub.sent_raw_bytes() - sent);
}

/// Completing asked for the seams' chunks under a ticket that it had not taken, so it took them for stored meanwhile,
/// looked them up, and did so without end.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_joined_after_other_uploads_have_ended() {
    let gateway = Gateway::new(StandIn::start(true).await).await;
    // So many chunks that nearly every shard of announcements has seen one leave.
    gateway.put("other", &noise(7, 48 << 20)).await.unwrap();
    let data = noise(8, 15 << 20);
    let new = NewUpload {
        key: key("joined"),
        attributes: attributes(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let upload = gateway.buckets.create_upload(&id(), new).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(data.chunks(5 << 20)) {
        let piece = payload(&data.slice_ref(piece));
        let part = gateway.buckets.write_part(&id(), &upload, number, piece).await.unwrap();
        parts.push(CompletedPart { number, etag: hex::encode(part.md5), checksum: None });
    }
    let completion = UploadCompletion { parts, ..UploadCompletion::default() };
    let bucket = id();
    let completing = gateway.buckets.complete_upload(&bucket, &upload, completion);
    tokio::time::timeout(PATIENCE, completing).await.expect("it ends").unwrap();
    assert_eq!(gateway.get("joined", None).await.unwrap(), data);
}
