//! Xorbs whose chunks are here already, some or all: only what is new is written, and they stay known by their names.

use super::*;
use crate::bucket::{ObjectDelete, ObjectRef, ObjectWrite, Payload, WriteCondition};
use crate::store::gc::{Collector, GcOptions, Thrift};
use crate::store::throttle::Throttle;

impl House {
    async fn stored(&self) -> u64 {
        crate::store::stats::stats(self.buckets.store()).await.unwrap().pack_bytes
    }

    async fn gc(&self) {
        let collector = Collector::new(Arc::clone(self.buckets.store()), Arc::clone(&self.clock) as _);
        let options = GcOptions { patience: Duration::from_secs(5), ..GcOptions::default() };
        collector.pass(&options, &Throttle::default()).await.unwrap();
        let report = crate::store::check::check(self.buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "{}", report.table());
    }

    /// As `store gc` does.
    async fn gc_thoroughly(&self) {
        let collector = Collector::new(Arc::clone(self.buckets.store()), Arc::clone(&self.clock) as _);
        let (merge_chunks_max, thrift) = (u64::MAX, Thrift::Thorough);
        let options = GcOptions { merge_chunks_max, thrift, ..GcOptions::default() };
        collector.pass(&options, &Throttle::default()).await.unwrap();
        let report = crate::store::check::check(self.buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "{}", report.table());
    }

    async fn head(&self, xorb: &Xorb) -> Answer {
        let path = format!("/v1/xorbs/default/{}", xorb.hash);
        self.ask(&self.mine, Method::HEAD, &path, Body::empty()).await
    }

    /// Reconstructs a file as a client does, by version 1 and 2.
    async fn reconstruct(&self, file: FileHash) -> Vec<u8> {
        let one = self.get(&format!("/v1/reconstructions/{file}")).await.json();
        let two = self.get(&format!("/v2/reconstructions/{file}")).await.json();
        assert_eq!(one["terms"], two["terms"]);
        let mut raw = Vec::new();
        for term in one["terms"].as_array().unwrap() {
            let xorb = term["hash"].as_str().unwrap();
            let start = term["range"]["start"].as_u64().unwrap();
            let fetches = one["fetch_info"][xorb].as_array().unwrap();
            let covers = |fetch: &&Value| {
                let range = &fetch["range"];
                range["start"].as_u64().unwrap() <= start && start < range["end"].as_u64().unwrap()
            };
            let fetch = fetches.iter().find(covers).unwrap();
            let (first, last) = (&fetch["url_range"]["start"], &fetch["url_range"]["end"]);
            let range = format!("bytes={first}-{last}");
            let answer = self.fetch(fetch["url"].as_str().unwrap(), Some(&range)).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
            let mut records = &answer.body[..];
            for index in fetch["range"]["start"].as_u64().unwrap()..fetch["range"]["end"].as_u64().unwrap() {
                let (_, chunk, taken) = crate::xet::xorb::decode_record(records).unwrap();
                records = &records[taken..];
                if (start..term["range"]["end"].as_u64().unwrap()).contains(&index) {
                    raw.extend(chunk);
                }
            }
            assert!(records.is_empty(), "the range fits the bytes");
            let fetches = two["xorbs"][xorb].as_array().unwrap();
            assert!(fetches.iter().any(|fetch| {
                fetch["ranges"].as_array().unwrap().iter().any(|range| {
                    range["chunks"]["start"].as_u64().unwrap() <= start && range["bytes"]["start"] == *first
                })
            }));
        }
        raw
    }

    async fn read(&self, key: &str) -> Vec<u8> {
        let read = self
            .buckets
            .read(&self.mine.id, ObjectRef::current(&ObjectKey::new(key).unwrap()), None)
            .await
            .unwrap();
        let pieces: Vec<Bytes> = futures::TryStreamExt::try_collect(read.body).await.unwrap();
        pieces.concat()
    }

    pub(super) async fn delete(&self, key: &str) {
        let delete = ObjectDelete::current(ObjectKey::new(key).unwrap());
        self.buckets.delete(&self.mine.id, vec![delete]).await.unwrap().remove(0).unwrap();
    }
}

