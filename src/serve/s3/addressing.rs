//! How requests name buckets: in the path or in the host, in the caller's own namespace or in one that the path names.
//!
//! * Path style: `/{bucket}/{key}`. Virtual-host style, for configured domains: `/{key}` at `{bucket}.{domain}`.
//! * By account (the default): [`bucket_names`](super::bucket_names) says whose bucket a name means.
//! * Namespaced: the path's first segment is the namespace, as in the URLs of huggingface.co's gateway.
//!
//! Signatures are made over the request as it was sent, so all this comes after they are checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap, HeaderValue, Uri};
use s3s::{S3Result, s3_error};

use crate::bucket::{BucketId, BucketName, Namespace, ObjectKey};
use crate::serve::http::origin::Origin;

use super::encoding::{decode_url, encode_url};
use super::errors::invalid_request;
use super::{bucket_name, object_key};

/// How requests name buckets, as configured.
#[derive(Debug, Clone, Default)]
pub struct Addressing {
    /// Whether the path's first segment is a namespace.
    pub namespaced: bool,
    /// Domains whose subdomains are buckets, in lower case, without a port.
    pub domains: Vec<String>,
    /// The buckets that names mean to callers who have none of the name themselves.
    pub aliases: BTreeMap<BucketName, BucketId>,
    /// Whether a name may mean another account's readable bucket to a caller with a key, if nothing else has it.
    pub foreign_names: bool,
    /// Proxies that say truly which scheme and host a client has used.
    pub trusted_proxies: Vec<IpAddr>,
}

/// The bucket and the object that a request is for, as it names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The namespace in the path.
    pub(super) namespace: Option<Namespace>,
    /// `/{bucket}/{key}`, percent-encoded, if the request's own path is not that.
    path: Option<String>,
    /// Whether the host names the bucket.
    in_host: bool,
    /// The bucket, decoded; empty if there is none.
    bucket: String,
    /// The key, decoded; empty if there is none.
    key: String,
}

/// A valid bucket and a valid key, where a request names them.
pub(super) type Names = (Option<BucketName>, Option<ObjectKey>);

impl Located {
    /// The bucket and the key, decoded; empty where there is none.
    pub(super) fn named(&self) -> (&str, &str) {
        (&self.bucket, &self.key)
    }

    /// `/{bucket}/{key}`, percent-encoded, of the request to this URI.
    pub(super) fn path<'a>(&'a self, uri: &'a Uri) -> &'a str {
        self.path.as_deref().unwrap_or(uri.path())
    }

    /// The URL of an object of this bucket in the form in which the request names the bucket; without scheme and host if
    /// the origin is not known.
    pub(super) fn url(&self, origin: Option<&Origin>, key: &str) -> String {
        let origin = origin.map_or("", Origin::as_str);
        let namespace = self.namespace.as_ref().map(|namespace| format!("/{}", namespace.as_str()));
        let bucket = self.bucket().filter(|_| !self.in_host).map(|bucket| format!("/{}", encode_url(bucket)));
        let (namespace, bucket) = (namespace.unwrap_or_default(), bucket.unwrap_or_default());
        format!("{origin}{namespace}{bucket}/{}", encode_url(key))
    }

    /// The names, each valid.
    pub(super) fn names(&self) -> S3Result<Names> {
        let bucket = self.bucket().map(bucket_name).transpose()?;
        let key = Some(self.key.as_str()).filter(|key| !key.is_empty()).map(object_key).transpose()?;
        Ok((bucket, key))
    }

    /// The bucket that the host names.
    pub(super) fn bucket_in_host(&self) -> Option<&str> {
        if self.in_host { self.bucket() } else { None }
    }

    /// The bucket's name, if the request is for one.
    pub(super) fn bucket(&self) -> Option<&str> {
        Some(self.bucket.as_str()).filter(|name| !name.is_empty())
    }
}

impl Addressing {
    /// Where a request to `uri` goes.
    pub(super) fn locate(&self, headers: &HeaderMap, uri: &Uri) -> S3Result<Located> {
        let mut path = uri.path();
        let mut namespace = None;
        if self.namespaced && path != "/" {
            let rest = path.strip_prefix('/').unwrap_or(path);
            let (first, after) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
            let name = decode_url(first).and_then(|name| Namespace::new(&name).ok());
            let name = name.ok_or_else(|| s3_error!(InvalidURI, "The path must begin with a namespace."))?;
            (namespace, path) = (Some(name), after);
        }
        let host = headers.get("host").map(HeaderValue::to_str).transpose();
        let host = host.map_err(|_| invalid_request("The header host cannot be read."))?;
        let bucket = host.and_then(|host| self.bucket_of(host));
        let in_host = bucket.is_some();
        let rewritten = bucket.map(|bucket| format!("/{bucket}{path}"));
        let rewritten = rewritten.or_else(|| namespace.is_some().then(|| path.to_owned()));
        let malformed = || s3_error!(InvalidURI, "Couldn't parse the specified URI.");
        // The slash between bucket and key may be encoded too.
        let decoded = decode_url(rewritten.as_deref().unwrap_or(path)).ok_or_else(malformed)?;
        let names = decoded.strip_prefix('/').ok_or_else(malformed)?;
        let (bucket, key) = names.split_once('/').unwrap_or((names, ""));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        Ok(Located { namespace, path: rewritten, in_host, bucket, key })
    }

