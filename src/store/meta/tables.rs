//! The tables of the embedded engine, and the transactions over them.
//!
//! Each method of [`Tables`] is one logical transaction: it checks everything that can refuse it before it writes
//! anything, so that many can share one physical transaction and a refusal leaves no trace.

use std::collections::BTreeSet;

use super::bucket_names::{self, BUCKET_NAMES};
use super::folders::{FOLDERS, FolderName};
use super::kv::{ReadableTable, SharedRows, Table, TableDefinition, WriteTransaction};
use super::leases::LEASES;
use super::lifecycle::{DUE, DueName, INDEXING, LIFECYCLES, RulesCache};
use super::nodes::{BEATS, EPOCH_TOKENS, NODES, QUESTIONS};
use super::registry::PROVED;
use super::rows::{self, Stored};
use super::sharing::{NEWS, SHARED_CHUNKS};
use super::versions::{NULL_VERSIONS, VERSION_STATS, VERSIONING, VERSIONS, VersionName};
use super::{Changed, KeyChange, MetaError, NewFile, ObjectChange};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::clock::Timestamp;
use crate::model::conditions::WriteCondition;
use crate::model::file::FileRecord;
use crate::model::lock::ObjectLock;
use crate::model::names::{BucketId, ObjectKey};
use crate::model::object::Object;
use crate::store::file_terms::RunName;
use crate::store::versioned::StoredError;
use crate::xet::hash::{FileHash, XorbHash};
use redb::{StorageError, TableError};

/// A row in its serialised form.
pub(super) type Row = &'static [u8];

/// Enough of a xorb's hash to find its row by; that it is the one, its row says.
pub(super) type HashHead = [u8; 8];

/// (namespace, name) -> [`Bucket`]
pub(super) const BUCKETS: TableDefinition<(&str, &str), Row> = TableDefinition::new("buckets");
/// Which bucket uids are alive.
pub(super) const BUCKET_UIDS: TableDefinition<u64, ()> = TableDefinition::new("bucket_uids");
/// (bucket, name of the setting) -> its value; see [`super::settings`]
pub(super) const BUCKET_SETTINGS: TableDefinition<(u64, &str), Row> = TableDefinition::new("bucket_settings");
/// (bucket, key) -> [`Object`], as [`super::rows`] writes it; bytes, so that bounds between keys need not be UTF-8.
pub(super) const OBJECTS: TableDefinition<(u64, &[u8]), Row> = TableDefinition::new("objects");
/// (bucket, key, upload id) -> [`Upload`](crate::model::upload::Upload)
pub(super) const UPLOADS: TableDefinition<(u64, &[u8], &str), Row> = TableDefinition::new("uploads");
/// (upload id, part number) -> [`Part`](crate::model::upload::Part)
pub(super) const PARTS: TableDefinition<(&str, u16), Row> = TableDefinition::new("parts");
/// file hash -> [`FileRecord`](crate::model::file::FileRecord), as [`super::files`] writes it
pub(super) const FILES: TableDefinition<[u8; 32], Row> = TableDefinition::new("files");
/// (number of a long record, run) -> its terms
pub(super) const FILE_TERMS: TableDefinition<RunName, Row> = TableDefinition::new("file_terms");
/// file hash -> number of objects and parts that use it, if it is not 1
pub(super) const FILE_USES: TableDefinition<[u8; 32], u64> = TableDefinition::new("file_uses");
/// (bucket, file hash) -> until when (in ms) the file is registered there; each uses the file once
pub(super) const REGISTERED: TableDefinition<(u64, [u8; 32]), u64> = TableDefinition::new("registered");
/// xorb hash -> [`XorbRow`](crate::store::rows::XorbRow), likewise
pub(super) const XORBS: TableDefinition<[u8; 32], Row> = TableDefinition::new("xorbs");
/// xorb hash -> number of file records that use it, if it is neither 1 nor 0 (those are idle); apart from the row, which
/// is large
pub(super) const XORB_USES: TableDefinition<[u8; 32], u64> = TableDefinition::new("xorb_uses");
/// xorb hash -> a file that named it when this was written
pub(super) const XORB_HOMES: TableDefinition<[u8; 32], [u8; 32]> = TableDefinition::new("xorb_homes");
/// xorb hash -> generation: the xorbs that no file record uses
pub(super) const IDLE: TableDefinition<[u8; 32], u64> = TableDefinition::new("idle");
/// xorb hash -> until when (in ms) it is kept even if nothing uses it
pub(super) const KEPT: TableDefinition<[u8; 32], u64> = TableDefinition::new("kept");
/// pack -> (end of its last committed frame, bytes of its live frames)
pub(super) const PACKS: TableDefinition<u64, (u64, u64)> = TableDefinition::new("packs");
/// (pack, offset) -> the beginning of the hash of the live xorb that lies there
pub(super) const PACK_XORBS: TableDefinition<(u64, u64), HashHead> = TableDefinition::new("pack_xorbs");
/// bucket -> (bytes, number) of its objects
pub(super) const BUCKET_STATS: TableDefinition<u64, (u64, u64)> = TableDefinition::new("bucket_stats");
/// (bucket, file hash) -> number of the bucket's objects that have it as their content
pub(super) const BUCKET_FILES: TableDefinition<(u64, [u8; 32]), u64> = TableDefinition::new("bucket_files");
/// account name -> [`Account`](crate::model::accounts::Account)
pub(super) const ACCOUNTS: TableDefinition<&str, Row> = TableDefinition::new("accounts");
/// access key id -> [`SealedCredential`](crate::model::accounts::SealedCredential)
pub(super) const CREDENTIALS: TableDefinition<&str, Row> = TableDefinition::new("credentials");
/// name -> number
pub(super) const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");

