//! The published S3 clients against the binary: runs `compat-tests` with pytest.
//!
//! Python packages are pinned in `compat-tests/requirements.txt` and installed into a virtual environment below
//! `target/`, one for each content of that file, so that later runs need no network; boto3[crt], s3fs with what needs
//! it, each older `huggingface_hub` and PostgreSQL's programs have environments of their own in the same way. Nothing
//! is skipped in silence: without Python, or when pytest finds no test, this fails and says what to do. Clients that
//! are no Python packages are tried when `XETGATE_EXTENDED` is set, as `.ci/run` does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/postgres.rs"]
mod postgres;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use support::venv::{self, python};

/// pytest's exit code when it found no test. Source: pytest documentation, "Exit codes".
const NO_TESTS: i32 = 5;

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
        .env("XETGATE_POSTGRES_BIN", postgres::programs().join("bin"))
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

#[test]
fn published_clients_work_with_packs_in_an_object_store() {
    let what = ["compat-tests/s3", "compat-tests/test_durability.py"];
    pytest(&what, &[("XETGATE_PACKS", "rclone")]);
}

/// Each request goes to another node, by a proxy that is a package of Debian's: with the extended suite only.
#[test]
fn published_clients_work_through_three_nodes() {
    if std::env::var_os("XETGATE_EXTENDED").is_none() {
        return;
    }
    let what = [
        "compat-tests/test_clients.py",
        "compat-tests/s3",
        "compat-tests/hub/test_hub_transfers.py",
        "compat-tests/cli/test_against_hf.py",
    ];
    pytest(&what, &[("XETGATE_MODE", "cluster")]);
}
