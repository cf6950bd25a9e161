//! The API as its clients see it, in this process: what goes in comes out, and nobody gets what is not his.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{CasApi, Routed, router};
use crate::auth::cas_token::{CasScope, CasSigner};
use crate::auth::{AccessKeyId, Caller, Credential, Directory, Permission, Secret};
use crate::bucket::{
    Attributes, BatchChange, Bucket, BucketId, BucketName, Buckets as _, FileHash, Namespace, NativeBuckets,
    ObjectKey, Objects as _, Visibility,
};
use crate::model::clock::{Ambient, ManualClock, Timestamp};
use crate::serve::http::origin::with_origin;
use crate::xet::compression::Compressor;
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::merkle::file_hash;
use crate::xet::shard::{Shard, ShardChunk, ShardFile, ShardTerm, ShardXorb};
use crate::xet::xorb::{ChunkTable, encode_record};

mod apart;
mod fragmented;
mod hostile;
mod reach;
mod reading;
mod writing;

/// The default of `gc.cas_grace_days`.
const GRACE: Duration = Duration::from_hours(21 * 24);

struct House {
    buckets: NativeBuckets,
    signer: CasSigner,
    caller: Caller,
    clock: Arc<ManualClock>,
    router: axum::Router,
    mine: Bucket,
    other: Bucket,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn credential() -> Credential {
    Credential {
        account: Namespace::new("ada").unwrap(),
        access_key_id: AccessKeyId::new("AKADA").unwrap(),
        secret_access_key: Secret::new("not-for-eyes").unwrap(),
        token: None,
        permission: Permission::Write,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
}

async fn house() -> House {
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000)));
    let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
    let buckets = NativeBuckets::in_memory(ambient.clone()).unwrap();
    let create = async |name: &str| {
        let id = BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new(name).unwrap() };
        buckets.create_bucket(&id, Visibility::Private).await.unwrap()
    };
    let (mine, other) = (create("mine").await, create("other").await);
    let directory = Arc::new(Directory::new([credential()]).unwrap());
    let caller = Caller::Known(directory.credential("AKADA").unwrap());
    let signer = CasSigner::new(&[7; 32], Arc::clone(&directory), ambient.clock.clone());
    let cas = CasApi { xet: buckets.xet(GRACE), signer: signer.clone(), directory, ambient };
    let router =
        Routed::new(axum::Router::new(), []).nest("/cas", router(cas)).merge(super::telemetry_router());
    let router = with_origin(router.router, Vec::new());
    House { buckets, signer, caller, clock, router, mine, other }
}

impl House {
    fn token(&self, bucket: &Bucket, scope: CasScope) -> String {
        self.signer.issue(bucket.uid, scope, &self.caller).text
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.into_body().collect().await.unwrap().to_bytes() }
    }

    /// Asks with a token that may write to `bucket`.
    async fn ask(&self, bucket: &Bucket, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.ask_with(&self.token(bucket, CasScope::Write), method, path, body, None).await
    }

    async fn ask_with(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Body>,
        range: Option<&str>,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(format!("/cas{path}")).header("host", "hub:1");
        request = request.header("authorization", format!("Bearer {token}"));
        if let Some(range) = range {
            request = request.header("range", range);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&self.mine, Method::GET, path, Body::empty()).await
    }

    /// Fetches a signed address, as a client does: without a token.
    async fn fetch(&self, url: &str, range: Option<&str>) -> Answer {
        let path = url.strip_prefix("http://hub:1").unwrap();
        let mut request = Request::builder().uri(path).header("host", "hub:1");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The signed address of the first range of a file in `mine`.
    async fn address(&self, file: FileHash) -> String {
        let answer = self.get(&format!("/v1/reconstructions/{file}")).await.json();
        let fetches = answer["fetch_info"].as_object().unwrap().values().next().unwrap();
        fetches[0]["url"].as_str().unwrap().to_owned()
    }

    async fn upload(&self, xorb: &Xorb) -> Answer {
        self.ask(&self.mine, Method::POST, &format!("/v1/xorbs/default/{}", xorb.hash), xorb.bytes.clone())
            .await
    }

    async fn register(&self, bucket: &Bucket, shard: &Shard) -> Answer {
        self.ask(bucket, Method::POST, "/v1/shards", shard.encode_upload()).await
    }

    /// Uploads a xorb and registers the file of all its chunks in `mine`.
    async fn file(&self, xorb: &Xorb) -> FileHash {
        assert_eq!(self.upload(xorb).await.status, StatusCode::OK);
        let shard = xorb.shard();
        let answer = self.register(&self.mine, &shard).await;
        assert_eq!((answer.status, answer.json()["result"].clone()), (StatusCode::OK, 1.into()));
        shard.files[0].hash
    }

    async fn add(&self, key: &str, file: FileHash) {
        let key = ObjectKey::new(key).unwrap();
        let proved_by = Some("AKADA".to_owned());
        let add = BatchChange::Add { key, file, size: None, proved_by, attributes: Attributes::default() };
        self.buckets.batch(&self.mine.id, vec![add]).await.unwrap().remove(0).unwrap();
    }
}

