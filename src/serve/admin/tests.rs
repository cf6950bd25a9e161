//! The API, over accounts in memory.

use axum::Router;
use axum::body::Body;
use axum::http::header;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::auth::seal::MasterKey;
use crate::auth::{Credential, Directory, Secret};
use crate::model::clock::Ambient;
use crate::serve::http::routes::Route;
use crate::store::meta::EmbeddedMeta;

fn credential(id: &str, permission: Permission) -> Credential {
    Credential {
        account: Namespace::new("root").unwrap(),
        access_key_id: AccessKeyId::new(id).unwrap(),
        secret_access_key: Secret::new("secret-of-root").unwrap(),
        token: Some(Secret::new(&format!("hf_{id}")).unwrap()),
        permission,
        buckets: None,
        created_at: None,
        expires_at: None,
    }
}

async fn api() -> Router {
    routed().await.router
}

async fn routes() -> Vec<Route> {
    routed().await.routes
}

async fn routed() -> Routed {
    let credentials = [credential("ADMIN", Permission::Admin), credential("WRITER", Permission::Write)];
    let directory = Arc::new(Directory::new(credentials).unwrap());
    let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
    let accounts = Accounts::open(store, directory, MasterKey::new(&[1; 32]), Ambient::system()).await;
    router(AdminApi { accounts: Arc::new(accounts.unwrap()), backups: None })
}

