//! [`HubBuckets`]: the [`BucketApi`] of one caller over a Hub.
//!
//! What the Hub keeps (buckets, paths, content, dates) is asked of the Hub each time. What only S3 knows (attributes,
//! tags, checksums, MD5, parts, running uploads) is kept in the gateway's own metadata, one row for each bucket, path
//! *and* content: what another client writes there makes the row meaningless, never wrong.
//!
//! A write sends xorbs while the body comes, then registers the file, then keeps the row, and at last sends the one
//! line that makes the object visible. Whatever fails before that line leaves the object as it was. Writes of one key
//! through this gateway wait for each other, so that conditions hold among them; between the check and the line,
//! another writer at the Hub may come in (the Hub has no conditions).

use std::collections::HashMap;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lru::LruCache;

use super::client::{BucketAccess, HubClient};
use super::keys;
use super::listing::Pages;
use super::part_folder::PartFolder;
use super::wire::{BatchOp, FileEntry};
use crate::bucket::error::{engine_error, meta_failed};
use crate::bucket::{
    Attributes, BucketError, BucketId, ETag, FileHash, ListQuery, Namespace, Object, ObjectKey, ObjectRef,
    VersionRef, Visibility, WriteCondition,
};
use crate::cas::remote::{Known, NewRemoteFile, RemoteChunks, RemoteError, RemoteShared, SentXorb};
use crate::engine::{Engine, EngineError, EngineTurns};
use crate::model::bucket::{Bucket, BucketUid};
use crate::model::clock::{Ambient, Timestamp};
use crate::model::conditions::WriteRefused;
use crate::model::file::FileRecord;
use crate::model::lock::ObjectLock;
use crate::model::version::Versioning;
use crate::store::meta::{Deletion, MetaError, MetaStore, NewFile, ObjectChange};
use crate::xet::hash::RangeHash;

/// Uploads at work at once in hub mode: each gathers a xorb of 16 MiB and has three on their way.
const UPLOADS_MAX: usize = 32;

/// Buckets whose access and layouts are kept.
const BUCKETS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// MD5 of no bytes: the `ETag` of an empty object, no matter who wrote it.
const EMPTY_MD5: [u8; 16] =
    [0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e];

/// A Hub keeps no versions that could be locked.
pub(super) const NO_LOCKS: BucketError = BucketError::NotImplemented("The object lock of a bucket on a Hub");

/// Refuses a lock that a write asks for.
pub(super) fn must_not_lock(lock: &ObjectLock) -> Result<(), BucketError> {
    if *lock == ObjectLock::default() { Ok(()) } else { Err(NO_LOCKS) }
}

/// What all callers of one gateway share.
#[derive(Clone)]
pub struct HubShared {
    pub(super) meta: Arc<dyn MetaStore>,
    pub(super) parts: Arc<PartFolder>,
    pub(super) remote: RemoteShared,
    pub(super) turns: EngineTurns,
    pub(super) ambient: Ambient,
    locks: Arc<KeyLocks>,
}

impl HubShared {
    /// `parts` is the folder where parts of running uploads are kept; those of an earlier build are upgraded. Blocks.
    pub fn open(
        meta: Arc<dyn MetaStore>,
        parts: PathBuf,
        remote: RemoteShared,
        ambient: Ambient,
    ) -> io::Result<Self> {
        Ok(Self {
            meta,
            parts: Arc::new(PartFolder::open(parts)?),
            remote,
            turns: EngineTurns::far(UPLOADS_MAX),
            ambient,
            locks: Arc::default(),
        })
    }
}

type KeyLock = tokio::sync::Mutex<()>;

/// Writes of one key wait for each other.
#[derive(Default)]
struct KeyLocks(Mutex<HashMap<(BucketId, ObjectKey), Weak<KeyLock>>>);

impl KeyLocks {
    fn of(&self, id: &BucketId, key: &ObjectKey) -> Arc<KeyLock> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (id.clone(), key.clone());
        if let Some(lock) = locks.get(&name).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() >= 1024 {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(KeyLock::default());
        locks.insert(name, Arc::downgrade(&lock));
        lock
    }
}

/// The buckets that one token opens on one Hub.
pub struct HubBuckets {
    pub(super) client: HubClient,
    pub(super) shared: HubShared,
    pub(super) pages: Pages,
    /// Where buckets are looked for that are named without a namespace, and who asks there.
    pub(super) places: Vec<(Namespace, HubClient)>,
    known: Arc<Known>,
    chunks: Mutex<LruCache<BucketId, RemoteChunks>>,
}

/// A file that was sent whole and waits to become an object.
pub(super) struct SentFile<'a> {
    pub(super) record: &'a FileRecord,
    pub(super) proof: &'a [RangeHash],
    pub(super) xorbs: &'a [SentXorb],
}

