//! What a listener promises, tried over real sockets.

use axum::body::{Body, Bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;

const LIMITS: Limits = Limits {
    connections_max: 8,
    header_timeout: Duration::from_secs(5),
    slowness: Slowness { stall_timeout: Duration::from_secs(5), bytes_per_sec_min: 500 },
    shutdown_grace: Duration::from_secs(5),
};

const IMPATIENT: Slowness = Slowness { stall_timeout: Duration::from_millis(50), bytes_per_sec_min: 500 };

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<usize>,
}

async fn run(router: Router, limits: Limits) -> Running {
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), limits).await.unwrap();
    let address = listener.address();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(listener.run(router, async { drop(stopped.await) }));
    Running { address, stop, ended }
}

/// Sends `text` and reads to the end of the connection.
async fn talk(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A cut-off connection may end in an error; what came before it counts.
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
    drop(read.expect("the connection ends in time"));
    answer
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

const KEEP_ALIVE: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A router that signals when a request has arrived, and answers when it is told to.
fn gate() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (entered, may_answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go) = (Arc::clone(&entered), Arc::clone(&may_answer));
    let router = Router::new().fallback(move || async move {
        inside.notify_one();
        go.notified().await;
        "done"
    });
    (router, entered, may_answer)
}

#[tokio::test]
async fn a_request_knows_its_remote_address() {
    let answer = |ConnectInfo(remote): ConnectInfo<SocketAddr>| async move { remote.ip().to_string() };
    let running = run(Router::new().fallback(answer), LIMITS).await;
    assert!(talk(running.address, GET).await.ends_with("127.0.0.1"));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_it() {
    let running = run(Router::new(), LIMITS).await;
    let error = Listener::bind(running.address, LIMITS).await.unwrap_err();
    assert!(error.is_address_in_use());
    assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", running.address)), "{error}");
}

#[tokio::test]
async fn a_running_request_is_finished_before_the_end() {
    let (router, entered, may_answer) = gate();
    let running = run(router, LIMITS).await;
    let answer = tokio::spawn(talk(running.address, KEEP_ALIVE));
    entered.notified().await;
    running.stop.send(()).unwrap();
    may_answer.notify_one();
    assert!(answer.await.unwrap().ends_with("done"));
    assert_eq!(running.ended.await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_time_is_cut_off() {
    let (router, entered, _never) = gate();
    let running = run(router, Limits { shutdown_grace: Duration::from_millis(50), ..LIMITS }).await;
    let answer = tokio::spawn(talk(running.address, GET));
    entered.notified().await;
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), 1);
    assert_eq!(answer.await.unwrap(), "");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let running = run(Router::new(), LIMITS).await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    talk(running.address, GET).await; // so that the idle one has been accepted
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), 0);
}

#[tokio::test]
async fn one_connection_more_than_allowed_waits_for_its_turn() {
    let (router, entered, may_answer) = gate();
    let running = run(router, Limits { connections_max: 1, ..LIMITS }).await;
    let first = tokio::spawn(talk(running.address, GET));
    entered.notified().await;
    let second = tokio::spawn(talk(running.address, GET));
    let not_yet = tokio::time::timeout(Duration::from_millis(100), entered.notified()).await;
    assert!(not_yet.is_err(), "the second is in before the first is out");
    may_answer.notify_one();
    assert!(first.await.unwrap().ends_with("done"));
    entered.notified().await;
    may_answer.notify_one();
    assert!(second.await.unwrap().ends_with("done"));
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let running = run(Router::new(), Limits { header_timeout: Duration::from_millis(50), ..LIMITS }).await;
    let answer = talk(running.address, "GET / HTTP/1.1\r\nHost").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let read = |body: Body| async move {
        let read = http_body_util::BodyExt::collect(body).await;
        read.map_or("stalled", |_| "read")
    };
    let running = run(Router::new().fallback(read), Limits { slowness: IMPATIENT, ..LIMITS }).await;
    let answer = talk(running.address, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert!(answer.ends_with("stalled"), "{answer}");
}

/// A router that answers without asking for the body.
fn refusing() -> Router {
    Router::new().fallback(async || (axum::http::StatusCode::FORBIDDEN, "refused"))
}

#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_sends_its_body_to_the_end() {
    let running = run(refusing(), LIMITS).await;
    let body = "x".repeat(16 << 20);
    let head = format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = talk(running.address, &(head + &body)).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("connection: close") && answer.ends_with("refused"), "{answer}");
}

#[tokio::test]
async fn a_malformed_head_is_told_of_to_a_client_that_sends_on() {
    let running = run(refusing(), LIMITS).await;
    let answer = talk(running.address, &format!("PUT / HTTP/9.9\r\n\r\n{}", "x".repeat(8 << 20))).await;
    assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 505"), "{answer}");
}

#[tokio::test]
async fn a_refusal_with_a_small_body_keeps_the_connection() {
    let running = run(refusing(), LIMITS).await;
    for framing in
        ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
    {
        let two = format!("PUT / HTTP/1.1\r\nHost: x\r\n{framing}{GET}");
        let answers = talk(running.address, &two).await;
        assert_eq!(answers.matches("HTTP/1.1 403").count(), 2, "{answers}");
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_refused_without() {
    let running = run(refusing(), LIMITS).await;
    let head = "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let begun = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close"), "{answer}");
    assert!(!answer.contains("100 Continue") && begun.elapsed() < Duration::from_secs(3), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_and_a_slow_one_is_not() {
    let read = |body: Body| async move {
        let read = http_body_util::BodyExt::collect(body).await;
        read.map_or("too slow", |_| "read")
    };
    let slowness = Slowness { stall_timeout: Duration::from_millis(400), bytes_per_sec_min: 500 };
    let running = run(Router::new().fallback(read), Limits { slowness, ..LIMITS }).await;
    for (piece, expected) in [("x".to_owned(), "too slow"), ("x".repeat(200), "read")] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let length = 12 * piece.len();
        let head =
            format!("PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if stream.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        // Writing into a connection that was given up resets it; what had come before counts.
        let mut buffer = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
        }
        let answer = String::from_utf8_lossy(&answer);
        if expected == "read" {
            assert!(answer.ends_with("read"), "{answer}");
        } else {
            assert!(!answer.ends_with("read"), "{answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    /// Tells when it is dropped.
    struct Guard(Option<oneshot::Sender<()>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                let _ = sender.send(());
            }
        }
    }

    let (sender, given_up) = oneshot::channel();
    let guard = Arc::new(std::sync::Mutex::new(Some(Guard(Some(sender)))));
    let endless = move || async move {
        let guard = guard.lock().unwrap().take();
        Body::from_stream(futures::stream::repeat_with(move || {
            let _held = &guard;
            Ok::<_, Infallible>(Bytes::from(vec![0; 65536]))
        }))
    };
    let limits = Limits { slowness: IMPATIENT, ..LIMITS };
    let running = run(Router::new().fallback(endless), limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), given_up).await.expect("given up in time").unwrap();
}
