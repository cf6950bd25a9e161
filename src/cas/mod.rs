//! Where chunks are kept: in packs here ([`LocalChunks`]), or in a CAS far away ([`remote`]).
//!
//! [`ChunkSink`] takes new chunks and says of which it has already; both do. [`XorbReader`] gives the chunks of a xorb;
//! only packs can. A CAS far away gives ranges of files instead. Chunks that are given out have been checked against their
//! hash.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

use crate::store::hold::Hold;
use crate::store::rows::StoredXorb;
use crate::xet::compression::{Compressor, Scheme, decompress};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::limits::XORB_RECORD_HEADER_BYTES;
use crate::xet::xorb::{ChunkTable, RecordHeader, encode_record};

mod announced;
pub mod cache;
pub mod destinations;
pub mod http;
mod local;
pub mod remote;
mod shared;
mod writer;

pub use local::LocalChunks;

/// An error of a [`ChunkSink`].
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// The xorb is not there.
    #[error("xorb {0} is not there")]
    MissingXorb(XorbHash),
    /// The xorb has no such chunks.
    #[error("xorb {xorb} has no chunks {start}..{end}")]
    NoSuchChunks {
        /// The xorb.
        xorb: XorbHash,
        /// First chunk asked for.
        start: u32,
        /// One past the last.
        end: u32,
    },
    /// Stored bytes are not what they were; `place` names pack and offset.
    #[error("chunk {chunk} of xorb {xorb} is damaged at {place}: {reason}")]
    Damaged {
        /// The xorb.
        xorb: XorbHash,
        /// Which chunk of it.
        chunk: u32,
        /// Where it lies.
        place: String,
        /// What was wrong.
        reason: String,
    },
    /// Bytes could not be written or read.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The store far away.
    #[error(transparent)]
    Remote(#[from] remote::RemoteError),
    /// The metadata store failed.
    #[error(transparent)]
    Meta(#[from] crate::store::meta::MetaError),
}

/// So many bytes, uncompressed, a [`XorbWriter`] takes without writing anything itself.
pub const SMALL_RAW_BYTES_MAX: usize = 64 << 10;

/// Bytes of a file, in order, checked.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Bytes, CasError>> + Send>>;

/// A stored chunk's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The xorb.
    pub xorb: XorbHash,
    /// Which chunk of it.
    pub index: u32,
}

/// A place in a xorb that is still being written, and so has no hash yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PendingRef {
    /// The writer's number for the xorb, under which [`XorbWriter::finish`] returns it.
    pub xorb: u32,
    /// Which chunk of it.
    pub index: u32,
}

/// A chunk to be stored.
#[derive(Clone, Copy)]
pub struct NewChunk<'b> {
    /// Its hash.
    pub hash: ChunkHash,
    /// Its length.
    pub raw_bytes: u32,
    /// What it is stored from.
    pub bytes: ChunkBytes<'b>,
}

/// The bytes of a chunk.
#[derive(Clone, Copy)]
pub enum ChunkBytes<'b> {
    /// As they are.
    Raw(&'b [u8]),
    /// As a record, which has been verified.
    Record(&'b [u8]),
}

impl<'b> NewChunk<'b> {
    /// A chunk of these bytes.
    pub fn of(raw: &'b [u8]) -> Self {
        Self { hash: ChunkHash::of(raw), raw_bytes: raw.len() as u32, bytes: ChunkBytes::Raw(raw) }
    }

    /// Appends its record; answers the record's length.
    fn write_record(&self, compressor: &mut Compressor, records: &mut Vec<u8>) -> u32 {
        match self.bytes {
            ChunkBytes::Raw(raw) => encode_record(compressor, raw, records).record_len(),
            ChunkBytes::Record(record) => {
                records.extend_from_slice(record);
                record.len() as u32
            }
        }
    }
}

/// How many announcements of chunks have ended when it was taken: see [`ChunkSink::ticket`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket(u64);

/// Whether a chunk may be stored in common with other uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// No: it is stored although it is stored elsewhere.
    Alone,
    /// Yes; [`ChunkSink::find`] has not found it after this ticket was taken.
    Since(Ticket),
}

