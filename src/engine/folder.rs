//! Many files that share xorbs: what uploading a folder needs, where one xorb for each small file would be a request
//! for each.
//!
//! Files come one after the other, by blocking calls. Nothing of them can be read before [`FolderIngest::finish`] has
//! returned and they were registered.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

use super::builder::{FileBuilder, FileProof};
use super::cutter::Cutter;
use super::sink::ChunkSink;
use super::{Engine, EngineError};
use crate::cas::CasError;
use crate::store::hold::Hold;
use crate::store::rows::{FileRecord, StoredXorb};
use crate::xet::limits::CHUNK_BYTES_MAX;

/// Takes in file after file.
pub struct FolderIngest {
    sink: ChunkSink,
    cutter: Cutter,
    ended: Vec<FileBuilder>,
    _permit: OwnedSemaphorePermit,
}

/// Files whose bytes are durable.
pub struct StoredFolder {
    /// How each is put together and what proves it, in the order in which they came.
    pub files: Vec<(FileRecord, FileProof)>,
    /// The xorbs stored for them.
    pub xorbs: Vec<StoredXorb>,
    /// What they rely on stays while this lives.
    pub hold: Hold,
}

impl Engine {
    /// Begins to take in files.
    pub async fn ingest_folder(&self) -> Result<FolderIngest, EngineError> {
        let permit = self.turn().await?;
        let sink = ChunkSink::new(Arc::clone(&self.cas), Handle::current(), Hold::default());
        Ok(FolderIngest { sink, cutter: Cutter::default(), ended: Vec::new(), _permit: permit })
    }
}

impl FolderIngest {
    /// Begins a file of about so many bytes. For one that is a chunk or two, asking a store far away whether it has the
    /// first costs more than sending it.
    pub fn begin_file(&mut self, bytes: u64) {
        self.sink.asks_for_first = bytes > CHUNK_BYTES_MAX as u64;
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), CasError> {
        let Self { sink, cutter, .. } = self;
        cutter.feed(bytes, |chunk| sink.push_bytes(chunk))
    }

    /// The file ends here.
    pub fn end_file(&mut self) -> Result<(), CasError> {
        let Self { sink, cutter, .. } = self;
        std::mem::take(cutter).finish(|chunk| sink.push_bytes(chunk))?;
        self.ended.push(self.sink.end_file()?);
        Ok(())
    }

    /// The file that was begun is not wanted after all. Chunks of it that are already written stay in their xorbs.
    pub fn drop_file(&mut self) {
        self.cutter = Cutter::default();
        self.sink.drop_file();
    }

    /// Makes all files durable that have ended.
    pub fn finish(self) -> Result<StoredFolder, CasError> {
        self.sink.finish_files(self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bytes, store};
    use super::*;
    use crate::engine::Layout;

    #[tokio::test(flavor = "multi_thread")]
    async fn files_share_a_xorb_and_are_what_they_are_alone() {
        let (engine, _dir) = store().await;
        let files: Vec<Vec<u8>> =
            vec![bytes(1, 4_096), Vec::new(), bytes(2, 300_000), bytes(1, 4_096), bytes(3, 10)];
        let mut folder = engine.ingest_folder().await.unwrap();
        let given = files.clone();
        let stored = tokio::task::spawn_blocking(move || {
            for file in &given {
                folder.begin_file(file.len() as u64);
                file.chunks(1000).for_each(|piece| folder.feed(piece).unwrap());
                folder.end_file().unwrap();
            }
            folder.feed(&bytes(9, 50_000)).unwrap();
            folder.drop_file();
            folder.finish().unwrap()
        })
        .await
        .unwrap();
        assert_eq!(stored.xorbs.len(), 1, "one xorb for all");
        assert_eq!(stored.files.len(), files.len());
        assert_eq!(stored.files[0].0, stored.files[3].0, "the same bytes are stored once");
        for (file, (record, proof)) in files.iter().zip(&stored.files) {
            assert_eq!(record.size, file.len() as u64);
            assert_eq!(proof.terms.len(), record.terms.len());
            let body = futures::stream::iter([Ok(file.clone().into())]);
            let alone =
                engine.ingest(Box::pin(body), Layout::File, &[]).await.unwrap().store().await.unwrap();
            assert_eq!(record.hash, alone.record.hash);
        }
    }
}
