//! Writing the chunks of one upload to a CAS far away: gathered in memory as a xorb, and sent while the next one is
//! gathered. Chunks that another upload of the same caller is gathering or sending are referred to where they are
//! ([`SharedXorb`]).
//!
//! A xorb that was sent stays sent: what comes later (another xorb, the shard, the Hub) may fail and be tried again
//! without it, and an upload of the same bytes finds its chunks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::debug;

use super::client::CasClient;
use super::known::Known;
use super::shared::{Appended, SharedXorb};
use super::{RemoteError, SentXorb};
use crate::cas::{CasError, NewChunk, PendingRef, Sharing, XorbWriter};
use crate::model::tenant::Tenant;
use crate::model::turns::Turns;
use crate::store::hold::Hold;
use crate::xet::compression::Compressor;
use crate::xet::hash::ChunkHash;
use crate::xet::xorb::ChunkTable;

/// Xorbs of one upload on their way at once.
const SENDING_MAX: usize = 3;

/// A xorb that the upload refers to, of its own or another's.
struct Named {
    xorb: Arc<SharedXorb>,
    /// Whether it does; it may have been looked at only.
    is_used: bool,
}

/// Writes the chunks of one upload.
pub(super) struct RemoteXorbWriter {
    client: Arc<CasClient>,
    known: Arc<Known>,
    sending_turns: Turns,
    runtime: Handle,
    compressor: Compressor,
    /// The xorb at hand.
    own: Option<Arc<SharedXorb>>,
    sending: VecDeque<Sending>,
    named: Vec<Named>,
    /// Where in `named` a xorb is, by its address.
    numbers: HashMap<usize, u32>,
    /// The chunk that was placed last.
    last: Option<PendingRef>,
}

struct Sending {
    task: JoinHandle<Result<SentXorb, RemoteError>>,
    xorb: Arc<SharedXorb>,
}

impl RemoteXorbWriter {
    /// `sending_turns` bounds the xorbs on their way of all uploads together.
    pub(super) fn new(
        client: Arc<CasClient>,
        known: Arc<Known>,
        sending_turns: Turns,
        runtime: Handle,
    ) -> Self {
        Self {
            client,
            known,
            sending_turns,
            runtime,
            compressor: Compressor::new(),
            own: None,
            sending: VecDeque::new(),
            named: Vec::new(),
            numbers: HashMap::new(),
            last: None,
        }
    }

    /// A place in a xorb as this writer names it.
    fn name(&mut self, xorb: Arc<SharedXorb>, index: u32) -> PendingRef {
        // The address stays taken while `named` has it.
        let named = &mut self.named;
        let number = self.numbers.entry(Arc::as_ptr(&xorb).addr()).or_insert_with(|| {
            named.push(Named { xorb, is_used: false });
            named.len() as u32 - 1
        });
        PendingRef { xorb: *number, index }
    }

    fn placed(&mut self, xorb: Arc<SharedXorb>, index: u32) -> PendingRef {
        let place = self.name(xorb, index);
        self.rely(place);
        place
    }

    /// Appends a chunk where the last one ends, if that is possible, else to the upload's own xorb.
    fn append_somewhere(&mut self, chunk: &NewChunk<'_>, sharing: Sharing) -> (Arc<SharedXorb>, Appended) {
        if let Some(last) = self.last {
            let xorb = Arc::clone(&self.named[last.xorb as usize].xorb);
            match xorb.append(chunk, sharing, Some(last.index), &mut self.compressor) {
                Appended::Elsewhere => {}
                appended => return (xorb, appended),
            }
        }
        let own = self.own.get_or_insert_with(|| SharedXorb::new(Arc::clone(&self.known)));
        let own = Arc::clone(own);
        let appended = own.append(chunk, sharing, None, &mut self.compressor);
        (own, appended)
    }

    /// Ends a xorb and begins to send it; waits while too many of this upload are on their way.
    async fn send(&mut self, xorb: Arc<SharedXorb>) -> Result<(), CasError> {
        if self.own.as_ref().is_some_and(|own| Arc::ptr_eq(own, &xorb)) {
            self.own = None;
        }
        while self.sending.len() >= SENDING_MAX {
            self.wait_for_one().await?;
        }
        if let Some(sender) = Arc::clone(&xorb).sender(&self.sending_turns).await {
            let client = Arc::clone(&self.client);
            let send = async move { sender.send(&client).await };
            let task = self.runtime.spawn(Tenant::current().scope(send));
            self.sending.push_back(Sending { task, xorb });
        }
        Ok(())
    }

    async fn wait_for_one(&mut self) -> Result<(), CasError> {
        let Some(sending) = self.sending.pop_front() else { return Ok(()) };
        let sent = sending.task.await;
        sent.unwrap_or_else(|error| Err(RemoteError::Unavailable(error.to_string())))?;
        Ok(())
    }
}

impl Drop for RemoteXorbWriter {
    /// An upload that is given up stops sending, except what others refer to: that is sent now, so that its memory does
    /// not wait for their end.
    fn drop(&mut self) {
        self.named.clear();
        for Sending { task, xorb } in self.sending.drain(..) {
            // The task has one, too.
            if Arc::strong_count(&xorb) <= 2 {
                task.abort();
            }
        }
        let Some(own) = self.own.take().filter(|own| Arc::strong_count(own) > 1) else { return };
        let (client, turns) = (Arc::clone(&self.client), self.sending_turns.clone());
        let send = async move {
            if let Err(error) = own.secure(&client, &turns).await {
                // The others try again at their end, and report it if it fails.
                debug!(%error, "what an upload left to others was not sent");
            }
        };
        drop(self.runtime.spawn(Tenant::current().scope(send)));
    }
}

#[async_trait]
impl XorbWriter for RemoteXorbWriter {
    type Row = ChunkTable;

    async fn append(
        &mut self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
    ) -> Result<Option<PendingRef>, CasError> {
        loop {
            let (xorb, appended) = self.append_somewhere(chunk, sharing);
            match appended {
                Appended::At(index) => return Ok(Some(self.placed(xorb, index))),
                Appended::Met(spot) => match spot.resolve() {
                    Some((xorb, index)) => return Ok(Some(self.placed(xorb, index))),
                    None => self.known.announced.withdraw(&chunk.hash, spot.xorbs.as_ptr()),
                },
                Appended::Stale => return Ok(None),
                Appended::Full => self.send(xorb).await?,
                // Only the upload's own is left, and another has ended it.
                Appended::Elsewhere => self.own = None,
            }
        }
    }

    fn meet(&mut self, chunk: &ChunkHash) -> Option<PendingRef> {
        let (xorb, index) = self.known.announced.find(chunk)?.resolve()?;
        Some(self.name(xorb, index))
    }

    fn rely(&mut self, place: PendingRef) {
        self.named[place.xorb as usize].is_used = true;
        self.last = Some(place);
    }

    async fn finish(mut self: Box<Self>, _hold: &mut Hold) -> Result<BTreeMap<u32, SentXorb>, CasError> {
        let used = |(number, named): (u32, &Named)| named.is_used.then(|| (number, Arc::clone(&named.xorb)));
        let used: Vec<_> = (0..).zip(&self.named).filter_map(used).collect();
        for (_, xorb) in &used {
            self.send(Arc::clone(xorb)).await?;
        }
        while !self.sending.is_empty() {
            self.wait_for_one().await?;
        }
        let mut stored = BTreeMap::new();
        for (number, xorb) in used {
            stored.insert(number, xorb.secure(&self.client, &self.sending_turns).await?);
        }
        Ok(stored)
    }
}
