//! Who may do what, and how it is answered.

use super::*;
use crate::bucket::{BucketChange, ObjectRef, PublicAccessBlock};

#[tokio::test]
async fn a_private_bucket_is_hidden_and_a_public_one_is_read_by_all() {
    let house = House::with_files(&["k"]).await;
    let (path, missing) = ("/api/buckets/ada/b", "/api/buckets/ada/none");
    for (token, at, refusal) in [
        (NOBODY, path, (401, "RepoNotFound")),
        (NOBODY, missing, (401, "RepoNotFound")),
        (BOB, path, (404, "RepoNotFound")),
        (ADA, missing, (404, "RepoNotFound")),
        ("hf_wrong_token", path, (401, "")),
    ] {
        assert_eq!(house.get(token, at).await.refusal(), refusal, "{token:?} {at}");
    }
    assert_eq!(house.get(ADA, path).await.json()["private"], true);
    assert_eq!(house.get(READER, path).await.status, 200);
    assert_eq!(house.get(BOB, "/api/buckets/ada").await.json(), serde_json::json!([]));

    let set = house.call(ADA, "PUT", "/api/buckets/ada/b/settings", r#"{"private": false}"#).await;
    assert_eq!(set.status, 200);
    let info = house.get(NOBODY, path).await.json();
    assert_eq!((&info["id"], &info["private"]), (&"ada/b".into(), &false.into()));
    assert_eq!((&info["size"], &info["totalFiles"]), (&12.into(), &1.into()));
    assert_eq!(info["createdAt"], "2026-01-02T03:04:05.678Z");
    assert_eq!(house.get(BOB, "/api/buckets/ada").await.json().as_array().unwrap().len(), 1);
    assert_eq!(house.get(NOBODY, "/buckets/ada/b/resolve/k").await.body, "content of k");
    assert_eq!(house.get(NOBODY, "/api/buckets/ada/b/xet-read-token").await.status, 200);
}

#[tokio::test]
async fn whoever_may_only_read_is_told_so() {
    let house = House::with_files(&["k"]).await;
    for (method, path, body) in [
        ("POST", "/api/buckets/ada/b/batch", r#"{"type":"deleteFile","path":"k"}"#),
        ("GET", "/api/buckets/ada/b/xet-write-token", ""),
        ("DELETE", "/api/buckets/ada/b", ""),
        ("PUT", "/api/buckets/ada/b/settings", r#"{"private":false}"#),
        ("POST", "/api/buckets/ada/new", ""),
        ("POST", "/api/repos/move", r#"{"fromRepo":"ada/b","toRepo":"ada/c","type":"bucket"}"#),
    ] {
        assert_eq!(house.call(READER, method, path, body).await.refusal(), (403, ""), "{method} {path}");
    }
    assert_eq!(house.paths().await, ["k"]);
}

#[tokio::test]
async fn a_bucket_is_created_once_and_both_answers_say_where() {
    let house = House::new();
    let create =
        async |token: &str, path: &str, body: &'static str| house.call(token, "POST", path, body).await;
    let made = create(ADA, "/api/buckets/me/bk", r#"{"visibility":"private"}"#).await;
    assert_eq!(
        (made.status.as_u16(), &made.json()["url"]),
        (200, &"http://hub.test:1/buckets/ada/bk".into())
    );
    let again = create(ADA, "/api/buckets/ada/bk", "{}").await;
    assert_eq!(again.refusal(), (409, ""));
    assert_eq!(again.json()["url"], made.json()["url"]);
    assert_eq!(house.get(ADA, "/api/buckets/ada/bk").await.json()["private"], true);
    assert_eq!(create(ADA, "/api/buckets/ada/open", "").await.json()["private"], false);
    assert_eq!(create(ADA, "/api/buckets/team/shared", "").await.status, 200);
    assert_eq!(create(BOB, "/api/buckets/team/mine", "").await.refusal(), (403, ""));
    assert_eq!(create(BOB, "/api/buckets/ada/mine", "").await.refusal(), (403, ""));
    assert_eq!(create(NOBODY, "/api/buckets/ada/mine", "").await.refusal(), (401, ""));
    assert_eq!(create(NOBODY, "/api/buckets/me/mine", "").await.refusal(), (401, ""));
    for bad in ["/api/buckets/ada/a--b", "/api/buckets/ada/-a", "/api/buckets/ada/%2e%2e"] {
        assert_eq!(create(ADA, bad, "").await.refusal(), (400, ""), "{bad}");
    }
}

#[tokio::test]
async fn buckets_are_listed_by_namespace_and_searched() {
    let house = House::new();
    for name in ["alpha-one", "beta", "Alpha-two"] {
        house.buckets.create_bucket(&ada(name), Visibility::Private).await.unwrap();
    }
    let names = async |path: &str| {
        let listed = house.get(ADA, path).await.json();
        let ids = listed.as_array().unwrap().iter().map(|bucket| bucket["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(names("/api/buckets/me").await, ["ada/Alpha-two", "ada/alpha-one", "ada/beta"]);
    assert_eq!(names("/api/buckets/ada?search=pha-").await, ["ada/Alpha-two", "ada/alpha-one"]);
    assert!(names("/api/buckets/team").await.is_empty());
    for unknown in ["/api/buckets/nobody", "/api/buckets/beta"] {
        assert_eq!(house.get(ADA, unknown).await.refusal(), (404, "RepoNotFound"), "{unknown}");
    }
    assert_eq!(house.call(ADA, "DELETE", "/api/buckets/beta", "").await.refusal().0, 404);
}

#[tokio::test]
async fn a_bucket_moves_to_where_its_mover_may_have_one() {
    let house = House::with_files(&["k"]).await;
    let relocate = async |token: &str, to: &str| {
        let body = format!(r#"{{"fromRepo":"ada/b","toRepo":"{to}","type":"bucket"}}"#);
        house.call(token, "POST", "/api/repos/move", body).await
    };
    assert_eq!(relocate(BOB, "bob/b").await.refusal(), (404, "RepoNotFound"));
    assert_eq!(relocate(ADA, "bob/b").await.refusal(), (403, ""));
    assert_eq!(relocate(ADA, "ada/b").await.refusal(), (409, ""));
    assert_eq!(relocate(ADA, "team/b").await.status, 200);
    assert_eq!(house.get(ADA, "/api/buckets/ada/b").await.refusal(), (404, "RepoNotFound"));
    assert_eq!(house.get(ADA, "/buckets/team/b/resolve/k").await.body, "content of k");
}

#[tokio::test]
async fn files_are_listed_looked_at_and_read() {
    let house = House::with_files(&["dir/file é.txt", "top"]).await;
    let tree = house.get(ADA, "/api/buckets/ada/b/tree?recursive=false").await.json();
    let directory =
        serde_json::json!({"type": "directory", "path": "dir", "uploadedAt": "2026-01-02T03:04:05.678Z"});
    assert_eq!((&tree[0], &tree[1]["path"], tree.as_array().unwrap().len()), (&directory, &"top".into(), 2));
    let below = house.get(ADA, "/api/buckets/ada/b/tree/dir%2Ffile%20%C3%A9.txt?recursive=true").await.json();
    assert_eq!((&below[0]["path"], &below[0]["size"]), (&"dir/file é.txt".into(), &26.into()));
    let asked = r#"{"paths": ["top", "dir", "none", ""]}"#;
    let found = house.call(ADA, "POST", "/api/buckets/ada/b/paths-info", asked).await.json();
    assert_eq!((&found[0]["path"], found.as_array().unwrap().len()), (&"top".into(), 1));

    for path in ["dir%2Ffile%20%C3%A9.txt", "dir/file%20%C3%A9.txt"] {
        let path = format!("/buckets/ada/b/resolve/{path}");
        let head = house.call(ADA, "HEAD", &path, "").await;
        assert_eq!(
            (head.status.as_u16(), head.header("content-length"), head.header("x-linked-size")),
            (200, "26", "26")
        );
        assert_eq!(head.header("x-xet-hash"), below[0]["xetHash"]);
        assert!(
            head.header("link")
                .starts_with("<http://hub.test:1/api/buckets/ada/b/xet-read-token>; rel=\"xet-auth\"")
        );
        assert_eq!(house.get(ADA, &path).await.body, "content of dir/file é.txt");
    }
    let range = async |range: &str| {
        let request = Request::builder().uri("/buckets/ada/b/resolve/top").header(header::HOST, "h");
        let request =
            request.header(header::AUTHORIZATION, format!("Bearer {ADA}")).header(header::RANGE, range);
        house.send(request.body(Body::empty()).unwrap()).await
    };
    let part = range("bytes=8-9").await;
    assert_eq!(
        (part.status.as_u16(), part.header("content-range"), &part.body[..]),
        (206, "bytes 8-9/14", &b"of"[..])
    );
    let outside = range("bytes=14-").await;
    assert_eq!((outside.refusal().0, outside.header("content-range")), (416, "bytes */14"));
    let missing = house.get(ADA, "/buckets/ada/b/resolve/none").await;
    assert_eq!(missing.refusal(), (404, "EntryNotFound"));
    assert_eq!(house.get(ADA, "/buckets/ada/none/resolve/k").await.refusal(), (404, "RepoNotFound"));
}

#[tokio::test]
async fn a_listing_goes_on_where_its_link_says() {
    let names: Vec<_> = (0..1005).map(|at| format!("f{at:04}")).collect();
    let house = House::with_files(&["f0000"]).await;
    let file = house
        .buckets
        .object(&ada("b"), ObjectRef::current(&ObjectKey::new("f0000").unwrap()))
        .await
        .unwrap()
        .file;
    let lines: Vec<_> = names[5..]
        .iter()
        .map(|name| {
            format!(
                "{{\"type\": \"addFile\", \"path\": \"{name}\", \"xetHash\": \"{file}\", \"mtime\": 5}}\n"
            )
        })
        .collect();
    let added = house.call(ADA, "POST", "/api/buckets/ada/b/batch", lines.concat()).await;
    assert_eq!((added.status.as_u16(), &added.json()["succeeded"]), (200, &1000.into()));
    let first = house.get(ADA, "/api/buckets/ada/b/tree?recursive=true").await;
    assert_eq!(first.json().as_array().unwrap().len(), 1000);
    assert_eq!(first.json()[1]["mtime"], "1970-01-01T00:00:00.005Z");
    let link = first.header("link");
    let next = link.strip_prefix("<http://hub.test:1").and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    let second = house.get(ADA, next.unwrap()).await;
    assert_eq!((second.json().as_array().unwrap().len(), second.header("link")), (1, ""));
    assert_eq!(second.json()[0]["path"], "f1004");
}

#[tokio::test]
async fn copies_reach_only_what_the_caller_may_read() {
    let house = House::with_files(&["k"]).await;
    let bobs = BucketId { namespace: Namespace::new("bob").unwrap(), ..ada("b") };
    house.buckets.create_bucket(&bobs, Visibility::Private).await.unwrap();
    let file = house
        .buckets
        .object(&ada("b"), ObjectRef::current(&ObjectKey::new("k").unwrap()))
        .await
        .unwrap()
        .file;
    let copy = format!(
        r#"{{"type":"copyFile","path":"c","xetHash":"{file}","mtime":5,"sourceRepoType":"bucket","sourceRepoId":"ada/b"}}"#
    );
    let add = format!(r#"{{"type":"addFile","path":"a","xetHash":"{file}","mtime":5}}"#);
    for line in [&copy, &add] {
        let refused = house.call(BOB, "POST", "/api/buckets/bob/b/batch", line.clone()).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.json()["failed"].as_array().unwrap().len(), 1);
    }
    house.buckets.set_visibility(&ada("b"), Visibility::Public).await.unwrap();
    let copied = house.call(BOB, "POST", "/api/buckets/bob/b/batch", copy).await;
    assert_eq!((copied.status.as_u16(), copied.json()["success"].as_bool()), (200, Some(true)));
    assert_eq!(house.get(BOB, "/buckets/bob/b/resolve/c").await.body, "content of k");
}

#[tokio::test]
async fn tokens_say_where_to_and_until_when_in_body_and_headers() {
    let house = House::with_files(&[]).await;
    for kind in ["read", "write"] {
        let token = house.get(ADA, &format!("/api/buckets/ada/b/xet-{kind}-token")).await;
        let body = token.json();
        assert_eq!(body["casUrl"], "http://hub.test:1/cas");
        assert_eq!(body["accessToken"], token.header("x-xet-access-token"));
        assert_eq!(body["casUrl"], token.header("x-xet-cas-url"));
        assert_eq!(body["exp"].to_string(), token.header("x-xet-token-expiration"));
        assert!(body["exp"].as_u64().unwrap() > 1_767_323_045);
    }
}

#[tokio::test]
async fn a_token_is_told_whose_it_is() {
    let house = House::new();
    let who = house.get(ADA, "/api/whoami-v2").await.json();
    assert_eq!(
        (&who["type"], &who["name"], &who["orgs"][0]["name"]),
        (&"user".into(), &"ada".into(), &"team".into())
    );
    assert_eq!(who["auth"]["accessToken"]["role"], "write");
    assert_eq!(house.get(NOBODY, "/api/whoami-v2").await.refusal(), (401, ""));
    assert_eq!(
        house.get("hf_wrong", "/api/whoami-v2").await.header("x-error-message"),
        "Invalid credentials in Authorization header"
    );
}

#[tokio::test]
async fn a_key_that_leads_out_of_a_folder_is_not_listed_but_can_be_read_and_deleted() {
    let house = House::with_files(&["../out", "/root", "a/../../out", "a//b", "a/.", "a/b..c"]).await;
    assert_eq!(house.paths().await, ["a//b", "a/b..c"]);
    let top = house.get(ADA, "/api/buckets/ada/b/tree?recursive=false").await.json();
    assert_eq!((&top[0]["path"], top.as_array().unwrap().len()), (&"a".into(), 1));
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/..%2Fout").await.body, "content of ../out");
    let delete = r#"{"type":"deleteFile","path":"../out"}"#;
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", delete).await.status, 200);
    assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/..%2Fout").await.refusal(), (404, "EntryNotFound"));
}

#[tokio::test]
async fn a_public_access_block_keeps_a_bucket_private() {
    let house = House::with_files(&["k"]).await;
    let block = PublicAccessBlock { block_public_acls: true, ..PublicAccessBlock::default() };
    let set = |block| BucketChange::PublicAccessBlock(block);
    house.buckets.change_bucket(&ada("b"), set(Some(block))).await.unwrap();
    let settings = "/api/buckets/ada/b/settings";
    assert_eq!(house.call(ADA, "PUT", settings, r#"{"private":false}"#).await.status, 403);
    assert_eq!(house.get(NOBODY, "/buckets/ada/b/resolve/k").await.status, 401);
    assert_eq!(house.call(ADA, "PUT", settings, r#"{"private":true}"#).await.status, 200);
    house.buckets.change_bucket(&ada("b"), set(None)).await.unwrap();
    assert_eq!(house.call(ADA, "PUT", settings, r#"{"private":false}"#).await.status, 200);
    assert_eq!(house.get(NOBODY, "/buckets/ada/b/resolve/k").await.body, "content of k");
}
