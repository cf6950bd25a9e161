//! `xetgate buckets` and `xetgate sync` as a person meets them: every example of the bucket guide, in each form of
//! output, typed into a shell against a server that runs for it.
//!
//! A test is a transcript in `tests/cli`: lines that begin with `$ ` are typed, what follows is what is shown. Lines of
//! standard error begin with `! `, an exit code other than 0 with `? `, remarks with `# `, and `%` ends output that has
//! no newline at its end. What differs from run to run is shown by a word: the server's address, and the present date
//! and time. `XETGATE_TRANSCRIPTS=write cargo test --test cli_guide` writes down what is shown now.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use time::OffsetDateTime;
use time::macros::format_description;

const TOKEN: &str = "hf_transcriptsToken0001";

/// The account of the guide, and its organisation.
const ACCOUNTS: &str = r#"
[[accounts]]
name = "username"
[[accounts.credentials]]
access_key_id = "AKTRANSCRIPTS0001"
secret_access_key = "secret+of/username=0001"
token = "hf_transcriptsToken0001"
permission = "write"

[[accounts]]
name = "my-org"
kind = "org"
members = ["username"]

[[accounts]]
name = "huggingface"
"#;

/// A server on a free port, until this is dropped.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start(home: &Path) -> Self {
        let config = home.join("config.toml");
        fs::write(&config, ACCOUNTS).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_xetgate"))
            .env_clear()
            .env("HOME", home)
            .env("XETGATE__S3__LISTEN", "127.0.0.1:0")
            .env("XETGATE__HUB__LISTEN", "127.0.0.1:0")
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let banner = lines
            .into_iter()
            .find_map(|line| line.split_once("Hub endpoint").map(|(_, at)| at.trim().to_owned()));
        let endpoint = banner.expect("the banner tells the endpoint");
        Self { child, endpoint }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell in a folder of its own, with `xetgate` and `hf` on its path.
struct Shell {
    server: Server,
    home: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        for folder in ["bin", "work"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        for name in ["xetgate", "hf"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_xetgate"), bin.join(name)).unwrap();
        }
        Self { server: Server::start(home.path()), home }
    }

    /// Types a line; gives what is shown.
    fn shown(&self, line: &str) -> String {
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.home.path().join("bin").display());
        let done = Command::new("bash")
            .args(["-c", line])
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .envs([("HF_ENDPOINT", self.server.endpoint.as_str()), ("HF_TOKEN", TOKEN)])
            .envs([("NO_COLOR", "1"), ("COLUMNS", "80"), ("TZ", "UTC"), ("LC_ALL", "C.UTF-8")])
            .current_dir(self.home.path().join("work"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        let is_taken = |line: &str| line.is_empty() || line.starts_with("$ ") || line.starts_with("# ");
        assert!(!out.lines().any(is_taken), "a transcript cannot tell this from its own lines: {out}");
        let mut shown = out.clone();
        if !out.is_empty() && !out.ends_with('\n') {
            shown.push_str("%\n");
        }
        for line in err.lines() {
            writeln!(shown, "! {line}").unwrap();
        }
        match done.status.code() {
            Some(0) => {}
            code => writeln!(shown, "? {}", code.unwrap()).unwrap(),
        }
        without_the_present(&shown.replace(&self.server.endpoint, "http://ENDPOINT"))
    }
}

/// Puts words of the same length in the place of the present date and the time behind it.
fn without_the_present(text: &str) -> String {
    let now = OffsetDateTime::now_utc();
    let days = [now - time::Duration::DAY, now]
        .map(|day| day.format(format_description!("[year]-[month]-[day]")).unwrap());
    let mut left = text;
    let mut shown = String::new();
    while let Some(at) = days.iter().filter_map(|day| left.find(day.as_str())).min() {
        shown.push_str(&left[..at]);
        shown.push_str("YYYY-MM-DD");
        left = &left[at + "YYYY-MM-DD".len()..];
        let is_time = |text: &str| {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            text.len() == "T00:00:00".len() && digits == 6 && text.starts_with(['T', ' '])
        };
        let Some(clock) = left.get(.."T00:00:00".len()).filter(|text| is_time(text)) else { continue };
        write!(shown, "{}HH:MM:SS", &clock[..1]).unwrap();
        left = &left[clock.len()..];
        // Fractions of a second come and go.
        if let Some(fraction) = left.strip_prefix('.') {
            left = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
        }
    }
    shown + left
}

/// Types a transcript's lines, and compares.
fn follow(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(format!("{name}.txt"));
    let expected = fs::read_to_string(&path).unwrap();
    let shell = Shell::new();
    let (mut seen, mut typed) = (String::new(), 0);
    for line in expected.lines() {
        if line.is_empty() || line.starts_with("# ") {
            writeln!(seen, "{line}").unwrap();
        } else if let Some(command) = line.strip_prefix("$ ") {
            typed += 1;
            write!(seen, "{line}\n{}", shell.shown(command)).unwrap();
        }
    }
    assert!(typed > 0, "{name} types nothing");
    if std::env::var_os("XETGATE_TRANSCRIPTS").is_some_and(|what| what == "write") {
        fs::write(&path, seen).unwrap();
        return;
    }
    let (mut expected, mut seen) = (expected.lines(), seen.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), seen.next()) {
            (None, None) => return,
            (want, have) => assert_eq!(have, want, "line {number} of {}", path.display()),
        }
    }
}

macro_rules! transcripts {
    ($($test:ident: $file:literal),* $(,)?) => {$(
        #[test]
        fn $test() {
            follow($file);
        }
    )*};
}

transcripts! {
    buckets_are_made_described_moved_and_deleted: "buckets",
    buckets_are_listed: "list_buckets",
    files_are_listed: "list_files",
    files_are_removed: "remove",
    files_are_copied_up_and_down_and_between_buckets: "copy",
    folders_are_synced: "sync",
    plans_are_made_and_applied: "plans",
    results_have_a_form_for_people_agents_programs_and_pipes: "formats",
}
