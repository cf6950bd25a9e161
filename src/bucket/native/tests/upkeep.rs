//! Gc, check, stats and the index's rebuilding, each in a situation of its own.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::clock::{Clock, ManualClock};
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions, GcReport};
use crate::store::meta::{FramePlace, XorbMove};
use crate::store::pack::PackStore;
use crate::store::rebuild::rebuild_index;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::stats::stats;
use crate::store::throttle::Throttle;
use crate::store::upkeep::{self, UpkeepOptions};

fn options() -> GcOptions {
    GcOptions { patience: Duration::from_millis(20), ..GcOptions::default() }
}

fn collector(buckets: &NativeBuckets) -> Collector {
    Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock))
}

async fn gc(buckets: &NativeBuckets) -> GcReport {
    collector(buckets).pass(&options(), &Throttle::default()).await.unwrap()
}

async fn delete(buckets: &NativeBuckets, name: &str) {
    let delete = ObjectDelete::current(key(name));
    buckets.delete(&bucket_id(), vec![delete]).await.unwrap().pop().unwrap().unwrap();
}

async fn assert_sound(buckets: &NativeBuckets) {
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!(report.damages, []);
}

fn pack_bytes(packs: &MemoryPacks) -> u64 {
    packs.list().unwrap().iter().map(|(_, len)| len).sum()
}

#[tokio::test]
async fn what_nothing_uses_is_given_back() {
    let (buckets, packs) = small_packs().await;
    for name in ["a", "b", "c"] {
        put(&buckets, name, &noise(name.len() as u64 + u64::from(name.as_bytes()[0]), 700_000)).await;
    }
    assert_eq!(gc(&buckets).await.xorbs_removed, 0);
    let full = pack_bytes(&packs);
    delete(&buckets, "a").await;
    let dry = GcOptions { dry_run: true, ..options() };
    let preview = collector(&buckets).pass(&dry, &Throttle::default()).await.unwrap();
    assert_eq!(pack_bytes(&packs), full);
    let done = gc(&buckets).await;
    assert_eq!(GcReport { dry_run: true, ..done.clone() }, preview);
    assert_eq!(done.xorbs_removed, 1);
    assert_sound(&buckets).await;
    for name in ["b", "c"] {
        delete(&buckets, name).await;
    }
    gc(&buckets).await;
    assert_eq!(packs.list().unwrap(), []);
    assert_sound(&buckets).await;
    put(&buckets, "a", &noise(1, 100_000)).await;
    assert_eq!(get(&buckets, "a", None).await, noise(1, 100_000));
}

#[tokio::test]
async fn a_mostly_dead_pack_is_rewritten_under_a_reader() {
    let (buckets, packs) = small_packs().await;
    for number in 0..8 {
        put(&buckets, &number.to_string(), &noise(number, 100_000)).await;
    }
    assert_eq!(packs.list().unwrap().len(), 1);
    let read = buckets.read(&bucket_id(), ObjectRef::current(&key("7")), None).await.unwrap();
    assert_eq!(get(&buckets, "7", None).await, noise(7, 100_000), "its row is cached");
    for number in 0..6 {
        delete(&buckets, &number.to_string()).await;
    }
    let waiting = gc(&buckets).await;
    assert_eq!((waiting.xorbs_removed, waiting.xorbs_left), (0, 6), "somebody reads since before");
    let body: Vec<Bytes> = read.body.try_collect().await.unwrap();
    assert_eq!(body.concat(), noise(7, 100_000));
    let done = gc(&buckets).await;
    assert_eq!((done.xorbs_removed, done.packs_rewritten, done.frames_damaged), (6, 1, 0));
    assert!(pack_bytes(&packs) < 210_000);
    for number in [6, 7] {
        assert_eq!(get(&buckets, &number.to_string(), None).await, noise(number, 100_000));
    }
    assert_sound(&buckets).await;
}

#[tokio::test]
async fn a_body_that_began_before_a_rewrite_is_read_to_its_end() {
    let (buckets, _) = small_packs().await;
    let data = noise(1, 900_000);
    put(&buckets, "dead", &noise(2, 900_000)).await;
    put(&buckets, "k", &data).await;
    delete(&buckets, "dead").await;
    gc(&buckets).await;
    let mut read = buckets.read(&bucket_id(), ObjectRef::current(&key("k")), None).await.unwrap();
    let first = read.body.next().await.unwrap().unwrap();
    // Overwritten, moved: what the reader has begun it can finish.
    put(&buckets, "k", &noise(3, 10)).await;
    gc(&buckets).await;
    let rest: Vec<Bytes> = read.body.try_collect().await.unwrap();
    assert_eq!([&first[..], &rest.concat()].concat(), data);
    assert_eq!(gc(&buckets).await.xorbs_removed, 1);
}

