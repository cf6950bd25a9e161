//! One request through the layer, and what is kept of it.

use std::sync::Mutex;

use axum::extract::Extension;
use axum::http::Method;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// A place that log lines are written to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const PLACE: Api = Api {
    name: "test",
    id_header: "x-request-id",
    busy: |_, _| StatusCode::IM_A_TEAPOT.into_response(),
    failed: |_, _| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
};

/// Sends one request and gives the answer's body, its id header, and the log.
async fn ask(method: Method, uri: &str, read_body: bool) -> (String, String, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let answer = |Extension(id): Extension<RequestId>| async move { id.as_str().to_owned() };
    let router = observed(Router::new().fallback(answer), PLACE, Observability::plain(Ambient::system()));
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let id = response.headers()[PLACE.id_header].to_str().unwrap().to_owned();
    let body = response.into_body();
    let body = if read_body {
        body.collect().await.unwrap().to_bytes()
    } else {
        drop(body);
        Bytes::new()
    };
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (String::from_utf8(body.to_vec()).unwrap(), id, log)
}

#[tokio::test]
async fn a_request_leaves_one_line_with_its_id_and_without_its_query() {
    let (body, id, log) = ask(Method::GET, "/b/k%20k?X-Amz-Signature=5ec4e7", true).await;
    assert_eq!(body, id);
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)), "{id}");
    assert_eq!(log.lines().count(), 1);
    for part in [r#""path":"/b/k%20k""#, r#""status":200"#, r#""bytes":16"#, r#""whole":true"#, &id] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    assert!(!log.contains("5ec4e7"), "{log}");
}

#[tokio::test]
async fn an_answer_that_was_not_taken_is_not_whole() {
    let (_, _, log) = ask(Method::GET, "/", false).await;
    assert!(log.contains(r#""bytes":0"#) && log.contains(r#""whole":false"#), "{log}");
    let (_, _, log) = ask(Method::HEAD, "/", false).await;
    assert!(log.contains(r#""whole":true"#), "{log}");
}

/// A gateway with an audit log, whose requests all come from `remote`.
fn watched(audit: &std::path::Path, trusted: &[&str]) -> Observability {
    let trusted = trusted.iter().map(|address| address.parse().unwrap()).collect();
    let audit = Some(Arc::new(AuditLog::open(audit.to_owned()).unwrap()));
    Observability { audit, trusted_proxies: Arc::new(trusted), ..Observability::plain(Ambient::system()) }
}

/// Sends a request from 192.0.2.1 and waits for its end.
async fn send(watch: &Observability, forwarded: &str) {
    let router = Router::new().fallback(async || (StatusCode::NOT_FOUND, "nothing"));
    let request = Request::builder().uri("/b/k?secret").header("x-forwarded-for", forwarded);
    let mut request = request.body(Body::from("12345")).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 5))));
    let response = observed(router, PLACE, watch.clone()).oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
}

