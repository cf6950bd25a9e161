//! The client against a stand-in of a Hub that answers as told and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::TryStreamExt as _;

use super::super::*;
use crate::bucket::{BucketId, BucketName, FileHash, Namespace, Timestamp};
use crate::cas::http::{BearerToken, HttpClient, RetryPolicy};
use crate::cas::remote::Reach;

/// What was asked: method, path and query, authorization, body.
type Asked = (String, String, String, String);

#[derive(Default)]
struct Script {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<VecDeque<Response>>,
}

struct StandIn {
    script: Arc<Script>,
    client: HubClient,
    base: String,
}

impl StandIn {
    async fn new() -> Self {
        let script = Arc::new(Script::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let retry = RetryPolicy { attempts: 3, first_rest: Duration::from_millis(1), awaits_local: true };
        let token = BearerToken::new("hf_ada");
        let client = HubClient::new(HttpClient::new(retry).unwrap(), &base, token).unwrap();
        Self { script, client, base }
    }

    fn answers(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(body.to_owned())).unwrap();
        self.script.answers.lock().unwrap().push_back(response);
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }

    fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|(method, path, ..)| format!("{method} {path}")).collect()
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let authorization = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    let asked = (
        parts.method.to_string(),
        parts.uri.to_string(),
        authorization.to_owned(),
        String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    );
    script.asked.lock().unwrap().push(asked);
    let next = script.answers.lock().unwrap().pop_front();
    next.unwrap_or_else(|| Response::builder().status(418).body(Body::empty()).unwrap())
}

fn id() -> BucketId {
    BucketId { namespace: Namespace::new("ada").unwrap(), name: BucketName::new("b").unwrap() }
}

const INFO: &str =
    r#"{"id":"ada/b","private":true,"createdAt":"1970-01-01T00:00:01Z","size":7,"totalFiles":2,"new":[]}"#;

