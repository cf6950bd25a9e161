//! Duplicates that are there already: counted, merged by gc without a wrong byte, and given back.

use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions, GcReport, Thrift};
use crate::store::pack::PackStore;
use crate::store::rebuild::rebuild_index;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::stats::stats;
use crate::store::throttle::Throttle;

const LEN: usize = 6_000_000;

/// As `store gc` does.
fn thorough() -> GcOptions {
    GcOptions { merge_chunks_max: u64::MAX, thrift: Thrift::Thorough, ..GcOptions::default() }
}

/// Versions of a file that differ in two places.
fn version(number: u64) -> Bytes {
    let mut data = noise(0, LEN).to_vec();
    for at in [1_000_000, 4_000_000] {
        data[at..at + 20_000].copy_from_slice(&noise(1000 * number + at as u64, 20_000));
    }
    data.into()
}

/// A store as uploads filled it that did not know of each other: each stored all of its chunks.
async fn full_of_duplicates(versions: u64) -> (Arc<NativeBuckets>, MemoryPacks) {
    let (buckets, packs) = small_packs().await;
    for number in 0..versions {
        buckets.store().index.clear().unwrap();
        put(&buckets, &format!("v{number}"), &version(number)).await;
    }
    assert!(pack_bytes(&packs) > versions * LEN as u64);
    rebuild_index(buckets.store(), &Throttle::default()).await.unwrap();
    (buckets, packs)
}

fn pack_bytes(packs: &MemoryPacks) -> u64 {
    packs.list().unwrap().iter().map(|(_, len)| len).sum()
}

async fn pass(buckets: &NativeBuckets, options: &GcOptions) -> GcReport {
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    collector.pass(options, &Throttle::default()).await.unwrap()
}

async fn assert_whole(buckets: &NativeBuckets, versions: u64) {
    for number in 0..versions {
        assert_eq!(get(buckets, &format!("v{number}"), None).await, version(number));
        let from = get(buckets, &format!("v{number}"), Some(ByteRange::Bounded(999_999, 4_100_000))).await;
        assert_eq!(from, version(number)[999_999..=4_100_000]);
    }
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!(report.damages, []);
}

#[tokio::test]
async fn a_store_full_of_duplicates_shrinks_to_what_is_distinct() {
    let (buckets, packs) = full_of_duplicates(5).await;
    let before = stats(buckets.store()).await.unwrap();
    assert!(before.duplicate_bytes > 3 * LEN as u64 && before.distinct_bytes < 2 * LEN as u64);
    let preview = pass(&buckets, &GcOptions { dry_run: true, ..thorough() }).await;
    assert_eq!(preview.duplicate_bytes, before.duplicate_bytes);
    let report = pass(&buckets, &thorough()).await;
    assert!(report.duplicate_bytes > 3 * LEN as u64, "{}", report.table());
    assert_whole(&buckets, 5).await;
    let after = stats(buckets.store()).await.unwrap();
    let (distinct, stored) = (after.distinct_bytes, pack_bytes(&packs));
    assert!(stored < distinct * 105 / 100, "{stored} of {distinct}");
    assert_eq!(after.duplicate_bytes, 0, "{}", after.table());
    // Each is read in few runs.
    for number in 0..5 {
        let object =
            buckets.object(&bucket_id(), ObjectRef::current(&key(&format!("v{number}")))).await.unwrap();
        let record = buckets.meta.file(&object.file).await.unwrap().unwrap();
        assert!(record.terms.len() <= 12, "{:?}", record.terms);
    }
    assert_eq!(pass(&buckets, &thorough()).await.files_rewritten, 0, "nothing is left to do");
    put(&buckets, "again", &version(3)).await;
    assert_eq!(pack_bytes(&packs), stored, "what was merged is found");
}

/// A pass once left what was beyond so many runs of a xorb, and `store gc` made only one.
#[tokio::test]
async fn runs_that_a_pass_leaves_are_merged_by_the_next() {
    const PLACES: usize = 30;
    let (buckets, _) = small_packs().await;
    for number in 0..2_u64 {
        let mut data = noise(0, 3 * LEN).to_vec();
        for at in (0..PLACES).map(|place| place * 3 * LEN / PLACES) {
            data[at..at + 20_000].copy_from_slice(&noise(1000 + number * 100_000_000 + at as u64, 20_000));
        }
        buckets.store().index.clear().unwrap();
        put(&buckets, &format!("v{number}"), &data.into()).await;
    }
    rebuild_index(buckets.store(), &Throttle::default()).await.unwrap();
    let duplicates = async || stats(buckets.store()).await.unwrap().duplicate_bytes;
    let before = duplicates().await;
    let first = pass(&buckets, &thorough()).await.duplicate_bytes;
    let left = duplicates().await;
    assert!(0 < left && left < before, "{left} of {before}");
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    let rest = collector.passes(&thorough(), &Throttle::default()).await.unwrap().duplicate_bytes;
    assert!(duplicates().await < before / 50, "{first} and {rest} of {before}");
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
}