/// The next line of a file that another thread writes to.
fn line(path: &std::path::Path, number: usize) -> serde_json::Value {
    for _ in 0..1000 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = text.lines().nth(number).filter(|_| text.ends_with('\n')) {
            return serde_json::from_str(line).unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no line {number} in {}", path.display());
}

#[tokio::test]
async fn the_audit_log_has_a_line_for_each_request_and_goes_on_in_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let watch = watched(&path, &[]);
    send(&watch, "").await;
    let entry = line(&path, 0);
    assert_eq!((&entry["path"], &entry["status"]), (&"/b/k".into(), &404.into()));
    assert_eq!((&entry["address"], &entry["sent_bytes"]), (&"192.0.2.1".into(), &7.into()));
    assert!(!entry.to_string().contains("secret"));
    let moved = folder.path().join("audit.1");
    std::fs::rename(&path, &moved).unwrap();
    watch.audit.as_ref().unwrap().reopen();
    send(&watch, "").await;
    assert_eq!(line(&path, 0)["status"], 404);
    assert_eq!(std::fs::read_to_string(moved).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn only_proxies_that_are_trusted_say_whom_they_speak_for() {
    let folder = tempfile::tempdir().unwrap();
    let table = [
        (&[][..], "198.51.100.7", "192.0.2.1"),
        (&["192.0.2.1"], "198.51.100.7", "198.51.100.7"),
        // Only the last that no trusted proxy wrote down counts: the rest may be made up.
        (&["192.0.2.1"], "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (&["192.0.2.1", "192.0.2.2"], "198.51.100.7, 192.0.2.2", "198.51.100.7"),
        (&["192.0.2.1"], "not an address", "192.0.2.1"),
    ];
    for (number, (trusted, forwarded, address)) in table.into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        send(&watched(&path, trusted), forwarded).await;
        assert_eq!(line(&path, 0)["address"], address, "{forwarded} by {trusted:?}");
    }
}

#[tokio::test]
async fn whoever_comes_when_all_may_do_no_more_is_told_so_and_counted() {
    let all = super::super::rate_limit::RateLimit { requests_per_sec: 0, concurrent: 1 };
    let rate_limiter = Arc::new(RateLimiter::new(RateLimits { all, ..RateLimits::default() }));
    let watch = Observability { rate_limiter, ..Observability::plain(Ambient::system()) };
    let router = observed(Router::new().fallback(async || "x"), PLACE, watch.clone());
    let ask = || async {
        let request = Request::builder().uri("/").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let first = ask().await;
    assert_eq!(ask().await.status(), StatusCode::IM_A_TEAPOT, "the first is not read to its end");
    drop(first);
    assert_eq!(ask().await.status(), StatusCode::OK);
    let text = watch.metrics.text();
    for line in [
        r#"xetgate_slowed_down_total{door="test"} 1"#,
        r#"xetgate_errors_total{door="test",code="SlowDown"} 1"#,
        r#"xetgate_requests_in_flight{door="test"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn refusals_that_are_held_back_shut_nobody_out() {
    let all = super::super::rate_limit::RateLimit { requests_per_sec: 0, concurrent: 2 };
    let rate_limiter =
        Arc::new(RateLimiter::new(RateLimits { all, failures_per_sec: 20, ..RateLimits::default() }));
    let watch = Observability { rate_limiter, ..Observability::plain(Ambient::system()) };
    let answer = async |request: Request| {
        if request.headers().contains_key(header::AUTHORIZATION) {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::OK
        }
    };
    let router = observed(Router::new().fallback(answer), PLACE, watch);
    let ask = |token: Option<&str>| {
        let mut request =
            Request::builder().uri("/").extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let sent = router.clone().oneshot(request.body(Body::empty()).unwrap());
        async { sent.await.unwrap().status() }
    };
    // So many are answered at once.
    for _ in 0..50 {
        assert_eq!(ask(Some("Bearer wrong")).await, StatusCode::UNAUTHORIZED);
    }
    let held_back: Vec<_> = (0..20).map(|_| tokio::spawn(ask(Some("Bearer wrong")))).collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(held_back.iter().any(|refusal| !refusal.is_finished()), "they are held back");
    assert_eq!(ask(None).await, StatusCode::OK);
    for refusal in held_back {
        assert_eq!(refusal.await.unwrap(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_with_an_error_and_the_id() {
    let observability = Observability::plain(Ambient::system());
    let answer = async |request: Request| -> StatusCode { panic!("{}", request.uri().path()) };
    let router = observed(Router::new().fallback(answer), PLACE, observability.clone());
    let request = Request::builder().uri("/k").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()[PLACE.id_header].len(), 16);
    drop(response);
    let text = observability.metrics.text();
    let line = r#"xetgate_errors_total{door="test",code="InternalError"} 1"#;
    assert!(text.contains(line), "{line} is not in\n{text}");
}

#[tokio::test]
async fn credentials_are_not_shown_with_a_whole_request() {
    let answer = async |request: Request| format!("{:?}", request.headers());
    let router = observed(Router::new().fallback(answer), PLACE, Observability::plain(Ambient::system()));
    let request = Request::builder().uri("/").header(header::AUTHORIZATION, "Bearer hf_not-for-eyes");
    let request = request.header("x-amz-security-token", "not-for-eyes").header("x-shown", "for-eyes");
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("for-eyes") && !text.contains("not-for-eyes"), "{text}");
}
