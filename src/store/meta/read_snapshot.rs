//! [`ReadSnapshot`]: the tables that single rows are read from, opened once for everybody between two commits.
//!
//! To begin a read transaction and to open its tables costs redb more than to find a row. So readers share the last
//! snapshot that one of them has made. Invariant: anyone who asks after a commit was answered sees it, because the writer
//! forgets the shared snapshot between the commit and its answers ([`Shared::forget`]), and a snapshot is made and
//! shared under the same lock.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::bucket_names::{self, BUCKET_NAMES};
use super::engine::{Generation, engine};
use super::files::{decode_file, terms_within};
use super::kv::{ReadTable, ReadTransaction};
use super::lifecycle::{self, LIFECYCLES};
use super::tables::{self, Row, decode, decode_whole_object};
use super::version_listing::VersionTables;
use super::xorbs::decode_xorb;
use super::{Content, MetaError};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::file::FileRecord;
use crate::model::names::{BucketId, ObjectKey};
use crate::model::object::{Object, ObjectRef, Version};
use crate::model::version::VersionRef;
use crate::store::file_terms::{FileTerms, RunName, TermRuns};
use crate::store::rows::XorbRow;
use crate::xet::hash::{FileHash, XorbHash};

/// Most buckets remembered between two commits, at some 200 bytes each.
const BUCKETS_FOUND_MAX: usize = 1024;

/// The rows of one moment.
pub(super) struct ReadSnapshot {
    /// Of which opening of the database.
    pub(super) generation: Generation,
    buckets: ReadTable<(&'static str, &'static str), Row>,
    bucket_names: ReadTable<u64, (&'static str, &'static str, u64)>,
    objects: ReadTable<(u64, &'static [u8]), Row>,
    files: ReadTable<[u8; 32], Row>,
    file_terms: ReadTable<RunName, Row>,
    xorbs: ReadTable<[u8; 32], Row>,
    versions: VersionTables,
    lifecycles: ReadTable<u64, (u64, Row)>,
    counters: ReadTable<&'static str, u64>,
    /// Buckets found already: every request asks for one, and they are few.
    found: RwLock<HashMap<BucketId, Bucket>>,
}

impl ReadSnapshot {
    /// Opens the tables of a snapshot.
    pub(super) fn open(generation: Generation, snapshot: &ReadTransaction) -> Result<Self, MetaError> {
        Ok(Self {
            generation,
            buckets: snapshot.open_table(tables::BUCKETS).map_err(engine)?,
            bucket_names: snapshot.open_table(BUCKET_NAMES).map_err(engine)?,
            objects: snapshot.open_table(tables::OBJECTS).map_err(engine)?,
            files: snapshot.open_table(tables::FILES).map_err(engine)?,
            file_terms: snapshot.open_table(tables::FILE_TERMS).map_err(engine)?,
            xorbs: snapshot.open_table(tables::XORBS).map_err(engine)?,
            versions: VersionTables::open(snapshot).map_err(engine)?,
            lifecycles: snapshot.open_table(LIFECYCLES).map_err(engine)?,
            counters: snapshot.open_table(tables::COUNTERS).map_err(engine)?,
            found: RwLock::default(),
        })
    }

    pub(super) fn bucket(&self, id: &BucketId) -> Result<Option<Bucket>, MetaError> {
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let row = self.buckets.get((id.namespace.as_str(), id.name.as_str())).map_err(engine)?;
        let mut bucket: Option<Bucket> = row.map(|row| decode(row.value())).transpose().map_err(engine)?;
        if let Some(bucket) = &mut bucket {
            let rules = lifecycle::in_force(&self.lifecycles, &self.counters, bucket.uid).map_err(engine)?;
            bucket.lifecycle = rules.map(|(_, rules)| rules);
        }
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = bucket.as_ref().filter(|_| found.len() < BUCKETS_FOUND_MAX) {
            found.insert(id.clone(), bucket.clone());
        }
        Ok(bucket)
    }

    pub(super) fn bucket_of(&self, uid: BucketUid) -> Result<Option<Bucket>, MetaError> {
        bucket_names::of_uid(&self.bucket_names, &self.buckets, uid).map_err(engine)
    }

