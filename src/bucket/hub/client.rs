//! [`HubClient`]: the Hub's bucket API, one method a call. Source: the bucket API as published clients speak it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{Stream, TryStreamExt as _, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::error::{HubError, refusal};
use super::trail::Trail;
use super::wire::{
    BatchOp, BatchOutcome, BucketInfo, CreatedBucket, FileEntry, NewBucket, TreeEntry, WhoAmI, XetTokenAnswer,
};
use crate::bucket::{BucketId, Timestamp};
use crate::cas::http::{Answer, BearerToken, HttpClient, HttpError, Repeat};
use crate::cas::remote::{AccessSource, CasAccess, Reach, RemoteError};

/// Largest answer: a page of a thousand entries with the longest paths has some 2 MiB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Most paths of one paths-info call, and most lines of one batch. Source: the published client.
pub const ITEMS_MAX: usize = 1000;

/// The Hub when nobody names one.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Which entries of a bucket to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeQuery {
    /// Only what is at this path or below it, without a slash at the end. Hubs take it literally (`logs` also lists
    /// `logs.json`): callers filter.
    pub prefix: Option<String>,
    /// Whether all files are wanted, or the direct children only, folders among them.
    pub recursive: bool,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its entries.
    pub entries: Vec<T>,
    /// Where the next page is; `None` at the end.
    pub next: Option<PageLink>,
}

/// Where a further page is. It leads to the same Hub as the first one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageLink(Url);

impl PageLink {
    /// The first page, which is here.
    pub(super) fn to(first: Url) -> Self {
        Self(first)
    }
}

/// Speaks to one Hub with one token. Clones share connections.
#[derive(Clone)]
pub struct HubClient {
    http: HttpClient,
    endpoint: Url,
    token: Option<BearerToken>,
}

