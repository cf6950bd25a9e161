//! Reconstruct: a file record and a range in, a stream out, reading only the chunks that hold the range.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};

use super::digest::{Digester, Digests};
use super::{Engine, EngineError};
use crate::cas::{CasError, XorbReader};
use crate::model::checksums::ChecksumAlgorithm;
use crate::model::file::Term;
use crate::model::turns::{Slices, on_thread};
use crate::store::file_terms::{Cursor, FileTerms};
use crate::xet::hash::XorbHash;

/// Most uncompressed bytes in one read: long enough for a disk, short enough to begin to send soon.
const READ_BYTES_MAX: u64 = 1 << 20;

/// Reads under way at once; with [`READ_BYTES_MAX`] it bounds a download's memory.
const READ_AHEAD: usize = 3;

/// Longest range that [`Engine::read_small`] reads: a chunk or two, which a thousand waiting clients may hold at once.
const SMALL_BYTES_MAX: u64 = 64 << 10;

/// A run of chunks of one xorb, and which of their bytes are wanted.
struct Fetch {
    xorb: XorbHash,
    chunks: Range<u32>,
    wanted: Range<u64>,
}

impl<C: XorbReader> Engine<C> {
    /// The bytes of `range` of a file, in order. `range` must lie within the file, and `file` must have its terms.
    pub fn reconstruct(
        &self,
        file: FileTerms,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, CasError>> + Send + use<C> {
        let plan = Plan::new(Arc::clone(&self.cas) as _, file, range);
        let cas = Arc::clone(&self.cas);
        let fetches = stream::try_unfold(plan, |mut plan| async {
            let fetch = plan.next().await?;
            Ok(fetch.map(|fetch| (fetch, plan)))
        });
        fetches
            .map_ok(move |fetch| {
                let cas = Arc::clone(&cas);
                async move {
                    cas.read(&fetch.xorb, fetch.chunks)
                        .await
                        .map(|chunks| trim(chunks, fetch.wanted))
                }
            })
            .try_buffered(READ_AHEAD)
            .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
            .try_flatten()
    }
}

impl<C: XorbReader> Engine<C> {
    /// The bytes of `range` if they are few and of one term, read at once: less work than a stream, and damage is met
    /// while it can still be answered. `None` for all others.
    pub async fn read_small(
        &self,
        file: &FileTerms,
        range: &Range<u64>,
    ) -> Result<Option<Vec<Bytes>>, EngineError> {
        if file.terms_in_file != 1 || range.end - range.start > SMALL_BYTES_MAX {
            return Ok(None);
        }
        let mut plan = Plan::new(Arc::clone(&self.cas) as _, file.clone(), range.clone());
        let mut bytes = Vec::with_capacity(1);
        while let Some(fetch) = plan.next().await? {
            let chunks = self.cas.read(&fetch.xorb, fetch.chunks).await?;
            bytes.extend(trim(chunks, fetch.wanted));
        }
        Ok(Some(bytes))
    }
}

impl<C> Engine<C> {
    /// The MD5 and the checksums asked for of stored bytes, which are read for them.
    pub async fn digest(
        &self,
        bytes: impl Stream<Item = Result<Bytes, CasError>> + Send + 'static,
        asked: &[ChecksumAlgorithm],
    ) -> Result<Digests, EngineError> {
        let turn = self.turns.open.take().await;
        let mut bytes = Box::pin(bytes);
        let (mut digester, mut slices) = (Digester::new(asked), Slices::of(self.turns.work.clone()));
        let digesting = async move {
            while let Some(piece) = bytes.try_next().await? {
                slices.step(piece.len() as u64).await;
                digester.update(&piece);
            }
            Ok(digester.finish())
        };
        // On a thread of its own: MD5 is slow, and must not hold up a thread that serves others.
        on_thread(turn, move |wanted| wanted.block_on(digesting)).await?.ok_or(EngineError::GivenUp)?
    }
}

/// Turns terms into fetches, one term at a time: a record may have millions.
struct Plan {
    cas: Arc<dyn XorbReader>,
    file: FileTerms,
    next_term: Cursor,
    range: Range<u64>,
    ready: VecDeque<Fetch>,
}

impl Plan {
    fn new(cas: Arc<dyn XorbReader>, file: FileTerms, range: Range<u64>) -> Self {
        let next_term = file.cursor();
        Self { cas, file, next_term, range, ready: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Option<Fetch>, CasError> {
        loop {
            if let Some(fetch) = self.ready.pop_front() {
                return Ok(Some(fetch));
            }
            let next = self.next_term.next(&self.file);
            let Some((start, term)) = next.filter(|(start, _)| *start < self.range.end) else {
                return Ok(None);
            };
            if start + u64::from(term.raw_bytes) > self.range.start {
                self.plan_term(start, &term).await?;
            }
        }
    }

    /// Plans the reads of a term that begins at `term_start` of the file.
    async fn plan_term(&mut self, term_start: u64, term: &Term) -> Result<(), CasError> {
        let table = self.cas.table(&term.xorb).await?;
        let no_such = || CasError::NoSuchChunks { xorb: term.xorb, start: term.start, end: term.end };
        let base = table.raw_range(term.start..term.end).ok_or_else(no_such)?.start;
        // The wanted range in the term's own uncompressed bytes.
        let clip = |at: u64| at.saturating_sub(term_start).min(term.raw_bytes.into());
        let wanted = clip(self.range.start)..clip(self.range.end);
        let mut run: Option<Run> = None;
        for index in term.start..term.end {
            let raw = table.raw_range(index..index + 1).ok_or_else(no_such)?;
            let bytes = u64::from(raw.start - base)..u64::from(raw.end - base);
            if bytes.start >= wanted.end {
                break;
            }
            if bytes.end <= wanted.start {
                continue;
            }
            match &mut run {
                Some(run) if bytes.end - run.bytes.start <= READ_BYTES_MAX => {
                    run.chunks.end = index + 1;
                    run.bytes.end = bytes.end;
                }
                _ => {
                    let full = run.replace(Run { chunks: index..index + 1, bytes });
                    self.ready.extend(full.map(|run| run.fetch(term.xorb, &wanted)));
                }
            }
        }
        self.ready.extend(run.map(|run| run.fetch(term.xorb, &wanted)));
        Ok(())
    }
}

/// Neighbouring chunks to be read at once, and where they lie in the term's uncompressed bytes.
struct Run {
    chunks: Range<u32>,
    bytes: Range<u64>,
}

impl Run {
    fn fetch(self, xorb: XorbHash, wanted: &Range<u64>) -> Fetch {
        let start = wanted.start.max(self.bytes.start) - self.bytes.start;
        let end = wanted.end.min(self.bytes.end) - self.bytes.start;
        Fetch { xorb, chunks: self.chunks, wanted: start..end }
    }
}

/// Cuts off what is not wanted of neighbouring chunks.
fn trim(chunks: Vec<Bytes>, wanted: Range<u64>) -> Vec<Bytes> {
    let mut trimmed = Vec::with_capacity(chunks.len());
    let mut start = 0;
    for chunk in chunks {
        let end = start + chunk.len() as u64;
        let clip = |at: u64| (at.clamp(start, end) - start) as usize;
        let part = chunk.slice(clip(wanted.start)..clip(wanted.end));
        if !part.is_empty() {
            trimmed.push(part);
        }
        start = end;
    }
    trimmed
}
