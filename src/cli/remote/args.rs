//! Options that every bucket command takes.

use crate::cli::failure::Failure;
use crate::cli::terminal::{Mode, Style};

/// `--format` as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// `agent` where an agent says that it is one, else `human`.
    Auto,
    /// Words, tables, colours.
    Human,
    /// One line of key=value, or tab-separated rows.
    Agent,
    /// JSON.
    Json,
    /// One name a line.
    Quiet,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Formatting options")]
pub(in crate::cli) struct FormatArgs {
    #[arg(
        help = "Output format: 'auto' picks 'agent' where AI_AGENT or AGENT is set, else 'human' [default: auto]",
        long,
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true
    )]
    format: Option<Format>,
    /// JSON output; the same as '--format json'.
    #[arg(long)]
    json: bool,
    /// Quiet output, one ID a line; the same as '--format quiet'.
    #[arg(short, long)]
    quiet: bool,
    /// Do not cut the cells of tables to the terminal's width.
    #[arg(long)]
    no_truncate: bool,
}

/// Variables in which agents say that they are one. Source: the Hub's documentation, "Agents".
const AGENT_VARS: [&str; 2] = ["AI_AGENT", "AGENT"];

/// A terminal's width if nobody tells. Source: Python's `shutil.get_terminal_size`.
const COLUMNS_DEFAULT: usize = 80;

impl FormatArgs {
    /// How to print; at most one of the three options may be given.
    pub(in crate::cli) fn style(self, vars: &[(String, String)]) -> Result<Style, Failure> {
        let given = [("--format", self.format.is_some()), ("--json", self.json), ("-q", self.quiet)];
        let given: Vec<_> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if let [first, second, ..] = given.as_slice() {
            return Err(Failure::Misused(format!("'{first}' and '{second}' are mutually exclusive.")));
        }
        let set = |name: &str| vars.iter().find(|(key, value)| key == name && !value.is_empty());
        let mode = match self.format {
            Some(Format::Human) => Mode::Human,
            Some(Format::Agent) => Mode::Agent,
            Some(Format::Json) => Mode::Json,
            Some(Format::Quiet) => Mode::Quiet,
            None if self.json => Mode::Json,
            None if self.quiet => Mode::Quiet,
            Some(Format::Auto) | None => {
                if AGENT_VARS.iter().any(|name| set(name).is_some()) {
                    Mode::Agent
                } else {
                    Mode::Human
                }
            }
        };
        let told = set("COLUMNS").and_then(|(_, value)| value.parse().ok()).filter(|columns| *columns > 0);
        let columns = told.or_else(columns_of_terminal).unwrap_or(COLUMNS_DEFAULT);
        let columns = (!self.no_truncate).then_some(columns);
        Ok(Style { mode, colors: set("NO_COLOR").is_none(), columns })
    }
}

/// The width of the terminal that standard output is.
fn columns_of_terminal() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

/// Where the buckets are, and who asks.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct ConnectArgs {
    #[arg(
        help = "Access token [default: HF_TOKEN, the file token in HF_HOME, or the local server's root token]",
        long
    )]
    pub(in crate::cli) token: Option<String>,
    #[arg(
        help = "Server to talk to [default: HF_ENDPOINT, or the local server at http://127.0.0.1:9001]",
        long,
        value_name = "URL"
    )]
    pub(in crate::cli) endpoint: Option<String>,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct CommonArgs {
    #[command(flatten)]
    pub(in crate::cli) connect: ConnectArgs,
    #[command(flatten)]
    pub(in crate::cli) format: FormatArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Option<Format>, json: bool, quiet: bool) -> FormatArgs {
        FormatArgs { format, json, quiet, no_truncate: false }
    }

    fn mode(args: FormatArgs, vars: &[(&str, &str)]) -> Mode {
        let vars: Vec<_> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        args.style(&vars).unwrap().mode
    }

    #[test]
    fn one_of_the_three_options_decides_and_two_are_refused() {
        assert_eq!(mode(args(None, false, false), &[]), Mode::Human);
        assert_eq!(mode(args(None, true, false), &[("AI_AGENT", "x")]), Mode::Json);
        assert_eq!(mode(args(None, false, true), &[]), Mode::Quiet);
        assert_eq!(mode(args(Some(Format::Auto), false, false), &[("AI_AGENT", "x")]), Mode::Agent);
        assert_eq!(mode(args(None, false, false), &[("AI_AGENT", "")]), Mode::Human);
        let refused = args(None, true, true).style(&[]).unwrap_err();
        assert_eq!(refused.to_string(), "'--json' and '-q' are mutually exclusive.");
    }

    #[test]
    fn the_environment_tells_width_and_colours() {
        let vars = [("COLUMNS".to_owned(), "33".to_owned()), ("NO_COLOR".to_owned(), "1".to_owned())];
        let style = args(None, false, false).style(&vars).unwrap();
        assert_eq!(style, Style { mode: Mode::Human, colors: false, columns: Some(33) });
        let whole = FormatArgs { no_truncate: true, ..args(None, false, false) };
        assert_eq!(whole.style(&vars).unwrap().columns, None);
    }
}
