//! What a sync would do: a pure function of two listings and the options.
//!
//! | the path is | then |
//! |---|---|
//! | in the source only | transferred ("new file"), or skipped with `--existing` |
//! | in both | compared, unless `--ignore-existing` skips it |
//! | in the destination only | deleted with `--delete`, else not spoken of |
//!
//! Times that lie within a second of each other are the same: not every file system keeps more. A destination that is
//! newer and of the same size counts as identical, as in `hf`.

use crate::cli::hf::files::local::{FileState, Listing};

/// Times this close are the same time. Source: `hf` 2.4.0, section 4 of the CLI's specification.
const TIME_WINDOW_MS: f64 = 1000.0;

/// Which side is local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Direction {
    Upload,
    Download,
}

/// How files on both sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) enum Compare {
    /// By size, and then by time.
    #[default]
    SizeAndTime,
    /// `--ignore-times`.
    Size,
    /// `--ignore-sizes`.
    Time,
    /// `--checksum`.
    Content,
}

/// Which files may be written on the receiving side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) enum Scope {
    #[default]
    All,
    /// `--existing`: only those that are there.
    Existing,
    /// `--ignore-existing`: only those that are not.
    New,
}

/// The options that a plan depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) struct Rules {
    pub(in crate::cli) delete: bool,
    pub(in crate::cli) compare: Compare,
    pub(in crate::cli) scope: Scope,
}

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Action {
    Upload,
    Download,
    Delete,
    Skip,
}

/// A line of a plan. Times are texts: a plan that was read is carried out, not compared again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Operation {
    pub(in crate::cli) action: Action,
    pub(in crate::cli) path: String,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) size: Option<u64>,
    pub(in crate::cli) local_mtime: Option<String>,
    pub(in crate::cli) remote_mtime: Option<String>,
}

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Plan {
    /// As it was typed.
    pub(in crate::cli) source: String,
    /// As it was typed.
    pub(in crate::cli) dest: String,
    /// When it was made, as ISO 8601.
    pub(in crate::cli) timestamp: String,
    /// By path.
    pub(in crate::cli) operations: Vec<Operation>,
}

impl Plan {
    /// How many operations of one kind.
    pub(in crate::cli) fn count(&self, action: Action) -> usize {
        self.operations.iter().filter(|operation| operation.action == action).count()
    }

    /// Bytes to be moved.
    pub(in crate::cli) fn total_size(&self) -> u64 {
        let moved =
            self.operations.iter().filter(|op| matches!(op.action, Action::Upload | Action::Download));
        moved.filter_map(|op| op.size).fold(0, u64::saturating_add)
    }

    /// Whether there is nothing but skips.
    pub(in crate::cli) fn is_idle(&self) -> bool {
        self.operations.iter().all(|operation| operation.action == Action::Skip)
    }
}

/// The operations that make `dest` what `source` is, in the order of their paths.
pub(in crate::cli) fn operations(
    direction: Direction,
    source: &Listing,
    dest: &Listing,
    rules: Rules,
) -> Vec<Operation> {
    let planner = Planner { direction, rules };
    let mut paths: Vec<&String> =
        source.keys().chain(dest.keys().filter(|path| !source.contains_key(*path))).collect();
    paths.sort_unstable();
    let decide = |path: &String| match (source.get(path), dest.get(path)) {
        (Some(from), None) => Some(planner.new_file(path, from)),
        (Some(from), Some(to)) => Some(planner.compared(path, from, to)),
        (None, Some(to)) => rules.delete.then(|| planner.extraneous(path, to)),
        (None, None) => None,
    };
    paths.into_iter().filter_map(decide).collect()
}

struct Planner {
    direction: Direction,
    rules: Rules,
}

impl Planner {
    fn transfer(&self) -> Action {
        match self.direction {
            Direction::Upload => Action::Upload,
            Direction::Download => Action::Download,
        }
    }

    fn new_file(&self, path: &str, from: &FileState) -> Operation {
        let (action, reason) = match self.rules.scope {
            Scope::Existing => (Action::Skip, "new file (--existing)"),
            Scope::All | Scope::New => (self.transfer(), "new file"),
        };
        self.operation(action, path, reason, from.size, Some(from), None)
    }