/// A xorb of the chunks of others: runs of them, by their first chunk and the one behind the last.
fn mixed(runs: &[(&Xorb, u32, u32)]) -> Xorb {
    let (mut bytes, mut table, mut raw) = (Vec::new(), ChunkTable::default(), Vec::new());
    for (xorb, start, end) in runs {
        for index in *start..*end {
            let (record, chunk) =
                (xorb.table.record_range(index..index + 1), xorb.table.raw_range(index..index + 1));
            let (record, chunk) = (record.unwrap(), chunk.unwrap());
            table.push(xorb.table.hash(index).unwrap(), record.end - record.start, chunk.end - chunk.start);
            bytes.extend_from_slice(&xorb.bytes[record.start as usize..record.end as usize]);
            raw.extend_from_slice(&xorb.raw[chunk.start as usize..chunk.end as usize]);
        }
    }
    Xorb { hash: table.xorb_hash(), bytes, table, raw }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_xorb_only_the_new_chunks_are_written_and_all_of_it_is_served() {
    let house = house().await;
    let (a, b, new) = (xorb(1, &[30_000; 6]), xorb(2, &[40_000; 5]), xorb(3, &[20_000; 3]));
    for xorb in [&a, &b] {
        house.upload(xorb).await;
    }
    let before = house.stored().await;
    for (known, both) in [
        (mixed(&[(&a, 1, 4), (&b, 2, 5)]), false),
        (mixed(&[(&a, 3, 6), (&new, 0, 3), (&b, 0, 2), (&a, 3, 4)]), true),
    ] {
        assert_eq!(house.head(&known).await.status, StatusCode::NOT_FOUND);
        assert_eq!(house.upload(&known).await.json()["was_inserted"], true);
        let grown = house.stored().await - before;
        assert!(grown < if both { 61_000 } else { 1 }, "{grown}");
        let head = house.head(&known).await;
        assert_eq!(head.headers["content-length"], known.table.record_bytes().to_string());
        assert_eq!(house.upload(&known).await.json()["was_inserted"], false);
        // With what the client says of the xorb, and without, as it refers to it later.
        let file = known.shard().files[0].hash;
        assert_eq!(house.register(&house.mine, &known.shard()).await.json()["result"], 1);
        assert_eq!(house.reconstruct(file).await, known.raw);
        let part = Shard { files: vec![file_of(&[(&known, 1, 5)])], ..Shard::default() };
        assert_eq!(house.register(&house.mine, &part).await.json()["result"], 1);
        let raw = known.table.raw_range(1..5).unwrap();
        assert_eq!(
            house.reconstruct(part.files[0].hash).await,
            known.raw[raw.start as usize..raw.end as usize]
        );
        house.add("k", file).await;
        assert_eq!(house.read("k").await, known.raw);
        house.gc().await;
        assert_eq!(house.read("k").await, known.raw);
        for index in 0..known.table.len() as u32 {
            let chunk = known.table.hash(index).unwrap();
            assert_eq!(house.get(&format!("/v1/chunks/default/{chunk}")).await.status, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn what_was_taken_apart_is_proved_as_strictly_and_read_by_nobody() {
    let house = house().await;
    let a = xorb(1, &[30_000; 6]);
    house.upload(&a).await;
    let apart = mixed(&[(&a, 1, 3), (&a, 5, 6)]);
    house.upload(&apart).await;
    let refused = async |shard: Shard| {
        assert_eq!(house.register(&house.other, &shard).await.status, StatusCode::BAD_REQUEST);
    };
    let mut unproved = apart.shard();
    unproved.files[0].terms[0].verification = None;
    refused(unproved).await;
    let mut foreign = apart.shard();
    foreign.files[0].terms[0].verification = a.table.range_hash(0..3);
    refused(foreign).await;
    let mut beyond = apart.shard();
    beyond.files[0].terms[0].chunks = 0..4;
    refused(beyond).await;
    let mut other = apart.shard();
    other.xorbs[0].chunks.swap(0, 1);
    refused(other).await;
    let file = apart.shard().files[0].hash;
    for path in [format!("/v1/reconstructions/{file}"), format!("/v2/reconstructions/{file}")] {
        assert_eq!(house.get(&path).await.status, StatusCode::NOT_FOUND, "no bucket holds it");
    }
    let key = ObjectKey::new("k").unwrap();
    let proved_by = house.caller.credential().map(|credential| credential.access_key_id.as_str().to_owned());
    let add = BatchChange::Add { key, file, size: None, proved_by, attributes: Attributes::default() };
    assert!(house.buckets.batch(&house.mine.id, vec![add]).await.unwrap()[0].is_err());
    // The name of a file whose chunks are those of a xorb is not the name of a xorb that came.
    let data = xorb(9, &[50_000]);
    let payload = Payload {
        body: Box::pin(futures::stream::iter([Ok(Bytes::from(data.raw.clone()))])),
        length: None,
        digests: crate::bucket::DeclaredDigests::default(),
    };
    let write = ObjectWrite {
        key: ObjectKey::new("by-s3").unwrap(),
        attributes: Attributes::default(),
        condition: WriteCondition::default(),
        lock: crate::bucket::ObjectLock::default(),
        payload,
    };
    let object = house.buckets.write(&house.mine.id, write).await.unwrap();
    assert_eq!(house.reconstruct(object.file).await, data.raw);
}

#[tokio::test]
async fn what_was_taken_apart_is_kept_for_the_grace_time_and_its_chunks_with_it() {
    let house = house().await;
    let (a, new) = (xorb(1, &[30_000; 6]), xorb(3, &[20_000; 3]));
    let file = house.file(&a).await;
    house.add("k", file).await;
    house.clock.advance_ms(10 * 24 * 3600 * 1000);
    let apart = mixed(&[(&new, 0, 3), (&a, 1, 2), (&a, 4, 6)]);
    house.upload(&apart).await;
    house.delete("k").await;
    // The first is forgotten; what the second needs of it is not.
    house.clock.advance_ms(12 * 24 * 3600 * 1000);
    house.gc().await;
    let shard = Shard { xorbs: Vec::new(), ..apart.shard() };
    assert_eq!(house.register(&house.mine, &shard).await.status, StatusCode::OK);
    assert_eq!(house.reconstruct(shard.files[0].hash).await, apart.raw);
    // Sent again, it is kept again.
    house.clock.advance_ms(8 * 24 * 3600 * 1000);
    assert_eq!(house.upload(&apart).await.json()["was_inserted"], false);
    house.clock.advance_ms(20 * 24 * 3600 * 1000);
    house.gc().await;
    assert_eq!(house.head(&apart).await.status, StatusCode::OK);
    house.clock.advance_ms(2 * 24 * 3600 * 1000);
    house.gc().await;
    assert_eq!(house.head(&apart).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.stored().await, 0);
}

/// As a store has them that an older build has filled: it stored xorbs as they came.
#[tokio::test]
async fn xorbs_that_are_kept_for_clients_are_merged_too_and_stay_known() {
    let house = house().await;
    let all = xorb(1, &[60_000; 40]);
    let xorbs: Vec<_> = (0..4).map(|skip| mixed(&[(&all, skip, 40 - skip)])).collect();
    for xorb in &xorbs {
        house.buckets.store().index.clear().unwrap();
        house.upload(xorb).await;
        assert_eq!(house.register(&house.mine, &xorb.shard()).await.json()["result"], 1);
    }
    crate::store::rebuild::rebuild_index(house.buckets.store(), &Throttle::default()).await.unwrap();
    assert!(house.stored().await > 3 * all.raw.len() as u64);
    house.gc_thoroughly().await;
    let stored = house.stored().await;
    assert!(stored < all.raw.len() as u64 * 105 / 100, "{stored} of {}", all.raw.len());
    for xorb in &xorbs {
        assert_eq!(house.reconstruct(xorb.shard().files[0].hash).await, xorb.raw);
        assert_eq!(house.head(xorb).await.headers["content-length"], xorb.table.record_bytes().to_string());
        let part = Shard { files: vec![file_of(&[(xorb, 3, 9)])], ..Shard::default() };
        assert_eq!(house.register(&house.other, &part).await.status, StatusCode::OK);
        assert_eq!(house.upload(xorb).await.json()["was_inserted"], false);
    }
    house.clock.advance_ms(22 * 24 * 3600 * 1000);
    house.gc().await;
    assert_eq!(house.stored().await, 0);
}

/// A xorb of one chunk again and again becomes as many runs as chunks, and a small shard can name it many times.
#[tokio::test]
async fn a_small_shard_that_becomes_endless_runs_is_refused() {
    let house = house().await;
    let one = xorb(1, &[2_000]);
    let again = mixed(&vec![(&one, 0, 1); 8_000]);
    assert_eq!(house.upload(&again).await.status, StatusCode::OK);
    assert!(house.stored().await < 10_000, "the chunk is stored once");
    let file = file_of(&vec![(&again, 0, 8_000); 200]);
    let shard = Shard { files: vec![file], ..Shard::default() };
    let answer = house.register(&house.mine, &shard).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json()["error"].as_str().unwrap().contains("several shards"), "{}", answer.json());
    assert_eq!(house.register(&house.mine, &again.shard()).await.json()["result"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn xorbs_that_come_at_the_same_time_share_their_chunks_with_each_other_and_with_s3() {
    let house = house().await;
    let all = xorb(1, &[60_000; 60]);
    let xorbs: Vec<_> = (0..6).map(|skip| mixed(&[(&all, skip, 60 - skip)])).collect();
    let uploads = xorbs.iter().map(|xorb| house.upload(xorb));
    for answer in futures::future::join_all(uploads).await {
        assert_eq!(answer.status, StatusCode::OK);
    }
    let grown = house.stored().await;
    assert!(grown < all.raw.len() as u64 * 102 / 100, "{grown}");
    for xorb in &xorbs {
        assert_eq!(house.register(&house.mine, &xorb.shard()).await.json()["result"], 1);
        assert_eq!(house.reconstruct(xorb.shard().files[0].hash).await, xorb.raw);
    }
    house.gc().await;
}
