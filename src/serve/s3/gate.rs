//! Between authentication and routing: who calls, and what of the request s3s may see.
//!
//! Two s3s services stand behind each other because 0.14.1 offers no place to look at a request between checking its
//! signature and parsing it. The first has a single custom route, the [`Gate`]; the second has no authentication of
//! its own and knows the caller from the [`Call`] that the gate attaches.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, StdError, TrailingHeaders, s3_error};

use crate::auth::Caller;
use crate::bucket::{Bucket, BucketId, BucketName, DeclaredDigests, Namespace};
use crate::serve::visit::Visit;

use super::access::Access;
use super::addressing::Located;
use super::asked::Asked;
use super::encoding::query_pairs;
use super::errors::{access_denied, from_stream, no_such_bucket, slow_down};
use super::names::Target;
use super::ops::Operations;
use super::{S3Door, checksums, parameters, refuse};

/// Largest XML body: every configuration of a bucket fits many times over.
const XML_BODY_BYTES_MAX: usize = 1 << 20;

/// Largest XML body of a list: 1,000 keys of 1,024 bytes fit, and 10,000 parts with `ETag` and checksum.
const XML_LIST_BYTES_MAX: usize = 2 << 20;

/// Who calls, and where the bucket lies that they name.
pub(super) struct Visitor {
    /// Whose signature it was, if there was one.
    pub(super) caller: Caller,
    /// The namespace of the bucket that the request is for, or else the caller's own.
    pub(super) home: Namespace,
    /// The namespace that the request's path names; a copy source, which names none, is looked for in it.
    pub(super) named: Option<Namespace>,
    /// The bucket that the request is for, looked up once.
    pub(super) target: Option<Target>,
}

impl Visitor {
    /// The bucket that the request is for; it need not be there.
    pub(super) fn bucket_id(&self) -> S3Result<&BucketId> {
        self.target.as_ref().map(Target::id).ok_or_else(no_such_bucket)
    }

    /// The bucket that the request is for. `NoSuchBucket` if it is not there.
    pub(super) fn bucket(&self) -> S3Result<&Bucket> {
        self.target.as_ref().ok_or_else(no_such_bucket)?.bucket()
    }
}

/// Who calls, and what they ask for beside what s3s reads.
#[derive(Clone)]
pub(super) struct Call {
    /// Who calls.
    pub(super) caller: Arc<Visitor>,
    /// The rest.
    pub(super) asked: Asked,
}

/// What is wrong with a request, told once it is known that its caller may make it.
#[derive(Clone)]
pub(super) struct Refused(Arc<Mutex<Option<S3Error>>>);

impl Refused {
    /// Tells it.
    pub(super) fn check(&self) -> S3Result<()> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        refused.map_or(Ok(()), Err)
    }
}

impl Call {
    /// Takes the call that the gate attached.
    pub(super) fn take<T>(request: &mut S3Request<T>) -> S3Result<Self> {
        request.extensions.remove().ok_or_else(access_denied)
    }
}

/// The first service: checks signatures and goes through the gate.
pub(super) fn authenticating_service(door: &Arc<S3Door>) -> S3Service {
    let mut routing = S3ServiceBuilder::new(Operations(Arc::clone(door)));
    routing.set_auth(NoKeys);
    routing.set_access(Access(Arc::clone(door)));
    routing.set_validation(AnyBucketName);
    routing.set_config(config());
    let gate = Gate { door: Arc::clone(door), routing: routing.build() };

    let mut builder = S3ServiceBuilder::new(Nothing);
    builder.set_auth(Keys(Arc::clone(door)));
    builder.set_route(gate);
    builder.set_host(door.addressing.clone());
    builder.set_validation(AnyBucketName);
    builder.set_config(config());
    builder.build()
}

fn config() -> Arc<StaticConfigProvider> {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_LIST_BYTES_MAX;
    Arc::new(StaticConfigProvider::new(Arc::new(config)))
}

/// Behind the first service there is only the gate.
struct Nothing;

impl s3s::S3 for Nothing {}

