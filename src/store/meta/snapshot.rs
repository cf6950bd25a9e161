//! [`MetaView`] over sorted tables of one moment.

use std::ops::Bound;

use async_trait::async_trait;
use redb::StorageError;

use super::engine::engine;
use super::files::decode_file;
use super::folders::FOLDERS;
use super::kv::{ReadTable, ReadTransaction, ReadableTable};
use super::table_meta::Reads;
use super::tables::{self, HashHead, decode, decode_object};
use super::versions::{self, NULL_VERSIONS, VERSIONS};
use super::view::{Counts, MetaView, VersionPlace, XorbEntry};
use super::xorbs::{at_place, behind, decode_xorb};
use super::{DueCheck, DuePlace, MetaError, PackRow, RegistrationName, holdings, lifecycle, registry, xorbs};
use crate::model::bucket::{Bucket, BucketStats, BucketUid, VersionStats};
use crate::model::clock::Timestamp;
use crate::model::file::FileRecord;
use crate::model::names::{ObjectKey, UploadId};
use crate::model::object::{Object, Version};
use crate::model::upload::{Part, Upload};
use crate::model::version::Stamp;
use crate::store::rows::{PackId, XorbRow};
use crate::xet::hash::{FileHash, XorbHash};

/// Rows of one moment. While it lives, the embedded database cannot use the pages again that are freed meanwhile.
pub(super) struct Snapshot<R>(R);

fn corrupt(error: impl std::fmt::Display) -> redb::Error {
    StorageError::Corrupted(error.to_string()).into()
}

fn object_key(bytes: &[u8]) -> Result<ObjectKey, redb::Error> {
    ObjectKey::new(std::str::from_utf8(bytes).map_err(corrupt)?).map_err(corrupt)
}

impl<R: Reads> Snapshot<R> {
    /// What is read by one of these.
    pub(super) fn of(reads: R) -> Self {
        Self(reads)
    }

    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        self.0.read(read).await
    }
}

/// A transaction of the embedded engine.
pub(super) struct EmbeddedReads(pub(super) ReadTransaction);

impl Reads for EmbeddedReads {
    async fn read<T: Send>(
        &self,
        read: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + Sync,
    ) -> Result<T, MetaError> {
        read(&self.0).map_err(engine)
    }
}

/// What is known of xorbs beside their rows.
struct XorbEntries {
    uses: ReadTable<[u8; 32], u64>,
    idle: ReadTable<[u8; 32], u64>,
    kept: ReadTable<[u8; 32], u64>,
    in_packs: ReadTable<(u64, u64), HashHead>,
}

impl XorbEntries {
    fn open(snapshot: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            uses: snapshot.open_table(tables::XORB_USES)?,
            idle: snapshot.open_table(tables::IDLE)?,
            kept: snapshot.open_table(tables::KEPT)?,
            in_packs: snapshot.open_table(tables::PACK_XORBS)?,
        })
    }

    fn entry(&self, hash: XorbHash, row: &[u8]) -> Result<XorbEntry, redb::Error> {
        let row = decode_xorb(&hash, row)?;
        let idle = self.idle.get(hash.as_bytes())?.map(|generation| generation.value());
        let uses = self.uses.get(hash.as_bytes())?.map(|uses| uses.value());
        let uses = uses.unwrap_or(u64::from(idle.is_none()));
        let head = self.in_packs.get((row.pack.0, row.offset))?.map(|head| head.value());
        let in_pack = head.is_some_and(|head| hash.as_bytes().starts_with(&head));
        let kept_until = Timestamp(self.kept.get(hash.as_bytes())?.map_or(0, |until| until.value()));
        Ok(XorbEntry { hash, row, uses, idle, kept_until, in_pack })
    }
}

