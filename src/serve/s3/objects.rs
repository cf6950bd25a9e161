//! Objects: put, get, head, delete.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use s3s::dto;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::bucket::{
    BodyOut, BucketError, BucketId, ByteRange, Checksum, IfRange, Object, ObjectDelete, ObjectKey,
    ObjectRead, ObjectWrite, WriteCondition,
};

use super::asked::Asked;
use super::checksums::{set_checksums, type_of};
use super::conditions::whole_seconds;
use super::context::Call;
use super::errors::{invalid_request, malformed_xml, not_implemented};
use super::response::OverrideStatus;
use super::{S3Door, attributes, conditions, object_key, ranges, refuse, upload};

/// Most keys of a `DeleteObjects`. Source: S3 API reference.
const DELETE_KEYS_MAX: usize = 1000;

/// The header with an object's Xet hash.
pub(super) const XET_HASH: HeaderName = HeaderName::from_static("x-xet-hash");

/// An object's `ETag` as s3s writes it.
pub(super) fn etag(object: &Object) -> dto::ETag {
    dto::ETag::Strong(object.etag.to_string())
}

/// Stores an object.
pub(super) async fn put(
    door: &S3Door,
    mut request: S3Request<dto::PutObjectInput>,
) -> S3Result<S3Response<dto::PutObjectOutput>> {
    let Call { caller, asked } = Call::take(&mut request)?;
    let input = request.input;
    let id = caller.bucket_id()?;
    let write = ObjectWrite {
        key: object_key(&input.key)?,
        attributes: attributes::of_write(asked.attributes, input.metadata, input.tagging.as_deref())?,
        condition: conditions::of_write(asked.conditions)?,
        payload: upload::payload(&request.headers, input.body, asked.trailers, None)?,
    };
    let object = door.buckets.write(id, write).await?;
    let mut output = dto::PutObjectOutput { e_tag: Some(etag(&object)), ..dto::PutObjectOutput::default() };
    output.checksum_type = type_of(&object.checksums);
    set_checksums!(output, &object.checksums, object.parts.len());
    Ok(with_xet_hash(S3Response::new(output), &object))
}

fn with_xet_hash<T>(mut response: S3Response<T>, object: &Object) -> S3Response<T> {
    if let Ok(hash) = HeaderValue::from_str(&object.file.to_string()) {
        response.headers.insert(XET_HASH, hash);
    }
    response
}

/// What part of an object a read is for.
pub(super) struct Wanted {
    range: Option<ByteRange>,
    /// Of which object alone the range is wanted.
    if_range: Option<IfRange>,
    part: Option<i32>,
    /// Whether its checksums are to be told.
    pub(super) checksums: bool,
}

impl Wanted {
    /// What a read without parameters is for.
    pub(super) fn plain(asked: &Asked, checksums: bool) -> Self {
        Self { range: asked.range, if_range: asked.if_range.clone(), part: None, checksums }
    }

    fn new(asked: &Asked, part: Option<i32>, mode: Option<&dto::ChecksumMode>) -> S3Result<Self> {
        if part.is_some() && asked.range.is_some() {
            return Err(invalid_request("Cannot specify both Range header and partNumber query parameter"));
        }
        let checksums = mode.is_some_and(|mode| mode.as_str() == dto::ChecksumMode::ENABLED);
        Ok(Self { range: asked.range, if_range: asked.if_range.clone(), part, checksums })
    }

    /// The checksums of what is answered: of the object, of one of its parts, or none if it is another range.
    fn shown_checksums<'o>(&self, object: &'o Object, partial: bool) -> Vec<&'o Checksum> {
        let of_part = self.part.filter(|_| !object.parts.is_empty());
        match of_part {
            _ if !self.checksums => Vec::new(),
            Some(number) => {
                let part = object.parts.iter().find(|part| i32::from(part.number) == number);
                part.and_then(|part| part.checksum.as_ref()).into_iter().collect()
            }
            None if partial && self.part.is_none() => Vec::new(),
            None => object.checksums.iter().collect(),
        }
    }

    /// Over how many parts the shown checksum is, if it is the object's.
    fn parts_of_checksum(&self, object: &Object) -> usize {
        if self.part.is_some() { 0 } else { object.parts.len() }
    }

    /// The bytes meant, if not simply all of them.
    fn range_of(&self, object: &Object) -> S3Result<Option<Range<u64>>> {
        if let Some(number) = self.part {
            return ranges::of_part(object, number).map(Some);
        }
        let holds = |if_range: &IfRange| if_range.holds(&object.etag.to_string(), object.modified_at);
        let is_of_object = self.if_range.as_ref().is_none_or(holds);
        let Some(range) = self.range.filter(|_| is_of_object) else { return Ok(None) };
        let unsatisfiable = BucketError::RangeNotSatisfiable { size: object.size };
        Ok(Some(range.resolve(object.size).ok_or(unsatisfiable)?))
    }
}

