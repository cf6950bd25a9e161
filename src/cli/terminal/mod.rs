//! What the bucket commands print, in each of their four forms: for people, for agents, as JSON, and quiet.
//!
//! Results go to standard output; hints, warnings, errors and progress to standard error. The forms are those of `hf`
//! 2.4.0, where the guide does not print another. Colours are for people only, terminal or not, and end with
//! `NO_COLOR` (<https://no-color.org>).

use std::io::{self, BufRead, Write};

use serde::{Serialize, Serializer};

use super::failure::Failure;
use crate::bucket::Timestamp;

pub(in crate::cli) mod listing;
pub(in crate::cli) mod python_json;
mod table;
pub(in crate::cli) mod words;

pub(in crate::cli) use table::Align;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Mode {
    /// Words, tables, colours.
    Human,
    /// One line of `key=value`, or tab-separated rows: for a program that reads text.
    Agent,
    /// JSON.
    Json,
    /// One name a line, and nothing else.
    Quiet,
}

/// A value that is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Value {
    Text(String),
    Count(u64),
    Flag(bool),
    Moment(Timestamp),
}

impl Value {
    /// As people see it in a table.
    fn cell(&self) -> String {
        match self {
            Self::Text(text) => words::printable(text),
            Self::Count(count) => count.to_string(),
            Self::Flag(true) => "\u{2714}".to_owned(),
            Self::Flag(false) => String::new(),
            Self::Moment(at) => words::day(*at),
        }
    }
}

/// As Python's `str` has it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => f.write_str(if *flag { "True" } else { "False" }),
            Self::Moment(at) => f.write_str(&words::iso(*at)),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Moment(at) => serializer.serialize_str(&words::iso(*at)),
        }
    }
}

/// Named values, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Fields(pub(in crate::cli) Vec<(&'static str, Value)>);

