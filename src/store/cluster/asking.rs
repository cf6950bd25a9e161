//! What a collector asks, and how long it waits for whom.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::warn;

use crate::store::meta::{Doom, MetaError, MetaStore, NodeState};
use crate::store::pack::PackId;
use crate::store::peers::{Doomed, Peers};
use crate::xet::hash::XorbHash;

/// How often it is looked whether all have answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// If the database could not be looked at for so long, silence says nothing of the nodes: nobody could speak.
const LOOKING_GAP: Duration = Duration::from_secs(5);

/// Most xorbs of one question: a row of half a megabyte.
const DOOMED_TOGETHER: usize = 16_384;

/// The nodes of a cluster.
pub struct Nodes {
    /// The epoch of the node that asks.
    own: u32,
    silence: Duration,
}

/// When a node was last seen to say something.
#[derive(Default)]
struct Watch {
    heard: HashMap<u32, (u64, Instant)>,
    looked: Option<Instant>,
}

impl Watch {
    /// Takes note of who has said something; answers who has not for too long, with how much it had said.
    fn silent(&mut self, nodes: &[NodeState], now: Instant, nodes_of: &Nodes) -> Vec<(u32, u64)> {
        if self.looked.is_none_or(|looked| now - looked > LOOKING_GAP) {
            self.heard.clear();
        }
        self.looked = Some(now);
        let mut silent = Vec::new();
        for NodeState { epoch, beat, .. } in nodes {
            let heard = self.heard.entry(*epoch).or_insert((beat.count, now));
            if heard.0 != beat.count {
                *heard = (beat.count, now);
            }
            if now - heard.1 >= nodes_of.silence {
                silent.push((*epoch, beat.count));
            }
        }
        // What this node itself says is not taken either: a database that can be read and not written silences all.
        let is_own_late = self.heard.get(&nodes_of.own).is_none_or(|heard| now - heard.1 > LOOKING_GAP);
        if is_own_late {
            self.heard.retain(|epoch, _| *epoch == nodes_of.own);
            silent.clear();
        }
        silent
    }
}

impl Nodes {
    /// Nodes, asked by the one of this epoch, of which one that is silent for so long is taken for dead.
    pub fn new(own: u32, silence: Duration) -> Self {
        Self { own, silence }
    }

    /// Waits until all nodes have answered; answers what they said.
    async fn answers(
        &self,
        meta: &dyn MetaStore,
        has_answered: impl Fn(&NodeState) -> bool,
    ) -> Result<Vec<NodeState>, MetaError> {
        let mut watch = Watch::default();
        loop {
            let nodes = meta.nodes().await?;
            if nodes.iter().all(&has_answered) {
                return Ok(nodes);
            }
            let silent = watch.silent(&nodes, Instant::now(), self);
            if !silent.is_empty() {
                let is_silent = |node: &&NodeState| silent.iter().any(|(epoch, _)| *epoch == node.epoch);
                let names = nodes.iter().filter(is_silent);
                let names: Vec<_> = names.map(|node| node.node.name.as_str()).collect();
                warn!(nodes = names.join(", "), "not heard of for too long: taken for dead");
                meta.end_silent(silent).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Doomed on all nodes.
struct DoomedEverywhere {
    meta: Arc<dyn MetaStore>,
    xorbs: Vec<XorbHash>,
    packs: Vec<PackId>,
}

#[async_trait]
impl Doomed for DoomedEverywhere {
    fn xorbs(&self) -> &[XorbHash] {
        &self.xorbs
    }

    fn packs(&self) -> &[PackId] {
        &self.packs
    }

    async fn end(self: Box<Self>) -> Result<(), MetaError> {
        self.meta.ask_doom(Doom::default()).await.map(drop)
    }
}

#[async_trait]
impl Peers for Nodes {
    fn doomed_together(&self) -> usize {
        DOOMED_TOGETHER
    }

    fn patience(&self) -> Duration {
        self.silence + 2 * LOOKING_GAP
    }

    async fn advance(&self, meta: &dyn MetaStore) -> Result<u64, MetaError> {
        meta.ask_readers().await
    }

    async fn wait(&self, meta: &dyn MetaStore, epoch: u64) -> Result<(), MetaError> {
        self.answers(meta, |node| node.beat.readers_left >= epoch).await.map(drop)
    }

    async fn doom(&self, meta: &Arc<dyn MetaStore>, doom: Doom) -> Result<Box<dyn Doomed>, MetaError> {
        let number = meta.ask_doom(doom.clone()).await?;
        let nodes = self.answers(&**meta, |node| node.beat.doomed >= number).await?;
        if nodes.iter().any(|node| node.beat.doomed > number) {
            // Another collector asks, so the lease of this one is over.
            return Err(MetaError::LeaseLost);
        }
        let kept_xorbs: HashSet<_> = nodes.iter().flat_map(|node| &node.beat.kept.xorbs).collect();
        let kept_packs: HashSet<_> = nodes.iter().flat_map(|node| &node.beat.kept.packs).collect();
        Ok(Box::new(DoomedEverywhere {
            meta: Arc::clone(meta),
            xorbs: doom.xorbs.into_iter().filter(|xorb| !kept_xorbs.contains(xorb)).collect(),
            packs: doom.packs.into_iter().filter(|pack| !kept_packs.contains(pack)).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Timestamp;
    use crate::store::meta::{Beat, Node};

    fn node(epoch: u32, count: u64) -> NodeState {
        let (name, version) = (epoch.to_string(), "1".to_owned());
        let node = Node { name, version, entered_at: Timestamp(0), key_mark: [0; 8] };
        NodeState { epoch, node, beat: Beat { count, ..Beat::default() } }
    }

    #[test]
    fn only_who_is_silent_while_others_could_speak_is_taken_for_dead() {
        let (begun, watched) = (Instant::now(), Nodes::new(9, Duration::from_secs(30)));
        let at = |secs| begun + Duration::from_secs(secs);
        let none: [(u32, u64); 0] = [];
        let mut watch = Watch::default();
        for second in 0..30 {
            let nodes = [node(1, 7), node(2, second), node(9, second)];
            assert_eq!(watch.silent(&nodes, at(second), &watched), none);
        }
        assert_eq!(watch.silent(&[node(1, 7), node(2, 30), node(9, 30)], at(30), &watched), [(1, 7)]);
        // The database was away for 20 seconds; nobody can be blamed for that.
        assert_eq!(watch.silent(&[node(2, 30), node(9, 31)], at(50), &watched), none);
        assert_eq!(watch.silent(&[node(2, 30), node(9, 32)], at(60), &watched), none);
    }

    #[test]
    fn nobody_is_taken_for_dead_by_one_who_cannot_speak_either() {
        let (begun, watched) = (Instant::now(), Nodes::new(9, Duration::from_secs(30)));
        let mut watch = Watch::default();
        for second in 0..100 {
            let silent =
                watch.silent(&[node(1, 7), node(9, 3)], begun + Duration::from_secs(second), &watched);
            assert!(silent.is_empty(), "{second}");
        }
        // When it can again, the others have their time too.
        for second in 100..129 {
            let nodes = [node(1, 7), node(9, second)];
            assert!(
                watch.silent(&nodes, begun + Duration::from_secs(second), &watched).is_empty(),
                "{second}"
            );
        }
        assert_eq!(
            watch.silent(&[node(1, 7), node(9, 131)], begun + Duration::from_secs(131), &watched),
            [(1, 7)]
        );
    }
}