/// Reads an object.
pub(super) async fn get(
    door: &S3Door,
    mut request: S3Request<dto::GetObjectInput>,
) -> S3Result<S3Response<dto::GetObjectOutput>> {
    let Call { caller, asked } = Call::take(&mut request)?;
    let input = request.input;
    refuse::check_version(input.version_id.as_deref())?;
    let wanted = Wanted::new(&asked, input.part_number, input.checksum_mode.as_ref())?;
    let id = caller.bucket_id()?;
    let key = object_key(&input.key)?;
    let Opened { object, range, body, partial } = open(door, id, &key, &asked, &wanted).await?;

    let span = tracing::Span::current();
    let told = move |error: &BucketError| span.in_scope(|| cut_off(error));
    let body = SizedBody::new(body, range.end - range.start, told);
    let mut output = dto::GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(s3s::Body::http_body_unsync(body).into()),
        content_length: i64::try_from(range.end - range.start).ok(),
        content_range: partial.then(|| ranges::content_range(&range, object.size)),
        e_tag: Some(etag(&object)),
        last_modified: Some(whole_seconds(object.modified_at)),
        metadata: attributes::to_metadata(&object.attributes),
        parts_count: parts_count(&object, &wanted),
        ..dto::GetObjectOutput::default()
    };
    let shown = wanted.shown_checksums(&object, partial);
    output.checksum_type = type_of(&object.checksums).filter(|_| !shown.is_empty());
    set_checksums!(output, shown, wanted.parts_of_checksum(&object));
    let mut response = S3Response::new(output);
    response.headers = shown_headers(&object, request.uri.query())?;
    Ok(with_xet_hash(response, &object))
}

/// An object opened for reading.
pub(super) struct Opened {
    /// What it is.
    pub(super) object: Object,
    /// Which of its bytes follow.
    pub(super) range: Range<u64>,
    /// The bytes.
    pub(super) body: BodyOut,
    /// Whether the answer is partial content.
    pub(super) partial: bool,
}

/// Opens an object for reading.
pub(super) async fn open(
    door: &S3Door,
    id: &BucketId,
    key: &ObjectKey,
    asked: &Asked,
    wanted: &Wanted,
) -> S3Result<Opened> {
    let mut range = wanted.range;
    // Conditions come before ranges, and a part's range is known only from the object: look before reading.
    let depends = !asked.conditions.is_empty() || wanted.if_range.is_some();
    if wanted.part.is_some() || (range.is_some() && depends) {
        let object = door.buckets.object(id, key).await?;
        conditions::check_read(&asked.conditions, &object)?;
        range = match wanted.range_of(&object)? {
            Some(bytes) if wanted.part.is_some() => {
                (!bytes.is_empty()).then(|| ByteRange::Bounded(bytes.start, bytes.end - 1))
            }
            found => range.filter(|_| found.is_some()),
        };
    }
    let mut read = door.buckets.read(id, key, range).await?;
    conditions::check_read(&asked.conditions, &read.object)?;
    let mut expected = wanted.range_of(&read.object)?;
    if range.is_some() && expected.is_none() {
        // Overwritten since the look, and no longer the object that the range was wanted of.
        read = door.buckets.read(id, key, None).await?;
        conditions::check_read(&asked.conditions, &read.object)?;
        expected = wanted.range_of(&read.object)?;
    }
    if expected.as_ref().is_some_and(|expected| *expected != read.range) {
        // The object was overwritten between the two looks, by one whose parts lie elsewhere.
        return Err(s3_error!(OperationAborted, "The object was overwritten. Please try again."));
    }
    // There is no way to write the range of no bytes, so an empty part is answered as the whole.
    let partial = expected.is_some_and(|expected| !expected.is_empty());
    let ObjectRead { object, range, body } = read;
    Ok(Opened { object, range, body, partial })
}

/// Looks at an object as [`open`] would; the part of it that is meant, if not simply all.
pub(super) async fn look(
    door: &S3Door,
    id: &BucketId,
    key: &ObjectKey,
    asked: &Asked,
    wanted: &Wanted,
) -> S3Result<(Object, Option<Range<u64>>)> {
    let object = door.buckets.object(id, key).await?;
    conditions::check_read(&asked.conditions, &object)?;
    let part = wanted.range_of(&object)?.filter(|range| !range.is_empty());
    Ok((object, part))
}

fn parts_count(object: &Object, wanted: &Wanted) -> Option<i32> {
    let count = wanted.part.map(|_| object.parts.len())?;
    i32::try_from(count).ok().filter(|count| *count > 0)
}

/// The headers that show an object's attributes, overridden as the request asks.
fn shown_headers(object: &Object, query: Option<&str>) -> S3Result<HeaderMap> {
    let mut headers = attributes::to_headers(&object.attributes);
    attributes::override_headers(&mut headers, query)?;
    Ok(headers)
}

/// Logs that an answer could not be sent to its end.
pub(super) fn cut_off(error: &BucketError) {
    tracing::error!(%error, "an answer was cut off");
}

/// A body whose length is known, and whose failure is told to `told`: by then the status has long been sent.
pub(super) struct SizedBody<T> {
    body: BodyOut,
    left: u64,
    told: T,
}

