//! Xorbs from clients, and ranges of xorbs to them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::{LocalXet, XetError};
use crate::cas::{CasError, ChunkStore as _, IncomingError, IncomingXorb};
use crate::engine::{BodyIn, Pieces, next_pieces};
use crate::store::hold::Hold;
use crate::store::turns::{Slices, Turns, on_thread};
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// Most bytes of records in one read: as long as the engine's own reads.
const READ_BYTES_MAX: u32 = 1 << 20;

/// Reads under way at once.
const READ_AHEAD: usize = 3;

impl LocalXet {
    /// Takes a xorb from a client; answers whether it was new. One that is here is kept as if it had come now.
    pub async fn put_xorb(&self, xorb: XorbHash, mut body: BodyIn) -> Result<bool, XetError> {
        // Before it is its turn: a client that is slow keeps nobody waiting.
        let first = next_pieces(&mut body).await?;
        let turn = self.xorbs.take().await;
        let mut hold = Hold::default();
        // Pinned first: what is seen to be there afterwards stays there.
        let is_here = hold.pin(&self.store.pins, xorb) && self.is_whole(&xorb).await?;
        let incoming = self.chunks.incoming(xorb, is_here);
        let incoming = take(incoming, first, &mut body, &self.engine.turns().work).await?;
        let finishing = on_thread(turn, move |_| incoming.finish(&mut hold).map(|stored| (stored, hold)));
        let (stored, hold) = finishing.await??;
        let this = self.clone();
        let keep_until = self.keep_until();
        // To its end, even if the client goes away: the xorb must be held until it has a row.
        let committing = tokio::spawn(async move {
            match stored {
                Some(stored) => {
                    this.meta.register_xorbs(vec![stored.clone()], keep_until).await?;
                    // It may be one that was damaged.
                    this.store.rows.forget([&xorb]);
                    this.chunks.remember(&[stored]);
                }
                None => drop(this.meta.keep_xorbs(vec![xorb], keep_until).await?),
            }
            drop(hold);
            Ok::<_, XetError>(())
        });
        committing.await??;
        Ok(!is_here)
    }

    /// Whether a xorb is here and every byte of it is right: one that is damaged is mended by whoever sends it.
    async fn is_whole(&self, xorb: &XorbHash) -> Result<bool, XetError> {
        let table = match self.chunks.table(xorb).await {
            Ok(table) => table,
            Err(CasError::MissingXorb(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut slices = Slices::of(self.engine.turns().work.clone());
        for run in runs(&table, 0..table.record_bytes()) {
            slices.step(READ_BYTES_MAX.into()).await;
            match self.chunks.read_records(xorb, run.chunks).await {
                Ok(_) => {}
                Err(CasError::Damaged { .. } | CasError::MissingXorb(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Bytes of a xorb's chunk records.
    pub async fn xorb_bytes(&self, xorb: &XorbHash) -> Result<u64, XetError> {
        match self.chunks.table(xorb).await {
            Ok(table) => Ok(table.record_bytes().into()),
            Err(CasError::MissingXorb(xorb)) => Err(XetError::NoSuchXorb(xorb)),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of a range of a xorb's chunk records, as they lie in the pack; every record that they are part of has
    /// been verified. The range must hold something and lie within the records.
    pub async fn read_xorb(
        &self,
        xorb: XorbHash,
        bytes: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, XetError>> + Send + use<>, XetError> {
        let reading = self.store.readers.enter();
        let size = self.xorb_bytes(&xorb).await?;
        let table = self.chunks.table(&xorb).await?;
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
    mut incoming: IncomingXorb,
    first: Pieces,
    body: &mut BodyIn,
    turns: &Turns,
) -> Result<IncomingXorb, XetError> {
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
