//! Layouts: how a range of a file is put together from xorbs, and where their records can be fetched. In the API's
//! words, reconstructions; versions 1 and 2 say the same in two forms.
//!
//! Invariant of a read layout: every term names chunks of one xorb, lies within one fetch of it, and every number is
//! one that can be.

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;

use super::RemoteError;
use crate::xet::hash::XorbHash;
use crate::xet::limits::{CHUNK_BYTES_MAX, XORB_CHUNKS_MAX, XORB_RECORD_BYTES_MAX};

/// How a range of a file is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of the first chunk that come before the range.
    pub(super) skip: u64,
    /// The terms, in order.
    pub(super) terms: Vec<LayoutTerm>,
    /// What to fetch; terms name places in it.
    pub(super) fetches: Vec<Fetch>,
}

/// A run of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayoutTerm {
    pub(super) chunks: Range<u32>,
    pub(super) raw_bytes: u32,
    /// Which of [`Layout::fetches`] holds them.
    pub(super) fetch: usize,
}

/// A run of records of a xorb, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) xorb: XorbHash,
    pub(super) chunks: Range<u32>,
    /// Where the records lie in the xorb: first and last byte.
    pub(super) bytes: (u64, u64),
    pub(super) url: String,
}

#[derive(Clone, Copy, Deserialize)]
struct ChunkSpan {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Deserialize)]
struct ByteSpan {
    start: u64,
    end: u64,
}

#[derive(Deserialize)]
struct TermText {
    hash: String,
    unpacked_length: u32,
    range: ChunkSpan,
}

#[derive(Deserialize)]
struct V1 {
    offset_into_first_range: u64,
    terms: Vec<TermText>,
    fetch_info: HashMap<String, Vec<V1Fetch>>,
}

#[derive(Deserialize)]
struct V1Fetch {
    range: ChunkSpan,
    url: String,
    url_range: ByteSpan,
}

#[derive(Deserialize)]
struct V2 {
    offset_into_first_range: u64,
    terms: Vec<TermText>,
    xorbs: HashMap<String, Vec<V2Fetch>>,
}

#[derive(Deserialize)]
struct V2Fetch {
    url: String,
    ranges: Vec<V2Range>,
}

#[derive(Deserialize)]
struct V2Range {
    chunks: ChunkSpan,
    bytes: ByteSpan,
}

fn wrong(reason: impl std::fmt::Display) -> RemoteError {
    RemoteError::Wrong(format!("reconstruction: {reason}"))
}

/// Reads version 1.
pub(super) fn read_v1(body: &[u8]) -> Result<Layout, RemoteError> {
    let text: V1 = serde_json::from_slice(body).map_err(wrong)?;
    let fetches = text.fetch_info.into_iter().flat_map(|(xorb, fetches)| {
        fetches.into_iter().map(move |fetch| fetch_of(&xorb, fetch.range, fetch.url_range, fetch.url))
    });
    build(text.offset_into_first_range, text.terms, fetches.collect::<Result<_, _>>()?)
}

/// Reads version 2.
pub(super) fn read_v2(body: &[u8]) -> Result<Layout, RemoteError> {
    let text: V2 = serde_json::from_slice(body).map_err(wrong)?;
    let fetches = text.xorbs.into_iter().flat_map(|(xorb, fetches)| {
        fetches.into_iter().flat_map(move |V2Fetch { url, ranges }| {
            let xorb = xorb.clone();
            ranges.into_iter().map(move |range| fetch_of(&xorb, range.chunks, range.bytes, url.clone()))
        })
    });
    build(text.offset_into_first_range, text.terms, fetches.collect::<Result<_, _>>()?)
}