/// The names of all tables.
pub(super) const NAMES: [&str; 39] = [
    BUCKETS.name(),
    BUCKET_UIDS.name(),
    BUCKET_NAMES.name(),
    BUCKET_SETTINGS.name(),
    OBJECTS.name(),
    VERSIONS.name(),
    NULL_VERSIONS.name(),
    VERSIONING.name(),
    VERSION_STATS.name(),
    FOLDERS.name(),
    UPLOADS.name(),
    PARTS.name(),
    FILES.name(),
    FILE_TERMS.name(),
    FILE_USES.name(),
    REGISTERED.name(),
    PROVED.name(),
    XORBS.name(),
    XORB_USES.name(),
    XORB_HOMES.name(),
    IDLE.name(),
    KEPT.name(),
    PACKS.name(),
    PACK_XORBS.name(),
    BUCKET_STATS.name(),
    BUCKET_FILES.name(),
    ACCOUNTS.name(),
    CREDENTIALS.name(),
    LIFECYCLES.name(),
    DUE.name(),
    INDEXING.name(),
    LEASES.name(),
    EPOCH_TOKENS.name(),
    NODES.name(),
    BEATS.name(),
    QUESTIONS.name(),
    SHARED_CHUNKS.name(),
    NEWS.name(),
    COUNTERS.name(),
];

/// Why a logical transaction did not happen.
pub(super) enum Failure {
    /// It may not; nothing was written.
    Refused(MetaError),
    /// The engine failed; the physical transaction must be given up.
    Engine(StorageError),
}

