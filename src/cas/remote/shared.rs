//! A xorb on its way to a CAS far away: gathered in memory by one upload, and met there by the others of its caller.
//!
//! | it is | its records are | an upload that refers to it and is at its end |
//! |---|---|---|
//! | open | gathered in memory | closes it and sends it itself |
//! | closed | in memory | waits for the upload that is sending it, or sends it itself |
//! | sent | dropped | has nothing to do |
//!
//! So no upload waits for another's client, and an upload that fails takes nothing from those that refer to its chunks:
//! the records are kept until one of them has sent them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::client::CasClient;
use super::known::Known;
use super::{RemoteError, SentXorb};
use crate::cas::announced::{Claim, Spot};
use crate::cas::{NewChunk, PendingRef, Sharing};
use crate::model::turns::{Turn, Turns};
use crate::xet::compression::Compressor;
use crate::xet::xorb::ChunkTable;

/// A xorb is sent when it has this many uncompressed bytes. The format allows 64 MiB; less keeps an upload's memory
/// small, and lets it send several at once.
const XORB_RAW_BYTES: u32 = 16 << 20;

/// The result of [`SharedXorb::append`].
pub(super) enum Appended {
    /// It is here now, under this index.
    At(u32),
    /// Another upload has it.
    Met(Spot<SharedXorb>),
    /// [`Known`] is to be asked again.
    Stale,
    /// The xorb has no room for it.
    Full,
    /// Nothing more is appended to this xorb, or the chunk that was to be continued is not its last.
    Elsewhere,
}

/// The xorb.
pub(super) struct SharedXorb {
    me: Weak<Self>,
    known: Arc<Known>,
    gathered: Mutex<Gathered>,
    /// Locked by the upload that sends it; taken before a turn to send, never after.
    sent: Arc<tokio::sync::Mutex<Option<SentXorb>>>,
}

#[derive(Default)]
struct Gathered {
    /// Chunks so far.
    chunks: u32,
    /// Empty once it has been sent.
    table: ChunkTable,
    records: Vec<u8>,
    /// The records, once nothing more is appended.
    closed: Option<Bytes>,
}

/// The right to send a xorb.
pub(super) struct Sender {
    xorb: Arc<SharedXorb>,
    sent: OwnedMutexGuard<Option<SentXorb>>,
    _turn: Turn,
}

impl SharedXorb {
    pub(super) fn new(known: Arc<Known>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            known,
            gathered: Mutex::default(),
            sent: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a chunk that was announced at this index is here.
    fn has(&self, index: u32) -> bool {
        index < self.lock().chunks
    }

    /// Appends a chunk: after this index if one is given, and only if it is the last; else at the end.
    pub(super) fn append(
        &self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
        behind: Option<u32>,
        compressor: &mut Compressor,
    ) -> Appended {
        let mut gathered = self.lock();
        let index = gathered.chunks;
        if gathered.closed.is_some() || behind.is_some_and(|last| last + 1 != index) {
            return Appended::Elsewhere;
        }
        if !gathered.has_room(chunk.raw_bytes) {
            return Appended::Full;
        }
        if let Sharing::Since(ticket) = sharing {
            let spot = Spot { xorbs: Weak::clone(&self.me), place: PendingRef { xorb: 0, index } };
            match self.known.announced.claim(&chunk.hash, ticket, spot) {
                Claim::Write => {}
                Claim::Met(spot) => return Appended::Met(spot),
                Claim::Stale => return Appended::Stale,
            }
        }
        let record_bytes = chunk.write_record(compressor, &mut gathered.records);
        gathered.table.push(chunk.hash, record_bytes, chunk.raw_bytes);
        gathered.chunks += 1;
        Appended::At(index)
    }

    /// Appends nothing more, and waits for the right to send it; `None` if it has been sent.
    pub(super) async fn sender(self: Arc<Self>, turns: &Turns) -> Option<Sender> {
        self.lock().close();
        let sent = Arc::clone(&self.sent).lock_owned().await;
        if sent.is_some() {
            return None;
        }
        let turn = turns.take().await;
        Some(Sender { xorb: self, sent, _turn: turn })
    }

    /// What it is, once it has been sent: sends it unless another upload does.
    pub(super) async fn secure(
        self: Arc<Self>,
        client: &CasClient,
        turns: &Turns,
    ) -> Result<SentXorb, RemoteError> {
        if let Some(sender) = Arc::clone(&self).sender(turns).await {
            return sender.send(client).await;
        }
        let sent = self.sent.lock().await.clone();
        // It was sent a moment ago, and stays so.
        sent.ok_or_else(|| RemoteError::Unavailable("a xorb that was sent is gone".to_owned()))
    }

    /// Takes the announcements of these chunks back.
    fn withdraw(&self, table: &ChunkTable) {
        for entry in table.entries() {
            self.known.announced.withdraw(&entry.hash, std::ptr::from_ref(self));
        }
    }
}

impl Gathered {
    /// Appends nothing more; gives the records.
    fn close(&mut self) -> Bytes {
        let Self { records, closed, .. } = self;
        closed.get_or_insert_with(|| Bytes::from(std::mem::take(records))).clone()
    }

    fn has_room(&self, raw_bytes: u32) -> bool {
        self.table.is_empty()
            || self.table.has_room(raw_bytes) && self.table.raw_bytes() + raw_bytes <= XORB_RAW_BYTES
    }
}

impl Sender {
    /// Sends the xorb.
    pub(super) async fn send(mut self, client: &CasClient) -> Result<SentXorb, RemoteError> {
        let xorb = &self.xorb;
        let (records, table) = {
            let mut gathered = xorb.lock();
            (gathered.close(), gathered.table.clone())
        };
        let hash = table.xorb_hash();
        client.put_xorb(&hash, &records).await?;
        xorb.known.add(hash, Arc::new(table.clone()));
        // After `Known` has learned of the chunks: an upload that finds neither asks again.
        xorb.withdraw(&table);
        {
            let mut gathered = xorb.lock();
            gathered.table = ChunkTable::default();
            gathered.closed = Some(Bytes::new());
        }
        let stored = SentXorb { hash, row: table };
        *self.sent = Some(stored.clone());
        Ok(stored)
    }
}

impl Drop for SharedXorb {
    fn drop(&mut self) {
        let table = std::mem::take(&mut self.lock().table);
        self.withdraw(&table);
    }
}

impl Spot<SharedXorb> {
    /// The xorb and the index in it, if the chunk is there. While it is just being compressed, waits for that.
    pub(super) fn resolve(&self) -> Option<(Arc<SharedXorb>, u32)> {
        let xorb = self.xorbs.upgrade()?;
        xorb.has(self.place.index).then_some((xorb, self.place.index))
    }
}
