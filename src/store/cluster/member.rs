//! What a node does that collectors may ask.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Learning;
use crate::store::located::XorbRows;
use crate::store::meta::{Beat, Doom, MetaError, MetaStore, Questions};
use crate::store::pack::log::PackLog;
use crate::store::pins::{Doomed, Pins};
use crate::store::readers::Readers;

/// How often a node says something.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);

/// A node, as its own collector or another's sees it.
pub struct Member {
    /// The epoch of its packs.
    pub epoch: u32,
    /// Where it says that it lives.
    pub meta: Arc<dyn MetaStore>,
    /// What its uploads were promised.
    pub pins: Arc<Pins>,
    /// Who reads through it.
    pub readers: Arc<Readers>,
    /// The packs that it writes.
    pub packs: Arc<PackLog>,
    /// Where it remembers xorbs to be.
    pub rows: Arc<XorbRows>,
    /// What it learns of others' chunks.
    pub learning: Arc<Learning>,
}

/// What it has seen of questions, and what it says.
#[derive(Default)]
struct Answering {
    beat: Beat,
    /// The last question of readers, and the epoch that it has ended here.
    readers: Option<(u64, u64)>,
    /// What is doomed by the last question; held until the next.
    doomed: Option<Doomed>,
}

impl Member {
    /// Says that it lives, and answers, until told to stop; then it leaves. Ends early if it was taken for dead.
    pub async fn live(self, stop: CancellationToken) -> Result<(), MetaError> {
        let exchanging = Arc::clone(&self.learning).exchange();
        tokio::select! {
            ended = self.answer_until(stop) => ended,
            () = exchanging => Ok(()),
        }
    }

    async fn answer_until(self, stop: CancellationToken) -> Result<(), MetaError> {
        let mut answering = Answering::default();
        let mut is_reached = true;
        loop {
            answering.beat.count += 1;
            let said = self.meta.beat(self.epoch, answering.beat.clone()).await;
            let has_news = match said {
                Ok(questions) => {
                    is_reached = true;
                    self.answer(questions, &mut answering)
                }
                Err(MetaError::NodeEnded) => {
                    error!(
                        "this node was taken for dead, for it was not heard of: it ends, and can be started again"
                    );
                    return Err(MetaError::NodeEnded);
                }
                Err(error) => {
                    if std::mem::take(&mut is_reached) {
                        warn!(%error, "the database cannot be told that this node lives; it is tried again");
                    }
                    false
                }
            };
            if has_news {
                // Somebody waits for the answer.
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT_EVERY) => {}
                () = stop.cancelled() => break,
            }
        }
        self.meta.end_nodes(vec![self.epoch]).await
    }

    /// Takes note of what is asked; answers whether there is something new to say.
    fn answer(&self, questions: Questions, answering: &mut Answering) -> bool {
        let before = (answering.beat.readers_left, answering.beat.doomed);
        if answering.readers.is_none_or(|(seen, _)| seen != questions.readers) {
            answering.readers = Some((questions.readers, self.readers.advance()));
        }
        if let Some((number, epoch)) = answering.readers
            && self.readers.have_left(epoch)
        {
            answering.beat.readers_left = number;
        }
        if questions.doomed != answering.beat.doomed {
            self.doom(questions, answering);
        }
        before != (answering.beat.readers_left, answering.beat.doomed)
    }

    /// Lets go of what was doomed by the question before, and dooms what is asked for now.
    fn doom(&self, Questions { doomed: number, doom, .. }: Questions, answering: &mut Answering) {
        if let Some(over) = answering.doomed.take() {
            // They may be gone. Forgotten before they can be relied on again.
            self.rows.forget(over.xorbs());
        }
        let doomed = self.pins.doom(doom.xorbs.iter().copied());
        let agreed: HashSet<_> = doomed.xorbs().iter().copied().collect();
        let xorbs = doom.xorbs.into_iter().filter(|xorb| !agreed.contains(xorb)).collect();
        let own = doom.packs.into_iter().filter(|pack| pack.epoch() == self.epoch);
        let packs = own.filter(|pack| !self.packs.retire(*pack)).collect();
        answering.doomed = Some(doomed);
        answering.beat.doomed = number;
        answering.beat.kept = Doom { xorbs, packs };
    }
}
