//! Parts of running uploads: their chunks are on the Hub's CAS already, and how they are put together is kept here, in
//! one file a part (see [`super::part_folder`]), until the upload is over.
//!
//! The first and last bytes of a part are kept too: when parts are joined, their seams are cut again, and the CAS gives
//! nothing that is not part of a registered file.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::bucket::BodyIn;
use crate::cas::remote::{NewRemoteFile, RemoteChunks, SentXorb};
use crate::cas::{CasError, ChunkRef, ChunkSink, FoundChunk, Ticket, XorbReader, XorbWriter};
use crate::engine::{Segment, StoredFile};
use crate::model::file::FileRecord;
use crate::store::hold::Hold;
use crate::xet::hash::{ChunkHash, RangeHash, XorbHash};
use crate::xet::limits::{CHUNK_BYTES_MAX, XORB_RECORD_HEADER_BYTES};
use crate::xet::xorb::ChunkTable;

/// Bytes kept of a part's beginning: after a seam, cuts nearly always meet within three chunks.
const HEAD_BYTES: usize = 4 * CHUNK_BYTES_MAX;

/// Bytes kept of a part's end: its last chunk.
const TAIL_BYTES: usize = CHUNK_BYTES_MAX;

/// A part, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptPart {
    pub(super) record: FileRecord,
    /// Hash and length of every chunk.
    pub(super) chunks: Vec<(ChunkHash, u32)>,
    /// The xorbs that were sent for it.
    pub(super) xorbs: Vec<SentXorb>,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    /// Its last bytes.
    pub(super) tail: Vec<u8>,
}

/// The ends of a body, gathered while it passes.
#[derive(Default)]
pub(super) struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    /// Lets a body pass and gathers its ends.
    pub(super) fn watch(body: BodyIn) -> (BodyIn, Arc<Mutex<Self>>) {
        let ends = Arc::new(Mutex::new(Self::default()));
        let watching = Arc::clone(&ends);
        let body = body.map(move |piece| {
            if let Ok(piece) = &piece {
                watching.lock().unwrap_or_else(PoisonError::into_inner).see(piece);
            }
            piece
        });
        (Box::pin(body), ends)
    }

    fn see(&mut self, piece: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..room.min(piece.len())]);
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(TAIL_BYTES)..]);
        if self.tail.len() > 4 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }
}

impl KeptPart {
    pub(super) fn new(file: &StoredFile<ChunkTable>, ends: &Mutex<Ends>) -> Self {
        let Ends { head, mut tail } =
            std::mem::take(&mut *ends.lock().unwrap_or_else(PoisonError::into_inner));
        tail.drain(..tail.len().saturating_sub(TAIL_BYTES));
        Self {
            record: file.record.clone(),
            chunks: file.proof.chunks.clone(),
            xorbs: file.xorbs.clone(),
            head,
            tail,
        }
    }

    /// The verification hashes of its terms.
    pub(super) fn proof(&self) -> Vec<RangeHash> {
        let mut chunks = self.chunks.iter();
        let of_term = |count: u32| RangeHash::of(chunks.by_ref().take(count as usize).map(|(hash, _)| hash));
        self.record.terms.iter().map(|term| term.end - term.start).map(of_term).collect()
    }

    /// Its chunks: where each is, its hash, and where it lies in the part.
    fn placed_chunks(&self) -> impl Iterator<Item = (ChunkRef, ChunkHash, Range<u64>)> + '_ {
        let places = self
            .record
            .terms
            .iter()
            .flat_map(|term| (term.start..term.end).map(|index| ChunkRef { xorb: term.xorb, index }));
        let mut start = 0;
        places.zip(&self.chunks).map(move |(place, (hash, len))| {
            let at = start..start + u64::from(*len);
            start = at.end;
            (place, *hash, at)
        })
    }

    /// The bytes of a range of the part, if they are kept.
    fn kept(&self, range: &Range<u64>) -> Option<&[u8]> {
        let tail_start = self.record.size - self.tail.len() as u64;
        if range.end <= self.head.len() as u64 {
            self.head.get(range.start as usize..range.end as usize)
        } else {
            let start = range.start.checked_sub(tail_start)?;
            self.tail.get(start as usize..(range.end - tail_start) as usize)
        }
    }
}

/// The chunks of a CAS as those who join parts see them: with tables of everything that the parts name.
pub(super) struct JoinedChunks {
    remote: RemoteChunks,
    parts: Vec<KeptPart>,
    tables: HashMap<XorbHash, Arc<ChunkTable>>,
    /// Which part holds a chunk, and where.
    places: HashMap<ChunkRef, (usize, Range<u64>)>,
}

