//! [`Recent`]: rows that were met lately.

use std::collections::HashMap;

use super::{Answer, Answers, Needs};
use crate::store::meta::kv::{Changes, Found, Need};

/// Rows remembered, at most; then all are forgotten, for the next are others anyway.
const ROWS_MAX: usize = 32_768;

/// A longer row is not remembered.
const VALUE_MAX: usize = 1024;

/// Rows that were met lately, with those that were not there. They may be old: whoever uses them finds out.
#[derive(Default)]
pub(super) struct Recent(HashMap<(&'static str, Vec<u8>), Option<Found>>);

impl Recent {
    /// Answers what it can of the needs, and leaves the others.
    pub(super) fn answer(&self, needs: Needs) -> (Answers, Needs) {
        let (mut answers, mut left) = (Answers::new(), Needs::new());
        for (table, need) in needs {
            let known = match &need {
                Need::Point(key) => self.0.get(&(table, key.clone())),
                _ => None,
            };
            match (known, &need) {
                (Some(found), Need::Point(key)) => {
                    let rows = found.iter().map(|found| (key.clone(), found.clone())).collect();
                    answers.push(((table, need), Answer::Rows(rows)));
                }
                _ => drop(left.insert((table, need))),
            }
        }
        (answers, left)
    }

    /// Remembers what a commit has confirmed and written.
    pub(super) fn remember(&mut self, changes: Changes, revision: u64) {
        self.make_room();
        for (table, changes) in changes {
            // Of what lies in it nothing is known any more.
            for (from, end) in &changes.removed {
                self.0.retain(|(name, key), _| *name != table || key < from || key >= end);
            }
            for (key, value) in changes.inserts.into_iter().chain(changes.upserts) {
                let found = Found { revision, value };
                let is_short = found.value.len() <= VALUE_MAX;
                if is_short {
                    self.0.insert((table, key), Some(found));
                } else {
                    self.0.remove(&(table, key));
                }
            }
            for key in changes.deletes {
                self.0.insert((table, key), None);
            }
        }
    }

    /// Remembers rows that were fetched.
    pub(super) fn learn(&mut self, answers: &Answers) {
        self.make_room();
        for ((table, need), answer) in answers {
            let (Need::Point(key), Answer::Rows(rows)) = (need, answer) else { continue };
            let found = rows.first().map(|(_, found)| found.clone());
            if found.as_ref().is_none_or(|found| found.value.len() <= VALUE_MAX) {
                self.0.insert((*table, key.clone()), found);
            }
        }
    }

    fn make_room(&mut self) {
        if self.0.len() > ROWS_MAX {
            self.0.clear();
        }
    }

    /// Forgets everything: something of it was old.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}
