//! Stores of every format that is upgraded: what was in them is there afterwards, whatever ends the upgrade in between.

use redb::{Database, ReadableDatabase as _};
use rustix::io::Errno;

use super::*;
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey};
use crate::model::object::ObjectRef;
use crate::store::meta::{EmbeddedMeta, MetaStore as _, Wanted};
use crate::store::simulated::faults::{Faults, Operation, failing_place};
use crate::store::simulated::{Disk, keep_metadata, simulated_place};

/// The stored example of a format, in a store of its own.
fn stored(format: u64) -> Vec<u8> {
    let stores = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores");
    let names = [format!("{stores}/format-{format}.redb"), format!("{stores}/format-{format}/meta.redb")];
    names.iter().find_map(|name| std::fs::read(name).ok()).unwrap()
}

fn on_disk(format: u64) -> Arc<Disk> {
    let disk = Arc::new(Disk::default());
    keep_metadata(&disk, &stored(format)).unwrap();
    disk
}

/// The format that the file has, as a build of any format sees it.
fn format_of(disk: &Arc<Disk>) -> u64 {
    let database = open_database(simulated_place(disk).open(), &Arc::default()).unwrap();
    let counters = database.begin_read().unwrap().open_table(COUNTERS.redb()).unwrap();
    counters.get("format").unwrap().unwrap().value()
}

/// Everything that the metadata say, as text.
async fn everything(meta: &EmbeddedMeta) -> Vec<String> {
    use crate::store::meta::AccountStore as _;
    let view = meta.view().await.unwrap();
    let mut all = vec![format!("{:?}", view.counts().await.unwrap())];
    for bucket in view.buckets().await.unwrap() {
        let settings = meta.bucket_settings(bucket.uid).await.unwrap();
        let stats = view.bucket_stats(bucket.uid).await.unwrap();
        all.push(format!("{bucket:?} {settings:?} {stats:?}"));
    }
    for ((bucket, key), _) in view.objects(None, 1000).await.unwrap() {
        // With its parts.
        all.push(format!("{bucket:?} {key:?} {:?}", meta.object(bucket, &key).await.unwrap()));
    }
    all.extend(view.uploads(None, 1000).await.unwrap().iter().map(|upload| format!("{upload:?}")));
    all.extend(view.parts(None, 1000).await.unwrap().iter().map(|part| format!("{part:?}")));
    all.extend(view.files(None, 1000).await.unwrap().iter().map(|file| format!("{file:?}")));
    all.extend(view.file_uses(None, 1000).await.unwrap().iter().map(|uses| format!("{uses:?}")));
    all.extend(view.xorbs(None, 1000).await.unwrap().iter().map(|xorb| format!("{xorb:?}")));
    all.extend(view.packs().await.unwrap().iter().map(|pack| format!("{pack:?}")));
    all.push(format!("{:?}", meta.accounts().await.unwrap()));
    all
}

async fn opened(place: Arc<dyn Place>) -> Vec<String> {
    everything(&EmbeddedMeta::open_at(place).unwrap()).await
}

/// It holds small objects, and one of 28 parts that are copies of one of 40 parts.
#[tokio::test]
async fn a_store_of_format_4_is_upgraded_and_its_long_records_are_split() {
    let disk = on_disk(4);
    let id =
        BucketId { namespace: Namespace::new("root").unwrap(), name: BucketName::new("stored").unwrap() };
    let place = simulated_place(&disk);
    let meta = EmbeddedMeta::open_at(Arc::clone(&place)).unwrap();
    let content = async |key: &str, wanted: Wanted<'_>| {
        meta.content(&id, ObjectRef::current(&ObjectKey::new(key).unwrap()), wanted).await.unwrap()
    };
    assert_eq!(content("small", &|size| 0..size).await.terms.into_record().unwrap().size, 14);
    let long = content("long", &|size| 0..size).await;
    assert_eq!(long.object.size, 28 * 40 * (5 << 20));
    let terms = long.terms.terms_in_file;
    let record = long.terms.into_record().unwrap();
    let bytes: u64 = record.terms.iter().map(|term| u64::from(term.raw_bytes)).sum();
    assert_eq!((record.size, bytes), (long.object.size, long.object.size));
    assert!(terms > 1024, "{terms}");
    let end = content("long", &|size| size - 1..size).await.terms;
    assert!(end.len() <= 1024 && end.start > 0, "only its end is read: {} from {}", end.len(), end.start);
    assert_eq!(end.iter().last(), record.terms.last());
}

/// What was in it is told in `bucket::native::tests::previous_release`, which reads it through the whole store.
#[tokio::test]
async fn a_store_that_was_upgraded_stays_as_it_is() {
    for format in OLDER {
        let disk = on_disk(format);
        let place = simulated_place(&disk);
        let first = opened(Arc::clone(&place)).await;
        closed(&disk).await;
        assert_eq!(format_of(&disk), FORMAT);
        let again = opened(simulated_place(&disk)).await;
        assert_eq!(again, first);
        assert!(first.len() > 6, "{first:?}");
    }
}

const OLDER: [u64; 3] = [4, 5, 6];

/// Waits until the writer's thread has seen that nobody can ask it any more, and has let go of the file.
async fn closed(disk: &Arc<Disk>) {
    let mut operations = disk.operations();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if std::mem::replace(&mut operations, disk.operations()) == operations {
            return;
        }
    }
}

