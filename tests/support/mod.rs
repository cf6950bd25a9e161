//! `xetgate serve` as a process, for tests that meet it from outside.

#![allow(dead_code, reason = "no test needs all of it")]

pub(crate) mod venv;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longer than anything here takes; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// `xetgate serve` in an environment of its own, on a free port.
pub(crate) fn command(home: &Path, args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xetgate"));
    command.env_clear().env("HOME", home).envs(vars.iter().copied());
    command.env("XETGATE__S3__LISTEN", "127.0.0.1:0").env("XETGATE__HUB__LISTEN", "127.0.0.1:0");
    command.arg("serve").args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits for the end, but not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A gateway that runs until this is dropped.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) hub: SocketAddr,
    pub(crate) banner: String,
    /// What the log said until it listened.
    pub(crate) start_lines: Vec<String>,
    lines: mpsc::Receiver<String>,
}

impl Gateway {
    pub(crate) fn start(home: &Path, args: &[&str], vars: &[(&str, &str)]) -> Self {
        let mut child = command(home, args, vars).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let (banner, start_lines) = (String::new(), Vec::new());
        let mut gateway = Self { child, address: NOWHERE, hub: NOWHERE, banner, start_lines, lines };
        let line = loop {
            let line = gateway.line_with("");
            if line.contains("listening") {
                break line;
            }
            gateway.start_lines.push(line);
        };
        let mut ports = line.split("127.0.0.1:").skip(1);
        let mut next = || {
            let rest = ports.next().expect("the line tells both addresses");
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            format!("127.0.0.1:{port}").parse().unwrap()
        };
        (gateway.address, gateway.hub) = (next(), next());
        gateway
    }

    /// The next line of the log that contains `part`.
    pub(crate) fn line_with(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: a machine may have no other.
        let sent =
            Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends a signal and gives the exit code; the banner is then complete.
    pub(crate) fn stop(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        let code = wait(&mut self.child).code();
        self.child.stdout.take().unwrap().read_to_string(&mut self.banner).unwrap();
        code
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
