//! The way in.

use super::*;
use crate::bucket::{ObjectDelete, ObjectRef};
use crate::store::gc::{Collector, GcOptions};
use crate::store::throttle::Throttle;
use crate::xet::shard::keyed_chunk_hash;

impl House {
    async fn collect(&self) {
        let collector = Collector::new(Arc::clone(self.buckets.store()), Arc::clone(&self.clock) as _);
        let options = GcOptions { patience: Duration::from_secs(5), ..GcOptions::default() };
        collector.pass(&options, &Throttle::default()).await.unwrap();
    }

    async fn is_here(&self, xorb: &Xorb) -> bool {
        let path = format!("/v1/xorbs/default/{}", xorb.hash);
        self.ask(&self.mine, Method::HEAD, &path, Body::empty()).await.status == StatusCode::OK
    }

    async fn assert_sound(&self) {
        let report = crate::store::check::check(self.buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "{}", report.table());
    }
}

#[tokio::test]
async fn a_xorb_is_stored_once_small_or_large_with_or_without_a_footer() {
    let house = house().await;
    let with_footer = |xorb: &Xorb| {
        let footer = crate::xet::xorb::XorbFooter::new(xorb.table.clone()).encode();
        [&xorb.bytes[..], &footer].concat()
    };
    for (seed, lengths) in [(1, vec![10_000]), (2, vec![100_000; 40])] {
        let xorb = xorb(seed, &lengths);
        let path = format!("/v1/xorbs/default/{}", xorb.hash);
        let first = house.ask(&house.mine, Method::POST, &path, with_footer(&xorb)).await;
        assert_eq!(first.json()["was_inserted"], true);
        assert_eq!(house.upload(&xorb).await.json()["was_inserted"], false);
    }
    house.assert_sound().await;
}

#[tokio::test]
async fn a_registered_file_becomes_an_object_by_its_hash_alone() {
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000]);
    let file = house.file(&xorb).await;
    house.add("k", file).await;
    let read = house
        .buckets
        .read(&house.mine.id, ObjectRef::current(&ObjectKey::new("k").unwrap()), None)
        .await
        .unwrap();
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
    assert_eq!(pieces.concat(), xorb.raw);
    let key = ObjectKey::new("stolen").unwrap();
    let proved_by = Some("AKADA".to_owned());
    let add = BatchChange::Add { key, file, size: None, proved_by, attributes: Attributes::default() };
    assert!(house.buckets.batch(&house.other.id, vec![add]).await.unwrap()[0].is_err());
    house.assert_sound().await;
}

