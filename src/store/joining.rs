//! How a node enters: what it is asked before anything is changed, and what it takes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;

use super::cluster::{BEAT_EVERY, Learning, Member, Nodes};
use super::index::{FjallIndex, IndexError};
use super::local::LocalStore;
use super::meta::{MetaError, MetaStore, Node, NodeState, PostgresAddress, PostgresMeta};
use super::pack::log::{PACK_BYTES_MAX, PackLog};
use super::pack::object::{ObjectAddress, ObjectPacks, ObjectPacksError};
use crate::model::clock::Ambient;

/// How often an epoch is tried to be taken while other nodes take theirs.
const ATTEMPTS: u32 = 16;

/// A node that does not go with this one counts only if it lives: if it says something within so long.
const LISTENED: Duration = BEAT_EVERY.saturating_mul(4);

/// Where a store is that nodes share.
pub struct ClusterPlace<'a> {
    /// The metadata.
    pub database: &'a PostgresAddress,
    /// The packs.
    pub packs: &'a ObjectAddress,
    /// A node that is silent for so long is taken for dead.
    pub silence: Duration,
}

/// Why a node cannot enter.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The metadata cannot be used.
    #[error("`metadata.url` {place}: {error}")]
    Database {
        /// Where they are.
        place: String,
        /// Why.
        error: MetaError,
    },
    /// Others are always faster.
    #[error("epoch {0} was taken by another node at the same moment: start again")]
    NoEpoch(u32),
    /// The metadata failed.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The packs.
    #[error(transparent)]
    Packs(#[from] ObjectPacksError),
    /// The chunk index.
    #[error("opening the chunk index: {0}")]
    Index(#[from] IndexError),
    /// Its build and another's are too far apart.
    #[error(
        "node {node} runs xetgate {theirs}, this is {ours}: nodes of two adjacent versions work side by side; upgrade by one \
         minor version at a time, or stop {node} first"
    )]
    Version {
        /// The other.
        node: String,
        /// Its version.
        theirs: String,
        /// This node's.
        ours: String,
    },
    /// Its master key is another.
    #[error("`XETGATE_MASTER_KEY` is not the one that node {node} has: give all nodes the same")]
    MasterKey {
        /// The other.
        node: String,
    },
}

/// The major and the minor version of a build.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Whether builds of two versions work side by side.
fn are_adjacent(one: &str, other: &str) -> bool {
    match (version(one), version(other)) {
        (Some((major, minor)), Some((other_major, other_minor))) => {
            major == other_major && minor.abs_diff(other_minor) <= 1
        }
        _ => one == other,
    }
}

/// Why these two nodes do not go together.
fn conflict(node: &Node, other: &Node) -> Option<JoinError> {
    let name = || other.name.clone();
    if node.key_mark != other.key_mark {
        return Some(JoinError::MasterKey { node: name() });
    }
    let (theirs, ours) = (other.version.clone(), node.version.clone());
    (!are_adjacent(&theirs, &ours)).then(|| JoinError::Version { node: name(), theirs, ours })
}

/// Refuses a node that does not go with one that lives. Those that were killed have rows until they are collected.
async fn must_go_with_others(meta: &dyn MetaStore, node: &Node, listened: Duration) -> Result<(), JoinError> {
    let before = meta.nodes().await?;
    let conflicts = |nodes: Vec<NodeState>| {
        let conflicting = nodes.into_iter().map(|other| (conflict(node, &other.node), other));
        conflicting.filter_map(|(conflict, other)| Some((conflict?, other)))
    };
    let before: Vec<_> = conflicts(before).map(|(_, other)| (other.epoch, other.beat.count)).collect();
    if before.is_empty() {
        return Ok(());
    }
    tokio::time::sleep(listened).await;
    let says = |other: &NodeState| !before.contains(&(other.epoch, other.beat.count));
    let living = conflicts(meta.nodes().await?).find(|(_, other)| says(other));
    living.map_or(Ok(()), |(conflict, _)| Err(conflict))
}

