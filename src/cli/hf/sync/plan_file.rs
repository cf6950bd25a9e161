//! Plans as text: a header and a line for each operation, JSON as Python spells it, so that `hf` and this program can
//! apply each other's.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::plan::{Action, Operation, Plan};
use crate::cli::terminal::python_json;

/// Why a text is not a plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum PlanFileError {
    #[error("Empty plan file: {0}")]
    Empty(String),
    #[error("Invalid plan file: expected header as first line")]
    NoHeader,
    #[error("Invalid plan file: line {line}: {why}")]
    Line { line: usize, why: String },
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    source: &'a str,
    dest: &'a str,
    timestamp: &'a str,
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    uploads: usize,
    downloads: usize,
    deletes: usize,
    skips: usize,
    total_size: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    action: Action,
    path: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_mtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_mtime: Option<&'a str>,
}

/// The plan's text.
pub(in crate::cli) fn write(plan: &Plan) -> String {
    let summary = Summary {
        uploads: plan.count(Action::Upload),
        downloads: plan.count(Action::Download),
        deletes: plan.count(Action::Delete),
        skips: plan.count(Action::Skip),
        total_size: plan.total_size(),
    };
    let Plan { source, dest, timestamp, operations } = plan;
    let header = Header { kind: "header", source, dest, timestamp, summary };
    let mut text = python_json::one_line(&header) + "\n";
    for operation in operations {
        let line = Line {
            kind: "operation",
            action: operation.action,
            path: &operation.path,
            reason: &operation.reason,
            size: operation.size,
            local_mtime: operation.local_mtime.as_deref(),
            remote_mtime: operation.remote_mtime.as_deref(),
        };
        let _ = writeln!(text, "{}", python_json::one_line(&line));
    }
    text
}

#[derive(Deserialize)]
struct HeaderRead {
    source: String,
    dest: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct OperationRead {
    action: Action,
    path: String,
    size: Option<u64>,
    #[serde(default)]
    reason: String,
    local_mtime: Option<String>,
    remote_mtime: Option<String>,
}

/// Reads a plan; `name` is the file's, for people. Lines of a kind that is not known are passed over.
pub(in crate::cli) fn read(name: &str, text: &str) -> Result<Plan, PlanFileError> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((_, first)) = lines.next() else { return Err(PlanFileError::Empty(name.to_owned())) };
    if kind(1, first)? != "header" {
        return Err(PlanFileError::NoHeader);
    }
    let header: HeaderRead = parse(1, first)?;
    let mut operations = Vec::new();
    for (at, line) in lines {
        if kind(at + 1, line)? != "operation" {
            continue;
        }
        let OperationRead { action, path, size, reason, local_mtime, remote_mtime } = parse(at + 1, line)?;
        operations.push(Operation { action, path, reason, size, local_mtime, remote_mtime });
    }
    let HeaderRead { source, dest, timestamp } = header;
    Ok(Plan { source, dest, timestamp, operations })
}

fn parse<'a, T: Deserialize<'a>>(line: usize, text: &'a str) -> Result<T, PlanFileError> {
    serde_json::from_str(text).map_err(|error| PlanFileError::Line { line, why: error.to_string() })
}

fn kind(line: usize, text: &str) -> Result<String, PlanFileError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type", default)]
        kind: String,
    }
    parse::<Kind>(line, text).map(|parsed| parsed.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let operation = |action, path: &str, size, local: Option<&str>| Operation {
            action,
            path: path.to_owned(),
            reason: "new file".to_owned(),
            size,
            local_mtime: local.map(str::to_owned),
            remote_mtime: None,
        };
        Plan {
            source: "d".to_owned(),
            dest: "hf://buckets/u/c1".to_owned(),
            timestamp: "2026-11-23T17:50:20.978197+00:00".to_owned(),
            operations: vec![
                operation(Action::Upload, "a.txt", Some(6), Some("2026-11-23T17:50:05.714360+00:00")),
                operation(Action::Skip, "é\n", None, None),
            ],
        }
    }

    #[test]
    fn a_plan_is_written_as_hf_writes_it() {
        assert_eq!(
            write(&plan()),
            concat!(
                r#"{"type": "header", "source": "d", "dest": "hf://buckets/u/c1", "timestamp": "2026-11-23T17:50:20.978197+00:00", "summary": {"uploads": 1, "downloads": 0, "deletes": 0, "skips": 1, "total_size": 6}}"#,
                "\n",
                r#"{"type": "operation", "action": "upload", "path": "a.txt", "reason": "new file", "size": 6, "local_mtime": "2026-11-23T17:50:05.714360+00:00"}"#,
                "\n",
                r#"{"type": "operation", "action": "skip", "path": "\u00e9\n", "reason": "new file"}"#,
                "\n",
            )
        );
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(read("p", &write(&plan())).unwrap(), plan());
    }

    #[test]
    fn what_is_no_plan_is_refused_by_its_line() {
        let message = |text: &str| read("p.jsonl", text).unwrap_err().to_string();
        assert_eq!(message(""), "Empty plan file: p.jsonl");
        assert_eq!(message("{\"type\": \"operation\"}"), "Invalid plan file: expected header as first line");
        assert!(message("nonsense").starts_with("Invalid plan file: line 1: expected"));
        assert!(
            message("{\"type\": \"header\"}")
                .starts_with("Invalid plan file: line 1: missing field `source`")
        );
        let header = write(&Plan { operations: Vec::new(), ..plan() });
        let with = |line: &str| message(&format!("{header}{line}\n"));
        assert!(
            with("{\"type\": \"operation\", \"action\": \"upload\"}")
                .contains("line 2: missing field `path`")
        );
        assert!(
            with("{\"type\": \"operation\", \"action\": \"eat\", \"path\": \"a\"}")
                .contains("unknown variant `eat`")
        );
        let noted = format!("{header}{{\"type\": \"note\"}}\n\n");
        assert_eq!(read("p", &noted).unwrap().operations, []);
    }
}
