//! [`MetaRegistry`]: what came in or was announced through the CAS API, and which files a bucket holds.
//!
//! A shard registers files in a bucket before an object names them, and clients go on to refer to what they once
//! uploaded without asking. So a registration uses its file as an object does, until its time is over; it outlives the
//! objects, and even the bucket, for a client that remembers the file may come back with another one.
//!
//! | the bucket has | who may name it by its hash | the file is used |
//! |---|---|---|
//! | objects of it | all that may read the bucket | by each of them |
//! | a registration of it | the access keys that have proved it | by the registration |
//! | both | all that may read the bucket | by all |
//!
//! Objects give a file to every caller that may read the bucket. A registration gives it to nobody but the access keys whose shards
//! have proved that they hold it: a deleted file stays registered for weeks, and is not to be had by its hash meanwhile.

use async_trait::async_trait;
use redb::StorageError;

use super::files::decode_file;
use super::kv::{ReadTable, ReadableTable, TableDefinition};
use super::table_meta::{TableEngine, TableMeta};
use super::tables::{self, Failure, Tables, xorbs_of};
use super::xorbs::file_of_all;
use super::{MetaError, MetaStore as _, NewFile, Wanted, holdings};
use crate::model::bucket::BucketUid;
use crate::model::clock::Timestamp;
use crate::model::file::{FileRecord, Term};
use crate::store::file_terms::FileTerms;
use crate::xet::hash::{FileHash, XorbHash};

/// (bucket, file hash, access key id): the access keys that have proved to hold a registered file. Not part of the
/// format: a registration of an older build has none, and its client registers again.
pub(super) const PROVED: TableDefinition<(u64, [u8; 32], &str), ()> = TableDefinition::new("proved");

/// Sorts after every access key id.
const PAST_KEYS: &str = "\u{7f}";

/// What names a registration.
pub type RegistrationName = (BucketUid, FileHash);

/// In place of a bucket, of registrations that keep xorbs which were taken apart; buckets are counted from 1.
const NO_BUCKET: u64 = 0;

/// The part of the [`MetaStore`](super::MetaStore) about files that are announced before they are used.
#[async_trait]
pub trait MetaRegistry: Send + Sync + 'static {
    /// How a file is put together, if an object of this bucket has it, or this access key has proved to hold it: the
    /// terms of the range that is wanted of a file of its size.
    async fn terms_in(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        proved_by: Option<&str>,
        wanted: Wanted<'_>,
    ) -> Result<Option<FileTerms>, MetaError>;

    /// Registers files that this access key has proved to hold in a bucket, and keeps them and the xorbs they name until then, or longer if they are kept
    /// longer. All of them or none: every xorb must be there. A file that is there already keeps its own record.
    /// Answers how many files were not registered here before.
    async fn register_files(
        &self,
        bucket: BucketUid,
        proved_by: &str,
        files: Vec<FileRecord>,
        keep_until: Timestamp,
    ) -> Result<usize, MetaError>;

    /// Takes a xorb whose chunks lie in other xorbs: `file` is the file of its chunks and no others. It is registered in
    /// no bucket, until then or longer if it is kept longer.
    async fn register_apart(&self, file: NewFile, keep_until: Timestamp) -> Result<(), MetaError>;

    /// Lets a xorb that is kept although nothing uses it be kept as one that came apart: as the file of its chunks, whose
    /// terms may be moved. Answers that file; `None` if the xorb is not kept.
    async fn keep_apart(&self, xorb: XorbHash) -> Result<Option<FileHash>, MetaError>;

    /// Where the chunks of a xorb lie that was taken by [`MetaRegistry::register_apart`].
    async fn xorb_apart(&self, xorb: &XorbHash) -> Result<Option<FileRecord>, MetaError>;

    /// A page of the registrations after `after` whose time is over at `now`, at most `limit`.
    async fn due_registrations(
        &self,
        now: Timestamp,
        after: Option<RegistrationName>,
        limit: usize,
    ) -> Result<Vec<RegistrationName>, MetaError>;

    /// Forgets those of the registrations whose time is over at `now`; answers how many.
    async fn forget_registrations(
        &self,
        due: Vec<RegistrationName>,
        now: Timestamp,
    ) -> Result<usize, MetaError>;

    /// Keeps xorbs until then even if nothing uses them, or longer if they are kept longer; answers those that are
    /// there.
    async fn keep_xorbs(
        &self,
        xorbs: Vec<XorbHash>,
        keep_until: Timestamp,
    ) -> Result<Vec<XorbHash>, MetaError>;

    /// Until when a xorb is kept even if nothing uses it; 0 if it is not.
    async fn kept_until(&self, xorb: &XorbHash) -> Result<Timestamp, MetaError>;

    /// A file that names this xorb, if one is known: where else to look for what goes with it. It may be gone, or name
    /// the xorb no longer.
    async fn home_of(&self, xorb: &XorbHash) -> Result<Option<FileHash>, MetaError>;
}