    fn bucket_uid(&self, id: &BucketId) -> Result<Option<BucketUid>, MetaError> {
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner).get(id).map(|found| found.uid);
        if known.is_some() {
            return Ok(known);
        }
        Ok(self.bucket(id)?.map(|bucket| bucket.uid))
    }

    pub(super) fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError> {
        let row = self.objects.get((bucket.0, key.as_str().as_bytes())).map_err(engine)?;
        row.map(|row| decode_whole_object(row.value())).transpose().map_err(engine)
    }

    /// The tables of versions.
    pub(super) fn versions(&self) -> &VersionTables {
        &self.versions
    }

    pub(super) fn version(
        &self,
        bucket: BucketUid,
        key: &ObjectKey,
        version: VersionRef,
    ) -> Result<Option<Version>, MetaError> {
        match self.object(bucket, key)? {
            Some(object) if version == object.version.into() => Ok(Some(Version::Object(Box::new(object)))),
            _ => self.versions.find(bucket, key, version).map_err(engine),
        }
    }

    pub(super) fn latest(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Version>, MetaError> {
        match self.object(bucket, key)? {
            Some(object) => Ok(Some(Version::Object(Box::new(object)))),
            None => self.versions.newest(bucket, key).map_err(engine),
        }
    }

    pub(super) fn file(&self, hash: &FileHash) -> Result<Option<FileRecord>, MetaError> {
        let row = self.files.get(hash.as_bytes()).map_err(engine)?;
        row.map(|row| decode_file(*hash, row.value(), &self.file_terms)).transpose().map_err(engine)
    }

    /// The terms of a file that hold a range, and few others.
    pub(super) fn terms(
        &self,
        hash: &FileHash,
        shared: &TermRuns,
        wanted: impl FnOnce(u64) -> Range<u64>,
    ) -> Result<Option<FileTerms>, MetaError> {
        let row = self.files.get(hash.as_bytes()).map_err(engine)?;
        row.map(|row| terms_within(*hash, row.value(), &self.file_terms, shared, wanted)).transpose()
    }

    pub(super) fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError> {
        let row = self.xorbs.get(hash.as_bytes()).map_err(engine)?;
        row.map(|row| decode_xorb(hash, row.value())).transpose().map_err(engine)
    }

    pub(super) fn content(
        &self,
        (bucket, object): (&BucketId, ObjectRef<'_>),
        shared: &TermRuns,
        wanted: impl FnOnce(u64) -> Range<u64>,
    ) -> Result<Content, MetaError> {
        let uid = self.bucket_uid(bucket)?.ok_or(MetaError::NoSuchBucket)?;
        let object = match object.version {
            None => self.object(uid, object.key)?.ok_or(MetaError::NoSuchObject)?,
            Some(version) => self
                .version(uid, object.key, version)?
                .ok_or(MetaError::NoSuchVersion)?
                .into_object()
                .ok_or(MetaError::IsDeleteMarker)?,
        };
        let terms = self.terms(&object.file, shared, wanted)?;
        let terms = terms.ok_or(MetaError::MissingFile(object.file))?;
        Ok(Content { object, terms })
    }
}

/// The snapshot that readers share, if one was made since the last commit.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<Arc<ReadSnapshot>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<ReadSnapshot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared snapshot, made by `open` if there is none.
    pub(super) fn get(
        &self,
        open: impl FnOnce() -> Result<ReadSnapshot, MetaError>,
    ) -> Result<Arc<ReadSnapshot>, MetaError> {
        let mut shared = self.lock();
        if let Some(read_snapshot) = &*shared {
            return Ok(Arc::clone(read_snapshot));
        }
        let read_snapshot = Arc::new(open()?);
        *shared = Some(Arc::clone(&read_snapshot));
        Ok(read_snapshot)
    }

    /// Forgets it: the next reader makes another.
    pub(super) fn forget(&self) {
        // Dropped outside of the lock: the end of a snapshot is work for redb.
        let _ended = self.lock().take();
    }
}