    /// The scheme and host of a request, as the client wrote them.
    pub(super) fn origin(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Origin> {
        Origin::of(headers, extensions, &self.trusted_proxies)
    }

    /// The bucket that a host names.
    fn bucket_of(&self, host: &str) -> Option<String> {
        if self.domains.is_empty() {
            return None;
        }
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
        let bucket = |domain: &String| host.strip_suffix(domain.as_str())?.strip_suffix('.');
        // A domain may be a subdomain of another: the longest one that matches counts.
        let buckets = self.domains.iter().filter_map(bucket).filter(|bucket| !bucket.is_empty());
        buckets.min_by_key(|bucket| bucket.len()).map(ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(namespaced: bool, host: &str, path: &str) -> Option<(Option<String>, String)> {
        let domains = vec!["s3.example".to_owned(), "eu.s3.example".to_owned()];
        let addressing = Addressing { namespaced, domains, ..Addressing::default() };
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(host).unwrap());
        let uri = path.parse().unwrap();
        let located = addressing.locate(&headers, &uri).ok()?;
        let namespace = located.namespace.as_ref().map(|namespace| namespace.as_str().to_owned());
        Some((namespace, located.path(&uri).to_owned()))
    }

    #[test]
    fn a_host_below_a_domain_names_a_bucket() {
        let by_host = |host: &str, path: &str| locate(false, host, path).unwrap().1;
        assert_eq!(by_host("b.s3.example:9000", "/k"), "/b/k");
        assert_eq!(by_host("a.b.S3.example", "/"), "/a.b/");
        assert_eq!(by_host("b.eu.s3.example", "/k"), "/b/k");
        for other in
            ["s3.example", "s3.example:80", "b.example", "xs3.example", "127.0.0.1:9000", "[::1]:9000"]
        {
            assert_eq!(by_host(other, "/b/k"), "/b/k", "{other}");
        }
    }

    #[test]
    fn a_namespaced_path_begins_with_the_namespace() {
        let by_path = |path: &str| locate(true, "h", path);
        let at = |namespace: &str, path: &str| Some((Some(namespace.to_owned()), path.to_owned()));
        assert_eq!(by_path("/"), Some((None, "/".to_owned())));
        assert_eq!(by_path("/ada"), at("ada", "/"));
        assert_eq!(by_path("/ada/b/k%20/x"), at("ada", "/b/k%20/x"));
        assert_eq!(by_path("/-/b"), None);
        assert_eq!(locate(true, "b.s3.example", "/ada/k"), at("ada", "/b/k"));
    }

    #[test]
    fn a_url_names_the_bucket_where_the_request_does() {
        let domains = vec!["s3.example".to_owned()];
        let url = |namespaced, host: &str, path: &str| {
            let addressing = Addressing { namespaced, domains: domains.clone(), ..Addressing::default() };
            let headers = HeaderMap::from_iter([(axum::http::header::HOST, host.parse().unwrap())]);
            let located = addressing.locate(&headers, &path.parse().unwrap()).unwrap();
            let origin = addressing.origin(&headers, &Extensions::new());
            located.url(origin.as_ref(), "k ü/x")
        };
        let key = "k%20%C3%BC/x";
        assert_eq!(url(false, "h:9000", "/b/k"), format!("http://h:9000/b/{key}"));
        assert_eq!(url(false, "b.s3.example", "/k"), format!("http://b.s3.example/{key}"));
        assert_eq!(url(true, "h", "/ada/b/k"), format!("http://h/ada/b/{key}"));
        assert_eq!(url(false, "not a host", "/b/k"), format!("/b/{key}"));
    }

    #[test]
    fn bucket_and_key_are_read_from_the_path() {
        let named = |path: &str| {
            let located = Addressing::default().locate(&HeaderMap::new(), &path.parse().unwrap()).ok()?;
            let (bucket, key) = located.named();
            Some((bucket.to_owned(), key.to_owned()))
        };
        let expected = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        assert_eq!(named("/"), expected("", ""));
        assert_eq!(named("/b"), expected("b", ""));
        assert_eq!(named("/b%2Dc//k%20"), expected("b-c", "/k "));
        assert_eq!(named("/b%2Fk"), expected("b", "k"));
        assert_eq!(named("/b/%ff"), None);
    }
}
