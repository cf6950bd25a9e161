//! Writing the chunks of one upload into packs, or referring to those that other uploads are writing.
//!
//! An upload that has met another's chunk at the end of what that one has written goes on right there: two uploads of
//! the same content that run side by side then fill one xorb together, in order, instead of every second chunk each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::debug;

use super::shared::{Appended, SharedXorbs, Workshop};
use super::{CasError, NewChunk, PendingRef, Sharing, XorbWriter};
use crate::store::hold::Hold;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::hash::ChunkHash;

/// A xorb that the upload refers to, of its own or another's.
struct Named {
    xorbs: Arc<SharedXorbs>,
    xorb: u32,
    /// Whether it does; it may have been looked at only.
    is_used: bool,
}

/// Writes the chunks of one upload.
pub(super) struct LocalXorbWriter {
    workshop: Arc<Workshop>,
    /// Made when there is something to write.
    own: Option<Arc<SharedXorbs>>,
    named: Vec<Named>,
    /// Where in `named` a xorb is, by the address of its writer and its number.
    numbers: HashMap<(usize, u32), u32>,
    /// The chunk that was placed last.
    last: Option<PendingRef>,
}

impl LocalXorbWriter {
    pub(super) fn new(workshop: Arc<Workshop>) -> Self {
        Self { workshop, own: None, named: Vec::new(), numbers: HashMap::new(), last: None }
    }

    /// A place in one of these xorbs as this writer names it.
    fn name(&mut self, xorbs: Arc<SharedXorbs>, place: PendingRef) -> PendingRef {
        // The address stays taken while `named` has it.
        let key = (Arc::as_ptr(&xorbs).addr(), place.xorb);
        let named = &mut self.named;
        let number = self.numbers.entry(key).or_insert_with(|| {
            named.push(Named { xorbs, xorb: place.xorb, is_used: false });
            named.len() as u32 - 1
        });
        PendingRef { xorb: *number, index: place.index }
    }

    /// Appends a chunk where the last one ends, if that goes, else to the upload's own xorbs.
    fn append_somewhere(
        &mut self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
    ) -> Result<(Arc<SharedXorbs>, Appended), CasError> {
        if let Some(last) = self.last {
            let Named { xorbs, xorb, .. } = &self.named[last.xorb as usize];
            let xorbs = Arc::clone(xorbs);
            let behind = PendingRef { xorb: *xorb, index: last.index };
            match xorbs.append(chunk, sharing, Some(behind))? {
                Appended::Elsewhere => {}
                appended => return Ok((xorbs, appended)),
            }
        }
        let own = self.own.get_or_insert_with(|| SharedXorbs::new(Arc::clone(&self.workshop)));
        let own = Arc::clone(own);
        let appended = own.append(chunk, sharing, None)?;
        Ok((own, appended))
    }

    fn placed(&mut self, xorbs: Arc<SharedXorbs>, place: PendingRef) -> PendingRef {
        let place = self.name(xorbs, place);
        self.rely(place);
        place
    }
}

#[async_trait]
impl XorbWriter for LocalXorbWriter {
    type Row = XorbRow;

    async fn append(
        &mut self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
    ) -> Result<Option<PendingRef>, CasError> {
        // Here and not where it is appended: nobody is kept waiting by a lock meanwhile.
        if let Some(room) = self.workshop.packs.room() {
            room.await;
        }
        loop {
            let (xorbs, appended) = self.append_somewhere(chunk, sharing)?;
            match appended {
                Appended::At(place) => return Ok(Some(self.placed(xorbs, place))),
                Appended::Met(spot) => match spot.resolve() {
                    Some((xorbs, place)) => {
                        self.workshop.metrics.chunks_found.add(1);
                        return Ok(Some(self.placed(xorbs, place)));
                    }
                    None => self.workshop.announced.withdraw(&chunk.hash, spot.xorbs.as_ptr()),
                },
                Appended::Stale => return Ok(None),
                Appended::Elsewhere => {
                    let error = std::io::Error::other("the upload has failed before");
                    return Err(CasError::Io { doing: "appending to a pack", error });
                }
            }
        }
    }

    fn meet(&mut self, chunk: &ChunkHash) -> Option<PendingRef> {
        let (xorbs, place) = self.workshop.announced.find(chunk)?.resolve()?;
        Some(self.name(xorbs, place))
    }

    fn rely(&mut self, place: PendingRef) {
        self.named[place.xorb as usize].is_used = true;
        self.last = Some(place);
    }

    async fn finish(mut self: Box<Self>, hold: &mut Hold) -> Result<BTreeMap<u32, StoredXorb>, CasError> {
        if let Some(own) = self.own.take() {
            close(own).await?;
        }
        let mut stored = BTreeMap::new();
        for (number, Named { xorbs, xorb, is_used }) in (0..).zip(std::mem::take(&mut self.named)) {
            if is_used {
                stored.insert(number, xorbs.secure(xorb).await?);
                hold.keep(xorbs);
            }
        }
        Ok(stored)
    }
}

/// Ends what an upload has written.
async fn close(own: Arc<SharedXorbs>) -> Result<(), CasError> {
    if !own.is_streamed() {
        return own.close();
    }
    let closed = spawn_blocking(move || own.close()).await;
    closed.unwrap_or_else(|panic| {
        Err(CasError::Io { doing: "syncing a pack", error: std::io::Error::other(panic) })
    })
}

impl Drop for LocalXorbWriter {
    /// What others rely on of an upload that was given up is made durable now, so that its pack can be used again
    /// before they end.
    fn drop(&mut self) {
        self.named.clear();
        let Some(own) = self.own.take().filter(|own| Arc::strong_count(own) > 1) else {
            return;
        };
        let close = move || {
            if let Err(error) = own.close() {
                // Anyone who relies on it learns of it by an error of its own.
                debug!(%error, "what an upload left to others is lost");
            }
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(close)),
            Err(_) => close(),
        }
    }
}
