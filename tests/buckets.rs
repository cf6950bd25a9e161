//! What every [`BucketApi`] promises, asked of each that there is: buckets on this machine, and buckets on a Hub, with
//! a gateway that stores by itself, on a socket of this process, as the Hub.
//!
//! The promises are in `conformance`, which knows the contract and nothing else. A promise that one of them cannot keep
//! is in `docs/hub-mode.md`, and not here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
#[path = "routes_support/sign.rs"]
mod sign;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use tower::ServiceExt as _;
use xetgate::auth::cas_token::CasSigner;
use xetgate::auth::seal::MasterKey;
use xetgate::auth::{
    AccessKeyId, Account, AccountKind, Accounts, Credential, Directory, Permission, Secret, TokenUse,
};
use xetgate::bucket::hub::{HubBuckets, HubClient, HubShared};
use xetgate::bucket::{BucketApi, Namespace, NativeBuckets};
use xetgate::cas::destinations::Destinations;
use xetgate::cas::http::{BearerToken, HttpClient, RetryPolicy};
use xetgate::cas::remote::RemoteShared;
use xetgate::config::Config;
use xetgate::gateway::Backend;
use xetgate::gateway::apis::Apis;
use xetgate::model::clock::Ambient;
use xetgate::serve::http::Observability;
use xetgate::serve::s3::{Addressing, ByAccessKey, S3Api};
use xetgate::store::meta::EmbeddedMeta;

use conformance::{ADA, TEAM};

const TOKEN: &str = "hf_token_of_ada";
const KEY: &str = "AKADA";
const SECRET: &str = "secret-of-ada";