impl HubClient {
    /// A client of the Hub at `endpoint` (`https://host[:port][/path]`).
    pub fn new(http: HttpClient, endpoint: &str, token: Option<BearerToken>) -> Result<Self, HubError> {
        let bad = |why: String| HubError::BadName(format!("the Hub's address {endpoint:?}: {why}"));
        let url = Url::parse(endpoint.trim_end_matches('/')).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(bad("must begin with http:// or https:// and a host".to_owned()));
        }
        Ok(Self { http, endpoint: url, token })
    }

    /// The same Hub with another token.
    #[must_use]
    pub fn with_token(&self, token: Option<BearerToken>) -> Self {
        Self { token, ..self.clone() }
    }

    /// The Hub's address, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// The HTTP client, for anyone who speaks to this Hub's CAS.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Who the token belongs to.
    pub async fn who_am_i(&self) -> Result<WhoAmI, HubError> {
        let answer =
            self.call(Repeat::Safe, Method::GET, self.url("/api/whoami-v2")?, |request| request).await?;
        read("whoami", &answer)
    }

    /// Creates a bucket in a namespace, `None` for the token's own. [`HubError::BucketExists`] if it is there.
    pub async fn create_bucket(
        &self,
        namespace: Option<&str>,
        name: &str,
        bucket: &NewBucket,
    ) -> Result<CreatedBucket, HubError> {
        let url = self.url(&format!("/api/buckets/{}/{}", quote(namespace.unwrap_or("me")), quote(name)))?;
        let body = json("create", bucket)?;
        let answer =
            self.call(Repeat::Unsafe, Method::POST, url, |request| json_body(request, &body)).await?;
        let created: CreatedBucket = read("create", &answer)?;
        // A server that does not know the field ignores it, and the bucket is open to everyone.
        if bucket.visibility == Some("private") && created.private == Some(false) {
            let reason = format!(
                "a private bucket was asked for and a public one created, {}: delete it or make it private",
                created.url,
            );
            return Err(HubError::BadAnswer { call: "create", reason });
        }
        Ok(created)
    }

    /// A bucket's description.
    pub async fn bucket(&self, id: &BucketId) -> Result<BucketInfo, HubError> {
        let answer =
            self.call(Repeat::Safe, Method::GET, self.bucket_url(id, "")?, |request| request).await?;
        read("info", &answer)
    }

    /// All buckets of a namespace (`None` for the token's own) that this token may see, and whose name holds
    /// `search` if that is given.
    pub async fn list_buckets(
        &self,
        namespace: Option<&str>,
        search: Option<&str>,
    ) -> Result<Vec<BucketInfo>, HubError> {
        let mut url = self.url(&format!("/api/buckets/{}", quote(namespace.unwrap_or("me"))))?;
        if let Some(search) = search {
            url.query_pairs_mut().append_pair("search", search);
        }
        let (mut found, mut trail) = (Vec::new(), Trail::default());
        let mut next = Some(PageLink(url));
        while let Some(link) = next {
            trail.follow(&link)?;
            let page: Page<BucketInfo> = self.page("list", link).await?;
            found.extend(page.entries);
            next = page.next;
        }
        Ok(found)
    }

    /// Deletes a bucket with everything in it.
    pub async fn delete_bucket(&self, id: &BucketId) -> Result<(), HubError> {
        let url = self.bucket_url(id, "")?;
        self.call(Repeat::Unsafe, Method::DELETE, url, |request| request).await.map(drop)
    }

    /// Renames a bucket, or moves it to another namespace.
    pub async fn move_bucket(&self, from: &BucketId, to: &BucketId) -> Result<(), HubError> {
        let body = serde_json::json!({
            "fromRepo": from.to_string(), "toRepo": to.to_string(), "type": "bucket",
        });
        let body = json("move", &body)?;
        let url = self.url("/api/repos/move")?;
        self.call(Repeat::Unsafe, Method::POST, url, |request| json_body(request, &body)).await.map(drop)
    }

    /// Says who may read a bucket.
    pub async fn set_private(&self, id: &BucketId, private: bool) -> Result<(), HubError> {
        let body = json("settings", &serde_json::json!({ "private": private }))?;
        let url = self.bucket_url(id, "/settings")?;
        self.call(Repeat::Safe, Method::PUT, url, |request| json_body(request, &body)).await.map(drop)
    }

    /// The first page of a listing, ordered by path.
    pub async fn tree(&self, id: &BucketId, query: &TreeQuery) -> Result<Page<TreeEntry>, HubError> {
        let prefix = query.prefix.as_deref().filter(|prefix| !prefix.is_empty());
        if let Some(dots @ ("." | "..")) = prefix {
            // As a segment of an address it would lead to another one.
            return Err(HubError::BadName(format!("'{dots}' cannot be listed: name what is in it")));
        }
        let prefix = prefix.map(|prefix| format!("/{}", quote(prefix))).unwrap_or_default();
        let mut url = self.bucket_url(id, &format!("/tree{prefix}"))?;
        url.query_pairs_mut().append_pair("recursive", if query.recursive { "true" } else { "false" });
        self.page("tree", PageLink(url)).await
    }

    /// A further page of a listing.
    pub async fn tree_page(&self, link: PageLink) -> Result<Page<TreeEntry>, HubError> {
        self.page("tree", link).await
    }

    /// All entries of a listing, page by page as they are taken.
    pub fn tree_entries(
        &self,
        id: &BucketId,
        query: TreeQuery,
    ) -> impl Stream<Item = Result<TreeEntry, HubError>> + Send + use<> {
        enum Next {
            First,
            At(PageLink),
            End,
        }
        let start = (self.clone(), id.clone(), query, Next::First, Trail::default());
        let pages = stream::try_unfold(start, |(client, id, query, next, mut trail)| async move {
            let page = match next {
                Next::First => client.tree(&id, &query).await?,
                Next::At(link) => {
                    trail.follow(&link)?;
                    client.tree_page(link).await?
                }
                Next::End => return Ok(None),
            };
            let next = page.next.map_or(Next::End, Next::At);
            Ok::<_, HubError>(Some((
                stream::iter(page.entries.into_iter().map(Ok)),
                (client, id, query, next, trail),
            )))
        });
        pages.try_flatten()
    }

    /// The files at these paths; those that are not there, and folders, are left out.
    pub async fn paths_info(&self, id: &BucketId, paths: &[String]) -> Result<Vec<FileEntry>, HubError> {
        let mut found = Vec::with_capacity(paths.len());
        for paths in paths.chunks(ITEMS_MAX) {
            let body = json("paths-info", &serde_json::json!({ "paths": paths }))?;
            let url = self.bucket_url(id, "/paths-info")?;
            let answer =
                self.call(Repeat::Safe, Method::POST, url, |request| json_body(request, &body)).await?;
            found.extend(read::<Vec<FileEntry>>("paths-info", &answer)?);
        }
        Ok(found)
    }

    /// Sends one batch of at most [`ITEMS_MAX`] lines. The Hub does each line on its own: what failed is in the
    /// answer, everything else is done.
    pub async fn batch(&self, id: &BucketId, ops: &[BatchOp]) -> Result<BatchOutcome, HubError> {
        let mut body = Vec::new();
        for op in ops {
            body.extend(json("batch", op)?);
            body.push(b'\n');
        }
        let url = self.bucket_url(id, "/batch")?;
        // The same lines twice leave the same files.
        let answer = self.send(Repeat::Safe, Method::POST, url, |request| {
            request.header(CONTENT_TYPE, "application/x-ndjson").body(body.clone())
        });
        let answer = answer.await?;
        let all_failed = answer.status == StatusCode::UNPROCESSABLE_ENTITY;
        match serde_json::from_slice::<BatchOutcome>(&answer.body) {
            Ok(outcome) if all_failed && !outcome.failed.is_empty() => Ok(outcome),
            _ if !answer.status.is_success() => Err(refusal(&answer)),
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(HubError::BadAnswer { call: "batch", reason: error.to_string() }),
        }
    }

    /// Access to the CAS that holds this bucket's content.
    pub async fn xet_access(&self, id: &BucketId, reach: Reach) -> Result<CasAccess, HubError> {
        let route = match reach {
            Reach::Read => "/xet-read-token",
            Reach::Write => "/xet-write-token",
        };
        let answer =
            self.call(Repeat::Safe, Method::GET, self.bucket_url(id, route)?, |request| request).await?;
        let token: XetTokenAnswer = read("token", &answer)?;
        let bad = |reason: &str| HubError::BadAnswer { call: "token", reason: reason.to_owned() };
        Ok(CasAccess {
            url: token.cas_url.trim_end_matches('/').to_owned(),
            token: BearerToken::new(&token.access_token)
                .ok_or_else(|| bad("it does not fit into a header"))?,
            expires_at: Timestamp(token.exp.saturating_mul(1000)),
        })
    }

    fn url(&self, path: &str) -> Result<Url, HubError> {
        let text = format!("{}{path}", self.endpoint());
        Url::parse(&text).map_err(|error| HubError::BadName(format!("{text}: {error}")))
    }

    pub(super) fn bucket_url(&self, id: &BucketId, rest: &str) -> Result<Url, HubError> {
        self.url(&format!("/api/buckets/{id}{rest}"))
    }

    /// Sends a request and gives whatever comes back.
    async fn send(
        &self,
        repeat: Repeat,
        method: Method,
        url: Url,
        dress: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, HubError> {
        let build = |client: &reqwest::Client| {
            let request = dress(client.request(method.clone(), url.clone()));
            match &self.token {
                Some(token) => request.bearer_auth(token.expose()),
                None => request,
            }
        };
        Ok(self.http.fetch(repeat, ANSWER_BYTES_MAX, build).await?)
    }

    /// Sends a request and gives the answer if it is a success.
    pub(super) async fn call(
        &self,
        repeat: Repeat,
        method: Method,
        url: Url,
        dress: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, HubError> {
        let answer = self.send(repeat, method, url, dress).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        call: &'static str,
        link: PageLink,
    ) -> Result<Page<T>, HubError> {
        let answer = self.call(Repeat::Safe, Method::GET, link.0, |request| request).await?;
        let next = match next_link(&answer.headers) {
            None => None,
            Some(text) => Some(self.follow(call, &text)?),
        };
        Ok(Page { entries: read(call, &answer)?, next })
    }

    /// Takes a link to a further page; the token goes with it, so it must lead to the same Hub.
    fn follow(&self, call: &'static str, text: &str) -> Result<PageLink, HubError> {
        let bad = |reason: String| HubError::BadAnswer { call, reason };
        let url = Url::parse(text).map_err(|error| bad(format!("next page {text:?}: {error}")))?;
        if url.origin() != self.endpoint.origin() {
            return Err(bad("the next page is on another host".to_owned()));
        }
        Ok(PageLink(url))
    }
}

/// A bucket's CAS, as its Hub opens it.
pub struct BucketAccess {
    /// Speaks for anyone who is to be let in.
    pub client: HubClient,
    /// The bucket.
    pub bucket: BucketId,
}

impl BucketAccess {
    /// As a source of access.
    pub fn source(client: HubClient, bucket: BucketId) -> Arc<dyn AccessSource> {
        Arc::new(Self { client, bucket })
    }
}

#[async_trait]
impl AccessSource for BucketAccess {
    async fn access(&self, reach: Reach) -> Result<CasAccess, RemoteError> {
        self.client.xet_access(&self.bucket, reach).await.map_err(|error| match error {
            HubError::Unauthorized(_) | HubError::Forbidden(_) => RemoteError::Denied(error.to_string()),
            HubError::NoSuchBucket(_) | HubError::NoSuchEntry(_) => {
                RemoteError::NoSuchBucket(self.bucket.clone())
            }
            HubError::Busy(_) => RemoteError::Busy,
            HubError::BadAnswer { .. } => RemoteError::Wrong(error.to_string()),
            HubError::Http(HttpError::Offline(name)) => RemoteError::Offline(name),
            error => RemoteError::Unavailable(error.to_string()),
        })
    }
}

/// The address behind `rel="next"`, if there is one. Source: RFC 8288.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            matches!(parameter.trim().split_once('='), Some(("rel", value)) if value.trim_matches('"') == "next")
        });
        is_next.then(|| target.to_owned())
    })
}

pub(super) fn read<T: DeserializeOwned>(call: &'static str, answer: &Answer) -> Result<T, HubError> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| HubError::BadAnswer { call, reason: error.to_string() })
}

pub(super) fn json(call: &'static str, value: &impl serde::Serialize) -> Result<Vec<u8>, HubError> {
    serde_json::to_vec(value).map_err(|error| HubError::BadAnswer { call, reason: error.to_string() })
}

pub(super) fn json_body(request: RequestBuilder, body: &[u8]) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json").body(body.to_vec())
}

/// What a segment of a path keeps as it is, besides letters and digits.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text as one segment of a path, slashes included.
pub(super) fn quote(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}
