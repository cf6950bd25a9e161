//! What each kind of caller reaches by a name, a hash, a token or an address: a table of statuses.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use futures::stream;
use xetgate::auth::Caller;
use xetgate::auth::cas_token::CasScope;
use xetgate::bucket::{
    Attributes, BucketId, BucketName, Buckets as _, DeclaredDigests, DeleteBucket, ObjectDelete, ObjectKey,
    ObjectLock, ObjectWrite, Objects as _, Payload, Visibility, WriteCondition,
};
use xetgate::model::bucket::BucketUid;

use super::{CONTENT, House, KEY, OPEN, S3Request, SHUT, bucket, name};

const CALLERS: [&str; 8] = [
    "nobody",
    "revoked key",
    "other account",
    "removed member",
    "limited key",
    "read-only key",
    "member",
    "write key",
];

/// Content that was deleted from the public bucket and is still registered there, by the write key.
const DELETED: &str = "deleted content";

/// Content of the private bucket alone.
const PRIVATE: &str = "content of the private bucket";

const HEAD: &str = "
## Names, hashes, tokens, addresses

What a caller reaches who has learnt a name or a hash, or was given a token or an address of the CAS API while that was
right. Hashes are asked for with a token of the public bucket, as the Hub's API gives it to each: for reading, and to
those who may write, for writing. The other tokens and addresses are from before: given for the private bucket, and for
the public one, which has since been made private.

";

struct Place {
    house: House,
    deleted: String,
    private: String,
}

impl Place {
    async fn new() -> Self {
        let house = House::new().await;
        let mut place = Self { house, deleted: String::new(), private: String::new() };
        // bob's bucket is older, public, and takes the name by a rename.
        let bobs = |text: &str| BucketId { namespace: name("bob"), name: BucketName::new(text).unwrap() };
        let api = Arc::clone(&place.house.buckets);
        api.create_bucket(&bobs("old"), Visibility::Public).await.unwrap();
        api.create_bucket(&bucket("taken"), Visibility::Public).await.unwrap();
        place.put(&bucket("taken"), KEY, "of ada").await;
        api.move_bucket(&bobs("old"), &bobs("taken")).await.unwrap();
        place.put(&bobs("taken"), KEY, "of bob").await;

        place.private = place.put(&bucket(SHUT), "private", PRIVATE).await;
        place.deleted = place.put(&bucket(OPEN), "deleted", DELETED).await;
        let meta = &api.store().meta;
        let record = meta.file(&place.deleted.parse().unwrap()).await.unwrap().unwrap();
        let (uid, until) = (place.uid(OPEN).await, xetgate::bucket::Timestamp(u64::MAX));
        meta.register_files(uid, "AKWRITE", vec![record], until).await.unwrap();
        let key = ObjectKey::new("deleted").unwrap();
        let delete = ObjectDelete::current(key);
        api.delete(&bucket(OPEN), vec![delete]).await.unwrap();
        place
    }

    async fn put(&self, to: &BucketId, key: &str, content: &str) -> String {
        let body = stream::iter([Ok(Bytes::from(content.to_owned()))]);
        let digests = DeclaredDigests::default();
        let payload = Payload { length: Some(content.len() as u64), body: Box::pin(body), digests };
        let write = ObjectWrite {
            key: ObjectKey::new(key).unwrap(),
            attributes: Attributes::default(),
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
            payload,
        };
        self.house.buckets.write(to, write).await.unwrap().file.to_string()
    }

    async fn uid(&self, of: &str) -> BucketUid {
        self.house.buckets.bucket(&bucket(of)).await.unwrap().uid
    }

    /// Reads by a bare name; what is read must be ada's.
    async fn by_name(&self, caller: &str, bucket: &str) -> String {
        let target = format!("/{bucket}/{KEY}");
        let answer = self.house.s3(caller, &S3Request { method: "GET", target, headers: Vec::new() }).await;
        let is_bobs = bucket == "taken" && caller == "other account";
        let content = match (bucket, is_bobs) {
            ("taken", true) => "of bob",
            ("taken", false) => "of ada",
            _ => CONTENT,
        };
        assert!(!answer.is_success() || answer.body == content, "{caller} reads {bucket}: {}", answer.body);
        answer.status.to_string()
    }

    /// A token of the CAS API, given while that was right.
    async fn token(&self, caller: &Caller, of: &str, scope: CasScope) -> String {
        self.house.signer.issue(self.uid(of).await, scope, caller).text
    }

