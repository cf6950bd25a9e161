//! [`CasClient`]: the CAS's HTTP API, one method a call, for one bucket's access.
//!
//! What a server may not offer is tried once and then remembered: grants, version 2 of shards and reconstructions.
//! Every request may be sent twice, for everything here is named by its hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use super::access::{AccessSource, CasAccess, KeptAccess, Reach};
use super::layout::Layout;
use super::{RemoteError, layout};
use crate::cas::http::{Answer, HttpClient, OpenAnswer, Repeat};
use crate::model::clock::Clock;
use crate::xet::hash::{ChunkHash, FileHash, XorbHash};
use crate::xet::limits::SHARD_BYTES_MAX;

/// Longest answer to a call that says little.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// Longest reconstruction: some 300,000 terms, which a range of [`super::read::SEGMENT_BYTES`] does not have.
const LAYOUT_BYTES_MAX: usize = 64 << 20;

/// A xorb of so many bytes is worth asking for before it is sent: an upload that was interrupted has sent some.
const ASKED_BYTES_MIN: usize = 1 << 20;

/// Grants asked for one xorb. Source: the published client.
const GRANTS_MAX: usize = 3;

/// Longest text of a server that is repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// Speaks to one CAS for one bucket.
pub(super) struct CasClient {
    http: HttpClient,
    access: KeptAccess,
    /// Whether the server has shown that it has no ...
    lacks_grants: AtomicBool,
    lacks_shards_v2: AtomicBool,
    lacks_layouts_v2: AtomicBool,
}

#[derive(Deserialize)]
struct Grant {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

/// One line of the answer to a shard.
#[derive(Deserialize)]
struct ShardEvent {
    r#type: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retryable: bool,
}

/// What came of asking for a grant.
enum Granted {
    NotOffered,
    /// The server has the xorb.
    Stored,
    Grant(Grant),
}

impl CasClient {
    pub(super) fn new(http: HttpClient, source: Arc<dyn AccessSource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            http,
            access: KeptAccess::new(source, clock),
            lacks_grants: AtomicBool::new(false),
            lacks_shards_v2: AtomicBool::new(false),
            lacks_layouts_v2: AtomicBool::new(false),
        }
    }

