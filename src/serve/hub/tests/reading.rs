//! What clients that read files ask for.

use axum::http::HeaderName;
use serde_json::json;

use super::*;
use crate::bucket::ObjectRef;

const K: &str = "/buckets/ada/b/resolve/k";
const FILE_INFO: &str = "application/vnd.xet-fileinfo+json";

impl House {
    /// Ada asks with these headers.
    async fn ask(&self, method: &str, path: &str, headers: &[(HeaderName, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "hub.test:1");
        request = request.header(header::AUTHORIZATION, format!("Bearer {ADA}"));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

#[tokio::test]
async fn a_client_that_speaks_xet_gets_a_description_in_place_of_the_bytes() {
    let house = House::with_files(&["k"]).await;
    let empty = format!(r#"{{"type":"addFile","path":"empty","xetHash":"{}"}}"#, "0".repeat(64));
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", empty).await.status, 200);
    let plain = house.ask("GET", K, &[], "").await;
    assert_eq!((plain.header("vary"), &plain.body[..]), ("Accept", &b"content of k"[..]));
    for (path, size) in [(K, 12), ("/buckets/ada/b/resolve/empty", 0)] {
        for accept in [
            FILE_INFO,
            "application/vnd.xet-fileinfo+json, */*",
            "text/html;q=0.5 , Application/Vnd.Xet-FileInfo+JSON ; q=0.1",
        ] {
            let asked = [(header::ACCEPT, accept), (header::RANGE, "bytes=0-0"), (header::IF_RANGE, "\"x\"")];
            let answer = house.ask("GET", path, &asked, "").await;
            let hash = answer.header("x-xet-hash");
            let (etag, told) = (format!("\"{hash}\""), answer.json());
            let expected = json!({
                "hash": hash,
                "size": size,
                "etag": etag,
                "refreshUrl": "http://hub.test:1/api/buckets/ada/b/xet-read-token",
                "reconstructionUrl": format!("http://hub.test:1/cas/v1/reconstructions/{hash}"),
            });
            assert_eq!((answer.status.as_u16(), told), (200, expected), "{accept}");
            assert_eq!((answer.header("content-type"), answer.header("vary")), (FILE_INFO, "Accept"));
            assert_eq!((answer.header("content-range"), answer.header("accept-ranges")), ("", ""));
            assert_eq!(answer.header("x-linked-size"), size.to_string());
            assert_eq!([answer.header("etag"), answer.header("x-linked-etag")], [&etag, &etag]);
            assert_eq!(answer.header("link").matches("rel=").count(), 2);
            let head = house.ask("HEAD", path, &asked, "").await;
            assert_eq!(head.header("content-length"), answer.body.len().to_string());
            assert_eq!((head.header("content-type"), head.body.len()), (FILE_INFO, 0));
        }
    }
}

#[tokio::test]
async fn bytes_are_served_to_who_does_not_ask_for_a_description() {
    let house = House::with_files(&["k"]).await;
    for accept in ["*/*", "application/*", "application/json", "application/vnd.xet-fileinfo+json;q=0", ""] {
        let answer = house.ask("GET", K, &[(header::ACCEPT, accept)], "").await;
        assert_eq!(answer.body, "content of k", "{accept}");
    }
    let accept = [(header::ACCEPT, FILE_INFO)];
    let missing = house.ask("GET", "/buckets/ada/b/resolve/none", &accept, "").await;
    assert_eq!(missing.refusal(), (404, "EntryNotFound"));
    let request = Request::builder().uri(K).header(header::HOST, "h").header(header::ACCEPT, FILE_INFO);
    assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.refusal(), (401, "RepoNotFound"));
}

#[tokio::test]
async fn a_resumed_download_is_of_one_file() {
    let house = House::with_files(&["k", "other"]).await;
    let part = async |validator: &str| {
        let asked = [(header::RANGE, "bytes=8-"), (header::IF_RANGE, validator)];
        let answer = house.ask("GET", K, &asked, "").await;
        (answer.status.as_u16(), answer.body)
    };
    let before = house.ask("GET", K, &[], "").await;
    let (etag, date) = (before.header("etag"), before.header("last-modified"));
    let (resumed, whole) = ((206, Bytes::from("of k")), (200, Bytes::from("content of k")));
    assert_eq!(part(etag).await, resumed);
    assert_eq!(part(date).await, resumed);
    for other in [
        &etag.replace('"', ""),
        &format!("W/{etag}"),
        "\"x\"",
        "*",
        "",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "yesterday",
    ] {
        assert_eq!(part(other).await, whole, "{other}");
    }
    let other = house
        .buckets
        .object(&ada("b"), ObjectRef::current(&ObjectKey::new("other").unwrap()))
        .await
        .unwrap()
        .file;
    let line = format!(r#"{{"type":"addFile","path":"k","xetHash":"{other}"}}"#);
    assert_eq!(house.call(ADA, "POST", "/api/buckets/ada/b/batch", line).await.status, 200);
    assert_eq!(part(etag).await, (200, Bytes::from("content of other")));
    // Without a range there is nothing to be resumed, and what holds no byte is refused as without a validator.
    let no_range = house.ask("GET", K, &[(header::IF_RANGE, etag)], "").await;
    assert_eq!((no_range.status.as_u16(), &no_range.body[..]), (200, &b"content of other"[..]));
    let now = house.ask("HEAD", K, &[], "").await;
    let behind = [(header::RANGE, "bytes=99-"), (header::IF_RANGE, now.header("etag"))];
    assert_eq!(house.ask("GET", K, &behind, "").await.refusal().0, 416);
    let behind = [(header::RANGE, "bytes=99-"), (header::IF_RANGE, etag)];
    assert_eq!(house.ask("GET", K, &behind, "").await.status, 200);
}

#[tokio::test]
async fn paths_are_asked_about_as_json_and_as_a_form() {
    let house = House::with_files(&["dir/a b+c", "k", "z"]).await;
    let form = "application/x-www-form-urlencoded";
    let paths = async |kind: &str, body: &str| {
        let asked = [(header::CONTENT_TYPE, kind)];
        let answer = house.ask("POST", "/api/buckets/ada/b/paths-info", &asked, body).await;
        let found = answer.json();
        let found = found.as_array().into_iter().flatten();
        (
            answer.status.as_u16(),
            found.map(|file| file["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
        )
    };
    let found = |names: &[&str]| (200, names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(paths(form, "paths=k&expand=True").await, found(&["k"]));
    assert_eq!(paths(form, "paths=dir%2Fa%20b%2Bc&paths=z&paths=none").await, found(&["dir/a b+c", "z"]));
    assert_eq!(paths("Application/X-WWW-Form-Urlencoded; charset=utf-8", "paths=dir").await, found(&[]));
    assert_eq!(paths("application/json", r#"{"paths":["k","z"],"expand":true}"#).await, found(&["k", "z"]));
    assert_eq!(paths("application/json", r#"{"paths":[],"expand":null}"#).await, found(&[]));
    for (kind, bad) in [
        (form, ""),
        (form, "expand=True"),
        (form, "paths=k&expand=maybe"),
        (form, r#"{"paths":["k"]}"#),
        ("application/json", "paths=k"),
        ("application/json", "{}"),
        ("application/json", r#"{"paths":"k"}"#),
        ("application/json", r#"{"paths":["k"],"expand":"yes"}"#),
        ("application/json", r#"{"paths":["k"],"revision":"main"}"#),
    ] {
        assert_eq!(paths(kind, bad).await.0, 400, "{kind} {bad}");
    }
}

#[tokio::test]
async fn a_repository_of_another_kind_is_not_found_by_the_name_that_clients_know() {
    let house = House::with_files(&["k"]).await;
    for path in [
        "/api/models/ada/b",
        "/api/models/gpt2",
        "/api/models/ada/b/revision/main",
        "/api/datasets/ada/b/tree/main/dir?recursive=true",
        "/api/spaces/ada/b/paths-info/main",
        "/api/kernels/ada/b",
        "/ada/b/resolve/main/config.json",
        "/gpt2/resolve/main/config.json",
        "/datasets/ada/b/resolve/main/a/b.parquet",
        "/spaces/ada/b/raw/main/app.py",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = house.call(NOBODY, method, path, "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("x-error-code")),
                (404, "RepoNotFound"),
                "{method} {path}"
            );
        }
    }
}
