//! Where chunks go: looked up, and only then compressed and written.
//!
//! A chunk that another upload is storing at this moment is met where it is stored. While the guard against
//! fragmentation asks for longer runs, the chunks of a hit wait ("tentative") until the run
//! is long enough to be taken, or ends and is stored again. At most [`FragmentationGuard::run_wanted`] chunks wait,
//! which is eight: 1 MiB.

use std::sync::Arc;

use lru::LruCache;

use super::builder::{FileBuilder, FileProof, Place, Room, Written};
use super::fragmentation::FragmentationGuard;
use crate::cas::{
    CasError, ChunkBytes, ChunkRef, ChunkSink, FoundChunk, NewChunk, PendingRef, Sharing, XorbWriter,
};
use crate::model::file::FileRecord;
use crate::store::hold::Hold;
use crate::store::rows::StoredXorb;
use crate::xet::hash::ChunkHash;
use crate::xet::xorb::ChunkTable;

/// New chunks of this upload that are remembered, some 8 GiB of data in some 10 MiB; what is older is met again
/// only by later uploads.
const SEEN_MAX: usize = 1 << 17;

/// A file whose bytes are durable.
pub struct StoredFile<R> {
    /// How it is put together.
    pub record: FileRecord,
    /// What proves it to a store that does not look into its own xorbs.
    pub proof: FileProof,
    /// The xorbs stored for it.
    pub xorbs: Vec<StoredXorb<R>>,
    /// What it relies on stays while this lives: to be dropped when the file's transaction has been answered.
    pub hold: Hold,
}

/// Files whose bytes are durable.
pub struct StoredFolder<R> {
    /// How each is put together and what proves it, in the order in which they came.
    pub files: Vec<(FileRecord, FileProof)>,
    /// The xorbs stored for them.
    pub xorbs: Vec<StoredXorb<R>>,
    /// What they rely on stays while this lives.
    pub hold: Hold,
}

/// A chunk that was met and may yet be refused.
struct Tentative {
    place: Place,
    chunk: OwnedChunk,
}

/// A [`NewChunk`] that waits.
struct OwnedChunk {
    hash: ChunkHash,
    raw_bytes: u32,
    is_record: bool,
    bytes: Vec<u8>,
}

impl OwnedChunk {
    fn of(chunk: &NewChunk<'_>) -> Self {
        let (is_record, bytes) = match chunk.bytes {
            ChunkBytes::Raw(raw) => (false, raw),
            ChunkBytes::Record(record) => (true, record),
        };
        Self { hash: chunk.hash, raw_bytes: chunk.raw_bytes, is_record, bytes: bytes.to_vec() }
    }

    fn borrow(&self) -> NewChunk<'_> {
        let bytes = &self.bytes[..];
        let bytes = if self.is_record { ChunkBytes::Record(bytes) } else { ChunkBytes::Raw(bytes) };
        NewChunk { hash: self.hash, raw_bytes: self.raw_bytes, bytes }
    }
}

/// Takes the chunks of one file in order. What is written to a pack is written where it is asked for, so anyone who pushes
/// more than a chunk or two does so on a thread that may block. Dropped unfinished, it leaves nothing behind.
pub(super) struct FileSink<R> {
    cas: Arc<dyn ChunkSink<Row = R>>,
    builder: FileBuilder,
    /// Which xorbs new chunks go into from now on.
    pub(super) room: Room,
    /// Made when the first new chunk comes.
    body: Option<Box<dyn XorbWriter<Row = R>>>,
    edge: Option<Box<dyn XorbWriter<Row = R>>>,
    seen: LruCache<ChunkHash, (Room, PendingRef)>,
    /// The last stored chunk that was met: the next one is likely to be its neighbour.
    last_met: Option<(ChunkRef, Arc<ChunkTable>)>,
    guard: FragmentationGuard,
    /// Whether a store far away is worth asking for the first chunk of a file.
    pub(super) asks_for_first: bool,
    /// Neighbours in one xorb that wait for more of them.
    tentative: Vec<Tentative>,
    /// What the file relies on.
    hold: Hold,
}

