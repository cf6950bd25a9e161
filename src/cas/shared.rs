//! The xorbs of one upload, written one after the other, which other uploads may refer to and continue while they are
//! written.
//!
//! The frame of the first xorb is gathered in memory. If it ends while it is small, it goes to the shared writer and
//! shares its sync with others; if it grows, a pack is leased, and from then on chunk records stream into it.
//!
//! An upload that needs the hash of a xorb that is still open, because it refers to a chunk in it and is at its end,
//! ends that xorb itself, makes it durable itself, and commits its row itself ([`SharedXorbs::secure`]). So it waits
//! for nobody's client, and what it refers to stays even if the upload that wrote it fails. The other upload goes on in
//! a new xorb after it; where a pack is an object, in a new pack too, for this one is finished by that.
//!
//! | xorb is | its bytes are | dropped with all who refer to it |
//! |---|---|---|
//! | open | in memory, or in a leased pack | leaves nothing behind |
//! | ended, not secured | in a leased pack | leaves nothing behind |
//! | secured | synced | dead bytes, for gc, unless it has a row |
//!
//! After an error nothing that was not secured may be relied on, and nothing more is written.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt as _;
use futures::future::Shared;
use tokio::task::spawn_blocking;

use super::announced::{Announced, Claim, Spot};
use super::{CasError, NewChunk, PendingRef, Sharing};
use crate::store::metrics::StoreMetrics;
use crate::store::pack::group::{GroupWriter, Placing, SMALL_FRAME_BYTES_MAX};
use crate::store::pack::log::{PackHold, PackLease, PackLog};
use crate::store::pack::{PackId, PackMedium, frame};
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::compression::Compressor;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// What all uploads of a store write with.
pub(super) struct Workshop {
    pub(super) packs: Arc<PackLog>,
    pub(super) group: GroupWriter,
    pub(super) announced: Announced<SharedXorbs>,
    pub(super) metrics: Arc<StoreMetrics>,
}

/// What became of a chunk that was to be appended.
pub(super) enum Appended {
    /// It is here now.
    At(PendingRef),
    /// Another upload has it.
    Met(Spot<SharedXorbs>),
    /// The index is to be asked again.
    Stale,
    /// It cannot be appended here: the place to continue is not the end any more, or nothing more is written.
    Elsewhere,
}

/// The xorbs.
pub(super) struct SharedXorbs {
    me: Weak<Self>,
    workshop: Arc<Workshop>,
    /// How many xorbs have ended (upper half), and how many chunks the open one has: all before it are written.
    written: AtomicU64,
    has_failed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// `None` when nothing more is written.
    lease: Option<PackLease>,
    /// Made when it is needed.
    compressor: Option<Compressor>,
    /// What is not in a pack yet: the beginning of the first frame, later only the record at hand.
    unwritten: Vec<u8>,
    open: Option<OpenXorb>,
    ended: Vec<EndedXorb>,
    /// Keeps what the lease has written, once it is over.
    hold: Option<PackHold>,
    /// Why nothing more is written, if it is for an error.
    failure: Option<(io::ErrorKind, String)>,
}

#[derive(Default)]
struct OpenXorb {
    table: ChunkTable,
    /// Where its frame begins; `None` while the frame is in memory.
    frame_start: Option<(PackId, u64)>,
}

struct EndedXorb {
    hash: XorbHash,
    table: ChunkTable,
    at: EndedAt,
}

#[derive(Clone)]
enum EndedAt {
    /// With the shared writer.
    Group(Shared<Placing>),
    /// In a leased pack.
    Pack { frame_start: (PackId, u64), is_synced: bool },
}

/// A xorb that is to be made durable.
enum Securing {
    Group(XorbHash, ChunkTable, Shared<Placing>),
    Unsynced,
    Done(StoredXorb),
}

fn appending(error: io::Error) -> CasError {
    CasError::Io { doing: "appending to a pack", error }
}