/// The secrets of the directory.
struct Keys(Arc<S3Door>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let credential = self.0.directory.credential(access_key).ok_or_else(unknown_key)?;
        Ok(SecretKey::from(credential.secret_access_key.expose()))
    }
}

fn unknown_key() -> S3Error {
    s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
}

/// The second service sees no signatures; that it has an authentication at all makes it ask [`Access`].
struct NoKeys;

#[async_trait::async_trait]
impl S3Auth for NoKeys {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(access_denied())
    }
}

/// Buckets made on the Hub are addressed by the names they have; creation checks S3's own rules.
struct AnyBucketName;

impl NameValidation for AnyBucketName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        BucketName::new(name).is_ok()
    }
}

struct Gate {
    door: Arc<S3Door>,
    routing: S3Service,
}

#[async_trait::async_trait]
impl S3Route for Gate {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        // Strangers may read what is public, and nothing else.
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        if request.credentials.is_some() || reads { Ok(()) } else { Err(access_denied()) }
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let request = self.admit(request).await?;
        let response = self.routing.call(request).await.map_err(|error| {
            let error = StdError::from(error);
            tracing::error!(%error, "an answer could not be written");
            s3_error!(InternalError, "We encountered an internal error. Please try again.")
        })?;
        let (parts, body) = response.into_parts();
        let mut response = S3Response::with_status(body, parts.status);
        response.headers = parts.headers;
        response.extensions = parts.extensions;
        Ok(response)
    }
}

impl S3Door {
    /// Knows a caller as the one who asks for this place.
    async fn visitor(&self, caller: Caller, located: &Located, creates: bool) -> S3Result<Visitor> {
        let named = located.namespace.clone();
        let own = || caller.credential().map(|credential| credential.account.clone());
        let target = match located.bucket_name() {
            None => None,
            // A new bucket is one's own, whoever else has one of that name.
            Some(name) if creates => {
                let namespace = named.clone().or_else(own).ok_or_else(access_denied)?;
                Some(Target::Missing(BucketId { namespace, name }))
            }
            Some(name) => Some(self.meant(&caller, named.as_ref(), &name).await?),
        };
        let home = target.as_ref().map(|target| target.id().namespace.clone());
        let home = home.or_else(|| named.clone()).or_else(own).ok_or_else(access_denied)?;
        Ok(Visitor { caller, home, named, target })
    }
}

impl Gate {
    /// Makes the request that the second service reads.
    async fn admit(&self, request: S3Request<Body>) -> S3Result<Request<Body>> {
        let S3Request {
            input: mut body,
            method,
            uri,
            mut headers,
            trailing_headers,
            credentials,
            extensions,
            ..
        } = request;
        let visit = Visit::of(&extensions);
        let caller = match credentials {
            None => Caller::Anonymous,
            Some(shown) => {
                Caller::Known(self.door.directory.credential(&shown.access_key).ok_or_else(unknown_key)?)
            }
        };
        if let Some(credential) = caller.credential() {
            visit.comes_from(credential).map_err(slow_down)?;
        }
        headers.remove(AUTHORIZATION);
        let located = self.door.addressing.locate(&headers, &uri)?;
        let (bucket, key) = located.named();
        visit.is_about(&bucket, &key);
        let origin = || self.door.addressing.origin(&headers, &extensions);
        let location = (method == Method::POST).then(|| located.address(origin().as_ref(), &key));
        let uri = parameters::take_headers(&located.path, uri.query(), &mut headers)?;
        let door = self.door.of(&caller);
        let caller = door.visitor(caller, &located, creates_bucket(&method, &uri)).await?;
        // AWS tells of what is asked for only after it has told that there is no such bucket, or no permission.
        let mut refused = refuse::check_headers(&headers, &caller.home).err();
        if carries_xml(&method, &uri) {
            let xml = read_xml(&headers, trailing_headers.clone(), body, XmlBody::of(&uri)).await;
            let xml = xml.map_err(|error| refused.get_or_insert(error));
            body = Body::from(xml.unwrap_or_default());
        }
        let asked = Asked::take(&mut headers).map_err(|error| refused.get_or_insert(error));
        let asked = Asked { trailers: trailing_headers, location, ..asked.unwrap_or_default() };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(visit);
        request.extensions_mut().insert(Call { caller: Arc::new(caller), asked });
        request.extensions_mut().insert(Refused(Arc::new(Mutex::new(refused))));
        Ok(request)
    }
}

