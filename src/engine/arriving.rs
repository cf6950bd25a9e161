//! Whole xorbs from clients: verified as they come, and taken apart.
//!
//! Each record is verified before anything is done with its chunk. A chunk that is stored, or that another upload is
//! storing, is not written again; a new one is written as the record that came. What comes out says where the chunks of
//! the xorb are, as a file record: the file of all its chunks. What turns out not to be the xorb that was announced is
//! dropped.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Engine;
use super::sink::{FileSink, StoredFile};
use crate::cas::{CasError, ChunkBytes, ChunkSink, NewChunk};
use crate::store::hold::Hold;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::{ArrivingXorb, XorbError};

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

/// What is to be done with a xorb that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// Its new chunks are stored.
    Apart,
    /// All of it is stored, as one xorb: the one of its name that is here is damaged.
    Whole,
    /// Nothing: all of it is here.
    Verify,
}

/// A xorb on its way in, in the memory of two records and what is fed at once. Its calls block. Dropped unfinished, it
/// leaves nothing behind.
pub struct IncomingXorb<R> {
    runtime: Handle,
    expected: XorbHash,
    intake: Intake,
    arriving: ArrivingXorb,
    sink: FileSink<R>,
    /// Verified records whose chunks are not in the sink yet.
    records: Vec<u8>,
    /// Chunks in the sink.
    taken: usize,
}

impl<C: ChunkSink> Engine<C> {
    /// Begins to take a xorb; within a runtime.
    pub fn ingest_xorb(&self, expected: XorbHash, intake: Intake) -> IncomingXorb<C::Row> {
        IncomingXorb {
            runtime: Handle::current(),
            expected,
            intake,
            arriving: ArrivingXorb::default(),
            sink: FileSink::new(Arc::clone(&self.cas) as _, Hold::default()),
            records: Vec::new(),
            taken: 0,
        }
    }
}

impl<R: Send + Sync + 'static> IncomingXorb<R> {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        let fed = self.arriving.feed(bytes, &mut self.records);
        // Also after an error: what came before it was verified.
        let expected = self.expected;
        fed.map_err(|error| IncomingError::NotTheXorb { expected, error })?;
        let Self { runtime, arriving, sink, records, taken, intake, .. } = self;
        let new = arriving.table().entries().len();
        let mut record_start = 0;
        for index in *taken as u32..new as u32 {
            let table = arriving.table();
            let (Some(hash), Some(record), Some(raw)) =
                (table.hash(index), table.record_range(index..index + 1), table.raw_range(index..index + 1))
            else {
                break;
            };
            let record_end = record_start + record.len();
            let bytes = ChunkBytes::Record(&records[record_start..record_end]);
            let chunk = NewChunk { hash, raw_bytes: raw.end - raw.start, bytes };
            match intake {
                Intake::Apart => runtime.block_on(sink.push(&chunk))?,
                Intake::Whole => runtime.block_on(sink.push_again(&chunk))?,
                Intake::Verify => {}
            }
            record_start = record_end;
        }
        records.clear();
        *taken = new;
        Ok(())
    }

    /// Nothing more comes. Unless it was only to be verified, all of the xorb is durable when this returns.
    pub fn finish(self) -> Result<Option<StoredFile<R>>, IncomingError> {
        let Self { runtime, expected, intake, arriving, sink, .. } = self;
        arriving.finish(expected).map_err(|error| IncomingError::NotTheXorb { expected, error })?;
        if intake == Intake::Verify {
            return Ok(None);
        }
        Ok(Some(runtime.block_on(sink.finish())?))
    }
}
