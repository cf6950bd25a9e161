//! `GetObject` and `HeadObject`: conditions, ranges and parts.
//!
//! These two are read from the request and answered here, not by s3s: its parsing and writing would be more than a quarter
//! of the work for a small object. See docs/decisions/0095.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use s3s::{HttpRequest, S3Result, s3_error};

use crate::bucket::{
    BodyOut, Bucket, BucketError, ByteRange, Checksum, IfRange, Object, ObjectKey, ObjectRead, ObjectRef,
    VersionRef,
};
use crate::serve::s3::context::Context;
use crate::serve::s3::encoding::query_pairs;
use crate::serve::s3::errors::{invalid_argument, invalid_request};
use crate::serve::s3::object_headers;
use crate::serve::s3::parameters::single;
use crate::serve::s3::versions::VERSION_ID;
use crate::serve::s3::{checksums, conditions, lifecycle, ranges, versions};

const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
const PARTS_COUNT: HeaderName = HeaderName::from_static("x-amz-mp-parts-count");

/// Parameters of a GET of an object that select another operation than `GetObject`. Source: S3 API reference.
const OTHER_OPERATIONS: [&str; 7] =
    ["acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId"];

/// The operation of a request, if it is one of these two.
pub(in crate::serve::s3) fn operation(context: &Context, request: &HttpRequest) -> Option<&'static str> {
    context.key.as_ref()?;
    match *request.method() {
        Method::HEAD => Some("HeadObject"),
        Method::GET => {
            let pairs = query_pairs(request.uri().query());
            let is_other = pairs.iter().any(|(name, _)| OTHER_OPERATIONS.contains(&name.as_str()));
            (!is_other).then_some("GetObject")
        }
        _ => None,
    }
}

/// What a request wants of an object.
struct Wanted {
    version: Option<VersionRef>,
    range: Option<ByteRange>,
    /// The object that the range is wanted of.
    if_range: Option<IfRange>,
    part: Option<i32>,
    /// Whether checksums are to be in the answer.
    checksums: bool,
    /// Headers of the answer that the request chooses.
    overrides: HeaderMap,
}

impl Wanted {
    fn of(context: &Context, request: &HttpRequest) -> S3Result<Self> {
        let parameters = query_pairs(request.uri().query());
        let version = versions::parse(single(&parameters, "versionId")?)?;
        let part = single(&parameters, "partNumber")?.map(str::parse).transpose();
        let part = part.map_err(|_| invalid_argument("Part number must be an integer"))?;
        let (range, if_range) = (context.headers.range, context.headers.if_range.clone());
        if part.is_some() && range.is_some() {
            return Err(invalid_request("Cannot specify both Range header and partNumber query parameter"));
        }
        let checksums = request.headers().get(CHECKSUM_MODE).is_some_and(|mode| mode == "ENABLED");
        let overrides = object_headers::overrides(&parameters)?;
        Ok(Self { version, range, if_range, part, checksums, overrides })
    }

