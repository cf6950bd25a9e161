//! Where in a bucket: `hf://buckets/namespace/name[/path]`, plain `namespace/name[/path]`, or the address of a bucket's
//! page in a browser.
//!
//! The words of the refusals are those of `hf` 2.4.0 (`parse_hf_uri`, `_parse_bucket_uri`).

use percent_encoding::percent_decode_str;

use crate::bucket::{BucketId, BucketName, Namespace};
use crate::cli::failure::Failure;

/// What every bucket URI begins with.
pub(in crate::cli) const BUCKET_PREFIX: &str = "hf://buckets/";

/// What every URI of the Hub begins with.
const PROTOCOL: &str = "hf://";

/// Hosts whose pages are known, besides the endpoint's own.
const HUB_HOSTS: [&str; 3] = ["huggingface.co", "hf.co", "hub-ci.huggingface.co"];

/// Kinds of things on the Hub, plural as in URIs and singular as people write them by mistake.
const KINDS: [(&str, &str); 5] = [
    ("models", "model"),
    ("datasets", "dataset"),
    ("spaces", "space"),
    ("kernels", "kernel"),
    ("buckets", "bucket"),
];

/// Why a text does not name a place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum UriError {
    /// It looks like a URI and is none.
    #[error("Invalid HF URI: {uri}. {why}")]
    Malformed { uri: String, why: String },
    /// It is neither a URI nor a plain path.
    #[error("Invalid value. {0}")]
    Value(String),
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::Uri(error.to_string())
    }
}

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Location {
    /// The bucket.
    pub(in crate::cli) bucket: BucketId,
    /// The path in it, without slashes around it; empty for the bucket itself.
    pub(in crate::cli) path: String,
}

impl Location {
    /// The place as a URI.
    pub(in crate::cli) fn uri(&self) -> String {
        let separator = if self.path.is_empty() { "" } else { "/" };
        format!("{BUCKET_PREFIX}{}{separator}{}", self.bucket, self.path)
    }
}

/// What a remote argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Remote {
    /// A place in a bucket.
    Bucket(Location),
    /// Something else on the Hub, which this program does not speak of.
    Repository,
}

/// Reads arguments. It knows the endpoint, whose pages name buckets as well.
#[derive(Debug, Clone)]
pub(in crate::cli) struct UriReader {
    endpoint_host: Option<String>,
    endpoint_path: String,
}

impl UriReader {
    /// For this endpoint, `scheme://host[:port][/path]`.
    pub(in crate::cli) fn new(endpoint: &str) -> Self {
        let (host, path) = split_url(endpoint);
        let endpoint_host = (!host.is_empty()).then(|| host.to_lowercase());
        Self { endpoint_host, endpoint_path: path.trim_matches('/').to_owned() }
    }

    /// What an argument names that may also be a local path; `None` for a local path. What is meant to be on the Hub and
    /// has a mistake in it is refused, and not taken for a local path.
    pub(in crate::cli) fn argument(&self, text: &str) -> Result<Option<Remote>, UriError> {
        if text.starts_with(PROTOCOL) || has_web_scheme(text) {
            return self.remote(text).map(Some);
        }
        Ok(self.remote(text).ok())
    }

    /// Like [`UriReader::location`], but a slash at the end of the plain spelling stays: `namespace/name/dir/` names the
    /// empty object `dir/` with which S3 clients mark a folder, and never the file `dir`. Source: `hf` 2.4.0.
    pub(in crate::cli) fn exact_location(&self, text: &str) -> Result<Location, UriError> {
        let mut location = self.location(text)?;
        let is_plain = !text.starts_with(PROTOCOL) && !self.looks_like_url(text);
        if is_plain && text.ends_with('/') && !location.path.is_empty() {
            location.path.push('/');
        }
        Ok(location)
    }

