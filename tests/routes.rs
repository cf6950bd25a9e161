//! Every route of both listeners, tried by every kind of caller: `docs/access.md` is what they are answered.
//!
//! The routes come from the routers themselves. One that has no request here, or no line in the table, fails the test.
//! `XETGATE_WRITE_TABLE=1 cargo test --test routes` writes the table anew, for its changes to be looked at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod routes_support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use routes_support::{Answer, House, OPEN, SHUT, hub_request, reach, s3_request};

/// Who knocks.
const CALLERS: [&str; 9] = [
    "nobody",
    "wrong secret",
    "revoked key",
    "other account",
    "removed member",
    "limited key",
    "read-only key",
    "member",
    "write key",
];

/// Those of them who may not do anything to the private bucket.
const STRANGERS: [&str; 6] =
    ["nobody", "wrong secret", "revoked key", "other account", "removed member", "limited key"];

/// Those who may change nothing.
const NOT_WRITERS: usize = 7;

/// Strangers who have a namespace of their own, or buckets elsewhere in it.
const WITH_A_GOOD_KEY: [&str; 3] = ["other account", "removed member", "limited key"];

/// What everyone may ask, whoever they are, and what is answered tells nothing about buckets or accounts.
const FOR_ALL: [&str; 6] = [
    "GET /health/live",
    "GET /health/ready",
    "GET /api/agent-harnesses",
    "POST /v1/telemetry",
    // A browser's question is answered by the bucket's own rules; here there are none.
    "S3 Preflight",
    "GET /api/whoami-v2",
];

/// Asked by anyone who has a key, for what is their own.
const OWN: [&str; 2] = ["S3 ListBuckets", "S3 CreateBucket"];

/// Asked by writers only: whether a chunk or a xorb is here, which may be of any account.
const OF_WRITERS: [&str; 2] = ["GET /cas/v1/chunks/{prefix}/{chunk}", "HEAD /cas/v1/xorbs/{prefix}/{xorb}"];

/// The address itself is signed, and asks for no token.
const SIGNED_ADDRESS: [&str; 1] = ["GET /cas/v1/ranges/{xorb}"];

const SECRET_CONTENT: &str = routes_support::CONTENT;
const SECRET_NAME: &str = routes_support::UNASKED;

/// Shows everyone the public buckets of a namespace, and those alone.
const LISTS_PUBLIC: &str = "GET /api/buckets/{namespace}";

/// Reads, though they are a POST.
const READS: [&str; 2] = ["POST /api/buckets/{namespace}/{name}/paths-info", "POST /cas/v1/reconstructions"];

/// What a read-only key is let to do with `method`.
fn is_read(route: &str) -> bool {
    let named = |name: &str| name.starts_with("Get") || name.starts_with("Head") || name.starts_with("List");
    match route.split_once(' ').unwrap() {
        ("S3", name) => named(name),
        _ if OF_WRITERS.contains(&route) => false,
        ("GET" | "HEAD", _) => true,
        _ => READS.contains(&route),
    }
}

fn key(method: &str, path: &str) -> String {
    format!("{method} {path}")
}

