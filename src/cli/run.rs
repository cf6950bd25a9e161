//! Running a bucket command: puts its surroundings together, and turns its failure into words and an exit code.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use super::BucketCommand;
use super::failure::Failure;
use super::remote::args::CommonArgs;
use super::remote::connection::Connection;
use super::session::Session;
use super::terminal::{Mode, Style, Terminal};
use super::usage::Named;
use crate::config::HubEnvironment;
use crate::model::clock::Ambient;

/// How a process ends that a person has stopped. Source: POSIX shells, 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// Runs it to its end.
pub(super) fn run(
    command: &BucketCommand,
    vars: &[(String, String)],
    program: &'static str,
    named: &Named<'_>,
) -> ExitCode {
    let common = match command {
        BucketCommand::Buckets { command } => command.common(),
        BucketCommand::Cp(args) => &args.common,
        BucketCommand::Sync(args) => &args.common,
    };
    let plain = Style { mode: Mode::Human, colors: true, columns: None };
    let (style, refused) = match common.format.style(vars) {
        Ok(style) => (style, None),
        Err(failure) => (plain, Some(failure)),
    };
    let done = match refused {
        Some(failure) => Err(failure),
        None => prepare(common, vars, program, style).and_then(|session| work(command, session)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure, &mut Terminal::of_process(style), named),
    }
}

fn prepare(
    common: &CommonArgs,
    vars: &[(String, String)],
    program: &'static str,
    style: Style,
) -> Result<Session, Failure> {
    let hides_progress = HubEnvironment::of(vars).hides_progress();
    Ok(Session {
        terminal: Terminal::of_process(style),
        connection: Connection::new(&common.connect, vars, program)?,
        program,
        shows_progress: io::stderr().is_terminal() && !hides_progress,
        clock: Ambient::system().clock,
    })
}

fn work(command: &BucketCommand, mut session: Session) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Message(format!("Cannot start: {error}.")))?;
    let done = runtime.block_on(async {
        match command {
            BucketCommand::Buckets { command } => command.run(&mut session).await,
            BucketCommand::Cp(args) => args.run(&mut session).await,
            BucketCommand::Sync(args) => args.run(&mut session).await,
        }
    });
    // A worker that waits for a stream that never ends is not waited for.
    runtime.shutdown_background();
    done
}

/// Says what went wrong; gives the exit code.
fn tell(failure: &Failure, terminal: &mut Terminal, named: &Named<'_>) -> ExitCode {
    match failure {
        Failure::Usage(_) | Failure::Misused(_) => {
            terminal.complain(&named.complaint(&failure.to_string()));
            ExitCode::from(2)
        }
        Failure::Aborted => {
            terminal.complain(&failure.to_string());
            ExitCode::FAILURE
        }
        Failure::Interrupted => {
            terminal.complain(&failure.to_string());
            ExitCode::from(INTERRUPTED)
        }
        // Whoever closed the pipe has seen enough.
        Failure::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        failure => {
            terminal.error(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
