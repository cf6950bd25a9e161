//! Shards from clients: every word is proved from the xorbs that are here before a file is registered.
//!
//! Of a file, each term must name chunks of a xorb that is here, and carry the verification hash over their chunk
//! hashes; the file's own hash must be that of all its chunks. Chunk hashes never leave in the clear (a dedup answer
//! has them under a key, which only a holder of the chunk can use), so anyone who can compute the verification hash holds
//! the chunks, or at least has held them. Source: Xet specification, "Server duties".

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::named::{NamedXorb, append_terms};
use super::{NativeXet, XetError};
use crate::bucket::FileHash;
use crate::bucket::limits::OBJECT_BYTES_MAX;
use crate::cas::LocalChunks;
use crate::engine::EngineError;
use crate::model::bucket::BucketUid;
use crate::model::file::FileRecord;
use crate::model::turns::{Slices, on_thread};
use crate::store::hold::Hold;
use crate::store::local::LocalStore;
use crate::xet::hash::XorbHash;
use crate::xet::merkle::MerkleTree;
use crate::xet::shard::{Shard, ShardFile, ShardTerm, ShardXorb};
use crate::xet::xorb::ChunkTable;

/// Most chunks that the terms of one shard's files may name together, eight terabytes at the mean length of a chunk:
/// some 20 s of work for one core. A small shard can name any number, by naming the same ones again and again.
const CHUNKS_MAX: u64 = 1 << 27;

/// What the look-up of a term's xorb counts as, in chunks: it may have to be read from the metadata.
const TERM_CHUNKS: u64 = 64;

/// What a chunk counts as in a slice of work, in bytes: its hash is looked up, compared and hashed again.
const CHUNK_COST: u64 = 512;

/// Terms that any file may have, and chunks that the further ones must name on the mean. Each term is a row to keep and a
/// read of its own for every reader. The published client stores chunks again rather than let the mean over 128 terms fall
/// below 8 chunks, or 4 at its lowest.
const TERMS_FREE: u64 = 4096;
const CHUNKS_PER_TERM: u64 = 2;
/// Most runs of stored chunks that the files of one shard may become, 48 bytes each. The terms of a shard name xorbs that
/// may have been taken apart, into as many runs as chunks.
const TERMS_MAX: usize = 1 << 20;

/// Why a shard is refused, although it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardRefusal {
    /// It names a xorb that is not here.
    #[error("xorb {0} is not there: upload it first")]
    MissingXorb(XorbHash),
    /// It lists other chunks of a xorb than it has.
    #[error("xorb {0} has other chunks than the shard lists")]
    OtherChunks(XorbHash),
    /// A term does not fit its xorb.
    #[error("term {term} of file {file} names chunks that xorb {xorb} has not, or another length")]
    BadTerm {
        /// The file.
        file: FileHash,
        /// Place of the term in it.
        term: usize,
        /// The xorb.
        xorb: XorbHash,
    },
    /// A term comes without the hash that proves that its sender holds the chunks, or with another.
    #[error("term {term} of file {file} is not proved by its verification hash")]
    NotProved {
        /// The file.
        file: FileHash,
        /// Place of the term in it.
        term: usize,
    },
    /// The chunks of a file have another hash.
    #[error("the chunks of file {file} have the file hash {got}")]
    OtherFile {
        /// The file as it was announced.
        file: FileHash,
        /// What the chunks make.
        got: FileHash,
    },
    /// A file has far more terms than its content needs.
    #[error("file {file} has {terms} terms for {chunks} chunks: join neighbours, or store its chunks anew")]
    TooFragmented {
        /// The file.
        file: FileHash,
        /// How many terms it has.
        terms: usize,
        /// How many chunks they name.
        chunks: u64,
    },
    /// Its files are longer, or more, than can be looked at.
    #[error("the files of the shard are too long: register them in several shards")]
    TooMuch,
}

/// What a shard has proved.
struct Proved {
    records: Vec<FileRecord>,
    /// Keeps the xorbs until the records are there.
    hold: Hold,
}

impl NativeXet {
    /// Takes a shard of an access key: registers its files in the bucket, all or none; answers whether any is new there. A file that
    /// is registered is kept as if it had come now, and so are the xorbs that it names.
    pub async fn put_shard(&self, bucket: BucketUid, key: String, shard: Bytes) -> Result<bool, XetError> {
        let turn = self.shards.take().await;
        let prover = Prover {
            store: Arc::clone(&self.store),
            chunks: Arc::clone(&self.chunks),
            slices: Slices::of(self.engine.turns().work.clone()),
            hold: Hold::reading(self.store.readers.enter()),
            last: None,
            terms: 0,
        };
        let proving = on_thread(turn, move |wanted| wanted.block_on(prover.prove(&shard)));
        let Proved { records, hold } = proving.await?.ok_or(EngineError::GivenUp)??;
        if records.is_empty() {
            return Ok(false);
        }
        let (meta, keep_until) = (Arc::clone(&self.meta), self.keep_until());
        // To its end, even if the client goes away: the xorbs must be held until the records are there.
        let committing = tokio::spawn(async move {
            let fresh = meta.register_files(bucket, &key, records, keep_until).await?;
            drop(hold);
            Ok::<_, XetError>(fresh > 0)
        });
        committing.await?
    }
}

/// Proves shards, on a thread that may block.
struct Prover {
    store: Arc<LocalStore>,
    chunks: Arc<LocalChunks>,
    slices: Slices,
    hold: Hold,
    /// The xorb looked up last: the next term is often of the same.
    last: Option<(XorbHash, Arc<NamedXorb>)>,
    /// Terms of the files that are proved.
    terms: usize,
}

