//! Layers are law: a module uses only what stands below it.
//!
//! Reads every path that begins with `crate` or `super` in `src/`, wherever it stands (in a `use` with nested braces
//! or in the middle of code), and fails on an arrow that runs up or sideways. The APIs count as sideways to each
//! other. It also holds files to their size and `src/` to its plan.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A module may use those before it.
const LAYERS: [&str; 10] =
    ["xet", "model", "store", "cas", "engine", "bucket", "auth", "serve", "gateway", "cli"];

/// Beside the layers, with what they may use. `cli` uses both; `gateway` reads `config`, and `config` the log format of
/// `telemetry`.
const BESIDE: [(&str, &[&str]); 2] =
    [("config", &["auth", "model", "store", "telemetry"]), ("telemetry", &["store"])];

/// Rooms of one layer that must not know each other: the APIs, and the implementations of one contract. What two of them
/// need stands beside them in their layer, which for its part knows only the implementations that it composes.
const SIBLINGS: [(&str, &[&str]); 3] = [
    ("serve", &["s3", "hub", "cas", "admin", "health", "console"]),
    ("bucket", &["native", "hub"]),
    ("cas", &["local", "remote"]),
];

/// Rooms that have rooms of their own: no circle runs through these either.
const FLOORS: [&str; 2] = ["cli::hf", "serve::hub"];

const LINES_MAX: usize = 500;

/// Every Rust file below a folder, in order.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A file's module path: `src/serve/s3/mod.rs` is `[serve, s3]`.
fn module_of(file: &Path) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inside = file.strip_prefix(source).unwrap().with_extension("");
    let mut path: Vec<_> = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
        path.pop();
    }
    path
}

/// Words and signs of a Rust text, without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if starts(at, "//") {
            at = (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len());
        } else if starts(at, "/*") {
            at = (at..chars.len()).find(|&i| starts(i, "*/")).map_or(chars.len(), |end| end + 2);
        } else if let Some(end) = literal_end(&chars, at) {
            at = end;
        } else if is_word(chars[at]) {
            let end = (at..chars.len()).find(|&i| !is_word(chars[i])).unwrap_or(chars.len());
            tokens.push(chars[at..end].iter().collect());
            at = end;
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !chars[at].is_whitespace() {
                tokens.push(chars[at].to_string());
            }
            at += 1;
        }
    }
    tokens
}

/// Where the string or character that begins here ends; `None` if none begins here.
fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    let before_is_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let prefix = chars[at..].iter().take_while(|c| matches!(c, 'b' | 'r' | 'c')).count();
    let hashes = chars[at + prefix..].iter().take_while(|c| **c == '#').count();
    let quote = at + prefix + hashes;
    if prefix > 0
        && !before_is_word
        && chars[at..at + prefix].contains(&'r')
        && chars.get(quote) == Some(&'"')
    {
        let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
        return (quote + 1..chars.len())
            .find(|&i| chars[i..].starts_with(&close))
            .map(|end| end + close.len());
    }
    let escaped_end = |quote: char| {
        let mut i = at + 1;
        while i < chars.len() && chars[i] != quote {
            i += if chars[i] == '\\' { 2 } else { 1 };
        }
        Some(i + 1)
    };
    match chars[at] {
        '"' => escaped_end('"'),
        // A character, not a lifetime.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => escaped_end('\''),
        _ => None,
    }
}

/// Every path from the root that a text names, for a module at `here`.
fn paths(text: &str, here: &[String]) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut inline = Vec::new(); // the depths of the braces of `mod name { ... }` around us, and their names
    let mut depth = 0;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && tokens[at - 2] == "mod" {
                    inline.push((depth, tokens[at - 1].clone()));
                }
            }
            "}" => {
                inline.retain(|(opened, _)| *opened != depth);
                depth -= 1;
            }
            "crate" | "super" if tokens.get(at + 1).is_some_and(|next| next == "::") => {
                if at > 0 && tokens[at - 1] == "::" {
                    continue; // the second of `super::super`, followed from the first
                }
                let mut base: Vec<String> = Vec::new();
                if token == "super" {
                    base.extend(here.iter().cloned().chain(inline.iter().map(|(_, name)| name.clone())));
                    base.pop();
                }
                tree(&tokens, at + 2, &base, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Follows a path, with its braces, from token `at`; gives the token after it.
fn tree(tokens: &[String], mut at: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("super") => {
                path.pop();
            }
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = if tokens[at] == "," { at + 1 } else { tree(tokens, at, &path, found) };
                }
                return at + 1;
            }
            Some(word) => path.push(word.to_owned()),
            None => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    // `as name` belongs to the path.
    if tokens.get(at).is_some_and(|next| next == "as") { at + 2 } else { at }
}