    /// A place in a bucket in any of the three spellings.
    pub(in crate::cli) fn location(&self, text: &str) -> Result<Location, UriError> {
        if text.starts_with(PROTOCOL) || self.looks_like_url(text) {
            return match self.remote(text)? {
                Remote::Bucket(location) => Ok(location),
                Remote::Repository => Err(UriError::Value(format!(
                    "Invalid bucket path: {text}. Must be a bucket URI ({BUCKET_PREFIX}...)."
                ))),
            };
        }
        let mut parts = text.splitn(3, '/');
        let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if namespace.is_empty() || name.is_empty() {
            return Err(UriError::Value(format!(
                "Invalid bucket path: '{text}'. Expected format: namespace/bucket_name"
            )));
        }
        let path = parts.next().unwrap_or_default();
        check_segments(path).map_err(|why| UriError::Malformed { uri: text.to_owned(), why })?;
        Ok(Location { bucket: bucket_id(namespace, name)?, path: path.trim_end_matches('/').to_owned() })
    }

    /// A URI or the address of a page; anything else is refused.
    pub(in crate::cli) fn remote(&self, text: &str) -> Result<Remote, UriError> {
        let malformed = |why: String| UriError::Malformed { uri: text.to_owned(), why };
        let body = match text.strip_prefix(PROTOCOL) {
            Some("") => return Err(malformed(format!("Empty body after '{PROTOCOL}'."))),
            Some(body) => body.to_owned(),
            None if self.looks_like_url(text) => self.body_of_url(text).map_err(malformed)?,
            None => {
                return Err(malformed(format!("Must start with '{PROTOCOL}' or be a Hugging Face URL.")));
            }
        };
        let (kind, rest) = body.split_once('/').unwrap_or((&body, ""));
        if let Some((plural, _)) = KINDS.iter().find(|(_, singular)| *singular == kind) {
            return Err(malformed(format!(
                "Type prefix must be plural, got '{kind}/'. Did you mean '{plural}/'?"
            )));
        }
        if kind != "buckets" {
            return Ok(Remote::Repository);
        }
        in_bucket(rest).map(Remote::Bucket).map_err(malformed)
    }

    fn knows(&self, host: &str) -> bool {
        HUB_HOSTS.contains(&host) || self.endpoint_host.as_deref() == Some(host)
    }

    fn looks_like_url(&self, text: &str) -> bool {
        if has_web_scheme(text) {
            return true;
        }
        text.to_lowercase().split_once('/').is_some_and(|(host, _)| host.contains('.') && self.knows(host))
    }

    /// What would stand after `hf://`.
    fn body_of_url(&self, url: &str) -> Result<String, String> {
        let (host, path) = split_url(url);
        let host = host.to_lowercase();
        if !self.knows(&host) {
            return Err(format!(
                "Unrecognized host '{host}'. Expected a Hugging Face URL (e.g. 'https://huggingface.co/...')."
            ));
        }
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
        let own = self.endpoint_host.as_deref() == Some(host.as_str()) && !self.endpoint_path.is_empty();
        let below = path.strip_prefix(self.endpoint_path.as_str()).filter(|rest| rest.starts_with('/'));
        let path = below.filter(|_| own).map_or(path, |rest| rest.trim_start_matches('/'));
        check_segments(path.trim_end_matches('/'))?;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            [] => Err(format!("Missing repository or bucket identifier in URL '{url}'.")),
            ["buckets", namespace, name] => Ok(format!("buckets/{namespace}/{name}")),
            ["buckets", namespace, name, "tree" | "resolve", rest @ ..] => {
                let rest: Vec<_> = rest.iter().map(|segment| decoded(segment)).collect();
                Ok(format!("buckets/{namespace}/{name}/{}", rest.join("/")))
            }
            ["buckets", _, _, action, ..] => {
                Err(format!("Cannot parse bucket URL '{url}': unsupported '/{action}/' route."))
            }
            ["buckets", ..] | [_] => Err(format!(
                "Cannot parse URL '{url}': expected a '<namespace>/<name>' repository or bucket."
            )),
            [kind, ..] => Ok(format!("{kind}/")),
        }
    }
}