/// Refuses packs of others under metadata that are new; answers whether they are.
pub(super) fn must_be_new(
    database: &PostgresAddress,
    packs: &ObjectAddress,
    ambient: &Ambient,
) -> Result<bool, JoinError> {
    let of_database = |error| JoinError::Database { place: database.place(), error };
    let is_new = || block_on(PostgresMeta::is_new(database, ambient)).map_err(of_database);
    if !is_new()? {
        return Ok(false);
    }
    let taken = ObjectPacks::must_be_free(packs.connect()?);
    match taken {
        // Unless another node has just made the tables, and taken the place for them.
        Err(refusal) if is_new()? => Err(refusal.into()),
        taken => Ok(taken.is_ok()),
    }
}

/// Takes an epoch that no node has had, and enters with it. Blocks.
fn take_epoch(
    meta: &dyn MetaStore,
    packs: &ObjectAddress,
    store_id: u64,
    node: &Node,
    ambient: &Ambient,
) -> Result<ObjectPacks, JoinError> {
    let own = hex::encode(ambient.random::<16>());
    let mut attempt = 0;
    loop {
        let epochs = block_on(meta.note_epoch(&own, ambient.clock.now()))?;
        let clock = Arc::clone(&ambient.clock);
        attempt += 1;
        // Nodes that start together take turns.
        match ObjectPacks::join(packs.connect()?, store_id, epochs, own.clone(), clock) {
            Err(ObjectPacksError::Superseded { .. }) if attempt < ATTEMPTS => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(entered) if block_on(meta.enter_node(entered.epoch(), node.clone()))? => return Ok(entered),
            Ok(entered) if attempt == ATTEMPTS => return Err(JoinError::NoEpoch(entered.epoch())),
            Ok(_) => {}
        }
    }
}