fn namespace(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

/// Buckets, and what must live as long as they are used.
struct Subject {
    buckets: Arc<dyn BucketApi>,
    /// How often the Hub was asked what a bucket is.
    lookups: Arc<AtomicUsize>,
    _folder: Option<tempfile::TempDir>,
}

fn in_memory() -> Arc<NativeBuckets> {
    Arc::new(NativeBuckets::in_memory(Ambient::system()).unwrap())
}

fn on_this_machine() -> Subject {
    Subject { buckets: in_memory(), lookups: Arc::default(), _folder: None }
}

fn ada() -> Credential {
    Credential {
        account: namespace(ADA),
        access_key_id: AccessKeyId::new(KEY).unwrap(),
        secret_access_key: Secret::new(SECRET).unwrap(),
        token: Some(Secret::new(TOKEN).unwrap()),
        permission: Permission::Write,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
}

/// A gateway that stores by itself, where ada has a token and is a member of team; answers its Hub's address.
async fn hub(lookups: Arc<AtomicUsize>) -> String {
    let ambient = Ambient::system();
    let credential = ada();
    let team = Account {
        name: namespace(TEAM),
        kind: AccountKind::Org,
        members: vec![namespace(ADA)],
        new_buckets: None,
    };
    let clock = Arc::clone(&ambient.clock);
    let directory = Directory::declared([team], [credential], TokenUse::Shown, Arc::clone(&clock)).unwrap();
    let directory = Arc::new(directory);
    let buckets = in_memory();
    let meta = Arc::clone(&buckets.store().meta);
    let key = MasterKey::new(&[3; 32]);
    let accounts = Accounts::open(meta, Arc::clone(&directory), key, ambient.clone()).await;
    let config = Config::default();
    let signer = CasSigner::new(&[5; 32], directory, clock);
    let backend = Backend::native(&config, buckets, Arc::new(accounts.unwrap()), signer, None);
    let router = Apis::compose(&config, backend, &Observability::plain(ambient)).hub.unwrap().router;
    let count = move |request: Request, next: Next| {
        let names_bucket = request.uri().path().split('/').count() == 5;
        if request.method() == "GET" && request.uri().path().starts_with("/api/buckets/") && names_bucket {
            lookups.fetch_add(1, Ordering::Relaxed);
        }
        next.run(request)
    };
    let router = router.layer(from_fn(count));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn on_a_hub() -> Subject {
    let (ambient, folder) = (Ambient::system(), tempfile::tempdir().unwrap());
    let retry = RetryPolicy { attempts: 2, first_rest: Duration::from_millis(1), awaits_local: true };
    let lookups = Arc::<AtomicUsize>::default();
    let endpoint = hub(Arc::clone(&lookups)).await;
    let http = HttpClient::new(retry, Destinations::of(&endpoint, &[])).unwrap();
    let client = HubClient::new(http.clone(), &endpoint, BearerToken::new(TOKEN)).unwrap();
    let remote = RemoteShared::new(http, None, Arc::clone(&ambient.clock));
    let meta = Arc::new(EmbeddedMeta::in_memory().unwrap());
    let shared = HubShared::open(meta, folder.path().join("uploads"), remote, ambient).unwrap();
    let places = [ADA, TEAM].map(|name| (namespace(name), client.clone())).to_vec();
    let buckets = HubBuckets::new(client, shared).looking_in(places);
    Subject { buckets: Arc::new(buckets), lookups, _folder: Some(folder) }
}

/// Runs each promise on each kind of buckets.
macro_rules! promises {
    ($($group:ident { $($promise:ident,)* })*) => {
        mod native_buckets {
            $($(#[tokio::test]
            async fn $promise() {
                super::conformance::$group::$promise(&*super::on_this_machine().buckets).await;
            })*)*
        }

        mod hub_buckets {
            $($(#[tokio::test]
            async fn $promise() {
                super::conformance::$group::$promise(&*super::on_a_hub().await.buckets).await;
            })*)*
        }
    };
}

promises! {
    buckets {
        a_bucket_is_made_once_and_known_until_it_is_deleted,
        buckets_are_listed_by_namespace_and_found_by_name,
        a_moved_bucket_keeps_what_is_in_it,
        settings_are_kept_each_on_its_own,
    }
    objects {
        what_is_written_is_read_whole_and_in_ranges,
        what_is_said_of_an_object_is_kept,
        conditions_hold_for_writes_and_deletes,
        a_failed_write_leaves_the_old_object,
        declared_digests_must_hold,
        copies_take_what_their_source_says_of_itself,
        deletes_are_answered_one_by_one,
    }
    listings {
        listings_are_in_byte_order_whatever_the_pages,
        trees_have_files_and_folders,
        batches_name_content_by_its_hash,
    }
    uploads {
        parts_become_the_file_that_one_write_gives,
        uploads_and_parts_are_listed_until_they_end,
        wrong_parts_make_no_object,
        parts_are_copied_from_ranges,
    }
}

/// A request to the S3 API, as `sign` wants it.
struct S3Request {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
}

/// Each look-up is a request over the network.
#[tokio::test]
async fn a_request_to_s3_looks_its_bucket_up_once_at_the_hub() {
    let Subject { buckets, lookups, _folder } = on_a_hub().await;
    let ambient = Ambient::system();
    let directory = Directory::declared([], [ada()], TokenUse::Shown, Arc::clone(&ambient.clock)).unwrap();
    let api = S3Api {
        buckets,
        directory: Arc::new(directory),
        clock: ambient,
        region: "us-east-1".to_owned(),
        addressing: Addressing::default(),
        signature_v2: true,
        by_access_key: ByAccessKey::default(),
    };
    let api = xetgate::serve::s3::router(api).router;
    let ask = async |method: &'static str, target: &str| {
        let asked = S3Request { method, target: target.to_owned(), headers: Vec::new() };
        let request = sign::request(&asked, Some((KEY, SECRET.to_owned())));
        let answer = api.clone().oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{method} {target}: {}", answer.status());
        lookups.swap(0, Ordering::Relaxed)
    };
    ask("PUT", "/bucket").await;
    for (method, target) in [
        ("PUT", "/bucket/key"),
        ("GET", "/bucket/key?partNumber=1"),
        ("HEAD", "/bucket"),
        ("GET", "/bucket?list-type=2"),
        ("DELETE", "/bucket/key"),
    ] {
        assert_eq!(ask(method, target).await, 1, "{method} {target}");
    }
}