    fn extraneous(&self, path: &str, to: &FileState) -> Operation {
        self.operation(Action::Delete, path, "not in source (--delete)", to.size, None, Some(to))
    }

    fn compared(&self, path: &str, from: &FileState, to: &FileState) -> Operation {
        let (source_newer, dest_newer) = match self.direction {
            Direction::Upload => ("local newer", "remote newer"),
            Direction::Download => ("remote newer", "local newer"),
        };
        let is_newer = |a: &FileState, b: &FileState| a.mtime.after(b.mtime) > TIME_WINDOW_MS;
        let (differs, reason) = match (self.rules.scope, self.rules.compare) {
            (Scope::New, _) => (false, "exists on receiver (--ignore-existing)"),
            (_, Compare::Time) if is_newer(from, to) => (true, source_newer),
            (_, Compare::Time) if is_newer(to, from) => (false, dest_newer),
            (_, Compare::Time) => (false, "same mtime"),
            (_, _) if from.size != to.size => (true, "size differs"),
            (_, Compare::Size) => (false, "same size"),
            (_, Compare::SizeAndTime) if is_newer(from, to) => (true, source_newer),
            (_, Compare::SizeAndTime) => (false, "identical"),
            (_, Compare::Content) if from.hash.is_some() && from.hash == to.hash => (false, "same content"),
            (_, Compare::Content) => (true, "content differs"),
        };
        let action = if differs { self.transfer() } else { Action::Skip };
        self.operation(action, path, reason, from.size, Some(from), Some(to))
    }