    /// The checksums in the answer: of the object, of one of its parts, or none if it is another range.
    fn shown_checksums<'o>(&self, object: &'o Object, partial: bool) -> &'o [Checksum] {
        let of_part = self.part.filter(|_| !object.parts.is_empty());
        match of_part {
            _ if !self.checksums => &[],
            Some(number) => {
                let part = object.parts.iter().find(|part| i32::from(part.number) == number);
                part.and_then(|part| part.checksum.as_ref()).map_or(&[], std::slice::from_ref)
            }
            None if partial && self.part.is_none() => &[],
            None => &object.checksums,
        }
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

    /// The answer with these bytes of an object; `partial` if they are not all.
    fn response(
        self,
        (bucket, key): (&Bucket, &ObjectKey),
        object: &Object,
        range: &Range<u64>,
        partial: bool,
        body: Body,
    ) -> Response {
        let mut response = Response::new(body);
        let mut headers = object_headers::of_object(object);
        if let Some(version) = versions::shown(bucket, object.version) {
            object_headers::add(&mut headers, VERSION_ID, &version);
        }
        // Of a version that is named it is not known here whether it is the current one.
        if self.version.is_none()
            && let Some(expiration) = lifecycle::expiration(bucket, key.as_str(), object)
        {
            object_headers::add(&mut headers, lifecycle::EXPIRATION, &expiration);
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        if partial {
            let content_range = HeaderValue::from_str(&ranges::content_range(range, object.size));
            headers.extend(content_range.ok().map(|value| (CONTENT_RANGE, value)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if self.part.is_some() && !object.parts.is_empty() {
            headers.insert(PARTS_COUNT, object.parts.len().into());
        }
        // A part's own checksum covers one part, whatever its type.
        let parts = if self.part.is_some() { 0 } else { object.parts.len() };
        let over = object.checksums.first().map(|checksum| checksum.over);
        checksums::add_headers(self.shown_checksums(object, partial), over, parts, &mut headers);
        headers.extend(self.overrides);
        *response.headers_mut() = headers;
        response
    }
}

/// Reads an object.
pub(in crate::serve::s3) async fn get(context: &Arc<Context>, request: &HttpRequest) -> S3Result<Response> {
    let wanted = Wanted::of(context, request)?;
    let (ObjectRead { object, range, body }, partial) = open(context, &wanted).await?;
    let body = ObjectBody { body, left: range.end - range.start, context: Arc::clone(context) };
    Ok(wanted.response((context.bucket()?, context.key()?), &object, &range, partial, Body::new(body)))
}

/// Answers what [`get`] would, without the object's bytes.
pub(in crate::serve::s3) async fn head(context: &Context, request: &HttpRequest) -> S3Result<Response> {
    let wanted = Wanted::of(context, request)?;
    let (bucket, object) = (context.bucket()?, ObjectRef { key: context.key()?, version: wanted.version });
    let object = context.api.buckets.object(&bucket.id, object).await?;
    conditions::check_read(&context.headers.conditions, &object)?;
    let part = wanted.range_of(&object)?.filter(|range| !range.is_empty());
    let range = part.clone().unwrap_or(0..object.size);
    Ok(wanted.response((bucket, context.key()?), &object, &range, part.is_some(), Body::empty()))
}

/// Opens an object for reading, and says whether the answer is partial content.
async fn open(context: &Context, wanted: &Wanted) -> S3Result<(ObjectRead, bool)> {
    let (buckets, id) = (&context.api.buckets, context.bucket_id()?);
    let named = ObjectRef { key: context.key()?, version: wanted.version };
    let conditions = &context.headers.conditions;
    let mut range = wanted.range;
    // Conditions come before ranges, and a part's range is known only from the object: look before reading.
    let depends = !conditions.is_empty() || wanted.if_range.is_some();
    if wanted.part.is_some() || (range.is_some() && depends) {
        let object = buckets.object(id, named).await?;
        conditions::check_read(conditions, &object)?;
        range = match wanted.range_of(&object)? {
            Some(bytes) if wanted.part.is_some() => {
                (!bytes.is_empty()).then(|| ByteRange::Bounded(bytes.start, bytes.end - 1))
            }
            found => range.filter(|_| found.is_some()),
        };
    }
    let mut read = buckets.read(id, named, range).await?;
    conditions::check_read(conditions, &read.object)?;
    let mut expected = wanted.range_of(&read.object)?;
    if range.is_some() && expected.is_none() {
        // Overwritten since the look, and no longer the object that the range was wanted of.
        read = buckets.read(id, named, None).await?;
        conditions::check_read(conditions, &read.object)?;
        expected = wanted.range_of(&read.object)?;
    }
    if expected.as_ref().is_some_and(|expected| *expected != read.range) {
        // The object was overwritten between the two looks, by one whose parts lie elsewhere.
        return Err(s3_error!(OperationAborted, "The object was overwritten. Please try again."));
    }
    // There is no way to write the range of no bytes, so an empty part is answered as the whole.
    let partial = expected.is_some_and(|expected| !expected.is_empty());
    Ok((read, partial))
}

/// The bytes of an object. If they fail, the status has long been sent: the failure is logged here.
struct ObjectBody {
    body: BodyOut,
    left: u64,
    context: Arc<Context>,
}

impl http_body::Body for ObjectBody {
    type Data = Bytes;
    type Error = BucketError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BucketError>>> {
        match ready!(self.body.as_mut().poll_next(cx)) {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => {
                let Context { request_id, uri, .. } = &*self.context;
                tracing::error!(%request_id, path = uri.path(), %error, "an answer was cut off");
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