impl Fields {
    /// Texts only.
    pub(in crate::cli) fn texts<const N: usize>(fields: [(&'static str, &str); N]) -> Self {
        Self(fields.map(|(name, text)| (name, Value::Text(text.to_owned()))).into())
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Style {
    /// The form.
    pub(in crate::cli) mode: Mode,
    /// Whether colours may be used, by those forms that have any.
    pub(in crate::cli) colors: bool,
    /// The width to which tables are cut; `None` leaves them whole.
    pub(in crate::cli) columns: Option<usize>,
}

/// Standard input, output and error, and how to use them.
pub(in crate::cli) struct Terminal {
    style: Style,
    input: Box<dyn BufRead + Send>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Terminal {
    /// The process's own.
    pub(in crate::cli) fn of_process(style: Style) -> Self {
        let input = Box::new(io::BufReader::new(io::stdin()));
        Self::new(style, input, Box::new(io::BufWriter::new(io::stdout())), Box::new(io::stderr()))
    }

    /// Over any three streams.
    pub(in crate::cli) fn new(
        style: Style,
        input: Box<dyn BufRead + Send>,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self { style, input, out, err }
    }

    /// The form.
    pub(in crate::cli) fn mode(&self) -> Mode {
        self.style.mode
    }

    /// Text that is for readers of text, people and agents; a line break is added.
    pub(in crate::cli) fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self.mode() {
            Mode::Human | Mode::Agent => self.print(&format!("{text}\n")),
            Mode::Json | Mode::Quiet => Ok(()),
        }
    }

    /// Exactly this, in every form.
    pub(in crate::cli) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let printed = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        printed.map_err(Failure::Print)
    }

    /// What was done, and to what.
    pub(in crate::cli) fn result(&mut self, message: &str, fields: &Fields) -> Result<(), Failure> {
        let text = match self.mode() {
            Mode::Human => {
                let line = |(name, value): &(&str, Value)| {
                    format!("\n  {name}: {}", words::printable(&value.to_string()))
                };
                let done = self.colored("32", &format!("\u{2713} {message}"));
                std::iter::once(done).chain(fields.0.iter().map(line)).collect()
            }
            Mode::Agent => {
                let pairs = fields.0.iter().map(|(name, value)| format!("{name}={value}"));
                pairs.collect::<Vec<_>>().join(" ")
            }
            Mode::Json => python_json::one_line(fields),
            Mode::Quiet => fields.0.first().map(|(_, value)| value.to_string()).unwrap_or_default(),
        };
        self.print(&format!("{text}\n"))
    }

    /// The same, where people get a line of its own form.
    pub(in crate::cli) fn announce(&mut self, line: &str, fields: &Fields) -> Result<(), Failure> {
        if self.mode() == Mode::Human { self.text(line) } else { self.result("", fields) }
    }

    /// One thing and its properties: JSON in every form, but for the quiet one its `id`.
    pub(in crate::cli) fn properties(&mut self, id: &str, fields: &Fields) -> Result<(), Failure> {
        let text = match self.mode() {
            Mode::Human => python_json::indented(fields),
            Mode::Agent | Mode::Json => python_json::one_line(fields),
            Mode::Quiet => fields.get(id).map(Value::to_string).unwrap_or_default(),
        };
        self.print(&format!("{text}\n"))
    }

    /// Many things of one kind. The first column names them; `columns` is the order for readers of text, the rows' own
    /// order that of JSON.
    pub(in crate::cli) fn table(
        &mut self,
        columns: &[(&'static str, Align)],
        rows: &[Fields],
    ) -> Result<(), Failure> {
        self.table_within(self.style.columns, columns, rows)
    }

    /// The same, of things whose names are to be copied: never cut to the width of a terminal.
    pub(in crate::cli) fn whole_table(
        &mut self,
        columns: &[(&'static str, Align)],
        rows: &[Fields],
    ) -> Result<(), Failure> {
        self.table_within(None, columns, rows)
    }

    fn table_within(
        &mut self,
        width: Option<usize>,
        columns: &[(&'static str, Align)],
        rows: &[Fields],
    ) -> Result<(), Failure> {
        let cells = |row: &Fields, show: fn(&Value) -> String| -> Vec<String> {
            columns.iter().map(|(name, _)| row.get(name).map(show).unwrap_or_default()).collect()
        };
        let mut cut = false;
        let text = match self.mode() {
            Mode::Human | Mode::Agent if rows.is_empty() => "No results found.\n".to_owned(),
            Mode::Human => {
                let names: Vec<_> =
                    columns.iter().map(|(name, align)| (name.to_uppercase(), *align)).collect();
                let header: Vec<_> = names.iter().map(|(name, align)| (name.as_str(), *align)).collect();
                let cells = rows.iter().map(|row| cells(row, Value::cell)).collect();
                let (text, was_cut) = table::table(&header, cells, width);
                cut = was_cut;
                text
            }
            Mode::Agent => {
                let mut lines = vec![columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("\t")];
                lines.extend(
                    rows.iter()
                        .map(|row| cells(row, |value| words::printable(&value.to_string())).join("\t")),
                );
                lines.join("\n") + "\n"
            }
            Mode::Json => python_json::indented(&rows) + "\n",
            Mode::Quiet => rows
                .iter()
                .filter_map(|row| cells(row, Value::to_string).into_iter().next())
                .fold(String::new(), |text, id| text + &words::printable(&id) + "\n"),
        };
        self.print(&text)?;
        if cut {
            self.hint("Use `--no-truncate` or `--format json` to display full values.");
        }
        Ok(())
    }

    /// Asks; anything but yes is [`Failure::Aborted`]. Only people are asked, others must have said so beforehand.
    pub(in crate::cli) fn confirm(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if self.mode() != Mode::Human {
            return Err(Failure::Unconfirmed(question.to_owned()));
        }
        loop {
            self.print(&format!("{question} [y/N]: "))?;
            let mut answer = String::new();
            if self.input.read_line(&mut answer).map_err(Failure::Print)? == 0 {
                return Err(Failure::Aborted);
            }
            match answer.trim().to_lowercase().as_str() {
                "y" | "yes" | "t" | "true" | "on" | "1" => return Ok(()),
                "" | "n" | "no" | "f" | "false" | "off" | "0" => return Err(Failure::Aborted),
                _ => self.complain("Error: invalid input"),
            }
        }
    }

    /// What to do next, on standard error.
    pub(in crate::cli) fn hint(&mut self, hint: &str) {
        if self.mode() != Mode::Quiet {
            let line = self.colored("90", &format!("Hint: {hint}"));
            self.complain(&line);
        }
    }

    /// Something that did not stop the work, on standard error.
    pub(in crate::cli) fn warning(&mut self, warning: &str) {
        let line = self.colored("33", &format!("Warning: {warning}"));
        self.complain(&line);
    }

    /// What stopped the work, on standard error.
    pub(in crate::cli) fn error(&mut self, error: &str) {
        let line = self.colored("1m\u{1b}[31", &format!("Error: {error}"));
        self.complain(&line);
    }

    /// A line on standard error.
    pub(in crate::cli) fn complain(&mut self, line: &str) {
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
    }

    fn colored(&self, code: &str, text: &str) -> String {
        if self.style.colors && self.mode() == Mode::Human {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
pub(in crate::cli) mod tests;