fn fetch_of(xorb: &str, chunks: ChunkSpan, bytes: ByteSpan, url: String) -> Result<Fetch, RemoteError> {
    let xorb = xorb.parse().map_err(wrong)?;
    let fits = chunks.start < chunks.end
        && chunks.end as usize <= XORB_CHUNKS_MAX
        && bytes.start <= bytes.end
        && bytes.end < XORB_RECORD_BYTES_MAX as u64;
    if !fits {
        return Err(wrong("a fetch has an impossible range"));
    }
    Ok(Fetch { xorb, chunks: chunks.start..chunks.end, bytes: (bytes.start, bytes.end), url })
}

fn build(skip: u64, terms: Vec<TermText>, mut fetches: Vec<Fetch>) -> Result<Layout, RemoteError> {
    fetches.sort_by_key(|fetch| (fetch.xorb, fetch.chunks.start));
    let mut read = Vec::with_capacity(terms.len());
    for term in terms {
        let xorb: XorbHash = term.hash.parse().map_err(wrong)?;
        let TermText { range: ChunkSpan { start, end }, unpacked_length, .. } = term;
        let count =
            end.checked_sub(start).filter(|count| *count > 0).ok_or_else(|| wrong("an empty term"))?;
        if count as usize > XORB_CHUNKS_MAX || unpacked_length as usize > count as usize * CHUNK_BYTES_MAX {
            return Err(wrong("a term has an impossible length"));
        }
        // The last fetch of this xorb that begins no later; one before it may reach further, if they overlap.
        let behind = fetches.partition_point(|fetch| (fetch.xorb, fetch.chunks.start) <= (xorb, start));
        let holds = |fetch: &Fetch| fetch.xorb == xorb && fetch.chunks.end >= end;
        let fetch = fetches[..behind].iter().rposition(holds);
        let fetch = fetch.ok_or_else(|| wrong("a term lies in no fetch"))?;
        read.push(LayoutTerm { chunks: start..end, raw_bytes: unpacked_length, fetch });
    }
    Ok(Layout { skip, terms: read, fetches })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn both_versions_say_the_same() {
        let (a, b) = (hash('a'), hash('b'));
        let terms = format!(
            r#""offset_into_first_range":5,"terms":[
                {{"hash":"{a}","unpacked_length":70000,"range":{{"start":2,"end":4}}}},
                {{"hash":"{b}","unpacked_length":9,"range":{{"start":0,"end":1}}}}]"#
        );
        let v1 = format!(
            r#"{{{terms},"fetch_info":{{
                "{a}":[{{"range":{{"start":0,"end":9}},"url":"http://h/a","url_range":{{"start":0,"end":99}}}}],
                "{b}":[{{"range":{{"start":0,"end":1}},"url":"http://h/b","url_range":{{"start":0,"end":16}}}}]}}}}"#
        );
        let v2 = format!(
            r#"{{{terms},"xorbs":{{
                "{a}":[{{"url":"http://h/a","ranges":[{{"chunks":{{"start":0,"end":9}},"bytes":{{"start":0,"end":99}}}}]}}],
                "{b}":[{{"url":"http://h/b","ranges":[{{"chunks":{{"start":0,"end":1}},"bytes":{{"start":0,"end":16}}}}]}}]}}}}"#
        );
        let layout = read_v1(v1.as_bytes()).unwrap();
        assert_eq!(layout, read_v2(v2.as_bytes()).unwrap());
        assert_eq!((layout.skip, layout.terms.len()), (5, 2));
        assert_eq!(layout.fetches[layout.terms[1].fetch].url, "http://h/b");
        let beyond = v1.replace(r#""end":4}"#, r#""end":10}"#);
        assert!(matches!(read_v1(beyond.as_bytes()), Err(RemoteError::Wrong(_))), "a term beyond its fetch");
        let huge = v1.replace("70000", "4000000000");
        assert!(matches!(read_v1(huge.as_bytes()), Err(RemoteError::Wrong(_))));
        assert!(matches!(read_v1(&v1.as_bytes()[..40]), Err(RemoteError::Wrong(_))));
    }
}
