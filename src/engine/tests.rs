//! The engine over packs in memory, with a store between them that counts what is read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{TryStreamExt, stream};

use super::{Engine, Layout, Segment};
use crate::cas::{CasError, ChunkSink, FoundChunk, LocalChunks, Ticket, XorbReader, XorbWriter};
use crate::model::bucket::{Bucket, Visibility};
use crate::model::clock::Timestamp;
use crate::model::conditions::WriteCondition;
use crate::model::file::FileRecord;
use crate::model::lock::ObjectLock;
use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey};
use crate::model::object::{Attributes, ETag, Object};
use crate::store::hold::Hold;
use crate::store::index::MemoryIndex;
use crate::store::local::LocalStore;
use crate::store::meta::{EmbeddedMeta, MetaStore, NewFile, ObjectChange};
use crate::store::pack::{MemoryPacks, PackStore};
use crate::store::rows::XorbRow;
use crate::xet::chunker::chunk_lengths;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::ChunkTable;

/// Counts the chunks that are read.
struct Counting {
    inner: Arc<LocalChunks>,
    chunks_read: AtomicUsize,
}

#[async_trait]
impl ChunkSink for Counting {
    type Row = XorbRow;

    async fn find(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        self.inner.find(chunk, hold).await
    }

    fn ticket(&self, chunk: &ChunkHash) -> Ticket {
        self.inner.ticket(chunk)
    }

    fn writer(&self) -> Box<dyn XorbWriter<Row = XorbRow>> {
        self.inner.writer()
    }
}

#[async_trait]
impl XorbReader for Counting {
    async fn table(&self, xorb: &XorbHash) -> Result<Arc<ChunkTable>, CasError> {
        self.inner.table(xorb).await
    }

    async fn read(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError> {
        self.chunks_read.fetch_add(chunks.len(), Ordering::Relaxed);
        self.inner.read(xorb, chunks).await
    }
}

struct Bench {
    packs: MemoryPacks,
    meta: Arc<EmbeddedMeta>,
    cas: Arc<Counting>,
    engine: Engine<Counting>,
    bucket: Bucket,
}

impl Bench {
    async fn new() -> Self {
        let packs = MemoryPacks::default();
        let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
        let index = Arc::new(MemoryIndex::default());
        let store =
            LocalStore::assemble(Arc::clone(&meta) as _, Arc::new(packs.clone()), index, 1 << 30).unwrap();
        let inner = Arc::new(LocalChunks::new(Arc::new(store), None).unwrap());
        let cas = Arc::new(Counting { inner, chunks_read: AtomicUsize::new(0) });
        let engine = Engine::new(Arc::clone(&cas));
        let id = BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new("b").unwrap() };
        let bucket = meta.create_bucket(&id, Visibility::Private, Timestamp(1)).await.unwrap();
        Self { packs, meta, cas, engine, bucket }
    }

    /// Ingests and commits.
    async fn store(&self, data: &Bytes) -> FileRecord {
        let pieces: Vec<_> = data.chunks(100_000).map(|piece| Ok(data.slice_ref(piece))).collect();
        let ingested = self.engine.ingest(Box::pin(stream::iter(pieces)), Layout::File, &[]).await.unwrap();
        let stored = ingested.store().await.unwrap();
        let file = NewFile { record: stored.record.clone(), xorbs: stored.xorbs };
        self.cas.inner.remember(&file.xorbs);
        let object = Object {
            file: file.record.hash,
            size: file.record.size,
            etag: ETag::Xet(file.record.hash),
            modified_at: Timestamp(1),
            attributes: Attributes::default(),
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
            version: None,
            lock: ObjectLock::default(),
        };
        let key = ObjectKey::new(&file.record.hash.to_string()).unwrap();
        let put = ObjectChange::Put(Box::new(object), Some(Box::new(file)));
        self.meta.change(self.bucket.uid, &key, &WriteCondition::default(), put).await.unwrap();
        stored.record
    }

    async fn load(&self, record: &FileRecord, range: Range<u64>) -> Result<Vec<u8>, CasError> {
        let pieces: Vec<Bytes> = self.engine.reconstruct(record.clone().into(), range).try_collect().await?;
        Ok(pieces.concat())
    }

    fn chunks_read(&self) -> usize {
        self.cas.chunks_read.swap(0, Ordering::Relaxed)
    }

