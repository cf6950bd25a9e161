//! The format of the metadata: which it is, which this build reads, and who wrote it.
//!
//! Every change of what is stored, a new version of a [row](super::rows) included, is a new format: a build that does not
//! know it refuses the store when it is opened. What an older format takes to become this one is in [`super::upgrade`].

use redb::TableError;

use super::MetaError;
use super::engine::{Engine, engine};
use super::kv::TableDefinition;
use super::tables::{COUNTERS, Failure, Tables};

/// The format that this build writes.
pub(super) const FORMAT: u64 = 7;

/// The oldest format that it upgrades. Those before it were in no release.
const OLDEST: u64 = 4;

/// This build.
const BUILD: &str = env!("CARGO_PKG_VERSION");

/// [`LAST`] -> the build that opened the store last. So a build that cannot read the format can name one that can.
const BUILDS: TableDefinition<&str, &str> = TableDefinition::new("builds");

const LAST: &str = "last";

/// The format of a store that has to be upgraded, if it has to be. One that this build does not know is refused, not
/// guessed at.
pub(super) fn older(database: &Engine) -> Result<Option<u64>, MetaError> {
    let (_, snapshot) = database.begin_read()?;
    let counters = match snapshot.open_table(COUNTERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        counters => counters.map_err(engine)?,
    };
    match counters.get("format").map_err(engine)?.map_or(FORMAT, |format| format.value()) {
        FORMAT => Ok(None),
        found if (OLDEST..FORMAT).contains(&found) => Ok(Some(found)),
        found => {
            let builds = snapshot.open_table(BUILDS).ok();
            let build = builds.and_then(|builds| Some(builds.get(LAST).ok()??.value().to_owned()));
            Err(MetaError::Engine(refusal(found, build.as_deref())))
        }
    }
}

fn refusal(found: u64, build: Option<&str>) -> String {
    let wanted = match build {
        Some(build) if found > FORMAT => format!("xetgate {build}, which wrote it, or a later one"),
        _ if found > FORMAT => "the version of xetgate that wrote it, or a later one".to_owned(),
        _ => "the version of xetgate that wrote it".to_owned(),
    };
    format!("the store has format {found}, xetgate {BUILD} reads formats {OLDEST} to {FORMAT}: use {wanted}")
}

/// Makes what is missing in a store of this format, and notes who has opened it.
pub(super) fn prepare(database: &Engine) -> Result<(), MetaError> {
    let transaction = database.begin_write()?;
    let completed = Tables::open(&(&transaction).into()).map_err(engine)?.complete_bucket_names();
    completed.map_err(|failure| match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Engine(error) => engine(error),
    })?;
    transaction.open_table(COUNTERS.redb()).map_err(engine)?.insert("format", FORMAT).map_err(engine)?;
    transaction.open_table(BUILDS.redb()).map_err(engine)?.insert(LAST, BUILD).map_err(engine)?;
    transaction.commit().map_err(engine)
}
