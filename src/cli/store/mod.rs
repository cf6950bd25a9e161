//! `xetgate store`: looks after a data folder while no server holds it. (A running server collects and scrubs by
//! itself, as configured.)

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::place::PlaceArgs;
use crate::config::{Config, ConfigError};
use crate::gateway::data_folder::{BESIDE_STORE, DataFolder, DataFolderError};
use crate::gateway::lease_holder::{LIFECYCLE, LeaseError, UPKEEP};
use crate::model::clock::Ambient;
use crate::store::backup::backup;
use crate::store::check::check;
use crate::store::gc::{Collector, GcOptions, Thrift};
use crate::store::joining::JoinError;
use crate::store::lifecycle::{Ended, Expirer, Witness};
use crate::store::local::{LocalStore, OpenError};
use crate::store::migrate::MigrateError;
use crate::store::rebuild::rebuild_index;
use crate::store::scrub::{ScrubCursor, scrub};
use crate::store::stats::stats;
use crate::store::throttle::Throttle;
use opened::Opened;

mod migrating;
mod opened;

/// What `store` takes.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StoreCommand {
    /// Count objects, bytes, chunks saved, dead bytes.
    Stats,
    /// Check that every row points at something that exists, and the reverse.
    Check,
    /// Read and hash every stored byte; name the objects that damage hits.
    Scrub,
    /// Give back what nothing uses: expired uploads, unused xorbs, packs that are mostly dead.
    Gc {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// End what is due by lifecycle rules. (A gateway that runs does so at its interval.)
    Lifecycle {
        /// Only say what would be ended.
        #[arg(long)]
        dry_run: bool,
        /// Name every object, version and upload.
        #[arg(short, long, conflicts_with = "json")]
        verbose: bool,
    },
    /// Copy the store to a new folder. (While a gateway runs: xetgate admin backup.)
    Backup { to: PathBuf },
    /// Rebuild the chunk index from the packs.
    RebuildIndex,
    /// Move the store to the new place that another configuration names: into a cluster, or out of one. (Nothing may run.)
    Migrate {
        /// The other configuration; the environment does not change it.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(
        "the store of a cluster is backed up where it is: dump the database and keep the object store (docs/cluster.md)"
    )]
    SharedBackup,
    #[error("cannot join the cluster: {0}")]
    Join(#[from] JoinError),
    #[error("cannot move the store: {0}")]
    Migrate(#[from] MigrateError),
    #[error("cannot move the store: in hub mode the Hub has what is stored")]
    MigrateToHub,
    #[error("cannot open the store: {0}")]
    Open(#[from] OpenError),
    #[error("cannot {doing}: {error}")]
    Work { doing: &'static str, error: Box<dyn std::error::Error + Send + Sync> },
    #[error("{0} found: see above")]
    Found(String),
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
}

/// Makes an error of the work at hand.
fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Work { doing, error: error.into() }
}

/// Runs one command to its end.
pub(super) fn run(args: &StoreArgs, vars: &[(String, String)]) -> Result<(), StoreError> {
    let config = args.place.configuration(vars)?;
    let folder = DataFolder::take(&config, vars)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StoreError::Runtime)?;
    let opened = Opened::open(&config, vars, &folder, &runtime)?;
    let is_backup = matches!(args.command, StoreCommand::Backup { .. });
    runtime.block_on(async {
        let worked = if is_backup && opened.is_shared() {
            Err(StoreError::SharedBackup)
        } else if let Some(lease) = args.command.lease() {
            opened.alone(lease, async |store| work(args, &folder, store, &config, vars).await).await
        } else {
            work(args, &folder, Arc::clone(&opened.store), &config, vars).await
        };
        opened.close().await;
        worked
    })
}

impl StoreCommand {
    /// What it must hold in a cluster, if it moves, removes or compares what must stay as it is meanwhile.
    fn lease(&self) -> Option<&'static str> {
        match self {
            Self::Check | Self::Scrub | Self::Gc { .. } | Self::Migrate { .. } => Some(UPKEEP),
            Self::Lifecycle { .. } => Some(LIFECYCLE),
            Self::Stats | Self::Backup { .. } | Self::RebuildIndex => None,
        }
    }
}

