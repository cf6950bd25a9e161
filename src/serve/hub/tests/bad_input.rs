//! Input that is wrong: refused with a 4xx in the Hub's words, and nothing is stored.

use super::*;
use crate::bucket::ObjectRef;

/// Sends a batch that must be refused, and looks that nothing has changed.
async fn refused(house: &House, body: impl Into<Body>) -> u16 {
    let answer = house.call(ADA, "POST", "/api/buckets/ada/b/batch", body).await;
    let (status, _) = answer.refusal();
    assert_eq!(house.paths().await, ["k"]);
    status
}

/// A line that would be right.
fn line(house_hash: &str, path: &str) -> String {
    format!(r#"{{"type":"addFile","path":"{path}","xetHash":"{house_hash}","mtime":5}}"#)
}

async fn house() -> (House, String) {
    let house = House::with_files(&["k"]).await;
    let object =
        house.buckets.object(&ada("b"), ObjectRef::current(&ObjectKey::new("k").unwrap())).await.unwrap();
    (house, object.file.to_string())
}

#[tokio::test]
async fn a_line_that_cannot_be_read_refuses_the_whole_batch() {
    let (house, hash) = house().await;
    let good = line(&hash, "good");
    for bad in [
        "{".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "\u{0}".to_owned(),
        r#"{"type":"renameFile","path":"a"}"#.to_owned(),
        r#"{"path":"a"}"#.to_owned(),
        r#"{"type":"addFile","path":"a"}"#.to_owned(),
        r#"{"type":"deleteFile","path":""}"#.to_owned(),
        line("xyz", "a"),
        line(&hash[1..], "a"),
        line(&format!("{hash}0"), "a"),
        line(&hash.replace(|c: char| c.is_ascii_digit(), "g"), "a"),
        good.replace(":5", ":\"5\""),
        good.replace(":5", ":5,\"contentType\":\"a\\nb\""),
        good.replace("addFile", "copyFile"),
    ] {
        assert_eq!(refused(&house, format!("{good}\n{bad}\n")).await, 400, "{bad}");
    }
    assert_eq!(refused(&house, vec![0xFF, 0xFE, b'\n']).await, 400);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_or_out_is_refused() {
    let (house, hash) = house().await;
    for path in ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "a/./b", &"x".repeat(1025)] {
        assert_eq!(refused(&house, line(&hash, path)).await, 400, "{path}");
    }
}

#[tokio::test]
async fn more_than_may_be_is_refused_before_it_is_held() {
    let (house, hash) = house().await;
    let lines = format!("{}\n", line(&hash, "a")).repeat(10_001);
    let answer = house.call(ADA, "POST", "/api/buckets/ada/b/batch", lines).await;
    assert_eq!(answer.refusal().0, 400);
    let message = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(message.contains("10000") && message.contains("10001"), "{message}");
    assert_eq!(house.paths().await, ["k"]);
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let endless = stream::iter((0..).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    assert_eq!(refused(&house, Body::from_stream(endless)).await, 413);
    let paths = serde_json::json!({ "paths": vec!["a"; 1001] }).to_string();
    let answer = house.call(ADA, "POST", "/api/buckets/ada/b/paths-info", paths).await;
    assert_eq!(answer.refusal().0, 400);
}

#[tokio::test]
async fn a_stranger_learns_and_changes_nothing() {
    let (house, hash) = house().await;
    for (token, status) in [(NOBODY, 401), ("hf_expired_or_foreign", 401), (BOB, 404), (READER, 403)] {
        let answer = house.call(token, "POST", "/api/buckets/ada/b/batch", line(&hash, "a")).await;
        assert_eq!(answer.refusal().0, status, "{token}");
    }
    let basic = Request::builder().uri("/api/whoami-v2").header(header::HOST, "h");
    for shown in ["Basic abc", "Bearer", "Bearer ", "hf_token_of_ada"] {
        let request = Request::builder().uri("/api/whoami-v2").header(header::HOST, "h");
        let request = request.header(header::AUTHORIZATION, shown).body(Body::empty()).unwrap();
        assert_eq!(house.send(request).await.refusal().0, 401, "{shown}");
    }
    assert_eq!(house.send(basic.body(Body::empty()).unwrap()).await.refusal().0, 401);
    assert_eq!(house.paths().await, ["k"]);
}

#[tokio::test]
async fn bodies_and_parameters_that_make_no_sense_are_refused() {
    let (house, _) = house().await;
    for (method, path, body) in [
        ("POST", "/api/buckets/ada/new", "{"),
        ("POST", "/api/buckets/ada/new", r#"{"visibility":"secret"}"#),
        ("PUT", "/api/buckets/ada/b/settings", "{}"),
        ("PUT", "/api/buckets/ada/b/settings", r#"{"private":"yes"}"#),
        ("POST", "/api/buckets/ada/b/paths-info", r#"{"paths":5}"#),
        ("POST", "/api/repos/move", r#"{"fromRepo":"ada/b","toRepo":"x","type":"bucket"}"#),
        ("POST", "/api/repos/move", r#"{"fromRepo":"ada/b","toRepo":"ada/c","type":"model"}"#),
        ("GET", "/api/buckets/ada/b/tree?recursive=maybe", ""),
        ("GET", "/api/buckets/ada/b/tree?cursor=***", ""),
        ("GET", "/api/buckets/ada/b/tree/%FF", ""),
        ("GET", "/buckets/ada/b/resolve/%FF", ""),
    ] {
        assert_eq!(house.call(ADA, method, path, body).await.refusal().0, 400, "{method} {path} {body}");
    }
    let names = house.get(ADA, "/api/buckets/ada").await.json();
    assert_eq!(names.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_known_is_404_whatever_the_method() {
    let (house, _) = house().await;
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/api/whoami-v2"),
        ("GET", "/api/models"),
        ("POST", "/api/repos/create"),
        ("PATCH", "/api/buckets/ada/b"),
        ("GET", "/api/buckets/ada/b/events"),
        ("POST", "/api/buckets/ada/b/xet-write-token"),
        ("PUT", "/buckets/ada/b/resolve/k"),
        ("GET", "/buckets/ada/b/tree/k"),
        ("GET", "/v1/reconstructions/00"),
    ] {
        assert_eq!(house.call(ADA, method, path, "").await.refusal(), (404, ""), "{method} {path}");
    }
}