    fn operation(
        &self,
        action: Action,
        path: &str,
        reason: &str,
        size: u64,
        from: Option<&FileState>,
        to: Option<&FileState>,
    ) -> Operation {
        let (local, remote) = match self.direction {
            Direction::Upload => (from, to),
            Direction::Download => (to, from),
        };
        let mtime = |file: Option<&FileState>| file.map(|file| file.mtime.iso());
        Operation {
            action,
            path: path.to_owned(),
            reason: reason.to_owned(),
            size: Some(size),
            local_mtime: mtime(local),
            remote_mtime: mtime(remote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::hf::files::mtime::Mtime;

    fn state(size: u64, millis: i64, content: u8) -> FileState {
        let mtime = Mtime::of_file(millis.div_euclid(1000), millis.rem_euclid(1000) * 1_000_000);
        FileState { size, mtime, hash: Some(format!("{content:02x}").repeat(32).parse().unwrap()) }
    }

    fn listing(files: &[(&str, FileState)]) -> Listing {
        files.iter().map(|(path, state)| ((*path).to_owned(), *state)).collect()
    }

    /// What is done with a path that is `from` in the source and `to` in the destination.
    fn decided(direction: Direction, from: FileState, to: FileState, rules: Rules) -> (Action, String) {
        let operations = operations(direction, &listing(&[("f", from)]), &listing(&[("f", to)]), rules);
        (operations[0].action, operations[0].reason.clone())
    }

    fn uploaded(from: FileState, to: FileState, compare: Compare) -> (Action, String) {
        decided(Direction::Upload, from, to, Rules { compare, ..Rules::default() })
    }

    fn is(action: Action, reason: &str) -> (Action, String) {
        (action, reason.to_owned())
    }

    #[test]
    fn size_then_time_within_a_second() {
        let compare = Compare::SizeAndTime;
        let at = |millis| state(5, millis, 0);
        assert_eq!(uploaded(state(6, 0, 0), at(9_999), compare), is(Action::Upload, "size differs"));
        assert_eq!(uploaded(at(10_000), at(10_000), compare), is(Action::Skip, "identical"));
        assert_eq!(uploaded(at(11_000), at(10_000), compare), is(Action::Skip, "identical"));
        assert_eq!(uploaded(at(11_001), at(10_000), compare), is(Action::Upload, "local newer"));
        assert_eq!(uploaded(at(10_000), at(99_000), compare), is(Action::Skip, "identical"));
        let down = decided(Direction::Download, at(11_001), at(10_000), Rules::default());
        assert_eq!(down, is(Action::Download, "remote newer"));
    }

    #[test]
    fn size_or_time_alone() {
        let (old, new) = (state(5, 10_000, 0), state(6, 20_000, 0));
        assert_eq!(uploaded(old, new, Compare::Size), is(Action::Upload, "size differs"));
        assert_eq!(uploaded(old, state(5, 1, 0), Compare::Size), is(Action::Skip, "same size"));
        assert_eq!(uploaded(new, old, Compare::Time), is(Action::Upload, "local newer"));
        assert_eq!(uploaded(old, new, Compare::Time), is(Action::Skip, "remote newer"));
        assert_eq!(uploaded(old, state(9, 11_000, 0), Compare::Time), is(Action::Skip, "same mtime"));
        let down = Rules { compare: Compare::Time, ..Rules::default() };
        assert_eq!(decided(Direction::Download, old, new, down), is(Action::Skip, "local newer"));
    }

    #[test]
    fn content_alone() {
        let compare = Compare::Content;
        assert_eq!(uploaded(state(5, 99_000, 1), state(5, 0, 1), compare), is(Action::Skip, "same content"));
        assert_eq!(uploaded(state(5, 0, 1), state(5, 0, 2), compare), is(Action::Upload, "content differs"));
        assert_eq!(uploaded(state(5, 0, 1), state(6, 0, 1), compare), is(Action::Upload, "size differs"));
        let unknown = FileState { hash: None, ..state(5, 0, 1) };
        assert_eq!(uploaded(unknown, unknown, compare), is(Action::Upload, "content differs"));
    }

    #[test]
    fn the_scope_and_deleting() {
        let source = listing(&[("both", state(1, 0, 0)), ("new", state(2, 0, 0))]);
        let dest = listing(&[("both", state(9, 0, 0)), ("old", state(3, 0, 0))]);
        let plan = |rules: Rules| -> Vec<(Action, String, String)> {
            let operations = operations(Direction::Upload, &source, &dest, rules);
            operations.into_iter().map(|op| (op.action, op.path, op.reason)).collect()
        };
        let line = |action, path: &str, reason: &str| (action, path.to_owned(), reason.to_owned());
        assert_eq!(
            plan(Rules { delete: true, ..Rules::default() }),
            [
                line(Action::Upload, "both", "size differs"),
                line(Action::Upload, "new", "new file"),
                line(Action::Delete, "old", "not in source (--delete)"),
            ]
        );
        assert_eq!(
            plan(Rules { scope: Scope::Existing, ..Rules::default() }),
            [
                line(Action::Upload, "both", "size differs"),
                line(Action::Skip, "new", "new file (--existing)")
            ]
        );
        assert_eq!(
            plan(Rules { scope: Scope::New, ..Rules::default() }),
            [
                line(Action::Skip, "both", "exists on receiver (--ignore-existing)"),
                line(Action::Upload, "new", "new file")
            ]
        );
    }

    #[test]
    fn a_plan_counts_what_it_moves_and_names_both_times() {
        let (source, dest) = (
            listing(&[("a", state(5, 20_000, 0)), ("b", state(7, 0, 0))]),
            listing(&[("a", state(6, 0, 0))]),
        );
        let operations = operations(Direction::Download, &source, &dest, Rules::default());
        assert_eq!(operations[0].remote_mtime.as_deref(), Some("1970-01-01T00:00:20+00:00"));
        assert_eq!(operations[0].local_mtime.as_deref(), Some("1970-01-01T00:00:00+00:00"));
        assert_eq!(operations[1].local_mtime, None);
        let plan = Plan { source: "s".into(), dest: "d".into(), timestamp: String::new(), operations };
        assert_eq!((plan.count(Action::Download), plan.total_size(), plan.is_idle()), (2, 12, false));
    }

    #[test]
    fn paths_are_in_the_order_of_code_points() {
        let source = listing(&[
            ("é", state(0, 0, 0)),
            ("a/b", state(0, 0, 0)),
            ("a-b", state(0, 0, 0)),
            ("\u{ff5e}", state(0, 0, 0)),
            ("😀", state(0, 0, 0)),
        ]);
        let operations = operations(Direction::Upload, &source, &Listing::new(), Rules::default());
        let paths: Vec<_> = operations.iter().map(|op| op.path.as_str()).collect();
        assert_eq!(paths, ["a-b", "a/b", "é", "\u{ff5e}", "😀"]);
    }
}