impl JoinedChunks {
    pub(super) fn new(remote: RemoteChunks, parts: Vec<KeptPart>) -> Self {
        let mut named: HashMap<XorbHash, Vec<Option<(ChunkHash, u32)>>> = HashMap::new();
        let mut places = HashMap::new();
        for (number, part) in parts.iter().enumerate() {
            for (place, hash, at) in part.placed_chunks() {
                let chunks = named.entry(place.xorb).or_default();
                if chunks.len() <= place.index as usize {
                    chunks.resize(place.index as usize + 1, None);
                }
                chunks[place.index as usize] = Some((hash, (at.end - at.start) as u32));
                // Where it is kept is better than where it has to be fetched.
                if part.kept(&at).is_some() || !places.contains_key(&place) {
                    places.insert(place, (number, at));
                }
            }
        }
        let table = |chunks: Vec<Option<(ChunkHash, u32)>>| {
            let mut table = ChunkTable::default();
            for chunk in chunks {
                // Nobody asks for a chunk that no part names.
                let (hash, len) = chunk.unwrap_or((ChunkHash::from_bytes([0; 32]), 1));
                table.push(hash, len + XORB_RECORD_HEADER_BYTES as u32, len);
            }
            Arc::new(table)
        };
        let tables = named.into_iter().map(|(xorb, chunks)| (xorb, table(chunks))).collect();
        Self { remote, parts, tables, places }
    }

    /// The parts as segments of the whole.
    pub(super) fn segments(&self) -> Vec<Segment> {
        self.parts.iter().map(|part| Segment::whole(part.record.clone())).collect()
    }

    /// The xorbs that were sent for the parts.
    pub(super) fn sent(&self) -> impl Iterator<Item = &SentXorb> {
        self.parts.iter().flat_map(|part| &part.xorbs)
    }

    /// The proof of a part that is the whole.
    pub(super) fn proof_of_only(&self) -> Vec<RangeHash> {
        self.parts.first().map(KeptPart::proof).unwrap_or_default()
    }

    async fn chunk(&self, place: ChunkRef) -> Result<Bytes, CasError> {
        let (number, at) = self.places.get(&place).ok_or(CasError::MissingXorb(place.xorb))?;
        let part = &self.parts[*number];
        let bytes = match part.kept(at) {
            Some(kept) => Bytes::copy_from_slice(kept),
            None => self.fetch(part, at.clone()).await?,
        };
        let known = self.tables.get(&place.xorb).and_then(|table| table.hash(place.index));
        if known == Some(ChunkHash::of(&bytes)) {
            return Ok(bytes);
        }
        let reason = "the bytes do not have the chunk's hash".to_owned();
        let place_text = "a part of an upload".to_owned();
        Err(CasError::Damaged { xorb: place.xorb, chunk: place.index, place: place_text, reason })
    }

    /// Fetches bytes of a part. The CAS gives bytes of registered files only, so the part becomes one.
    async fn fetch(&self, part: &KeptPart, range: Range<u64>) -> Result<Bytes, CasError> {
        let proof = part.proof();
        let file = NewRemoteFile { record: &part.record, proof: &proof, xorbs: &part.xorbs };
        self.remote.register(&file).await?;
        let pieces = self.remote.open_registered(part.record.hash, part.record.size, range);
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        Ok(pieces.concat().into())
    }
}

#[async_trait]
impl ChunkSink for JoinedChunks {
    type Row = ChunkTable;

    async fn find(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        let found = self.remote.find(chunk, hold).await?;
        Ok(found.map(|found| match self.tables.get(&found.place.xorb) {
            Some(table) => FoundChunk { table: Arc::clone(table), ..found },
            None => found,
        }))
    }

    fn ticket(&self, chunk: &ChunkHash) -> Ticket {
        self.remote.ticket(chunk)
    }

    fn writer(&self) -> Box<dyn XorbWriter<Row = ChunkTable>> {
        self.remote.writer()
    }
}

/// Of the xorbs that the parts name, and of their chunks that the parts name.
#[async_trait]
impl XorbReader for JoinedChunks {
    async fn table(&self, xorb: &XorbHash) -> Result<Arc<ChunkTable>, CasError> {
        self.tables.get(xorb).map(Arc::clone).ok_or(CasError::MissingXorb(*xorb))
    }

    async fn read(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError> {
        let mut read = Vec::with_capacity(chunks.len());
        for index in chunks {
            read.push(self.chunk(ChunkRef { xorb: *xorb, index }).await?);
        }
        Ok(read)
    }
}
