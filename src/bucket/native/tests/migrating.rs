//! A store that is moved into a cluster, and back: all is there, and goes on.

use std::path::Path;

use tokio::task::spawn_blocking;

use super::nodes::Cluster;
use super::*;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions};
use crate::store::migrate::{MigrateError, Place, Target, migrate};
use crate::store::throttle::Throttle;

/// What a bucket has to show.
#[derive(Debug, PartialEq)]
struct Shown {
    objects: ListPage,
    folders: ListPage,
    versions: VersionPage,
    stats: (BucketStats, VersionStats),
    settings: BucketSettings,
    uploads: Vec<Upload>,
    contents: Vec<Vec<u8>>,
}

async fn shown(buckets: &NativeBuckets) -> Shown {
    let id = bucket_id();
    let all = ListQuery { limit: 1000, ..ListQuery::default() };
    let objects = buckets.list(&id, &all).await.unwrap();
    let folders = buckets.list(&id, &ListQuery { delimiter: Some("/".to_owned()), ..all }).await.unwrap();
    let versions = VersionQuery { limit: 1000, ..VersionQuery::default() };
    let versions = buckets.list_versions(&id, &versions).await.unwrap();
    let mut contents = Vec::new();
    for (key, _) in &objects.objects {
        contents.push(get(buckets, key.as_str(), None).await);
    }
    let uploads = ListUploads { limit: 100, ..ListUploads::default() };
    Shown {
        objects,
        folders,
        versions,
        stats: (buckets.bucket_stats(&id).await.unwrap(), buckets.version_stats(&id).await.unwrap()),
        settings: buckets.bucket_settings(&id).await.unwrap(),
        uploads: buckets.list_uploads(&id, &uploads).await.unwrap().uploads,
        contents,
    }
}

async fn is_sound(buckets: &NativeBuckets) {
    let collector = Collector::new(Arc::clone(buckets.store()), Ambient::system().clock);
    collector.passes(&GcOptions::default(), &Throttle::default()).await.unwrap();
    let checked = check(buckets.store(), &Throttle::default()).await.unwrap();
    assert_eq!(checked.findings, []);
}

/// Opens a data folder. One that was just made is closed by a thread that nobody waits for.
fn open(folder: &Path) -> Arc<NativeBuckets> {
    let open = || LocalStore::open(folder, None, &Ambient::system());
    let mut opened = open();
    for _ in 0..100 {
        if opened.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        opened = open();
    }
    let store = opened.unwrap();
    Arc::new(NativeBuckets::new(Arc::new(store), Ambient::system()).unwrap())
}

async fn store_id(buckets: &NativeBuckets) -> u64 {
    buckets.store().meta.store_id(0).await.unwrap()
}

async fn move_to_folder(from: &NativeBuckets, to: &Path) -> Result<(), MigrateError> {
    let (id, folder) = (store_id(from).await, to.to_owned());
    let target = spawn_blocking(move || Target::make(&Place::Folder(&folder, None), id, &Ambient::system()));
    migrate(from.store(), &target.await.unwrap()?, &Throttle::default()).await.map(drop)
}

async fn move_to_cluster(from: &NativeBuckets, to: &Cluster) -> Result<(), MigrateError> {
    let (id, database, packs) = (store_id(from).await, to.database.clone(), to.packs());
    let target =
        spawn_blocking(move || Target::make(&Place::Cluster(&database, &packs), id, &Ambient::system()));
    migrate(from.store(), &target.await.unwrap()?, &Throttle::default()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_moved_into_a_cluster_and_back() {
    let folders = tempfile::tempdir().unwrap();
    let [home, back] = ["home", "back"].map(|name| folders.path().join(name));
    std::fs::create_dir(&home).unwrap();
    let alone = open(&home);
    alone.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    let versioned = BucketChange::Versioning(Versioning::Enabled);
    alone.change_bucket(&bucket_id(), versioned).await.unwrap();
    let long = noise(1, 20 << 20);
    for (number, name) in (2..).zip(["a", "a/b", "a/b/c", "a", "d/é", "small"]) {
        put(&alone, name, &noise(number, 100_000 * number as usize)).await;
    }
    put(&alone, "long", &long).await;
    alone.delete(&bucket_id(), vec![ObjectDelete::current(key("d/é"))]).await.unwrap();
    let (attributes, lock) = (Attributes::default(), ObjectLock::default());
    let upload = NewUpload { key: key("unfinished"), attributes, checksum: None, lock };
    alone.create_upload(&bucket_id(), upload).await.unwrap();
    let before = shown(&alone).await;
    assert_eq!((before.versions.versions.len(), before.uploads.len()), (8, 1));

    let cluster = Cluster::new();
    move_to_cluster(&alone, &cluster).await.unwrap();
    assert!(matches!(move_to_cluster(&alone, &cluster).await, Err(MigrateError::NotNew)));
    let (node, member) = cluster.enter("node").await;
    assert_eq!(shown(&node).await, before);
    is_sound(&node).await;
    // It goes on there, and finds the chunks that were moved.
    put(&node, "again", &long).await;
    assert_eq!(node.store().metrics.new_raw_bytes.get(), 0);
    put(&node, "a/b/d", &noise(9, 3 << 20)).await;
    let there = shown(&node).await;

    let refused = {
        let (_other, _member) = cluster.enter("other").await;
        tokio::time::timeout(std::time::Duration::from_secs(1), move_to_folder(&node, &back)).await
    };
    // Whether that one lives is waited for.
    assert!(refused.is_err());
    std::fs::remove_dir_all(&back).unwrap();
    let nodes = node.store().meta.nodes().await.unwrap();
    let others = nodes.iter().map(|node| node.epoch).filter(|epoch| *epoch != member.epoch).collect();
    node.store().meta.end_nodes(others).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let living = tokio::spawn(member.live(stop.clone()));
    move_to_folder(&node, &back).await.unwrap();
    stop.cancel();
    living.await.unwrap().unwrap();
    assert!(matches!(move_to_folder(&alone, &back).await, Err(MigrateError::NotEmpty(_))));
    let home_again = open(&back);
    assert_eq!(shown(&home_again).await, there);
    is_sound(&home_again).await;
    assert_eq!(shown(&home_again).await, there);
    put(&home_again, "new", &noise(10, 1 << 20)).await;
    is_sound(&home_again).await;
}