/// Whether an operation's body is XML, which is read whole: every POST, and a PUT on a bucket or on what is said about
/// an object.
fn carries_xml(method: &Method, uri: &Uri) -> bool {
    const ABOUT_OBJECTS: [&str; 4] = ["acl", "legal-hold", "retention", "tagging"];
    let about = || query_pairs(uri.query()).iter().any(|(name, _)| ABOUT_OBJECTS.contains(&name.as_str()));
    *method == Method::POST || (*method == Method::PUT && (bucket_only(uri.path()) || about()))
}

/// What an XML body is, as far as it is read here.
#[derive(Debug, PartialEq, Eq)]
enum XmlBody {
    /// The parts of an upload. The checksum that comes with it is not the body's but the object's.
    Parts,
    /// The keys of a `DeleteObjects`.
    Keys,
    /// Anything else.
    Other,
}

impl XmlBody {
    fn of(uri: &Uri) -> Self {
        let pairs = query_pairs(uri.query());
        let asks = |what: &str| pairs.iter().any(|(name, _)| name == what);
        match () {
            () if asks("uploadId") => Self::Parts,
            () if asks("delete") => Self::Keys,
            () => Self::Other,
        }
    }

    fn bytes_max(&self) -> usize {
        if *self == Self::Other { XML_BODY_BYTES_MAX } else { XML_LIST_BYTES_MAX }
    }
}

/// Whether a request is for a bucket that is yet to be made.
fn creates_bucket(method: &Method, uri: &Uri) -> bool {
    let plain = || query_pairs(uri.query()).iter().all(|(name, _)| name == "x-id");
    *method == Method::PUT && bucket_only(uri.path()) && plain()
}

/// Whether a path names a bucket and no key.
fn bucket_only(path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').is_none_or(|(_, key)| key.is_empty())
}

/// Reads an XML body and checks the digests that come with it. s3s would read it too, but answers 500 to a body that
/// is not what was signed.
async fn read_xml(
    headers: &HeaderMap,
    trailers: Option<TrailingHeaders>,
    body: Body,
    what: XmlBody,
) -> S3Result<Bytes> {
    let declared = if what == XmlBody::Parts {
        DeclaredDigests { md5: checksums::content_md5(headers)?, ..DeclaredDigests::default() }
    } else {
        checksums::declared(headers, trailers, None)?
    };
    let collected =
        Limited::new(body, what.bytes_max()).collect().await.map_err(|error| from_stream(&error))?;
    let body = collected.to_bytes();
    checksums::check_in_memory(declared, &body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_be_longer_than_other_xml() {
        let of = |uri: &'static str| XmlBody::of(&Uri::from_static(uri));
        assert_eq!(of("/b/k?uploadId=1"), XmlBody::Parts);
        assert_eq!(of("/b?delete"), XmlBody::Keys);
        assert_eq!(of("/b?cors"), XmlBody::Other);
        assert!(of("/b?delete").bytes_max() > of("/b?cors").bytes_max());
    }

    #[test]
    fn only_xml_is_read_whole() {
        let xml = |method, uri: &'static str| carries_xml(&method, &Uri::from_static(uri));
        assert!(xml(Method::POST, "/b?delete"));
        assert!(xml(Method::POST, "/b/k?uploadId=1"));
        assert!(xml(Method::PUT, "/b"));
        assert!(xml(Method::PUT, "/b/"));
        assert!(xml(Method::PUT, "/b/k?tagging"));
        assert!(!xml(Method::PUT, "/b/k"));
        assert!(!xml(Method::PUT, "/b//"));
        assert!(!xml(Method::PUT, "/b/k/"));
    }
}