impl HubBuckets {
    /// The buckets that `client` speaks for.
    pub fn new(client: HubClient, shared: HubShared) -> Self {
        let chunks = Mutex::new(LruCache::new(BUCKETS_MAX));
        let (pages, places) = (Pages::default(), Vec::new());
        Self { client, shared, pages, places, known: Arc::default(), chunks }
    }

    /// The same, and buckets that are named without a namespace are looked for in these, each by its client: a Hub
    /// cannot be asked for all buckets of a name. What is found is not yet opened: that takes the own token.
    #[must_use]
    pub fn looking_in(self, places: Vec<(Namespace, HubClient)>) -> Self {
        Self { places, ..self }
    }

    /// The chunks of a bucket.
    pub(super) fn chunks(&self, id: &BucketId) -> RemoteChunks {
        let mut kept = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let source = BucketAccess::source(self.client.clone(), id.clone());
            RemoteChunks::new(self.shared.remote.clone(), source, Arc::clone(&self.known))
        };
        kept.get_or_insert(id.clone(), new).clone()
    }

    /// The engine over a bucket's chunks.
    pub(super) fn engine(&self, chunks: &RemoteChunks) -> Engine<RemoteChunks> {
        Engine::with_turns(Arc::new(chunks.clone()), self.shared.turns.clone())
    }

    /// Where the rows of a bucket are kept here.
    pub(super) async fn rows_of(&self, id: &BucketId) -> Result<BucketUid, BucketError> {
        let meta = &self.shared.meta;
        loop {
            if let Some(bucket) = meta.bucket(id).await.map_err(meta_failed)? {
                return Ok(bucket.uid);
            }
            let now = self.shared.ambient.clock.now();
            match meta.create_bucket(id, Visibility::Private, now).await {
                Ok(bucket) => return Ok(bucket.uid),
                Err(MetaError::BucketExists) => {}
                Err(error) => return Err(meta_failed(error)),
            }
        }
    }

    /// What the Hub has at a key now.
    pub(super) async fn entry(
        &self,
        id: &BucketId,
        key: &ObjectKey,
    ) -> Result<Option<FileEntry>, BucketError> {
        if keys::broken_rule(key.as_str()).is_some() {
            return Ok(None);
        }
        let paths = [key.as_str().to_owned()];
        let found = self.client.paths_info(id, &paths).await;
        let found = found.map_err(|error| error.of_bucket(id, Some(key)))?;
        Ok(found.into_iter().find(|entry| entry.path == key.as_str()))
    }

    /// An object as it is named. It is the only version of its key, the one without an id.
    pub(super) async fn named_object(
        &self,
        id: &BucketId,
        object: ObjectRef<'_>,
    ) -> Result<Object, BucketError> {
        let no_version = |version| BucketError::NoSuchVersion { key: object.key.clone(), version };
        match object.version {
            None => self.must_object(id, object.key).await,
            Some(VersionRef::Null) => self.must_object(id, object.key).await.map_err(|error| match error {
                BucketError::NoSuchKey(_) => no_version(VersionRef::Null),
                error => error,
            }),
            Some(version) => Err(no_version(version)),
        }
    }

    /// The object at a key now.
    pub(super) async fn must_object(&self, id: &BucketId, key: &ObjectKey) -> Result<Object, BucketError> {
        let entry = self.entry(id, key).await?;
        let entry = entry.ok_or_else(|| BucketError::NoSuchKey(key.clone()))?;
        let rows = self.rows_of(id).await?;
        self.dress(rows, key, entry).await
    }

    /// What the Hub says of an object, with what is kept of it here.
    pub(super) async fn dress(
        &self,
        rows: BucketUid,
        key: &ObjectKey,
        entry: FileEntry,
    ) -> Result<Object, BucketError> {
        let FileEntry { size, xet_hash, mtime, uploaded_at, content_type, .. } = entry;
        let modified_at = uploaded_at.or(mtime).unwrap_or(Timestamp(0));
        if let Some(row) = self.row(rows, key, &xet_hash).await?.filter(|row| row.size == size) {
            return Ok(Object { modified_at, ..row });
        }
        Ok(Object {
            file: xet_hash,
            size,
            etag: if size == 0 { ETag::Md5(EMPTY_MD5) } else { ETag::Xet(xet_hash) },
            modified_at,
            attributes: Attributes { content_type, ..Attributes::default() },
            checksums: Vec::new(),
            parts: Vec::new(),
            upload: None,
            version: None,
            lock: ObjectLock::default(),
        })
    }

    /// What is kept of a content at a key.
    pub(super) async fn row(
        &self,
        rows: BucketUid,
        key: &ObjectKey,
        file: &FileHash,
    ) -> Result<Option<Object>, BucketError> {
        self.shared.meta.object(rows, &row_key(key, file)?).await.map_err(meta_failed)
    }

    pub(super) async fn keep_row(
        &self,
        rows: BucketUid,
        key: &ObjectKey,
        object: &Object,
    ) -> Result<(), BucketError> {
        let record = FileRecord { hash: object.file, size: object.size, terms: Vec::new() };
        let file = NewFile { record, xorbs: Vec::new() };
        let put = ObjectChange::Put(Box::new(object.clone()), Some(Box::new(file)));
        let key = row_key(key, &object.file)?;
        self.shared
            .meta
            .change(rows, &key, &WriteCondition::default(), put)
            .await
            .map(drop)
            .map_err(meta_failed)
    }

    /// Forgets what is kept at a key, but for one content.
    pub(super) async fn drop_rows(
        &self,
        rows: BucketUid,
        key: &ObjectKey,
        keep: Option<&FileHash>,
    ) -> Result<(), BucketError> {
        let kept = keep.map(|file| row_key(key, file)).transpose()?;
        let query = ListQuery { prefix: row_prefix(key), limit: 1000, ..ListQuery::default() };
        let listed = self.shared.meta.list(rows, &query).await.map_err(meta_failed)?;
        for (row, _) in listed.objects {
            if Some(&row) != kept.as_ref() {
                let always = WriteCondition::default();
                let now = self.shared.ambient.clock.now();
                let delete = ObjectChange::Delete(Deletion::of_current(now, self.shared.ambient.random()));
                let dropped = self.shared.meta.change(rows, &row, &always, delete).await;
                dropped.map_err(meta_failed)?;
            }
        }
        Ok(())
    }

    /// Checks a condition against what the Hub has now.
    pub(super) async fn check(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        condition: &WriteCondition,
    ) -> Result<(), BucketError> {
        if *condition == WriteCondition::default() {
            return Ok(());
        }
        let present = match self.must_object(id, key).await {
            Ok(object) => Some(object.etag),
            Err(BucketError::NoSuchKey(_)) => None,
            Err(error) => return Err(error),
        };
        condition.check(present.as_ref()).map_err(|refused| match refused {
            WriteRefused::NoObject => BucketError::NoSuchKey(key.clone()),
            WriteRefused::ETag => BucketError::PreconditionFailed,
        })
    }

    /// Registers a file that was sent whole.
    pub(super) async fn register(
        &self,
        id: &BucketId,
        chunks: &RemoteChunks,
        file: &SentFile<'_>,
    ) -> Result<(), BucketError> {
        let SentFile { record, proof, xorbs } = *file;
        let registered = chunks.register(&NewRemoteFile { record, proof, xorbs }).await;
        if let Err(RemoteError::Missing(_)) = &registered {
            // To a bucket that was deleted meanwhile the CAS answers as to a wrong address.
            self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        }
        registered.map_err(|error| engine_error(EngineError::Cas(error.into())))
    }

    /// Makes an object visible by one line of a batch, under a condition.
    pub(super) async fn make_visible(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        condition: &WriteCondition,
        object: &Object,
        line: BatchOp,
    ) -> Result<(), BucketError> {
        let lock = self.shared.locks.of(id, key);
        let _alone = lock.lock().await;
        self.check(id, key, condition).await?;
        let rows = self.rows_of(id).await?;
        // The row is there before the object is. But if the same content may be there already, its row is of the
        // present object, and stays what it is until the new one has come.
        let is_known = self.row(rows, key, &object.file).await?.is_some();
        if !is_known {
            self.keep_row(rows, key, object).await?;
        }
        let outcome = self.client.batch(id, &[line]).await.map_err(|error| error.of_bucket(id, None))?;
        if let Some(failed) = outcome.failed.first() {
            return Err(BucketError::Refused(format!("{}: {}", failed.path, failed.error)));
        }
        if is_known {
            self.keep_row(rows, key, object).await?;
        }
        self.drop_rows(rows, key, Some(&object.file)).await
    }

    /// A bucket, as the layers above know it.
    pub(super) async fn local_bucket(
        &self,
        id: BucketId,
        visibility: Visibility,
        created_at: Timestamp,
    ) -> Result<Bucket, BucketError> {
        let uid = self.rows_of(&id).await?;
        let versioning = Versioning::Off;
        Ok(Bucket { uid, id, visibility, created_at, versioning, lifecycle: None })
    }
}

/// All rows of a key begin with this.
fn row_prefix(key: &ObjectKey) -> String {
    format!("{}/", blake3::hash(key.as_str().as_bytes()).to_hex())
}

/// The row of a content at a key. Hashed, for it must not be longer than a key may be.
fn row_key(key: &ObjectKey, file: &FileHash) -> Result<ObjectKey, BucketError> {
    let name = format!("{}{file}", row_prefix(key));
    ObjectKey::new(&name).map_err(|error| BucketError::Storage(error.into()))
}