impl<R: Send + Sync + 'static> FileSink<R> {
    /// Lists the file's chunks: its store will need the list to join it with others.
    pub(super) fn list_chunks(&mut self) {
        self.builder.lists_chunks = true;
    }

    /// `hold` keeps what [`FileSink::push_stored`] will name.
    pub(super) fn new(cas: Arc<dyn ChunkSink<Row = R>>, hold: Hold) -> Self {
        Self {
            cas,
            builder: FileBuilder::default(),
            room: Room::Body,
            body: None,
            edge: None,
            // Bounded where it grows: a bound given here is allocated at once.
            seen: LruCache::unbounded(),
            last_met: None,
            guard: FragmentationGuard::default(),
            asks_for_first: true,
            tentative: Vec::new(),
            hold,
        }
    }

    /// Takes the next chunk by its bytes.
    pub(super) async fn push_bytes(&mut self, raw: &[u8]) -> Result<(), CasError> {
        self.push(&NewChunk::of(raw)).await
    }

    /// Takes the next chunk.
    pub(super) async fn push(&mut self, chunk: &NewChunk<'_>) -> Result<(), CasError> {
        if let Some(Tentative { place: last, .. }) = self.tentative.last() {
            if let Some(place) = self.next_behind(*last, &chunk.hash) {
                self.wait(place, chunk);
                return Ok(());
            }
            self.refuse().await?;
        }
        loop {
            let ticket = self.cas.ticket(&chunk.hash);
            if let Some(place) = self.find(&chunk.hash).await? {
                let is_met = matches!(place, Place::Stored(_));
                self.take(place, chunk, is_met);
                return Ok(());
            }
            if self.guard.run_wanted() > 1
                && let Some(place) = self.meet(&chunk.hash)
            {
                self.take(place, chunk, true);
                return Ok(());
            }
            if self.store(chunk, Sharing::Since(ticket)).await? {
                return Ok(());
            }
        }
    }

    /// Takes the next chunk by its bytes, and stores them although they may be stored elsewhere.
    pub(super) async fn push_again(&mut self, chunk: &NewChunk<'_>) -> Result<(), CasError> {
        self.store(chunk, Sharing::Alone).await.map(drop)
    }

    /// Takes a chunk where it is; one that was `met` elsewhere, and begins a run there, may have to wait.
    fn take(&mut self, place: Place, chunk: &NewChunk<'_>, is_met: bool) {
        if is_met && !self.builder.continues(place) {
            self.wait(place, chunk);
        } else {
            self.place(place, &chunk.hash, chunk.raw_bytes);
        }
    }

    /// Takes the next chunk by its place.
    pub(super) async fn push_stored(
        &mut self,
        place: ChunkRef,
        hash: &ChunkHash,
        raw_bytes: u32,
    ) -> Result<(), CasError> {
        self.refuse().await?;
        self.place(Place::Stored(place), hash, raw_bytes);
        Ok(())
    }

    fn place(&mut self, place: Place, hash: &ChunkHash, raw_bytes: u32) {
        if let Place::Pending(room, place) = place {
            self.writer(room).rely(place);
        }
        self.guard.placed(self.builder.continues(place));
        self.builder.push(place, hash, raw_bytes);
    }

    /// Lets a chunk wait after its neighbours; takes them all if they are enough.
    fn wait(&mut self, place: Place, chunk: &NewChunk<'_>) {
        if self.tentative.len() + 1 < self.guard.run_wanted() {
            self.tentative.push(Tentative { place, chunk: OwnedChunk::of(chunk) });
            return;
        }
        for Tentative { place, chunk } in std::mem::take(&mut self.tentative) {
            self.place(place, &chunk.hash, chunk.raw_bytes);
        }
        self.place(place, &chunk.hash, chunk.raw_bytes);
    }

    /// The run that waited was too short: its chunks are stored again.
    async fn refuse(&mut self) -> Result<(), CasError> {
        for Tentative { chunk, .. } in std::mem::take(&mut self.tentative) {
            match self.seen.get(&chunk.hash).copied() {
                Some((room, place)) => {
                    self.place(Place::Pending(room, place), &chunk.hash, chunk.raw_bytes);
                }
                None => drop(self.store(&chunk.borrow(), Sharing::Alone).await?),
            }
        }
        Ok(())
    }

    /// The chunk after one that was met, if it is this one.
    fn next_behind(&mut self, last: Place, hash: &ChunkHash) -> Option<Place> {
        match last {
            Place::Stored(_) => self.neighbour(hash).map(Place::Stored),
            Place::Pending(room, last) => {
                let next = Place::Pending(room, PendingRef { index: last.index + 1, ..last });
                self.meet(hash).filter(|place| *place == next)
            }
        }
    }

    /// Where another upload is storing this chunk.
    fn meet(&mut self, hash: &ChunkHash) -> Option<Place> {
        let place = self.writer(Room::Body).meet(hash)?;
        Some(Place::Pending(Room::Body, place))
    }

    async fn find(&mut self, hash: &ChunkHash) -> Result<Option<Place>, CasError> {
        if let Some(neighbour) = self.neighbour(hash) {
            return Ok(Some(Place::Stored(neighbour)));
        }
        if let Some((room, place)) = self.seen.get(hash) {
            return Ok(Some(Place::Pending(*room, *place)));
        }
        let found = if self.size() == 0 && self.asks_for_first {
            self.cas.find_first(hash, &mut self.hold).await
        } else {
            self.cas.find(hash, &mut self.hold).await
        };
        let Some(FoundChunk { place, table }) = found? else {
            return Ok(None);
        };
        self.last_met = Some((place, table));
        Ok(Some(Place::Stored(place)))
    }

    /// The chunk after the last one met, if it is this one: no look-up needed.
    fn neighbour(&mut self, hash: &ChunkHash) -> Option<ChunkRef> {
        let (last, table) = self.last_met.as_mut()?;
        if table.hash(last.index + 1) != Some(*hash) {
            return None;
        }
        last.index += 1;
        Some(*last)
    }

    fn writer(&mut self, room: Room) -> &mut dyn XorbWriter<Row = R> {
        let writer = match room {
            Room::Body => &mut self.body,
            Room::Edge => &mut self.edge,
        };
        &mut **writer.get_or_insert_with(|| self.cas.writer())
    }

    /// Stores a chunk; answers whether it is placed. If not, it may have been stored meanwhile.
    async fn store(&mut self, chunk: &NewChunk<'_>, sharing: Sharing) -> Result<bool, CasError> {
        let room = self.room;
        let Some(place) = self.writer(room).append(chunk, sharing).await? else {
            return Ok(false);
        };
        self.seen.put(chunk.hash, (room, place));
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_lru();
        }
        self.place(Place::Pending(room, place), &chunk.hash, chunk.raw_bytes);
        Ok(true)
    }

    /// Bytes taken so far.
    pub(super) fn size(&self) -> u64 {
        self.builder.size()
            + self.tentative.iter().map(|waiting| u64::from(waiting.chunk.raw_bytes)).sum::<u64>()
    }

    /// Ends the file that is open; the next one goes into the same xorbs.
    pub(super) async fn end_file(&mut self) -> Result<FileBuilder, CasError> {
        self.refuse().await?;
        Ok(std::mem::take(&mut self.builder))
    }

    /// Forgets the file that is open. Its chunks that were written stay.
    pub(super) fn drop_file(&mut self) {
        self.tentative.clear();
        self.builder = FileBuilder::default();
    }

    /// Ends the file: when it returns, all that is new is durable.
    pub(super) async fn finish(mut self) -> Result<StoredFile<R>, CasError> {
        let file = self.end_file().await?;
        let StoredFolder { mut files, xorbs, hold } = self.finish_files(vec![file]).await?;
        let (record, proof) = files.remove(0);
        Ok(StoredFile { record, proof, xorbs, hold })
    }

    /// Makes ended files durable.
    pub(super) async fn finish_files(self, files: Vec<FileBuilder>) -> Result<StoredFolder<R>, CasError> {
        let Self { body, edge, mut hold, .. } = self;
        let body = finish(body, &mut hold).await?;
        let edge = finish(edge, &mut hold).await?;
        let files = files.into_iter().map(|file| file.finish(&body, &edge)).collect();
        let xorbs = body.into_values().chain(edge.into_values()).collect();
        Ok(StoredFolder { files, xorbs, hold })
    }
}

async fn finish<R>(
    writer: Option<Box<dyn XorbWriter<Row = R>>>,
    hold: &mut Hold,
) -> Result<Written<R>, CasError> {
    match writer {
        Some(writer) => writer.finish(hold).await,
        None => Ok(Written::new()),
    }
}