impl Prover {
    async fn prove(mut self, shard: &[u8]) -> Result<Proved, XetError> {
        let shard = Shard::decode(shard)?;
        check_work(&shard)?;
        for xorb in &shard.xorbs {
            self.prove_xorb(xorb).await?;
        }
        let mut seen = HashSet::new();
        let mut records = Vec::new();
        for file in &shard.files {
            let is_empty = file.terms.is_empty() && file.hash == FileHash::EMPTY;
            if !is_empty && seen.insert(file.hash) {
                records.push(self.prove_file(file).await?);
            }
        }
        Ok(Proved { records, hold: self.hold })
    }

    /// A xorb that is here, and from now on stays.
    async fn find(&mut self, xorb: XorbHash) -> Result<Arc<NamedXorb>, XetError> {
        if let Some((last, found)) = &self.last
            && *last == xorb
        {
            return Ok(Arc::clone(found));
        }
        if !self.hold.pin(&self.store.pins, xorb) {
            return Err(ShardRefusal::MissingXorb(xorb).into());
        }
        let found = NamedXorb::find(&*self.store.meta, &self.chunks, xorb).await?;
        let found = Arc::new(found.ok_or(ShardRefusal::MissingXorb(xorb))?);
        self.last = Some((xorb, Arc::clone(&found)));
        Ok(found)
    }

    async fn prove_xorb(&mut self, xorb: &ShardXorb) -> Result<(), XetError> {
        self.slices.step(CHUNK_COST * (TERM_CHUNKS + xorb.chunks.len() as u64)).await;
        let table = Arc::clone(&self.find(xorb.hash).await?.table);
        let starts = std::iter::once(0).chain(table.entries().iter().map(|entry| entry.raw_end));
        let here = table.entries().iter().zip(starts);
        let here = here.map(|(entry, start)| (entry.hash, start, entry.raw_end - start));
        let listed = xorb.chunks.iter().map(|chunk| (chunk.hash, chunk.raw_start, chunk.raw_bytes));
        if here.eq(listed) { Ok(()) } else { Err(ShardRefusal::OtherChunks(xorb.hash).into()) }
    }

    async fn prove_file(&mut self, file: &ShardFile) -> Result<FileRecord, XetError> {
        let mut tree = MerkleTree::new();
        let mut terms = Vec::with_capacity(file.terms.len());
        let mut size = 0;
        for (index, term) in file.terms.iter().enumerate() {
            self.slices.step(CHUNK_COST * (TERM_CHUNKS + term.chunks.len() as u64)).await;
            let xorb = self.find(term.xorb).await?;
            prove_term(file.hash, index, term, &xorb.table)?;
            push_chunks(&mut tree, &xorb.table, term);
            size += u64::from(term.raw_bytes);
            append_terms(&mut terms, xorb.terms(term.chunks.clone()));
            if size > OBJECT_BYTES_MAX || self.terms + terms.len() > TERMS_MAX {
                return Err(ShardRefusal::TooMuch.into());
            }
        }
        let got = tree.finish().map_or(FileHash::EMPTY, FileHash::from_root);
        if got != file.hash {
            return Err(ShardRefusal::OtherFile { file: file.hash, got }.into());
        }
        self.terms += terms.len();
        Ok(FileRecord { hash: file.hash, size, terms })
    }
}

/// Refuses a shard that stands for more work than may be, before any of it is done.
fn check_work(shard: &Shard) -> Result<(), ShardRefusal> {
    for file in &shard.files {
        let chunks = file.terms.iter().map(|term| term.chunks.len() as u64).sum::<u64>();
        if file.terms.len() as u64 > TERMS_FREE + chunks / CHUNKS_PER_TERM {
            let (file, terms) = (file.hash, file.terms.len());
            return Err(ShardRefusal::TooFragmented { file, terms, chunks });
        }
    }
    let terms = shard.files.iter().flat_map(|file| &file.terms);
    let chunks = terms.map(|term| TERM_CHUNKS + term.chunks.len() as u64).sum::<u64>();
    let chunks = chunks + TERM_CHUNKS * shard.xorbs.len() as u64;
    if chunks > CHUNKS_MAX { Err(ShardRefusal::TooMuch) } else { Ok(()) }
}

fn prove_term(
    file: FileHash,
    index: usize,
    term: &ShardTerm,
    table: &ChunkTable,
) -> Result<(), ShardRefusal> {
    let raw = table.raw_range(term.chunks.clone());
    if raw.is_none_or(|raw| raw.end - raw.start != term.raw_bytes) {
        return Err(ShardRefusal::BadTerm { file, term: index, xorb: term.xorb });
    }
    if term.verification.is_none() || term.verification != table.range_hash(term.chunks.clone()) {
        return Err(ShardRefusal::NotProved { file, term: index });
    }
    Ok(())
}

fn push_chunks(tree: &mut MerkleTree, table: &ChunkTable, term: &ShardTerm) {
    let before = term.chunks.start.checked_sub(1).and_then(|index| table.entries().get(index as usize));
    let mut start = before.map_or(0, |entry| entry.raw_end);
    let chunks = table.entries().get(term.chunks.start as usize..term.chunks.end as usize);
    for entry in chunks.unwrap_or_default() {
        tree.push(entry.hash.into(), u64::from(entry.raw_end - start));
        start = entry.raw_end;
    }
}
