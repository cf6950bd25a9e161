//! Bit flips in packs: a flip is harmless or an error to the reader, and scrub finds every one in live data.

use super::*;
use crate::store::check::check;
use crate::store::pack::{PackId, PackStore};
use crate::store::scrub::{ScrubCursor, ScrubReport, scrub};
use crate::store::throttle::Throttle;

/// How many flips to try: few, or as many as `XETGATE_FLIPS` says.
pub(super) fn flips() -> u64 {
    std::env::var("XETGATE_FLIPS").map_or(60, |flips| flips.parse().unwrap())
}

/// Which flip a round makes: any number, the same for the same round. `XETGATE_FLIP_SEED` makes it others.
pub(super) fn roll(round: u64) -> u64 {
    let seed: u64 = std::env::var("XETGATE_FLIP_SEED").map_or(0, |seed| seed.parse().unwrap());
    let hash = blake3::hash(&[seed.to_le_bytes(), round.to_le_bytes()].concat());
    u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap())
}

fn flip(packs: &MemoryPacks, id: PackId, bit: u64) {
    let len = packs.list().unwrap().into_iter().find(|(found, _)| *found == id).unwrap().1;
    let mut bytes = packs.read(id, 0, len as usize).unwrap().to_vec();
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    packs.delete(id).unwrap();
    packs.create(id).unwrap().append(&bytes).unwrap();
}

async fn scrub_all(buckets: &NativeBuckets) -> ScrubReport {
    scrub(buckets.store(), ScrubCursor::default(), &Throttle::default()).await.unwrap()
}

