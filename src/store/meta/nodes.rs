//! [`NodeStore`]: the nodes of a cluster, what they say, and what a collector of garbage asks them.
//!
//! A node is named by the epoch in which it numbers packs. Its row is there as long as it is taken to be alive, and a xorb can
//! only be said to lie in a pack whose node has one: the transaction checks it. So what a node that was taken for dead has
//! written is nobody's, whenever it wakes up, and its packs can be deleted.
//!
//! | row | written by | says |
//! |---|---|---|
//! | token | a node, before it takes an epoch in the object store | that the epoch of this token is this cluster's |
//! | node | the node, when it enters; removed when it leaves, or by the collector that has waited for it in vain | who it is |
//! | beat | the node, every second | that it lives, and what it answers |
//! | question | the collector | which readers are to leave; which xorbs and packs are to go |

use async_trait::async_trait;

use super::MetaError;
use super::kv::{AccessGuard, ReadableTable as _, TableDefinition};
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{Failure, Row, Tables, decode, encode};
use crate::model::clock::Timestamp;
use crate::store::rows::{PackId, StoredXorb};
use crate::xet::hash::XorbHash;

/// token -> when it was noted, in ms
pub(super) const EPOCH_TOKENS: TableDefinition<&str, u64> = TableDefinition::new("epoch_tokens");
/// epoch -> [`Node`]
pub(super) const NODES: TableDefinition<u64, Row> = TableDefinition::new("nodes");
/// epoch -> [`Beat`]
pub(super) const BEATS: TableDefinition<u64, Row> = TableDefinition::new("beats");
/// what is asked -> (number of the question, [`Doom`] or nothing)
pub(super) const QUESTIONS: TableDefinition<&str, (u64, Row)> = TableDefinition::new("questions");

/// Names of questions, and of the counter that numbers them.
const READERS: &str = "readers";
const DOOM: &str = "doom";
pub(super) const QUESTION: &str = "question";
/// Name of the counter of epochs with which nodes have entered.
pub(super) const ENTERED: &str = "epoch";

/// A node, as it entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The version of its build.
    pub version: String,
    /// When it entered, by its clock.
    pub entered_at: Timestamp,
    /// Something of its master key that is the same on nodes with the same, and tells nothing else of it.
    pub key_mark: [u8; 8],
}

/// What a node says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// How often it has said something.
    pub count: u64,
    /// Those of its readers have left who had entered before this question of readers was asked.
    pub readers_left: u64,
    /// The question of xorbs and packs that it has answered last: what was not kept then, it does not rely on any more.
    pub doomed: u64,
    /// What of it must stay.
    pub kept: Doom,
}

/// Xorbs and packs that are to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doom {
    /// Nobody may rely on these any more.
    pub xorbs: Vec<XorbHash>,
    /// Nobody may put a frame in these any more.
    pub packs: Vec<PackId>,
}

/// What is asked of all nodes at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// The last question of readers.
    pub readers: u64,
    /// The last question of xorbs and packs; what it names is doomed until the next.
    pub doomed: u64,
    /// What it names.
    pub doom: Doom,
}

/// A node that is taken to be alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// The epoch of its packs.
    pub epoch: u32,
    /// Who it is.
    pub node: Node,
    /// What it has said last; nothing, if it has just entered.
    pub beat: Beat,
}

/// What is known of epochs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epochs {
    /// The tokens of all that were ever about to be taken.
    pub tokens: Vec<String>,
    /// The last with which a node has entered; 0 if none has.
    pub last: u32,
}

/// The nodes of a cluster.
#[async_trait]
pub trait NodeStore: Send + Sync + 'static {
    /// Notes the token of an epoch that is about to be taken.
    async fn note_epoch(&self, token: &str, now: Timestamp) -> Result<Epochs, MetaError>;

    /// Lets a node in; answers whether it may have this epoch, which is so if it comes after all with which nodes have entered.
    async fn enter_node(&self, epoch: u32, node: Node) -> Result<bool, MetaError>;

    /// Ends nodes: what they have written without rows gets none any more.
    async fn end_nodes(&self, epochs: Vec<u32>) -> Result<(), MetaError>;

    /// Ends those of the nodes that have said nothing since they had said so much.
    async fn end_silent(&self, silent: Vec<(u32, u64)>) -> Result<(), MetaError>;

    /// All nodes, of one moment.
    async fn nodes(&self) -> Result<Vec<NodeState>, MetaError>;

    /// Takes what a node says, and answers what is asked. [`MetaError::NodeEnded`] if it was taken for dead.
    async fn beat(&self, epoch: u32, beat: Beat) -> Result<Questions, MetaError>;

    /// Asks which readers have left who have entered until now; answers the number of the question.
    async fn ask_readers(&self) -> Result<u64, MetaError>;

    /// Asks whether these can go, in place of those that were asked about before; answers the number of the question.
    async fn ask_doom(&self, doom: Doom) -> Result<u64, MetaError>;
}

