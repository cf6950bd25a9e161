//! The command line: the one place that prints, reads the environment and ends the process.
//!
//! A command that fails says why in one line on standard error and exits with 1; a command line that cannot be
//! understood exits with 2. `buckets`, `cp` and `sync` speak as `hf` does, and are all there is when the program is called
//! through a link of that name; the rest speaks in clap's words.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod admin;
mod banner;
mod config;
mod failure;
mod health;
mod hf;
mod manual;
mod place;
mod remote;
mod run;
mod serve;
mod session;
mod store;
mod terminal;
mod usage;

use usage::Named;

/// An S3-compatible gateway whose storage is Xet: content-defined chunks, each kept once.
#[derive(Debug, Parser)]
#[command(name = "xetgate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until told to stop (SIGTERM, SIGINT).
    Serve(serve::ServeArgs),
    /// Look after a data folder: statistics, check, scrub, garbage collection.
    Store(store::StoreArgs),
    /// Look after accounts and credentials of a running gateway.
    Admin(admin::AdminArgs),
    /// Check the configuration, or show where each value comes from.
    Config(config::ConfigArgs),
    /// Ask a running gateway whether it can serve: exit code 0 if so.
    Health(health::HealthArgs),
    /// Say what this build is: version, commit, target, modes.
    Version,
    #[command(flatten)]
    Bucket(BucketCommand),
    /// Print the completions of a shell.
    Completions(manual::CompletionsArgs),
    /// Print a manual page.
    Man(manual::ManArgs),
}

/// Buckets on a server, in the words of `hf`.
#[derive(Debug, Parser)]
#[command(name = "hf", version, disable_version_flag = true, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
struct HfCli {
    /// Print version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: BucketCommand,
}

/// The commands that `hf` has too.
#[derive(Debug, Subcommand)]
enum BucketCommand {
    /// Commands to interact with buckets.
    #[command(
        arg_required_else_help = true,
        disable_help_subcommand = true,
        after_help = "Examples:
  $ xetgate buckets create my-bucket
  $ xetgate buckets list
  $ xetgate buckets list user/my-bucket -R
  $ xetgate buckets cp config.json hf://buckets/user/my-bucket/
  $ xetgate buckets sync ./data hf://buckets/user/my-bucket
  $ xetgate buckets remove user/my-bucket/file.txt"
    )]
    Buckets {
        #[command(subcommand)]
        command: hf::buckets::BucketsCommand,
    },
    /// Copy files between local paths and buckets; the same as `buckets cp`.
    Cp(hf::buckets::CpArgs),
    /// Sync files between a local folder and a bucket; the same as `buckets sync`.
    Sync(hf::sync::command::SyncArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    // A variable that is not UTF-8 cannot be one of ours.
    let vars: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let called = words.first().and_then(|word| Path::new(word).file_stem());
    let program = if called.is_some_and(|name| name == "hf") { "hf" } else { "xetgate" };
    let typed: Vec<String> = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();

    let mut grammar = grammar(program);
    let matches = match grammar.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(error) => return misunderstood(&error, &Named::find(&grammar, program, &typed)),
    };
    let command = if program == "hf" {
        HfCli::from_arg_matches(&matches).map(|cli| Command::Bucket(cli.command))
    } else {
        Cli::from_arg_matches(&matches).map(|cli| cli.command)
    };
    let done = match command {
        Ok(Command::Serve(args)) => serve::run(&args, &vars).map_err(|error| error.to_string()),
        Ok(Command::Store(args)) => store::run(&args, &vars).map_err(|error| error.to_string()),
        Ok(Command::Admin(args)) => admin::run(&args, &vars).map_err(|error| error.to_string()),
        Ok(Command::Config(args)) => config::run(&args, &vars).map_err(|error| error.to_string()),
        Ok(Command::Health(args)) => health::run(&args, &vars).map_err(|error| error.to_string()),
        Ok(Command::Version) => print(health::version().as_bytes()),
        Ok(Command::Bucket(command)) => {
            return run::run(&command, &vars, program, &Named::find(&grammar, program, &typed));
        }
        Ok(Command::Completions(args)) => print(&args.script(grammar)),
        Ok(Command::Man(args)) => {
            args.page(grammar).map_err(|error| error.to_string()).and_then(|page| print(&page))
        }
        Err(error) => return misunderstood(&error, &Named::find(&grammar, program, &typed)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere left to report a closed standard error.
            let _ = writeln!(std::io::stderr(), "xetgate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(bytes: &[u8]) -> Result<(), String> {
    std::io::stdout().write_all(bytes).map_err(|error| format!("cannot print: {error}"))
}

/// What can be typed. Examples name the program as it was called.
fn grammar(program: &'static str) -> clap::Command {
    if program == "hf" { named(HfCli::command(), "hf") } else { Cli::command() }
}

fn named(command: clap::Command, program: &str) -> clap::Command {
    let examples =
        command.get_after_help().map(|text| text.to_string().replace("$ xetgate", &format!("$ {program}")));
    let command = match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    };
    command.mut_subcommands(|command| named(command, program))
}

/// Prints what is wrong with a command line, or the help that it asks for.
fn misunderstood(error: &clap::Error, named: &Named<'_>) -> ExitCode {
    if error.exit_code() == 0
        || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        || !named.is_for_buckets()
    {
        // There is nowhere left to report a closed stream.
        let _ = error.print();
    } else {
        let _ = writeln!(std::io::stderr(), "{}", named.complaint_of(error));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests;