impl<T> SizedBody<T> {
    /// `body` has `left` bytes.
    pub(super) fn new(body: BodyOut, left: u64, told: T) -> Self {
        Self { body, left, told }
    }
}

impl<T: Fn(&BucketError) + Unpin> http_body::Body for SizedBody<T> {
    type Data = Bytes;
    type Error = BucketError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BucketError>>> {
        match ready!(self.body.as_mut().poll_next(cx)) {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => {
                (self.told)(&error);
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Tells of an object what a read would, without its bytes.
pub(super) async fn head(
    door: &S3Door,
    mut request: S3Request<dto::HeadObjectInput>,
) -> S3Result<S3Response<dto::HeadObjectOutput>> {
    let Call { caller, asked } = Call::take(&mut request)?;
    let input = request.input;
    refuse::check_version(input.version_id.as_deref())?;
    let wanted = Wanted::new(&asked, input.part_number, input.checksum_mode.as_ref())?;
    let id = caller.bucket_id()?;
    let (object, part) = look(door, id, &object_key(&input.key)?, &asked, &wanted).await?;

    let size = part.as_ref().map_or(object.size, |range| range.end - range.start);
    let mut output = dto::HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: i64::try_from(size).ok(),
        content_range: part.as_ref().map(|range| ranges::content_range(range, object.size)),
        e_tag: Some(etag(&object)),
        last_modified: Some(whole_seconds(object.modified_at)),
        metadata: attributes::to_metadata(&object.attributes),
        parts_count: parts_count(&object, &wanted),
        ..dto::HeadObjectOutput::default()
    };
    let shown = wanted.shown_checksums(&object, part.is_some());
    output.checksum_type = type_of(&object.checksums).filter(|_| !shown.is_empty());
    set_checksums!(output, shown, wanted.parts_of_checksum(&object));
    let mut response = S3Response::new(output);
    response.headers = shown_headers(&object, request.uri.query())?;
    if part.is_some() {
        response.extensions.insert(OverrideStatus(StatusCode::PARTIAL_CONTENT));
    }
    Ok(with_xet_hash(response, &object))
}

/// Deletes an object; one that is not there is deleted already.
pub(super) async fn delete(
    door: &S3Door,
    mut request: S3Request<dto::DeleteObjectInput>,
) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
    let Call { caller, asked } = Call::take(&mut request)?;
    refuse::check_version(request.input.version_id.as_deref())?;
    let id = caller.bucket_id()?;
    let condition = conditions::of_write(asked.conditions)?;
    let delete = ObjectDelete { key: object_key(&request.input.key)?, condition };
    for result in door.buckets.delete(id, vec![delete]).await? {
        result?;
    }
    Ok(S3Response::new(dto::DeleteObjectOutput::default()))
}

/// Deletes up to 1,000 objects, each on its own.
pub(super) async fn delete_many(
    door: &S3Door,
    mut request: S3Request<dto::DeleteObjectsInput>,
) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
    let Call { caller, .. } = Call::take(&mut request)?;
    let id = caller.bucket_id()?;
    let dto::Delete { objects, quiet } = request.input.delete;
    if objects.is_empty() || objects.len() > DELETE_KEYS_MAX {
        return Err(malformed_xml());
    }
    let mut outcomes: Vec<(dto::ObjectIdentifier, Option<S3Error>)> = Vec::with_capacity(objects.len());
    let (mut deletes, mut places) = (Vec::new(), Vec::new());
    for object in objects {
        let refused = match delete_of(&object) {
            Ok(delete) => {
                places.push(outcomes.len());
                deletes.push(delete);
                None
            }
            Err(error) => Some(error),
        };
        outcomes.push((object, refused));
    }
    let results = door.buckets.delete(id, deletes).await?;
    for (place, result) in places.into_iter().zip(results) {
        outcomes[place].1 = result.err().map(S3Error::from);
    }
    Ok(S3Response::new(delete_output(outcomes, quiet.unwrap_or(false))))
}

fn delete_of(object: &dto::ObjectIdentifier) -> S3Result<ObjectDelete> {
    refuse::check_version(object.version_id.as_deref())?;
    if object.size.is_some() || object.last_modified_time.is_some() {
        return Err(not_implemented("A condition on Size or LastModifiedTime"));
    }
    let if_match = object.e_tag.as_ref().map(|etag| conditions::parse_etags(etag.value()));
    Ok(ObjectDelete {
        key: object_key(&object.key)?,
        condition: WriteCondition { if_match, if_none_match: None },
    })
}

fn delete_output(
    outcomes: Vec<(dto::ObjectIdentifier, Option<S3Error>)>,
    quiet: bool,
) -> dto::DeleteObjectsOutput {
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (object, error) in outcomes {
        let (key, version_id) = (Some(object.key), object.version_id);
        match error {
            None if quiet => {}
            None => deleted.push(dto::DeletedObject { key, version_id, ..dto::DeletedObject::default() }),
            Some(error) => errors.push(dto::Error {
                code: Some(error.code().as_str().to_owned()),
                key,
                message: error.message().map(ToOwned::to_owned),
                version_id,
            }),
        }
    }
    dto::DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), request_charged: None }
}
