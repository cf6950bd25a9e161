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

#[cfg(test)]
mod tests {
    use super::super::{EmbeddedMeta, MetaStore as _};
    use super::*;
    use crate::model::names::{BucketId, BucketName, Namespace, ObjectKey};

    fn stored(format: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        let example = format!("{}/tests/stores/format-{format}.redb", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(example, &path).unwrap();
        (folder, path)
    }

    /// It holds small objects, and one of 28 parts that are copies of one of 40 parts.
    #[tokio::test]
    async fn a_store_of_format_4_is_upgraded_in_place() {
        let (_folder, path) = stored(4);
        let id =
            BucketId { namespace: Namespace::new("root").unwrap(), name: BucketName::new("stored").unwrap() };
        for _ in 0..2 {
            let meta = EmbeddedMeta::open(&path).unwrap();
            let content = async |key: &str, wanted: crate::store::meta::Wanted<'_>| {
                meta.content(&id, &ObjectKey::new(key).unwrap(), wanted).await.unwrap()
            };
            assert_eq!(content("small", &|size| 0..size).await.terms.into_record().unwrap().size, 14);
            let long = content("long", &|size| 0..size).await;
            assert_eq!(long.object.size, 28 * 40 * (5 << 20));
            let terms = long.terms.terms_in_file;
            let record = long.terms.into_record().unwrap();
            let bytes: u64 = record.terms.iter().map(|term| u64::from(term.raw_bytes)).sum();
            assert_eq!((record.size, bytes), (long.object.size, long.object.size));
            assert!(terms > 1024, "{terms}");
            let end = content("long", &|size| size - 1..size).await.terms;
            assert!(
                end.len() <= 1024 && end.start > 0,
                "only its end is read: {} from {}",
                end.len(),
                end.start
            );
            assert_eq!(end.iter().last(), record.terms.last());
            drop(meta);
            // The writer thread lets go of the file when it has seen that nobody can ask it any more.
            while redb::Database::open(&path).is_err() {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_store_of_an_unknown_format_is_refused() {
        let (_folder, path) = stored(4);
        {
            let database = redb::Database::open(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(COUNTERS).unwrap().insert("format", FORMAT + 1).unwrap();
            transaction.commit().unwrap();
        }
        let error = EmbeddedMeta::open(&path).err().unwrap().to_string();
        assert!(error.contains(&format!("format {}", FORMAT + 1)), "{error}");
    }
}
