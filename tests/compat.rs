//! The published S3 clients against the binary: runs `compat-tests` with pytest.
//!
//! Python packages are pinned in `compat-tests/requirements.txt` and installed into a virtual environment below
//! `target/`, one for each content of that file, so that later runs need no network; boto3[crt], s3fs with what needs
//! it, and each older `huggingface_hub` have environments of their own in the same way. Nothing is skipped in
//! silence: without Python, or when pytest finds no test, this fails and says what to do. Clients that are no Python
//! packages are tried when `XETGATE_EXTENDED` is set, as `.ci/run` does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

const INSTALL_HINT: &str =
    "the compatibility tests need Python 3 with venv: apt-get install python3 python3-venv";

/// pytest's exit code when it found no test. Source: pytest documentation, "Exit codes".
const NO_TESTS: i32 = 5;

/// Runs a command whose output is for whoever watches; panics with `hint` if it fails.
fn run(command: &mut Command, hint: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}\n{hint}"));
    assert!(status.success(), "{command:?}: {status}\n{hint}");
}

/// A virtual environment with the packages pinned in a file: made now, or the one made before.
fn python(root: &Path, requirements: &str) -> PathBuf {
    let requirements = root.join(requirements);
    let pinned =
        fs::read(&requirements).unwrap_or_else(|error| panic!("{}: {error}", requirements.display()));
    let key = &blake3::hash(&pinned).to_hex()[..16];
    let venv = root.join("target/compat-venv").join(key);
    let python = venv.join("bin/python");
    let finished = venv.join("finished");
    if finished.exists() {
        return python;
    }
    // A virtual environment cannot be moved into place when it is whole, so a mark in it says that it is.
    if venv.exists() {
        fs::remove_dir_all(&venv).unwrap();
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), INSTALL_HINT);
    // Most modules of these packages are never imported: Python compiles the few that are.
    let pip =
        ["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-compile", "--requirement"];
    run(Command::new(&python).args(pip).arg(&requirements), "pip could not install the pinned packages");
    fs::write(finished, "").unwrap();
    python
}

/// One run at a time: they make the environment, and measure what the server does with its time.
static TURN: Mutex<()> = Mutex::new(());

/// Runs pytest over `what`, with `vars` for the suite.
fn pytest(what: &[&str], vars: &[(&str, &str)]) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let apart = ["crt", "s3fs", "hub15", "hub128"].map(|name| {
        let requirements = format!("compat-tests/clients/requirements-{name}.txt");
        (format!("XETGATE_{}_PYTHON", name.to_uppercase()), python(root, &requirements))
    });
    let status = Command::new(python(root, "compat-tests/requirements.txt"))
        .args(["-m", "pytest", "-q"])
        .args(what)
        .current_dir(root)
        .env("XETGATE_BIN", env!("CARGO_BIN_EXE_xetgate"))
        .envs(apart)
        .envs(vars.iter().copied())
        .status()
        .unwrap();
    assert_ne!(status.code(), Some(NO_TESTS), "pytest found no test in {what:?}");
    assert!(status.success(), "pytest: {status}; its own output, above, tells why");
}

#[test]
fn published_clients_work_against_the_binary() {
    pytest(&["compat-tests"], &[]);
}

#[test]
fn published_clients_work_against_a_gateway_in_front_of_a_hub() {
    let what = ["compat-tests/test_clients.py", "compat-tests/clients/test_features.py", "compat-tests/s3"];
    pytest(&what, &[("XETGATE_MODE", "hub")]);
}
