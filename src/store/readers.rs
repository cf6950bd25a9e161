//! Readers: who may still hold a file record that was read some time ago.
//!
//! Anyone who reads a file record and then the xorbs it names enters first. Gc notes which xorbs are idle, and removes
//! them only when everybody who had entered before has left: a record that was read later cannot name them, unless
//! they were used again, and then the removing transaction leaves them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Default)]
struct Epochs {
    now: u64,
    /// How many entered in each epoch and have not left.
    inside: BTreeMap<u64, usize>,
}

/// Everybody who is reading.
#[derive(Default)]
pub struct Readers {
    epochs: Mutex<Epochs>,
    left: Notify,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Epochs> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters; to be called before the file record is read.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Reading {
        let mut epochs = self.lock();
        let epoch = epochs.now;
        *epochs.inside.entry(epoch).or_default() += 1;
        Reading { readers: Arc::clone(self), epoch }
    }

    /// Begins a new epoch and names the one that ends.
    pub fn advance(&self) -> u64 {
        let mut epochs = self.lock();
        epochs.now += 1;
        epochs.now - 1
    }

    /// Whether everybody has left who entered in this epoch or before.
    pub fn have_left(&self, epoch: u64) -> bool {
        self.lock().inside.first_key_value().is_none_or(|(oldest, _)| *oldest > epoch)
    }

    /// Returns when everybody has left who entered in this epoch or before.
    pub async fn wait(&self, epoch: u64) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // From here on no leaving is missed.
            left.as_mut().enable();
            if self.have_left(epoch) {
                return;
            }
            left.await;
        }
    }
}

/// Somebody who is reading; leaves when dropped.
pub struct Reading {
    readers: Arc<Readers>,
    epoch: u64,
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut epochs = self.readers.lock();
        if let Some(inside) = epochs.inside.get_mut(&self.epoch) {
            *inside -= 1;
            if *inside == 0 {
                epochs.inside.remove(&self.epoch);
                drop(epochs);
                self.readers.left.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_those_who_were_inside_before_are_waited_for() {
        let readers = Arc::new(Readers::default());
        let (before, also) = (readers.enter(), readers.enter());
        let epoch = readers.advance();
        let later = readers.enter();
        assert!(!readers.have_left(epoch));
        drop(before);
        assert!(!readers.have_left(epoch));
        let waiting = tokio::spawn({
            let readers = Arc::clone(&readers);
            async move { readers.wait(epoch).await }
        });
        tokio::task::yield_now().await;
        drop(also);
        waiting.await.unwrap();
        assert!(readers.have_left(epoch));
        drop(later);
    }
}