#[tokio::test]
async fn what_an_upload_was_promised_stays_until_it_is_over() {
    let (buckets, _) = small_packs().await;
    let data = noise(1, 900_000);
    put(&buckets, "old", &data).await;
    let (more, body) = futures::channel::mpsc::unbounded();
    let upload = tokio::spawn({
        let (buckets, payload) = (Arc::clone(&buckets), Payload { body: Box::pin(body), ..payload(&data) });
        async move { buckets.write(&bucket_id(), write("new", payload)).await }
    });
    more.unbounded_send(Ok(data.slice(..800_000))).unwrap();
    let collector = collector(&buckets);
    // Until the upload has been promised the xorb.
    while buckets.store().pins.doom([xorb_of(&buckets, "old").await]).xorbs().len() == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    delete(&buckets, "old").await;
    let report = collector.pass(&options(), &Throttle::default()).await.unwrap();
    assert_eq!((report.xorbs_removed, report.xorbs_left), (0, 1));
    more.unbounded_send(Ok(data.slice(800_000..))).unwrap();
    drop(more);
    upload.await.unwrap().unwrap();
    collector.pass(&options(), &Throttle::default()).await.unwrap();
    assert_eq!(get(&buckets, "new", None).await, data);
    assert_sound(&buckets).await;
}

async fn xorb_of(buckets: &NativeBuckets, name: &str) -> crate::xet::hash::XorbHash {
    let object = buckets.object(&bucket_id(), ObjectRef::current(&key(name))).await.unwrap();
    buckets.meta.file(&object.file).await.unwrap().unwrap().terms[0].xorb
}

#[tokio::test]
async fn the_last_live_chunks_of_a_xorb_are_copied_and_the_file_keeps_its_hash() {
    let (buckets, packs) = small_packs().await;
    let (whole, other) = (noise(1, 6_000_000), noise(2, 5_000_000));
    put(&buckets, "whole", &whole).await;
    put(&buckets, "other", &other).await;
    // What of two xorbs stays in use, in one object.
    let kept: Bytes = [&whole[3_000_000..3_600_000], &other[1_000_000..1_500_000]].concat().into();
    let before = put(&buckets, "kept", &kept).await;
    for name in ["whole", "other"] {
        delete(&buckets, name).await;
    }
    let report = gc(&buckets).await;
    assert_eq!((report.xorbs_compacted, report.files_rewritten), (2, 1), "{}", report.table());
    assert_eq!(get(&buckets, "kept", None).await, kept);
    assert_eq!(buckets.object(&bucket_id(), ObjectRef::current(&key("kept"))).await.unwrap(), before);
    assert!(pack_bytes(&packs) < 1_500_000);
    assert_sound(&buckets).await;
    assert_eq!(gc(&buckets).await.xorbs_compacted, 0);
    put(&buckets, "again", &kept).await;
    assert!(pack_bytes(&packs) < 1_500_000, "its chunks are found where they are now");
}

