//! Whose bucket a name means, and that no other account can change it.

use std::collections::BTreeMap;

use super::form::{policy, post_to, signature};
use super::*;
use crate::auth::{Account, AccountKind, TokenUse};
use crate::bucket::{BucketId, Buckets as _, ObjectRef, Objects as _, Visibility};
use crate::serve::s3::Addressing;

/// A key of ada's that reaches one bucket only.
const LIMITED: Signer =
    Signer { access_key: "AKLIMIT", secret_key: "secret-of-limited", region: "us-east-1" };

fn id(text: &str) -> BucketId {
    let (namespace, name) = text.split_once('/').unwrap();
    BucketId { namespace: Namespace::new(namespace).unwrap(), name: BucketName::new(name).unwrap() }
}

fn org(name: &str, members: &[&str]) -> Account {
    let members = members.iter().map(|name| Namespace::new(name).unwrap()).collect();
    Account { name: Namespace::new(name).unwrap(), kind: AccountKind::Org, members, new_buckets: None }
}

/// ada is a member of `team` and of `all`, bob of `all`; each bucket of these holds its own name at `k`.
struct House {
    buckets: Arc<NativeBuckets>,
    api: Router,
}

impl House {
    async fn new(addressing: Addressing, buckets_in_order: &[(&str, Visibility)]) -> Self {
        let buckets = Arc::new(NativeBuckets::in_memory(ambient()).unwrap());
        let bob = Credential {
            account: Namespace::new("bob").unwrap(),
            ..credential(BOB, Permission::Write, None)
        };
        let directory = Directory::declared(
            [org("all", &["ada", "bob"]), org("team", &["ada"])],
            [
                credential(ADA, Permission::Write, None),
                credential(LIMITED, Permission::Write, Some("fresh")),
                bob,
            ],
            TokenUse::Shown,
            Ambient::system().clock,
        );
        let directory = Arc::new(directory.unwrap());
        let api = S3Api { buckets: Arc::clone(&buckets) as _, directory, addressing, ..s3_api() };
        let house = Self { buckets, api: router(api).router };
        for (name, visibility) in buckets_in_order {
            house.make(name, *visibility).await;
        }
        house
    }

    async fn make(&self, name: &str, visibility: Visibility) {
        self.buckets.create_bucket(&id(name), visibility).await.unwrap();
        self.mark(name).await;
    }

    /// Stores the bucket's name in it.
    async fn mark(&self, name: &str) {
        let body: &'static str = name.to_owned().leak();
        let body = futures::stream::iter([Ok(bytes::Bytes::from_static(body.as_bytes()))]);
        let write = crate::bucket::ObjectWrite {
            key: crate::bucket::ObjectKey::new("k").unwrap(),
            attributes: crate::bucket::Attributes::default(),
            condition: crate::bucket::WriteCondition::default(),
            lock: crate::bucket::ObjectLock::default(),
            payload: crate::bucket::Payload {
                body: Box::pin(body),
                length: Some(name.len() as u64),
                digests: crate::bucket::DeclaredDigests::default(),
            },
        };
        self.buckets.write(&id(name), write).await.unwrap();
    }

    /// Whose bucket `name` is to a caller: what is read, or the error's code.
    async fn whose(&self, caller: Option<Signer>, name: &str) -> String {
        let target = format!("/{name}/k");
        let request = if let Some(signer) = caller {
            signer.sign("GET", &target, &[], &sha256_hex(b""), "").request
        } else {
            let request = Request::builder().uri(&target).header("host", "h");
            request.body(Body::empty()).unwrap()
        };
        let answer = send(&self.api, request).await;
        if answer.status == 200 { answer.body } else { answer.code().to_owned() }
    }
}

use Visibility::{Private, Public};

