//! Every field that clients are documented to send: it takes effect, or the request is refused and changes nothing.

use serde_json::json;

use super::*;
use crate::bucket::ObjectRef;

const BUCKET: &str = "/api/buckets/ada/new";

/// Asks for a bucket with this body, and tells the status, whether the bucket is private if it is there, and whether
/// somebody without a token can see it.
async fn created(default: Visibility, body: &str) -> (u16, Option<bool>, bool) {
    let house = House::with_default(default);
    let answer = house.call(ADA, "POST", BUCKET, body.to_owned()).await;
    let info = house.get(ADA, BUCKET).await;
    let private = (info.status == 200).then(|| info.json()["private"].as_bool().unwrap());
    if answer.status == 200 {
        assert_eq!(answer.json()["private"].as_bool(), private, "{body}");
    }
    (answer.status.as_u16(), private, house.get(NOBODY, BUCKET).await.status == 200)
}

#[tokio::test]
async fn a_bucket_is_as_private_as_either_field_says_whatever_the_default() {
    let (private, public) = ((200, Some(true), false), (200, Some(false), true));
    for default in [Visibility::Public, Visibility::Private] {
        let unsaid = if default == Visibility::Private { private } else { public };
        for (body, outcome) in [
            ("", unsaid),
            ("{}", unsaid),
            (r#"{"private":true}"#, private),
            (r#"{"private":false}"#, public),
            (r#"{"visibility":"private"}"#, private),
            (r#"{"visibility":"public"}"#, public),
            (r#"{"private":true,"visibility":"private"}"#, private),
            (r#"{"visibility":"public","private":false}"#, public),
            (r#"{"private":true,"resourceGroupId":null,"region":null}"#, private),
        ] {
            assert_eq!(created(default, body).await, outcome, "{default:?} {body}");
        }
    }
}

#[tokio::test]
async fn a_creation_that_is_not_understood_whole_is_refused_and_makes_nothing() {
    for (body, named) in [
        (r#"{"private":true,"visibility":"public"}"#, ["private", "visibility"]),
        (r#"{"private":false,"visibility":"private"}"#, ["private", "visibility"]),
        (r#"{"private":null}"#, ["private", "true or false"]),
        (r#"{"private":"true"}"#, ["private", "true or false"]),
        (r#"{"private":1}"#, ["private", "true or false"]),
        (r#"{"private":[]}"#, ["private", "true or false"]),
        (r#"{"private":true,"private":false}"#, ["private", "duplicate"]),
        (r#"{"visibility":null}"#, ["visibility", "private"]),
        (r#"{"visibility":"Private"}"#, ["visibility", "private"]),
        (r#"{"visibility":"protected"}"#, ["visibility", "private"]),
        (r#"{"visibility":true}"#, ["visibility", "private"]),
        (r#"{"resourceGroupId":"66670e5163145ca562cb1988"}"#, ["resourceGroupId", "resource group"]),
        (r#"{"region":"eu"}"#, ["region", "regions"]),
        (r#"{"gated":"manual"}"#, ["gated", "unknown field"]),
        (r#"{"Private":true}"#, ["Private", "unknown field"]),
        ("[true]", ["body", "object"]),
        ("[]", ["body", "object"]),
        ("null", ["body", "object"]),
        ("private=true", ["body", "object"]),
    ] {
        let house = House::with_default(Visibility::Public);
        let refused = house.call(ADA, "POST", BUCKET, body).await;
        assert_eq!(refused.refusal(), (400, ""), "{body}");
        let message = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(named.iter().all(|word| message.contains(word)), "{body}: {message}");
        assert_eq!(house.get(ADA, BUCKET).await.status, 404, "{body}");
    }
}

#[tokio::test]
async fn settings_take_either_field_and_refuse_what_they_cannot_set() {
    let house = House::with_files(&["k"]).await;
    let settings =
        async |body: &'static str| house.call(ADA, "PUT", "/api/buckets/ada/b/settings", body).await;
    for (body, private) in [
        (r#"{"private":false}"#, false),
        (r#"{"visibility":"private"}"#, true),
        (r#"{"visibility":"public"}"#, false),
        (r#"{"private":true,"visibility":"private"}"#, true),
    ] {
        let set = settings(body).await;
        assert_eq!((set.status.as_u16(), &set.json()["private"]), (200, &json!(private)), "{body}");
        assert_eq!(house.get(NOBODY, "/buckets/ada/b/resolve/k").await.status == 200, !private, "{body}");
    }
    for body in [
        "",
        "{}",
        r#"{"private":null}"#,
        r#"{"private":"no"}"#,
        r#"{"private":false,"visibility":"private"}"#,
        r#"{"private":false,"visibility":null}"#,
        r#"{"visibility":"internal"}"#,
        r#"{"private":false,"gated":"auto"}"#,
        r#"{"private":false,"resourceGroupId":"x"}"#,
        "[false]",
    ] {
        assert_eq!(settings(body).await.refusal(), (400, ""), "{body}");
        assert_eq!(house.get(NOBODY, "/buckets/ada/b/resolve/k").await.status, 401, "{body}");
    }
}

#[tokio::test]
async fn a_move_is_refused_if_it_says_more_than_where_to() {
    let house = House::with_files(&["k"]).await;
    let body = json!({ "fromRepo": "ada/b", "toRepo": "ada/c", "type": "bucket", "private": true });
    assert_eq!(house.call(ADA, "POST", "/api/repos/move", body.to_string()).await.refusal(), (400, ""));
    assert_eq!(house.paths().await, ["k"]);
}

#[tokio::test]
async fn an_account_may_have_another_default_than_the_server() {
    let house = House::with_default(Visibility::Public);
    // Of this house's team, new buckets are private.
    for (path, body, private) in [
        ("/api/buckets/team/unsaid", "{}", true),
        ("/api/buckets/team/said", r#"{"visibility":"public"}"#, false),
        ("/api/buckets/team/older", r#"{"private":false}"#, false),
        ("/api/buckets/ada/unsaid", "{}", false),
    ] {
        let made = house.call(ADA, "POST", path, body).await;
        assert_eq!((made.status.as_u16(), &made.json()["private"]), (200, &json!(private)), "{path}");
        assert_eq!(house.get(NOBODY, path).await.status == 200, !private, "{path}");
    }
}

const BATCH: &str = "/api/buckets/ada/b/batch";

/// A house with a file `k`, and the fields that every line about it has.
async fn with_k() -> (House, Value) {
    let house = House::with_files(&["k"]).await;
    let k = house.buckets.object(&ada("b"), ObjectRef::current(&ObjectKey::new("k").unwrap())).await.unwrap();
    (house, json!({ "xetHash": k.file.to_string(), "path": "a" }))
}

/// A line of these fields and those.
fn line(fields: &Value, more: Value) -> String {
    let mut line = fields.clone();
    if let (Value::Object(fields), Value::Object(more)) = (&mut line, more) {
        fields.extend(more);
    }
    line.to_string()
}

#[tokio::test]
async fn every_field_of_a_line_takes_effect() {
    let (house, fields) = with_k().await;
    let copied = json!({ "type": "copyFile", "sourceRepoType": "bucket", "sourceRepoId": "ada/b" });
    for kind in [json!({ "type": "addFile" }), copied] {
        let said = json!({ "size": 12, "mtime": 5, "contentType": "text/x-k" });
        let lines = line(&serde_json::from_str(&line(&fields, kind)).unwrap(), said);
        assert_eq!(house.call(ADA, "POST", BATCH, lines).await.status, 200);
        let listed = house.get(ADA, "/api/buckets/ada/b/tree/a").await.json();
        let shown = [&listed[0]["size"], &listed[0]["mtime"], &listed[0]["contentType"]];
        assert_eq!(shown, [&json!(12), &json!("1970-01-01T00:00:00.005Z"), &json!("text/x-k")]);
        assert_eq!(house.get(ADA, "/buckets/ada/b/resolve/a").await.body, "content of k");
        let delete = r#"{"type":"deleteFile","path":"a"}"#;
        assert_eq!(house.call(ADA, "POST", BATCH, delete).await.status, 200);
        assert_eq!(house.paths().await, ["k"]);
    }
}

#[tokio::test]
async fn a_line_about_a_file_of_another_size_fails_and_one_not_understood_refuses_all() {
    let (house, fields) = with_k().await;
    let copied = json!({ "type": "copyFile", "sourceRepoType": "bucket", "sourceRepoId": "ada/b" });
    let added = json!({ "type": "addFile" });
    for kind in [&added, &copied] {
        let whole: Value = serde_json::from_str(&line(&fields, kind.clone())).unwrap();
        let answer = house.call(ADA, "POST", BATCH, line(&whole, json!({ "size": 13 }))).await;
        let (status, failed) = (answer.status.as_u16(), &answer.json()["failed"][0]);
        assert_eq!((status, &failed["path"]), (422, &json!("a")));
        assert!(failed["error"].as_str().unwrap().contains("12 bytes, 13 were declared"), "{failed}");
        for unknown in [json!({ "ifMatch": "x" }), json!({ "Size": 12 }), json!({ "size": -1 })] {
            let answer = house.call(ADA, "POST", BATCH, line(&whole, unknown.clone())).await;
            assert_eq!(answer.refusal().0, 400, "{unknown}");
            assert!(answer.header("x-error-message").contains("Line 1 of the batch"));
        }
    }
    let delete = r#"{"type":"deleteFile","path":"k","xetHash":"0"}"#;
    assert_eq!(house.call(ADA, "POST", BATCH, delete).await.refusal().0, 400);
    let model =
        line(&fields, json!({ "type": "copyFile", "sourceRepoType": "model", "sourceRepoId": "a/b" }));
    assert_eq!(house.call(ADA, "POST", BATCH, model).await.status, 422);
    assert_eq!(house.paths().await, ["k"]);
}

#[tokio::test]
async fn thousands_of_lines_are_made_in_one_request_each_on_its_own() {
    let (house, fields) = with_k().await;
    let path = |at: usize| format!("dir/{at:05}");
    let adds = (0..3_500).map(|at| line(&fields, json!({ "type": "addFile", "path": path(at), "mtime": 5 })));
    let adds = adds.collect::<Vec<_>>().join("\n");
    let added = house.call(ADA, "POST", BATCH, adds).await;
    assert_eq!((added.status.as_u16(), &added.json()["succeeded"]), (200, &json!(3_500)));
    let deletes = (0..3_500).map(|at| json!({ "type": "deleteFile", "path": path(at) }).to_string());
    let unknown = line(&fields, json!({ "type": "addFile", "path": "late", "xetHash": "9".repeat(64) }));
    let lines = deletes.chain([unknown]).collect::<Vec<_>>().join("\n");
    let answer = house.call(ADA, "POST", BATCH, lines).await;
    let told = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &told["processed"], &told["succeeded"]),
        (200, &json!(3_501), &json!(3_500))
    );
    assert_eq!((&told["success"], &told["failed"][0]["path"]), (&json!(false), &json!("late")));
    assert_eq!(house.paths().await, ["k"]);

    // What cannot be read in the last line keeps the first from being made.
    let mut lines = vec![r#"{"type":"deleteFile","path":"k"}"#.to_owned(); 2_500];
    lines.push("{".to_owned());
    let answer = house.call(ADA, "POST", BATCH, lines.join("\n")).await;
    assert!(answer.header("x-error-message").contains("Line 2501"), "{}", answer.header("x-error-message"));
    assert_eq!((answer.refusal().0, house.paths().await), (400, vec!["k".to_owned()]));
}
