//! Multipart uploads on this machine: each part is a file of its own until compose joins them.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::{NativeBuckets, TakenFile, wanted as wanted_range};
use crate::bucket::error::{bucket_error, engine_error, meta_error, meta_failed};
use crate::bucket::multipart::{
    check_expected, copied_range, multipart_etag, named_parts, object_part, upload_page, whole_checksum,
};
use crate::bucket::payload::{Taken, take};
use crate::bucket::{
    Bucket, BucketError, BucketId, ByteRange, Checksum, ChecksumAlgorithm, ChecksumType, CompletedPart,
    Copied, CopySource, ETag, ListUploads, NewUpload, Object, Part, PartPage, Payload, Upload,
    UploadCompletion, UploadId, UploadPage, UploadRef, Uploads,
};
use crate::engine::{EngineError, JOINED_TERMS_MAX, Layout, Segment};
use crate::store::file_terms::FileTerms;
use crate::store::meta::{Completion, RelyOnPart};
use crate::store::rows::XorbRow;

#[async_trait]
impl Uploads for NativeBuckets {
    async fn create_upload(&self, id: &BucketId, upload: NewUpload) -> Result<Upload, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let now = self.ambient.clock.now();
        let upload = Upload {
            id: UploadId::new(now.0, self.ambient.random()),
            key: upload.key,
            created_at: now,
            attributes: upload.attributes,
            checksum: upload.checksum,
            lock: upload.lock,
        };
        let begun = self.meta.create_upload(bucket.uid, &upload).await;
        begun.map_err(|error| bucket_error(error, id))?;
        Ok(upload)
    }

    async fn upload(&self, id: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.must_upload(&bucket, upload).await
    }

    async fn write_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        payload: Payload,
    ) -> Result<Part, BucketError> {
        let bucket = self.must_bucket(id).await?;
        self.must_upload(&bucket, upload).await?;
        let taken = take(&self.engine, payload, Layout::Part).await?;
        self.commit_part(&bucket, upload, number, taken).await
    }

    async fn copy_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        source: &CopySource,
        range: Option<ByteRange>,
    ) -> Result<Copied<Part>, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let wanted = self.must_upload(&bucket, upload).await?.checksum.map(|(algorithm, _)| algorithm);
        let hold = self.reading();
        let of_source = move |size| wanted_range(range.as_ref(), size);
        let (object, terms) = self.copy_source(source, &of_source).await?;
        let range = copied_range(range, object.size)?;
        let (md5, checksum) = self.part_digests(&object, &terms, &range, wanted).await?;
        let composing = self.engine.compose(vec![Segment { terms, range }], hold);
        let file = composing.await.map_err(engine_error)?;
        let made = self.commit_part(&bucket, upload, number, Taken { file, md5, checksum }).await?;
        Ok(Copied { made, source: object.version })
    }

    async fn list_parts(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        let found = self.must_upload(&bucket, upload).await?;
        let mut parts = self.meta.parts(&upload.id, after, limit + 1).await.map_err(meta_failed)?;
        let truncated = parts.len() > limit && limit > 0;
        parts.truncate(limit);
        Ok(PartPage { upload: found, parts, truncated })
    }

    async fn list_uploads(&self, id: &BucketId, query: &ListUploads) -> Result<UploadPage, BucketError> {
        let bucket = self.must_bucket(id).await?;
        upload_page(&*self.meta, bucket.uid, query).await.map_err(meta_failed)
    }

    async fn complete_upload(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError> {
        let bucket = self.must_bucket(id).await?;
        match self.finish_upload_once(&bucket, upload, completion).await {
            // A client that lost patience asks again while its first request is at work, and may meet its own traces.
            Err(
                error @ (BucketError::NoSuchUpload(_)
                | BucketError::InvalidPart(_)
                | BucketError::PreconditionFailed),
            ) => self.completed_before(&bucket, upload).await.map_err(|_| error),
            finished => finished,
        }
    }

    async fn abort_upload(&self, id: &BucketId, upload: &UploadRef) -> Result<(), BucketError> {
        let bucket = self.must_bucket(id).await?;
        let aborted = self.meta.abort_upload(bucket.uid, &upload.key, &upload.id).await;
        aborted.map_err(|error| meta_error(error, id, upload))
    }
}

impl NativeBuckets {
    pub(super) async fn must_upload(
        &self,
        bucket: &Bucket,
        upload: &UploadRef,
    ) -> Result<Upload, BucketError> {
        let found = self.meta.upload(bucket.uid, &upload.key, &upload.id).await.map_err(meta_failed)?;
        found.ok_or_else(|| BucketError::NoSuchUpload(upload.id.clone()))
    }

