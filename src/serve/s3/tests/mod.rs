//! The whole API, from signed request to answer, over buckets in memory.

mod anonymous;
mod form;
mod lifecycle;
mod locks;
mod lookups;
mod names;
mod objects;
mod reads;
mod settings;
mod signatures;
mod signer;
mod trust;
mod users;
mod versions;
mod watched;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::{ByAccessKey, S3Api, router};
use crate::auth::{AccessKeyId, Credential, Directory, Permission, Secret};
use crate::bucket::{BucketName, Namespace, NativeBuckets};
use crate::model::clock::{Ambient, ManualClock, Timestamp};
use signer::{Signer, sha256_hex};

const ADA: Signer = Signer { access_key: "AKADA", secret_key: "secret-of-ada", region: "us-east-1" };
const READER: Signer = Signer { access_key: "AKREAD", secret_key: "secret-of-reader", region: "us-east-1" };
/// Of another account.
const BOB: Signer = Signer { access_key: "AKBOB", secret_key: "secret-of-bob", region: "us-east-1" };

fn credential(signer: Signer, permission: Permission, buckets: Option<&str>) -> Credential {
    Credential {
        account: Namespace::new("ada").unwrap(),
        access_key_id: AccessKeyId::new(signer.access_key).unwrap(),
        secret_access_key: Secret::new(signer.secret_key).unwrap(),
        token: None,
        permission,
        buckets: buckets.map(|name| vec![BucketName::new(name).unwrap()]),
        created_at: None,
        expires_at: None,
    }
}

/// A clock that stands at 1,000 seconds.
fn ambient() -> Ambient {
    Ambient { clock: Arc::new(ManualClock::at(Timestamp(1_000_000))), ..Ambient::system() }
}

fn api() -> Router {
    router(s3_api()).router
}

fn s3_api() -> S3Api {
    let directory = Directory::new([
        credential(ADA, Permission::Admin, None),
        credential(READER, Permission::Read, Some("bucket")),
        Credential { account: Namespace::new("bob").unwrap(), ..credential(BOB, Permission::Write, None) },
    ])
    .unwrap();
    S3Api {
        buckets: Arc::new(NativeBuckets::in_memory(ambient()).unwrap()),
        directory: Arc::new(directory),
        clock: Ambient::system(),
        region: "us-east-1".to_owned(),
        addressing: crate::serve::s3::Addressing::default(),
        signature_v2: true,
        by_access_key: ByAccessKey::default(),
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// The error's code, and that the error is complete.
    fn code(&self) -> &str {
        assert!(self.headers.contains_key("x-amz-request-id"));
        assert!(self.body.contains("<Resource>") && self.body.contains("<RequestId>"), "{}", self.body);
        let code = self.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        code.map_or("", |(code, _)| code)
    }
}

async fn send(api: &Router, request: Request<Body>) -> Answer {
    let response = api.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn call(
    api: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Answer {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("content-length", &length));
    }
    let signed = ADA.sign(method, target, &headers, &sha256_hex(body.as_bytes()), body);
    send(api, signed.request).await
}

async fn api_with_object() -> Router {
    let api = api();
    assert_eq!(call(&api, "PUT", "/bucket", &[], "").await.status, 200);
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-colour", "blue"),
        ("expires", "whenever"),
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let put = call(&api, "PUT", "/bucket/a/key", &headers, "0123456789").await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(put.headers["etag"], "\"781e5e245d69b566979b86e28d23f2c7\"");
    assert_eq!(put.headers["x-amz-checksum-crc32"], "poTHxg==");
    api
}
