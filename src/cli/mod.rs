//! The command line: the one place that prints, reads the environment and ends the process.
//!
//! A command that fails says why in one line on standard error and exits with 1; a command line that cannot be
//! understood exits with 2, in clap's words.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod admin;
mod banner;
mod data_folder;
mod hub_mode;
mod place;
mod serve;
mod store;

/// An S3-compatible gateway whose storage is Xet: content-defined chunks, each kept once.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
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
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // A variable that is not UTF-8 cannot be one of ours.
    let vars: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let done = match cli.command {
        Command::Serve(args) => serve::run(&args, &vars).map_err(|error| error.to_string()),
        Command::Store(args) => store::run(&args, &vars).map_err(|error| error.to_string()),
        Command::Admin(args) => admin::run(&args, &vars).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "xetgate: {error}");
            ExitCode::FAILURE
        }
    }
}
