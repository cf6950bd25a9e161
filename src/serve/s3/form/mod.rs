//! Uploads by POST form: a browser sends a file with fields that say where it goes, and a policy, signed beforehand by
//! whoever has a key, that says which fields are allowed.
//!
//! The fields are read first and bounded; the file behind them is a stream. What a field asks for is asked as the header
//! of the same name is in a PUT. Source: S3 API reference, "Browser-based uploads using POST" (Signature Version 4, and
//! Version 2 as boto3 writes it by default).

use std::collections::HashMap;

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use futures::StreamExt as _;
use s3s::xml::{Deserialize as _, Deserializer};
use s3s::{Body, HttpResponse, S3Error, S3Result, dto, s3_error};

use crate::auth::{Action, Caller};
use crate::bucket::limits::PART_BYTES_MAX;
use crate::bucket::{BucketError, BucketId, Object, ObjectWrite, Payload, Tags};
use crate::serve::visit::Visit;

use super::asked::Asked;
use super::auth::SigningKeys;
use super::encoding::encode_url;
use super::errors::{access_denied, invalid_argument, malformed_xml, slow_down};
use super::xml::{self, PostResponse};
use super::{S3Door, acl, attributes, auth, checksums, object_key, refuse, tagging};

mod bounded;
mod fields;
mod policy;

use bounded::{Bounded, OutOfBounds};
use fields::Fields;
use policy::Policy;

/// Whether a request is an upload by form.
pub(super) fn is_form(request: &Request) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    request.method() == axum::http::Method::POST
        && content_type.is_some_and(|value| value.starts_with(b"multipart/form-data"))
}

/// Stores the file of a form.
pub(super) async fn post(door: &S3Door, keys: &SigningKeys, request: Request) -> S3Result<HttpResponse> {
    let visit = Visit::of(request.extensions());
    let (parts, body) = request.into_parts();
    let located = door.addressing.locate(&parts.headers, &parts.uri)?;
    let name = located.bucket().ok_or_else(|| s3_error!(MethodNotAllowed, "A form is sent to a bucket."))?;
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (mut fields, file) = fields::read(content_type.unwrap_or_default(), body).await?;

    let caller = auth::form::prove(door, keys, &|name| fields.get(name))?;
    visit.is_about(&name, fields.get("key").unwrap_or_default());
    if let Some(credential) = caller.credential() {
        visit.comes_from(credential).map_err(slow_down)?;
    }
    let door = door.of(&caller);
    let bucket_name = super::bucket_name(&name)?;
    let target = door.meant(&caller, located.namespace.as_ref(), &bucket_name).await?;
    let bucket = target.bucket()?;
    let id = &bucket.id;
    let Caller::Known(signer) = &caller else { return Err(access_denied()) };
    let policy = Policy::parse(fields.get("policy").unwrap_or_default())?;
    // A policy that names a bucket without its namespace means its signer's own.
    let is_elsewhere = located.namespace.as_ref().is_some_and(|namespace| *namespace != signer.account);
    fields.set("bucket", &if is_elsewhere { policy.must_name(id)? } else { name.clone() });
    let now = door.clock.clock.now();
    policy.check(now, &fields)?;
    if fields.get("signature").is_some() {
        auth::form::check_life_v2(policy.expires_at_secs(), now)?;
    }
    if !door.directory.may(&caller, Action::WriteBucket, id, bucket.visibility) {
        return Err(access_denied());
    }
    let form = Form::of(id, &fields)?;
    if let Some(acl) = fields.get("acl") {
        acl::check_of_write(door, bucket, acl).await?;
    }
    let (min, max) = policy.length().unwrap_or((0, PART_BYTES_MAX));
    let write = form.into_write(Bounded::new(file, (min, max.min(PART_BYTES_MAX))))?;
    let key = write.key.clone();
    let object = door.buckets.write(id, write).await.map_err(write_error)?;
    let origin = door.addressing.origin(&parts.headers, &parts.extensions);
    let own = located.address(origin.as_ref(), key.as_str());
    Ok(answer(own, &fields, &name, key.as_str(), &object))
}

/// What a form says of its object.
struct Form {
    key: String,
    headers: HeaderMap,
    metadata: HashMap<String, String>,
    tags: Option<Tags>,
}

impl Form {
    /// Reads the fields that are headers elsewhere.
    fn of(id: &BucketId, fields: &Fields) -> S3Result<Self> {
        let key = fields.get("key").ok_or_else(|| {
            invalid_argument(
                "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the \
                 fields.",
            )
        })?;
        let key = key.to_owned();
        let mut headers = HeaderMap::new();
        for (name, value) in fields.headers() {
            let name =
                HeaderName::try_from(name).map_err(|_| invalid_argument(format!("The field {name}")))?;
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.insert(name, value.map_err(|_| invalid_argument("A field holds a control character."))?);
        }
        refuse::check_headers(&headers, &id.namespace)?;
        let tags = fields.get("tagging").map(read_tagging).transpose()?;
        Ok(Self { key, headers, metadata: fields.metadata(), tags })
    }

    fn into_write(mut self, file: Bounded) -> S3Result<ObjectWrite> {
        let digests = checksums::declared(&self.headers, None, None)?;
        let asked = Asked::take(&mut self.headers)?;
        let mut attributes = attributes::of_write(asked.attributes, Some(self.metadata), None)?;
        attributes.tags = self.tags.unwrap_or_default();
        Ok(ObjectWrite {
            key: object_key(&self.key)?,
            attributes,
            condition: asked.conditions.etag,
            payload: Payload { body: file.boxed(), length: None, digests },
        })
    }
}

/// Tags are given as the XML of `PutObjectTagging`.
fn read_tagging(xml: &str) -> S3Result<Tags> {
    let mut reader = Deserializer::new(xml.as_bytes());
    let tagging = dto::Tagging::deserialize(&mut reader).map_err(|_| malformed_xml())?;
    tagging::of_object(tagging)
}

/// An error of the write, of which the file's own are these.
fn write_error(error: BucketError) -> S3Error {
    let BucketError::Body(source) = &error else { return error.into() };
    match source.downcast_ref::<OutOfBounds>() {
        Some(OutOfBounds::TooSmall) => {
            s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size")
        }
        Some(OutOfBounds::TooLarge) => {
            s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size")
        }
        None => error.into(),
    }
}

/// Tells the browser what became of its file, as the form wants it; `own` is the object's address.
fn answer(own: String, fields: &Fields, bucket: &str, key: &str, object: &Object) -> HttpResponse {
    let etag = format!("\"{}\"", object.etag);
    let redirect = fields.get("success_action_redirect").or(fields.get("redirect"));
    let (status, location) = match (redirect.filter(|url| is_url(url)), fields.get("success_action_status")) {
        (Some(url), _) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            let encode = |text: &str| encode_url(text).replace('/', "%2F");
            let query = format!("bucket={}&key={}&etag={}", encode(bucket), encode(key), encode(&etag));
            (StatusCode::SEE_OTHER, format!("{url}{joint}{query}"))
        }
        (None, Some("200")) => (StatusCode::OK, own),
        (None, Some("201")) => (StatusCode::CREATED, own),
        (None, _) => (StatusCode::NO_CONTENT, own),
    };
    let body = if status == StatusCode::CREATED {
        Body::from(xml::write(&PostResponse { location: &location, bucket, key, etag: &etag }))
    } else {
        Body::empty()
    };
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(ETAG, &etag);
    set(LOCATION, &location);
    if status == StatusCode::CREATED {
        set(CONTENT_TYPE, "application/xml");
    }
    response
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}
