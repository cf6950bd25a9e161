//! The engine over a PostgreSQL that the tests start themselves, from a Python package.

use std::future::Future;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::model::clock::{ManualClock, Timestamp};
use crate::model::conditions::{ETagCondition, WriteCondition};
use crate::model::listing::ListQuery;
use crate::model::names::ObjectKey;
use crate::model::object::ObjectRef;
use crate::store::meta::{KeyChange, MetaStore, conformance};

type Store = Arc<dyn MetaStore>;

#[path = "../../../../tests/support/linearizability.rs"]
mod linearizability;
mod measure;
mod races;
#[path = "../../../../tests/support/postgres.rs"]
pub(crate) mod server;
#[path = "../../../../tests/support/venv.rs"]
mod venv;

/// A schema of its own, in the database that the tests of this process share.
pub(crate) fn address() -> PostgresAddress {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    let schema = format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
    PostgresAddress::new(&server::shared().url(), &schema, None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let open = async || Arc::new(PostgresMeta::open(&address(), &Ambient::system()).await.unwrap()) as Store;
    conformance::all(open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_refused_with_advice() {
    let of = |url: &str| PostgresAddress::new(url, "refused", None).unwrap();
    let url = server::shared().url();
    let now = Ambient::system().clock.now().0;
    let at = |now| Ambient { clock: Arc::new(ManualClock::at(Timestamp(now))), ..Ambient::system() };
    let (ahead, behind) = (at(now + 300_000), at(now - 300_000));
    for (address, ambient, expected) in [
        (of("postgres://ada@127.0.0.1:1/x"), &Ambient::system(), "check that it runs"),
        (of(&format!("{url}_none")), &Ambient::system(), "create the database"),
        (of(&url), &ahead, "s ahead of the database's"),
        (of(&url), &behind, "s behind the database's"),
    ] {
        let refused = PostgresMeta::is_new(&address, ambient).await.unwrap_err().to_string();
        assert!(refused.contains(expected) && !refused.contains('\n'), "{refused}");
    }
    assert!(PostgresMeta::is_new(&of(&url), &Ambient::system()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_a_connection_that_looks_at_an_old_moment() {
    let node = Counting::open(&address()).await;
    let bucket = conformance::bucket(&node.store).await;
    for turn in 1..200 {
        // Given up at any point of its beginning.
        let beginning = node.counted.database.moment();
        drop(tokio::time::timeout(Duration::from_micros(turn as u64 * 10), beginning).await);
        let (name, content) = (format!("k{}", turn % 3), "x".repeat(turn));
        conformance::change(&node.store, &bucket, &name, conformance::put(&content)).await.unwrap();
        let key = ObjectKey::new(&name).unwrap();
        let found = node.store.object(bucket.uid, &key).await.unwrap().unwrap();
        assert_eq!(found.size, turn as u64);
    }
}

/// Counts the round trips to a database.
struct Counted {
    database: Postgres,
    fetches: AtomicUsize,
    commits: AtomicUsize,
}

impl Remote for Arc<Counted> {
    type Moment = PostgresMoment;

    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.database.fetch(needs).await
    }

    async fn moment(&self) -> Result<PostgresMoment, MetaError> {
        // And what is fetched then.
        self.fetches.fetch_add(2, Ordering::Relaxed);
        self.database.moment().await
    }

    async fn commit(&self, changes: &Changes, revision: u64) -> Result<Committed, MetaError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.database.commit(changes, revision).await
    }

    fn revision(&self) -> u64 {
        self.database.revision()
    }
}

/// A store, and how many fetches and commits some work on it takes.
struct Counting {
    counted: Arc<Counted>,
    store: Store,
}

impl Counting {
    async fn open(address: &PostgresAddress) -> Self {
        let database = Postgres::open(address, &Ambient::system()).await.unwrap();
        let counted =
            Arc::new(Counted { database, fetches: AtomicUsize::new(0), commits: AtomicUsize::new(0) });
        let store = Arc::new(TableMeta::of(remote::start(Arc::clone(&counted))));
        Self { counted, store }
    }

    async fn trips<T>(&self, work: impl Future<Output = T>) -> (usize, usize) {
        let (fetches, commits) = (&self.counted.fetches, &self.counted.commits);
        let before = (fetches.load(Ordering::Relaxed), commits.load(Ordering::Relaxed));
        work.await;
        (fetches.load(Ordering::Relaxed) - before.0, commits.load(Ordering::Relaxed) - before.1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_takes_few_round_trips() {
    let address = address();
    let node = Counting::open(&address).await;
    let bucket = conformance::bucket(&node.store).await;
    let put = async |name: &str, content: &str| {
        conformance::change(&node.store, &bucket, name, conformance::put(content)).await.unwrap();
    };
    // The rows of bucket and pack are met.
    put("warm", "warm").await;
    put("warm", "warmer").await;
    assert_eq!(node.trips(put("new", "new")).await, (0, 1), "a new object");
    assert_eq!(
        node.trips(put("new", "newer")).await,
        (0, 1),
        "another in its place, which this node has written"
    );
    let name = ObjectKey::new("new").unwrap();
    assert_eq!(node.trips(node.store.object(bucket.uid, &name)).await, (1, 0), "a head");
    let whole = |size: u64| 0..size;
    let content = || node.store.content(&bucket.id, ObjectRef { key: &name, version: None }, &whole);
    content().await.unwrap();
    assert_eq!(node.trips(content()).await, (1, 0), "a get");
    let query = ListQuery { limit: 10, ..ListQuery::default() };
    assert_eq!(node.trips(node.store.list(bucket.uid, &query)).await, (1, 0), "a page");

    for name in ["below/a/1", "below/a/2", "below/b", "beyond"] {
        put(name, name).await;
    }
    let (prefix, delimiter) = ("below/".to_owned(), Some("/".to_owned()));
    let query = ListQuery { prefix: prefix.clone(), delimiter, limit: 10, ..ListQuery::default() };
    assert_eq!(node.trips(node.store.list(bucket.uid, &query)).await, (1, 0), "all that is below a folder");
    let query = ListQuery { prefix, limit: 10, ..ListQuery::default() };
    assert_eq!(node.trips(node.store.list(bucket.uid, &query)).await, (1, 0), "the same, without folders");

    let other = Counting::open(&address).await;
    other.store.bucket(&bucket.id).await.unwrap();
    let content = || other.store.content(&bucket.id, ObjectRef { key: &name, version: None }, &whole);
    assert_eq!(other.trips(content()).await, (1, 0), "a get of what another node has written");
    let gone = || KeyChange {
        key: name.clone(),
        condition: WriteCondition::default(),
        change: conformance::deletion(),
    };
    let (fetches, commits) = node.trips(node.store.change_many(bucket.uid, vec![gone()])).await;
    assert!(fetches + commits <= 4, "a delete: {fetches} fetches");
    let many = async |count: usize| {
        let changes = (0..count).map(|at| KeyChange {
            key: ObjectKey::new(&format!("many/{count}/{at}")).unwrap(),
            condition: WriteCondition::default(),
            change: conformance::put(&format!("{count} {at}")),
        });
        for changed in other.store.change_many(bucket.uid, changes.collect()).await.unwrap() {
            changed.unwrap();
        }
    };
    many(1).await;
    let few = other.trips(many(2)).await;
    assert_eq!(other.trips(many(200)).await, few, "a batch takes as many, however many keys it has");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_writers_on_three_nodes_one_wins() {
    let address = address();
    let mut nodes: Vec<Store> = Vec::new();
    for _ in 0..3 {
        nodes.push(Arc::new(PostgresMeta::open(&address, &Ambient::system()).await.unwrap()));
    }
    let bucket = conformance::bucket(&nodes[0]).await;
    for round in 0..30 {
        let key = ObjectKey::new(&format!("race/{round}")).unwrap();
        let writers = (0..9).map(|writer| {
            let (node, key, bucket) = (Arc::clone(&nodes[writer % 3]), key.clone(), bucket.uid);
            tokio::spawn(async move {
                let new =
                    WriteCondition { if_none_match: Some(ETagCondition::Any), ..WriteCondition::default() };
                let put = conformance::put(&format!("{round} {writer}"));
                (writer, node.change(bucket, &key, &new, put).await)
            })
        });
        let (mut winners, mut losers) = (Vec::new(), 0);
        for outcome in futures::future::join_all(writers).await {
            match outcome.unwrap() {
                (writer, Ok(_)) => winners.push(writer),
                (_, Err(MetaError::ConditionFailed)) => losers += 1,
                (writer, Err(error)) => panic!("{writer}: {error}"),
            }
        }
        assert_eq!((winners.len(), losers), (1, 8), "round {round}");
        let content = conformance::file(&format!("{round} {}", winners[0]));
        for node in &nodes {
            let object = node.object(bucket.uid, &key).await.unwrap().unwrap();
            assert_eq!(object.file, content.record.hash);
            let query = ListQuery { prefix: key.as_str().to_owned(), limit: 10, ..ListQuery::default() };
            assert_eq!(node.list(bucket.uid, &query).await.unwrap().objects.len(), 1);
        }
    }
}

/// Debian's PostgreSQL is another version, and speaks TLS.
#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_debian_and_believes_its_certificate() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/meta/postgres/tests/tls");
    let authority = folder.join("ca.pem");
    let open = async |server: &server::Server, schema: &str, authorities: Option<&std::path::Path>| {
        let insists = format!("{}?sslmode=require", server.url());
        let address = PostgresAddress::new(&insists, schema, authorities).unwrap();
        PostgresMeta::open(&address, &Ambient::system()).await.map_err(|error| error.to_string())
    };
    let refused = open(server::shared(), "secure", Some(&authority)).await.err().unwrap();
    assert!(refused.contains("server does not support TLS"), "{refused}");
    let Some(server) = server::Server::start_debian() else { return };
    server.use_certificate(&folder.join("server.pem"), &folder.join("server.key"));
    // It reads its configuration again when it is at it.
    let begun = std::time::Instant::now();
    while open(&server, "secure", Some(&authority)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stranger = open(&server, "secure", None).await.err().unwrap();
    assert!(stranger.contains("invalid peer certificate"), "{stranger}");
    let schemas = AtomicUsize::new(0);
    let store = async || {
        let schema = format!("debian_{}", schemas.fetch_add(1, Ordering::Relaxed));
        Arc::new(open(&server, &schema, Some(&authority)).await.unwrap()) as Store
    };
    conformance::all(store).await;
}
