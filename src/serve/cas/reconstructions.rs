//! How files are put together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, RawQuery, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::errors::{CasRefusal, json};
use super::{Door, Reader, names};
use crate::auth::Caller;
use crate::bucket::FileHash;
use crate::engine::{Outline, XorbRange};
use crate::serve::origin::Origin;
use crate::store::rows::{BucketUid, Term};
use crate::xet::hash::XorbHash;

/// Most files asked for at once: the answer names every term of all of them.
const FILES_MAX: usize = 100;

/// Longest list of files in a request, in bytes.
const LIST_BYTES_MAX: usize = 64 << 10;

/// Most ranges under one signed address, which keeps it under the 2,048 bytes that everything on the way lets pass.
const RANGES_PER_URL: usize = 64;

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

#[derive(Serialize)]
struct Version1 {
    offset_into_first_range: u64,
    terms: Vec<TermJson>,
    fetch_info: BTreeMap<String, Vec<FetchJson>>,
}

#[derive(Serialize)]
struct Version2 {
    offset_into_first_range: u64,
    terms: Vec<TermJson>,
    xorbs: BTreeMap<String, Vec<MultiFetchJson>>,
}

#[derive(Serialize)]
struct Batch {
    files: BTreeMap<String, Vec<TermJson>>,
    fetch_info: BTreeMap<String, Vec<FetchJson>>,
}

/// Signs addresses that begin as the request's own did.
struct Addresses<'d> {
    door: &'d Door,
    caller: &'d Caller,
    base: String,
}

impl<'d> Addresses<'d> {
    /// `own` is the request's path below the door's own.
    fn new(door: &'d Door, caller: &'d Caller, origin: &Origin, original: &Uri, own: &Uri) -> Self {
        let mount = original.path().strip_suffix(own.path()).unwrap_or_default();
        Self { door, caller, base: format!("{}{mount}/v1/ranges/", origin.as_str()) }
    }

    fn sign(&self, xorb: &XorbHash, ranges: &[XorbRange]) -> String {
        let bytes: Vec<_> =
            ranges.iter().map(|range| range.bytes.start.into()..range.bytes.end.into()).collect();
        format!("{}{xorb}?{}", self.base, self.door.signer.sign_ranges(xorb, &bytes, self.caller))
    }

    fn version_1(&self, xorb: &XorbHash, ranges: Vec<XorbRange>) -> Vec<FetchJson> {
        let fetches = ranges.into_iter().map(|range| FetchJson {
            url: self.sign(xorb, std::slice::from_ref(&range)),
            range: range.chunks.into(),
            url_range: range.bytes.into(),
        });
        fetches.collect()
    }

    fn version_2(&self, xorb: &XorbHash, ranges: &[XorbRange]) -> Vec<MultiFetchJson> {
        let fetches = ranges.chunks(RANGES_PER_URL).map(|ranges| {
            let json = |range: &XorbRange| RangeJson {
                chunks: range.chunks.clone().into(),
                bytes: range.bytes.clone().into(),
            };
            MultiFetchJson { url: self.sign(xorb, ranges), ranges: ranges.iter().map(json).collect() }
        });
        fetches.collect()
    }
}

/// The one range that a request may ask for.
async fn outline(
    door: &Door,
    bucket: BucketUid,
    file: &str,
    headers: &HeaderMap,
) -> Result<Outline, CasRefusal> {
    let range = names::ranges(headers, 1)?.and_then(|ranges| ranges.into_iter().next());
    Ok(door.xet.outline(bucket, &names::hash(file)?, range).await?.outline)
}

/// `GET /v1/reconstructions/{file}`
pub(super) async fn version_1(
    State(door): State<Arc<Door>>,
    reader: Reader,
    Path(file): Path<String>,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let outline = outline(&door, reader.bucket, &file, &headers).await?;
    let addresses = Addresses::new(&door, &reader.caller, &origin, &original, &uri);
    let fetches = outline.xorbs.into_iter();
    let fetches = fetches.map(|(xorb, ranges)| (xorb.to_string(), addresses.version_1(&xorb, ranges)));
    let answer = Version1 {
        offset_into_first_range: outline.offset_into_first_range,
        terms: outline.terms.iter().map(TermJson::from).collect(),
        fetch_info: fetches.collect(),
    };
    Ok(json(&answer))
}

/// `GET /v2/reconstructions/{file}`
pub(super) async fn version_2(
    State(door): State<Arc<Door>>,
    reader: Reader,
    Path(file): Path<String>,
    Extension(origin): Extension<Origin>,
    OriginalUri(original): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, CasRefusal> {
    let outline = outline(&door, reader.bucket, &file, &headers).await?;
    let addresses = Addresses::new(&door, &reader.caller, &origin, &original, &uri);
    let xorbs = outline.xorbs.iter();
    let xorbs = xorbs.map(|(xorb, ranges)| (xorb.to_string(), addresses.version_2(xorb, ranges)));
    let answer = Version2 {
        offset_into_first_range: outline.offset_into_first_range,
        terms: outline.terms.iter().map(TermJson::from).collect(),
        xorbs: xorbs.collect(),
    };
    Ok(json(&answer))
}

/// `GET /v1/reconstructions?file_id=..&file_id=..`: as the published client asks.
pub(super) async fn batch_of_query(
    State(door): State<Arc<Door>>,
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
    batch(&door, reader.bucket, files, &Addresses::new(&door, &reader.caller, &origin, &original, &uri)).await
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
    State(door): State<Arc<Door>>,
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
    batch(&door, reader.bucket, files, &Addresses::new(&door, &reader.caller, &origin, &original, &uri)).await
}

async fn batch(
    door: &Door,
    bucket: BucketUid,
    files: Vec<FileHash>,
    addresses: &Addresses<'_>,
) -> Result<Response, CasRefusal> {
    if files.len() > FILES_MAX {
        return Err(CasRefusal::Bad(format!("at most {FILES_MAX} files at once")));
    }
    let mut answer = Batch { files: BTreeMap::new(), fetch_info: BTreeMap::new() };
    for file in files {
        let outline = door.xet.outline(bucket, &file, None).await?.outline;
        for (xorb, ranges) in outline.xorbs {
            let fetches = answer.fetch_info.entry(xorb.to_string()).or_default();
            fetches.extend(addresses.version_1(&xorb, ranges));
        }
        answer.files.insert(file.to_string(), outline.terms.iter().map(TermJson::from).collect());
    }
    Ok(json(&answer))
}

/// `HEAD /v1/files/{file}`
pub(super) async fn file_size(
    State(door): State<Arc<Door>>,
    reader: Reader,
    Path(file): Path<String>,
) -> Result<Response, CasRefusal> {
    let bytes = door.xet.file_size(reader.bucket, &names::hash(&file)?).await?;
    Ok(([(CONTENT_LENGTH, bytes)], Body::empty()).into_response())
}