fn file(path: &str) -> String {
    format!(r#"{{"type":"file","path":"{path}","size":1,"xetHash":"{}"}}"#, "0".repeat(64))
}

#[tokio::test]
async fn each_call_asks_what_the_published_client_asks() {
    let hub = StandIn::new().await;
    let (client, bearer) = (&hub.client, "Bearer hf_ada".to_owned());
    hub.answers(200, &[], &format!(r#"{{"url":"{}/buckets/ada/b"}}"#, hub.base));
    let new = NewBucket::of(crate::bucket::Visibility::Private);
    assert!(client.create_bucket(None, "b", &new).await.unwrap().url.ends_with("/buckets/ada/b"));
    hub.answers(200, &[], INFO);
    let info = client.bucket(&id()).await.unwrap();
    assert_eq!((info.id, info.created_at, info.size, info.total_files), (id(), Timestamp(1000), 7, 2));
    for _ in 0..3 {
        hub.answers(200, &[], "");
    }
    client.set_private(&id(), false).await.unwrap();
    client.move_bucket(&id(), &id()).await.unwrap();
    client.delete_bucket(&id()).await.unwrap();
    let call = |method: &str, path: &str, body: &str| {
        (method.to_owned(), path.to_owned(), bearer.clone(), body.to_owned())
    };
    assert_eq!(
        hub.asked(),
        [
            call("POST", "/api/buckets/me/b", r#"{"visibility":"private"}"#),
            call("GET", "/api/buckets/ada/b", ""),
            call("PUT", "/api/buckets/ada/b/settings", r#"{"private":false}"#),
            call("POST", "/api/repos/move", r#"{"fromRepo":"ada/b","toRepo":"ada/b","type":"bucket"}"#),
            call("DELETE", "/api/buckets/ada/b", ""),
        ]
    );
}

#[tokio::test]
async fn a_bucket_that_came_out_public_though_private_was_asked_for_is_an_error() {
    let hub = StandIn::new().await;
    let private = NewBucket::of(crate::bucket::Visibility::Private);
    let create = async |new: &NewBucket, answer: &str| {
        hub.answers(200, &[], answer);
        hub.client.create_bucket(None, "b", new).await
    };
    let refused = create(&private, r#"{"url":"http://h/buckets/ada/b","private":false}"#).await;
    assert!(refused.unwrap_err().to_string().contains("http://h/buckets/ada/b"));
    for answer in [r#"{"url":"u","private":true}"#, r#"{"url":"u"}"#] {
        create(&private, answer).await.unwrap();
    }
    create(&NewBucket::default(), r#"{"url":"u","private":false}"#).await.unwrap();
}

#[tokio::test]
async fn listings_follow_links_to_the_same_host_only() {
    let hub = StandIn::new().await;
    let link = format!(r#"<{}/api/buckets/ada/b/tree?cursor=2>; rel="next""#, hub.base);
    hub.answers(200, &[("link", &link)], &format!("[{}]", file("dir/ü 1")));
    hub.answers(200, &[], &format!("[{}]", file("dir/2")));
    let query = TreeQuery { prefix: Some("dir/ü".to_owned()), recursive: true };
    let entries: Vec<TreeEntry> = hub.client.tree_entries(&id(), query).try_collect().await.unwrap();
    assert_eq!(entries.iter().map(TreeEntry::path).collect::<Vec<_>>(), ["dir/ü 1", "dir/2"]);
    assert_eq!(
        hub.paths(),
        ["GET /api/buckets/ada/b/tree/dir%2F%C3%BC?recursive=true", "GET /api/buckets/ada/b/tree?cursor=2"]
    );

    hub.answers(200, &[("link", r#"<http://elsewhere.example/x>; rel="next""#)], "[]");
    let refused = hub.client.tree(&id(), &TreeQuery::default()).await;
    assert!(matches!(refused, Err(HubError::BadAnswer { .. })), "the token must not go there");
}

#[tokio::test]
async fn batches_and_paths_are_sent_as_lines_and_in_pages() {
    let hub = StandIn::new().await;
    hub.answers(200, &[], r#"{"success":true,"failed":[{"path":"c","error":"no"}]}"#);
    let ops = [
        BatchOp::AddFile { path: "a".into(), xet_hash: FileHash::EMPTY, mtime: 5, content_type: None },
        BatchOp::DeleteFile { path: "c".into() },
    ];
    let outcome = hub.client.batch(&id(), &ops).await.unwrap();
    assert_eq!(outcome.failed, [FailedOp { path: "c".into(), error: "no".into() }]);
    let (.., body) = hub.asked().remove(0);
    assert_eq!(body.lines().count(), 2);
    assert!(body.ends_with("{\"type\":\"deleteFile\",\"path\":\"c\"}\n"), "{body}");

    hub.answers(422, &[], r#"{"failed":[{"path":"a","error":"unknown"}]}"#);
    assert_eq!(hub.client.batch(&id(), &ops).await.unwrap().failed.len(), 1);
    hub.answers(422, &[], r#"{"error":"what is this?"}"#);
    assert!(matches!(hub.client.batch(&id(), &ops).await, Err(HubError::Refused { status: 422, .. })));

    hub.asked();
    hub.answers(200, &[], &format!("[{}]", file("p1")));
    hub.answers(200, &[], "[]");
    let paths: Vec<_> = (0..1001).map(|i| format!("p{i}")).collect();
    assert_eq!(hub.client.paths_info(&id(), &paths).await.unwrap().len(), 1);
    assert_eq!(hub.asked()[1].3, r#"{"paths":["p1000"]}"#);
}

#[tokio::test]
async fn tokens_come_with_their_cas_and_their_end() {
    let hub = StandIn::new().await;
    hub.answers(200, &[], r#"{"casUrl":"http://h/cas/","exp":12,"accessToken":"t"}"#);
    let access = hub.client.xet_access(&id(), Reach::Write).await.unwrap();
    assert_eq!((access.url.as_str(), access.expires_at), ("http://h/cas", Timestamp(12_000)));
    assert_eq!(hub.paths(), ["GET /api/buckets/ada/b/xet-write-token"]);
}

type Headers = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn refusals_are_told_apart() {
    let hub = StandIn::new().await;
    let cases: [(u16, Headers, &str, &str); 8] = [
        (404, &[("x-error-code", "RepoNotFound")], r#"{"error":"Repository not found"}"#, "NoSuchBucket"),
        (404, &[("x-error-code", "EntryNotFound")], "", "NoSuchEntry"),
        (401, &[("x-error-message", "Invalid credentials in Authorization header")], "", "Unauthorized"),
        (403, &[], r#"{"error":["a","b"]}"#, "Forbidden"),
        (409, &[], r#"{"error":"there","url":"http://h/buckets/ada/b"}"#, "BucketExists"),
        (413, &[], "<html>", "TooLarge"),
        (400, &[], "", "Refused"),
        (501, &[], "", "Failed"),
    ];
    for (status, headers, body, name) in cases {
        hub.answers(status, headers, body);
        let error = hub.client.bucket(&id()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(name), "{status}: {error:?}");
        assert_eq!(hub.paths().len(), 1, "{status} is not worth asking again");
    }
}

#[tokio::test]
async fn what_passes_is_asked_again_but_never_done_twice() {
    let hub = StandIn::new().await;
    hub.answers(503, &[], "");
    hub.answers(429, &[("retry-after", "0")], "");
    hub.answers(200, &[], INFO);
    hub.client.bucket(&id()).await.unwrap();
    assert_eq!(hub.paths().len(), 3);

    for _ in 0..3 {
        hub.answers(500, &[], "");
    }
    let error = hub.client.bucket(&id()).await.unwrap_err();
    assert!(matches!(error, HubError::Failed { status: 500, .. }));
    assert_eq!(hub.paths().len(), 3, "and no more often than that");

    hub.answers(500, &[], "");
    let created = hub.client.create_bucket(None, "b", &NewBucket::default()).await;
    assert!(matches!(created, Err(HubError::Failed { .. })));
    assert_eq!(hub.paths().len(), 1, "it may have been created");
}

#[tokio::test]
async fn an_address_must_be_one() {
    let http = HttpClient::new(RetryPolicy::default()).unwrap();
    for bad in ["", "huggingface.co", "ftp://h", "https://"] {
        assert!(matches!(HubClient::new(http.clone(), bad, None), Err(HubError::BadName(_))), "{bad:?}");
    }
    let client = HubClient::new(http, "https://hub.example/", None).unwrap();
    assert_eq!(client.endpoint(), "https://hub.example");
}
