//! A checker of histories: could the operations on a register have happened one after the other, each at some moment between
//! its begin and its end? By search, as Wing and Gong do it, with what was tried before remembered (Lowe).

#![allow(dead_code, reason = "no test needs all of it")]

use std::collections::HashSet;

/// What a register holds; `None` if nothing.
pub(crate) type Value = Option<u64>;

/// What was done to a register, and what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It was read, and held this.
    Read(Value),
    /// It was written.
    Write(Value),
    /// It was to be written if it held this, and it did.
    Swapped { from: Value, to: Value },
    /// It was to be written if it held this, and it did not.
    NotSwapped { from: Value },
    /// It was to be written if it held anything else than nothing, or nothing: this was refused.
    Occupied,
}

/// An operation, and when it began and ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) begun: u64,
    /// `None` if nobody knows whether it was done, or will be.
    pub(crate) ended: Option<u64>,
    pub(crate) operation: Operation,
}

impl Operation {
    /// What the register holds then, if it could be done to one that holds this.
    fn on(self, held: Value) -> Option<Value> {
        match self {
            Self::Read(seen) => (seen == held).then_some(held),
            Self::Write(value) => Some(value),
            Self::Swapped { from, to } => (from == held).then_some(to),
            Self::NotSwapped { from } => (from != held).then_some(held),
            Self::Occupied => held.is_some().then_some(held),
        }
    }
}

/// Whether the operations on one register, which held nothing, could have happened one after the other.
pub(crate) fn is_linearizable(events: &[Event]) -> bool {
    let mut search = Search { events, tried: HashSet::new() };
    search.goes_on(&vec![0; events.len().div_ceil(64)], None)
}

struct Search<'e> {
    events: &'e [Event],
    /// What was done, and what was held then.
    tried: HashSet<(Vec<u64>, Value)>,
}

fn is_done(done: &[u64], at: usize) -> bool {
    done[at / 64] >> (at % 64) & 1 == 1
}

impl Search<'_> {
    fn goes_on(&mut self, done: &[u64], held: Value) -> bool {
        let left = |at: &usize| !is_done(done, *at);
        let first_end = (0..self.events.len()).filter(left).filter_map(|at| self.events[at].ended).min();
        // What nobody knows of need not have been done.
        let Some(first_end) = first_end else { return true };
        if !self.tried.insert((done.to_vec(), held)) {
            return false;
        }
        let next: Vec<usize> =
            (0..self.events.len()).filter(left).filter(|at| self.events[*at].begun <= first_end).collect();
        next.into_iter().any(|at| {
            self.events[at].operation.on(held).is_some_and(|held| {
                let mut done = done.to_vec();
                done[at / 64] |= 1 << (at % 64);
                self.goes_on(&done, held)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{NotSwapped, Occupied, Read, Swapped, Write};
    use super::*;

    fn judge(events: &[(u64, u64, Operation)]) -> bool {
        let event = |&(begun, ended, operation): &(u64, u64, Operation)| {
            let ended = (ended > 0).then_some(ended);
            Event { begun, ended, operation }
        };
        is_linearizable(&events.iter().map(event).collect::<Vec<_>>())
    }

    #[test]
    fn what_could_have_happened_is_told_from_what_could_not() {
        assert!(judge(&[]));
        assert!(judge(&[(1, 2, Write(Some(1))), (3, 4, Read(Some(1)))]));
        assert!(!judge(&[(1, 2, Write(Some(1))), (3, 4, Read(None))]), "a stale read");
        assert!(judge(&[(1, 5, Write(Some(1))), (2, 3, Read(None)), (4, 6, Read(Some(1)))]));
        let back = [(1, 8, Write(Some(1))), (2, 3, Read(Some(1))), (4, 5, Read(None))];
        assert!(!judge(&back), "what was seen is gone again");
        let both = [(1, 4, Swapped { from: None, to: Some(1) }), (2, 5, Swapped { from: None, to: Some(2) })];
        assert!(!judge(&both), "two winners");
        assert!(judge(&[both[0], (2, 5, NotSwapped { from: None })]));
        assert!(!judge(&[(1, 2, NotSwapped { from: None })]), "a winner that nobody was");
        assert!(!judge(&[(1, 2, Occupied)]));
        assert!(judge(&[(1, 2, Write(Some(3))), (3, 4, Occupied), (5, 6, Write(None)), (7, 8, Read(None))]));
        let lost = [(1, 2, Write(Some(1))), (3, 4, Write(Some(2))), (5, 6, Read(Some(1)))];
        assert!(!judge(&lost), "a lost write");
    }

    #[test]
    fn what_nobody_knows_of_may_have_been_done_or_not_but_not_undone() {
        let unknown = (1, 0, Write(Some(1)));
        assert!(judge(&[unknown, (2, 3, Read(None))]));
        assert!(judge(&[unknown, (2, 3, Read(None)), (4, 5, Read(Some(1)))]));
        assert!(!judge(&[unknown, (2, 3, Read(Some(1))), (4, 5, Read(None))]));
        assert!(!judge(&[(3, 0, Write(Some(1))), (1, 2, Read(Some(1)))]), "before it was begun");
    }
}
