//! From an authenticated request to its operation: resolves the bucket, reads what s3s would refuse for its form
//! although S3 does not, and hands the request to s3s, which routes it, asks [`Access`] and calls the operation.
//!
//! s3s sees neither signatures nor the caller; both are known before ([`super::auth`]), and go with the request
//! ([`super::context`]).

use std::sync::Arc;

use axum::body::Body as AxumBody;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{Body, HttpRequest, S3Result};

use crate::auth::Caller;
use crate::bucket::{BucketId, BucketName, DeclaredDigests};
use crate::serve::visit::Visit;

use super::access::Access;
use super::addressing::Located;
use super::asked::Asked;
use super::auth::body::open;
use super::auth::{Proof, Trailers};
use super::context::{Call, Refused, Visitor};
use super::encoding::query_pairs;
use super::errors::{access_denied, from_stream, slow_down};
use super::names::Target;
use super::ops::Operations;
use super::{S3Door, checksums, parameters, refuse};

/// Largest XML body: every configuration of a bucket fits many times over.
const XML_BODY_BYTES_MAX: usize = 1 << 20;

/// Largest XML body of a list: 1,000 keys of 1,024 bytes fit, and 10,000 parts with `ETag` and checksum.
const XML_LIST_BYTES_MAX: usize = 2 << 20;

/// The s3s service.
pub(super) fn service(door: &Arc<S3Door>) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = XML_LIST_BYTES_MAX;
    let mut builder = S3ServiceBuilder::new(Operations(Arc::clone(door)));
    builder.set_auth(NoKeys);
    builder.set_access(Access(Arc::clone(door)));
    builder.set_validation(AnyBucketName);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

/// The service sees no signatures; that it has an authentication at all makes it ask [`Access`].
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

/// Makes the request that s3s reads, and says who makes it.
pub(super) async fn admit(
    door: &S3Door,
    request: Request<AxumBody>,
    proof: Proof,
    located: &Located,
) -> S3Result<(HttpRequest, Arc<Visitor>)> {
    let Proof { caller, payload } = proof;
    let (parts, body) = request.into_parts();
    let (method, uri, mut headers, extensions) = (parts.method, parts.uri, parts.headers, parts.extensions);
    let visit = Visit::of(&extensions);
    let (mut body, trailers) = open(payload, &mut headers, body)?;
    match caller.credential() {
        Some(credential) => visit.comes_from(credential).map_err(slow_down)?,
        // Anonymous callers may read what is public, and nothing else.
        None if matches!(method, Method::GET | Method::HEAD) => {}
        None => return Err(access_denied()),
    }
    headers.remove(AUTHORIZATION);
    let (bucket, key) = located.named();
    visit.is_about(&bucket, &key);
    let origin = || door.addressing.origin(&headers, &extensions);
    let location = (method == Method::POST).then(|| located.address(origin().as_ref(), &key));
    let uri = parameters::take_headers(&located.path, uri.query(), &mut headers)?;
    let visitor = door.of(&caller).visitor(caller.clone(), located, creates_bucket(&method, &uri)).await?;
    // AWS tells of what is asked for only after it has told that there is no such bucket, or no permission.
    let mut refused = refuse::check_headers(&headers, &visitor.home).err();
    if carries_xml(&method, &uri) {
        let xml = read_xml(&headers, trailers.clone(), body, XmlBody::of(&uri)).await;
        let xml = xml.map_err(|error| refused.get_or_insert(error));
        body = Body::from(xml.unwrap_or_default());
    }
    let asked = Asked::take(&mut headers).map_err(|error| refused.get_or_insert(error));
    let asked = Asked { location, trailers, ..asked.unwrap_or_default() };
    let visitor = Arc::new(visitor);
    let mut request = HttpRequest::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request.extensions_mut().insert(visit);
    request.extensions_mut().insert(Call { caller: Arc::clone(&visitor), asked });
    request.extensions_mut().insert(Refused::new(refused));
    Ok((request, visitor))
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
    trailers: Option<Trailers>,
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