impl From<MetaError> for Failure {
    fn from(error: MetaError) -> Self {
        Self::Refused(error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Engine(error)
    }
}

/// What the engine says of a row that cannot be read or written.
impl From<StoredError> for StorageError {
    fn from(error: StoredError) -> Self {
        Self::Corrupted(error.to_string())
    }
}

/// Reads a row.
pub(super) fn decode<T: Stored>(row: &[u8]) -> Result<T, StorageError> {
    Ok(T::from_row(row)?)
}

/// Writes a row.
pub(super) fn encode<T: Stored>(value: &T) -> Result<Vec<u8>, StorageError> {
    Ok(value.to_row()?)
}

/// Reads an object without its parts.
pub(super) fn decode_object(row: &[u8]) -> Result<Object, StorageError> {
    Ok(rows::decode_object(row)?)
}

/// Reads an object with its parts.
pub(super) fn decode_whole_object(row: &[u8]) -> Result<Object, StorageError> {
    Ok(rows::decode_whole_object(row)?)
}

pub(super) fn encode_object(object: &Object) -> Result<Vec<u8>, StorageError> {
    Ok(rows::encode_object(object)?)
}

/// All tables, opened in one physical transaction.
pub(super) struct Tables<'t> {
    pub(super) buckets: Table<'t, (&'static str, &'static str), Row>,
    pub(super) bucket_uids: Table<'t, u64, ()>,
    pub(super) bucket_names: Table<'t, u64, (&'static str, &'static str, u64)>,
    pub(super) bucket_settings: Table<'t, (u64, &'static str), Row>,
    pub(super) objects: Table<'t, (u64, &'static [u8]), Row>,
    pub(super) versions: Table<'t, VersionName, Row>,
    pub(super) null_versions: Table<'t, (u64, &'static [u8]), u64>,
    pub(super) versioning: Table<'t, u64, u8>,
    pub(super) version_stats: Table<'t, u64, (u64, u64, u64)>,
    pub(super) folders: Table<'t, FolderName, u64>,
    pub(super) uploads: Table<'t, (u64, &'static [u8], &'static str), Row>,
    pub(super) parts: Table<'t, (&'static str, u16), Row>,
    pub(super) files: Table<'t, [u8; 32], Row>,
    pub(super) file_terms: Table<'t, RunName, Row>,
    pub(super) file_uses: Table<'t, [u8; 32], u64>,
    pub(super) registered: Table<'t, (u64, [u8; 32]), u64>,
    pub(super) proved: Table<'t, (u64, [u8; 32], &'static str), ()>,
    pub(super) xorbs: Table<'t, [u8; 32], Row>,
    pub(super) xorb_uses: Table<'t, [u8; 32], u64>,
    pub(super) xorb_homes: Table<'t, [u8; 32], [u8; 32]>,
    pub(super) idle: Table<'t, [u8; 32], u64>,
    pub(super) kept: Table<'t, [u8; 32], u64>,
    pub(super) packs: Table<'t, u64, (u64, u64)>,
    pub(super) pack_xorbs: Table<'t, (u64, u64), HashHead>,
    pub(super) bucket_stats: Table<'t, u64, (u64, u64)>,
    pub(super) bucket_files: Table<'t, (u64, [u8; 32]), u64>,
    pub(super) accounts: Table<'t, &'static str, Row>,
    pub(super) credentials: Table<'t, &'static str, Row>,
    pub(super) lifecycles: Table<'t, u64, (u64, Row)>,
    pub(super) due: Table<'t, DueName, ()>,
    pub(super) indexing: Table<'t, u64, Row>,
    pub(super) leases: Table<'t, &'static str, (u64, u64, &'static str)>,
    pub(super) epoch_tokens: Table<'t, &'static str, u64>,
    pub(super) nodes: Table<'t, u64, Row>,
    pub(super) beats: Table<'t, u64, Row>,
    pub(super) questions: Table<'t, &'static str, (u64, Row)>,
    pub(super) shared_chunks: Table<'t, [u8; 32], [u8; 32]>,
    pub(super) news: Table<'t, (u64, u64), Row>,
    pub(super) counters: Table<'t, &'static str, u64>,
    pub(super) rules: RulesCache,
    /// The rows of a remote database, if they are in one.
    remote: Option<SharedRows>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &WriteTransaction<'t>) -> Result<Self, TableError> {
        Ok(Self {
            buckets: transaction.open_table(BUCKETS)?,
            bucket_uids: transaction.open_table(BUCKET_UIDS)?,
            bucket_names: transaction.open_table(BUCKET_NAMES)?,
            bucket_settings: transaction.open_table(BUCKET_SETTINGS)?,
            objects: transaction.open_table(OBJECTS)?,
            versions: transaction.open_table(VERSIONS)?,
            null_versions: transaction.open_table(NULL_VERSIONS)?,
            versioning: transaction.open_table(VERSIONING)?,
            version_stats: transaction.open_table(VERSION_STATS)?,
            folders: transaction.open_table(FOLDERS)?,
            uploads: transaction.open_table(UPLOADS)?,
            parts: transaction.open_table(PARTS)?,
            files: transaction.open_table(FILES)?,
            file_terms: transaction.open_table(FILE_TERMS)?,
            file_uses: transaction.open_table(FILE_USES)?,
            registered: transaction.open_table(REGISTERED)?,
            proved: transaction.open_table(PROVED)?,
            xorbs: transaction.open_table(XORBS)?,
            xorb_uses: transaction.open_table(XORB_USES)?,
            xorb_homes: transaction.open_table(XORB_HOMES)?,
            idle: transaction.open_table(IDLE)?,
            kept: transaction.open_table(KEPT)?,
            packs: transaction.open_table(PACKS)?,
            pack_xorbs: transaction.open_table(PACK_XORBS)?,
            bucket_stats: transaction.open_table(BUCKET_STATS)?,
            bucket_files: transaction.open_table(BUCKET_FILES)?,
            accounts: transaction.open_table(ACCOUNTS)?,
            credentials: transaction.open_table(CREDENTIALS)?,
            lifecycles: transaction.open_table(LIFECYCLES)?,
            due: transaction.open_table(DUE)?,
            indexing: transaction.open_table(INDEXING)?,
            leases: transaction.open_table(LEASES)?,
            epoch_tokens: transaction.open_table(EPOCH_TOKENS)?,
            nodes: transaction.open_table(NODES)?,
            beats: transaction.open_table(BEATS)?,
            questions: transaction.open_table(QUESTIONS)?,
            shared_chunks: transaction.open_table(SHARED_CHUNKS)?,
            news: transaction.open_table(NEWS)?,
            counters: transaction.open_table(COUNTERS)?,
            rules: RulesCache::default(),
            remote: transaction.rows().cloned(),
        })
    }

    pub(super) fn create_bucket(&mut self, bucket: &Bucket) -> Result<Bucket, Failure> {
        let name = (bucket.id.namespace.as_str(), bucket.id.name.as_str());
        if self.buckets.get(name)?.is_some() {
            return Err(MetaError::BucketExists.into());
        }
        let uid = self.count_up(bucket_names::COUNTER)?;
        let bucket = Bucket { uid: BucketUid(uid), ..bucket.clone() };
        self.bucket_uids.insert(uid, ())?;
        self.name_bucket(&bucket, uid)?;
        self.buckets.insert(name, encode(&bucket)?.as_slice())?;
        Ok(bucket)
    }

    pub(super) fn delete_bucket(
        &mut self,
        id: &BucketId,
        with_contents: bool,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let name = (id.namespace.as_str(), id.name.as_str());
        let bucket: Bucket = match self.buckets.get(name)? {
            Some(row) => decode(row.value())?,
            None => return Err(MetaError::NoSuchBucket.into()),
        };
        let uid = bucket.uid.0;
        let all = (uid, [].as_slice())..(uid + 1, [].as_slice());
        let is_empty = self.objects.first_in(all.clone())?.is_none() && !self.has_versions(uid)?;
        if !with_contents && !is_empty {
            return Err(MetaError::BucketNotEmpty.into());
        }
        self.must_hold_nothing_locked(bucket.uid, now)?;
        let mut dead = Vec::new();
        for entry in self.objects.range(all.clone())? {
            dead.push(decode_object(entry?.1.value())?.file);
        }
        self.objects.remove_in(all)?;
        for file in dead {
            self.release_file(&file)?;
        }
        self.delete_versions_of(uid)?;
        self.delete_folders(uid)?;
        self.delete_uploads_of(uid)?;
        self.delete_settings_of(uid)?;
        self.set_lifecycle(bucket.uid, None)?;
        self.forget_holdings(bucket.uid)?;
        self.bucket_uids.remove(uid)?;
        self.bucket_names.remove(uid)?;
        self.buckets.remove(name)?;
        Ok(())
    }

    pub(super) fn must_have_bucket(&self, bucket: BucketUid) -> Result<(), Failure> {
        match self.bucket_uids.get(bucket.0)? {
            Some(_) => Ok(()),
            None => Err(MetaError::NoSuchBucket.into()),
        }
    }

    pub(super) fn change(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: &ObjectChange,
    ) -> Result<Changed, Failure> {
        self.must_have_bucket(bucket)?;
        let watched = self.watch_key(bucket, key, change.going())?;
        let changed = self.change_key(bucket, key, condition, change)?;
        self.index_key(bucket, key, watched)?;
        Ok(changed)
    }

    fn change_key(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        condition: &WriteCondition,
        change: &ObjectChange,
    ) -> Result<Changed, Failure> {
        let (object, file) = match change {
            ObjectChange::Put(object, file) => (object, file.as_deref()),
            ObjectChange::Delete(deletion) => return self.delete_object(bucket, key, condition, deletion),
            ObjectChange::Amend(version, amendment) => {
                if amendment.is_of_lock() {
                    self.must_have_lock(bucket)?;
                }
                return self.amend(bucket, key, *version, |object| amendment.apply(object));
            }
        };
        let present = self.present_object(bucket, key)?;
        condition.check(present.as_ref().map(|object| &object.etag)).map_err(MetaError::from)?;
        self.must_have_file(&object.file, file)?;
        let lock = self.lock_of_new(bucket, object)?;
        Ok(self.put_locked(bucket, key, present, object, lock, file)?)
    }

    /// Writes an object with this lock.
    pub(super) fn put_locked(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        present: Option<Object>,
        object: &Object,
        lock: ObjectLock,
        file: Option<&NewFile>,
    ) -> Result<Changed, StorageError> {
        if lock == object.lock {
            return self.put_object(bucket, key, present, object, file);
        }
        let object = Object { lock, ..object.clone() };
        self.put_object(bucket, key, present, &object, file)
    }

    pub(super) fn change_many(
        &mut self,
        bucket: BucketUid,
        changes: &[KeyChange],
    ) -> Result<Vec<Result<Changed, MetaError>>, Failure> {
        self.must_have_bucket(bucket)?;
        let change = |KeyChange { key, condition, change }: &KeyChange| match self
            .change(bucket, key, condition, change)
        {
            Ok(made) => Ok(Ok(made)),
            Err(Failure::Refused(refusal)) => Ok(Err(refusal)),
            Err(failure) => Err(failure),
        };
        changes.iter().map(change).collect()
    }

    /// Whether a file can be referred to: it is there, or comes along and all its xorbs are there or come along.
    pub(super) fn must_have_file(&self, hash: &FileHash, new: Option<&NewFile>) -> Result<(), Failure> {
        if let Some(new) = new {
            self.must_be_of_the_living(&new.xorbs)?;
        }
        if self.files.get(hash.as_bytes())?.is_some() {
            return Ok(());
        }
        let Some(new) = new.filter(|new| new.record.hash == *hash) else {
            return Err(MetaError::MissingFile(*hash).into());
        };
        for xorb in xorbs_of(&new.record) {
            let comes_along = new.xorbs.iter().any(|stored| stored.hash == xorb);
            if !comes_along && self.xorbs.get(xorb.as_bytes())?.is_none() {
                return Err(MetaError::MissingXorb(xorb).into());
            }
        }
        Ok(())
    }

    pub(super) fn use_file(&mut self, hash: &FileHash, new: Option<&NewFile>) -> Result<(), StorageError> {
        if self.files.get(hash.as_bytes())?.is_some() {
            let uses = self.file_uses.get(hash.as_bytes())?.map_or(1, |uses| uses.value());
            self.file_uses.insert(hash.as_bytes(), uses + 1)?;
            return new.map_or(Ok(()), |new| self.mend_file(new));
        }
        let mut fresh = self.add_xorbs(new.map(|new| new.xorbs.as_slice()).unwrap_or_default())?;
        if let Some(new) = new {
            self.put_file(&new.record)?;
            for xorb in xorbs_of(&new.record) {
                self.use_xorb(&xorb, hash, &mut fresh)?;
            }
        }
        self.make_idle_all(&fresh)
    }

    pub(super) fn release_file(&mut self, hash: &FileHash) -> Result<(), StorageError> {
        let uses = self.file_uses.get(hash.as_bytes())?.map_or(1, |uses| uses.value());
        if uses > 2 {
            self.file_uses.insert(hash.as_bytes(), uses - 1)?;
            return Ok(());
        }
        if self.file_uses.take(hash.as_bytes())?.is_some() {
            return Ok(());
        }
        self.take_file(hash)?.iter().flat_map(xorbs_of).try_for_each(|xorb| self.release_xorb(&xorb))
    }

    /// The store's identity; `fresh` becomes it if it has none yet.
    pub(super) fn store_id(&mut self, fresh: u64) -> Result<u64, Failure> {
        let known = self.counters.get("store_id")?.map(|id| id.value());
        if known.is_none() {
            self.counters.insert("store_id", fresh)?;
        }
        Ok(known.unwrap_or(fresh))
    }

    /// Whether other nodes have the same tables.
    pub(super) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// A number that was never answered for this counter. Nodes do not wait for each other for one.
    pub(super) fn unique(&mut self, counter: &'static str) -> Result<u64, StorageError> {
        match &self.remote {
            Some(rows) => Ok(rows.unique()),
            None => self.count_up(counter),
        }
    }

    /// The next value of a counter; the first is 1.
    pub(super) fn count_up(&mut self, counter: &'static str) -> Result<u64, StorageError> {
        let next = self.counters.get(counter)?.map_or(1, |last| last.value() + 1);
        self.counters.insert(counter, next)?;
        Ok(next)
    }
}

/// The distinct xorbs of a file.
pub(super) fn xorbs_of(record: &FileRecord) -> BTreeSet<XorbHash> {
    record.terms.iter().map(|term| term.xorb).collect()
}
