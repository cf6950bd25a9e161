//! The walks of `docs/architecture.md` are true as far as a test can tell: each function that they name exists, and a
//! write reaches the buckets within few files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A step of a walk: the file and the function.
type Step = (String, String);

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The walks by their titles: numbered lines that begin with a file and a function.
fn walks() -> Vec<(String, Vec<Step>)> {
    let text = read("docs/architecture.md");
    let mut walks = Vec::new();
    for walk in text.split("\n### ").skip(1) {
        let (title, lines) = walk.split_once('\n').unwrap();
        let mut steps = Vec::new();
        for line in lines.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
            let mut names = line.split('`').skip(1).step_by(2);
            steps.push((names.next().unwrap().to_owned(), names.next().unwrap().to_owned()));
        }
        walks.push((title.to_owned(), steps));
    }
    walks
}

#[test]
fn the_functions_that_walks_name_exist() {
    let walks = walks();
    assert_eq!(walks.len(), 6);
    for (title, steps) in walks {
        assert!(steps.len() >= 8, "{title}");
        for (file, function) in steps {
            let source = read(&file);
            let is_there = ["(", "<"].iter().any(|behind| source.contains(&format!("fn {function}{behind}")));
            assert!(is_there, "{title}: {file} has no function {function}");
        }
    }
}

#[test]
fn a_write_reaches_the_buckets_within_eight_files() {
    let (_, steps) = walks().into_iter().find(|(title, _)| title == "S3 PutObject").unwrap();
    let before = steps.iter().take_while(|(file, _)| !file.starts_with("src/bucket/"));
    let files: BTreeSet<_> = before.map(|(file, _)| file).collect();
    assert!((1..8).contains(&files.len()), "{files:?}");
}
