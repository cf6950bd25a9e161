//! Buckets in memory: just enough of the contract to see what the door asks for and how it answers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use md5::Digest as _;

use crate::bucket::{
    Bucket, BucketApi, BucketError, BucketId, ByteRange, Checksum, ChecksumAlgorithm, ChecksumType,
    CompletedPart, CopySource, DeclaredValue, DeleteBucket, ETag, FileHash, ListPage, ListQuery, ListUploads,
    Namespace, NewUpload, Object, ObjectCopy, ObjectDelete, ObjectKey, ObjectRead, ObjectWrite, Part,
    PartPage, Payload, Timestamp, Upload, UploadPage, UploadRef, Visibility, WriteCondition,
};
use crate::store::rows::BucketUid;

type Objects = BTreeMap<ObjectKey, (Object, Bytes)>;

/// The buckets. Uploads are not kept: their calls fail.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<BucketId, Objects>>);

fn absent() -> BucketError {
    BucketError::Storage("not kept in memory".into())
}

impl Memory {
    fn with<R>(
        &self,
        id: &BucketId,
        act: impl FnOnce(&mut Objects) -> Result<R, BucketError>,
    ) -> Result<R, BucketError> {
        let mut buckets = self.0.lock().unwrap();
        act(buckets
            .get_mut(id)
            .ok_or_else(|| BucketError::NoSuchBucket(id.clone()))?)
    }
}

async fn receive(payload: Payload) -> Result<(Bytes, Vec<Checksum>), BucketError> {
    let pieces: Vec<Bytes> = payload.body.try_collect().await.map_err(BucketError::Body)?;
    let body = Bytes::from(pieces.concat());
    let (declared, received) = (payload.length.unwrap(), body.len() as u64);
    if declared != received {
        return Err(BucketError::IncompleteBody { declared, received });
    }
    let Some(declared) = payload.digests.checksum else {
        return Ok((body, Vec::new()));
    };
    assert_eq!(declared.algorithm, ChecksumAlgorithm::Crc32);
    let value = crc_fast::crc32_iso_hdlc(&body).to_be_bytes().to_vec();
    let wanted = match declared.value {
        DeclaredValue::Given(value) => value,
        DeclaredValue::Trailing(value) => value().ok_or(BucketError::MissingTrailer(declared.algorithm))?,
        DeclaredValue::Computed => value.clone(),
    };
    if wanted != value {
        return Err(BucketError::ChecksumMismatch(declared.algorithm));
    }
    Ok((
        body,
        vec![Checksum {
            algorithm: declared.algorithm,
            value,
            over: ChecksumType::FullObject,
        }],
    ))
}

fn condition(condition: &WriteCondition, present: Option<&Object>) -> Result<(), BucketError> {
    condition
        .check(present.map(|object| &object.etag))
        .map_err(|_| BucketError::PreconditionFailed)
}

fn bucket(id: &BucketId) -> Bucket {
    Bucket {
        uid: BucketUid(1),
        id: id.clone(),
        visibility: Visibility::Private,
        created_at: Timestamp(0),
    }
}

#[async_trait]
impl BucketApi for Memory {
    async fn create_bucket(&self, id: &BucketId, _: Visibility) -> Result<Bucket, BucketError> {
        match self.0.lock().unwrap().insert(id.clone(), Objects::new()) {
            None => Ok(bucket(id)),
            Some(_) => Err(BucketError::BucketExists(id.clone())),
        }
    }

    async fn bucket(&self, id: &BucketId) -> Result<Bucket, BucketError> {
        self.with(id, |_| Ok(bucket(id)))
    }

    async fn list_buckets(&self, namespace: &Namespace) -> Result<Vec<Bucket>, BucketError> {
        let buckets = self.0.lock().unwrap();
        Ok(buckets
            .keys()
            .filter(|id| id.namespace == *namespace)
            .map(bucket)
            .collect())
    }

    async fn delete_bucket(&self, id: &BucketId, _: DeleteBucket) -> Result<(), BucketError> {
        self.with(id, |objects| match objects.is_empty() {
            true => Ok(()),
            false => Err(BucketError::BucketNotEmpty(id.clone())),
        })?;
        self.0.lock().unwrap().remove(id);
        Ok(())
    }

