//! Uploads in parts, in the tables.

use redb::StorageError;

use super::kv::ReadableTable as _;
use super::tables::{Failure, Tables, decode, encode};
use super::{Changed, Completion, MetaError, NewFile};
use crate::model::bucket::BucketUid;
use crate::model::lock::ObjectLock;
use crate::model::names::{ObjectKey, UploadId};
use crate::model::upload::{Part, Upload};
use crate::model::version::VersionRef;

impl Tables<'_> {
    pub(super) fn create_upload(&mut self, bucket: BucketUid, upload: &Upload) -> Result<(), Failure> {
        self.must_have_bucket(bucket)?;
        if upload.lock != ObjectLock::default() {
            self.must_have_lock(bucket)?;
        }
        let name = (bucket.0, upload.key.as_str().as_bytes(), upload.id.as_str());
        self.uploads.insert(name, encode(upload)?.as_slice())?;
        Ok(self.index_upload(bucket, upload)?)
    }

    fn must_have_upload(&self, bucket: BucketUid, key: &ObjectKey, id: &UploadId) -> Result<(), Failure> {
        match self.uploads.get((bucket.0, key.as_str().as_bytes(), id.as_str()))? {
            Some(_) => Ok(()),
            None => Err(MetaError::NoSuchUpload.into()),
        }
    }

    pub(super) fn put_part(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        part: &Part,
        file: Option<&NewFile>,
    ) -> Result<(), Failure> {
        self.must_have_upload(bucket, key, id)?;
        self.must_have_file(&part.file, file)?;
        self.use_file(&part.file, file)?;
        let replaced = self.parts.replace((id.as_str(), part.number), encode(part)?.as_slice())?;
        let replaced = replaced.map(|row| decode::<Part>(row.value())).transpose()?;
        if let Some(replaced) = replaced {
            self.release_file(&replaced.file)?;
        }
        Ok(())
    }

    pub(super) fn complete_upload(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
        completion: &Completion,
    ) -> Result<Changed, Failure> {
        self.must_have_bucket(bucket)?;
        self.must_have_upload(bucket, key, id)?;
        let Completion { condition, parts, object, file } = completion;
        for part in parts {
            let present = self.parts.get((id.as_str(), part.number))?;
            let present = present.map(|row| decode::<Part>(row.value())).transpose()?;
            if present.is_none_or(|present| present.file != part.file) {
                return Err(MetaError::PartChanged(part.number).into());
            }
        }
        let present = self.present_object(bucket, key)?;
        condition.check(present.as_ref().map(|object| &object.etag)).map_err(MetaError::from)?;
        self.must_have_file(&object.file, file.as_ref())?;
        let lock = self.lock_of_new(bucket, object)?;
        let watched = self.watch_key(bucket, key, VersionRef::Null)?;
        let changed = self.put_locked(bucket, key, present, object, lock, file.as_ref())?;
        self.index_key(bucket, key, watched)?;
        self.end_upload(bucket, key, id)?;
        Ok(changed)
    }

    pub(super) fn abort_upload(
        &mut self,
        bucket: BucketUid,
        key: &ObjectKey,
        id: &UploadId,
    ) -> Result<(), Failure> {
        self.must_have_upload(bucket, key, id)?;
        Ok(self.end_upload(bucket, key, id)?)
    }

    fn end_upload(&mut self, bucket: BucketUid, key: &ObjectKey, id: &UploadId) -> Result<(), StorageError> {
        let gone = self.uploads.take((bucket.0, key.as_str().as_bytes(), id.as_str()))?;
        if let Some(upload) = gone.map(|row| decode::<Upload>(row.value())).transpose()? {
            self.leave_upload(bucket, &upload)?;
        }
        self.delete_parts(id)
    }

    fn delete_parts(&mut self, id: &UploadId) -> Result<(), StorageError> {
        let all = (id.as_str(), 0)..=(id.as_str(), u16::MAX);
        let mut dead = Vec::new();
        for entry in self.parts.range(all.clone())? {
            dead.push(decode::<Part>(entry?.1.value())?.file);
        }
        self.parts.remove_in(all)?;
        dead.iter().try_for_each(|file| self.release_file(file))
    }

    pub(super) fn delete_uploads_of(&mut self, uid: u64) -> Result<(), StorageError> {
        let all = (uid, [].as_slice(), "")..(uid + 1, [].as_slice(), "");
        let mut dead = Vec::new();
        for entry in self.uploads.range(all.clone())? {
            dead.push(decode::<Upload>(entry?.1.value())?.id);
        }
        self.uploads.remove_in(all)?;
        dead.iter().try_for_each(|id| self.delete_parts(id))
    }
}
