//! Multipart uploads on a Hub: each part is sent as it arrives, and Complete sends one shard and one line.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::task::spawn_blocking;

use super::hub_buckets::{HubBuckets, SentFile, must_not_lock};
use super::keys;
use super::objects::add_line;
use super::parts::{Ends, JoinedChunks, KeptPart};
use crate::bucket::error::{engine_error, meta_error, meta_failed};
use crate::bucket::multipart::{
    check_expected, copied_range, multipart_etag, named_parts, object_part, upload_page, whole_checksum,
};
use crate::bucket::payload::{Taken, take};
use crate::bucket::{
    BoxError, BucketError, BucketId, ByteRange, Copied, CopySource, DeclaredChecksum, DeclaredDigests,
    DeclaredValue, ListUploads, NewUpload, Object, Part, PartPage, Payload, Upload, UploadCompletion,
    UploadId, UploadPage, UploadRef, Uploads,
};
use crate::cas::remote::SentXorb;
use crate::engine::{Engine, Layout};
use crate::model::bucket::BucketUid;
use crate::model::file::FileRecord;
use crate::model::lock::ObjectLock;
use crate::store::hold::Hold;
use crate::store::meta::{MetaError, NewFile};

fn unreadable(error: std::io::Error) -> BucketError {
    if crate::store::disk::is_full(&error) {
        BucketError::StorageFull(error.into())
    } else {
        BucketError::Unavailable(error.into())
    }
}

fn ended(error: tokio::task::JoinError) -> BucketError {
    BucketError::Storage(error.into())
}

#[async_trait]
impl Uploads for HubBuckets {
    async fn create_upload(&self, id: &BucketId, upload: NewUpload) -> Result<Upload, BucketError> {
        keys::check(&upload.key)?;
        must_not_lock(&upload.lock)?;
        self.client.bucket(id).await.map_err(|error| error.of_bucket(id, None))?;
        let rows = self.rows_of(id).await?;
        let now = self.shared.ambient.clock.now();
        let upload = Upload {
            id: UploadId::new(now.0, self.shared.ambient.random()),
            key: upload.key,
            created_at: now,
            attributes: upload.attributes,
            checksum: upload.checksum,
            lock: upload.lock,
        };
        self.shared.meta.create_upload(rows, &upload).await.map_err(meta_failed)?;
        Ok(upload)
    }

    async fn upload(&self, id: &BucketId, upload: &UploadRef) -> Result<Upload, BucketError> {
        let rows = self.rows_of(id).await?;
        self.must_upload(rows, upload).await
    }

    async fn write_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        payload: Payload,
    ) -> Result<Part, BucketError> {
        let rows = self.rows_of(id).await?;
        self.must_upload(rows, upload).await?;
        let (body, ends) = Ends::watch(payload.body);
        let engine = self.engine(&self.chunks(id));
        let Taken { file, md5, checksum } =
            take(&engine, Payload { body, ..payload }, Layout::ListedPart).await?;
        let kept = KeptPart::new(&file, &ends);
        let part = Part {
            number,
            file: file.record.hash,
            size: file.record.size,
            md5,
            modified_at: self.shared.ambient.clock.now(),
            checksum,
        };
        let (parts, upload_id) = (Arc::clone(&self.shared.parts), upload.id.clone());
        let keeping = spawn_blocking(move || parts.keep(&upload_id, number, &kept));
        keeping.await.map_err(ended)?.map_err(unreadable)?;
        let record = FileRecord { hash: part.file, size: part.size, terms: Vec::new() };
        let new = NewFile { record, xorbs: Vec::new() };
        let put = self.shared.meta.put_part(rows, &upload.key, &upload.id, part.clone(), Some(new)).await;
        put.map_err(|error| meta_error(error, id, upload))?;
        Ok(part)
    }

    /// The range is read and taken in as if it had been sent: its chunks are known by then, so nothing goes out but
    /// what is cut differently at its ends.
    async fn copy_part(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        number: u16,
        source: &CopySource,
        range: Option<ByteRange>,
    ) -> Result<Copied<Part>, BucketError> {
        let rows = self.rows_of(id).await?;
        let wanted = self.must_upload(rows, upload).await?.checksum;
        let object = self.copy_source(source).await?;
        let range = copied_range(range, object.size)?;
        let length = Some(range.end - range.start);
        let body = self.chunks(&source.bucket).open_file(object.file, object.size, range);
        let body = Box::pin(body.map_err(BoxError::from).boxed());
        let computed = |(algorithm, _)| DeclaredChecksum { algorithm, value: DeclaredValue::Computed };
        let digests = DeclaredDigests { checksum: wanted.map(computed), ..DeclaredDigests::default() };
        let payload = Payload { body, length, digests };
        let made = self.write_part(id, upload, number, payload).await?;
        Ok(Copied { made, source: None })
    }

    async fn list_parts(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        after: u16,
        limit: usize,
    ) -> Result<PartPage, BucketError> {
        let rows = self.rows_of(id).await?;
        let found = self.must_upload(rows, upload).await?;
        let mut parts = self.shared.meta.parts(&upload.id, after, limit + 1).await.map_err(meta_failed)?;
        let truncated = parts.len() > limit && limit > 0;
        parts.truncate(limit);
        Ok(PartPage { upload: found, parts, truncated })
    }

    async fn list_uploads(&self, id: &BucketId, query: &ListUploads) -> Result<UploadPage, BucketError> {
        let rows = self.rows_of(id).await?;
        upload_page(&*self.shared.meta, rows, query).await.map_err(meta_failed)
    }

    async fn complete_upload(
        &self,
        id: &BucketId,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError> {
        let rows = self.rows_of(id).await?;
        match self.finish_upload_once(id, rows, upload, completion).await {
            // A client that lost patience asks again, and may meet the traces of its first request.
            Err(
                error @ (BucketError::NoSuchUpload(_)
                | BucketError::InvalidPart(_)
                | BucketError::PreconditionFailed),
            ) => self.completed_before(id, upload).await.map_err(|_| error),
            finished => finished,
        }
    }

    async fn abort_upload(&self, id: &BucketId, upload: &UploadRef) -> Result<(), BucketError> {
        let rows = self.rows_of(id).await?;
        let aborted = self.shared.meta.abort_upload(rows, &upload.key, &upload.id).await;
        aborted.map_err(|error| meta_error(error, id, upload))?;
        self.forget_parts(&upload.id).await;
        Ok(())
    }
}

