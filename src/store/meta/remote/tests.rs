//! The engine over a database in memory, which others may change at the worst moment.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::meta::table_meta::TableMeta;
use crate::store::meta::{MetaStore, conformance};

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
