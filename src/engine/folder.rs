//! Many files that share xorbs: what uploading a folder needs, where one xorb for each small file would be a request
//! for each.
//!
//! Files come one after the other, by blocking calls. Nothing of them can be read before [`FolderIngest::finish`] has
//! returned and they were registered.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Engine;
use super::builder::FileBuilder;
use super::cutter::Cutter;
use super::sink::{FileSink, StoredFolder};
use crate::cas::{CasError, ChunkSink};
use crate::model::turns::Turn;
use crate::store::hold::Hold;
use crate::xet::limits::CHUNK_BYTES_MAX;

/// Takes in file after file.
pub struct FolderIngest<R> {
    runtime: Handle,
    sink: FileSink<R>,
    cutter: Cutter,
    ended: Vec<FileBuilder>,
    _turn: Turn,
}

impl<C: ChunkSink> Engine<C> {
    /// Begins to take in files.
    pub async fn ingest_folder(&self) -> FolderIngest<C::Row> {
        let turn = self.turns.open.take().await;
        let sink = FileSink::new(Arc::clone(&self.cas) as _, Hold::default());
        let (runtime, cutter) = (Handle::current(), Cutter::default());
        FolderIngest { runtime, sink, cutter, ended: Vec::new(), _turn: turn }
    }
}

impl<R: Send + Sync + 'static> FolderIngest<R> {
    /// Begins a file of about so many bytes. For one that is a chunk or two, asking a store far away whether it has the
    /// first costs more than sending it.
    pub fn begin_file(&mut self, bytes: u64) {
        self.sink.asks_for_first = bytes > CHUNK_BYTES_MAX as u64;
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), CasError> {
        let Self { runtime, sink, cutter, .. } = self;
        runtime.block_on(async {
            while let Some(chunk) = cutter.next(&mut bytes) {
                sink.push_bytes(chunk).await?;
            }
            Ok(())
        })
    }

    /// The file ends here.
    pub fn end_file(&mut self) -> Result<(), CasError> {
        let last = std::mem::take(&mut self.cutter).finish();
        let ended = self.runtime.block_on(async {
            if let Some(chunk) = last {
                self.sink.push_bytes(&chunk).await?;
            }
            self.sink.end_file().await
        });
        self.ended.push(ended?);
        Ok(())
    }

    /// The file that was begun is not wanted after all. Chunks of it that are already written stay in their xorbs.
    pub fn drop_file(&mut self) {
        self.cutter = Cutter::default();
        self.sink.drop_file();
    }

    /// Makes all files durable that have ended.
    pub fn finish(self) -> Result<StoredFolder<R>, CasError> {
        self.runtime.block_on(self.sink.finish_files(self.ended))
    }
}