/// Objects that cannot be read. Those that can have their bytes.
async fn unreadable(buckets: &NativeBuckets, objects: &[(String, Bytes)]) -> Vec<String> {
    let mut unreadable = Vec::new();
    for (name, data) in objects {
        let pieces = match buckets.read(&bucket_id(), ObjectRef::current(&key(name)), None).await {
            Ok(read) => read.body.try_collect::<Vec<Bytes>>().await,
            Err(error) => Err(error),
        };
        match pieces {
            Ok(pieces) => assert_eq!(pieces.concat(), *data, "never other bytes"),
            Err(BucketError::Corrupt(what)) => {
                assert!(what.contains(name.as_str()) && what.contains("pack"), "{what}");
                unreadable.push(format!("{}/{name}", bucket_id()));
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreadable
}

#[tokio::test]
async fn a_flip_is_harmless_or_an_error_and_scrub_finds_it() {
    let (buckets, packs) = small_packs().await;
    let mut objects = Vec::new();
    for seed in 0..3 {
        objects.push((format!("noise-{seed}"), noise(seed, 30_000 << seed)));
    }
    // Streamed, to a pack of its own.
    objects.push(("large".to_owned(), noise(9, 1_200_000)));
    let text: Vec<u8> =
        (0..60_000_u32).flat_map(|i| format!("line {i}\n").into_bytes()).take(300_000).collect();
    objects.push(("text".to_owned(), text.into()));
    objects.push(("same".to_owned(), noise(1, 60_000)));
    for (name, data) in &objects {
        put(&buckets, name, data).await;
    }
    assert_eq!(scrub_all(&buckets).await.damages, []);
    let all = packs.list().unwrap();
    assert!(all.len() > 1);
    let mut harmful = 0;
    for round in 0..flips() {
        let mut bit = roll(round) % (all.iter().map(|(_, len)| len * 8).sum::<u64>());
        let mut id = all[0].0;
        for (pack, len) in &all {
            id = *pack;
            if bit < len * 8 {
                break;
            }
            bit -= len * 8;
        }
        flip(&packs, id, bit);
        let mut hit = unreadable(&buckets, &objects).await;
        let report = scrub_all(&buckets).await;
        let mut named: Vec<_> = report.damages.into_iter().flat_map(|damage| damage.objects).collect();
        hit.sort();
        named.sort();
        assert_eq!(hit, named, "round {round}: bit {bit} of pack {id}");
        harmful += u64::from(!hit.is_empty());
        flip(&packs, id, bit);
    }
    eprintln!("{} flips in {} packs: {harmful} hit an object, and were found", flips(), all.len());
    assert!(harmful > flips() / 2, "most of a pack is data");
    assert_eq!(unreadable(&buckets, &objects).await, [""; 0]);
}

#[tokio::test]
async fn flips_in_heads_and_trailers_are_found_and_hit_nothing() {
    let (buckets, packs) = small_packs().await;
    let data = noise(1, 20_000);
    put(&buckets, "k", &data).await;
    let (id, len) = packs.list().unwrap()[0];
    for byte in (0..8).chain(len - 60..len) {
        flip(&packs, id, byte * 8 + byte % 8);
        let report = scrub_all(&buckets).await;
        assert_eq!(report.damages.len(), 1, "byte {byte}");
        assert!(report.damages[0].objects.is_empty(), "{}", report.table());
        assert_eq!(get(&buckets, "k", None).await, data);
        assert!(!check(buckets.store(), &Throttle::default()).await.unwrap().is_clean(), "byte {byte}");
        flip(&packs, id, byte * 8 + byte % 8);
    }
}

#[tokio::test]
async fn a_lost_pack_is_found_with_all_it_hits() {
    let (buckets, packs) = small_packs().await;
    put(&buckets, "lost", &noise(1, 1_500_000)).await;
    let upload = NewUpload {
        key: key("k"),
        attributes: Attributes::default(),
        checksum: None,
        lock: ObjectLock::default(),
    };
    let upload = buckets.create_upload(&bucket_id(), upload).await.unwrap();
    let upload = UploadRef { key: upload.key, id: upload.id };
    buckets.write_part(&bucket_id(), &upload, 7, payload(&noise(1, 1_500_000))).await.unwrap();
    let (id, _) = packs.list().unwrap()[0];
    packs.delete(id).unwrap();
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.table().contains(&format!("pack {id}: it is not there")), "{}", report.table());
    let damages = scrub_all(&buckets).await.damages;
    let part = format!("ada/b/k (part 7 of upload {})", upload.id);
    assert_eq!(damages[0].objects, [part, "ada/b/lost".to_owned()]);
}

#[tokio::test]
async fn a_stopped_scrub_goes_on_where_it_was() {
    let (buckets, _) = small_packs().await;
    for seed in 0..6 {
        put(&buckets, &seed.to_string(), &noise(seed, 400_000)).await;
    }
    let whole = scrub_all(&buckets).await;
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("scrub");
    let (mut cursor, mut frames, mut stops) = (ScrubCursor::load(&saved), 0, 0);
    loop {
        let throttle = Throttle { bytes_per_sec: Some(100_000_000), ..Throttle::default() };
        let scrubbing = scrub(buckets.store(), cursor, &throttle);
        let stop = async {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            throttle.stop.cancel();
        };
        let (report, ()) = tokio::join!(scrubbing, stop);
        let report = report.unwrap();
        frames += report.frames;
        match report.cursor {
            Some(next) => {
                next.save(&saved).unwrap();
                cursor = ScrubCursor::load(&saved);
                assert_eq!(cursor, next);
            }
            None => break,
        }
        stops += 1;
    }
    assert!(stops > 0);
    assert_eq!(frames, whole.frames);
}

#[tokio::test]
async fn what_is_uploaded_again_mends_what_was_damaged() {
    // A small one shares a pack, a large one has streamed to a pack of its own; a reader finds the damage, or scrub.
    for (len, is_read) in [(50_000, true), (50_000, false), (1_500_000, true), (1_500_000, false)] {
        let (buckets, packs) = small_packs().await;
        let data = noise(1, len);
        put(&buckets, "k", &data).await;
        put(&buckets, "other", &noise(2, 50_000)).await;
        let (id, _) = packs.list().unwrap()[0];
        flip(&packs, id, 8 * 20_000);
        if is_read {
            assert_eq!(unreadable(&buckets, &[("k".to_owned(), data.clone())]).await, ["ada/b/k"]);
        } else {
            assert_eq!(scrub_all(&buckets).await.damages[0].objects, ["ada/b/k"]);
        }
        put(&buckets, "again", &data).await;
        assert_eq!(get(&buckets, "again", None).await, data);
        assert_eq!(get(&buckets, "k", None).await, data, "its xorb lies elsewhere now");
        assert_eq!(scrub_all(&buckets).await.damages, []);
        let report = check(buckets.store(), &Throttle::default()).await.unwrap();
        assert!(report.is_clean(), "{}", report.table());
    }
}
