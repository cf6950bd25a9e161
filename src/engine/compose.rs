//! Compose: joins ranges of stored files into a new file, touching only the bytes around the seams.
//!
//! Why so few suffice: the chunker forgets everything at a cut. So where a cut of the new file meets the beginning
//! of a chunk of a source, the chunk that follows is a chunk of the new file too, unless the source's own end, not a
//! cut, ended it. Only from a seam to the first such meeting are bytes read and cut again.

use std::ops::Range;
use std::sync::Arc;

use super::builder::FileProof;
use super::cutter::Cutter;
use super::sink::{FileSink, StoredFile};
use super::{Engine, EngineError};
use crate::cas::{CasError, ChunkRef, ChunkSink, XorbReader};
use crate::model::turns::{Slices, on_thread};
use crate::store::file_terms::FileTerms;
use crate::store::hold::Hold;
use crate::xet::hash::ChunkHash;

/// What a chunk that is taken over unread counts as in a slice of work, in bytes.
const CHUNK_COST: u64 = 1 << 10;

/// Terms of the files that are joined, together: some 180 MiB. What is fragmented as much as the guard lets it be has so
/// many in two terabytes.
pub const JOINED_TERMS_MAX: usize = 4 << 20;

/// Refuses to join what has more terms than a record may have.
fn check_length(terms: impl IntoIterator<Item = usize>) -> Result<(), EngineError> {
    let terms = terms.into_iter().try_fold(0_usize, usize::checked_add);
    if terms.is_none_or(|terms| terms > JOINED_TERMS_MAX) {
        return Err(EngineError::TooFragmented { max: JOINED_TERMS_MAX });
    }
    Ok(())
}

/// A range of a stored file.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The file's terms that hold the range.
    pub terms: FileTerms,
    /// Which of its bytes, end excluded.
    pub range: Range<u64>,
}

impl Segment {
    /// All of a file.
    pub fn whole(file: impl Into<FileTerms>) -> Self {
        let terms = file.into();
        let range = 0..terms.size;
        Self { terms, range }
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.terms.size)
    }
}

impl<C: ChunkSink + XorbReader> Engine<C> {
    /// Joins segments, in order, into one file. `hold` keeps what the segments' records name; it must be older than
    /// they are. A whole file alone stays what it is, and needs no proof.
    pub async fn compose(
        &self,
        segments: Vec<Segment>,
        hold: Hold,
    ) -> Result<StoredFile<C::Row>, EngineError> {
        check_length(segments.iter().map(|segment| segment.terms.len()))?;
        if let [only] = segments.as_slice()
            && only.is_whole()
            && let Some(record) = only.terms.clone().into_record()
        {
            return Ok(StoredFile { record, proof: FileProof::default(), xorbs: Vec::new(), hold });
        }
        let turn = self.turns.open.take().await;
        let composer = Composer::new(&self.cas, hold, Slices::of(self.turns.work.clone()));
        let joined = on_thread(turn, move |wanted| wanted.block_on(composer.run(&segments)));
        Ok(joined.await?.ok_or(EngineError::GivenUp)??)
    }
}

/// A chunk of a source that overlaps the segment.
struct SourceChunk {
    place: ChunkRef,
    hash: ChunkHash,
    /// Which bytes of the chunk lie in the segment.
    wanted: Range<u32>,
    raw_bytes: u32,
    /// Whether a cut, not the end of the source, ended it.
    ended_by_cut: bool,
}

impl SourceChunk {
    fn is_whole(&self) -> bool {
        self.wanted == (0..self.raw_bytes)
    }
}

struct Composer<R> {
    reader: Arc<dyn XorbReader>,
    sink: FileSink<R>,
    cutter: Cutter,
    slices: Slices,
}

impl<R: Send + Sync + 'static> Composer<R> {
    fn new<C: ChunkSink<Row = R> + XorbReader>(cas: &Arc<C>, hold: Hold, slices: Slices) -> Self {
        let sink = FileSink::new(Arc::clone(cas) as _, hold);
        Self { reader: Arc::clone(cas) as _, sink, cutter: Cutter::default(), slices }
    }

    async fn run(mut self, segments: &[Segment]) -> Result<StoredFile<R>, CasError> {
        let last = segments.iter().rposition(|segment| !segment.range.is_empty());
        for (at, segment) in segments.iter().enumerate() {
            let ends_file = Some(at) == last && segment.range.end == segment.terms.size;
            self.add(segment, ends_file).await?;
        }
        let Self { mut sink, cutter, slices, .. } = self;
        drop(slices);
        if let Some(chunk) = cutter.finish() {
            sink.push_bytes(&chunk).await?;
        }
        sink.finish().await
    }

    async fn add(&mut self, segment: &Segment, ends_file: bool) -> Result<(), CasError> {
        for (term_start, term) in segment.terms.within(segment.range.clone()) {
            let table = self.reader.table(&term.xorb).await?;
            let mut chunk_start = term_start;
            for index in term.start..term.end {
                let (Some(raw), Some(hash)) = (table.raw_range(index..index + 1), table.hash(index)) else {
                    let (start, end) = (index, index + 1);
                    return Err(CasError::NoSuchChunks { xorb: term.xorb, start, end });
                };
                let raw_bytes = raw.end - raw.start;
                let chunk_end = chunk_start + u64::from(raw_bytes);
                let clip = |at: u64| (at.clamp(chunk_start, chunk_end) - chunk_start) as u32;
                let wanted = clip(segment.range.start)..clip(segment.range.end);
                let ended_by_cut = chunk_end != segment.terms.size;
                let place = ChunkRef { xorb: term.xorb, index };
                chunk_start = chunk_end;
                if !wanted.is_empty() {
                    let chunk = SourceChunk { place, hash, wanted, raw_bytes, ended_by_cut };
                    self.add_chunk(&chunk, ends_file).await?;
                }
            }
        }
        Ok(())
    }

    async fn add_chunk(&mut self, chunk: &SourceChunk, ends_file: bool) -> Result<(), CasError> {
        let stays = chunk.is_whole() && (chunk.ended_by_cut || ends_file);
        if stays && self.cutter.is_at_boundary() {
            self.slices.step(CHUNK_COST).await;
            return self.sink.push_stored(chunk.place, &chunk.hash, chunk.raw_bytes).await;
        }
        self.slices.step(chunk.raw_bytes.into()).await;
        let ChunkRef { xorb, index } = chunk.place;
        for raw in self.reader.read(&xorb, index..index + 1).await? {
            let mut wanted = &raw[chunk.wanted.start as usize..chunk.wanted.end as usize];
            while let Some(chunk) = self.cutter.next(&mut wanted) {
                self.sink.push_bytes(chunk).await?;
            }
        }
        Ok(())
    }
}
