//! Uploads by POST form: a browser sends a file with fields that say where it goes, and a policy, signed beforehand by
//! somebody who has a key, that says which fields are allowed.
//!
//! The fields are read first and bounded; the file after them is a stream. A field means what the header of
//! the same name means in a PUT. Source: S3 API reference, "Browser-based uploads using POST" (Signature Version 4, and
//! Version 2 as boto3 writes it by default).

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use s3s::xml::{Deserialize as _, Deserializer};
use s3s::{S3Error, S3Result, dto, s3_error};

use crate::auth::{Action, Caller};
use crate::bucket::limits::PART_BYTES_MAX;
use crate::bucket::{BucketError, BucketId, Object, ObjectWrite, Payload, Tags, Timestamp};
use crate::serve::http::RequestContext;

use super::auth::SigningKeys;
use super::encoding::encode_component;
use super::errors::{access_denied, invalid_argument, malformed_xml, slow_down};
use super::ops::{acl, tagging};
use super::request_headers::RequestHeaders;
use super::versions::VERSION_ID;
use super::xml::{self, PostResponse};
use super::{
    S3Api, attributes, auth, checksums, object_headers, object_key, object_lock, unsupported, versions,
};

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
pub(super) async fn post(api: &Arc<S3Api>, keys: &SigningKeys, request: Request) -> S3Result<Response> {
    let record = RequestContext::of(request.extensions());
    let (parts, body) = request.into_parts();
    let located = api.addressing.locate(&parts.headers, &parts.uri)?;
    let name = located.bucket().ok_or_else(|| s3_error!(MethodNotAllowed, "A form is sent to a bucket."))?;
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (mut fields, file) = fields::read(content_type.unwrap_or_default(), body).await?;

    let caller = auth::form::prove(api, keys, &|name| fields.get(name))?;
    record.set_target(name, fields.get("key").unwrap_or_default());
    if let Some(credential) = caller.credential() {
        record.admit(credential).map_err(slow_down)?;
    }
    let api = api.for_caller(&caller);
    let bucket_name = super::bucket_name(name)?;
    let target = api.resolve(&caller, located.namespace.as_ref(), &bucket_name).await?;
    let bucket = target.bucket()?;
    let id = &bucket.id;
    let Caller::Known(signer) = &caller else { return Err(access_denied()) };
    let policy = Policy::parse(fields.get("policy").unwrap_or_default())?;
    // A policy that names a bucket without its namespace means its signer's own.
    let is_elsewhere = located.namespace.as_ref().is_some_and(|namespace| *namespace != signer.account);
    fields.set("bucket", &if is_elsewhere { policy.must_name(id)? } else { name.to_owned() });
    let now = api.clock.clock.now();
    policy.check(now, &fields)?;
    if fields.get("signature").is_some() {
        auth::form::check_life_v2(policy.expires_at_secs(), now)?;
    }
    if !api.directory.may(&caller, Action::WriteBucket, id, bucket.visibility) {
        return Err(access_denied());
    }
    let form = Form::of(id, &fields)?;
    if let Some(acl) = fields.get("acl") {
        acl::check_of_write(api, bucket, acl).await?;
    }
    let (min, max) = policy.length().unwrap_or((0, PART_BYTES_MAX));
    let write = form.into_write(now, Bounded::new(file, (min, max.min(PART_BYTES_MAX))))?;
    let key = write.key.clone();
    let object = api.buckets.write(id, write).await.map_err(write_error)?;
    let origin = api.addressing.origin(&parts.headers, &parts.extensions);
    let url = located.url(origin.as_ref(), key.as_str());
    let mut response = answer(url, &fields, name, key.as_str(), &object);
    if let Some(version) = versions::made(object.version) {
        object_headers::add(response.headers_mut(), VERSION_ID, &version);
    }
    Ok(response)
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
        unsupported::check_headers(&headers, &id.namespace)?;
        let tags = fields.get("tagging").map(read_tagging).transpose()?;
        Ok(Self { key, headers, metadata: fields.metadata(), tags })
    }

    fn into_write(mut self, now: Timestamp, file: Bounded) -> S3Result<ObjectWrite> {
        let lock = object_lock::of_write(&self.headers, now)?;
        let digests = checksums::declared(&self.headers, None, None)?;
        let headers = RequestHeaders::take(&mut self.headers)?;
        let mut attributes = attributes::of_write(headers.attributes, Some(self.metadata), None)?;
        attributes.tags = self.tags.unwrap_or_default();
        Ok(ObjectWrite {
            key: object_key(&self.key)?,
            attributes,
            condition: headers.conditions.etag,
            lock,
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

/// The answer that the form asks for; `object_url` is the object's own.
fn answer(object_url: String, fields: &Fields, bucket: &str, key: &str, object: &Object) -> Response {
    let etag = format!("\"{}\"", object.etag);
    let redirect = fields.get("success_action_redirect").or(fields.get("redirect"));
    let (status, location) = match (redirect.filter(|url| is_url(url)), fields.get("success_action_status")) {
        (Some(url), _) => {
            let joint = if url.contains('?') { '&' } else { '?' };
            let [bucket, key, etag] = [bucket, key, &etag].map(encode_component);
            let query = format!("bucket={bucket}&key={key}&etag={etag}");
            (StatusCode::SEE_OTHER, format!("{url}{joint}{query}"))
        }
        (None, Some("200")) => (StatusCode::OK, object_url),
        (None, Some("201")) => (StatusCode::CREATED, object_url),
        (None, _) => (StatusCode::NO_CONTENT, object_url),
    };
    let body = if status == StatusCode::CREATED {
        Body::from(xml::write(&PostResponse { location: &location, bucket, key, etag: &etag }))
    } else {
        Body::empty()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    object_headers::add(headers, ETAG, &etag);
    object_headers::add(headers, LOCATION, &location);
    if status == StatusCode::CREATED {
        object_headers::add(headers, CONTENT_TYPE, "application/xml");
    }
    response
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}