impl HubBuckets {
    pub(super) async fn must_upload(
        &self,
        rows: BucketUid,
        upload: &UploadRef,
    ) -> Result<Upload, BucketError> {
        let found = self.shared.meta.upload(rows, &upload.key, &upload.id).await.map_err(meta_failed)?;
        found.ok_or_else(|| BucketError::NoSuchUpload(upload.id.clone()))
    }

    async fn finish_upload_once(
        &self,
        id: &BucketId,
        rows: BucketUid,
        upload: &UploadRef,
        completion: UploadCompletion,
    ) -> Result<Object, BucketError> {
        let UploadCompletion { parts: named, expected, condition } = completion;
        let found = self.must_upload(rows, upload).await?;
        let stored =
            self.shared.meta.parts(&upload.id, 0, usize::from(u16::MAX)).await.map_err(meta_failed)?;
        let parts = named_parts(&stored, &named)?;
        let checksum = whole_checksum(&found, &parts);
        check_expected(&expected, &found, &parts, checksum.as_ref())?;
        self.check(id, &upload.key, &condition).await?;
        let kept = self.kept_parts(&upload.id, &parts).await?;
        let chunks = self.chunks(id);
        let joined = Arc::new(JoinedChunks::new(chunks.clone(), kept));
        let engine = Engine::with_turns(Arc::clone(&joined), self.shared.turns.clone());
        let file = engine.compose(joined.segments(), Hold::default()).await.map_err(engine_error)?;
        let object = Object {
            file: file.record.hash,
            size: file.record.size,
            etag: multipart_etag(&parts),
            modified_at: self.shared.ambient.clock.now(),
            attributes: found.attributes,
            checksums: checksum.into_iter().collect(),
            parts: parts.iter().map(object_part).collect(),
            upload: Some(upload.id.clone()),
            version: None,
            lock: ObjectLock::default(),
        };
        let is_one_part = file.proof.terms.is_empty() && !file.record.terms.is_empty();
        let proof = if is_one_part { joined.proof_of_only() } else { file.proof.terms };
        let used = |xorb: &&SentXorb| file.record.terms.iter().any(|term| term.xorb == xorb.hash);
        let xorbs: Vec<_> = joined.sent().chain(&file.xorbs).filter(used).cloned().collect();
        self.register(id, &chunks, &SentFile { record: &file.record, proof: &proof, xorbs: &xorbs }).await?;
        let line = add_line(&upload.key, &object);
        self.make_visible(id, &upload.key, &condition, &object, line).await?;
        // The object is there: what is left of the upload only takes space.
        match self.shared.meta.abort_upload(rows, &upload.key, &upload.id).await {
            Ok(()) | Err(MetaError::NoSuchUpload) => {}
            Err(error) => return Err(meta_failed(error)),
        }
        self.forget_parts(&upload.id).await;
        Ok(object)
    }

    async fn kept_parts(&self, upload: &UploadId, parts: &[Part]) -> Result<Vec<KeptPart>, BucketError> {
        let (folder, upload) = (Arc::clone(&self.shared.parts), upload.clone());
        let names: Vec<_> = parts.iter().map(|part| (part.number, part.file)).collect();
        let reading = spawn_blocking(move || {
            let read = |(number, file)| {
                folder.read(&upload, number, &file).map_err(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => BucketError::InvalidPart(number),
                    _ => unreadable(error),
                })
            };
            names.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        reading.await.map_err(ended)?
    }

    /// The answer for a client that lost the first one.
    async fn completed_before(&self, id: &BucketId, upload: &UploadRef) -> Result<Object, BucketError> {
        let object = self.must_object(id, &upload.key).await?;
        let same = object.upload.as_ref() == Some(&upload.id);
        same.then_some(object).ok_or_else(|| BucketError::NoSuchUpload(upload.id.clone()))
    }

    async fn forget_parts(&self, upload: &UploadId) {
        let (parts, upload) = (Arc::clone(&self.shared.parts), upload.clone());
        // What is left behind takes space, nothing else.
        let _ = tokio::task::spawn_blocking(move || parts.remove(&upload)).await;
    }
}
