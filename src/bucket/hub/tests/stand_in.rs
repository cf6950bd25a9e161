//! A Hub with its CAS in memory, as small as can be, that can be told to fail: it answers some requests with a fault
//! instead, once or for as long as told. It checks what a server must check, so a client that cheats is found out.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::merkle::file_hash;
use crate::xet::shard::{Shard, ShardTerm, ShardXorb};
use crate::xet::xorb::{ChunkTable, validate};

/// What a request gets instead of its answer.
#[derive(Clone)]
pub(super) enum Fault {
    /// This status with this body; the request has no effect.
    Status(u16, &'static str),
    /// The answer, but its body ends after so many bytes as if the connection broke.
    CutAfter(usize),
    /// The answer, with one byte of its body changed.
    Flip(usize),
    /// The answer, but so much later.
    Late(Duration),
    /// The request has its effect, and then this is the answer.
    AfterStatus(u16),
}

struct Planned {
    path_holds: &'static str,
    fault: Fault,
    times: u64,
}

#[derive(Clone)]
pub(super) struct StoredObject {
    pub(super) file: FileHash,
    pub(super) uploaded_at: u64,
    pub(super) content_type: Option<String>,
}

#[derive(Default)]
pub(super) struct State_ {
    pub(super) buckets: BTreeMap<String, BTreeMap<String, StoredObject>>,
    xorbs: HashMap<XorbHash, (Bytes, ChunkTable)>,
    /// Uncompressed bytes of the xorbs that were sent, each as often as it was.
    sent_raw_bytes: u64,
    pub(super) files: HashMap<FileHash, Vec<ShardTerm>>,
    known: HashMap<ChunkHash, XorbHash>,
    planned: Vec<Planned>,
    /// Method and path of every request.
    asked: Vec<String>,
}

pub(super) struct StandIn {
    pub(super) base: String,
    pub(super) state: Mutex<State_>,
    /// Bytes of xorbs that were given out.
    pub(super) sent_bytes: AtomicU64,
    /// Whether version 2 of the API is there.
    pub(super) has_v2: bool,
    /// Most entries of a page.
    page: usize,
}

impl StandIn {
    pub(super) async fn start(has_v2: bool) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Mutex::new(State_::default());
        let hub = Arc::new(Self { base, state, sent_bytes: AtomicU64::new(0), has_v2, page: 3 });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&hub));
        tokio::spawn(async move { axum::serve(listener, router).await });
        hub
    }

    /// Lets the next requests whose method and path hold this text fail.
    pub(super) fn fail(&self, path_holds: &'static str, fault: Fault, times: u64) {
        self.state.lock().unwrap().planned.push(Planned { path_holds, fault, times });
    }

    pub(super) fn heal(&self) {
        self.state.lock().unwrap().planned.clear();
    }

    /// The requests since the last call that hold this text.
    pub(super) fn asked(&self, holds: &str) -> usize {
        let mut state = self.state.lock().unwrap();
        let count = state.asked.iter().filter(|asked| asked.contains(holds)).count();
        state.asked.clear();
        count
    }

    /// Uncompressed bytes of the xorbs that clients sent.
    pub(super) fn sent_raw_bytes(&self) -> u64 {
        self.state.lock().unwrap().sent_raw_bytes
    }

    pub(super) fn object(&self, bucket: &str, path: &str) -> Option<StoredObject> {
        self.state.lock().unwrap().buckets.get(bucket)?.get(path).cloned()
    }
}

fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn refused(status: u16, code: &str) -> Response {
    let body = Body::from(json!({ "error": code }).to_string());
    Response::builder().status(status).header("x-error-code", code).body(body).unwrap()
}

