//! `buckets`: create, list, look at, move, delete buckets; list, copy, remove what is in them.

use clap::Subcommand;

use super::sync::command::SyncArgs;
use crate::cli::failure::Failure;
use crate::cli::remote::args::CommonArgs;
use crate::cli::session::Session;

mod copy;
mod cp;
mod folder;
mod list;
mod manage;
mod remove;
mod versions;

pub(in crate::cli) use cp::CpArgs;

/// The commands.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BucketsCommand {
    /// Copy files between local paths and buckets.
    Cp(CpArgs),
    /// Create a new bucket.
    Create(manage::CreateArgs),
    /// Delete a bucket.
    Delete(manage::DeleteArgs),
    /// Get info about a bucket.
    Info(manage::InfoArgs),
    /// List buckets or files in a bucket.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Move (rename) a bucket to a new name or namespace.
    Move(manage::MoveArgs),
    /// Remove files from a bucket.
    #[command(visible_alias = "rm")]
    Remove(remove::RemoveArgs),
    /// Make an older version of a file the current one again.
    Restore(versions::RestoreArgs),
    /// Update bucket settings (visibility, versioning).
    Settings(manage::SettingsArgs),
    /// Sync files between a local folder and a bucket.
    Sync(SyncArgs),
    /// List versions, and what they cost.
    Versions(versions::VersionsArgs),
}

impl BucketsCommand {
    /// What this command shares with all others.
    pub(in crate::cli) fn common(&self) -> &CommonArgs {
        match self {
            Self::Cp(args) => &args.common,
            Self::Create(args) => &args.common,
            Self::Delete(args) => &args.common,
            Self::Info(args) => &args.common,
            Self::List(args) => &args.common,
            Self::Move(args) => &args.common,
            Self::Remove(args) => &args.common,
            Self::Restore(args) => &args.common,
            Self::Settings(args) => &args.common,
            Self::Sync(args) => &args.common,
            Self::Versions(args) => &args.common,
        }
    }

    /// Does it.
    pub(in crate::cli) async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Cp(args) => args.run(session).await,
            Self::Create(args) => args.run(session).await,
            Self::Delete(args) => args.run(session).await,
            Self::Info(args) => args.run(session).await,
            Self::List(args) => args.run(session).await,
            Self::Move(args) => args.run(session).await,
            Self::Remove(args) => args.run(session).await,
            Self::Restore(args) => args.run(session).await,
            Self::Settings(args) => args.run(session).await,
            Self::Sync(args) => args.run(session).await,
            Self::Versions(args) => args.run(session).await,
        }
    }
}
