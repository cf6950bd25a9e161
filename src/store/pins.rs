//! Pins: what running uploads have been told they may refer to.
//!
//! | xorb is | `pin` | gc may remove it |
//! |---|---|---|
//! | unknown here | makes it pinned | yes, once it has doomed it |
//! | pinned | counts up | no |
//! | doomed | is refused: the upload stores the chunk again | is doing so |
//!
//! A pin is let go of only after the upload's metadata transaction has been answered, so between the answer "we have
//! this chunk" and the transaction that relies on it the xorb stays.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::xet::hash::XorbHash;

enum State {
    Pinned(usize),
    Doomed,
}

/// Which xorbs are pinned or doomed; those that are neither are not here.
#[derive(Default)]
pub struct Pins {
    states: Mutex<HashMap<XorbHash, State>>,
}

impl Pins {
    fn lock(&self) -> MutexGuard<'_, HashMap<XorbHash, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pins a xorb, unless gc is about to remove it.
    #[must_use]
    pub fn pin(self: &Arc<Self>, xorb: XorbHash) -> Option<Pin> {
        match self.lock().entry(xorb).or_insert(State::Pinned(0)) {
            State::Doomed => return None,
            State::Pinned(count) => *count += 1,
        }
        Some(Pin { pins: Arc::clone(self), xorb })
    }

    /// Dooms those of the xorbs that are not pinned, for as long as the answer lives.
    pub fn doom(self: &Arc<Self>, xorbs: impl IntoIterator<Item = XorbHash>) -> Doomed {
        let mut states = self.lock();
        let mut doomed = Vec::new();
        for xorb in xorbs {
            if let Entry::Vacant(free) = states.entry(xorb) {
                free.insert(State::Doomed);
                doomed.push(xorb);
            }
        }
        Doomed { pins: Arc::clone(self), xorbs: doomed }
    }
}

/// One upload's claim to one xorb.
pub struct Pin {
    pins: Arc<Pins>,
    xorb: XorbHash,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.pins.lock().entry(self.xorb)
            && let State::Pinned(count) = entry.get_mut()
        {
            *count -= 1;
            if *count == 0 {
                entry.remove();
            }
        }
    }
}

/// Xorbs that nobody can pin while this lives.
pub struct Doomed {
    pins: Arc<Pins>,
    xorbs: Vec<XorbHash>,
}

impl Doomed {
    /// Which.
    pub fn xorbs(&self) -> &[XorbHash] {
        &self.xorbs
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let mut states = self.pins.lock();
        for xorb in &self.xorbs {
            states.remove(xorb);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_and_doomed_exclude_each_other() {
        let pins = Arc::new(Pins::default());
        let xorbs = [1, 2].map(|name| XorbHash::from_bytes([name; 32]));
        let (one, two) = (pins.pin(xorbs[0]).unwrap(), pins.pin(xorbs[0]).unwrap());
        let doomed = pins.doom(xorbs);
        assert_eq!(doomed.xorbs(), &xorbs[1..]);
        assert!(pins.pin(xorbs[1]).is_none());
        assert!(pins.doom(xorbs).xorbs().is_empty(), "nothing is doomed twice");
        drop((one, doomed));
        assert!(pins.pin(xorbs[1]).is_some());
        assert_eq!(pins.doom(xorbs).xorbs(), &xorbs[1..]);
        drop(two);
        assert_eq!(pins.doom(xorbs).xorbs(), xorbs);
        assert!(pins.lock().is_empty());
    }
}