async fn handle(State(hub): State<Arc<StandIn>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 70 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let asked = format!("{} {path}", parts.method);
    let fault = {
        let mut state = hub.state.lock().unwrap();
        state.asked.push(asked.clone());
        let planned =
            state.planned.iter_mut().find(|planned| planned.times > 0 && asked.contains(planned.path_holds));
        planned.map(|planned| {
            planned.times -= 1;
            planned.fault.clone()
        })
    };
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let serve = || {
        let query = parts.uri.query().unwrap_or_default();
        let range = header("range");
        let authorized = header("authorization").is_some_and(|value| value.starts_with("Bearer "));
        if path.starts_with("/xorb/") {
            return hub.xorb_bytes(&path, range.as_deref());
        }
        if !authorized {
            return refused(401, "Unauthorized");
        }
        if let Some(path) = path.strip_prefix("/cas") {
            return hub.cas(&parts.method, path, range.as_deref(), &body);
        }
        hub.hub(&parts.method, &path, query, &body)
    };
    match fault {
        None => serve(),
        Some(Fault::Status(status, body)) => answer(status, body),
        Some(Fault::AfterStatus(status)) => {
            serve();
            answer(status, "")
        }
        Some(Fault::Late(late)) => {
            tokio::time::sleep(late).await;
            serve()
        }
        Some(Fault::CutAfter(at)) => {
            let (parts, body) = serve().into_parts();
            let body = to_bytes(body, 70 << 20).await.unwrap();
            let cut = body.slice(..at.min(body.len()));
            let pieces = [Ok(cut), Err(std::io::Error::other("the connection broke"))];
            Response::from_parts(parts, Body::from_stream(stream::iter(pieces)))
        }
        Some(Fault::Flip(at)) => {
            let (parts, body) = serve().into_parts();
            let mut body = to_bytes(body, 70 << 20).await.unwrap().to_vec();
            let at = at.min(body.len() - 1);
            body[at] ^= 1;
            Response::from_parts(parts, Body::from(body))
        }
    }
}

impl StandIn {
    fn hub(&self, method: &Method, path: &str, query: &str, body: &Bytes) -> Response {
        let mut state = self.state.lock().unwrap();
        let path = path.strip_prefix("/api/buckets/").unwrap_or("").to_owned();
        let mut words = path.splitn(4, '/');
        let (namespace, name) = (words.next().unwrap_or(""), words.next());
        let Some(name) = name else {
            let list: Vec<_> = state.buckets.keys().map(|id| info(id)).collect();
            return answer(200, Value::from(list).to_string());
        };
        let (id, call, rest) = (format!("{namespace}/{name}"), words.next(), words.next().unwrap_or(""));
        let exists = state.buckets.contains_key(&id);
        if (method.as_str(), call) == ("POST", None) {
            let url = format!("{}/buckets/{id}", self.base);
            state.buckets.entry(id).or_default();
            return answer(if exists { 409 } else { 200 }, json!({ "url": url }).to_string());
        }
        if !exists {
            return refused(404, "RepoNotFound");
        }
        let objects = state.buckets.get(&id).unwrap().clone();
        match (method.as_str(), call) {
            ("GET", None) => answer(200, info(&id).to_string()),
            ("DELETE", None) => {
                state.buckets.remove(&id);
                answer(200, "")
            }
            ("GET", Some("tree")) => {
                drop(state);
                self.tree(&objects, &unquote(rest), query, &id)
            }
            ("POST", Some("paths-info")) => {
                let asked: Value = serde_json::from_slice(body).unwrap();
                let paths = asked["paths"].as_array().unwrap();
                let entry = |path: &Value| {
                    let path = path.as_str().unwrap();
                    objects.get(path).map(|object| file_entry(&state, path, object))
                };
                answer(200, Value::from(paths.iter().filter_map(entry).collect::<Vec<_>>()).to_string())
            }
            ("POST", Some("batch")) => batch(&mut state, &id, body),
            ("GET", Some("xet-read-token" | "xet-write-token")) => {
                let token = json!({
                    "casUrl": format!("{}/cas", self.base), "exp": 9_999_999_999_u64, "accessToken": "cas"
                });
                answer(200, token.to_string())
            }
            _ => answer(404, ""),
        }
    }

    fn tree(
        &self,
        objects: &BTreeMap<String, StoredObject>,
        prefix: &str,
        query: &str,
        id: &str,
    ) -> Response {
        let state = self.state.lock().unwrap();
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let mut entries = BTreeMap::new();
        for (path, object) in objects.iter().filter(|(path, _)| path.starts_with(&below)) {
            match path[below.len()..].split_once('/').filter(|_| query.contains("recursive=false")) {
                Some((folder, _)) => {
                    let folder = format!("{below}{folder}");
                    entries.insert(folder.clone(), json!({ "type": "directory", "path": folder }));
                }
                None => drop(entries.insert(path.clone(), file_entry(&state, path, object))),
            }
        }
        let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor=")).map(unquote);
        let behind = |(path, _): &(&String, &Value)| cursor.as_ref().is_none_or(|cursor| *path > cursor);
        let page: Vec<_> = entries.iter().filter(behind).take(self.page).collect();
        let mut response = Response::builder().status(200);
        if let Some((last, _)) = page.last().filter(|(last, _)| entries.keys().next_back() != Some(*last)) {
            let recursive = if query.contains("recursive=false") { "false" } else { "true" };
            let cursor = crate::bucket::hub::client::quote(last);
            let prefix = crate::bucket::hub::client::quote(prefix);
            let next =
                format!("{}/api/buckets/{id}/tree/{prefix}?recursive={recursive}&cursor={cursor}", self.base);
            response = response.header("link", format!("<{next}>; rel=\"next\""));
        }
        let page: Vec<_> = page.into_iter().map(|(_, entry)| entry.clone()).collect();
        response.body(Body::from(Value::from(page).to_string())).unwrap()
    }