impl Tables<'_> {
    /// Refuses xorbs in packs of a node that was taken for dead. Only nodes that share a database have that to fear.
    pub(super) fn must_be_of_the_living<'x>(
        &self,
        xorbs: impl IntoIterator<Item = &'x StoredXorb>,
    ) -> Result<(), Failure> {
        self.packs_must_be_of_the_living(xorbs.into_iter().map(|xorb| xorb.row.pack))
    }

    /// The same of packs.
    pub(super) fn packs_must_be_of_the_living(
        &self,
        packs: impl IntoIterator<Item = PackId>,
    ) -> Result<(), Failure> {
        if !self.is_remote() {
            return Ok(());
        }
        for epoch in packs.into_iter().map(PackId::epoch).filter(|epoch| *epoch != 0) {
            if self.nodes.get(u64::from(epoch))?.is_none() {
                return Err(MetaError::NodeEnded.into());
            }
        }
        Ok(())
    }

    fn note_epoch(&mut self, token: &str, now: Timestamp) -> Result<Epochs, Failure> {
        self.epoch_tokens.insert(token, now.0)?;
        let all = self.epoch_tokens.all()?;
        let tokens = all.map(|entry| Ok(entry?.0.value().to_owned()));
        let tokens = tokens.collect::<Result<_, redb::StorageError>>()?;
        Ok(Epochs { tokens, last: self.last_epoch()? })
    }

    fn last_epoch(&self) -> Result<u32, Failure> {
        let last = self.counters.get(ENTERED)?.map_or(0, |last| last.value());
        Ok(u32::try_from(last).unwrap_or(u32::MAX))
    }

    fn enter_node(&mut self, epoch: u32, node: &Node) -> Result<bool, Failure> {
        // Whatever has become of the objects that say who has taken which: two nodes never number packs in the same one.
        if epoch <= self.last_epoch()? {
            return Ok(false);
        }
        self.counters.insert(ENTERED, u64::from(epoch))?;
        self.nodes.insert(u64::from(epoch), encode(node)?.as_slice())?;
        Ok(true)
    }

    fn end_node(&mut self, epoch: u32) -> Result<(), Failure> {
        let epoch = u64::from(epoch);
        self.nodes.remove(epoch)?;
        self.beats.remove(epoch)?;
        Ok(self.news.remove_in((epoch, 0)..=(epoch, u64::MAX))?)
    }

    fn beat(&mut self, epoch: u32, beat: &Beat) -> Result<(), Failure> {
        if self.nodes.get(u64::from(epoch))?.is_none() {
            return Err(MetaError::NodeEnded.into());
        }
        Ok(self.beats.insert(u64::from(epoch), encode(beat)?.as_slice())?)
    }

    fn ask(&mut self, question: &str, doom: &Doom) -> Result<u64, Failure> {
        let number = self.count_up(QUESTION)?;
        self.questions.insert(question, (number, encode(doom)?.as_slice()))?;
        Ok(number)
    }
}

#[async_trait]
impl<E: TableEngine> NodeStore for TableMeta<E> {
    async fn note_epoch(&self, token: &str, now: Timestamp) -> Result<Epochs, MetaError> {
        let token = token.to_owned();
        self.write(move |tables| tables.note_epoch(&token, now)).await
    }

    async fn enter_node(&self, epoch: u32, node: Node) -> Result<bool, MetaError> {
        self.write(move |tables| tables.enter_node(epoch, &node)).await
    }

    async fn end_nodes(&self, epochs: Vec<u32>) -> Result<(), MetaError> {
        self.write(move |tables| epochs.iter().try_for_each(|epoch| tables.end_node(*epoch))).await
    }

    async fn end_silent(&self, silent: Vec<(u32, u64)>) -> Result<(), MetaError> {
        self.write(move |tables| {
            for (epoch, count) in &silent {
                let beat = tables.beats.get(u64::from(*epoch))?.map(|beat| decode::<Beat>(beat.value()));
                if beat.transpose()?.unwrap_or_default().count == *count {
                    tables.end_node(*epoch)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeState>, MetaError> {
        self.engine
            .read(|snapshot| {
                let (nodes, beats) = (snapshot.open_table(NODES)?, snapshot.open_table(BEATS)?);
                let mut all = Vec::new();
                for entry in nodes.all()? {
                    let (epoch, node) = entry?;
                    let beat = beats.get(epoch.value())?.map(|beat| decode(beat.value())).transpose()?;
                    all.push(NodeState {
                        epoch: u32::try_from(epoch.value()).unwrap_or(u32::MAX),
                        node: decode(node.value())?,
                        beat: beat.unwrap_or_default(),
                    });
                }
                Ok(all)
            })
            .await
    }

    async fn beat(&self, epoch: u32, beat: Beat) -> Result<Questions, MetaError> {
        self.write(move |tables| tables.beat(epoch, &beat)).await?;
        self.engine
            .read(|snapshot| {
                let questions = snapshot.open_table(QUESTIONS)?;
                let readers = questions.get(READERS)?.map_or(0, |row| row.value().0);
                let doom = questions.get(DOOM)?;
                let (doomed, doom) = match doom.as_ref().map(AccessGuard::value) {
                    Some((number, row)) => (number, decode(row)?),
                    None => (0, Doom::default()),
                };
                Ok(Questions { readers, doomed, doom })
            })
            .await
    }

    async fn ask_readers(&self) -> Result<u64, MetaError> {
        self.write(move |tables| tables.ask(READERS, &Doom::default())).await
    }

    async fn ask_doom(&self, doom: Doom) -> Result<u64, MetaError> {
        self.write(move |tables| tables.ask(DOOM, &doom)).await
    }
}