/// The answers of one route, by caller, in the shut bucket and in the open one.
async fn try_route(house: &House, method: &str, path: &str) -> Vec<(Answer, Answer)> {
    let mut answers = Vec::new();
    for caller in CALLERS {
        // The keys that may write come last, and a member's elsewhere, where it destroys nothing that others need.
        let apart = if caller == "member" { Some(House::new().await) } else { None };
        let house = apart.as_ref().unwrap_or(house);
        let ask = async |bucket| match method {
            "S3" => house.s3(caller, &s3_request(path, bucket)).await,
            _ => house.hub(caller, method, &hub_request(house, path, bucket), path).await,
        };
        answers.push((ask(SHUT).await, ask(OPEN).await));
    }
    answers
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says_and_nothing_leaks() {
    let routes = House::new().await.routes();
    assert!(routes.len() > 90, "the routers tell their routes: {}", routes.len());
    let mut table = BTreeMap::new();
    for route in &routes {
        // A house of its own: a key that may write changes it.
        let house = House::new().await;
        let name = key(&route.method, &route.path);
        let before = house.state().await;
        let answers = try_route(&house, &route.method, &route.path).await;
        let for_all = FOR_ALL.contains(&name.as_str());
        for (caller, (shut, open)) in CALLERS.iter().zip(&answers) {
            let is_stranger = STRANGERS.contains(caller);
            if is_stranger && name == LISTS_PUBLIC {
                assert!(!shut.body.contains("ada/shut"), "{caller} is told of a private bucket");
            } else if is_stranger && !for_all {
                let is_own = WITH_A_GOOD_KEY.contains(caller) && OWN.contains(&name.as_str());
                assert!(is_own || !shut.is_success(), "{name} lets {caller} in: {}", shut.status);
                assert!(
                    is_read(&name) || is_own || !open.is_success(),
                    "{name} lets {caller} change: {}",
                    open.status
                );
            }
            if matches!(*caller, "wrong secret" | "revoked key")
                && !for_all
                && !SIGNED_ADDRESS.contains(&name.as_str())
            {
                assert!(!open.is_success(), "{name} takes a wrong secret: {}", open.status);
            }
            if *caller == "read-only key" && !is_read(&name) && !for_all {
                assert!(!shut.is_success(), "{name} lets a read-only key change: {}", shut.status);
            }
            if is_stranger {
                for text in [SECRET_CONTENT, SECRET_NAME, "secret-of-"] {
                    assert!(!shut.body.contains(text), "{name} tells {caller} {text:?}: {}", shut.body);
                }
            }
        }
        let strangers = House::new().await;
        for caller in &CALLERS[..NOT_WRITERS] {
            for bucket in [SHUT, OPEN] {
                match route.method.as_str() {
                    "S3" => drop(strangers.s3(caller, &s3_request(&route.path, bucket)).await),
                    method => {
                        let asked = hub_request(&strangers, &route.path, bucket);
                        drop(strangers.hub(caller, method, &asked, &route.path).await);
                    }
                }
            }
        }
        assert_eq!(strangers.state().await, before, "{name}: who may not write has changed something");
        table.insert((listener_of(&route.method), name), answers);
    }
    compare(&table, &reach().await);
}

fn listener_of(method: &str) -> &'static str {
    if method == "S3" { "S3" } else { "Hub" }
}

fn compare(table: &BTreeMap<(&str, String), Vec<(Answer, Answer)>>, reach: &str) {
    let mut text = String::from(HEAD);
    for listener in ["S3", "Hub"] {
        let columns = CALLERS.join(" | ");
        writeln!(
            text,
            "\n## {listener} listener\n\n| route | {columns} |\n|---|{}",
            "---|".repeat(CALLERS.len())
        )
        .unwrap();
        for ((_, name), answers) in table.iter().filter(|((of, _), _)| *of == listener) {
            let cell = |(shut, open): &(Answer, Answer)| match (shut.status, open.status) {
                (shut, open) if shut == open => shut.to_string(),
                (shut, open) => format!("{shut}, {open}"),
            };
            let cells: Vec<_> = answers.iter().map(cell).collect();
            let name = name.strip_prefix("S3 ").unwrap_or(name);
            writeln!(text, "| `{name}` | {} |", cells.join(" | ")).unwrap();
        }
    }
    text += reach;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    if std::env::var_os("XETGATE_WRITE_TABLE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<_> = text.lines().filter(|line| !known.lines().any(|old| old == *line)).collect();
    let gone: Vec<_> = known.lines().filter(|line| !text.lines().any(|new| new == *line)).collect();
    assert!(
        changed.is_empty() && gone.is_empty(),
        "docs/access.md differs\nnow: {changed:#?}\nthere: {gone:#?}"
    );
}

const HEAD: &str = "# Who is answered what

## Whose bucket a name means

A bucket's bare name means the caller's own bucket; else one of its organisations', the first to have had the name; else
the alias of `[s3.aliases]`; never another account's, unless `s3.foreign_names = true`. To anonymous callers it means the
alias, else the bucket that has had the name for longest, public or not: a rename begins a new age, nothing else does.

## How this is known

Every route of both listeners, tried by every kind of caller. `tests/routes.rs` makes this table from the routers and
fails when it changes: a new route, or another answer, must be looked at here.

A cell is the status on a private bucket; where a public bucket is answered otherwise, a comma and that status. The
callers: without a credential; with a key that exists and a wrong secret, or a token of nobody; with a key that was
revoked; with a good key of an account that owns nothing here; with one of a former member of the owner, which is an
organisation; with a key of the owner that is limited to another bucket; with one that may only read; with a member's;
with one that may write. The tokens of the `/cas` routes are those that the Hub's API gives to each: none, a forged one,
one for another bucket, one for reading, one for writing; to former members and revoked or limited keys, one for writing,
from before. Bodies are empty where a route takes one, so a write key sees 400 and the like; that is past the guard.
";