#[async_trait]
impl<E: TableEngine> MetaRegistry for TableMeta<E> {
    async fn terms_in(
        &self,
        bucket: BucketUid,
        file: &FileHash,
        proved_by: Option<&str>,
        wanted: Wanted<'_>,
    ) -> Result<Option<FileTerms>, MetaError> {
        // A record that is gone by the second snapshot is answered as one that was not within reach.
        if !self.engine.read(|snapshot| holdings::holds(snapshot, bucket, file, proved_by)).await? {
            return Ok(None);
        }
        self.file_terms(file, wanted).await
    }

    async fn register_files(
        &self,
        bucket: BucketUid,
        proved_by: &str,
        files: Vec<FileRecord>,
        keep_until: Timestamp,
    ) -> Result<usize, MetaError> {
        let proved_by = proved_by.to_owned();
        let files: Vec<NewFile> =
            files.into_iter().map(|record| NewFile { record, xorbs: Vec::new() }).collect();
        self.write(move |tables| tables.register_files(bucket, &proved_by, &files, keep_until)).await
    }

    async fn register_apart(&self, file: NewFile, keep_until: Timestamp) -> Result<(), MetaError> {
        self.write(move |tables| tables.register_apart(&file, keep_until)).await
    }

    async fn keep_apart(&self, xorb: XorbHash) -> Result<Option<FileHash>, MetaError> {
        self.write(move |tables| tables.keep_apart(&xorb)).await
    }

    async fn xorb_apart(&self, xorb: &XorbHash) -> Result<Option<FileRecord>, MetaError> {
        let file = file_of_all(xorb);
        self.engine
            .read(|snapshot| {
                if snapshot.open_table(tables::REGISTERED)?.get((NO_BUCKET, *file.as_bytes()))?.is_none() {
                    return Ok(None);
                }
                let row = snapshot.open_table(tables::FILES)?.get(file.as_bytes())?;
                let runs = snapshot.open_table(tables::FILE_TERMS)?;
                Ok(row.map(|row| decode_file(file, row.value(), &runs)).transpose()?)
            })
            .await
    }

    async fn due_registrations(
        &self,
        now: Timestamp,
        after: Option<RegistrationName>,
        limit: usize,
    ) -> Result<Vec<RegistrationName>, MetaError> {
        self.engine
            .read(|snapshot| {
                let table = snapshot.open_table(tables::REGISTERED)?;
                let due = registrations(&table, after)?;
                let due = due.filter(|entry| entry.as_ref().map_or(true, |(_, until)| *until <= now));
                due.take(limit).map(|entry| Ok(entry?.0)).collect()
            })
            .await
    }

    async fn forget_registrations(
        &self,
        due: Vec<RegistrationName>,
        now: Timestamp,
    ) -> Result<usize, MetaError> {
        self.write(move |tables| tables.forget_registrations(&due, now)).await
    }

    async fn keep_xorbs(
        &self,
        xorbs: Vec<XorbHash>,
        keep_until: Timestamp,
    ) -> Result<Vec<XorbHash>, MetaError> {
        self.write(move |tables| Ok(tables.keep_xorbs(xorbs.iter().copied(), keep_until)?)).await
    }

    async fn kept_until(&self, xorb: &XorbHash) -> Result<Timestamp, MetaError> {
        self.engine
            .read(|snapshot| {
                let until = snapshot.open_table(tables::KEPT)?.get(xorb.as_bytes())?;
                Ok(Timestamp(until.map_or(0, |until| until.value())))
            })
            .await
    }

    async fn home_of(&self, xorb: &XorbHash) -> Result<Option<FileHash>, MetaError> {
        self.engine
            .read(|snapshot| {
                let home = snapshot.open_table(tables::XORB_HOMES)?.get(xorb.as_bytes())?;
                if let Some(home) = home {
                    return Ok(Some(FileHash::from_bytes(home.value())));
                }
                let file = file_of_all(xorb);
                let is_there = snapshot.open_table(tables::FILES)?.get(file.as_bytes())?.is_some();
                Ok(is_there.then_some(file))
            })
            .await
    }
}