#[tokio::test]
async fn a_power_cut_in_any_step_of_an_upgrade_leaves_the_old_store_or_the_new_one() {
    for format in OLDER {
        let expected = opened(simulated_place(&on_disk(format))).await;
        let disk = on_disk(format);
        let made = disk.operations();
        // The upgrade alone, without what the store does once it is open.
        upgrade(&*simulated_place(&disk), format).unwrap();
        let operations = disk.operations();
        assert!(operations > made + 10, "{operations}");
        let (mut old, mut new) = (0, 0);
        for at in made + 1..=operations {
            let disk = on_disk(format);
            disk.cut_at(at);
            let error = upgrade(&*simulated_place(&disk), format).unwrap_err();
            assert!(matches!(error, MetaError::Unavailable(_)), "{error}");
            for seed in [at, at + 1_000_003] {
                let disk = Arc::new(disk.power_cut(seed));
                match format_of(&disk) {
                    FORMAT => new += 1,
                    found if found == format => old += 1,
                    found => panic!("format {found} after a cut at operation {at}"),
                }
                let found = opened(simulated_place(&disk)).await;
                assert!(found == expected, "cut at operation {at} of {operations}, seed {seed}");
            }
        }
        assert!(old > 0 && new > 0, "{old} found the old store, {new} the new one");
    }
}

#[tokio::test]
async fn an_upgrade_that_fails_leaves_the_old_store() {
    for (operation, errno) in [
        (Operation::Copy, Errno::NOSPC),
        (Operation::Grow, Errno::NOSPC),
        (Operation::Write, Errno::IO),
        (Operation::Sync, Errno::IO),
        (Operation::Adopt, Errno::IO),
    ] {
        let (disk, faults) = (on_disk(5), Arc::<Faults>::default());
        let place = failing_place(simulated_place(&disk), Arc::clone(&faults));
        faults.fail(operation, errno);
        let error = upgrade(&*place, 5).unwrap_err();
        let is_full = matches!(error, MetaError::Full(_));
        assert_eq!(is_full, errno == Errno::NOSPC, "{error}");
        assert!(error.to_string().contains("the upgrade from format 5 was not made"), "{error}");
        assert_eq!(format_of(&disk), 5, "{operation:?}");
        assert!(faults.mend() > 0, "{operation:?} was never met");
        let upgraded = opened(simulated_place(&disk)).await;
        assert_eq!(upgraded, opened(simulated_place(&on_disk(5))).await);
    }
}

/// Changes the example of a format, and answers why it is not opened.
fn refusal(change: impl FnOnce(&redb::WriteTransaction)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.redb");
    std::fs::write(&path, stored(5)).unwrap();
    let before = {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        drop(database);
        std::fs::metadata(&path).unwrap().len()
    };
    let error = EmbeddedMeta::open(&path).err().unwrap().to_string();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
    assert!(!path.with_extension("upgrade").exists());
    error
}

fn set_format(transaction: &redb::WriteTransaction, format: u64) {
    transaction.open_table(COUNTERS.redb()).unwrap().insert("format", format).unwrap();
}

#[test]
fn a_store_of_an_unknown_format_is_refused_with_the_build_to_use() {
    let this = env!("CARGO_PKG_VERSION");
    let later = refusal(|transaction| {
        set_format(transaction, FORMAT + 1);
        let builds = redb::TableDefinition::<&str, &str>::new("builds");
        transaction.open_table(builds).unwrap().insert("last", "7.8.9").unwrap();
    });
    for part in [
        format!("format {}", FORMAT + 1),
        format!("xetgate {this} reads formats 4 to {FORMAT}"),
        "use xetgate 7.8.9, which wrote it, or a later one".to_owned(),
    ] {
        assert!(later.contains(&part), "{later}");
    }
    let unnamed = refusal(|transaction| set_format(transaction, FORMAT + 1));
    assert!(unnamed.contains("use the version of xetgate that wrote it, or a later one"), "{unnamed}");
    let ancient = refusal(|transaction| set_format(transaction, 3));
    assert!(ancient.ends_with("use the version of xetgate that wrote it"), "{ancient}");
}

#[test]
fn an_upgrade_that_cannot_read_a_row_is_refused_and_leaves_the_old_store() {
    let error = refusal(|transaction| {
        transaction
            .open_table(super::super::tables::ACCOUNTS.redb())
            .unwrap()
            .insert("x", [9].as_slice())
            .unwrap();
    });
    assert!(error.contains("an account cannot be read") && error.contains("as they were"), "{error}");
}

#[test]
fn a_file_is_upgraded_and_no_copy_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.redb");
    std::fs::write(&path, stored(5)).unwrap();
    // What a crash has left of an earlier try.
    std::fs::write(path.with_extension("upgrade"), b"half").unwrap();
    drop(EmbeddedMeta::open(&path).unwrap());
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["meta.redb"]);
}

#[test]
fn accounts_of_format_5_say_whether_new_buckets_are_public() {
    use crate::model::accounts::Account;
    use crate::model::bucket::Visibility;
    use crate::store::meta::rows::Stored as _;
    let old = b"\x04team\x01\x02\x03ada\x03bob";
    let read = |row: &[u8]| Account::from_row(&account_of_format_5(row).unwrap()).unwrap();
    assert_eq!((read(old).name.as_str(), read(old).members.len(), read(old).new_buckets), ("team", 2, None));
    for (set, visibility) in [(0, Visibility::Private), (1, Visibility::Public)] {
        assert_eq!(read(&[old.as_slice(), &[set]].concat()).new_buckets, Some(visibility));
    }
    assert!(account_of_format_5(&old[..old.len() - 1]).is_err());
}