#[tokio::test]
async fn no_bucket_of_another_account_takes_over_a_name() {
    let made = [("bob/old", Public), ("team/fresh", Private)];
    let house = House::new(Addressing::default(), &made).await;
    assert_eq!(house.whose(Some(ADA), "fresh").await, "team/fresh");
    assert_eq!(house.whose(None, "fresh").await, "AccessDenied");
    // An older bucket, public all along, takes the name.
    house.buckets.move_bucket(&id("bob/old"), &id("bob/fresh")).await.unwrap();
    house.mark("bob/fresh").await;
    assert_eq!(house.whose(Some(ADA), "fresh").await, "team/fresh");
    assert_eq!(house.whose(Some(BOB), "fresh").await, "bob/fresh");
    assert_eq!(house.whose(None, "fresh").await, "AccessDenied", "the first to have the name is private");
    house.buckets.set_visibility(&id("team/fresh"), Public).await.unwrap();
    assert_eq!(house.whose(None, "fresh").await, "team/fresh");
    // Writes and copies go the same way.
    assert_eq!(call(&house.api, "PUT", "/fresh/new", &[], "x").await.status, 200);
    assert!(
        house
            .buckets
            .object(&id("team/fresh"), ObjectRef::current(&crate::bucket::ObjectKey::new("new").unwrap()))
            .await
            .is_ok()
    );
    let copied = call(&house.api, "PUT", "/fresh/copy", &[("x-amz-copy-source", "/fresh/k")], "").await;
    assert_eq!(copied.status, 200, "{}", copied.body);
    assert_eq!(call(&house.api, "GET", "/fresh/copy", &[], "").await.body, "team/fresh");

    // Once nothing of one's own has the name, it means nothing, whatever others have.
    house.buckets.delete_bucket(&id("team/fresh"), crate::bucket::DeleteBucket::WithContents).await.unwrap();
    assert_eq!(house.whose(Some(ADA), "fresh").await, "NoSuchBucket");
    let copy = call(&house.api, "PUT", "/fresh/copy", &[("x-amz-copy-source", "/fresh/k")], "").await;
    assert_eq!(copy.code(), "NoSuchBucket");
    assert_eq!(house.whose(None, "fresh").await, "bob/fresh");
}

#[tokio::test]
async fn of_several_organisations_the_first_to_have_the_name_is_meant() {
    let house = House::new(Addressing::default(), &[("team/fresh", Private), ("all/old", Public)]).await;
    house.buckets.move_bucket(&id("all/old"), &id("all/fresh")).await.unwrap();
    house.mark("all/fresh").await;
    assert_eq!(house.whose(Some(ADA), "fresh").await, "team/fresh");
    assert_eq!(house.whose(Some(BOB), "fresh").await, "all/fresh");
    assert_eq!(house.whose(Some(LIMITED), "fresh").await, "NoSuchBucket", "it reaches no organisation");
    house.make("ada/fresh", Private).await;
    assert_eq!(house.whose(Some(ADA), "fresh").await, "ada/fresh");
    assert_eq!(house.whose(Some(LIMITED), "fresh").await, "ada/fresh");
}

#[tokio::test]
async fn an_alias_comes_behind_what_is_ones_own_and_before_what_is_others() {
    let aliases = BTreeMap::from([(BucketName::new("fresh").unwrap(), id("team/data"))]);
    let addressing = Addressing { aliases, ..Addressing::default() };
    let house = House::new(addressing, &[("bob/fresh", Public), ("team/data", Public)]).await;
    assert_eq!(house.whose(None, "fresh").await, "team/data");
    assert_eq!(house.whose(Some(ADA), "fresh").await, "team/data");
    assert_eq!(house.whose(Some(BOB), "fresh").await, "bob/fresh");
    let listed = call(&house.api, "GET", "/fresh?list-type=2", &[], "").await;
    assert!(
        listed.body.contains("<Name>fresh</Name>") && listed.body.contains("<Key>k</Key>"),
        "{}",
        listed.body
    );
}

#[tokio::test]
async fn a_name_means_another_accounts_bucket_only_if_the_configuration_says_so() {
    let addressing = Addressing { foreign_names: true, ..Addressing::default() };
    let house = House::new(addressing, &[("bob/fresh", Public), ("bob/shut", Private)]).await;
    assert_eq!(house.whose(Some(ADA), "fresh").await, "bob/fresh");
    assert_eq!(house.whose(Some(ADA), "shut").await, "NoSuchBucket");
    house.make("ada/old", Public).await;
    house.buckets.move_bucket(&id("ada/old"), &id("ada/fresh")).await.unwrap();
    house.mark("ada/fresh").await;
    assert_eq!(house.whose(None, "fresh").await, "bob/fresh");
    assert_eq!(house.whose(Some(ADA), "fresh").await, "ada/fresh");
}