fn has_web_scheme(text: &str) -> bool {
    let begins = |scheme: &str| text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    begins("http://") || begins("https://")
}

/// Refuses a path with an empty segment; a slash at its end is none. Left out silently, it would name another file.
fn check_segments(path: &str) -> Result<(), String> {
    if path.starts_with('/') || path.contains("//") {
        return Err(format!("Path must not contain empty segments (got '{path}')."));
    }
    Ok(())
}

/// Host and what follows it; the port is not told.
fn split_url(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let port = host.rfind(':').filter(|&at| host[at + 1..].bytes().all(|b| b.is_ascii_digit()));
    (port.map_or(host, |at| &host[..at]), path)
}

/// A path segment without its percent signs; a slash that comes out of them stays one name with it.
fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().replace('/', "%2F")
}

/// `namespace/name[/path]` after `hf://buckets/`.
fn in_bucket(body: &str) -> Result<Location, String> {
    let body = body.trim_matches('/');
    let mut parts = body.splitn(3, '/');
    let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if namespace.is_empty() || name.is_empty() {
        return Err(format!("Bucket id must be 'namespace/name', got '{body}'."));
    }
    if namespace.contains('@') || name.contains('@') {
        return Err("Bucket URIs do not support a revision marker ('@').".to_owned());
    }
    let path = parts.next().unwrap_or_default();
    check_segments(path)?;
    let bucket = bucket_id(namespace, name).map_err(|error| match error {
        UriError::Value(why) | UriError::Malformed { why, .. } => why,
    })?;
    Ok(Location { bucket, path: path.to_owned() })
}

