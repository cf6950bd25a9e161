//! Xorbs from clients, and ranges of xorbs to them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::named::NamedXorb;
use super::{NativeXet, XetError};
use crate::cas::{CasError, XorbReader as _};
use crate::engine::{BodyIn, IncomingError, IncomingXorb, Intake, Pieces, StoredFile, next_pieces};
use crate::model::file::FileRecord;
use crate::model::turns::{Slices, Turns, on_thread};
use crate::store::hold::Hold;
use crate::store::meta::NewFile;
use crate::store::rows::{StoredXorb, XorbRow};
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// Most bytes of records in one read: as long as the engine's own reads.
const READ_BYTES_MAX: u32 = 1 << 20;

/// Reads under way at once.
const READ_AHEAD: usize = 3;

impl NativeXet {
    /// Takes a xorb from a client; answers whether it was new. One that is here is kept as if it had come now.
    pub async fn put_xorb(&self, xorb: XorbHash, mut body: BodyIn) -> Result<bool, XetError> {
        // Before it is its turn: a client that is slow keeps nobody waiting.
        let first = next_pieces(&mut body).await?;
        let turn = self.xorbs.take().await;
        let mut hold = Hold::default();
        let intake = self.intake(xorb, &mut hold).await?;
        let incoming = self.engine.ingest_xorb(xorb, intake);
        let incoming = take(incoming, first, &mut body, &self.engine.turns().work).await?;
        let stored = on_thread(turn, move |_| incoming.finish()).await??;
        let this = self.clone();
        // To its end, even if the client goes away: what was stored must be held until it has rows.
        let committing = tokio::spawn(async move {
            if let Some(StoredFile { record, xorbs, hold, .. }) = stored {
                this.commit_xorb(xorb, record, xorbs).await?;
                drop(hold);
            }
            drop(hold);
            Ok::<_, XetError>(())
        });
        committing.await??;
        Ok(intake != Intake::Verify)
    }

    /// What is to be done with a xorb that comes. One that is here, whole, is kept from now on.
    async fn intake(&self, xorb: XorbHash, hold: &mut Hold) -> Result<Intake, XetError> {
        let _reading = self.store.readers.enter();
        // Pinned first: what is seen to be there afterwards stays there.
        if !hold.pin(&self.store.pins, xorb) {
            return Ok(Intake::Apart);
        }
        let Some(here) = self.find_xorb(xorb).await? else {
            return Ok(Intake::Apart);
        };
        if !self.is_whole(&here).await? {
            return Ok(if here.apart.is_some() { Intake::Apart } else { Intake::Whole });
        }
        let keep_until = self.keep_until();
        match here.apart {
            None => drop(self.meta.keep_xorbs(vec![xorb], keep_until).await?),
            Some(record) => {
                self.meta.register_apart(NewFile { record, xorbs: Vec::new() }, keep_until).await?;
            }
        }
        Ok(Intake::Verify)
    }

    /// Takes what a xorb has become: a xorb of this name that holds all of it, or runs of others.
    async fn commit_xorb(
        &self,
        xorb: XorbHash,
        record: FileRecord,
        xorbs: Vec<StoredXorb>,
    ) -> Result<(), XetError> {
        let keep_until = self.keep_until();
        let is_one = matches!(record.terms.as_slice(), [only] if only.xorb == xorb);
        if is_one && xorbs.is_empty() {
            // Another upload of it has ended meanwhile.
            self.meta.keep_xorbs(vec![xorb], keep_until).await?;
        } else if is_one {
            self.meta.register_xorbs(xorbs.clone(), keep_until).await?;
        } else {
            let file = NewFile { record, xorbs: xorbs.clone() };
            self.meta.register_apart(file, keep_until).await?;
        }
        // It may be one that was damaged.
        self.store.rows.forget(xorbs.iter().map(|stored| &stored.hash));
        self.chunks.remember(&xorbs);
        Ok(())
    }

    async fn find_xorb(&self, xorb: XorbHash) -> Result<Option<NamedXorb>, XetError> {
        NamedXorb::find(&*self.meta, &self.chunks, xorb).await
    }

