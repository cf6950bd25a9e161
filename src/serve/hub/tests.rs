//! The whole API over buckets in memory: rules of access, the error conventions, and input that is wrong.

mod bad_input;
mod bodies;
mod reading;
mod routing;
mod rules;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{HubApi, router};
use crate::auth::cas_token::CasSigner;
use crate::auth::{AccessKeyId, Account, AccountKind, Credential, Directory, Permission, Secret, TokenUse};
use crate::bucket::{
    Attributes, BucketId, BucketName, Buckets as _, DeclaredDigests, Namespace, NativeBuckets, ObjectKey,
    ObjectLock, ObjectWrite, Objects as _, Payload, Visibility, WriteCondition,
};
use crate::model::clock::{Ambient, ManualClock, Timestamp};
use crate::serve::http::origin::with_origin;

/// Tokens: of ada, of a reader of hers, of bob, and of nobody.
const ADA: &str = "hf_token_of_ada";
const READER: &str = "hf_token_of_reader";
const BOB: &str = "hf_token_of_bob";
const NOBODY: &str = "";

fn credential(account: &str, token: &str, permission: Permission) -> Credential {
    Credential {
        account: Namespace::new(account).unwrap(),
        access_key_id: AccessKeyId::new(token).unwrap(),
        secret_access_key: Secret::new("not-for-eyes").unwrap(),
        token: Some(Secret::new(token).unwrap()),
        permission,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
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

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and error code; every refusal has a message in header and body.
    fn refusal(&self) -> (u16, &str) {
        assert!(!self.json()["error"].as_str().unwrap().is_empty());
        assert!(!self.header("x-error-message").is_empty());
        (self.status.as_u16(), self.header("x-error-code"))
    }
}

/// The API, and the buckets that it works on.
struct House {
    api: Router,
    buckets: Arc<NativeBuckets>,
}

impl House {
    fn new() -> Self {
        Self::with_default(Visibility::Public)
    }

    /// Where new buckets are this, if nobody says otherwise.
    fn with_default(visibility: Visibility) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_767_323_045_678)));
        let ambient = Ambient { clock: Arc::clone(&clock) as _, ..Ambient::system() };
        let buckets = Arc::new(NativeBuckets::in_memory(ambient).unwrap());
        let team = Account {
            name: Namespace::new("team").unwrap(),
            kind: AccountKind::Org,
            members: vec![Namespace::new("ada").unwrap()],
            new_buckets: Some(Visibility::Private),
        };
        let credentials = [
            credential("ada", ADA, Permission::Write),
            credential("ada", READER, Permission::Read),
            credential("bob", BOB, Permission::Admin),
        ];
        let directory =
            Directory::declared([team], credentials, TokenUse::Shown, Arc::clone(&clock) as _).unwrap();
        let directory = Arc::new(directory);
        let api = HubApi {
            buckets: Arc::clone(&buckets) as _,
            signer: CasSigner::new(&[1; 32], Arc::clone(&directory), clock),
            directory,
            visibility,
        };
        Self { api: with_origin(router(api).router, Vec::new()), buckets }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.api.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "hub.test:1");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(token, "GET", path, Body::empty()).await
    }

    /// A private bucket of ada's, with this in it.
    async fn with_files(files: &[&str]) -> Self {
        let house = Self::new();
        let id = ada("b");
        house.buckets.create_bucket(&id, Visibility::Private).await.unwrap();
        for name in files {
            house.put(name, &format!("content of {name}")).await;
        }
        house
    }

    /// Stores a file in ada's bucket.
    async fn put(&self, name: &str, content: &str) {
        let body = Bytes::from(content.to_owned());
        let payload = Payload {
            length: Some(body.len() as u64),
            body: Box::pin(stream::iter([Ok(body)])),
            digests: DeclaredDigests::default(),
        };
        let key = ObjectKey::new(name).unwrap();
        let (attributes, condition, lock) =
            (Attributes::default(), WriteCondition::default(), ObjectLock::default());
        let write = ObjectWrite { key, attributes, condition, lock, payload };
        self.buckets.write(&ada("b"), write).await.unwrap();
    }

    /// The paths in ada's bucket.
    async fn paths(&self) -> Vec<String> {
        let listed = self.get(ADA, "/api/buckets/ada/b/tree").await.json();
        let entries = listed.as_array().unwrap();
        entries.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    }
}

fn ada(name: &str) -> BucketId {
    BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new(name).unwrap() }
}