#[tokio::test]
async fn uploads_expire() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    let ambient = Ambient { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Ambient::system() };
    let buckets = NativeBuckets::in_memory(ambient).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    let new = |name: &str| NewUpload {
        key: key(name),
        attributes: Attributes::default(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let old = buckets.create_upload(&bucket_id(), new("old")).await.unwrap();
    let old = UploadRef { key: old.key, id: old.id };
    buckets.write_part(&bucket_id(), &old, 1, payload(&noise(1, 300_000))).await.unwrap();
    clock.advance_ms(options().expire_uploads_after.unwrap().as_millis() as u64);
    let young = buckets.create_upload(&bucket_id(), new("young")).await.unwrap();
    assert_eq!(gc(&buckets).await.uploads_expired, 0, "not yet");
    clock.advance_ms(1);
    let report = gc(&buckets).await;
    assert_eq!((report.uploads_expired, report.xorbs_removed), (1, 2));
    assert!(matches!(buckets.upload(&bucket_id(), &old).await, Err(BucketError::NoSuchUpload(_))));
    buckets.upload(&bucket_id(), &UploadRef { key: young.key, id: young.id }).await.unwrap();
}

#[tokio::test]
async fn the_index_is_made_anew_from_the_packs() {
    let (buckets, packs) = small_packs().await;
    let data = noise(1, 3_000_000);
    put(&buckets, "k", &data).await;
    put(&buckets, "gone", &noise(2, 500_000)).await;
    delete(&buckets, "gone").await;
    buckets.store().index.clear().unwrap();
    let report = rebuild_index(buckets.store(), &Throttle::default()).await.unwrap();
    assert_eq!((report.xorbs, report.gap_bytes), (2, 0), "{}", report.table());
    let before = pack_bytes(&packs);
    let longer = Bytes::from([&data[..], b"and a little more"].concat());
    put(&buckets, "longer", &longer).await;
    assert!(pack_bytes(&packs) - before < 200_000);
}

#[tokio::test]
async fn stats_count_what_there_is() {
    let (buckets, packs) = small_packs().await;
    let data = noise(1, 2_000_000);
    for name in ["a", "b"] {
        put(&buckets, name, &data).await;
    }
    put(&buckets, "zeros", &vec![0; 1_000_000].into()).await;
    put(&buckets, "dead", &noise(2, 400_000)).await;
    delete(&buckets, "dead").await;
    let stats = stats(buckets.store()).await.unwrap();
    assert_eq!((stats.buckets, stats.objects, stats.files), (1, 3, 2));
    assert_eq!((stats.logical_bytes, stats.idle_xorbs), (5_000_000, 1));
    assert_eq!((stats.pack_bytes, stats.dead_bytes), (pack_bytes(&packs), 0));
    assert!(stats.dedup_ratio > 2.2 && stats.dedup_ratio < 2.5, "{}", stats.table());
    assert!(stats.compression_ratio > 1.0, "{}", stats.table());
}

#[tokio::test]
async fn a_hint_to_a_xorb_that_is_gone_is_no_answer() {
    let (buckets, _) = small_packs().await;
    let data = noise(1, 300_000);
    put(&buckets, "k", &data).await;
    assert_eq!(get(&buckets, "k", None).await, data, "its row is cached");
    let xorb = xorb_of(&buckets, "k").await;
    let row = buckets.meta.xorb(&xorb).await.unwrap().unwrap();
    delete(&buckets, "k").await;
    assert_eq!(gc(&buckets).await.xorbs_removed, 1);
    // An index that was not synced may remember it.
    buckets.store().index.add(&xorb, &row.table).unwrap();
    put(&buckets, "k", &data).await;
    assert_eq!(get(&buckets, "k", None).await, data);
}

#[tokio::test]
async fn a_reader_with_an_old_place_asks_again() {
    let (buckets, _) = small_packs().await;
    let data = noise(1, 300_000);
    put(&buckets, "k", &data).await;
    assert_eq!(get(&buckets, "k", None).await, data, "its row is cached");
    let hash = xorb_of(&buckets, "k").await;
    let (packs, meta) = (&buckets.store().packs, &buckets.meta);
    let row = meta.xorb(&hash).await.unwrap().unwrap();
    let frame = packs.read(row.pack, row.frame_start(), row.frame_bytes() as usize).unwrap();
    assert!(packs.retire(row.pack));
    let mut lease = packs.lease();
    let (pack, start) = lease.position().unwrap();
    lease.append(&frame).unwrap();
    let hold = lease.commit().unwrap();
    let to = FramePlace { pack, offset: start + 8, frame_end: start + row.frame_bytes() };
    let there = XorbMove { hash, from: row.place(), to };
    assert_eq!(meta.move_xorbs(vec![there]).await.unwrap(), 1);
    drop(hold);
    assert!(meta.forget_pack(row.pack).await.unwrap());
    packs.delete(row.pack).unwrap();
    assert_eq!(get(&buckets, "k", None).await, data);
}

#[tokio::test]
async fn upkeep_collects_in_the_background_until_told_to_stop() {
    let (buckets, packs) = small_packs().await;
    put(&buckets, "k", &noise(1, 500_000)).await;
    delete(&buckets, "k").await;
    let folder = tempfile::tempdir().unwrap();
    let options = UpkeepOptions {
        gc_interval: Some(Duration::from_millis(1)),
        scrub_interval: Some(Duration::from_millis(1)),
        scrub_file: Some(folder.path().join("scrub")),
        ..UpkeepOptions::default()
    };
    let (store, clock) = (Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(upkeep::run(store, clock, options, stop.clone()));
    while !packs.list().unwrap().is_empty() || !folder.path().join("scrub").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test]
async fn a_folder_gets_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path(), None, &Ambient::system()).unwrap();
    let buckets = NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap();
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    for number in 0..10 {
        put(&buckets, &number.to_string(), &noise(number, 300_000)).await;
    }
    let pack_bytes = || {
        let files = std::fs::read_dir(folder.path().join("packs")).unwrap().map(Result::unwrap);
        let packs = files.filter(|file| file.path().extension().is_some_and(|end| end == "pack"));
        packs.map(|pack| pack.metadata().unwrap().len()).sum::<u64>()
    };
    assert_eq!(get(&buckets, "9", None).await, noise(9, 300_000));
    for number in 0..9 {
        delete(&buckets, &number.to_string()).await;
    }
    assert!(pack_bytes() > 3_000_000);
    gc(&buckets).await;
    assert!(pack_bytes() < 310_000);
    assert_eq!(get(&buckets, "9", None).await, noise(9, 300_000));
    assert_sound(&buckets).await;
    assert!(stats(buckets.store()).await.unwrap().index_bytes > 0);
    delete(&buckets, "9").await;
    gc(&buckets).await;
    assert_eq!(pack_bytes(), 0);
}
