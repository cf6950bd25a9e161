//! From an authenticated request to its operation's input: resolves the bucket, checks the headers, and reads what s3s
//! would refuse although S3 does not.

use std::sync::{Arc, Mutex};

use axum::body::Body as AxumBody;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use s3s::{Body, HttpRequest, S3Result};

use crate::auth::Caller;
use crate::bucket::{BucketId, BucketName, DeclaredDigests, Namespace};
use crate::serve::http::RequestContext;

use super::addressing::{Located, Names};
use super::auth::body::open;
use super::auth::{Proof, Trailers};
use super::bucket_names::Target;
use super::context::Context;
use super::encoding::query_pairs;
use super::errors::{access_denied, from_stream, slow_down};
use super::request_headers::RequestHeaders;
use super::{S3Api, checksums, parameters, unsupported};

/// Largest XML body: every configuration of a bucket fits many times over.
const XML_BODY_BYTES_MAX: usize = 1 << 20;

/// Largest XML body of a list: 1,000 keys of 1,024 bytes fit, and 10,000 parts with `ETag` and checksum.
pub(super) const XML_LIST_BYTES_MAX: usize = 2 << 20;

/// Makes the request that its operation reads, and its context.
pub(super) async fn prepare(
    api: &Arc<S3Api>,
    request: Request<AxumBody>,
    request_id: &Arc<str>,
    proof: Proof,
    located: &Located,
    (bucket, key): Names,
) -> S3Result<(Arc<Context>, HttpRequest)> {
    let Proof { caller, payload } = proof;
    let (parts, body) = request.into_parts();
    let (method, sent_uri, mut headers, extensions) =
        (parts.method, parts.uri, parts.headers, parts.extensions);
    let record = RequestContext::of(&extensions);
    let (mut body, trailers) = open(payload, &mut headers, body)?;
    match caller.credential() {
        Some(credential) => record.admit(credential).map_err(slow_down)?,
        // Anonymous callers may read what is public, and nothing else.
        None if matches!(method, Method::GET | Method::HEAD) => {}
        None => return Err(access_denied()),
    }
    headers.remove(AUTHORIZATION);
    let (bucket_name, key_name) = located.named();
    record.set_target(bucket_name, key_name);
    let origin = || api.addressing.origin(&headers, &extensions);
    let location = (method == Method::POST).then(|| located.url(origin().as_ref(), key_name));
    let uri = parameters::take_headers(located.path(&sent_uri), &sent_uri, &mut headers)?;
    let api = api.for_caller(&caller);
    let creates = creates_bucket(&method, &uri);
    let (target, namespace) = resolve(api, &caller, located.namespace.as_ref(), bucket, creates).await?;
    let mut argument_error = unsupported::check_headers(&headers, &namespace).err();
    if carries_xml(&method, &uri) {
        let xml = Box::pin(read_xml(&headers, trailers.clone(), body, XmlBody::of(&uri))).await;
        let xml = xml.map_err(|error| argument_error.get_or_insert(error));
        body = Body::from(xml.unwrap_or_default());
    }
    let read = RequestHeaders::take(&mut headers).map_err(|error| argument_error.get_or_insert(error));
    let context = Context {
        api: Arc::clone(api),
        request_id: Arc::clone(request_id),
        uri: sent_uri,
        record,
        caller,
        namespace,
        path_namespace: located.namespace.clone(),
        target,
        key,
        headers: read.unwrap_or_default(),
        location,
        trailers,
        argument_error: Mutex::new(argument_error),
    };
    let mut request = HttpRequest::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok((Arc::new(context), request))
}

/// The bucket that a request is for, and its namespace; without a bucket, the namespace that the path names or else the
/// caller's own.
async fn resolve(
    api: &S3Api,
    caller: &Caller,
    path_namespace: Option<&Namespace>,
    bucket: Option<BucketName>,
    creates: bool,
) -> S3Result<(Option<Target>, Namespace)> {
    let home = || path_namespace.cloned().or_else(|| Some(caller.credential()?.account.clone()));
    let target = match bucket {
        None => return Ok((None, home().ok_or_else(access_denied)?)),
        // A new bucket belongs to the caller, even if another account has a bucket of that name.
        Some(name) if creates => {
            Target::Missing(BucketId { namespace: home().ok_or_else(access_denied)?, name })
        }
        Some(name) => api.resolve(caller, path_namespace, &name).await?,
    };
    let namespace = target.id().namespace.clone();
    Ok((Some(target), namespace))
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