#[tokio::test]
async fn merging_goes_on_where_the_last_pass_ended() {
    let (buckets, _) = full_of_duplicates(4).await;
    let collector = Collector::new(Arc::clone(buckets.store()), Arc::clone(&buckets.ambient.clock));
    let options = GcOptions { merge_chunks_max: 30, ..GcOptions::default() };
    let mut merged = Vec::new();
    for _ in 0..200 {
        merged.push(collector.pass(&options, &Throttle::default()).await.unwrap().duplicate_bytes);
    }
    assert!(merged[0] < 2 * LEN as u64 && merged.iter().sum::<u64>() > 2 * LEN as u64, "{merged:?}");
    assert_eq!(stats(buckets.store()).await.unwrap().duplicate_bytes, 0);
    assert_eq!(buckets.store().metrics.duplicate_bytes.get(), 0);
    assert!(buckets.store().metrics.distinct_bytes.get() > LEN as u64);
    assert_whole(&buckets, 4).await;
}

#[tokio::test]
async fn a_pass_that_is_dropped_while_it_merges_loses_nothing() {
    let (buckets, _) = full_of_duplicates(4).await;
    for micros in (0..40).map(|round| round * 700) {
        let options = thorough();
        let passing = pass(&buckets, &options);
        drop(tokio::time::timeout(std::time::Duration::from_micros(micros), passing).await);
        assert_whole(&buckets, 4).await;
    }
    pass(&buckets, &thorough()).await;
    assert_eq!(stats(buckets.store()).await.unwrap().duplicate_bytes, 0);
}

#[tokio::test]
async fn a_damaged_copy_is_not_relied_on() {
    let (buckets, packs) = full_of_duplicates(2).await;
    // The copy to keep of what both have.
    let hash = ChunkHash::of(&version(0)[..chunk_lengths(&version(0))[0]]);
    let kept = buckets.store().index.find(&hash).unwrap().unwrap();
    let row = buckets.meta.xorb(&kept.xorb).await.unwrap().unwrap();
    let len = packs.list().unwrap().into_iter().find(|(id, _)| *id == row.pack).unwrap().1;
    let mut bytes = packs.read(row.pack, 0, len as usize).unwrap().to_vec();
    bytes[row.offset as usize + 500] ^= 1;
    packs.delete(row.pack).unwrap();
    packs.create(row.pack).unwrap().append(&bytes).unwrap();
    // The other copy stays for the file that has it; when it was moved, the index names it, and the file that has the
    // damaged one gets it too.
    for readable in [1, 2] {
        pass(&buckets, &thorough()).await;
        let mut found = 0;
        for number in 0..2 {
            let read = buckets
                .read(&bucket_id(), ObjectRef::current(&key(&format!("v{number}"))), None)
                .await
                .unwrap();
            if let Ok(pieces) = read.body.try_collect::<Vec<Bytes>>().await {
                assert_eq!(pieces.concat(), version(number));
                found += 1;
            }
        }
        assert_eq!(found, readable);
    }
}

#[tokio::test]
async fn a_file_that_is_uploaded_again_is_mended_whatever_xorbs_it_is_in() {
    let (buckets, packs) = small_packs().await;
    // The middle of a file lies in a xorb that has more than that.
    let (file, more) = (version(1), [&noise(70, 300_000)[..], &version(1)[2_000_000..3_000_000]].concat());
    put(&buckets, "more", &more.clone().into()).await;
    put(&buckets, "file", &file).await;
    let chunk = more[1_000_000..].windows(64).next().unwrap();
    let mut harmed = false;
    for (id, len) in packs.list().unwrap() {
        let mut bytes = packs.read(id, 0, len as usize).unwrap().to_vec();
        if let Some(at) = bytes.windows(64).position(|window| window == chunk) {
            bytes[at] ^= 1;
            packs.delete(id).unwrap();
            packs.create(id).unwrap().append(&bytes).unwrap();
            harmed = true;
        }
    }
    assert!(harmed);
    let report = scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap();
    assert_eq!(report.damages[0].objects.len(), 2, "both objects are hit: {:?}", report.damages);
    put(&buckets, "file", &file).await;
    assert_eq!(get(&buckets, "file", None).await, file);
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
}