async fn call(api: &Router, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = api.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn only_admin_tokens_come_in() {
    let api = api().await;
    let status = async |token: &str| call(&api, token, "GET", "/accounts", "").await.0;
    assert_eq!(status("").await, 401);
    assert_eq!(status("hf_nobody").await, 401);
    assert_eq!(status("hf_WRITER").await, 403);
    assert_eq!(status("hf_ADMIN").await, 200);
    assert_eq!(call(&api, "hf_ADMIN", "GET", "/else", "").await.0, 404);
}

#[tokio::test]
async fn secrets_are_shown_once_and_never_listed() {
    let api = api().await;
    let admin = async |method: &str, path: &str, body: &str| call(&api, "hf_ADMIN", method, path, body).await;
    assert_eq!(admin("POST", "/accounts", r#"{"name": "ada"}"#).await.0, 201);
    let asked = r#"{"account": "ada", "permission": "admin", "buckets": ["b"], "expires_at": "2999-01-01T00:00:00Z"}"#;
    let (status, key) = admin("POST", "/keys", asked).await;
    assert_eq!(status, 201);
    let (id, token) = (key["access_key_id"].as_str().unwrap(), key["token"].as_str().unwrap());
    assert_eq!(call(&api, token, "GET", "/keys", "").await.0, 403, "it is limited to buckets");

    let (_, listed) = admin("GET", "/keys", "").await;
    let mine = listed.as_array().unwrap().iter().find(|key| key["access_key_id"] == id).unwrap();
    assert_eq!(mine["expires_at"], "2999-01-01T00:00:00Z");
    assert_eq!((&mine["permission"], &mine["buckets"][0]), (&"admin".into(), &"b".into()));
    for secret in [token, key["secret_access_key"].as_str().unwrap(), "secret-of-root", "hf_ADMIN"] {
        assert!(!listed.to_string().contains(secret));
    }
    let (_, rotated) = admin("POST", &format!("/keys/{id}/rotate"), "").await;
    assert_ne!(rotated["token"], key["token"]);
    assert_eq!(call(&api, token, "GET", "/keys", "").await.0, 401);
    assert_eq!(admin("DELETE", &format!("/keys/{id}"), "").await.0, 204);
    assert_eq!(admin("DELETE", &format!("/keys/{id}"), "").await.0, 404);
}

#[tokio::test]
async fn an_admin_key_that_is_limited_to_buckets_looks_after_nothing() {
    let api = api().await;
    let asked = r#"{"account": "root", "permission": "admin", "buckets": ["b"]}"#;
    let (_, key) = call(&api, "hf_ADMIN", "POST", "/keys", asked).await;
    let token = key["token"].as_str().unwrap();
    for route in routes().await {
        let path = route.path.replace("{name}", "root").replace("{id}", "ADMIN");
        let (status, answer) = call(&api, token, &route.method, &path, "{}").await;
        assert_eq!(status, 403, "{} {path}: {answer}", route.method);
        assert!(answer["error"].as_str().unwrap().ends_with("limited to buckets"), "{answer}");
    }
    let keys = call(&api, "hf_ADMIN", "GET", "/keys", "").await.1;
    assert_eq!(keys.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_account_says_what_its_new_buckets_are() {
    let api = api().await;
    let admin = async |method: &str, path: &str, body: &str| call(&api, "hf_ADMIN", method, path, body).await;
    let (status, made) = admin("POST", "/accounts", r#"{"name": "ada", "new_buckets": "private"}"#).await;
    assert_eq!((status, &made["new_buckets"]), (201, &"private".into()));
    for (body, shown) in [
        (r#"{"new_buckets": "public"}"#, json!("public")),
        (r#"{"new_buckets": null}"#, Value::Null),
        (r#"{"new_buckets": "private"}"#, json!("private")),
    ] {
        let (status, set) = admin("PUT", "/accounts/ada/settings", body).await;
        assert_eq!((status, &set["new_buckets"]), (200, &shown), "{body}");
    }
    let (_, all) = admin("GET", "/accounts", "").await;
    let ada = all.as_array().unwrap().iter().find(|account| account["name"] == "ada").unwrap();
    assert_eq!(ada["new_buckets"], "private");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason() {
    let api = api().await;
    let admin = async |method: &str, path: &str, body: &str| call(&api, "hf_ADMIN", method, path, body).await;
    for (method, path, body, status) in [
        ("POST", "/accounts", "nonsense", 400),
        ("POST", "/accounts", r#"{"name": "../x"}"#, 400),
        ("POST", "/accounts", r#"{"name": "ada", "members": ["bob"]}"#, 400),
        ("POST", "/accounts", r#"{"name": "root"}"#, 409),
        ("DELETE", "/accounts/root", "", 409),
        ("DELETE", "/accounts/none", "", 404),
        ("PUT", "/accounts/none/members", r#"{"members": []}"#, 404),
        ("POST", "/accounts", r#"{"name": "ada", "new_buckets": "secret"}"#, 400),
        ("POST", "/accounts", r#"{"name": "ada", "private": true}"#, 400),
        ("PUT", "/accounts/none/settings", r#"{"new_buckets": "private"}"#, 404),
        ("PUT", "/accounts/root/settings", r#"{"new_buckets": "private"}"#, 409),
        ("PUT", "/accounts/none/settings", "{}", 400),
        ("PUT", "/accounts/none/settings", r#"{"new_buckets": true}"#, 400),
        ("PUT", "/accounts/none/settings", r#"{"new_buckets": null, "private": true}"#, 400),
        ("POST", "/keys", r#"{"account": "none"}"#, 404),
        ("POST", "/keys", r#"{"account": "root", "permission": "all"}"#, 400),
        ("POST", "/keys", r#"{"account": "root", "expires_at": "soon"}"#, 400),
        ("DELETE", "/keys/ADMIN", "", 409),
        ("POST", "/keys", r#"{"account": "root", "expires": "2999-01-01T00:00:00Z"}"#, 400),
        ("POST", "/keys", r#"["root", "read", null, null]"#, 400),
        ("POST", "/keys/ADMIN/rotate", r#"{"expires_at": "2999-01-01T00:00:00Z"}"#, 400),
        ("POST", "/keys/ADMIN/rotate", "{}", 409),
    ] {
        let (got, answer) = admin(method, path, body).await;
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn backups_are_made_only_where_they_are_kept() {
    let api = api().await;
    let (status, answer) = call(&api, "hf_ADMIN", "POST", "/backups", r#"{"name":"one"}"#).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("[backup] folder"));
    let folder = tempfile::tempdir().unwrap();
    let backups = Backups {
        store: Arc::new(LocalStore::in_memory().unwrap()),
        data_dir: folder.path().to_owned(),
        folder: folder.path().to_owned(),
        beside: &[],
    };
    let directory = Arc::new(Directory::new([credential("ADMIN", Permission::Admin)]).unwrap());
    let store = Arc::new(EmbeddedMeta::in_memory().unwrap());
    let accounts = Accounts::open(store, directory, MasterKey::new(&[1; 32]), Ambient::system()).await;
    let api = router(AdminApi { accounts: Arc::new(accounts.unwrap()), backups: Some(backups) }).router;
    for bad in ["", "..", "../x", "/tmp/x", "a/b", "a.b", &"x".repeat(65)] {
        let body = json!({ "name": bad }).to_string();
        assert_eq!(call(&api, "hf_ADMIN", "POST", "/backups", &body).await.0, 400, "{bad}");
    }
}