/// All registrations after `after`, with their times.
pub(super) fn registrations(
    table: &ReadTable<(u64, [u8; 32]), u64>,
    after: Option<RegistrationName>,
) -> Result<impl Iterator<Item = Result<(RegistrationName, Timestamp), redb::Error>>, redb::Error> {
    use std::ops::Bound;
    let start =
        after.map_or(Bound::Unbounded, |(bucket, file)| Bound::Excluded((bucket.0, *file.as_bytes())));
    let rows = table.range::<(u64, [u8; 32])>((start, Bound::Unbounded))?;
    Ok(rows.map(|entry| {
        let (name, until) = entry?;
        let (bucket, file) = name.value();
        Ok(((BucketUid(bucket), FileHash::from_bytes(file)), Timestamp(until.value())))
    }))
}

impl Tables<'_> {
    fn register_files(
        &mut self,
        bucket: BucketUid,
        proved_by: &str,
        files: &[NewFile],
        keep_until: Timestamp,
    ) -> Result<usize, Failure> {
        self.must_have_bucket(bucket)?;
        for file in files {
            self.must_have_file(&file.record.hash, Some(file))?;
        }
        let mut fresh = 0;
        for file in files {
            let name = (bucket.0, *file.record.hash.as_bytes());
            let known = self.registered.get(name)?.map(|until| until.value());
            self.registered.insert(name, known.unwrap_or(0).max(keep_until.0))?;
            self.proved.insert((name.0, name.1, proved_by), ())?;
            if known.is_none() {
                self.use_file(&file.record.hash, Some(file))?;
                fresh += 1;
            }
            let xorbs = xorbs_of(&file.record);
            for xorb in &xorbs {
                self.set_home(xorb, &file.record.hash)?;
            }
            self.keep_xorbs(xorbs, keep_until)?;
        }
        Ok(fresh)
    }

    fn register_apart(&mut self, file: &NewFile, keep_until: Timestamp) -> Result<(), Failure> {
        let hash = &file.record.hash;
        self.must_have_file(hash, Some(file))?;
        let name = (NO_BUCKET, *hash.as_bytes());
        let known = self.registered.get(name)?.map(|until| until.value());
        self.registered.insert(name, known.unwrap_or(0).max(keep_until.0))?;
        if known.is_none() {
            self.use_file(hash, Some(file))?;
        } else {
            self.mend_file(file)?;
        }
        Ok(())
    }

    fn keep_apart(&mut self, xorb: &XorbHash) -> Result<Option<FileHash>, Failure> {
        let kept = self.kept.get(xorb.as_bytes())?.map(|until| Timestamp(until.value()));
        let (Some(until), Some(row)) = (kept, self.xorb_row(xorb)?) else {
            return Ok(None);
        };
        let (hash, raw_bytes) = (file_of_all(xorb), row.table.raw_bytes());
        let all = Term { xorb: *xorb, start: 0, end: row.table.len() as u32, raw_bytes };
        let record = FileRecord { hash, size: raw_bytes.into(), terms: vec![all] };
        self.register_apart(&NewFile { record, xorbs: Vec::new() }, until)?;
        self.kept.remove(xorb.as_bytes())?;
        Ok(Some(hash))
    }

    fn forget_registrations(&mut self, due: &[RegistrationName], now: Timestamp) -> Result<usize, Failure> {
        let mut forgotten = 0;
        for (bucket, file) in due {
            let name = (bucket.0, *file.as_bytes());
            if self.registered.get(name)?.is_some_and(|until| until.value() <= now.0) {
                self.registered.remove(name)?;
                let proofs = (name.0, name.1, "")..=(name.0, name.1, PAST_KEYS);
                self.proved.remove_in(proofs)?;
                self.release_file(file)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// Keeps those of the xorbs that are there; answers them.
    pub(super) fn keep_xorbs(
        &mut self,
        xorbs: impl IntoIterator<Item = XorbHash>,
        keep_until: Timestamp,
    ) -> Result<Vec<XorbHash>, StorageError> {
        let mut there = Vec::new();
        for xorb in xorbs {
            if self.xorbs.get(xorb.as_bytes())?.is_none() {
                continue;
            }
            let until = self.kept.get(xorb.as_bytes())?.map_or(0, |until| until.value());
            if until < keep_until.0 {
                self.kept.insert(xorb.as_bytes(), keep_until.0)?;
            }
            there.push(xorb);
        }
        Ok(there)
    }
}
