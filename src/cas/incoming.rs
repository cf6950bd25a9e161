//! Whole xorbs from clients: verified as they come, and stored as they are.
//!
//! As in `writer`, a small xorb is gathered and shares its sync with others; one that grows streams into a pack of its
//! own. What turns out not to be the xorb that was announced is taken back with the pack's lease.

use std::sync::Arc;

use super::shared::{Workshop, appending, row};
use super::{CasError, LocalChunks};
use crate::store::hold::Hold;
use crate::store::pack::PackId;
use crate::store::pack::frame;
use crate::store::pack::group::SMALL_FRAME_BYTES_MAX;
use crate::store::pack::log::PackLease;
use crate::store::rows::StoredXorb;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::{ArrivingXorb, ChunkTable, XorbError};

/// Why a xorb was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// The bytes are not the xorb that was announced.
    #[error("not xorb {expected}: {error}")]
    NotTheXorb {
        /// The announced one.
        expected: XorbHash,
        /// What is wrong.
        error: XorbError,
    },
    /// It could not be stored.
    #[error(transparent)]
    Cas(#[from] CasError),
}

/// A xorb on its way in, in the memory of two records and what is fed at once. Its calls block. Dropped unfinished, it
/// leaves nothing behind.
pub struct IncomingXorb {
    expected: XorbHash,
    arriving: ArrivingXorb,
    /// `None` if it is only to be verified.
    target: Option<Target>,
    /// Verified records that are not in the pack yet, with the frame's head before the first.
    unwritten: Vec<u8>,
}

/// Where it goes.
struct Target {
    workshop: Arc<Workshop>,
    lease: PackLease,
    /// Where its frame begins; `None` while the frame is in memory.
    frame_start: Option<(PackId, u64)>,
}

impl LocalChunks {
    /// Begins to take a xorb. One that is here, whole, needs only to be verified.
    pub fn incoming(&self, expected: XorbHash, is_here: bool) -> IncomingXorb {
        let target = (!is_here).then(|| self.target());
        let unwritten = if is_here { Vec::new() } else { frame::HEAD.to_vec() };
        IncomingXorb { expected, arriving: ArrivingXorb::default(), target, unwritten }
    }

    fn target(&self) -> Target {
        Target { workshop: Arc::clone(&self.workshop), lease: self.store.packs.lease(), frame_start: None }
    }
}

impl Target {
    fn flush(&mut self, unwritten: &mut Vec<u8>) -> Result<(), CasError> {
        if self.frame_start.is_none() {
            self.frame_start = Some(self.lease.position().map_err(appending)?);
        }
        self.lease.append(unwritten).map_err(appending)?;
        unwritten.clear();
        Ok(())
    }

    /// Ends the frame; when it returns the xorb is durable.
    fn finish(
        mut self,
        hash: XorbHash,
        table: ChunkTable,
        mut unwritten: Vec<u8>,
        hold: &mut Hold,
    ) -> Result<StoredXorb, CasError> {
        unwritten.extend_from_slice(&frame::encode_trailer(&hash, &table));
        if let Some(start) = self.frame_start {
            self.flush(&mut unwritten)?;
            let packs = self.lease.commit();
            let packs = packs.map_err(|error| CasError::Io { doing: "syncing a pack", error })?;
            hold.keep(Arc::new(packs));
            return Ok(StoredXorb { hash, row: row(table, start) });
        }
        let placing = self.workshop.group.place(unwritten).map_err(appending)?;
        let placed = futures::executor::block_on(placing);
        let placed = placed.map_err(|error| appending(std::io::Error::new(error.kind(), error)))?;
        hold.keep(placed.hold);
        Ok(StoredXorb { hash, row: row(table, placed.place) })
    }
}

impl IncomingXorb {
    fn refused(&self, error: XorbError) -> IncomingError {
        IncomingError::NotTheXorb { expected: self.expected, error }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        let fed = self.arriving.feed(bytes, &mut self.unwritten);
        fed.map_err(|error| self.refused(error))?;
        match &mut self.target {
            None => self.unwritten.clear(),
            Some(target) if target.frame_start.is_some() || self.unwritten.len() > SMALL_FRAME_BYTES_MAX => {
                target.flush(&mut self.unwritten)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Nothing more comes. The xorb, if it was to be stored, is durable when this returns, and `hold` keeps it until it
    /// has a row.
    pub fn finish(self, hold: &mut Hold) -> Result<Option<StoredXorb>, IncomingError> {
        let Self { expected, arriving, target, unwritten } = self;
        let table =
            arriving.finish(expected).map_err(|error| IncomingError::NotTheXorb { expected, error })?;
        let stored = target.map(|target| target.finish(expected, table, unwritten, hold)).transpose()?;
        Ok(stored)
    }
}
