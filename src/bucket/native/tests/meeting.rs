//! Uploads that meet while they run: each chunk is stored once, nobody waits for another's client, and nobody loses
//! anything when another fails.

use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::faults::Rig;
use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions};
use crate::store::pack::PackStore;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::simulated::faults::Operation;
use crate::store::throttle::Throttle;

/// Longer than any of this takes, unless somebody waits for somebody's client.
const PATIENCE: Duration = Duration::from_secs(20);

/// An upload whose client has stopped after the last byte but one.
struct Slow {
    body: UnboundedSender<Result<Bytes, BoxError>>,
    last: Bytes,
    writing: JoinHandle<Result<Object, BucketError>>,
}

impl Slow {
    /// Begins an upload, and returns when what it has sent is written, as far as whole chunks have come.
    async fn begin(buckets: &Arc<NativeBuckets>, name: &str, data: &Bytes) -> Self {
        let (body, pieces) = unbounded();
        let payload = Payload { body: Box::pin(pieces), ..payload(data) };
        let (buckets, name) = (Arc::clone(buckets), name.to_owned());
        let writer = Arc::clone(&buckets);
        let writing = tokio::spawn(async move { writer.write(&bucket_id(), write(&name, payload)).await });
        let metrics = Arc::clone(&buckets.store().metrics);
        let seen = || metrics.new_raw_bytes.get() + metrics.chunks_found.get() * 64 * 1024;
        let before = seen();
        body.unbounded_send(Ok(data.slice(..data.len() - 1))).unwrap();
        // A chunk has at most 128 KiB; what came in one piece is cut at once.
        let wanted = before + (data.len() as u64 / 2).saturating_sub(128 << 10);
        let written = async {
            while seen() < wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // The rest of the piece.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::time::timeout(PATIENCE, written).await.expect("it is written while the client waits");
        Self { body, last: data.slice(data.len() - 1..), writing }
    }

    async fn end(self) -> Result<Object, BucketError> {
        self.body.unbounded_send(Ok(self.last)).unwrap();
        drop(self.body);
        tokio::time::timeout(PATIENCE, self.writing).await.unwrap().unwrap()
    }

    async fn break_off(self) {
        self.body.unbounded_send(Err("connection reset".into())).unwrap();
        drop(self.body);
        tokio::time::timeout(PATIENCE, self.writing).await.unwrap().unwrap().unwrap_err();
    }
}

async fn big_packs() -> (Arc<NativeBuckets>, MemoryPacks) {
    let packs = MemoryPacks::default();
    let (meta, index) = (Arc::new(EmbeddedMeta::in_memory().unwrap()), Arc::new(MemoryIndex::default()));
    let store = LocalStore::assemble(meta, Arc::new(packs.clone()), index, 512 << 20).unwrap();
    let buckets = NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    (Arc::new(buckets), packs)
}

fn stored(packs: &MemoryPacks) -> u64 {
    packs.list().unwrap().iter().map(|(_, len)| len).sum()
}

async fn collect(buckets: &NativeBuckets) {
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    collector.pass(&GcOptions::default(), &Throttle::default()).await.unwrap();
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!(report.damages, []);
}

async fn delete(buckets: &NativeBuckets, name: &str) {
    let delete = ObjectDelete::current(key(name));
    buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
}

/// Returns when nothing of a running upload is left: what others rely on of one that failed is synced on its own.
async fn nothing_runs(packs: &MemoryPacks, buckets: &NativeBuckets) {
    let gone = async {
        loop {
            collect(buckets).await;
            if packs.list().unwrap().is_empty() && buckets.chunks.announced() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("everything is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_client_holds_nobody_up_and_what_it_sent_is_stored_once() {
    // In memory, and streamed to a pack.
    for len in [600_000, 900_000, 3_000_000] {
        let (buckets, packs) = big_packs().await;
        let data = noise(1, len);
        let slow = Slow::begin(&buckets, "slow", &data).await;
        let quick = tokio::time::timeout(PATIENCE, put(&buckets, "quick", &data));
        quick.await.expect("nobody waits for the other's client");
        assert!(stored(&packs) < len as u64 * 102 / 100, "{} of {len}", stored(&packs));
        collect(&buckets).await;
        assert_eq!(get(&buckets, "quick", None).await, data);
        slow.end().await.unwrap();
        assert!(stored(&packs) < len as u64 * 102 / 100, "{} of {len}", stored(&packs));
        delete(&buckets, "quick").await;
        collect(&buckets).await;
        assert_eq!(get(&buckets, "slow", None).await, data);
        delete(&buckets, "slow").await;
        nothing_runs(&packs, &buckets).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_rely_on_of_an_upload_that_fails_stays() {
    for len in [600_000, 3_000_000] {
        let (buckets, packs) = big_packs().await;
        let data = noise(1, len);
        let first = Slow::begin(&buckets, "first", &data).await;
        let second = Slow::begin(&buckets, "second", &data).await;
        put(&buckets, "before", &data).await;
        first.break_off().await;
        collect(&buckets).await;
        delete(&buckets, "before").await;
        collect(&buckets).await;
        second.end().await.unwrap();
        collect(&buckets).await;
        assert_eq!(get(&buckets, "second", None).await, data);
        assert!(stored(&packs) < len as u64 * 105 / 100, "{} of {len}", stored(&packs));
        delete(&buckets, "second").await;
        nothing_runs(&packs, &buckets).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_all_fail_leave_nothing() {
    for len in [600_000, 3_000_000] {
        let (buckets, packs) = big_packs().await;
        let data = noise(1, len);
        let mut slow = Vec::new();
        for name in ["a", "b", "c"] {
            slow.push(Slow::begin(&buckets, name, &data).await);
        }
        for slow in slow {
            slow.break_off().await;
        }
        nothing_runs(&packs, &buckets).await;
        assert_eq!(
            buckets
                .list(&bucket_id(), &ListQuery { limit: 9, ..ListQuery::default() })
                .await
                .unwrap()
                .objects,
            []
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_at_the_same_instant_is_stored_once_and_in_order() {
    for (seed, len) in (0..).zip([1, 4096, 60_000, 300_000, 2_000_000, 9_000_000]) {
        let (buckets, packs) = big_packs().await;
        let data = noise(seed, len);
        let writes = (0..12).map(|number| {
            let (buckets, data) = (Arc::clone(&buckets), data.clone());
            tokio::spawn(async move { put(&buckets, &number.to_string(), &data).await })
        });
        let objects = futures::future::try_join_all(writes).await.unwrap();
        // Uploads that end end the xorbs they refer to, which costs a frame each.
        assert!(stored(&packs) < len as u64 * 102 / 100 + 12 * 600, "{} of {len}", stored(&packs));
        let record = buckets.meta.file(&objects[0].file).await.unwrap().unwrap();
        assert!(record.terms.len() <= 16, "{} terms", record.terms.len());
        collect(&buckets).await;
        for number in 0..12 {
            assert_eq!(get(&buckets, &number.to_string(), None).await, data);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_small_objects_sent_twice_at_the_same_time_are_stored_once() {
    let (buckets, packs) = big_packs().await;
    let writes = (0..600_u64).map(|number| {
        let buckets = Arc::clone(&buckets);
        tokio::spawn(async move { put(&buckets, &number.to_string(), &noise(number / 2, 5000)).await })
    });
    futures::future::try_join_all(writes).await.unwrap();
    assert!(stored(&packs) < 300 * 5200, "{}", stored(&packs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_of_a_file_in_parts_that_come_together_take_the_space_of_what_differs() {
    let (buckets, packs) = big_packs().await;
    let common = noise(0, 12 << 20);
    let versions: Vec<Bytes> = (1..=6)
        .map(|version| {
            let mut data = common.to_vec();
            data[5_000_000..5_100_000].copy_from_slice(&noise(version, 100_000));
            data.into()
        })
        .collect();
    let uploads = versions.iter().enumerate().map(|(version, data)| {
        let (buckets, data) = (Arc::clone(&buckets), data.clone());
        tokio::spawn(async move {
            let name = format!("v{version}");
            let new = NewUpload {
                key: key(&name),
                attributes: Attributes::default(),
                checksum: None,
                lock: ObjectLock::default(),
            };
            let upload = buckets.create_upload(&bucket_id(), new).await.unwrap();
            let upload = UploadRef { key: upload.key, id: upload.id };
            let parts = (1..).zip(data.chunks(6 << 20)).map(|(number, part)| {
                let (buckets, upload, part) = (Arc::clone(&buckets), upload.clone(), data.slice_ref(part));
                tokio::spawn(async move {
                    let part =
                        buckets.write_part(&bucket_id(), &upload, number, payload(&part)).await.unwrap();
                    CompletedPart { number, etag: hex::encode(part.md5), checksum: None }
                })
            });
            let parts = futures::future::try_join_all(parts).await.unwrap();
            let completion = UploadCompletion { parts, ..UploadCompletion::default() };
            buckets.complete_upload(&bucket_id(), &upload, completion).await.unwrap();
        })
    });
    futures::future::try_join_all(uploads).await.unwrap();
    // Each version's own bytes, the chunks around them, and the seam of the parts.
    let distinct = (12 << 20) + 6 * (100_000 + 2 * 128 * 1024) + 2 * 128 * 1024;
    assert!(stored(&packs) < distinct, "{} of {distinct}", stored(&packs));
    for (version, data) in versions.iter().enumerate() {
        assert_eq!(get(&buckets, &format!("v{version}"), None).await, *data);
    }
    collect(&buckets).await;
}

/// What has failed is refused, nothing is half there, and a write after it is over is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_under_a_shared_write_refuses_all_who_rely_on_it() {
    use Operation::{Create, Sync, Write};
    for len in [600_000, 900_000] {
        for (operation, errno) in
            [(Write, Errno::NOSPC), (Sync, Errno::NOSPC), (Sync, Errno::IO), (Create, Errno::NOSPC)]
        {
            let rig = Rig::new().await;
            let data = noise(9, len);
            let slow = Slow::begin(&rig.buckets, "slow", &data).await;
            rig.packs.fail(operation, errno);
            let quick = rig.try_put("new", &data).await;
            let slow = slow.end().await;
            let is_said = |error: &BucketError| {
                matches!(error, BucketError::StorageFull(_) | BucketError::Unavailable(_))
            };
            for outcome in [&quick, &slow] {
                assert!(outcome.as_ref().err().is_none_or(is_said), "{operation:?}: {outcome:?}");
            }
            if rig.packs.met() == 0 {
                // Packs that were made before are enough.
                assert_eq!(operation, Create);
                continue;
            }
            assert!(quick.is_err(), "{operation:?}");
            rig.mend().await;
            put(&rig.buckets, "new", &data).await;
            if slow.is_ok() {
                assert_eq!(get(&rig.buckets, "slow", None).await, data);
                delete(&rig.buckets, "slow").await;
            }
            rig.assert_whole(("new", &data)).await;
        }
    }
}