    async fn list(&self, id: &BucketId, query: &ListQuery) -> Result<ListPage, BucketError> {
        self.with(id, |objects| {
            let kept = objects
                .iter()
                .filter(|(key, _)| key.as_str().starts_with(&query.prefix))
                .take(query.limit);
            let objects = kept
                .map(|(key, (object, _))| (key.clone(), object.clone()))
                .collect();
            Ok(ListPage {
                objects,
                ..ListPage::default()
            })
        })
    }

    async fn object(&self, id: &BucketId, key: &ObjectKey) -> Result<Object, BucketError> {
        self.with(id, |objects| {
            let found = objects.get(key).map(|(object, _)| object.clone());
            found.ok_or_else(|| BucketError::NoSuchKey(key.clone()))
        })
    }

    async fn read(
        &self,
        id: &BucketId,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<ObjectRead, BucketError> {
        let object = self.object(id, key).await?;
        let body = self.with(id, |objects| Ok(objects[key].1.clone()))?;
        let size = object.size;
        let range = match range {
            None => 0..size,
            Some(range) => range
                .resolve(size)
                .ok_or(BucketError::RangeNotSatisfiable { size })?,
        };
        let body = body.slice(range.start as usize..range.end as usize);
        Ok(ObjectRead {
            object,
            range,
            body: stream::iter([Ok(body)]).boxed(),
        })
    }

    async fn write(&self, id: &BucketId, write: ObjectWrite) -> Result<Object, BucketError> {
        self.bucket(id).await?;
        let (body, checksums) = receive(write.payload).await?;
        let object = Object {
            file: FileHash::EMPTY,
            size: body.len() as u64,
            etag: ETag::Md5(md5::Md5::digest(&body).into()),
            modified_at: Timestamp(1_000_000),
            attributes: write.attributes,
            checksums,
            parts: Vec::new(),
            upload: None,
        };
        self.with(id, |objects| {
            condition(
                &write.condition,
                objects.get(&write.key).map(|(object, _)| object),
            )?;
            objects.insert(write.key, (object.clone(), body));
            Ok(object)
        })
    }

    async fn copy(&self, id: &BucketId, copy: ObjectCopy) -> Result<Object, BucketError> {
        let mut object = self.object(&copy.source.bucket, &copy.source.key).await?;
        condition(&copy.source.condition, Some(&object))?;
        let body = self.with(&copy.source.bucket, |objects| {
            Ok(objects[&copy.source.key].1.clone())
        })?;
        object.attributes = copy.attributes.unwrap_or(object.attributes);
        self.with(id, |objects| {
            objects.insert(copy.key, (object.clone(), body));
            Ok(object)
        })
    }

    async fn delete(
        &self,
        id: &BucketId,
        deletes: Vec<ObjectDelete>,
    ) -> Result<Vec<Result<(), BucketError>>, BucketError> {
        self.with(id, |objects| {
            let delete = |delete: ObjectDelete| {
                condition(
                    &delete.condition,
                    objects.get(&delete.key).map(|(object, _)| object),
                )?;
                objects.remove(&delete.key);
                Ok(())
            };
            Ok(deletes.into_iter().map(delete).collect())
        })
    }

    async fn create_upload(&self, _: &BucketId, _: NewUpload) -> Result<Upload, BucketError> {
        Err(absent())
    }

    async fn upload(&self, _: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError> {
        Err(BucketError::NoSuchUpload(upload.id.clone()))
    }

    async fn write_part(&self, _: &BucketId, _: &UploadRef, _: u16, _: Payload) -> Result<Part, BucketError> {
        Err(absent())
    }

    async fn copy_part(
        &self,
        _: &BucketId,
        _: &UploadRef,
        _: u16,
        _: &CopySource,
        _: Option<ByteRange>,
    ) -> Result<Part, BucketError> {
        Err(absent())
    }

    async fn list_parts(
        &self,
        _: &BucketId,
        _: &UploadRef,
        _: u16,
        _: usize,
    ) -> Result<PartPage, BucketError> {
        Err(absent())
    }

    async fn list_uploads(&self, _: &BucketId, _: &ListUploads) -> Result<UploadPage, BucketError> {
        Err(absent())
    }

    async fn complete_upload(
        &self,
        _: &BucketId,
        _: &UploadRef,
        _: Vec<CompletedPart>,
        _: WriteCondition,
    ) -> Result<Object, BucketError> {
        Err(absent())
    }

    async fn abort_upload(&self, _: &BucketId, _: &UploadRef) -> Result<(), BucketError> {
        Err(absent())
    }
}
