//! Several nodes on one database, under load and when it fails.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::linearizability::{Event, Operation, Value, is_linearizable};
use super::server::Server;
use super::*;
use crate::model::bucket::BucketUid;
use crate::model::object::ETag;

const NODES: usize = 3;

async fn nodes(address: &PostgresAddress) -> Vec<Store> {
    let mut nodes: Vec<Store> = Vec::new();
    for _ in 0..NODES {
        nodes.push(Arc::new(PostgresMeta::open(address, &Ambient::system()).await.unwrap()));
    }
    nodes
}

fn content(value: u64) -> String {
    format!("content {value}")
}

/// What a register holds, by its object's file.
fn etag(value: u64) -> String {
    ETag::Xet(conformance::file(&content(value)).record.hash).to_string()
}

/// The operations of one client, on registers that others use too.
struct Client {
    node: Store,
    bucket: BucketUid,
    clock: Arc<AtomicU64>,
    values: Arc<Mutex<BTreeMap<crate::xet::hash::FileHash, u64>>>,
    history: Arc<Mutex<BTreeMap<u64, Vec<Event>>>>,
    random: u64,
}

impl Client {
    fn random(&mut self, below: u64) -> u64 {
        // xorshift64: the same operations each time, in an order that the machine decides.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    async fn read(&self, key: &ObjectKey) -> Result<Value, MetaError> {
        let object = self.node.object(self.bucket, key).await?;
        Ok(object.map(|object| self.values.lock().unwrap()[&object.file]))
    }

    async fn write(&self, key: &ObjectKey, condition: WriteCondition, value: Value) -> Result<(), MetaError> {
        let change = value.map_or_else(conformance::deletion, |value| {
            let hash = conformance::file(&content(value)).record.hash;
            self.values.lock().unwrap().insert(hash, value);
            conformance::put(&content(value))
        });
        self.node.change(self.bucket, key, &condition, change).await.map(drop)
    }

    /// One operation; what became of it goes into the history.
    async fn step(&mut self, registers: u64, fresh: u64) {
        let register = self.random(registers);
        let key = ObjectKey::new(&format!("register/{register}")).unwrap();
        let kind = self.random(100);
        let known = if (65..85).contains(&kind) { self.read(&key).await.unwrap_or(None) } else { None };
        let begun = self.clock.fetch_add(1, Ordering::SeqCst);
        let no_condition = WriteCondition::default();
        let (tried, outcome) = match kind {
            0..40 => {
                let seen = self.read(&key).await;
                (Operation::Read(seen.clone().unwrap_or(None)), seen.map(drop))
            }
            40..65 => (Operation::Write(Some(fresh)), self.write(&key, no_condition, Some(fresh)).await),
            65..85 if known.is_some() => {
                let if_match = known.map(|value| ETagCondition::OneOf(vec![etag(value)]));
                let condition = WriteCondition { if_match, ..no_condition };
                let done = self.write(&key, condition, Some(fresh)).await;
                (Operation::Swapped { from: known, to: Some(fresh) }, done)
            }
            85..90 => (Operation::Write(None), self.write(&key, no_condition, None).await),
            _ => {
                let condition = WriteCondition { if_none_match: Some(ETagCondition::Any), ..no_condition };
                let done = self.write(&key, condition, Some(fresh)).await;
                (Operation::Swapped { from: None, to: Some(fresh) }, done)
            }
        };
        let ended = Some(self.clock.fetch_add(1, Ordering::SeqCst));
        let event = match (tried, outcome) {
            (operation, Ok(())) => Event { begun, ended, operation },
            (Operation::Swapped { from, .. }, Err(MetaError::ConditionFailed | MetaError::NoSuchObject)) => {
                let operation =
                    if from.is_none() { Operation::Occupied } else { Operation::NotSwapped { from } };
                Event { begun, ended, operation }
            }
            (Operation::Read(_), Err(MetaError::Away(_))) => return,
            (operation, Err(MetaError::Away(_) | MetaError::Busy(_))) => {
                Event { begun, ended: None, operation }
            }
            (operation, Err(error)) => panic!("{operation:?}: {error}"),
        };
        self.history.lock().unwrap().entry(register).or_default().push(event);
    }
}

/// Lets clients work on all nodes; answers what each register's history is.
async fn record(
    nodes: &[Store],
    (clients, steps, registers): (usize, u64, u64),
) -> BTreeMap<u64, Vec<Event>> {
    let bucket = conformance::bucket(&nodes[0]).await;
    let history = Arc::new(Mutex::default());
    let (clock, values) = (Arc::new(AtomicU64::new(1)), Arc::new(Mutex::default()));
    let clients = (0..clients).map(|number| {
        let mut client = Client {
            node: Arc::clone(&nodes[number % nodes.len()]),
            bucket: bucket.uid,
            clock: Arc::clone(&clock),
            values: Arc::clone(&values),
            history: Arc::clone(&history),
            random: 0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1),
        };
        tokio::spawn(async move {
            for step in 0..steps {
                client.step(registers, number as u64 * steps + step + 1).await;
            }
        })
    });
    for client in futures::future::join_all(clients).await {
        client.unwrap();
    }
    std::mem::take(&mut history.lock().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_8_clients_on_3_nodes_is_linearizable() {
    let nodes = nodes(&address()).await;
    let histories = record(&nodes, (8, 1250, 64)).await;
    assert_eq!(histories.values().map(Vec::len).sum::<usize>(), 10_000);
    for (register, events) in &histories {
        assert!(is_linearizable(events), "register {register}: {events:?}");
    }
}

/// The database crashes and its connections are cut, again and again, while three nodes write.
#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_database_loses_nothing_that_was_acknowledged() {
    let server = Arc::new(Server::start());
    let address = PostgresAddress::new(&server.url(), "crashing", None).unwrap();
    let nodes = nodes(&address).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let crashing = {
        let (server, is_over) = (Arc::clone(&server), Arc::clone(&is_over));
        tokio::task::spawn_blocking(move || {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(500));
                server.crash();
                std::thread::sleep(Duration::from_millis(300));
                server.go_on();
                server.cut_connections();
                std::thread::sleep(Duration::from_millis(200));
                server.cut_connections();
            }
            is_over.store(true, Ordering::SeqCst);
        })
    };
    let bucket = conformance::bucket(&nodes[0]).await;
    let writers = (0..6).map(|writer| {
        let (node, is_over, bucket) = (Arc::clone(&nodes[writer % NODES]), Arc::clone(&is_over), bucket.uid);
        tokio::spawn(async move {
            let (mut kept, mut failed) = (Vec::new(), 0);
            for number in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let key = ObjectKey::new(&format!("{writer}/{number}")).unwrap();
                let put = conformance::put(&format!("{writer} {number}"));
                match node.change(bucket, &key, &WriteCondition::default(), put).await {
                    Ok(_) => kept.push(key),
                    Err(MetaError::Away(_)) => {
                        failed += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            (kept, failed)
        })
    });
    let (mut kept, mut failed) = (0, 0);
    for outcome in futures::future::join_all(writers).await {
        let (keys, failures) = outcome.unwrap();
        (kept, failed) = (kept + keys.len(), failed + failures);
        for key in keys {
            assert!(nodes[0].object(bucket.uid, &key).await.unwrap().is_some(), "{} is lost", key.as_str());
        }
    }
    crashing.await.unwrap();
    assert!(kept > 100 && failed > 0, "{kept} kept, {failed} failed");
    let stats = nodes[1].bucket_stats(bucket.uid).await.unwrap();
    let view = nodes[2].view().await.unwrap();
    assert_eq!(view.counts().await.unwrap().objects, stats.objects);
}