    /// The shard that tells of a chunk, if the CAS knows it. Who asks is about to upload, and has the token for that.
    pub(super) async fn dedup(&self, chunk: &ChunkHash) -> Result<Option<Bytes>, RemoteError> {
        let path = format!("/v1/chunks/default/{chunk}");
        let answer = self.call(Reach::Write, SHARD_BYTES_MAX, Method::GET, &path, |request| request).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refusal(&answer, &path)),
        }
    }

    /// Stores a xorb; when this returns, the CAS has it.
    pub(super) async fn put_xorb(&self, xorb: &XorbHash, body: &Bytes) -> Result<(), RemoteError> {
        if !self.lacks_grants.load(Ordering::Relaxed) {
            for _ in 0..GRANTS_MAX {
                match self.grant(xorb, body).await? {
                    Granted::NotOffered => {
                        self.lacks_grants.store(true, Ordering::Relaxed);
                        break;
                    }
                    Granted::Stored => return Ok(()),
                    Granted::Grant(grant) => {
                        if self.put_granted(&grant, body).await? && self.commit_granted(xorb, &grant).await? {
                            return Ok(());
                        }
                    }
                }
            }
        }
        let path = format!("/v1/xorbs/default/{xorb}");
        if body.len() >= ASKED_BYTES_MIN {
            let answer =
                self.call(Reach::Write, SMALL_BYTES_MAX, Method::HEAD, &path, |request| request).await?;
            if answer.status == StatusCode::OK {
                return Ok(());
            }
        }
        let post = |request: RequestBuilder| request.body(body.clone());
        let answer = self.call(Reach::Write, SMALL_BYTES_MAX, Method::POST, &path, post).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refusal(&answer, &path)) }
    }

    async fn grant(&self, xorb: &XorbHash, body: &Bytes) -> Result<Granted, RemoteError> {
        let path = format!("/v1/xorb-grants/default/{xorb}");
        let value = checksum(CrcAlgorithm::Crc64Nvme, body).to_string();
        let wish = serde_json::json!({
            "length": body.len(), "checksum": { "algo": "crc64nvme", "value": value },
        });
        let post = |request: RequestBuilder| {
            request.header("content-type", "application/json").body(wish.to_string())
        };
        let answer = self.call(Reach::Write, SMALL_BYTES_MAX, Method::POST, &path, post).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(Granted::NotOffered),
            StatusCode::OK => Ok(Granted::Stored),
            StatusCode::CREATED => serde_json::from_slice(&answer.body)
                .map(Granted::Grant)
                .map_err(|error| RemoteError::Wrong(format!("grant: {error}"))),
            _ => Err(refusal(&answer, &path)),
        }
    }

    /// Sends a xorb to where its grant says; `false` if another grant is needed. The token stays here.
    async fn put_granted(&self, grant: &Grant, body: &Bytes) -> Result<bool, RemoteError> {
        let wrong = || RemoteError::Wrong("grant: its method or address is none".to_owned());
        let method = Method::from_bytes(grant.method.as_bytes()).map_err(|_| wrong())?;
        let url = reqwest::Url::parse(&grant.url).map_err(|_| wrong())?;
        let build = |client: &reqwest::Client| {
            let request = client.request(method.clone(), url.clone()).body(body.clone());
            grant.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
        };
        let answer = self.http.fetch(Repeat::Safe, SMALL_BYTES_MAX, build).await?;
        match answer.status {
            status if status.is_success() || status == StatusCode::PRECONDITION_FAILED => Ok(true),
            StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::CONFLICT => Ok(false),
            _ => Err(refusal(&answer, "granted upload")),
        }
    }

    /// Says that a granted xorb was sent; `false` if the server has not found it.
    async fn commit_granted(&self, xorb: &XorbHash, grant: &Grant) -> Result<bool, RemoteError> {
        let id: String = reqwest::Url::parse("http://h/")
            .map(|mut url| {
                url.set_path(&grant.id.replace('%', "%25").replace('/', "%2F"));
                url.path().trim_start_matches('/').to_owned()
            })
            .unwrap_or_default();
        let path = format!("/v1/xorb-commits/default/{xorb}/grant/{id}");
        let answer = self.call(Reach::Write, SMALL_BYTES_MAX, Method::POST, &path, |request| request).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refusal(&answer, &path)),
        }
    }

    /// Registers what a shard says.
    pub(super) async fn put_shard(&self, shard: &Bytes) -> Result<(), RemoteError> {
        match self.put_shard_once(shard).await {
            Err(RemoteError::Missing(_)) => {
                self.forget_access(Reach::Write).await?;
                self.lacks_shards_v2.store(false, Ordering::Relaxed);
                self.put_shard_once(shard).await
            }
            done => done,
        }
    }

    /// What is missing may be the bucket: one that was deleted and made again is another to its CAS, which the token
    /// that is kept does not open.
    async fn forget_access(&self, reach: Reach) -> Result<(), RemoteError> {
        let access = self.access.get(reach).await?;
        self.access.forget(reach, &access).await;
        Ok(())
    }

    async fn put_shard_once(&self, shard: &Bytes) -> Result<(), RemoteError> {
        let post = |request: RequestBuilder| request.body(shard.clone());
        if !self.lacks_shards_v2.load(Ordering::Relaxed) {
            let path = "/v2/shards";
            let answer = self.call(Reach::Write, SMALL_BYTES_MAX, Method::POST, path, post).await?;
            match answer.status {
                StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => {
                    self.lacks_shards_v2.store(true, Ordering::Relaxed);
                }
                status if status.is_success() => return shard_outcome(&answer.body),
                _ => return Err(refusal(&answer, path)),
            }
        }
        let path = "/v1/shards";
        let answer = self.call(Reach::Write, SMALL_BYTES_MAX, Method::POST, path, post).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refusal(&answer, path)) }
    }

    /// How a range of a file is put together, and where to get it. The range must hold a byte of the file.
    pub(super) async fn layout(
        &self,
        file: &FileHash,
        range: std::ops::Range<u64>,
        reach: Reach,
    ) -> Result<Layout, RemoteError> {
        match self.layout_once(file, range.clone(), reach).await {
            Err(RemoteError::Missing(_)) => {
                self.forget_access(reach).await?;
                self.layout_once(file, range, reach).await
            }
            done => done,
        }
    }

    async fn layout_once(
        &self,
        file: &FileHash,
        range: std::ops::Range<u64>,
        reach: Reach,
    ) -> Result<Layout, RemoteError> {
        let header = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let ask = |request: RequestBuilder| request.header("range", header.clone());
        if !self.lacks_layouts_v2.load(Ordering::Relaxed) {
            let path = format!("/v2/reconstructions/{file}");
            let answer = self.call(reach, LAYOUT_BYTES_MAX, Method::GET, &path, ask).await?;
            match answer.status {
                StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED => {}
                status if status.is_success() => return layout::read_v2(&answer.body),
                _ => return Err(refusal(&answer, &path)),
            }
        }
        let path = format!("/v1/reconstructions/{file}");
        let answer = self.call(reach, LAYOUT_BYTES_MAX, Method::GET, &path, ask).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer, &path));
        }
        // The file is there, so it was version 2 that is not.
        self.lacks_layouts_v2.store(true, Ordering::Relaxed);
        layout::read_v1(&answer.body)
    }

    /// Opens bytes of a xorb by a signed URL, which is a secret and gets no token.
    pub(super) async fn records(&self, url: &str, bytes: (u64, u64)) -> Result<OpenAnswer, RemoteError> {
        let url = reqwest::Url::parse(url)
            .map_err(|error| RemoteError::Wrong(format!("the address of a xorb: {error}")))?;
        let range = format!("bytes={}-{}", bytes.0, bytes.1);
        let build = |client: &reqwest::Client| client.get(url.clone()).header("range", range.clone());
        Ok(self.http.stream(build).await?)
    }

    /// Sends a request with a token; once more with a new one if it was refused.
    async fn call(
        &self,
        reach: Reach,
        max: usize,
        method: Method,
        path: &str,
        dress: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, RemoteError> {
        let access = self.access.get(reach).await?;
        let answer = self.call_with(&access, max, &method, path, &dress).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.access.forget(reach, &access).await;
        let access = self.access.get(reach).await?;
        self.call_with(&access, max, &method, path, &dress).await
    }

    async fn call_with(
        &self,
        access: &CasAccess,
        max: usize,
        method: &Method,
        path: &str,
        dress: &(impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync),
    ) -> Result<Answer, RemoteError> {
        let url = reqwest::Url::parse(&format!("{}{path}", access.url))
            .map_err(|error| RemoteError::Wrong(format!("the address of the CAS: {error}")))?;
        let build = |client: &reqwest::Client| {
            dress(client.request(method.clone(), url.clone())).bearer_auth(access.token.expose())
        };
        Ok(self.http.fetch(Repeat::Safe, max, build).await?)
    }
}

/// What the lines of an answer to a shard say in the end.
fn shard_outcome(body: &[u8]) -> Result<(), RemoteError> {
    for line in body.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<ShardEvent>(line) else { continue };
        match event.r#type.as_str() {
            "result" => return Ok(()),
            "error" if event.retryable => return Err(RemoteError::Unavailable(short(&event.message))),
            "error" => return Err(RemoteError::Refused { status: 400, message: short(&event.message) }),
            _ => {}
        }
    }
    Err(RemoteError::Wrong("the answer to a shard has no end".to_owned()))
}

fn short(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

/// What a refused call means.
pub(super) fn refusal(answer: &Answer, what: &str) -> RemoteError {
    let message = short(&String::from_utf8_lossy(&answer.body));
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RemoteError::Denied(message),
        StatusCode::NOT_FOUND => RemoteError::Missing(what.to_owned()),
        StatusCode::TOO_MANY_REQUESTS => RemoteError::Busy,
        status if status.is_server_error() => RemoteError::Unavailable(format!("{status}: {message}")),
        status => RemoteError::Refused { status: status.as_u16(), message },
    }
}