    async fn cas(&self, method: &str, path: &str, token: &str) -> super::Answer {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "hub.test");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        House::send(&self.house.hub, request.body(Body::empty()).unwrap()).await
    }

    async fn by_hash(&self, caller: &str, file: &str) -> String {
        let may_write = matches!(caller, "member" | "write key");
        let scope = if may_write { CasScope::Write } else { CasScope::Read };
        let token = self.token(&self.house.caller(caller), OPEN, scope).await;
        self.cas("GET", &format!("/cas/v1/reconstructions/{file}"), &token).await.status.to_string()
    }

    /// `addFile` and `copyFile` of a deleted file, by name of the line's type.
    async fn by_batch(&self, caller: &str, kind: &str) -> String {
        let source = r#","sourceRepoType":"bucket","sourceRepoId":"ada/open""#;
        let source = if kind == "copyFile" { source } else { "" };
        let line = format!(r#"{{"type":"{kind}","path":"x","xetHash":"{}"{source}}}"#, self.deleted);
        let request = Request::builder().method("POST").uri("/api/buckets/ada/open/batch");
        let mut request = request.header(header::HOST, "hub.test");
        if let Some((_, secret)) = super::key_of(caller) {
            request = request.header(header::AUTHORIZATION, format!("Bearer hf_{secret}"));
        }
        let answer = House::send(&self.house.hub, request.body(Body::from(line)).unwrap()).await;
        answer.status.to_string()
    }

    /// A token and an address of a bucket, tried now.
    async fn given_before(&self, caller: &str, of: &str) -> (String, String) {
        let known = self.house.caller(caller);
        let token = self.token(&known, of, CasScope::Read).await;
        let file = &self.house.file;
        let read = self.cas("GET", &format!("/cas/v1/reconstructions/{file}"), &token).await;
        let xorb = &self.house.xorb;
        let signed = self.house.signer.sign_ranges(
            &xorb.parse().unwrap(),
            std::slice::from_ref(&(0..8)),
            (self.uid(of).await, &known),
        );
        let request = Request::builder().uri(format!("/cas/v1/ranges/{xorb}?{signed}"));
        let request = request.header(header::HOST, "hub.test").body(Body::empty()).unwrap();
        let fetched = House::send(&self.house.hub, request).await;
        (read.status.to_string(), fetched.status.to_string())
    }
}

/// The table, as Markdown.
pub(crate) async fn reach() -> String {
    let mut rows = vec![
        ("name of the private bucket", Vec::new()),
        ("name of the public bucket", Vec::new()),
        ("name that another account's older bucket took by a rename", Vec::new()),
        ("hash of a file of the private bucket", Vec::new()),
        ("hash of a file that was deleted", Vec::new()),
        ("`copyFile` of a file that was deleted", Vec::new()),
        ("`addFile` of a file that was deleted", Vec::new()),
        ("token of the private bucket", Vec::new()),
        ("address of the private bucket", Vec::new()),
        ("token of a bucket made private since", Vec::new()),
        ("address of a bucket made private since", Vec::new()),
        ("token of a bucket deleted since", Vec::new()),
        ("address of a bucket deleted since", Vec::new()),
    ];
    for caller in CALLERS {
        let place = Place::new().await;
        let gone = bucket("gone");
        place.house.buckets.create_bucket(&gone, Visibility::Public).await.unwrap();
        let mut cells = vec![
            place.by_name(caller, SHUT).await,
            place.by_name(caller, OPEN).await,
            place.by_name(caller, "taken").await,
            place.by_hash(caller, &place.private).await,
            place.by_hash(caller, &place.deleted).await,
            place.by_batch(caller, "copyFile").await,
            place.by_batch(caller, "addFile").await,
        ];
        let (token, address) = place.given_before(caller, SHUT).await;
        cells.extend([token, address]);
        place.house.buckets.set_visibility(&bucket(OPEN), Visibility::Private).await.unwrap();
        let (token, address) = place.given_before(caller, OPEN).await;
        cells.extend([token, address]);
        let uid = place.uid("gone").await;
        place.house.buckets.delete_bucket(&gone, DeleteBucket::WithContents).await.unwrap();
        let known = place.house.caller(caller);
        let token = place.house.signer.issue(uid, CasScope::Read, &known).text;
        let path = format!("/cas/v1/reconstructions/{}", place.house.file);
        cells.push(place.cas("GET", &path, &token).await.status.to_string());
        let xorb = &place.house.xorb;
        let signed = place.house.signer.sign_ranges(
            &xorb.parse().unwrap(),
            std::slice::from_ref(&(0..8)),
            (uid, &known),
        );
        let address = format!("/cas/v1/ranges/{xorb}?{signed}");
        cells.push(place.cas("GET", &address, "").await.status.to_string());
        rows.iter_mut().zip(cells).for_each(|((_, row), cell)| row.push(cell));
    }
    let mut text = String::from(HEAD);
    writeln!(text, "| what | {} |\n|---|{}", CALLERS.join(" | "), "---|".repeat(CALLERS.len())).unwrap();
    for (what, cells) in rows {
        writeln!(text, "| {what} | {} |", cells.join(" | ")).unwrap();
    }
    text
}