impl LocalStore {
    /// Opens a store that is shared with other nodes. The folder keeps what this one can lose: `index/`. Needs a runtime, and
    /// blocks.
    pub fn join(
        folder: &Path,
        ClusterPlace { database, packs, silence }: ClusterPlace<'_>,
        node: &Node,
        ambient: &Ambient,
    ) -> Result<(Self, Member), JoinError> {
        let of_database = |error| JoinError::Database { place: database.place(), error };
        // Before anything is made.
        must_be_new(database, packs, ambient)?;
        let meta = block_on(PostgresMeta::open(database, ambient)).map_err(of_database)?;
        block_on(must_go_with_others(&meta, node, LISTENED))?;
        let store_id = block_on(meta.store_id(u64::from_le_bytes(ambient.random())))?;
        let meta: Arc<dyn MetaStore> = Arc::new(meta);
        // What takes long comes before others wait for what this node says.
        let index = FjallIndex::open_or_put_aside(&folder.join("index"))?;
        let heartbeats = PostgresMeta::beside(database, ambient).map_err(of_database)?;
        let object_packs = take_epoch(&*meta, packs, store_id, node, ambient)?;
        let epoch = object_packs.epoch();
        let packs = Arc::new(PackLog::shared(Arc::new(object_packs), PACK_BYTES_MAX));
        let mut store = Self::of(meta, packs, Arc::new(index));
        let (meta, index) = (Arc::clone(&store.meta), Arc::clone(&store.index));
        let (rows, metrics) = (Arc::clone(&store.rows), Arc::clone(&store.metrics));
        let learning = Arc::new(Learning::new(epoch, meta, index, rows, metrics));
        let member = Member {
            epoch,
            meta: Arc::new(heartbeats),
            pins: Arc::clone(&store.pins),
            readers: Arc::clone(&store.readers),
            packs: Arc::clone(&store.packs),
            rows: Arc::clone(&store.rows),
            learning: Arc::clone(&learning),
        };
        (store.peers, store.learning) = (Arc::new(Nodes::new(epoch, silence)), Some(learning));
        Ok((store, member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::store::meta::{Beat, EmbeddedMeta, NodeStore as _, address_for_tests};

    #[test]
    fn adjacent_versions_work_side_by_side() {
        for (one, other, expected) in [
            ("0.1.0", "0.1.7", true),
            ("0.1.0", "0.2.0", true),
            ("0.3.0", "0.1.0", false),
            ("1.0.0", "0.9.0", false),
            ("nightly", "nightly", true),
            ("nightly", "0.1.0", false),
        ] {
            assert_eq!(are_adjacent(one, other), expected, "{one} {other}");
            assert_eq!(are_adjacent(other, one), expected, "{other} {one}");
        }
    }

    #[tokio::test]
    async fn a_node_that_does_not_go_with_one_that_lives_is_refused_by_name() {
        let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let node = |name: &str, version: &str, key_mark| Node {
            name: name.to_owned(),
            version: version.to_owned(),
            entered_at: Timestamp(0),
            key_mark,
        };
        meta.enter_node(1, node("old", "0.1.0", [1; 8])).await.unwrap();
        let enter = async |version, key_mark| {
            let node = node("new", version, key_mark);
            let entered = must_go_with_others(&*meta, &node, Duration::from_millis(100)).await;
            entered.map_err(|error| error.to_string())
        };
        // One that was killed says nothing.
        assert_eq!(enter("0.3.0", [1; 8]).await, Ok(()));
        let living = Arc::clone(&meta);
        let beating = tokio::spawn(async move {
            for count in 1.. {
                living.beat(1, Beat { count, ..Beat::default() }).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(enter("0.2.0", [1; 8]).await, Ok(()));
        let refused = enter("0.3.0", [1; 8]).await.unwrap_err();
        assert!(refused.contains("node old runs xetgate 0.1.0, this is 0.3.0"), "{refused}");
        let refused = enter("0.1.0", [2; 8]).await.unwrap_err();
        assert!(refused.contains("`XETGATE_MASTER_KEY`") && refused.contains("node old"), "{refused}");
        beating.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_does_not_belong_together_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let packs = ObjectAddress {
            url: format!("file://{}/packs", folder.path().display()),
            ..ObjectAddress::default()
        };
        let ambient = Ambient::system();
        let join = async |database: PostgresAddress, packs: ObjectAddress| {
            let (folder, ambient) = (folder.path().to_owned(), ambient.clone());
            let joining = tokio::task::spawn_blocking(move || {
                let place =
                    ClusterPlace { database: &database, packs: &packs, silence: Duration::from_secs(30) };
                let node = Node {
                    name: "one".to_owned(),
                    version: "0.1.0".to_owned(),
                    entered_at: ambient.clock.now(),
                    key_mark: [0; 8],
                };
                LocalStore::join(&folder, place, &node, &ambient).map(drop).map_err(|error| error.to_string())
            });
            joining.await.unwrap()
        };
        let (database, other) = (address_for_tests(), address_for_tests());
        join(database.clone(), packs.clone()).await.unwrap();
        // Another deployment's database, before it has one table.
        let refused = join(other.clone(), packs.clone()).await.unwrap_err();
        assert!(refused.contains("`packs.url`") && refused.contains("`metadata.url`"), "{refused}");
        assert!(PostgresMeta::is_new(&other, &ambient).await.unwrap());
        let nowhere =
            ObjectAddress { url: format!("file://{}/nowhere", folder.path().display()), ..packs.clone() };
        // And when it has.
        let elsewhere =
            ObjectAddress { url: format!("file://{}/other", folder.path().display()), ..packs.clone() };
        join(other.clone(), elsewhere).await.unwrap();
        let refused = join(other, packs.clone()).await.unwrap_err();
        assert!(refused.contains("belong to other metadata"), "{refused}");
        // Another place than the other nodes'.
        let refused = join(database.clone(), nowhere).await.unwrap_err();
        assert!(refused.contains("has its packs elsewhere"), "{refused}");
        // The first is as it was.
        join(database, packs).await.unwrap();
    }
}