/// A bucket's id from its two names.
pub(in crate::cli) fn bucket_id(namespace: &str, name: &str) -> Result<BucketId, UriError> {
    let refuse = |error: crate::bucket::NameError| {
        UriError::Value(format!("Invalid bucket ID: {namespace}/{name}. The {error}."))
    };
    Ok(BucketId {
        namespace: Namespace::new(namespace).map_err(refuse)?,
        name: BucketName::new(name).map_err(refuse)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> UriReader {
        UriReader::new("http://127.0.0.1:9001")
    }

    fn location(text: &str) -> (String, String) {
        let location = reader().location(text).unwrap();
        (location.bucket.to_string(), location.path)
    }

    fn refusal(text: &str) -> String {
        reader().location(text).unwrap_err().to_string()
    }

    #[test]
    fn a_place_has_three_spellings() {
        for text in [
            "u/b/dir/a b.txt",
            "hf://buckets/u/b/dir/a b.txt",
            "hf://buckets/u/b/dir/a b.txt/",
            "https://huggingface.co/buckets/u/b/tree/dir/a%20b.txt?x=1#y",
            "http://127.0.0.1:9001/buckets/u/b/resolve/dir/a%20b.txt",
            "HTTPS://HF.CO/buckets/u/b/tree/dir/a%20b.txt",
            "huggingface.co/buckets/u/b/tree/dir/a%20b.txt",
        ] {
            assert_eq!(location(text), ("u/b".to_owned(), "dir/a b.txt".to_owned()), "{text}");
        }
        for text in
            ["u/b", "u/b/", "hf://buckets/u/b/", "https://hf.co/buckets/u/b", "hf.co/buckets/u/b/tree"]
        {
            assert_eq!(location(text), ("u/b".to_owned(), String::new()), "{text}");
        }
    }

    #[test]
    fn an_endpoint_below_a_path_is_known() {
        let reader = UriReader::new("http://localhost:8080/hf");
        let location = reader.location("http://localhost:8080/hf/buckets/u/b/tree/x").unwrap();
        assert_eq!(location.uri(), "hf://buckets/u/b/x");
        assert!(reader.location("http://localhost:8080/hfx/buckets/u/b/tree/x").is_err());
    }

    /// `buckets rm u/b//a.txt` deleted `a.txt`.
    #[test]
    fn empty_segments_are_refused_in_every_spelling() {
        for text in [
            "u/b//a.txt",
            "u/b/x//a.txt",
            "u/b/x//",
            "u/b//",
            "hf://buckets/u/b//a.txt",
            "hf://buckets/u/b/x//a.txt",
            "https://hf.co/buckets/u/b/tree//a.txt",
            "https://hf.co/buckets/u/b/resolve/x//a.txt",
            "http://127.0.0.1:9001/buckets//u/b/tree/a.txt",
            "hf.co/buckets/u/b/tree/x//a.txt",
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains("Path must not contain empty segments"), "{text}: {refusal}");
        }
        for text in ["u//b/a.txt", "//b/a.txt", "hf://buckets/u//b/a.txt"] {
            assert!(reader().location(text).is_err(), "{text}");
        }
    }

    /// Expected values: `_parse_bucket_uri` of `huggingface_hub` 2.4.0.
    #[test]
    fn a_slash_at_the_end_of_the_plain_spelling_names_the_mark_of_a_folder() {
        let exact = |text: &str| reader().exact_location(text).unwrap().path;
        assert_eq!(exact("u/b/dir/"), "dir/");
        assert_eq!(exact("u/b/dir"), "dir");
        assert_eq!(exact("u/b/"), "");
        assert_eq!(exact("hf://buckets/u/b/dir/"), "dir");
        assert_eq!(exact("https://hf.co/buckets/u/b/tree/dir/"), "dir");
    }

    #[test]
    fn what_is_no_place_is_refused_in_the_words_of_hf() {
        for (text, expected) in [
            ("nope", "Invalid value. Invalid bucket path: 'nope'. Expected format: namespace/bucket_name"),
            ("/x", "Invalid value. Invalid bucket path: '/x'. Expected format: namespace/bucket_name"),
            (
                "hf://buckets/u",
                "Invalid HF URI: hf://buckets/u. Bucket id must be 'namespace/name', got 'u'.",
            ),
            (
                "hf://bucket/u/b",
                "Invalid HF URI: hf://bucket/u/b. Type prefix must be plural, got 'bucket/'. Did you mean 'buckets/'?",
            ),
            (
                "hf://buckets/u/b@main",
                "Invalid HF URI: hf://buckets/u/b@main. Bucket URIs do not support a revision marker ('@').",
            ),
            (
                "hf://buckets/u/b/x//y",
                "Invalid HF URI: hf://buckets/u/b/x//y. Path must not contain empty segments (got 'x//y').",
            ),
            ("hf://", "Invalid HF URI: hf://. Empty body after 'hf://'."),
            (
                "hf://u/model",
                "Invalid value. Invalid bucket path: hf://u/model. Must be a bucket URI (hf://buckets/...).",
            ),
            (
                "https://example.com/buckets/u/b",
                "Invalid HF URI: https://example.com/buckets/u/b. Unrecognized host 'example.com'. Expected a Hugging Face URL (e.g. 'https://huggingface.co/...').",
            ),
            (
                "https://hf.co/buckets/u/b/settings",
                "Invalid HF URI: https://hf.co/buckets/u/b/settings. Cannot parse bucket URL 'https://hf.co/buckets/u/b/settings': unsupported '/settings/' route.",
            ),
        ] {
            assert_eq!(refusal(text), expected);
        }
        assert!(refusal("u/a..b").contains("must not hold '--' or '..'"));
    }

    #[test]
    fn local_paths_are_not_remote_and_mistakes_are_not_local_paths() {
        let reader = reader();
        for local in ["./a", "/a/b", "u/b", "-", "C:\\x", "a.b/c", "hf.co", "huggingface.co/settings"] {
            assert_eq!(reader.argument(local), Ok(None), "{local}");
        }
        assert_eq!(reader.argument("hf://datasets/u/d/x.csv"), Ok(Some(Remote::Repository)));
        for mistaken in
            ["hf://", "hf://buckets/u", "hf://buckets/u/b/x//y", "https://hf.co/buckets/u/b/settings"]
        {
            assert!(reader.argument(mistaken).is_err(), "{mistaken}");
        }
    }
}