/// A stored chunk that may be referred to.
#[derive(Debug, Clone)]
pub struct FoundChunk {
    /// Where it is.
    pub place: ChunkRef,
    /// The chunks of its xorb: the next one of a file is likely to be its neighbour.
    pub table: Arc<ChunkTable>,
}

/// Where new chunks go.
#[async_trait]
pub trait ChunkSink: Send + Sync + 'static {
    /// What is known of a xorb once it is stored: where it lies, if it lies on this machine, and its chunks.
    type Row: Send + Sync + 'static;

    /// Where this chunk is, if it is stored and may be referred to; `hold` then keeps it there.
    async fn find(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError>;

    /// Like [`ChunkSink::find`], for the first chunk of a file: of those alone (and of one in a thousand others)
    /// stores far away can be asked.
    async fn find_first(&self, chunk: &ChunkHash, hold: &mut Hold) -> Result<Option<FoundChunk>, CasError> {
        self.find(chunk, hold).await
    }

    /// To be taken before [`ChunkSink::find`] is asked for a chunk that may be stored next: it shows whether another
    /// upload has finished storing the chunk meanwhile.
    fn ticket(&self, chunk: &ChunkHash) -> Ticket;

    /// Begins to store chunks.
    fn writer(&self) -> Box<dyn XorbWriter<Row = Self::Row>>;
}

/// Reads xorbs by their chunks. A CAS far away cannot: it gives ranges of files
/// ([`RemoteChunks::open_file`](remote::RemoteChunks::open_file)).
#[async_trait]
pub trait XorbReader: Send + Sync + 'static {
    /// The chunk table of a stored xorb.
    async fn table(&self, xorb: &XorbHash) -> Result<Arc<ChunkTable>, CasError>;

    /// The uncompressed bytes of a run of chunks, one item a chunk, each checked against its hash.
    async fn read(&self, xorb: &XorbHash, chunks: Range<u32>) -> Result<Vec<Bytes>, CasError>;
}

/// Stores chunks in xorbs. Once there are more than [`SMALL_RAW_BYTES_MAX`], what has to be written is written where it
/// is asked for: on threads that may block. Dropped unfinished, it leaves nothing behind.
#[async_trait]
pub trait XorbWriter: Send {
    /// As in [`ChunkSink`].
    type Row;

    /// Appends a chunk, or refers to it where another upload is storing it. `None` if another has just ended that may
    /// have stored it: then [`ChunkSink::find`] is to be asked again.
    async fn append(
        &mut self,
        chunk: &NewChunk<'_>,
        sharing: Sharing,
    ) -> Result<Option<PendingRef>, CasError>;

    /// Where another upload is storing this chunk. It may be referred to, after [`XorbWriter::rely`].
    fn meet(&mut self, _chunk: &ChunkHash) -> Option<PendingRef> {
        None
    }

    /// A place that [`XorbWriter::meet`] has named is referred to.
    fn rely(&mut self, _place: PendingRef) {}

    /// Ends all xorbs that are referred to; when it returns they are durable, and `hold` keeps them until they have rows.
    async fn finish(
        self: Box<Self>,
        hold: &mut Hold,
    ) -> Result<BTreeMap<u32, StoredXorb<Self::Row>>, CasError>;
}

/// The chunk in a record; shares the record's memory if it lies there uncompressed.
fn decode_chunk(record: &Bytes) -> Result<Bytes, String> {
    let (header, _) =
        record.split_first_chunk::<XORB_RECORD_HEADER_BYTES>().ok_or("the record is cut off")?;
    let header = RecordHeader::decode(header).map_err(|error| error.to_string())?;
    let payload = record.slice(XORB_RECORD_HEADER_BYTES..);
    if payload.len() != header.compressed_len as usize {
        return Err("the record has another length".to_owned());
    }
    match header.scheme {
        Scheme::None => Ok(payload),
        scheme => decompress(scheme, &payload, header.raw_len as usize)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
    }
}