    /// Whether every byte of a xorb is right: one that is damaged is mended by anyone who sends it.
    async fn is_whole(&self, xorb: &NamedXorb) -> Result<bool, XetError> {
        let mut slices = Slices::of(self.engine.turns().work.clone());
        for term in xorb.terms(0..xorb.table.len() as u32) {
            let table = match self.chunks.table(&term.xorb).await {
                Ok(table) => table,
                Err(CasError::MissingXorb(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let records = table.record_range(term.start..term.end).unwrap_or_default();
            for run in runs(&table, records) {
                slices.step(READ_BYTES_MAX.into()).await;
                match self.chunks.read_records(&term.xorb, run.chunks).await {
                    Ok(_) => {}
                    Err(CasError::Damaged { .. } | CasError::MissingXorb(_)) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(true)
    }

    /// Bytes of a xorb's chunk records, as they are stored here.
    pub async fn xorb_bytes(&self, xorb: &XorbHash) -> Result<u64, XetError> {
        let _reading = self.store.readers.enter();
        let found = self.find_xorb(*xorb).await?;
        found.map(|found| found.table.record_bytes().into()).ok_or(XetError::NoSuchXorb(*xorb))
    }

    /// The bytes of a range of a xorb's chunk records, as they lie in the pack; every record that they are part of has
    /// been verified. The range must hold something and lie within the records. Reconstructions name only xorbs that are
    /// stored, so that no other is read.
    pub async fn read_xorb(
        &self,
        xorb: XorbHash,
        bytes: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, XetError>> + Send + use<>, XetError> {
        let reading = self.store.readers.enter();
        let table = self.chunks.table(&xorb).await.map_err(|error| match error {
            CasError::MissingXorb(xorb) => XetError::NoSuchXorb(xorb),
            error => error.into(),
        })?;
        let size = table.record_bytes().into();
        if bytes.is_empty() || bytes.end > size {
            return Err(XetError::RangeNotSatisfiable { size });
        }
        let runs = runs(&table, bytes.start as u32..bytes.end as u32);
        let chunks = Arc::clone(&self.chunks);
        let reads = stream::iter(runs).map(move |run| {
            let chunks = Arc::clone(&chunks);
            async move {
                let records = chunks.read_records(&xorb, run.chunks).await?;
                Ok::<_, XetError>(records.slice(run.wanted))
            }
        });
        Ok(reads.buffered(READ_AHEAD).inspect_ok(move |_| {
            // What was there when the stream began stays while this closure lives.
            let _ = &reading;
        }))
    }
}

/// Feeds a body to a xorb on its way in; while the pieces at hand are worked on, the next come.
async fn take(
    mut incoming: IncomingXorb<XorbRow>,
    first: Pieces,
    body: &mut BodyIn,
    turns: &Turns,
) -> Result<IncomingXorb<XorbRow>, XetError> {
    let mut at_hand = first;
    loop {
        let Pieces { pieces, ended } = at_hand;
        let work = async {
            let turn = turns.take().await;
            on_thread(turn, move |_| {
                pieces.iter().try_for_each(|piece| incoming.feed(piece))?;
                Ok::<_, IncomingError>(incoming)
            })
            .await
        };
        if ended {
            return Ok(work.await??);
        }
        let (fed, more) = tokio::join!(work, next_pieces(body));
        // What is wrong with the xorb is said before what is wrong with the connection.
        incoming = fed??;
        at_hand = more?;
    }
}

/// Chunks whose records are read at once, and which of their bytes are wanted.
struct Run {
    chunks: Range<u32>,
    wanted: Range<usize>,
}

/// The runs that hold a range of a xorb's records.
fn runs(table: &ChunkTable, bytes: Range<u32>) -> Vec<Run> {
    let entries = table.entries();
    let first = entries.partition_point(|entry| entry.record_end <= bytes.start);
    let mut runs: Vec<Run> = Vec::new();
    let (mut run_start, mut record_start) =
        (0, first.checked_sub(1).map_or(0, |last| entries[last].record_end));
    for (index, entry) in (first as u32..).zip(&entries[first..]) {
        if record_start >= bytes.end {
            break;
        }
        let end = (entry.record_end.min(bytes.end)) as usize;
        match runs.last_mut() {
            Some(run) if entry.record_end - run_start <= READ_BYTES_MAX => {
                run.chunks.end = index + 1;
                run.wanted.end = end - run_start as usize;
            }
            _ => {
                run_start = record_start;
                let start = bytes.start.saturating_sub(run_start) as usize;
                runs.push(Run { chunks: index..index + 1, wanted: start..end - run_start as usize });
            }
        }
        record_start = entry.record_end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::hash::ChunkHash;

    #[test]
    fn runs_hold_the_range_and_no_more() {
        let mut table = ChunkTable::default();
        for chunk in 0..40_u8 {
            table.push(ChunkHash::of(&[chunk]), 100_000, 100_000);
        }
        for bytes in [
            0..1,
            0..4_000_000,
            99_999..100_001,
            100_000..200_000,
            1_234_567..3_456_789,
            3_999_999..4_000_000,
        ] {
            let mut at = bytes.start;
            for run in runs(&table, bytes.clone()) {
                let records = table.record_range(run.chunks.clone()).unwrap();
                assert!(records.len() <= READ_BYTES_MAX as usize);
                assert_eq!(records.start + run.wanted.start as u32, at, "{bytes:?}");
                assert!(run.wanted.start < 100_000 && run.wanted.end > records.len() - 100_000);
                at = records.start + run.wanted.end as u32;
            }
            assert_eq!(at, bytes.end);
        }
    }
}
