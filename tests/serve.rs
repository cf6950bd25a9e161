//! `xetgate serve` as its users meet it: what it says when it cannot start, and how it starts and stops.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

mod support;

use support::{Gateway, PATIENCE, command, wait};

/// Starts what must fail at once; gives its line on standard error.
fn refusal(home: &Path, args: &[&str], vars: &[(&str, &str)]) -> String {
    let mut child = command(home, args, vars).spawn().unwrap();
    let status = wait(&mut child);
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(status.code(), Some(1), "{err}");
    assert_eq!(out, "");
    assert_eq!(err.lines().count(), 1, "{err}");
    err.strip_prefix("xetgate: ").unwrap_or_else(|| panic!("{err}")).trim_end().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_first_start_needs_nothing_and_a_second_uses_the_same_credential() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Gateway::start(home.path(), &[], &[]);
    assert_eq!(first.stop("TERM"), Some(0));

    let data_dir = home.path().join(".local/share/xetgate");
    let file = data_dir.join("root-credential.toml");
    assert_eq!((mode(&data_dir), mode(&file)), (0o700, 0o600));
    let credential = fs::read_to_string(&file).unwrap();
    let value = |key: &str| {
        let line = credential.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.and_then(|rest| rest.strip_suffix('"')).unwrap().to_owned()
    };
    assert!(first.banner.contains(&format!("S3 endpoint   http://{}", first.address)), "{}", first.banner);
    assert!(first.banner.contains(&format!("AWS_ACCESS_KEY_ID={} ", value("access_key_id"))));
    assert!(!first.banner.contains(&value("secret_access_key")), "no terminal, no secret");

    // What the banner says to paste does read the secret.
    let keys = first.banner.lines().find_map(|line| line.trim().split_once(" aws ")).unwrap().0.to_owned();
    let script = format!("{keys}; printf %s \"$AWS_SECRET_ACCESS_KEY\"");
    let read = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap(), value("secret_access_key"));

    let mut second = Gateway::start(home.path(), &[], &[]);
    assert_eq!(second.stop("INT"), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), credential);
    assert!(second.banner.contains(&value("access_key_id")));
}

#[test]
fn a_given_credential_is_neither_kept_nor_shown() {
    let home = tempfile::tempdir().unwrap();
    let vars = [
        ("XETGATE_ROOT_ACCESS_KEY_ID", "AKGIVEN"),
        ("XETGATE_ROOT_SECRET_ACCESS_KEY", "given-by-environment"),
    ];
    let mut gateway = Gateway::start(home.path(), &["--data-dir", home.path().to_str().unwrap()], &vars);
    assert_eq!(gateway.stop("TERM"), Some(0));
    assert!(!gateway.banner.contains("given-by-environment"), "{}", gateway.banner);
    assert!(!home.path().join("root-credential.toml").exists());
}

#[test]
fn every_answer_has_its_id_and_every_request_its_line() {
    let home = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(home.path(), &["--log-format", "json"], &[]);
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /b/k?X-Amz-Signature=5ec4e7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let id =
        answer.lines().find_map(|line| line.strip_prefix("x-amz-request-id: ")).expect("an id").to_owned();

    let line = gateway.line_with("xetgate::access");
    for part in
        [&format!("\"id\":\"{id}\""), "\"method\":\"GET\"", "\"path\":\"/b/k\"", "\"remote\":\"127.0.0.1:"]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!line.contains("5ec4e7"), "{line}");
    assert_eq!(gateway.stop("TERM"), Some(0));
    assert_eq!(gateway.banner, "", "JSON is for machines");
}

#[test]
fn a_gateway_says_whether_it_is_well() {
    let home = tempfile::tempdir().unwrap();
    let health = |address: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xetgate"));
        command.env_clear().env("HOME", home.path()).args(["health", "--address", address]);
        command.output().unwrap()
    };
    let mut gateway = Gateway::start(home.path(), &["--log-format", "json"], &[]);
    let hub = gateway.hub.to_string();
    assert_eq!(health(&hub).status.code(), Some(0));
    assert_eq!(gateway.stop("TERM"), Some(0));
    let gone = health(&hub);
    assert_eq!(gone.status.code(), Some(1));
    let said = String::from_utf8(gone.stderr).unwrap();
    assert!(said.starts_with(&format!("xetgate: no answer from http://{hub}/health/ready: ")), "{said}");
}

#[test]
fn a_build_says_what_it_is() {
    let said = Command::new(env!("CARGO_BIN_EXE_xetgate")).arg("version").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.starts_with(&format!("xetgate {}\ncommit ", env!("CARGO_PKG_VERSION"))), "{said}");
    assert!(said.contains("\nmodes    standalone, cluster, hub\n"), "{said}");
}

#[test]
fn a_second_process_on_the_data_folder_is_refused_until_the_first_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let mut first = Gateway::start(home.path(), &[], &[]);
    let data_dir = fs::canonicalize(home.path()).unwrap().join(".local/share/xetgate");
    let expected = format!(
        "data folder {} is in use by another xetgate (pid {}): stop that one, or choose another folder with --data-dir",
        data_dir.display(),
        first.child.id()
    );
    assert_eq!(refusal(home.path(), &[], &[]), expected);

    // A process that was killed leaves no lock behind.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(Gateway::start(home.path(), &[], &[]).stop("TERM"), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = refusal(home.path(), &["--listen", &address], &[]);
    assert!(message.starts_with(&format!("cannot listen on {address}: Address already in use")), "{message}");
    assert!(message.ends_with("choose another address with --listen"), "{message}");
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    for bad in [file.clone(), file.join("below")] {
        let bad = bad.to_str().unwrap();
        let message = refusal(home.path(), &["--data-dir", bad], &[]);
        assert!(message.starts_with(&format!("cannot use data folder {bad}: ")), "{message}");
    }
}