/// A xorb as a client makes it.
struct Xorb {
    hash: XorbHash,
    bytes: Vec<u8>,
    table: ChunkTable,
    raw: Vec<u8>,
}

/// A xorb of chunks of these lengths, each of bytes of its own.
fn xorb(seed: u8, lengths: &[usize]) -> Xorb {
    let (mut bytes, mut table, mut raw) = (Vec::new(), ChunkTable::default(), Vec::new());
    let mut compressor = Compressor::new();
    for (index, len) in lengths.iter().enumerate() {
        let mut chunk = vec![0; *len];
        blake3::Hasher::new().update(&[seed]).update(&index.to_le_bytes()).finalize_xof().fill(&mut chunk);
        let header = encode_record(&mut compressor, &chunk, &mut bytes);
        table.push(ChunkHash::of(&chunk), header.record_len(), header.raw_len);
        raw.extend(chunk);
    }
    Xorb { hash: table.xorb_hash(), bytes, table, raw }
}

impl Xorb {
    fn term(&self, start: u32, end: u32) -> ShardTerm {
        let raw = self.table.raw_range(start..end).unwrap();
        ShardTerm {
            xorb: self.hash,
            raw_bytes: raw.end - raw.start,
            chunks: start..end,
            verification: self.table.range_hash(start..end),
        }
    }

    /// How a shard lists it.
    fn listed(&self) -> ShardXorb {
        let mut raw_start = 0;
        let chunks = self.table.entries().iter().map(|entry| {
            let (start, raw_bytes) = (raw_start, entry.raw_end - raw_start);
            raw_start = entry.raw_end;
            ShardChunk { hash: entry.hash, raw_start: start, raw_bytes, dedup_eligible: false }
        });
        let chunks = chunks.collect();
        ShardXorb { hash: self.hash, chunks, raw_bytes: self.table.raw_bytes(), stored_bytes: 0 }
    }

    /// The shard of the file of all its chunks.
    fn shard(&self) -> Shard {
        let file = file_of(&[(self, 0, self.table.len() as u32)]);
        Shard { files: vec![file], xorbs: vec![self.listed()], footer: None }
    }
}

/// The file of these terms, as an honest client announces it.
fn file_of(terms: &[(&Xorb, u32, u32)]) -> ShardFile {
    let mut chunks = Vec::new();
    for (xorb, start, end) in terms {
        for index in *start..*end {
            let raw = xorb.table.raw_range(index..index + 1).unwrap();
            chunks.push((xorb.table.hash(index).unwrap(), u64::from(raw.end - raw.start)));
        }
    }
    let terms = terms.iter().map(|(xorb, start, end)| xorb.term(*start, *end)).collect();
    ShardFile { hash: file_hash(chunks), terms, sha256: None }
}