#[tokio::test]
async fn copies_and_forms_stay_in_the_namespace_that_is_named() {
    let addressing = Addressing { namespaced: true, ..Addressing::default() };
    let made = [("ada/b", Private), ("team/b", Private), ("bob/b", Public)];
    let house = House::new(addressing, &made).await;
    let source = [("x-amz-copy-source", "/b/k")];
    for namespace in ["team", "ada"] {
        let target = format!("/{namespace}/b/copy");
        assert_eq!(call(&house.api, "PUT", &target, &source, "").await.status, 200);
        assert_eq!(call(&house.api, "GET", &target, &[], "").await.body, format!("{namespace}/b"));
    }
    let owner = [("x-amz-copy-source", "/b/k"), ("x-amz-source-expected-bucket-owner", "ada")];
    assert_eq!(call(&house.api, "PUT", "/team/b/copy", &owner, "").await.code(), "AccessDenied");
    assert_eq!(call(&house.api, "PUT", "/ada/b/copy", &owner, "").await.status, 200);

    let post = async |target: &str, bucket: &str| {
        let policy = policy(&format!(r#"{{"bucket": "{bucket}"}}, {{"key": "form"}}"#));
        let fields = [
            ("key", "form"),
            ("AWSAccessKeyId", ADA.access_key),
            ("policy", policy.as_str()),
            ("signature", &signature(ADA.secret_key, &policy)),
        ];
        post_to(&house.api, target, &fields, "x").await
    };
    assert_eq!(post("/ada/b", "b").await.status, 204);
    for (target, bucket) in [("/team/b", "b"), ("/ada/b", "team/b"), ("/bob/b", "b"), ("/bob/b", "bob/b")] {
        let answer = post(target, bucket).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{target} {bucket}");
    }
    assert_eq!(call(&house.api, "GET", "/team/b/form", &[], "").await.code(), "NoSuchKey");
    assert_eq!(post("/team/b", "team/b").await.status, 204);
}

#[tokio::test]
async fn cors_is_answered_by_the_bucket_that_is_meant() {
    let house = House::new(Addressing::default(), &[("bob/b", Public), ("ada/b", Private)]).await;
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>https://evil.example</AllowedOrigin>\
                 <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    let length = rules.len().to_string();
    let put =
        BOB.sign("PUT", "/b?cors", &[("content-length", &length)], &sha256_hex(rules.as_bytes()), rules);
    assert_eq!(send(&house.api, put.request).await.status, 200);
    let granted = |answer: &Answer| answer.headers.contains_key("access-control-allow-origin");
    let origin = [("origin", "https://evil.example")];
    let read = call(&house.api, "GET", "/b/k", &origin, "").await;
    assert_eq!((read.body.as_str(), granted(&read)), ("ada/b", false));
    let browse = async |method: &str, target: &str| {
        let request = Request::builder().method(method).uri(target).header("host", "h");
        let request = request.header("origin", "https://evil.example");
        let request = request.header("access-control-request-method", "GET");
        send(&house.api, request.body(Body::empty()).unwrap()).await
    };
    // Without a key, the name means bob's; with ada's in the address, hers, whose signature need not hold for that.
    assert!(granted(&browse("OPTIONS", "/b/k").await));
    assert!(granted(&browse("GET", "/b/k").await));
    let presigned = "/b/k?X-Amz-Credential=AKADA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request";
    assert!(!granted(&browse("OPTIONS", presigned).await));
    assert!(!granted(&browse("OPTIONS", "/b/k?AWSAccessKeyId=AKADA&Expires=1&Signature=x").await));
    assert!(granted(&browse("OPTIONS", &presigned.replace("AKADA", "AKBOB")).await));
}
