//! A gateway in memory with two buckets, and the requests that knock at its routes.

mod reach;
mod requests;
mod sign;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use xetgate::auth::cas_token::{CasScope, CasSigner};
use xetgate::auth::seal::MasterKey;
use xetgate::auth::{
    AccessKeyId, Account, AccountKind, Accounts, Caller, Credential, Directory, Permission, Secret, TokenUse,
};
use xetgate::bucket::{
    Attributes, BucketId, BucketName, Buckets as _, DeclaredDigests, Namespace, NativeBuckets, ObjectKey,
    ObjectLock, ObjectWrite, Objects as _, Payload, Visibility, WriteCondition,
};
use xetgate::config::Config;
use xetgate::gateway::Backend;
use xetgate::gateway::apis::Apis;
use xetgate::model::clock::Ambient;
use xetgate::serve::http::Observability;
use xetgate::serve::http::routes::Route;

pub(crate) use reach::reach;
pub(crate) use requests::{S3Request, hub_request, s3_request};

/// A bucket that only its owner may read, and one that everyone may.
pub(crate) const SHUT: &str = "shut";
pub(crate) const OPEN: &str = "open";
/// The object in each, and what is in it.
pub(crate) const KEY: &str = "kept-key";
/// An object that nobody asks for: whoever is told its name has seen a listing.
pub(crate) const UNASKED: &str = "never-named";
pub(crate) const CONTENT: &str = "kept content";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The gateway.
pub(crate) struct House {
    s3: Router,
    hub: Router,
    routes: Vec<Route>,
    buckets: Arc<NativeBuckets>,
    accounts: Arc<Accounts>,
    signer: CasSigner,
    pub(crate) file: String,
    pub(crate) xorb: String,
}

fn name(text: &str) -> Namespace {
    Namespace::new(text).unwrap()
}

fn bucket(text: &str) -> BucketId {
    BucketId { namespace: name("ada"), name: BucketName::new(text).unwrap() }
}

