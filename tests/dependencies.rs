//! Every dependency has a licence that may be shipped, comes from crates.io, has no known flaw, and a reason to be here.
//!
//! Offline and the same everywhere: licences are read from `cargo metadata`, sources and versions from `Cargo.lock`,
//! advisories from `.ci/advisories.tsv` (refreshed by `.ci/advisories.py`). See `docs/decisions`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Licences whose terms an Apache-2.0 binary meets by shipping its notices.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Advisories that do not touch us: crate, id, and why.
const ADVISORIES_ACCEPTED: [(&str, &str, &str); 0] = [];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Whether an SPDX expression (or the older `A/B` for "or") can be met with the allowed licences.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut at = 0;
    let allowed = any_of(&words, &mut at);
    allowed && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all_of(words, at);
    }
    allowed
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut allowed = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let allowed = any_of(words, at);
        *at += 1; // the closing one
        return allowed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return LICENCES.contains(&format!("{word} WITH {exception}").as_str());
    }
    LICENCES.contains(word)
}

type Version = [u64; 3];

/// A version's numbers, and how many were written; what follows `-` or `+` does not count here.
fn version(text: &str) -> (Version, usize) {
    let mut numbers = [0; 3];
    let mut written = 0;
    for part in text.trim().split(['-', '+']).next().unwrap().split('.').take(3) {
        if part != "*" {
            numbers[written] = part.parse().unwrap_or_else(|_| panic!("version {text:?}"));
            written += 1;
        }
    }
    (numbers, written)
}

/// The first version that `^text` does not include.
fn caret_end(([major, minor, patch], written): (Version, usize)) -> Version {
    match (major, minor, written) {
        (0, 0, 3) => [0, 0, patch + 1],
        (0, _, 2 | 3) => [0, minor + 1, 0],
        _ => [major + 1, 0, 0],
    }
}

/// Whether a version meets a requirement such as `>= 1.2, < 2`.
fn meets(have: Version, requirement: &str) -> bool {
    requirement.split(',').all(|part| {
        let part = part.trim();
        let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or_else(|| panic!("{requirement:?}"));
        let asked = version(&part[digits..]);
        match part[..digits].trim() {
            ">=" => have >= asked.0,
            ">" => have > asked.0,
            "<" => have < asked.0,
            "<=" => have <= asked.0,
            "=" => have == asked.0,
            "" | "^" => have >= asked.0 && have < caret_end(asked),
            "~" => have >= asked.0 && have[..2] == asked.0[..2],
            other => panic!("operator {other:?} in {requirement:?}"),
        }
    })
}

/// Name, version and source of every package in `Cargo.lock`, for every platform.
fn locked() -> Vec<(String, String, Option<String>)> {
    let lock = read("Cargo.lock");
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.map(|rest| rest.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages.map(|p| (value(p, "name").unwrap(), value(p, "version").unwrap(), value(p, "source"))).collect()
}

#[test]
fn every_licence_may_be_shipped() {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Only the packages of this platform: others are not built, so need not have been fetched.
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
    let metadata =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let metadata = metadata.unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "the metadata holds all packages");
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "licences that may not be shipped:\n{}", refused.join("\n"));
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for (name, version, source) in locked() {
        let fine = match source.as_deref() {
            None => name == "xetgate",
            Some(source) => source == "registry+https://github.com/rust-lang/crates.io-index",
        };
        assert!(fine, "{name} {version} comes from {source:?}");
    }
}

#[test]
fn no_dependency_has_a_known_flaw() {
    let locked = locked();
    let table = read(".ci/advisories.tsv");
    let mut flaws = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let [package, id, kind, fine] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let accepted =
            ADVISORIES_ACCEPTED.iter().any(|(name, accepted, _)| (*name, *accepted) == (package, id));
        for (_, text, _) in locked.iter().filter(|(name, ..)| name == package && !accepted) {
            let have = version(text).0;
            let is_fine =
                fine.split('|').any(|requirement| !requirement.is_empty() && meets(have, requirement));
            if !is_fine {
                flaws.push(format!("{package} {text}: {id} ({kind}; fine are {fine:?})"));
            }
        }
    }
    assert!(flaws.is_empty(), "known flaws:\n{}", flaws.join("\n"));
}

/// The names in a section of `Cargo.toml`.
fn declared(manifest: &str, section: &str) -> BTreeSet<String> {
    let start = manifest.find(&format!("[{section}]\n")).unwrap();
    let lines = manifest[start..].lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_dependency_has_its_reason_and_every_reason_its_dependency() {
    let manifest = read("Cargo.toml");
    let table = read("docs/decisions/0001-dependencies.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let rows: Vec<_> = rows.map(|(names, _)| names).filter(|names| *names != "crate").collect();
    let reasons = |in_tests: bool| -> BTreeSet<String> {
        let rows = rows.iter().filter(|row| row.ends_with(" (tests)") == in_tests);
        rows.flat_map(|row| row.trim_end_matches(" (tests)").split(", ")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(reasons(false), declared(&manifest, "dependencies"));
    assert_eq!(reasons(true), declared(&manifest, "dev-dependencies"));
}

#[test]
fn the_checks_can_tell_good_from_bad() {
    for good in
        ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0", "MIT AND 0BSD"]
    {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH Other", "(MIT"] {
        let allowed = is_allowed(bad);
        assert!(!allowed, "{bad}");
    }
    for good in
        [">= 1.2.3", "^1.0", "1.2", "> 1.2.2, < 2", "~1.2.0", "<= 1.2.3", "= 1.2.3", ">=1.0.0-alpha.1"]
    {
        assert!(meets([1, 2, 3], good), "{good}");
    }
    for bad in [">= 1.2.4", "^0.3", "1.3", "< 1.2.3", "~1.1.0", "2"] {
        assert!(!meets([1, 2, 3], bad), "{bad}");
    }
    assert!(meets([0, 3, 9], "^0.3.1") && !meets([0, 4, 0], "^0.3.1") && !meets([0, 0, 4], "^0.0.3"));
}
