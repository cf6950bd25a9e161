//! Two nodes of a cluster: what one has written the other does not write again.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::clock::ManualClock;
use crate::store::cluster::Member;
use crate::store::gc::{Collector, GcOptions};
use crate::store::joining::ClusterPlace;
use crate::store::meta::{MetaError, Node, PostgresAddress, address_for_tests};
use crate::store::pack::object::ObjectAddress;
use crate::store::throttle::Throttle;

/// Longer than it takes until all have heard of what one has written.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster, and a folder for each of its nodes.
pub(super) struct Cluster {
    folder: tempfile::TempDir,
    pub(super) database: PostgresAddress,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: address_for_tests() }
    }

    /// Lets a node in that has never been there.
    pub(super) async fn enter(&self, name: &str) -> (Arc<NativeBuckets>, Member) {
        self.enter_at(name, Ambient::system()).await
    }

    /// The same, by this clock.
    async fn enter_at(&self, name: &str, ambient: Ambient) -> (Arc<NativeBuckets>, Member) {
        let packs = self.packs();
        let (folder, database) = (self.folder.path().join(name), self.database.clone());
        std::fs::create_dir(&folder).unwrap();
        let node = Node {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            entered_at: ambient.clock.now(),
            key_mark: [0; 8],
        };
        let joining = tokio::task::spawn_blocking(move || {
            let place = ClusterPlace { database: &database, packs: &packs, silence: Duration::from_secs(30) };
            (LocalStore::join(&folder, place, &node, &ambient).unwrap(), ambient)
        });
        let ((store, member), ambient) = joining.await.unwrap();
        (Arc::new(NativeBuckets::new(Arc::new(store), ambient).unwrap()), member)
    }

    /// Where the packs are.
    pub(super) fn packs(&self) -> ObjectAddress {
        let url = format!("file://{}/packs", self.folder.path().display());
        ObjectAddress { url, ..ObjectAddress::default() }
    }

    /// Names of the packs that are there.
    fn pack_files(&self) -> Vec<PathBuf> {
        let folders = std::fs::read_dir(self.folder.path().join("packs/packs")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn new_bytes(buckets: &NativeBuckets) -> u64 {
    buckets.store().metrics.new_raw_bytes.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_heard_nothing_asks() {
    let cluster = Cluster::new();
    let (one, _member) = cluster.enter("one").await;
    one.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    let data = noise(1, 20 << 20);
    put(&one, "first", &data).await;
    let (two, _member) = cluster.enter("two").await;
    put(&two, "again", &data).await;
    assert_eq!(new_bytes(&two), 0, "the first chunk leads to all others");
    assert_eq!(two.store().metrics.chunks_shared.get(), 1);
    assert_eq!(get(&two, "again", None).await, data);

    // What nobody has is asked for once or twice, and stored.
    let other = noise(2, 20 << 20);
    put(&two, "other", &other).await;
    assert_eq!(new_bytes(&two), other.len() as u64);
    let asked = two.store().metrics.chunks_asked.get();
    assert!(asked < 8, "{asked}");
    // A small object costs no question.
    put(&two, "small", &noise(3, 4096)).await;
    assert_eq!(two.store().metrics.chunks_asked.get(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_of_what_others_write_and_of_what_is_gone() {
    let cluster = Cluster::new();
    let stop = CancellationToken::new();
    let (one, member) = cluster.enter("one").await;
    let first_lives = tokio::spawn(member.live(stop.clone()));
    let (two, member) = cluster.enter("two").await;
    let second_lives = tokio::spawn(member.live(stop.clone()));
    one.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    let data = noise(4, 20 << 20);
    put(&one, "first", &data).await;
    let heard = async {
        while two.store().metrics.xorbs_heard.get() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
    // The beginning is another: there is nothing that could be asked for.
    let behind: Bytes = [&noise(5, 100_000)[..], &data].concat().into();
    put(&two, "behind", &behind).await;
    let new = new_bytes(&two);
    assert!(new < 512 << 10, "{new}");
    assert_eq!(get(&one, "behind", None).await, behind);

    // Nobody relies on what a collector has removed, whatever the nodes remember.
    let deletes = ["first", "behind"].map(|name| ObjectDelete::current(key(name)));
    one.delete(&bucket_id(), deletes.into()).await.unwrap();
    let collector = Collector::new(Arc::clone(one.store()), Ambient::system().clock);
    let collected = collector.passes(&GcOptions::default(), &Throttle::default()).await.unwrap();
    assert!(collected.xorbs_removed > 0);
    put(&two, "once more", &behind).await;
    assert_eq!(get(&one, "once more", None).await, behind);
    stop.cancel();
    first_lives.await.unwrap().unwrap();
    second_lives.await.unwrap().unwrap();
    assert_eq!(one.store().meta.nodes().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_on_nothing_all_enter() {
    let cluster = Cluster::new();
    let entered = futures::future::join_all(["one", "two", "three"].map(|name| cluster.enter(name))).await;
    let mut epochs: Vec<_> = entered.iter().map(|(_, member)| member.epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_without_rows_stay_while_their_node_lives_however_old_they_seem() {
    let cluster = Cluster::new();
    let stop = CancellationToken::new();
    let (writer, member) = cluster.enter("writer").await;
    let writer_lives = tokio::spawn(member.live(stop.clone()));
    // As of an upload that is still under way.
    let packs = Arc::clone(&writer.store().packs);
    let writing = tokio::task::spawn_blocking(move || {
        let mut lease = packs.lease();
        lease.position().unwrap();
        lease.append(&noise(6, 1000)).unwrap();
        lease.commit().unwrap()
    });
    let _hold = writing.await.unwrap();
    let clock = Arc::new(ManualClock::at(Ambient::system().clock.now()));
    let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
    let (collecting, member) = cluster.enter_at("collecting", ambient).await;
    let epoch = member.epoch;
    let _lives = tokio::spawn(member.live(CancellationToken::new()));
    clock.advance_ms(25 * 3600 * 1000);
    let collector = Collector::new(Arc::clone(collecting.store()), clock);
    let collect = async || collector.passes(&GcOptions::default(), &Throttle::default()).await.unwrap();
    collect().await;
    assert_eq!(cluster.pack_files().len(), 1);
    // Of a node that was ended nothing gets a row any more.
    let nodes = collecting.store().meta.nodes().await.unwrap();
    let ended = nodes.iter().map(|node| node.epoch).filter(|other| *other != epoch).collect();
    collecting.store().meta.end_nodes(ended).await.unwrap();
    assert!(matches!(writer_lives.await.unwrap(), Err(MetaError::NodeEnded)));
    collect().await;
    assert_eq!(cluster.pack_files(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_before_the_answer_begins() {
    let cluster = Cluster::new();
    let (node, _member) = cluster.enter("node").await;
    node.create_bucket(&bucket_id(), Visibility::Private).await.unwrap();
    put(&node, "k", &noise(7, 8 << 20)).await;
    for pack in cluster.pack_files() {
        std::fs::remove_file(pack).unwrap();
    }
    let read = node.read(&bucket_id(), ObjectRef::current(&key("k")), None).await;
    assert!(read.is_err());
}