    /// The MD5 of a range of an object, and the checksum wanted. If the object's own will not do, its bytes are read
    /// for them; nothing is written.
    async fn part_digests(
        &self,
        object: &Object,
        terms: &FileTerms,
        range: &Range<u64>,
        wanted: Option<ChecksumAlgorithm>,
    ) -> Result<([u8; 16], Option<Checksum>), BucketError> {
        let of_all = |checksum: &&Checksum| {
            Some(checksum.algorithm) == wanted && checksum.over == ChecksumType::FullObject
        };
        let known = object.checksums.iter().find(of_all).cloned();
        match object.etag {
            ETag::Md5(md5) if *range == (0..object.size) && wanted.is_none_or(|_| known.is_some()) => {
                return Ok((md5, known));
            }
            _ => {}
        }
        let asked: Vec<_> = wanted.into_iter().collect();
        let digests = self
            .engine
            .digest(self.engine.reconstruct(terms.clone(), range.clone()), &asked)
            .await
            .map_err(engine_error)?;
        let (md5, mut checksums) = (digests.md5, digests.checksums.into_iter());
        let over = ChecksumType::FullObject;
        Ok((md5, checksums.next().map(|(algorithm, value)| Checksum { algorithm, value, over })))
    }

    async fn commit_part(
        &self,
        bucket: &Bucket,
        upload: &UploadRef,
        number: u16,
        taken: Taken<XorbRow>,
    ) -> Result<Part, BucketError> {
        let Taken { file, md5, checksum } = taken;
        let part = Part {
            number,
            file: file.record.hash,
            size: file.record.size,
            md5,
            modified_at: self.ambient.clock.now(),
            checksum,
        };
        let (new, file) = TakenFile::split(file);
        let (meta, uid, part_row) = (Arc::clone(&self.meta), bucket.uid, part.clone());
        let UploadRef { key, id } = upload.clone();
        let put = async move { meta.put_part(uid, &key, &id, part_row, Some(new)).await };
        self.commit_file(file, put).await.map_err(|error| meta_error(error, &bucket.id, upload))?;
        Ok(part)
    }

    async fn finish_upload_once(
        &self,
        bucket: &Bucket,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError> {
        let UploadCompletion { parts: named, expected, condition } = completion;
        let found = self.must_upload(bucket, upload).await?;
        let parts = self.named_parts(upload, &named).await?;
        let checksum = whole_checksum(&found, &parts);
        check_expected(&expected, &found, &parts, checksum.as_ref())?;
        self.check_early(bucket, &upload.key, &condition).await?;
        let hold = self.reading();
        let files: Vec<_> = parts.iter().map(|part| part.file).collect();
        let files = self.meta.files_terms(&files, JOINED_TERMS_MAX).await.map_err(meta_failed)?;
        let mut segments = Vec::with_capacity(parts.len());
        let mut terms_joined = 0;
        for (part, terms) in parts.iter().zip(files) {
            let terms = terms.ok_or(BucketError::InvalidPart(part.number))?;
            terms_joined += terms.len();
            segments.push(Segment::whole(terms));
        }
        if terms_joined > JOINED_TERMS_MAX {
            return Err(engine_error(EngineError::TooFragmented { max: JOINED_TERMS_MAX }));
        }
        let stored = self.engine.compose(segments, hold).await.map_err(engine_error)?;
        let now = self.ambient.clock.now();
        let mut object = Object {
            file: stored.record.hash,
            size: stored.record.size,
            etag: multipart_etag(&parts),
            modified_at: now,
            attributes: found.attributes,
            checksums: checksum.into_iter().collect(),
            parts: parts.iter().map(object_part).collect(),
            upload: Some(upload.id.clone()),
            version: Some(self.version_id(now)),
            lock: found.lock,
        };
        let (new, taken) = TakenFile::split(stored);
        let completion = Completion {
            condition,
            parts: parts.iter().map(|part| RelyOnPart { number: part.number, file: part.file }).collect(),
            object: object.clone(),
            file: Some(new),
        };
        let (meta, uid, ended) = (Arc::clone(&self.meta), bucket.uid, upload.clone());
        let complete = async move { meta.complete_upload(uid, &ended.key, &ended.id, completion).await };
        let completed = self.commit_file(taken, complete).await;
        object.version = completed.map_err(|error| meta_error(error, &bucket.id, upload))?.id();
        Ok(object)
    }

    /// The answer for a client that lost the first one.
    async fn completed_before(&self, bucket: &Bucket, upload: &UploadRef) -> Result<Object, BucketError> {
        let object = self.meta.object(bucket.uid, &upload.key).await.map_err(meta_failed)?;
        let same = object.filter(|object| object.upload.as_ref() == Some(&upload.id));
        same.ok_or_else(|| BucketError::NoSuchUpload(upload.id.clone()))
    }

    async fn named_parts(
        &self,
        upload: &UploadRef,
        named: &[CompletedPart],
    ) -> Result<Vec<Part>, BucketError> {
        let stored = self.meta.parts(&upload.id, 0, usize::from(u16::MAX)).await.map_err(meta_failed)?;
        named_parts(&stored, named)
    }
}
