//! Every field that clients are documented to send: it takes effect, or the request is refused and changes nothing.

use serde_json::json;

use super::*;

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
