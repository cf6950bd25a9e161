//! Command lines that make no sense, in the words of `hf` 2.4.0: the usage, where to read on, what is wrong, and what
//! there is instead. Exit code 2, all on standard error.

use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// The command that a line names: what was typed of it, and its description.
pub(super) struct Named<'a> {
    path: Vec<String>,
    command: &'a Command,
}

impl<'a> Named<'a> {
    /// Follows the words of a line as far as they are commands.
    pub(super) fn find(root: &'a Command, program: &str, words: &[String]) -> Self {
        let mut named = Self { path: vec![program.to_owned()], command: root };
        for word in words {
            let Some(command) = named.command.find_subcommand(word) else { break };
            named = Self { path: [named.path, vec![word.clone()]].concat(), command };
        }
        named
    }

    /// Whether it is one whose faults are told here; others are told in clap's words.
    pub(super) fn is_for_buckets(&self) -> bool {
        self.path.get(1).is_some_and(|first| matches!(first.as_str(), "buckets" | "cp" | "sync"))
            || self.path[0] == "hf"
    }

    fn typed(&self) -> String {
        self.path.join(" ")
    }

    /// The message below its usage.
    pub(super) fn complaint(&self, message: &str) -> String {
        let typed = self.typed();
        let mut usage = format!("Usage: {typed} [OPTIONS]");
        if self.command.has_subcommands() {
            usage += " COMMAND [ARGS]...";
        }
        for arg in self.command.get_positionals() {
            let name = arg.get_value_names().and_then(<[_]>::first).map_or("ARG", |name| name.as_str());
            let _ = if arg.is_required_set() { write!(usage, " {name}") } else { write!(usage, " [{name}]") };
        }
        format!("{usage}\nTry '{typed} --help' for help.\n\nError: {message}")
    }

    /// What clap found wrong.
    pub(super) fn complaint_of(&self, error: &clap::Error) -> String {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let arg = context(ContextKind::InvalidArg);
        let option = arg.split([' ', '=']).next().unwrap_or_default().to_owned();
        let message = match error.kind() {
            ErrorKind::InvalidSubcommand => {
                let word = context(ContextKind::InvalidSubcommand);
                format!("No such command '{word}'.{}", self.commands())
            }
            ErrorKind::UnknownArgument if arg.starts_with('-') => {
                format!("No such option '{option}'.{}", self.options())
            }
            ErrorKind::UnknownArgument => format!("Got unexpected extra argument ({arg})"),
            ErrorKind::MissingRequiredArgument => {
                format!("Missing argument '{}'.", arg.trim_matches(['<', '>', '[', ']']))
            }
            ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
                format!("Option '{option}' requires an argument.")
            }
            ErrorKind::InvalidValue => {
                let valid = match error.get(ContextKind::ValidValue) {
                    Some(ContextValue::Strings(values)) => values.join(", "),
                    _ => String::new(),
                };
                let value = context(ContextKind::InvalidValue);
                format!("Invalid value for '{option}': '{value}'. Valid values: {valid}.")
            }
            ErrorKind::ValueValidation => {
                let value = context(ContextKind::InvalidValue);
                format!("Invalid value for '{option}': '{value}' is not valid.")
            }
            ErrorKind::TooManyValues => format!("Option '{option}' does not take a value."),
            _ => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                first.strip_prefix("error: ").unwrap_or(first).to_owned()
            }
        };
        self.complaint(&message)
    }

    fn commands(&self) -> String {
        let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut rows: Vec<_> = shown
            .map(|command| {
                (
                    command.get_name().to_owned(),
                    command.get_about().map(ToString::to_string).unwrap_or_default(),
                )
            })
            .collect();
        rows.sort();
        self.available("commands", rows)
    }

    fn options(&self) -> String {
        let shown = self.command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
        let rows = shown.map(|arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            (spelling(arg), help)
        });
        self.available("options", rows.collect())
    }

    fn available(&self, what: &str, rows: Vec<(String, String)>) -> String {
        let typed = self.typed();
        let mut text = format!("\n\nAvailable {what} for '{typed}':\n");
        for (name, help) in rows {
            let _ = writeln!(text, "  {name:30} {help}");
        }
        text + &format!("\nRun '{typed} --help' for full details.")
    }
}

/// `-R, --recursive`, `--token TEXT`.
fn spelling(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut text = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if arg.get_action().takes_values() {
        let name = arg.get_value_names().and_then(<[_]>::first).map_or("TEXT", |name| name.as_str());
        text = format!("{text} {name}");
    }
    text
}
