//! A bucket's files as a list or as a tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Mode, Terminal, python_json, words};
use crate::bucket::Timestamp;
use crate::cli::failure::Failure;

/// A line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Entry {
    /// A file.
    File {
        /// Its whole path in the bucket.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// Its Xet hash.
        xet_hash: String,
        /// What its uploader says of its last change.
        mtime: Option<Timestamp>,
        /// When it came.
        uploaded_at: Option<Timestamp>,
    },
    /// What paths have in common up to a slash.
    Folder {
        /// The whole path, without the slash.
        path: String,
        /// When the newest file below it came.
        uploaded_at: Option<Timestamp>,
    },
}

impl Entry {
    fn path(&self) -> &str {
        match self {
            Self::File { path, .. } | Self::Folder { path, .. } => path,
        }
    }

    fn date(&self, human: bool) -> String {
        let at = match self {
            Self::File { mtime, uploaded_at, .. } => mtime.or(*uploaded_at),
            Self::Folder { uploaded_at, .. } => *uploaded_at,
        };
        at.map(|at| words::date(at, human)).unwrap_or_default()
    }

    fn json(&self) -> JsonEntry<'_> {
        match self {
            Self::File { path, size, xet_hash, mtime, uploaded_at } => JsonEntry {
                kind: "file",
                path,
                size: Some(*size),
                xet_hash: Some(xet_hash),
                mtime: mtime.map(words::iso),
                uploaded_at: uploaded_at.map(words::iso),
            },
            Self::Folder { path, uploaded_at } => JsonEntry {
                kind: "directory",
                path,
                size: None,
                xet_hash: None,
                mtime: None,
                uploaded_at: uploaded_at.map(words::iso),
            },
        }
    }
}

#[derive(Serialize)]
struct JsonEntry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xet_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded_at: Option<String>,
}

/// How a listing is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Form {
    /// Sizes and dates for people.
    pub(in crate::cli) human_readable: bool,
    /// As a tree.
    pub(in crate::cli) tree: bool,
    /// Whether folders were entered.
    pub(in crate::cli) recursive: bool,
}

impl Terminal {
    /// Prints the listing.
    pub(in crate::cli) fn listing(&mut self, entries: &[Entry], form: Form) -> Result<(), Failure> {
        if entries.is_empty() {
            return self.text("(empty)");
        }
        let quiet = self.mode() == Mode::Quiet;
        let text = if form.tree {
            tree(entries, form.human_readable, !quiet)
        } else if self.mode() == Mode::Json {
            python_json::indented(&entries.iter().map(Entry::json).collect::<Vec<_>>()) + "\n"
        } else {
            entries.iter().map(|entry| line(entry, form.human_readable, quiet)).collect()
        };
        self.print(&text)?;
        if !form.recursive && entries.iter().any(|entry| matches!(entry, Entry::Folder { .. })) {
            self.hint("Use -R to list files recursively.");
        }
        Ok(())
    }
}

fn line(entry: &Entry, human: bool, quiet: bool) -> String {
    let (size, slash) = match entry {
        Entry::File { size, .. } => (words::size(*size, human), ""),
        Entry::Folder { .. } => (String::new(), "/"),
    };
    let path = words::printable(entry.path());
    if quiet {
        format!("{path}{slash}\n")
    } else {
        format!("{size:>12}  {:>19}  {path}{slash}\n", entry.date(human))
    }
}

/// A name in the tree: a folder with what is in it, or a file with what stands before it.
enum Node<'a> {
    Folder(BTreeMap<&'a str, Node<'a>>),
    File { size: String, date: String },
}

fn tree(entries: &[Entry], human: bool, details: bool) -> String {
    let mut root = BTreeMap::new();
    let (mut size_width, mut date_width) = (0, 0);
    for entry in entries {
        let node = match entry {
            Entry::File { size, .. } => {
                let (size, date) = (words::size(*size, human), entry.date(human));
                size_width = size_width.max(size.len());
                date_width = date_width.max(date.len());
                Node::File { size, date }
            }
            Entry::Folder { .. } => Node::Folder(BTreeMap::new()),
        };
        plant(&mut root, entry.path(), node);
    }
    let widths = (details && size_width > 0).then_some((size_width, date_width));
    let mut text = String::new();
    render(&root, "", widths, &mut text);
    text
}

fn plant<'a>(folder: &mut BTreeMap<&'a str, Node<'a>>, path: &'a str, node: Node<'a>) {
    match path.split_once('/') {
        None => {
            // A folder that is met again keeps what is in it.
            if !matches!((folder.get(path), &node), (Some(Node::Folder(_)), Node::Folder(_))) {
                folder.insert(path, node);
            }
        }
        Some((name, rest)) => {
            let child = folder.entry(name).or_insert_with(|| Node::Folder(BTreeMap::new()));
            if let Node::File { .. } = child {
                // A file and a folder of one name: the folder has more to show.
                *child = Node::Folder(BTreeMap::new());
            }
            if let Node::Folder(children) = child {
                plant(children, rest, node);
            }
        }
    }
}

fn render(
    folder: &BTreeMap<&str, Node<'_>>,
    indent: &str,
    widths: Option<(usize, usize)>,
    text: &mut String,
) {
    let last = folder.len().saturating_sub(1);
    for (at, (name, node)) in folder.iter().enumerate() {
        let branch = if at == last { "\u{2514}\u{2500}\u{2500} " } else { "\u{251c}\u{2500}\u{2500} " };
        let slash = if matches!(node, Node::Folder(_)) { "/" } else { "" };
        if let Some((size_width, date_width)) = widths {
            // Writing to a string cannot fail.
            let _ = match node {
                Node::Folder(_) => write!(text, "{:1$}  ", "", size_width + 2 + date_width),
                Node::File { size, date } => write!(text, "{size:>size_width$}  {date}  "),
            };
        }
        let _ = writeln!(text, "{indent}{branch}{}{slash}", words::printable(name));
        if let Node::Folder(children) = node {
            let below = if at == last { "    " } else { "\u{2502}   " };
            render(children, &format!("{indent}{below}"), widths, text);
        }
    }
}