#[test]
fn a_bad_configuration_is_one_line_that_names_the_place() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("x.toml");
    let path = file.to_str().unwrap();
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        refusal(home.path(), &["--config", path], &[])
    };
    assert!(
        with("[s3]\nlisten_at = 1")
            .starts_with(&format!("unknown key `s3.listen_at` in {path} (known here: "))
    );
    assert!(
        with("mode = \"cluter\"").starts_with(&format!("`mode` in {path}: mode \"cluter\" does not exist"))
    );
    assert!(with("mode = \"cluster\"").starts_with("`metadata.url` must name the PostgreSQL database"));
    assert!(with("a = = 1").starts_with(&format!("{path} is not valid TOML: TOML parse error at line 1, ")));
    assert!(with("[log]\nfilter = \"a=b=c\"").starts_with("log filter \"a=b=c\" is not valid: "));
    let twice = "[[accounts]]\nname = \"a\"\n[[accounts.credentials]]\npermission = \"read\"\n\
                 access_key_id = \"AK\"\nsecret_access_key = \"a-secret\"\n";
    assert_eq!(
        with(&format!("{twice}{}", twice.replace("\"a\"", "\"b\""))),
        "access key id AK is given twice"
    );

    let missing = home.path().join("missing.toml");
    let message = refusal(home.path(), &["--config", missing.to_str().unwrap()], &[]);
    assert_eq!(
        message,
        format!(
            "cannot read configuration file {}: No such file or directory (os error 2)",
            missing.display()
        )
    );
    let message = refusal(home.path(), &[], &[("XETGATE__S3__PORT", "1")]);
    assert!(
        message.starts_with("unknown key `s3.port` in environment variable XETGATE__S3__PORT"),
        "{message}"
    );
}

#[test]
fn a_bad_root_credential_is_one_line() {
    let home = tempfile::tempdir().unwrap();
    let half = refusal(home.path(), &[], &[("XETGATE_ROOT_ACCESS_KEY_ID", "AK")]);
    assert!(
        half.starts_with("XETGATE_ROOT_ACCESS_KEY_ID is set but XETGATE_ROOT_SECRET_ACCESS_KEY is not"),
        "{half}"
    );

    let data_dir = home.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    let file = data_dir.join("root-credential.toml");
    fs::write(&file, "access_key_id = \"AK").unwrap();
    // Else there is a second line, about those who may read it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let damaged = refusal(home.path(), &["--data-dir", data_dir.to_str().unwrap()], &[]);
    assert!(damaged.contains("root-credential.toml is damaged ("), "{damaged}");
}

#[test]
fn a_root_credential_that_others_may_read_is_closed_to_them_and_warned_of() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Gateway::start(home.path(), &[], &[]).stop("TERM"), Some(0));
    let file = home.path().join(".local/share/xetgate/root-credential.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let gateway = Gateway::start(home.path(), &[], &[]);
    let warned = |line: &String| line.contains("others could read this key until now");
    assert!(gateway.start_lines.iter().any(warned), "{:?}", gateway.start_lines);
    assert_eq!(mode(&file), 0o600);
}

/// A collector of traces that takes one batch; gives what it was sent.
fn collector() -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let receiving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut sent = Vec::new();
        let head_bytes = loop {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).unwrap();
            sent.extend_from_slice(&piece[..count]);
            if let Some(at) = sent.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8(sent[..head_bytes].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut rest = vec![0; head_bytes + length.parse::<usize>().unwrap() - sent.len()];
        stream.read_exact(&mut rest).unwrap();
        sent.extend(rest);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        sent
    });
    (endpoint, receiving)
}

#[test]
fn traces_reach_the_collector_before_the_process_ends() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, receiving) = collector();
    let vars = [
        ("XETGATE__TRACES__OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=for-the-collector"),
    ];
    let mut gateway = Gateway::start(home.path(), &[], &vars);
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.write_all(b"GET /no-such-bucket HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(gateway.stop("TERM"), Some(0));
    let sent = receiving.join().unwrap();
    let sent = String::from_utf8_lossy(&sent);
    assert!(sent.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{sent}");
    for part in ["x-collector-key: for-the-collector", "service.name", "NoSuchBucket", "http.request.method"]
    {
        assert!(sent.contains(part), "{part}: {sent}");
    }
}

#[test]
fn a_collector_that_is_not_there_is_told_of_once_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{gone}");
    let vars = [("XETGATE__TRACES__OTLP_ENDPOINT", endpoint.as_str())];
    let mut gateway = Gateway::start(home.path(), &[], &vars);
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("AccessDenied"), "{answer}");
    assert_eq!(gateway.stop("TERM"), Some(0));
    assert!(gateway.line_with("traces cannot be sent to the collector").contains("WARN"));
}