    fn stored_bytes(&self) -> u64 {
        self.packs.list().unwrap().iter().map(|(_, len)| len).sum()
    }
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn a_range_reads_only_the_chunks_that_hold_it() {
    let bench = Bench::new().await;
    let data = noise(1, 20 << 20);
    let record = bench.store(&data).await;
    assert_eq!(bench.load(&record, 9_000_000..9_000_010).await.unwrap(), data[9_000_000..9_000_010]);
    assert!(bench.chunks_read() <= 2);
    assert_eq!(bench.load(&record, 0..record.size).await.unwrap(), data);
    assert!(bench.chunks_read() > 200);
}

#[tokio::test]
async fn composing_reads_only_the_seams() {
    let bench = Bench::new().await;
    let data = noise(2, 40 << 20);
    let whole = bench.store(&data).await;
    let mut segments = Vec::new();
    for part in data.chunks(8 << 20) {
        segments.push(Segment::whole(bench.store(&data.slice_ref(part)).await));
    }
    bench.chunks_read();
    let composed = bench.engine.compose(segments, Hold::default()).await.unwrap();
    assert_eq!(composed.record.hash, whole.hash);
    let seams = 4;
    assert!(bench.chunks_read() < seams * 10);
    assert!(composed.xorbs.is_empty(), "the chunks at the seams are those of the whole file, and known");
}

#[tokio::test]
async fn a_byte_inserted_costs_a_chunk_or_two() {
    let bench = Bench::new().await;
    let data = noise(3, 30 << 20);
    bench.store(&data).await;
    let before = bench.stored_bytes();
    let inserted = Bytes::from([&data[..15 << 20], b"X", &data[15 << 20..]].concat());
    let record = bench.store(&inserted).await;
    assert!(bench.stored_bytes() - before < 400_000);
    assert_eq!(bench.load(&record, 0..record.size).await.unwrap(), inserted);
}

#[tokio::test]
async fn a_chunk_that_repeats_is_stored_once() {
    let bench = Bench::new().await;
    let block = noise(4, 1 << 20);
    let data = Bytes::from(block.repeat(8));
    let record = bench.store(&data).await;
    assert!(bench.stored_bytes() < 2 << 20);
    assert_eq!(bench.load(&record, 0..record.size).await.unwrap(), data);
}

#[tokio::test]
async fn a_much_shuffled_file_does_not_decay_into_small_reads() {
    let bench = Bench::new().await;
    let data = noise(6, 40 << 20);
    bench.store(&data).await;
    // Chunks are cut where they were, for the chunker forgets everything at a cut.
    let (mut every_second, mut rest) = (Vec::new(), &data[..]);
    for (at, len) in chunk_lengths(&data).into_iter().enumerate() {
        let (chunk, behind) = rest.split_at(len);
        every_second.extend_from_slice(if at % 2 == 0 { chunk } else { &[] });
        rest = behind;
    }
    let shuffled = Bytes::from(every_second);
    let record = bench.store(&shuffled).await;
    assert!((128..140).contains(&record.terms.len()), "{} terms", record.terms.len());
    assert_eq!(record.hash, Bench::new().await.store(&shuffled).await.hash);
    assert_eq!(bench.load(&record, 0..record.size).await.unwrap(), shuffled);
}

#[tokio::test]
async fn a_flipped_bit_is_an_error_never_other_bytes() {
    let bench = Bench::new().await;
    let data = noise(5, 300_000);
    let record = bench.store(&data).await;
    let (id, len) = bench.packs.list().unwrap()[0];
    let mut bytes = bench.packs.read(id, 0, len as usize).unwrap().to_vec();
    bytes[150_000] ^= 4;
    bench.packs.delete(id).unwrap();
    bench.packs.create(id).unwrap().append(&bytes).unwrap();
    let error = bench.load(&record, 0..record.size).await.unwrap_err();
    assert!(error.to_string().contains(&format!("pack {id} offset")), "{error}");
    assert_eq!(bench.load(&record, 0..10).await.unwrap(), data[..10], "the other chunks are whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_share_a_xorb_and_are_what_they_are_alone() {
    let bench = Bench::new().await;
    let part = |from: usize, bytes: usize| noise(7, from + bytes).slice(from..);
    let files = [part(0, 4096), Bytes::new(), part(9_000, 300_000), part(0, 4096), part(50, 10)];
    let mut folder = bench.engine.ingest_folder().await;
    let given = files.clone();
    let work = move || {
        for file in &given {
            folder.begin_file(file.len() as u64);
            file.chunks(1000).for_each(|piece| folder.feed(piece).unwrap());
            folder.end_file().unwrap();
        }
        folder.feed(&vec![7; 50_000]).unwrap();
        folder.drop_file();
        folder.finish().unwrap()
    };
    let stored = tokio::task::spawn_blocking(work).await.unwrap();
    assert_eq!(stored.xorbs.len(), 1, "one xorb for all");
    assert_eq!(stored.files.len(), files.len());
    assert_eq!(stored.files[0].0, stored.files[3].0, "the same bytes are stored once");
    for (file, (record, proof)) in files.iter().zip(&stored.files) {
        assert_eq!(record.size, file.len() as u64);
        assert_eq!(proof.terms.len(), record.terms.len());
        assert_eq!(record.hash, bench.store(file).await.hash);
    }
}