#[async_trait]
impl<R: Reads + 'static> MetaView for Snapshot<R> {
    async fn counts(&self) -> Result<Counts, MetaError> {
        self.read(|snapshot| {
            let folders = snapshot.open_table(FOLDERS)?;
            let folders = if folders.is_remote() { None } else { Some(folders.len()?) };
            Ok(Counts {
                objects: snapshot.open_table(tables::OBJECTS)?.len()?,
                uploads: snapshot.open_table(tables::UPLOADS)?.len()?,
                files: snapshot.open_table(tables::FILES)?.len()?,
                xorbs: snapshot.open_table(tables::XORBS)?.len()?,
                folders,
                bucket_files: snapshot.open_table(tables::BUCKET_FILES)?.len()?,
            })
        })
        .await
    }

    async fn buckets(&self) -> Result<Vec<Bucket>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::BUCKETS)?;
            table.all()?.map(|entry| Ok(decode(entry?.1.value())?)).collect()
        })
        .await
    }

    async fn objects(
        &self,
        after: Option<&(BucketUid, ObjectKey)>,
        limit: usize,
    ) -> Result<Vec<((BucketUid, ObjectKey), Object)>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::OBJECTS)?;
            let start = after.map_or(Bound::Unbounded, |(bucket, key)| {
                Bound::Excluded((bucket.0, key.as_str().as_bytes()))
            });
            let rows = table.range::<(u64, &[u8])>((start, Bound::Unbounded))?.take(limit);
            rows.map(|entry| {
                let (name, row) = entry?;
                let (bucket, key) = name.value();
                Ok(((BucketUid(bucket), object_key(key)?), decode_object(row.value())?))
            })
            .collect()
        })
        .await
    }

    async fn object(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Object>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::OBJECTS)?.get((bucket.0, key.as_str().as_bytes()))?;
            Ok(row.map(|row| decode_object(row.value())).transpose()?)
        })
        .await
    }

    async fn versions(
        &self,
        after: Option<&VersionPlace>,
        limit: usize,
    ) -> Result<Vec<(VersionPlace, Version)>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(VERSIONS)?;
            let start = after.map_or(Bound::Unbounded, |(bucket, key, stamp)| {
                Bound::Excluded((bucket.0, key.as_str().as_bytes(), !stamp.0))
            });
            let rows = table.range::<(u64, &[u8], u64)>((start, Bound::Unbounded))?.take(limit);
            rows.map(|entry| {
                let (name, row) = entry?;
                let (bucket, key, stamp) = name.value();
                Ok(((BucketUid(bucket), object_key(key)?, Stamp(!stamp)), decode(row.value())?))
            })
            .collect()
        })
        .await
    }

    async fn null_version(&self, bucket: BucketUid, key: &ObjectKey) -> Result<Option<Stamp>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(NULL_VERSIONS)?.get((bucket.0, key.as_str().as_bytes()))?;
            Ok(row.map(|stamp| Stamp(stamp.value())))
        })
        .await
    }

    async fn version_stats(&self, bucket: BucketUid) -> Result<VersionStats, MetaError> {
        self.read(|snapshot| versions::stats(snapshot, bucket)).await
    }

    async fn folder(&self, bucket: BucketUid, depth: u16, folder: &str) -> Result<Option<u64>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(FOLDERS)?.get((bucket.0, depth, folder.as_bytes()))?;
            Ok(row.map(|objects| objects.value()))
        })
        .await
    }

    async fn check_due(
        &self,
        bucket: BucketUid,
        place: &DuePlace,
        limit: usize,
    ) -> Result<Option<DueCheck>, MetaError> {
        self.read(|snapshot| lifecycle::missing_rows(snapshot, bucket, place, limit)).await
    }

    async fn due_rows(&self, bucket: Option<BucketUid>) -> Result<u64, MetaError> {
        self.read(|snapshot| lifecycle::row_count(snapshot, bucket)).await
    }

    async fn uploads(
        &self,
        after: Option<&(BucketUid, Upload)>,
        limit: usize,
    ) -> Result<Vec<(BucketUid, Upload)>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::UPLOADS)?;
            let start = after.map_or(Bound::Unbounded, |(bucket, upload)| {
                Bound::Excluded((bucket.0, upload.key.as_str().as_bytes(), upload.id.as_str()))
            });
            let rows = table.range::<(u64, &[u8], &str)>((start, Bound::Unbounded))?.take(limit);
            rows.map(|entry| {
                let (name, row) = entry?;
                Ok((BucketUid(name.value().0), decode(row.value())?))
            })
            .collect()
        })
        .await
    }

    async fn parts(
        &self,
        after: Option<&(UploadId, u16)>,
        limit: usize,
    ) -> Result<Vec<((UploadId, u16), Part)>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::PARTS)?;
            let start = after
                .map_or(Bound::Unbounded, |(upload, number)| Bound::Excluded((upload.as_str(), *number)));
            let rows = table.range::<(&str, u16)>((start, Bound::Unbounded))?.take(limit);
            rows.map(|entry| {
                let (name, row) = entry?;
                let (upload, number) = name.value();
                let upload = UploadId::parse(upload).ok_or_else(|| corrupt("not an upload id"))?;
                Ok(((upload, number), decode(row.value())?))
            })
            .collect()
        })
        .await
    }

    async fn registrations(
        &self,
        after: Option<RegistrationName>,
        limit: usize,
    ) -> Result<Vec<RegistrationName>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::REGISTERED)?;
            let page = registry::registrations(&table, after)?.take(limit);
            page.map(|entry| Ok(entry?.0)).collect()
        })
        .await
    }

    async fn bucket_stats(&self, bucket: BucketUid) -> Result<BucketStats, MetaError> {
        self.read(|snapshot| holdings::stats(snapshot, bucket)).await
    }

    async fn objects_of_file(&self, bucket: BucketUid, file: &FileHash) -> Result<u64, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::BUCKET_FILES)?;
            Ok(table.get((bucket.0, *file.as_bytes()))?.map_or(0, |objects| objects.value()))
        })
        .await
    }

    async fn files(&self, after: Option<&FileHash>, limit: usize) -> Result<Vec<FileRecord>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::FILES)?;
            let runs = snapshot.open_table(tables::FILE_TERMS)?;
            let rows = table.range::<[u8; 32]>(behind(after.map(FileHash::as_bytes)))?.take(limit);
            rows.map(|entry| {
                let (hash, row) = entry?;
                Ok(decode_file(FileHash::from_bytes(hash.value()), row.value(), &runs)?)
            })
            .collect()
        })
        .await
    }

    async fn has_file(&self, file: &FileHash) -> Result<bool, MetaError> {
        self.read(|snapshot| Ok(snapshot.open_table(tables::FILES)?.get(file.as_bytes())?.is_some())).await
    }

    async fn file_uses(
        &self,
        after: Option<&FileHash>,
        limit: usize,
    ) -> Result<Vec<(FileHash, u64)>, MetaError> {
        self.read(|snapshot| {
            let (table, uses) =
                (snapshot.open_table(tables::FILES)?, snapshot.open_table(tables::FILE_USES)?);
            let rows = table.range::<[u8; 32]>(behind(after.map(FileHash::as_bytes)))?.take(limit);
            rows.map(|entry| {
                let hash = entry?.0.value();
                let uses = uses.get(hash)?.map_or(1, |uses| uses.value());
                Ok((FileHash::from_bytes(hash), uses))
            })
            .collect()
        })
        .await
    }

    async fn xorbs(&self, after: Option<&XorbHash>, limit: usize) -> Result<Vec<XorbEntry>, MetaError> {
        self.read(|snapshot| {
            let table = snapshot.open_table(tables::XORBS)?;
            let entries = XorbEntries::open(snapshot)?;
            let rows = table.range::<[u8; 32]>(behind(after.map(XorbHash::as_bytes)))?.take(limit);
            rows.map(|entry| {
                let (hash, row) = entry?;
                entries.entry(XorbHash::from_bytes(hash.value()), row.value())
            })
            .collect()
        })
        .await
    }

    async fn xorb_entry(&self, hash: &XorbHash) -> Result<Option<XorbEntry>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::XORBS)?.get(hash.as_bytes())?;
            let entries = XorbEntries::open(snapshot)?;
            row.map(|row| entries.entry(*hash, row.value())).transpose()
        })
        .await
    }

    async fn xorb(&self, hash: &XorbHash) -> Result<Option<XorbRow>, MetaError> {
        self.read(|snapshot| {
            let row = snapshot.open_table(tables::XORBS)?.get(hash.as_bytes())?;
            Ok(row.map(|row| decode_xorb(hash, row.value())).transpose()?)
        })
        .await
    }

    async fn stray_xorbs(&self, limit: usize) -> Result<Vec<XorbHash>, MetaError> {
        self.read(|snapshot| {
            let xorbs = snapshot.open_table(tables::XORBS)?;
            let mut strays = Vec::new();
            for counts in [tables::XORB_USES, tables::IDLE, tables::KEPT] {
                for entry in snapshot.open_table(counts)?.all()? {
                    let hash = entry?.0.value();
                    if strays.len() < limit && xorbs.get(hash)?.is_none() {
                        strays.push(XorbHash::from_bytes(hash));
                    }
                }
            }
            Ok(strays)
        })
        .await
    }

    async fn stray_places(&self, limit: usize) -> Result<Vec<(PackId, u64)>, MetaError> {
        self.read(|snapshot| {
            let xorbs = snapshot.open_table(tables::XORBS)?;
            let mut strays = Vec::new();
            for entry in snapshot.open_table(tables::PACK_XORBS)?.all()? {
                let (place, head) = entry?;
                if strays.len() < limit && at_place(&xorbs, place.value(), head.value())?.is_none() {
                    strays.push((PackId(place.value().0), place.value().1));
                }
            }
            Ok(strays)
        })
        .await
    }

    async fn stray_files(&self, limit: usize) -> Result<Vec<FileHash>, MetaError> {
        self.read(|snapshot| {
            let files = snapshot.open_table(tables::FILES)?;
            let mut strays = Vec::new();
            for entry in snapshot.open_table(tables::FILE_USES)?.all()? {
                let hash = entry?.0.value();
                if strays.len() < limit && files.get(hash)?.is_none() {
                    strays.push(FileHash::from_bytes(hash));
                }
            }
            Ok(strays)
        })
        .await
    }

    async fn packs(&self) -> Result<Vec<PackRow>, MetaError> {
        self.read(xorbs::packs).await
    }
}
