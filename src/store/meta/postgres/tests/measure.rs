//! Many writers on several nodes, none of which may keep another from its work; and how much they do in a second
//! (`docs/measurements.md`).

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::*;
use crate::store::meta::{EmbeddedMeta, ObjectChange};
use crate::store::rows::PackId;

const WRITERS: usize = 64;

/// How long each kind of work is done: long enough to meet others, unless it is said that it is to be measured.
fn time() -> Duration {
    let secs = std::env::var("XETGATE_MEASURE_SECS").ok().map(|secs| secs.parse().unwrap());
    secs.map_or(Duration::from_millis(250), Duration::from_secs)
}

/// Works on all nodes at once; answers how much was done in a second.
async fn rate(nodes: &[Store], work: impl AsyncFn(Store, usize, usize) + Copy + 'static) -> u128 {
    let (is_over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (begun, time) = (Instant::now(), time());
    let (is_over, done_count) = (&is_over, &done);
    let workers = (0..WRITERS * nodes.len()).map(|worker| {
        let node = Arc::clone(&nodes[worker % nodes.len()]);
        async move {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) || begun.elapsed() > time {
                    is_over.store(true, Ordering::Relaxed);
                    return;
                }
                work(Arc::clone(&node), worker, number).await;
                done_count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    futures::future::join_all(workers).await;
    done.load(Ordering::Relaxed) as u128 * 1000 / begun.elapsed().as_millis()
}

async fn report(name: &str, nodes: &[Store]) {
    let bucket = conformance::bucket(&nodes[0]).await;
    let (uid, id) = (bucket.uid, bucket.id.clone());
    let nodes_count = nodes.len();
    let key = |worker: usize, number: usize| ObjectKey::new(&format!("{worker}/{number}")).unwrap();
    let put = async move |node: Store, worker: usize, number: usize| {
        let mut file = conformance::file(&format!("{worker} {number}"));
        // Each node has packs of its own, in which no two frames are in one place.
        let row = &mut file.xorbs[0].row;
        row.pack = PackId(1 + (worker % nodes_count) as u64);
        (row.offset, row.frame_end) =
            ((number * 1000 + worker) as u64 * 100, (number * 1000 + worker) as u64 * 100 + 90);
        let put = ObjectChange::Put(Box::new(conformance::object(&file)), Some(Box::new(file)));
        node.change(uid, &key(worker, number), &WriteCondition::default(), put).await.unwrap();
    };
    let puts = rate(nodes, put).await;
    let again = rate(nodes, put).await;
    let (id, whole) = (&*Box::leak(Box::new(id)), |size: u64| 0..size);
    let get = async move |node: Store, worker: usize, _number: usize| {
        let key = key(worker, 0);
        node.content(id, ObjectRef { key: &key, version: None }, &whole).await.unwrap();
    };
    let gets = rate(nodes, get).await;
    assert!(puts > 0 && again > 0 && gets > 0, "{name}: somebody kept the others from all work");
    println!("{name}: {puts} new objects, {again} again in their place, {gets} gets a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_on_several_nodes_let_each_other_work() {
    let folder = tempfile::tempdir().unwrap();
    let embedded: Store = Arc::new(EmbeddedMeta::open(&folder.path().join("meta.redb")).unwrap());
    report("redb", &[embedded]).await;
    for count in 1..=3 {
        let (address, mut nodes) = (address(), Vec::<Store>::new());
        for _ in 0..count {
            nodes.push(Arc::new(PostgresMeta::open(&address, &Ambient::system()).await.unwrap()));
        }
        report(&format!("PostgreSQL, {count} nodes"), &nodes).await;
    }
}
