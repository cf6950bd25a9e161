//! The engine over a database in memory, which others may change at the worst moment.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::model::clock::Timestamp;
use crate::store::meta::table_meta::TableMeta;
use crate::store::meta::{FramePlace, MetaStore, Node, ObjectChange, TermChange, XorbMove, conformance};
use crate::store::rows::PackId;

type Table = BTreeMap<Vec<u8>, Found>;
type Tables = BTreeMap<&'static str, Table>;

/// Tables in memory.
#[derive(Default)]
struct Memory {
    tables: Mutex<Tables>,
    revision: AtomicU64,
    /// Of so many commits, one is told that something has changed.
    spurious_every: u64,
    commits: AtomicU64,
}

struct Copy(Tables);

fn answer(tables: &Tables, needs: &Needs) -> Answers {
    let empty = Table::new();
    let rows = |(key, found): (&Vec<u8>, &Found)| (key.clone(), found.clone());
    let answer = |(name, need): &(&'static str, Need)| {
        let table = tables.get(name).unwrap_or(&empty);
        let answer = match need {
            Need::Point(key) => Answer::Rows(table.get_key_value(key).map(rows).into_iter().collect()),
            Need::First(from, end, limit) => {
                Answer::Rows(table.range(from.clone()..end.clone()).take(*limit).map(rows).collect())
            }
            Need::Last(from, end) => Answer::Rows(
                table.range(from.clone()..end.clone()).next_back().map(rows).into_iter().collect(),
            ),
            Need::Walk(walk) => {
                let (mut at, mut found) = (walk.from.clone(), Vec::new());
                while at < walk.end && found.len() < walk.rows {
                    let Some((key, row)) = table.range(at.clone()..walk.end.clone()).next() else { break };
                    at = walk.behind(key);
                    found.push((key.clone(), row.clone()));
                }
                Answer::Rows(found)
            }
            Need::Count => Answer::Count(table.len() as u64),
        };
        ((*name, need.clone()), answer)
    };
    needs.iter().map(answer).collect()
}

impl Moment for Copy {
    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        Ok(answer(&self.0, needs))
    }
}

impl Remote for Memory {
    type Moment = Copy;

    async fn fetch(&self, needs: &Needs) -> Result<Answers, MetaError> {
        Ok(answer(&self.tables.lock().unwrap(), needs))
    }

    async fn moment(&self) -> Result<Copy, MetaError> {
        Ok(Copy(self.tables.lock().unwrap().clone()))
    }

    async fn commit(&self, changes: &Changes, revision: u64) -> Result<Committed, MetaError> {
        let mut tables = self.tables.lock().unwrap();
        if self.spurious_every > 0
            && self.commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.spurious_every)
        {
            return Ok(Committed::Changed);
        }
        for (name, changes) in changes {
            let table = tables.entry(name).or_default();
            let is_same = changes
                .points
                .iter()
                .all(|(key, revision)| table.get(key).map(|found| found.revision) == *revision);
            let spans_are_same = changes.spans.iter().all(|span| {
                let rows = table.range(span.from.clone()..span.end.clone());
                let revisions: Vec<_> =
                    rows.map(|(_, found)| i128::from(found.revision.cast_signed())).collect();
                revisions.len() as u64 == span.rows && revisions.iter().sum::<i128>() == span.revisions
            });
            let are_free = changes.inserts.iter().all(|(key, _)| !table.contains_key(key));
            if !is_same || !spans_are_same || !are_free {
                return Ok(Committed::Changed);
            }
        }
        for (name, changes) in changes {
            let table = tables.entry(name).or_default();
            for (from, end) in &changes.removed {
                table.retain(|key, _| key < from || key >= end);
            }
            for (key, value) in changes.inserts.iter().chain(&changes.upserts) {
                table.insert(key.clone(), Found { revision, value: value.clone() });
            }
            for key in &changes.deletes {
                table.remove(key);
            }
        }
        Ok(Committed::Yes)
    }

    fn revision(&self) -> u64 {
        self.revision.fetch_add(1, Ordering::Relaxed)
    }
}

#[tokio::test]
async fn conforms() {
    conformance::all(async || Arc::new(TableMeta::of(start(Memory::default()))) as Arc<dyn MetaStore>).await;
}

#[tokio::test]
async fn conforms_while_others_change_what_it_has_read() {
    let open = async || {
        let memory = Memory { spurious_every: 2, ..Memory::default() };
        Arc::new(TableMeta::of(start(memory))) as Arc<dyn MetaStore>
    };
    conformance::all(open).await;
}

/// Packs of nodes are numbered in epochs from 1 on; of epoch 0 are files, which nobody else writes.
#[tokio::test]
async fn what_a_dead_node_has_written_gets_no_row() {
    let store: Arc<dyn MetaStore> = Arc::new(TableMeta::of(start(Memory::default())));
    let bucket = conformance::bucket(&store).await;
    let of_epoch = |content: &str, epoch: u64| {
        let mut file = conformance::file(content);
        for xorb in &mut file.xorbs {
            xorb.row.pack = PackId(epoch << 32 | 1);
        }
        file
    };
    let put = async |content: &str, epoch: u64| {
        let file = of_epoch(content, epoch);
        let put = ObjectChange::Put(Box::new(conformance::object(&file)), Some(Box::new(file)));
        conformance::change(&store, &bucket, content, put).await.map(drop)
    };
    let node = |name: &str| Node {
        name: name.to_owned(),
        version: "1".to_owned(),
        entered_at: Timestamp(1),
        key_mark: [0; 8],
    };
    store.enter_node(1, node("one")).await.unwrap();
    store.enter_node(2, node("two")).await.unwrap();
    put("a", 1).await.unwrap();
    put("b", 2).await.unwrap();
    store.end_nodes(vec![1]).await.unwrap();
    assert!(matches!(put("c", 1).await, Err(MetaError::NodeEnded)));
    assert!(matches!(put("a", 1).await, Err(MetaError::NodeEnded)), "nor does it mend what is there");
    let registered = store.register_xorbs(of_epoch("d", 1).xorbs, Timestamp(9)).await;
    assert!(matches!(registered, Err(MetaError::NodeEnded)));
    let there = conformance::file("b").xorbs.remove(0);
    let from = of_epoch("b", 2).xorbs.remove(0).row.place();
    let to = FramePlace { pack: PackId(1 << 32 | 7), ..from };
    let moved = store.move_xorbs(vec![XorbMove { hash: there.hash, from, to }]).await;
    assert!(matches!(moved, Err(MetaError::NodeEnded)));
    let change = TermChange { xorbs: of_epoch("e", 1).xorbs, ..TermChange::default() };
    assert!(matches!(store.replace_terms(change).await, Err(MetaError::NodeEnded)));
    put("f", 2).await.unwrap();
    put("g", 0).await.unwrap();
}
