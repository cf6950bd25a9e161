//! The format of the embedded engine's tables, and how a store of an older one becomes one of the present.
//!
//! A change of format is one more line in [`STEPS`], with a stored example of the old one under `tests/stores`.

use redb::{ReadableTable as _, StorageError, WriteTransaction};

use super::MetaError;
use super::engine::{Engine, engine};
use super::tables::{COUNTERS, Failure, Tables};

/// The tables' layout.
const FORMAT: u64 = 5;

/// Brings the rows of one format to the next.
type Step = fn(&mut Tables<'_>) -> Result<(), StorageError>;

/// The formats that can be upgraded, and the step from each to the next one.
const STEPS: [(u64, Step); 1] = [(4, |tables| tables.split_long_records())];

/// Makes all tables, and upgrades a store of an older format, in one transaction. A store of another one is refused, not
/// guessed at.
pub(super) fn prepare(database: &Engine) -> Result<(), MetaError> {
    let transaction = database.begin_write()?;
    upgrade(&transaction)?;
    transaction.commit().map_err(engine)
}

fn upgrade(transaction: &WriteTransaction) -> Result<(), MetaError> {
    drop(Tables::open(transaction).map_err(engine)?);
    let found = {
        let counters = transaction.open_table(COUNTERS).map_err(engine)?;
        counters.get("format").map_err(engine)?.map_or(FORMAT, |format| format.value())
    };
    let mut format = found;
    while format != FORMAT {
        let step = STEPS.iter().find(|(from, _)| *from == format);
        let (from, step) = step.ok_or_else(|| {
            let text = format!(
                "the store has format {found}, this version reads {} to {FORMAT}: use the version of xetgate that \
                 wrote it, or a later one",
                STEPS[0].0
            );
            MetaError::Engine(text)
        })?;
        tracing::info!(from, to = from + 1, "the metadata store is being upgraded");
        step(&mut Tables::open(transaction).map_err(engine)?).map_err(engine)?;
        format = from + 1;
    }
    {
        let mut counters = transaction.open_table(COUNTERS).map_err(engine)?;
        counters.insert("format", FORMAT).map_err(engine)?;
    }
    let completed = Tables::open(transaction).map_err(engine)?.complete_bucket_names();
    completed.map_err(|failure| match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Engine(error) => engine(error),
    })
}
