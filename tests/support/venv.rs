//! Python packages in virtual environments below `target/`, for tests that run published programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const INSTALL_HINT: &str =
    "the tests of published clients need Python 3 with venv: apt-get install python3 python3-venv";

/// Runs a command whose output is for whoever watches; panics with `hint` if it fails.
fn run(command: &mut Command, hint: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}\n{hint}"));
    assert!(status.success(), "{command:?}: {status}\n{hint}");
}

/// A virtual environment with the packages pinned in a file: made now, or the one made before.
pub(crate) fn python(root: &Path, requirements: &str) -> PathBuf {
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