/// Why a module must not use a path; `None` if it may.
fn objection(from: &[String], to: &[String]) -> Option<String> {
    let (Some(upper), Some(lower)) = (from.first(), to.first()) else {
        return None; // the crate's root shows every module
    };
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    if upper == lower {
        let siblings = SIBLINGS.iter().find(|(layer, _)| layer == upper).map(|(_, rooms)| *rooms)?;
        let room = |path: &[String]| path.get(1).filter(|name| siblings.contains(&name.as_str())).cloned();
        return match (room(from), room(to)) {
            (Some(from), Some(to)) if from != to => Some(format!("{from} and {to} are siblings")),
            // An API is composed above `serve`; its other modules serve all APIs alike.
            (None, Some(to)) if upper == "serve" => {
                Some(format!("{to} is an API, which {upper} does not know"))
            }
            _ => None,
        };
    }
    if let Some((_, may_use)) = BESIDE.iter().find(|(name, _)| name == upper) {
        return (!may_use.contains(&lower.as_str())).then(|| format!("{upper} may use only {may_use:?}"));
    }
    if BESIDE.iter().any(|(name, _)| name == lower) {
        let may_use = upper == "cli" || (upper == "gateway" && lower == "config");
        return (!may_use).then(|| format!("{lower} is not for {upper}"));
    }
    match (rank(upper), rank(lower)) {
        (Some(above), Some(below)) if below < above => None,
        (Some(_), Some(_)) => Some(format!("{lower} stands above {upper}")),
        _ => Some(format!("{lower} is no layer")),
    }
}

