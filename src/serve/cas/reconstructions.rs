//! How files are put together.

use std::collections::{BTreeMap, HashSet};
use std::iter::once;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, RawQuery, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::answers::{self, Pieces, text};
use super::errors::CasRefusal;
use super::{Cas, Reader, names};
use crate::bucket::{FileHash, XetError};
use crate::engine::{OUTLINE_TERMS_MAX, Outline, XorbRange};
use crate::model::file::Term;
use crate::model::turns::Turn;
use crate::serve::http::origin::Origin;
use crate::xet::hash::XorbHash;

/// Most files asked for at once: the answer names every term of all of them.
const FILES_MAX: usize = 100;

/// Longest list of files in a request, in bytes.
const LIST_BYTES_MAX: usize = 64 << 10;

/// Most ranges under one signed address, which keeps it under the 2,048 bytes that everything on the way lets pass.
const RANGES_PER_URL: usize = 64;

/// How long an answer waits for room; after that it is 429, and published clients try again later.
const PATIENCE: Duration = Duration::from_secs(10);

/// A range without its end.
#[derive(Serialize)]
struct HalfOpen {
    start: u32,
    end: u32,
}

impl From<Range<u32>> for HalfOpen {
    fn from(range: Range<u32>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A range with its last byte.
#[derive(Serialize)]
struct Inclusive {
    start: u32,
    end: u32,
}

impl From<Range<u32>> for Inclusive {
    /// Of a range that is not empty.
    fn from(range: Range<u32>) -> Self {
        Self { start: range.start, end: range.end.saturating_sub(1) }
    }
}

#[derive(Serialize)]
struct TermJson {
    hash: String,
    unpacked_length: u32,
    range: HalfOpen,
}

impl From<&Term> for TermJson {
    fn from(term: &Term) -> Self {
        let range = (term.start..term.end).into();
        Self { hash: term.xorb.to_string(), unpacked_length: term.raw_bytes, range }
    }
}

/// One fetch of version 1.
#[derive(Serialize)]
struct FetchJson {
    range: HalfOpen,
    url: String,
    url_range: Inclusive,
}

/// The fetches of version 2 from one address.
#[derive(Serialize)]
struct MultiFetchJson {
    url: String,
    ranges: Vec<RangeJson>,
}

#[derive(Serialize)]
struct RangeJson {
    chunks: HalfOpen,
    bytes: Inclusive,
}

/// Signs addresses that begin as the request's own did.
#[derive(Clone)]
struct Addresses {
    cas: Arc<Cas>,
    reader: Reader,
    base: String,
}

impl Addresses {
    /// `own` is the request's path below the path that the API is mounted at.
    fn new(cas: Arc<Cas>, reader: Reader, origin: &Origin, original: &Uri, own: &Uri) -> Self {
        let mount = original.path().strip_suffix(own.path()).unwrap_or_default();
        Self { cas, reader, base: format!("{}{mount}/v1/ranges/", origin.as_str()) }
    }

    fn sign(&self, xorb: &XorbHash, ranges: &[XorbRange]) -> String {
        let bytes: Vec<_> =
            ranges.iter().map(|range| range.bytes.start.into()..range.bytes.end.into()).collect();
        let for_whom = (self.reader.bucket, &self.reader.caller);
        format!("{}{xorb}?{}", self.base, self.cas.signer.sign_ranges(xorb, &bytes, for_whom))
    }

    /// The fetches of version 1 from a xorb, one by one.
    fn version_1(self, xorb: XorbHash, ranges: Vec<XorbRange>) -> impl Iterator<Item = String> + Send {
        ranges.into_iter().map(move |range| {
            text(&FetchJson {
                url: self.sign(&xorb, std::slice::from_ref(&range)),
                range: range.chunks.into(),
                url_range: range.bytes.into(),
            })
        })
    }

    /// Those of version 2, one address after the other.
    fn version_2(self, xorb: XorbHash, ranges: Vec<XorbRange>) -> impl Iterator<Item = String> + Send {
        let mut ranges = ranges.into_iter();
        std::iter::from_fn(move || {
            let ranges: Vec<_> = ranges.by_ref().take(RANGES_PER_URL).collect();
            let json = |range: &XorbRange| RangeJson {
                chunks: range.chunks.clone().into(),
                bytes: range.bytes.clone().into(),
            };
            let fetch = || MultiFetchJson {
                url: self.sign(&xorb, &ranges),
                ranges: ranges.iter().map(json).collect(),
            };
            (!ranges.is_empty()).then(|| text(&fetch()))
        })
    }
}

/// How the fetches of a xorb are written.
type Fetches = fn(Addresses, XorbHash, Vec<XorbRange>) -> Pieces;

/// The answer for one file, whose fetches stand under this name.
async fn answer(
    outline: Outline,
    addresses: Addresses,
    name: &str,
    fetches: Fetches,
) -> Result<Response, CasRefusal> {
    let held = hold(&addresses.cas, outline.terms.len()).await?;
    let begin = format!(r#"{{"offset_into_first_range":{},"terms":"#, outline.offset_into_first_range);
    let terms = answers::list(outline.terms.into_iter().map(|term| text(&TermJson::from(&term))));
    let of_xorb = move |(xorb, ranges): (XorbHash, Vec<XorbRange>)| {
        (xorb.to_string(), answers::list(fetches(addresses.clone(), xorb, ranges)))
    };
    let xorbs = answers::map(outline.xorbs.into_iter().map(of_xorb));
    let pieces = once(begin).chain(terms).chain(once(format!(r#","{name}":"#))).chain(xorbs);
    Ok(answers::response(Box::new(pieces.chain(once("}".to_owned()))), held))
}

/// Room for the terms of an answer, until it has left.
async fn hold(cas: &Cas, terms: usize) -> Result<Turn, CasRefusal> {
    cas.answer_terms.take_within(PATIENCE, terms as u32).await.ok_or(CasRefusal::Busy)
}

/// The one range that a request may ask for.
async fn outline(cas: &Cas, reader: &Reader, file: &str, headers: &HeaderMap) -> Result<Outline, CasRefusal> {
    let range = names::ranges(headers, 1)?.and_then(|ranges| ranges.into_iter().next());
    Ok(cas.xet.outline(reader.reach(), &names::hash(file)?, range).await?.outline)
}

/// `GET /v1/reconstructions/{file}`
pub(super) async fn version_1(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Path(file): Path<String>,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let outline = outline(&cas, &reader, &file, &headers).await?;
    let addresses = Addresses::new(cas, reader, &origin, &original, &uri);
    let fetches: Fetches = |addresses, xorb, ranges| Box::new(addresses.version_1(xorb, ranges));
    answer(outline, addresses, "fetch_info", fetches).await
}

/// `GET /v2/reconstructions/{file}`
pub(super) async fn version_2(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Path(file): Path<String>,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let outline = outline(&cas, &reader, &file, &headers).await?;
    let addresses = Addresses::new(cas, reader, &origin, &original, &uri);
    let fetches: Fetches = |addresses, xorb, ranges| Box::new(addresses.version_2(xorb, ranges));
    answer(outline, addresses, "xorbs", fetches).await
}

/// `GET /v1/reconstructions?file_id=..&file_id=..`: as the published client asks.
pub(super) async fn batch_of_query(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Result<Response, CasRefusal> {
    let query = query.unwrap_or_default();
    let mut files = Vec::new();
    for field in query.split('&').filter(|field| !field.is_empty()) {
        match field.split_once('=') {
            Some(("file_id", file)) if files.len() <= FILES_MAX => files.push(names::hash(file)?),
            Some(("file_id", _)) => break,
            _ => return Err(CasRefusal::Bad("the query knows only file_id".to_owned())),
        }
    }
    batch(files, Addresses::new(cas, reader, &origin, &original, &uri)).await
}

/// A file in the body of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    prefix: Option<String>,
    hash: String,
}

/// `POST /v1/reconstructions` with a list of `{"prefix", "hash"}`: as the specification has it.
pub(super) async fn batch_of_body(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    body: Body,
) -> Result<Response, CasRefusal> {
    let bytes = axum::body::to_bytes(body, LIST_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| CasRefusal::Bad("the list is too long or broke off".to_owned()))?;
    let asked: Vec<Asked> = serde_json::from_slice(&bytes)
        .map_err(|_| CasRefusal::Bad("not a list of prefixes and hashes".to_owned()))?;
    let mut files = Vec::new();
    for Asked { prefix, hash } in asked {
        prefix.map_or(Ok(()), |prefix| names::check_prefix(&prefix))?;
        files.push(names::hash(&hash)?);
    }
    batch(files, Addresses::new(cas, reader, &origin, &original, &uri)).await
}

async fn batch(files: Vec<FileHash>, addresses: Addresses) -> Result<Response, CasRefusal> {
    if files.len() > FILES_MAX {
        return Err(CasRefusal::Bad(format!("at most {FILES_MAX} files at once")));
    }
    if files.iter().collect::<HashSet<_>>().len() < files.len() {
        return Err(CasRefusal::Bad("each file is to be asked for once".to_owned()));
    }
    let cas = Arc::clone(&addresses.cas);
    let mut held = Turn::default();
    let (mut outlines, mut terms_left) = (BTreeMap::new(), OUTLINE_TERMS_MAX);
    let mut xorbs = BTreeMap::<XorbHash, Vec<XorbRange>>::new();
    for file in files {
        let outline = cas.xet.outline(addresses.reader.reach(), &file, None).await?.outline;
        let left = terms_left.checked_sub(outline.terms.len());
        terms_left = left.ok_or(XetError::TooFragmented { max: OUTLINE_TERMS_MAX })?;
        held.join(hold(&cas, outline.terms.len()).await?);
        for (xorb, ranges) in outline.xorbs {
            xorbs.entry(xorb).or_default().extend(ranges);
        }
        outlines.insert(file.to_string(), outline.terms);
    }
    let of_file = |(file, terms): (String, Vec<Term>)| {
        (file, answers::list(terms.into_iter().map(|term| text(&TermJson::from(&term)))))
    };
    let of_xorb = move |(xorb, ranges): (XorbHash, Vec<XorbRange>)| {
        (xorb.to_string(), answers::list(addresses.clone().version_1(xorb, ranges)))
    };
    let files = answers::map(outlines.into_iter().map(of_file));
    let fetches = answers::map(xorbs.into_iter().map(of_xorb));
    let pieces = once(r#"{"files":"#.to_owned()).chain(files);
    let pieces = pieces.chain(once(r#","fetch_info":"#.to_owned())).chain(fetches);
    Ok(answers::response(Box::new(pieces.chain(once("}".to_owned()))), held))
}

/// `HEAD /v1/files/{file}`
pub(super) async fn file_size(
    State(cas): State<Arc<Cas>>,
    reader: Reader,
    Path(file): Path<String>,
) -> Result<Response, CasRefusal> {
    let bytes = cas.xet.file_size(reader.reach(), &names::hash(&file)?).await?;
    Ok(([(CONTENT_LENGTH, bytes)], Body::empty()).into_response())
}