async fn work(
    args: &StoreArgs,
    folder: &DataFolder,
    store: Arc<LocalStore>,
    config: &Config,
    vars: &[(String, String)],
) -> Result<(), StoreError> {
    let throttle = Throttle::default();
    match &args.command {
        StoreCommand::Stats => {
            let stats = stats(&store).await.map_err(failed("count"))?;
            show(args.json, &stats, stats.table())
        }
        StoreCommand::Check => {
            let report = check(&store, &throttle).await.map_err(failed("check the store"))?;
            show(args.json, &report, report.table())?;
            found(report.findings.len(), "contradictions")
        }
        StoreCommand::Scrub => scrub_all(args.json, &store, &throttle).await,
        StoreCommand::Gc { dry_run } => {
            let options = GcOptions {
                dry_run: *dry_run,
                expire_uploads_after: Some(config.uploads_expire()),
                merge_chunks_max: u64::MAX,
                thrift: Thrift::Thorough,
                ..GcOptions::default()
            };
            let collector = Collector::new(store, Ambient::system().clock);
            let report = collector.passes(&options, &throttle).await.map_err(failed("collect garbage"))?;
            show(args.json, &report, report.table())
        }
        StoreCommand::Lifecycle { dry_run, verbose } => {
            let day = store.meta.set_lifecycle_day(config.lifecycle.day()).await;
            day.map_err(failed("prepare the lifecycle rules"))?;
            let expirer = Expirer::new(store, Ambient::system(), witness(*verbose));
            let passed = expirer.pass(*dry_run, &throttle).await;
            let report = passed.map_err(failed("follow the lifecycle rules"))?;
            show(args.json, &report, report.table())
        }
        StoreCommand::Backup { to } => {
            let copied = backup(&store, folder.path(), to, &BESIDE_STORE, &throttle).await;
            let report = copied.map_err(failed("back the store up"))?;
            show(args.json, &report, report.table())
        }
        StoreCommand::Migrate { to } => {
            let report = migrating::run(&store, to, vars, &throttle).await?;
            show(args.json, &report, report.table())
        }
        StoreCommand::RebuildIndex => {
            let report = rebuild_index(&store, &throttle).await.map_err(failed("rebuild the index"))?;
            show(args.json, &report, report.table())
        }
    }
}

/// Prints what is ended, or would be, if asked for.
fn witness(verbose: bool) -> Witness {
    Arc::new(move |ended: &Ended<'_>| {
        if verbose {
            // Who does not listen any more hears of it by the report.
            let _ = writeln!(io::stdout(), "{}", ended.line());
        }
    })
}

/// Scrubs to the end: one call stops where it has found much.
async fn scrub_all(json: bool, store: &Arc<LocalStore>, throttle: &Throttle) -> Result<(), StoreError> {
    let (mut cursor, mut damages) = (ScrubCursor::default(), 0);
    loop {
        let report = scrub(store, cursor, throttle).await.map_err(failed("scrub the store"))?;
        damages += report.damages.len();
        show(json, &report, report.table())?;
        match report.cursor {
            Some(next) => cursor = next,
            None => return found(damages, "damaged frames"),
        }
    }
}

fn found(count: usize, what: &str) -> Result<(), StoreError> {
    if count == 0 { Ok(()) } else { Err(StoreError::Found(format!("{count} {what}"))) }
}

fn show(json: bool, report: &impl Serialize, table: String) -> Result<(), StoreError> {
    let text = if json { serde_json::to_string(report).map_err(failed("print"))? + "\n" } else { table };
    io::stdout().write_all(text.as_bytes()).map_err(failed("print"))
}