/// The row of a xorb whose frame begins here.
fn row(table: ChunkTable, (pack, frame_start): (PackId, u64)) -> XorbRow {
    let offset = frame_start + frame::HEAD.len() as u64;
    let frame_end = offset + u64::from(table.record_bytes()) + frame::trailer_bytes(table.len()) as u64;
    XorbRow { pack, offset, frame_end, table }
}

impl SharedXorbs {
    pub(super) fn new(workshop: Arc<Workshop>) -> Arc<Self> {
        let state = State {
            lease: Some(workshop.packs.lease()),
            compressor: None,
            unwritten: Vec::new(),
            open: None,
            ended: Vec::new(),
            hold: None,
            failure: None,
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            workshop,
            written: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the bytes of a chunk that was announced at this place are there. Waits if they are just being written.
    pub(super) fn has(&self, place: PendingRef) -> bool {
        if self.has_failed.load(Ordering::Acquire) {
            return false;
        }
        let wanted = position(place.xorb, place.index);
        self.written.load(Ordering::Acquire) > wanted || {
            let _writing = self.lock();
            self.written.load(Ordering::Acquire) > wanted && !self.has_failed.load(Ordering::Acquire)
        }
    }

    /// Appends a chunk: after this place if one is named, and only if that is the end; else wherever the end is.
    pub(super) fn append(
        &self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
        behind: Option<PendingRef>,
    ) -> Result<Appended, CasError> {
        let mut state = self.lock();
        if behind.is_some_and(|place| !state.ends_with(place)) || state.lease.is_none() {
            return Ok(Appended::Elsewhere);
        }
        let appended = self.append_to(&mut state, chunk, sharing);
        self.written.store(state.position(), Ordering::Release);
        appended.map_err(|error| self.failed(&mut state, error))
    }

    fn append_to(&self, state: &mut State, chunk: &NewChunk<'_>, sharing: Sharing) -> io::Result<Appended> {
        if state.open.as_ref().is_some_and(|open| !open.table.has_room(chunk.raw_bytes)) {
            state.flush()?;
            state.end_xorb(&self.workshop.group)?;
        }
        let index = state.open.as_ref().map_or(0, |open| open.table.len() as u32);
        let place = PendingRef { xorb: state.ended.len() as u32, index };
        if let Sharing::Since(ticket) = sharing {
            let spot = Spot { xorbs: Weak::clone(&self.me), place };
            match self.workshop.announced.claim(&chunk.hash, ticket, spot) {
                Claim::Write => {}
                Claim::Met(spot) => return Ok(Appended::Met(spot)),
                Claim::Stale => return Ok(Appended::Stale),
            }
        }
        let record_bytes = state.write(chunk).inspect_err(|_| {
            self.workshop.announced.withdraw(&chunk.hash, std::ptr::from_ref(self));
        })?;
        self.workshop.metrics.new_raw_bytes.add(u64::from(chunk.raw_bytes));
        self.workshop.metrics.new_stored_bytes.add(u64::from(record_bytes));
        Ok(Appended::At(place))
    }

    /// Nothing more is written here after an error; what was not secured is taken back.
    fn failed(&self, state: &mut State, error: io::Error) -> CasError {
        self.has_failed.store(true, Ordering::Release);
        state.failure = Some((error.kind(), error.to_string()));
        state.lease = None;
        appending(error)
    }

    /// Ends a xorb and makes it durable, no matter who writes it.
    pub(super) async fn secure(self: &Arc<Self>, xorb: u32) -> Result<StoredXorb, CasError> {
        match self.end(xorb)? {
            Securing::Done(stored) => Ok(stored),
            Securing::Group(hash, table, placing) => {
                let placed = placing.await.map_err(appending_together)?;
                Ok(StoredXorb { hash, row: row(table, placed.place) })
            }
            Securing::Unsynced => {
                let this = Arc::clone(self);
                let synced = spawn_blocking(move || this.sync(xorb)).await;
                synced.unwrap_or_else(|panic| Err(appending(io::Error::other(panic))))
            }
        }
    }

    /// Ends a xorb, if it is still open.
    fn end(&self, xorb: u32) -> Result<Securing, CasError> {
        let mut state = self.lock();
        if state.ended.len() == xorb as usize && state.lease.is_some() {
            let ended = state.end_xorb(&self.workshop.group);
            self.written.store(state.position(), Ordering::Release);
            ended.map_err(|error| self.failed(&mut state, error))?;
        }
        let ended = state.ended.get(xorb as usize);
        let EndedXorb { hash, table, at } = ended.ok_or_else(|| state.given_up())?;
        Ok(match at {
            EndedAt::Group(placing) => Securing::Group(*hash, table.clone(), Shared::clone(placing)),
            EndedAt::Pack { frame_start, is_synced: true } => {
                Securing::Done(StoredXorb { hash: *hash, row: row(table.clone(), *frame_start) })
            }
            EndedAt::Pack { .. } => Securing::Unsynced,
        })
    }

    /// Syncs the pack of an ended xorb. Blocks.
    fn sync(&self, xorb: u32) -> Result<StoredXorb, CasError> {
        let mut state = self.lock();
        let secured = state.secure(xorb as usize, &self.workshop.group);
        self.written.store(state.position(), Ordering::Release);
        secured.map_err(|error| self.failed(&mut state, error))?;
        match state.ended.get(xorb as usize) {
            Some(EndedXorb { hash, table, at: EndedAt::Pack { frame_start, is_synced: true } }) => {
                Ok(StoredXorb { hash: *hash, row: row(table.clone(), *frame_start) })
            }
            _ => Err(state.given_up()),
        }
    }

    /// Nothing more is written: all that is here is ended, made durable, and the pack given back. Blocks only if there
    /// is something in a leased pack.
    pub(super) fn close(&self) -> Result<(), CasError> {
        let mut state = self.lock();
        let closed = state.close(&self.workshop.group);
        self.written.store(state.position(), Ordering::Release);
        closed.map_err(|error| self.failed(&mut state, error))
    }

    /// Whether closing it blocks.
    pub(super) fn is_streamed(&self) -> bool {
        self.lock().is_streamed()
    }
}

impl Spot<SharedXorbs> {
    /// The xorbs and the place in them, if the chunk's bytes are there. While they are just being written, waits for
    /// that: no longer than it takes to compress a chunk and hand it to the system.
    pub(super) fn resolve(&self) -> Option<(Arc<SharedXorbs>, PendingRef)> {
        let xorbs = self.xorbs.upgrade()?;
        xorbs.has(self.place).then_some((xorbs, self.place))
    }
}

fn appending_together(error: Arc<io::Error>) -> CasError {
    appending(io::Error::new(error.kind(), error))
}

/// A place as one number.
fn position(xorb: u32, index: u32) -> u64 {
    u64::from(xorb) << 32 | u64::from(index)
}

impl State {
    /// Where the next chunk goes.
    fn position(&self) -> u64 {
        position(self.ended.len() as u32, self.open.as_ref().map_or(0, |open| open.table.len() as u32))
    }

    /// Whether this is the last chunk; also if its xorb was ended after it.
    fn ends_with(&self, place: PendingRef) -> bool {
        let (xorb, chunks) = match (&self.open, self.ended.last()) {
            (Some(open), _) => (self.ended.len(), open.table.len()),
            (None, Some(last)) => (self.ended.len() - 1, last.table.len()),
            (None, None) => return false,
        };
        position(xorb as u32, chunks as u32) == position(place.xorb, place.index + 1)
    }

    /// The error for anyone who relies on what an error has taken.
    fn given_up(&self) -> CasError {
        let error = match &self.failure {
            Some((kind, text)) => io::Error::new(*kind, text.clone()),
            None => io::Error::other("what was written was given up"),
        };
        CasError::Io { doing: "securing a pack", error }
    }

    fn is_streamed(&self) -> bool {
        let is_in_pack = |ended: &EndedXorb| matches!(ended.at, EndedAt::Pack { .. });
        self.open.as_ref().is_some_and(|open| open.frame_start.is_some()) || self.ended.iter().any(is_in_pack)
    }

    /// Appends a chunk to the open xorb, which is begun if there is none; answers the length of its record.
    fn write(&mut self, chunk: &NewChunk<'_>) -> io::Result<u32> {
        let was_streamed = self.is_streamed();
        if self.open.is_none() {
            self.unwritten.extend_from_slice(&frame::HEAD);
        }
        let compressor = self.compressor.get_or_insert_with(Compressor::new);
        let record_bytes = chunk.write_record(compressor, &mut self.unwritten);
        if was_streamed || self.unwritten.len() > SMALL_FRAME_BYTES_MAX {
            self.open.get_or_insert_default();
            self.flush()?;
        }
        // Only now: anyone who ends the xorb after an error must not find a chunk in it that is not there.
        self.open.get_or_insert_default().table.push(chunk.hash, record_bytes, chunk.raw_bytes);
        Ok(record_bytes)
    }

    /// Moves everything that is not in the pack yet into it.
    fn flush(&mut self) -> io::Result<()> {
        let lease = self.lease.as_mut().ok_or_else(|| io::Error::other("nothing more is written"))?;
        if let Some(open) = &mut self.open
            && open.frame_start.is_none()
        {
            open.frame_start = Some(lease.position()?);
        }
        lease.append(&self.unwritten)?;
        self.unwritten.clear();
        Ok(())
    }

    /// Ends the open xorb: in the pack, or with the shared writer if its frame is in memory.
    fn end_xorb(&mut self, group: &GroupWriter) -> io::Result<()> {
        let Some(OpenXorb { table, frame_start }) = self.open.take() else {
            return Ok(());
        };
        let hash = table.xorb_hash();
        let trailer = frame::encode_trailer(&hash, &table);
        let at = if let Some(frame_start) = frame_start {
            let lease = self.lease.as_mut().ok_or_else(|| io::Error::other("nothing more is written"))?;
            lease.append(&trailer)?;
            EndedAt::Pack { frame_start, is_synced: false }
        } else {
            let mut frame = std::mem::take(&mut self.unwritten);
            frame.extend_from_slice(&trailer);
            EndedAt::Group(group.place(frame)?.shared())
        };
        self.ended.push(EndedXorb { hash, table, at });
        Ok(())
    }

    /// Makes an ended xorb durable that is in a leased pack. A xorb that was begun in the same pack is ended too, if the
    /// pack is an object: it takes nothing more afterwards.
    fn secure(&mut self, xorb: usize, group: &GroupWriter) -> io::Result<()> {
        let (Some(lease), Some(ended)) = (&self.lease, self.ended.get(xorb)) else {
            return Ok(());
        };
        let EndedAt::Pack { frame_start: (wanted, _), .. } = ended.at else {
            return Ok(());
        };
        let begun = self.open.as_ref().and_then(|open| open.frame_start);
        if lease.medium() == PackMedium::Object && begun.is_some_and(|(pack, _)| pack == wanted) {
            self.end_xorb(group)?;
        }
        let Some(lease) = &mut self.lease else {
            return Ok(());
        };
        lease.secure(wanted)?;
        for ended in &mut self.ended {
            if let EndedAt::Pack { frame_start: (pack, _), is_synced } = &mut ended.at {
                *is_synced |= *pack == wanted;
            }
        }
        Ok(())
    }

    fn close(&mut self, group: &GroupWriter) -> io::Result<()> {
        self.end_xorb(group)?;
        let is_streamed = self.is_streamed();
        (self.unwritten, self.compressor) = (Vec::new(), None);
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        if is_streamed {
            self.hold = Some(lease.commit()?);
            for ended in &mut self.ended {
                if let EndedAt::Pack { is_synced, .. } = &mut ended.at {
                    *is_synced = true;
                }
            }
        }
        Ok(())
    }
}

impl Drop for SharedXorbs {
    fn drop(&mut self) {
        let this = std::ptr::from_ref(self);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let tables = state.ended.iter().map(|ended| &ended.table);
        for table in tables.chain(state.open.as_ref().map(|open| &open.table)) {
            for entry in table.entries() {
                self.workshop.announced.withdraw(&entry.hash, this);
            }
        }
    }
}
