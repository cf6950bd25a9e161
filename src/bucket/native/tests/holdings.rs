//! What buckets are said to hold: `check` finds it if it is not true.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableTable as _, TableDefinition};

use super::{bucket_id, noise, put};
use crate::bucket::native::NativeBuckets;
use crate::bucket::{Buckets as _, Visibility};
use crate::model::clock::Ambient;
use crate::store::check::check;
use crate::store::index::MemoryIndex;
use crate::store::local::LocalStore;
use crate::store::meta::EmbeddedMeta;
use crate::store::pack::MemoryPacks;
use crate::store::throttle::Throttle;

const STATS: TableDefinition<u64, (u64, u64)> = TableDefinition::new("bucket_stats");
const FILES: TableDefinition<(u64, [u8; 32]), u64> = TableDefinition::new("bucket_files");

fn open(meta: &Path, packs: &MemoryPacks) -> NativeBuckets {
    let meta = Arc::new(EmbeddedMeta::open(meta).unwrap());
    let index = Arc::new(MemoryIndex::default());
    let store = LocalStore::assemble(meta, Arc::new(packs.clone()), index, 1 << 20).unwrap();
    NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap()
}

/// Opens the rows as soon as nobody has them open any more: the writer's thread ends by itself.
async fn rows(meta: &Path) -> Database {
    for _ in 0..1000 {
        if let Ok(rows) = Database::open(meta) {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the metadata stays open");
}

#[tokio::test]
async fn what_a_bucket_is_said_to_hold_is_checked() {
    let (folder, packs) = (tempfile::tempdir().unwrap(), MemoryPacks::default());
    let meta = folder.path().join("meta.redb");
    let buckets = open(&meta, &packs);
    buckets.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    put(&buckets, "one", &noise(1, 1000)).await;
    put(&buckets, "same", &noise(1, 1000)).await;
    put(&buckets, "other", &noise(2, 50)).await;
    let report = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert!(report.is_clean(), "{}", report.table());
    drop(buckets);

    let rows = rows(&meta).await;
    let change = rows.begin_write().unwrap();
    {
        let mut stats = change.open_table(STATS).unwrap();
        let (bucket, held) = {
            let first = stats.first().unwrap().unwrap();
            (first.0.value(), first.1.value())
        };
        assert_eq!(held, (2050, 3));
        stats.insert(bucket, (2049, 3)).unwrap();
        let mut files = change.open_table(FILES).unwrap();
        let two = files.iter().unwrap().map(Result::unwrap).find(|row| row.1.value() == 2).unwrap().0.value();
        files.insert(two, 1).unwrap();
        files.insert((bucket, [7; 32]), 1).unwrap();
    }
    change.commit().unwrap();
    drop(rows);

    let buckets = open(&meta, &packs);
    let found = check(buckets.store(), &Throttle::default()).await.unwrap().table();
    assert!(
        found.contains("bucket ada/b holds 3 objects of 2050 bytes, its row says 3 of 2049\n"),
        "{found}"
    );
    assert!(found.contains("is used 2 times, its count says 1\n"), "{found}");
    assert!(found.contains("1 files are counted in buckets that have no object of them\n"), "{found}");
}
