//! Writing xorbs to a CAS far away: gathered in memory, and sent while the next one is gathered.
//!
//! A xorb that was sent stays sent: what comes later (another xorb, the shard, the Hub) may fail and be tried again
//! without it, and whoever uploads the same bytes again finds its chunks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::client::CasClient;
use super::known::Known;
use super::{RemoteError, remote_row};
use crate::cas::{CasError, NewChunk, PendingRef, Sharing, XorbWriter};
use crate::model::tenant::Tenant;
use crate::model::turns::{Turn, Turns};
use crate::store::hold::Hold;
use crate::store::rows::StoredXorb;
use crate::xet::compression::Compressor;
use crate::xet::hash::XorbHash;
use crate::xet::xorb::ChunkTable;

/// A xorb is sent when it has so many uncompressed bytes. The format allows 64 MiB; less keeps an upload's memory
/// small, and lets it send several at once.
const XORB_RAW_BYTES: u32 = 16 << 20;

/// Xorbs of one upload on their way at once.
const SENDING_MAX: usize = 3;

/// Writes the xorbs of one upload, one after the other.
pub(super) struct RemoteXorbWriter {
    client: Arc<CasClient>,
    known: Arc<Known>,
    sending_turns: Turns,
    runtime: Handle,
    compressor: Compressor,
    records: Vec<u8>,
    table: ChunkTable,
    sending: VecDeque<Sending>,
    sent: Vec<StoredXorb>,
    /// Xorbs ended so far.
    ended: u32,
}

struct Sending {
    task: JoinHandle<Result<(), RemoteError>>,
    xorb: XorbHash,
    table: Arc<ChunkTable>,
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
            records: Vec::new(),
            table: ChunkTable::default(),
            sending: VecDeque::new(),
            sent: Vec::new(),
            ended: 0,
        }
    }

    /// Ends the xorb at hand and sends it; waits while too many are on their way.
    async fn cut(&mut self) -> Result<(), CasError> {
        if self.table.is_empty() {
            return Ok(());
        }
        while self.sending.len() >= SENDING_MAX {
            self.wait_for_one().await?;
        }
        let turn = self.sending_turns.take().await;
        let table = Arc::new(std::mem::take(&mut self.table));
        let records = Bytes::from(std::mem::take(&mut self.records));
        let xorb = table.xorb_hash();
        let task =
            self.runtime.spawn(Tenant::current().scope(send(Arc::clone(&self.client), xorb, records, turn)));
        self.sending.push_back(Sending { task, xorb, table });
        self.ended += 1;
        Ok(())
    }

    async fn wait_for_one(&mut self) -> Result<(), CasError> {
        let Some(Sending { task, xorb, table }) = self.sending.pop_front() else { return Ok(()) };
        let sent = task.await;
        sent.unwrap_or_else(|error| Err(RemoteError::Unavailable(error.to_string())))?;
        self.known.add(xorb, Arc::clone(&table));
        self.sent.push(StoredXorb { hash: xorb, row: remote_row(table.as_ref().clone()) });
        Ok(())
    }
}

async fn send(
    client: Arc<CasClient>,
    xorb: XorbHash,
    records: Bytes,
    _turn: Turn,
) -> Result<(), RemoteError> {
    client.put_xorb(&xorb, &records).await
}

impl Drop for RemoteXorbWriter {
    /// An upload that is given up stops sending.
    fn drop(&mut self) {
        for sending in &self.sending {
            sending.task.abort();
        }
    }
}

#[async_trait]
impl XorbWriter for RemoteXorbWriter {
    async fn append(
        &mut self,
        chunk: &NewChunk<'_>,
        _sharing: Sharing,
    ) -> Result<Option<PendingRef>, CasError> {
        let is_full = !self.table.has_room(chunk.raw_bytes)
            || self.table.raw_bytes() + chunk.raw_bytes > XORB_RAW_BYTES;
        if is_full {
            self.cut().await?;
        }
        let record_bytes = chunk.write_record(&mut self.compressor, &mut self.records);
        let place = PendingRef { xorb: self.ended, index: self.table.len() as u32 };
        self.table.push(chunk.hash, record_bytes, chunk.raw_bytes);
        Ok(Some(place))
    }

    async fn finish(mut self: Box<Self>, _hold: &mut Hold) -> Result<BTreeMap<u32, StoredXorb>, CasError> {
        self.cut().await?;
        while !self.sending.is_empty() {
            self.wait_for_one().await?;
        }
        Ok((0..).zip(std::mem::take(&mut self.sent)).collect())
    }
}