#[test]
fn no_arrow_runs_up_or_sideways() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let here = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        if here == ["main"] {
            let outside =
                tokens(&text).windows(3).any(|w| w[0] == "xetgate" && w[1] == "::" && w[2] != "cli");
            assert!(!outside, "main.rs calls cli and uses nothing else");
            continue;
        }
        for path in paths(&text, &here) {
            if let Some(objection) = objection(&here, &path) {
                wrong.push(format!("{}: {} ({objection})", file.display(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run up or sideways:\n{}", wrong.join("\n"));
}

/// Which rooms of its layer each room of a layer uses. Tests are no part of a room.
fn rooms() -> BTreeMap<(String, String), BTreeSet<String>> {
    let files = rust_files("src");
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module_of(file)).collect();
    let mut rooms = BTreeMap::<_, BTreeSet<_>>::new();
    for file in &files {
        let here = module_of(file);
        let is_test = |name: &String| ["tests", "conformance", "simulated"].contains(&name.as_str());
        if here.iter().any(is_test) {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for path in paths(text, &here) {
            for depth in 1..here.len().min(path.len()) {
                let floor = here[..depth].join("::");
                let (room, used) = (&here[depth], &path[depth]);
                let is_floor = depth == 1 || FLOORS.contains(&floor.as_str());
                let is_neighbour = path[..depth] == here[..depth] && modules.contains(&path[..=depth]);
                if is_floor && is_neighbour && used != room && !is_test(used) {
                    rooms.entry((floor, room.clone())).or_default().insert(used.clone());
                }
            }
        }
    }
    rooms
}

/// The rooms of a layer that a room uses, itself or through others.
fn reached(
    rooms: &BTreeMap<(String, String), BTreeSet<String>>,
    layer: &str,
    room: &str,
) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut from = vec![room.to_owned()];
    while let Some(room) = from.pop() {
        for next in rooms.get(&(layer.to_owned(), room)).into_iter().flatten() {
            if reached.insert(next.clone()) {
                from.push(next.clone());
            }
        }
    }
    reached
}

#[test]
fn no_circle_runs_through_the_rooms_of_a_layer() {
    let rooms = rooms();
    let mut circles = BTreeSet::new();
    for (layer, room) in rooms.keys() {
        let round = reached(&rooms, layer, room);
        if round.contains(room) {
            let back = |other: &&String| reached(&rooms, layer, other).contains(room);
            circles.insert((layer.clone(), round.iter().filter(back).cloned().collect::<Vec<_>>()));
        }
    }
    assert!(circles.is_empty(), "rooms that use each other: {circles:?}");
}

#[test]
fn no_file_is_longer_than_one_can_read() {
    let long: Vec<_> = ["src", "tests"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|file| fs::read_to_string(file).unwrap().lines().count() > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:?}");
}

#[test]
fn src_shows_the_layers_and_nothing_else() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let stem = name.strip_suffix(".rs").unwrap_or(&name);
        let known = LAYERS.contains(&stem)
            || BESIDE.iter().any(|(beside, _)| *beside == stem)
            || matches!(name.as_str(), "lib.rs" | "main.rs");
        assert!(known, "src/{name} is not in the plan");
    }
}

/// The reader itself: what it finds in a text, for the module `serve::hub`.
fn seen(text: &str) -> Vec<String> {
    let here = ["serve", "hub"].map(str::to_owned);
    paths(text, &here).into_iter().map(|path| path.join("::")).collect()
}

#[test]
fn paths_are_found_wherever_they_stand() {
    assert_eq!(
        seen("use crate::a::{b, c::{d as e, self}, f::*};"),
        ["a::b", "a::c::d", "a::c::self", "a::f::*"]
    );
    assert_eq!(seen("use crate::{a, b::c};"), ["a", "b::c"]);
    assert_eq!(seen("fn f() -> crate::a::B<'a> { super::s3::x() }"), ["a::B", "serve::s3::x"]);
    assert_eq!(seen("pub use super::super::bucket::X;"), ["bucket::X"]);
    assert_eq!(
        seen("mod tests { use super::*; use super::super::s3; } use super::s3;"),
        ["serve::hub::*", "serve::s3", "serve::s3"]
    );
    let hidden = "// crate::a\n/* crate::b */ let _ = (\"crate::c \\\" crate::d\", r#\"crate::e\" \"#, '\"'); crate::f";
    assert_eq!(seen(hidden), ["f"]);
    assert_eq!(seen("pub(crate) fn f() {} pub(in crate::serve) struct S;"), ["serve"]);
}

#[test]
fn arrows_are_judged_by_the_plan() {
    let judge = |from: &str, to: &str| {
        let split = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
        objection(&split(from), &split(to)).is_none()
    };
    for (from, to) in [
        ("store::pack", "xet::hash"),
        ("store::meta", "model::names"),
        ("serve::s3", "serve::http::RequestId"),
        ("serve::s3::get", "serve::s3::error"),
        ("bucket::hub::api", "bucket::payload"),
        ("cli::serve", "gateway"),
        ("gateway::backend", "serve::s3"),
        ("gateway", "config"),
        ("cli", "config"),
        ("config", "telemetry"),
        ("config", "auth"),
    ] {
        assert!(judge(from, to), "{from} may use {to}");
    }
    for (from, to) in [
        ("xet", "store"),
        ("model", "store"),
        ("auth", "config"),
        ("serve::s3", "serve::hub"),
        ("serve::http::listener", "serve::s3"),
        ("bucket::hub", "bucket::native::errors"),
        ("cas::remote::read", "cas::local"),
        ("serve", "cli"),
        ("serve", "gateway"),
        ("gateway", "cli"),
        ("gateway", "telemetry"),
        ("bucket", "auth"),
        ("store", "telemetry"),
        ("config", "serve"),
        ("auth", "Reexport"),
    ] {
        assert!(!judge(from, to), "{from} must not use {to}");
    }
}