/// The credential of a caller; its secret is `secret-of-` and its id, its token `hf_` and that.
fn credential(account: &str, id: &str, permission: Permission) -> Credential {
    Credential {
        account: name(account),
        access_key_id: AccessKeyId::new(id).unwrap(),
        secret_access_key: Secret::new(&format!("secret-of-{id}")).unwrap(),
        token: Some(Secret::new(&format!("hf_secret-of-{id}")).unwrap()),
        permission,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
}

/// A token of which one character is another. One in the middle: the last stands for bits that count for nothing.
fn forged(token: &str) -> String {
    let (before, after) = token.split_at(token.len() / 2);
    let other = if after.starts_with('x') { 'y' } else { 'x' };
    format!("{before}{other}{}", &after[1..])
}

/// The access key of a caller.
fn key_of(caller: &str) -> Option<(&'static str, String)> {
    let good = |id: &'static str| Some((id, format!("secret-of-{id}")));
    match caller {
        "wrong secret" => Some(("AKWRITE", "some-other-secret".to_owned())),
        "other account" => good("AKOTHER"),
        "read-only key" => good("AKREAD"),
        "write key" => good("AKWRITE"),
        "limited key" => good("AKLIMIT"),
        "member" => good("AKMEMBER"),
        "removed member" => good("AKREMOVED"),
        "revoked key" => good("AKREVOKED"),
        _ => None,
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        let ambient = Ambient::system();
        let buckets = Arc::new(NativeBuckets::in_memory(ambient.clone()).unwrap());
        let credentials = [
            credential("ada", "AKREAD", Permission::Read),
            credential("ada", "AKWRITE", Permission::Write),
            credential("ada", "AKADMIN", Permission::Admin),
            credential("bob", "AKOTHER", Permission::Write),
            credential("cy", "AKMEMBER", Permission::Write),
            credential("dan", "AKREMOVED", Permission::Write),
            Credential {
                buckets: Some(vec![BucketName::new("elsewhere").unwrap()]),
                ..credential("ada", "AKLIMIT", Permission::Write)
            },
        ];
        let ada = Account {
            name: name("ada"),
            kind: AccountKind::Org,
            members: vec![name("cy")],
            new_buckets: None,
        };
        let directory =
            Directory::declared([ada], credentials, TokenUse::Shown, Arc::clone(&ambient.clock)).unwrap();
        let directory = Arc::new(directory);
        let meta = Arc::clone(&buckets.store().meta);
        let key = MasterKey::new(&[3; 32]);
        let accounts = Accounts::open(meta, Arc::clone(&directory), key, ambient.clone()).await;
        let accounts = Arc::new(accounts.unwrap());
        let signer = CasSigner::new(&[5; 32], directory, Arc::clone(&ambient.clock));
        let config = Config::default();
        let backend =
            Backend::native(&config, Arc::clone(&buckets), Arc::clone(&accounts), signer.clone(), None);
        let apis = Apis::compose(&config, backend, &Observability::plain(ambient));
        let hub = apis.hub.unwrap();
        let routes = apis.s3.routes.into_iter().chain(hub.routes).collect();
        let (s3, hub) = (apis.s3.router, hub.router);
        let mut house =
            Self { s3, hub, routes, buckets, accounts, signer, file: String::new(), xorb: String::new() };
        house.fill(SHUT, Visibility::Private).await;
        house.fill(OPEN, Visibility::Public).await;
        house.xorb = house.some_xorb().await;
        house
    }

    async fn fill(&mut self, to: &str, visibility: Visibility) {
        self.buckets.create_bucket(&bucket(to), visibility).await.unwrap();
        self.put(to, UNASKED).await;
        self.put(to, KEY).await;
    }

    async fn put(&mut self, to: &str, key: &str) {
        let body = stream::iter([Ok(Bytes::from_static(CONTENT.as_bytes()))]);
        let payload = Payload {
            length: Some(CONTENT.len() as u64),
            body: Box::pin(body),
            digests: DeclaredDigests::default(),
        };
        let write = ObjectWrite {
            key: ObjectKey::new(key).unwrap(),
            attributes: Attributes::default(),
            condition: WriteCondition::default(),
            lock: ObjectLock::default(),
            payload,
        };
        let object = self.buckets.write(&bucket(to), write).await.unwrap();
        self.file = object.file.to_string();
    }

    async fn some_xorb(&self) -> String {
        let view = self.buckets.store().meta.view().await.unwrap();
        view.xorbs(None, 1).await.unwrap()[0].hash.to_string()
    }

    /// All routes of both listeners.
    pub(crate) fn routes(&self) -> Vec<Route> {
        self.routes.clone()
    }

    /// What is there: buckets with their settings, objects, uploads, accounts, keys.
    pub(crate) async fn state(&self) -> String {
        let view = self.buckets.store().meta.view().await.unwrap();
        let buckets: Vec<_> =
            view.buckets().await.unwrap().into_iter().map(|of| (of.id, of.visibility)).collect();
        let objects: Vec<_> = view
            .objects(None, 100)
            .await
            .unwrap()
            .into_iter()
            .map(|(name, object)| format!("{name:?} {} {}", object.size, object.file))
            .collect();
        let counts = view.counts().await.unwrap();
        let (accounts, keys) =
            (self.accounts.directory().accounts(), self.accounts.directory().credentials());
        let others: Vec<_> = buckets.iter().filter(|(id, _)| id.namespace.as_str() == "ada").collect();
        // What bob does in his own namespace is his.
        format!("{others:?} {} {:?} {} {}", objects.len(), objects, accounts.len(), keys.len())
            + &format!(" {}", counts.uploads)
    }

    async fn send(router: &Router, request: Request<Body>) -> Answer {
        let asked = tokio::time::timeout(Duration::from_secs(20), router.clone().oneshot(request));
        let response = asked.await.unwrap().unwrap();
        let status = response.status().as_u16();
        let body =
            response.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Answer { status, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Asks the S3 listener.
    pub(crate) async fn s3(&self, caller: &str, asked: &S3Request) -> Answer {
        Self::send(&self.s3, sign::request(asked, key_of(caller))).await
    }

    /// Asks the Hub's listener.
    pub(crate) async fn hub(&self, caller: &str, method: &str, target: &str, route: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header(header::HOST, "hub.test");
        let token = if route.starts_with("/cas") {
            self.cas_token(caller).await
        } else {
            key_of(caller).map(|(_, secret)| format!("hf_{secret}"))
        };
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        Self::send(&self.hub, request.header("content-type", "application/json").body(Body::empty()).unwrap())
            .await
    }

    /// The caller as it was when its key was good.
    pub(crate) fn caller(&self, caller: &str) -> Caller {
        let Some((id, _)) = key_of(caller) else { return Caller::Anonymous };
        let known = self.accounts.directory().credential(id);
        let gone = || Arc::new(credential("ada", id, Permission::Write));
        Caller::Known(known.unwrap_or_else(gone))
    }

    async fn cas_token(&self, caller: &str) -> Option<String> {
        let mine = self.buckets.bucket(&bucket(SHUT)).await.ok()?.uid;
        let other = BucketId { namespace: name("bob"), name: BucketName::new("bobs").unwrap() };
        if self.buckets.bucket(&other).await.is_err() && caller == "other account" {
            self.buckets.create_bucket(&other, Visibility::Private).await.unwrap();
        }
        let key = self.caller(caller);
        let issue = |uid, scope| Some(self.signer.issue(uid, scope, &key).text);
        match caller {
            "nobody" => None,
            "other account" => issue(self.buckets.bucket(&other).await.ok()?.uid, CasScope::Read),
            "read-only key" => issue(mine, CasScope::Read),
            // To those who may no longer come in, tokens were given while they might.
            "write key" | "member" | "removed member" | "limited key" | "revoked key" => {
                issue(mine, CasScope::Write)
            }
            _ => issue(mine, CasScope::Write).map(|token| forged(&token)),
        }
    }
}