#[tokio::test]
async fn a_shard_in_frames_says_the_same_as_one_without() {
    let house = house().await;
    let xorb = xorb(1, &[10_000]);
    house.upload(&xorb).await;
    let shard = xorb.shard().encode_upload();
    for is_new in [1, 0] {
        let answer = house.ask(&house.mine, Method::POST, "/v2/shards", shard.clone()).await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        let frame: Value = serde_json::from_slice(answer.body.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!(frame, serde_json::json!({ "type": "result", "result": is_new }));
    }
    let empty = Shard {
        files: vec![ShardFile { hash: FileHash::EMPTY, terms: Vec::new(), sha256: Some([0; 32]) }],
        ..Shard::default()
    };
    assert_eq!(
        house.register(&house.mine, &empty).await.json()["result"],
        0,
        "the empty file is everybody's"
    );
    house.assert_sound().await;
}

#[tokio::test]
async fn a_chunk_that_is_here_is_answered_with_a_keyed_shard_of_its_xorb_and_those_behind_it() {
    let house = house().await;
    let (a, b, alone) = (xorb(1, &[5_000; 3]), xorb(2, &[7_000; 2]), xorb(3, &[9_000]));
    for xorb in [&a, &b, &alone] {
        house.upload(xorb).await;
    }
    let file = file_of(&[(&a, 0, 3), (&alone, 0, 1), (&b, 0, 2)]);
    let shard = Shard { files: vec![file], ..Shard::default() };
    house.register(&house.mine, &shard).await;

    let chunk = a.table.hash(0).unwrap();
    for prefix in ["default", "default-merkledb"] {
        let answer = house.get(&format!("/v1/chunks/{prefix}/{chunk}")).await;
        let shard = Shard::decode(&answer.body).unwrap();
        let footer = shard.footer.as_ref().unwrap();
        assert_ne!(footer.hmac_key, [0; 32]);
        assert_eq!(footer.key_expires_at, 1_800_000_000 + GRACE.as_secs());
        let mut xorbs: Vec<_> = shard.xorbs.iter().map(|xorb| xorb.hash).collect();
        xorbs.sort_unstable();
        let mut expected = vec![a.hash, b.hash];
        expected.sort_unstable();
        assert_eq!(xorbs, expected, "the name of a xorb of one chunk would give that chunk away");
        let listed = shard.xorbs.iter().find(|xorb| xorb.hash == a.hash).unwrap();
        for (index, listed) in (0..).zip(&listed.chunks) {
            let hash = a.table.hash(index).unwrap();
            assert_ne!(listed.hash, hash);
            assert_eq!(listed.hash, keyed_chunk_hash(hash, &footer.hmac_key));
        }
    }
    assert_eq!(
        house.get(&format!("/v1/chunks/default/{}", ChunkHash::of(b"x"))).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_was_sent_or_announced_stays_for_the_grace_time_after_its_last_use() {
    let house = house().await;
    let (sent, announced, again) = (xorb(1, &[10_000; 2]), xorb(2, &[20_000; 2]), xorb(3, &[30_000; 2]));
    for xorb in [&sent, &announced, &again] {
        house.upload(xorb).await;
    }
    let day = 24 * 3600 * 1000;
    house.clock.advance_ms(20 * day);
    assert_eq!(house.upload(&again).await.json()["was_inserted"], false);
    let chunk = announced.table.hash(1).unwrap();
    assert_eq!(house.get(&format!("/v1/chunks/default/{chunk}")).await.status, StatusCode::OK);
    house.collect().await;
    assert!(house.is_here(&sent).await);
    house.clock.advance_ms(day);
    house.collect().await;
    assert!(!house.is_here(&sent).await);
    assert!(house.is_here(&announced).await && house.is_here(&again).await);
    house.clock.advance_ms(22 * day);
    house.collect().await;
    assert!(!house.is_here(&announced).await && !house.is_here(&again).await);
    house.assert_sound().await;
}

#[tokio::test]
async fn a_client_that_remembers_a_deleted_file_uploads_it_again_without_its_bytes() {
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000]);
    let file = house.file(&xorb).await;
    house.add("k", file).await;
    let key = ObjectKey::new("k").unwrap();
    let delete = ObjectDelete::current(key);
    house.buckets.delete(&house.mine.id, vec![delete]).await.unwrap();
    house.collect().await;
    let shard = Shard { xorbs: Vec::new(), ..xorb.shard() };
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    house.add("k", file).await;
    let read = house
        .buckets
        .read(&house.mine.id, ObjectRef::current(&ObjectKey::new("k").unwrap()), None)
        .await
        .unwrap();
    let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
    assert_eq!(pieces.concat(), xorb.raw);
    house.assert_sound().await;
}

#[tokio::test]
async fn after_the_grace_time_a_shard_of_a_deleted_file_is_refused_whole() {
    let house = house().await;
    let xorb = xorb(1, &[10_000]);
    house.file(&xorb).await;
    house.clock.advance_ms(GRACE.as_millis() as u64 + 1);
    house.collect().await;
    let shard = Shard { xorbs: Vec::new(), ..xorb.shard() };
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(house.upload(&xorb).await.json()["was_inserted"], true);
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    house.assert_sound().await;
}

#[tokio::test]
async fn older_clients_write_to_paths_without_a_version() {
    let house = house().await;
    let xorb = xorb(1, &[10_000, 20_000]);
    let sent = house
        .ask(&house.mine, Method::POST, &format!("/xorbs/default/{}", xorb.hash), xorb.bytes.clone())
        .await;
    assert_eq!((sent.status, &sent.json()["was_inserted"]), (StatusCode::OK, &true.into()));
    let shard = xorb.shard();
    let registered = house.ask(&house.mine, Method::POST, "/shards", shard.encode_upload()).await;
    assert_eq!((registered.status, &registered.json()["result"]), (StatusCode::OK, &1.into()));
    let file = shard.files[0].hash;
    assert_eq!(house.get(&format!("/v1/reconstructions/{file}")).await.status, StatusCode::OK);
    let reader = house.token(&house.mine, CasScope::Read);
    let refused = house.ask_with(&reader, Method::POST, "/shards", shard.encode_upload(), None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