    fn cas(&self, method: &Method, path: &str, range: Option<&str>, body: &Bytes) -> Response {
        let mut state = self.state.lock().unwrap();
        let words: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), words.as_slice()) {
            ("GET", ["v1", "chunks", "default", chunk]) => match state.known.get(&chunk.parse().unwrap()) {
                None => answer(404, ""),
                Some(xorb) => {
                    let shard =
                        Shard { xorbs: vec![shard_xorb(*xorb, &state.xorbs[xorb].1)], ..Shard::default() };
                    let footer = crate::xet::shard::ShardFooter::of(&shard, 1);
                    answer(200, shard.encode_stored(&footer))
                }
            },
            ("POST", ["v1", "xorbs", "default", xorb]) => {
                let xorb = xorb.parse().unwrap();
                match validate(body, xorb) {
                    Ok(table) => {
                        state.sent_raw_bytes += u64::from(table.raw_bytes());
                        state.xorbs.insert(xorb, (body.clone(), table));
                        answer(200, r#"{"was_inserted":true}"#)
                    }
                    Err(error) => answer(400, error.to_string()),
                }
            }
            ("POST", ["v2", "shards"]) if self.has_v2 => match register(&mut state, body) {
                Ok(()) => answer(200, "{\"type\":\"validating\"}\n{\"type\":\"result\"}\n"),
                Err(why) => answer(200, format!("{}\n", json!({ "type": "error", "message": why }))),
            },
            ("POST", ["v1", "shards"]) => match register(&mut state, body) {
                Ok(()) => answer(200, r#"{"result":1}"#),
                Err(why) => answer(400, why),
            },
            ("GET", [version @ ("v1" | "v2"), "reconstructions", file])
                if self.has_v2 || *version == "v1" =>
            {
                match state.files.get(&file.parse().unwrap()) {
                    None => answer(404, ""),
                    Some(terms) => self.layout(&state, terms, range.unwrap(), *version == "v2"),
                }
            }
            _ => answer(404, ""),
        }
    }

    fn layout(&self, state: &State_, terms: &[ShardTerm], range: &str, is_v2: bool) -> Response {
        let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let (mut at, mut skip) = (0, None);
        let (mut told, mut fetches) = (Vec::new(), serde_json::Map::new());
        for term in terms {
            let table = &state.xorbs[&term.xorb].1;
            let (mut start, mut end, mut bytes) = (None, 0, 0);
            for index in term.chunks.clone() {
                let raw = table.raw_range(index..index + 1).unwrap();
                let chunk = at..at + u64::from(raw.end - raw.start);
                at = chunk.end;
                if chunk.end <= first || chunk.start > last {
                    continue;
                }
                skip.get_or_insert(first.saturating_sub(chunk.start));
                start.get_or_insert(index);
                end = index + 1;
                bytes += raw.end - raw.start;
            }
            let Some(start) = start else { continue };
            let chunks = json!({ "start": start, "end": end });
            let hash = term.xorb.to_string();
            told.push(json!({ "hash": hash, "unpacked_length": bytes, "range": chunks }));
            let records = table.record_range(start..end).unwrap();
            let records = json!({ "start": records.start, "end": records.end - 1 });
            let url = format!("{}/xorb/{hash}", self.base);
            let fetch = if is_v2 {
                json!({ "url": url, "ranges": [{ "chunks": chunks, "bytes": records }] })
            } else {
                json!({ "url": url, "range": chunks, "url_range": records })
            };
            let of_xorb = fetches.entry(hash).or_insert_with(|| json!([]));
            of_xorb.as_array_mut().unwrap().push(fetch);
        }
        let name = if is_v2 { "xorbs" } else { "fetch_info" };
        let skip = skip.unwrap_or(0);
        answer(200, json!({ "offset_into_first_range": skip, "terms": told, name: fetches }).to_string())
    }

    fn xorb_bytes(&self, path: &str, range: Option<&str>) -> Response {
        let state = self.state.lock().unwrap();
        let xorb = path.strip_prefix("/xorb/").unwrap().parse().unwrap();
        let (first, last) = range.unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let bytes = state.xorbs[&xorb].0.slice(first..=last);
        self.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        answer(206, bytes)
    }
}

fn info(id: &str) -> Value {
    json!({ "id": id, "private": true, "createdAt": "2026-01-01T00:00:00Z", "size": 0, "totalFiles": 0 })
}

fn unquote(text: &str) -> String {
    let url = reqwest::Url::parse(&format!("http://h/?x={}", text.replace('+', "%2B"))).unwrap();
    url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn size(state: &State_, file: &FileHash) -> u64 {
    state.files.get(file).map_or(0, |terms| terms.iter().map(|term| u64::from(term.raw_bytes)).sum())
}

fn file_entry(state: &State_, path: &str, object: &StoredObject) -> Value {
    let at = time::OffsetDateTime::from_unix_timestamp((object.uploaded_at / 1000).cast_signed()).unwrap();
    let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
    json!({
        "type": "file", "path": path, "size": size(state, &object.file), "xetHash": object.file.to_string(),
        "uploadedAt": at, "contentType": object.content_type,
    })
}

fn batch(state: &mut State_, id: &str, body: &Bytes) -> Response {
    let mut failed = Vec::new();
    for line in std::str::from_utf8(body).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let path = line["path"].as_str().unwrap().to_owned();
        if line["type"] == "deleteFile" {
            state.buckets.get_mut(id).unwrap().remove(&path);
            continue;
        }
        let file: FileHash = line["xetHash"].as_str().unwrap().parse().unwrap();
        if file != FileHash::EMPTY && !state.files.contains_key(&file) {
            failed.push(json!({ "path": path, "error": "no such file" }));
            continue;
        }
        let object = StoredObject {
            file,
            uploaded_at: line["mtime"].as_u64().unwrap(),
            content_type: line["contentType"].as_str().map(ToOwned::to_owned),
        };
        state.buckets.get_mut(id).unwrap().insert(path, object);
    }
    let status = if failed.is_empty() { 200 } else { 422 };
    answer(status, json!({ "success": failed.is_empty(), "failed": failed }).to_string())
}

fn shard_xorb(hash: XorbHash, table: &ChunkTable) -> ShardXorb {
    let mut raw_start = 0;
    let chunk = |entry: &crate::xet::xorb::ChunkEntry| {
        let start = std::mem::replace(&mut raw_start, entry.raw_end);
        crate::xet::shard::ShardChunk {
            hash: entry.hash,
            raw_start: start,
            raw_bytes: entry.raw_end - start,
            dedup_eligible: false,
        }
    };
    let chunks = table.entries().iter().map(chunk).collect();
    ShardXorb { hash, chunks, raw_bytes: table.raw_bytes(), stored_bytes: 0 }
}

/// Registers what a shard says, if it is true.
fn register(state: &mut State_, body: &Bytes) -> Result<(), String> {
    let shard = Shard::decode(body).map_err(|error| error.to_string())?;
    for xorb in &shard.xorbs {
        let (_, table) = state.xorbs.get(&xorb.hash).ok_or("a xorb is not there")?;
        let same =
            table.entries().iter().map(|entry| entry.hash).eq(xorb.chunks.iter().map(|chunk| chunk.hash));
        if !same {
            return Err("a xorb has other chunks".to_owned());
        }
    }
    for file in &shard.files {
        let mut chunks = Vec::new();
        for term in &file.terms {
            let (_, table) = state.xorbs.get(&term.xorb).ok_or("a term's xorb is not there")?;
            let raw = table.raw_range(term.chunks.clone()).ok_or("a term has no such chunks")?;
            if table.range_hash(term.chunks.clone()) != term.verification
                || raw.end - raw.start != term.raw_bytes
            {
                return Err("a term is not proved".to_owned());
            }
            for index in term.chunks.clone() {
                let raw = table.raw_range(index..index + 1).unwrap();
                chunks.push((table.hash(index).unwrap(), u64::from(raw.end - raw.start)));
            }
        }
        if file_hash(chunks.iter().copied()) != file.hash {
            return Err("a file has another hash".to_owned());
        }
        if let (Some((first, _)), Some(term)) = (chunks.first(), file.terms.first()) {
            state.known.insert(*first, term.xorb);
        }
        state.files.insert(file.hash, file.terms.clone());
    }
    Ok(())
}
