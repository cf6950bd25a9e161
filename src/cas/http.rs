//! HTTP to other servers: one bounded pool, timeouts, and retries only where they help.
//!
//! An answer is read whole and bounded ([`HttpClient::fetch`]), or handed on as a stream ([`HttpClient::open`]). What
//! may be sent again is the caller's to say ([`Repeat`]); what is worth sending again is decided here: a server that
//! was not reached, was busy (408, 429) or failed (5xx, but not 501, which does not pass). `Retry-After` is kept to.
//! A status is an answer, not an error: only the caller knows what it means.
//!
//! Who waits for a person does not wait for a server on this machine that was never there: see [`RetryPolicy`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, Request, RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use super::destinations::{Destinations, is_this_machine};
use crate::model::causes::with_causes;
use crate::model::clock::Entropy;
use crate::model::turns::{Turn, Turns};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may stand still.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request may take from its first byte to the head of its answer. A xorb of 64 MiB passes on 2 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(5);

/// Requests under way at once to all servers together, and how many of them may be one tenant's; more wait. Bounds
/// sockets; half is what published clients reach at most.
const REQUESTS_MAX: (usize, usize) = (128, 64);

/// Redirects of one request.
const REDIRECTS_MAX: usize = 5;

/// Longest that a server may tell us to wait: anyone who waits for us does not wait longer either.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// A token that opens a Hub or a CAS; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// Takes what fits into a header; `None` for anything else.
    pub fn new(token: &str) -> Option<Self> {
        let fits = (1..=16 << 10).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(token.to_owned()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// No answer could be had.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server was not reached, or the connection broke.
    #[error("no answer from the server: {0}")]
    Transport(String),
    /// The answer is longer than any that is right.
    #[error("the answer has more than {max} bytes")]
    TooLong {
        /// The most.
        max: usize,
    },
    /// The request, or a redirect of it, leads to a host that is none of the server's.
    #[error(
        "the server leads to {host}, which is none of its own hosts: if it is one, name it in hub_mode.hosts or \
         XETGATE_HUB_HOSTS"
    )]
    Elsewhere {
        /// The host.
        host: String,
    },
    /// Requests are forbidden by the variable of this name.
    #[error("offline mode is enabled: unset the {0} environment variable to send requests")]
    Offline(&'static str),
    /// The client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Setup(String),
}

impl HttpError {
    fn elsewhere(url: &reqwest::Url) -> Self {
        Self::Elsewhere { host: url.host_str().unwrap_or_default().to_owned() }
    }

    /// Whether asking again would lead to the same.
    fn is_final(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Setup(_) | Self::Elsewhere { .. } | Self::Offline(_))
    }

    fn transport(error: reqwest::Error) -> Self {
        let mut causes =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        if let Some(Refused(host)) = causes.find_map(|cause| cause.downcast_ref()) {
            return Self::Elsewhere { host: host.clone() };
        }
        // A signed URL is a secret: it is not repeated.
        Self::Transport(with_causes(&error.without_url()))
    }
}

/// Whether a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Sending it twice is the same as sending it once.
    Safe,
    /// Only if the server has surely not begun with it.
    Unsafe,
}

/// How often and after what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests in all, the first one included.
    pub attempts: u32,
    /// Rest before the second; doubled before each further one.
    pub first_rest: Duration,
    /// Whether a server on this machine is waited for that refuses the connection and has never answered. A gateway
    /// may be started before its Hub; a person at a terminal has forgotten to start one.
    pub awaits_local: bool,
}

impl Default for RetryPolicy {
    /// Five attempts within some eight seconds: longer than a restart of the other server, shorter than the patience
    /// of S3 clients.
    fn default() -> Self {
        Self { attempts: 5, first_rest: Duration::from_millis(500), awaits_local: true }
    }
}

impl RetryPolicy {
    /// How long to rest after attempt number `attempt` (from 1), given what the server asks for: by chance (0 to 255)
    /// between half and all of our own rest, and never less than the server asks for.
    fn rest(self, attempt: u32, asked: Option<Duration>, chance: u8) -> Duration {
        let own = self.first_rest.saturating_mul(1 << (attempt - 1).min(10));
        let own = own / 2 + own / 2 * u32::from(chance) / u32::from(u8::MAX);
        asked.map_or(own, |asked| asked.max(own)).min(RETRY_AFTER_MAX)
    }
}

/// An answer that was read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer whose body is still to come; it holds its place among the requests under way.
pub struct OpenAnswer {
    /// Its status.
    pub status: StatusCode,
    response: Response,
    _turn: Turn,
}

impl OpenAnswer {
    /// How long the body is, if that was said.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.response.chunk().await.map_err(HttpError::transport)
    }
}

/// Sends requests. Clones share the pool.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    turns: Turns,
    destinations: Destinations,
    retry: RetryPolicy,
    /// The variable that forbids all requests, if one does.
    offline: Option<&'static str>,
    /// Where jitter comes from; rests are exact without.
    entropy: Option<Arc<dyn Entropy>>,
    /// Whether any server has answered.
    was_answered: Arc<AtomicBool>,
}

impl HttpClient {
    /// A client with a pool of its own, whose requests go to `destinations` only.
    pub fn new(retry: RetryPolicy, destinations: Destinations) -> Result<Self, HttpError> {
        let allowed = destinations.clone();
        let client = reqwest::Client::builder()
            .user_agent(concat!("xetgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_max_idle_per_host(REQUESTS_MAX.1)
            .dns_resolver(Arc::new(destinations.clone()))
            .redirect(Policy::custom(move |redirect| follow(&allowed, redirect)))
            .build();
        let client = client.map_err(|error| HttpError::Setup(error.to_string()))?;
        let turns = Turns::new(REQUESTS_MAX.0, REQUESTS_MAX.1);
        Ok(Self {
            client,
            turns,
            destinations,
            retry,
            offline: None,
            entropy: None,
            was_answered: Arc::default(),
        })
    }

    /// Refuses every request with [`HttpError::Offline`] if a variable, named here, forbids them.
    #[must_use]
    pub fn forbidden_by(self, offline: Option<&'static str>) -> Self {
        Self { offline, ..self }
    }

    /// Varies the rests between attempts by chance, so that clients that failed together do not all come back together.
    #[must_use]
    pub fn with_jitter(self, entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy: Some(entropy), ..self }
    }

    /// Sends a request, again if that helps, and reads the answer, of at most `max` bytes.
    pub async fn fetch(
        &self,
        repeat: Repeat,
        max: usize,
        build: impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer, HttpError> {
        let mut attempts = Attempts::new(repeat);
        loop {
            let request = self.request(build(&self.client), &mut attempts)?;
            let result = self.fetch_once(max, request).await;
            let Some(rest) = self.rest(&attempts, result.as_ref().map(|it| (it.status, &it.headers))) else {
                return result.map_err(|failure| failure.error);
            };
            tokio::time::sleep(rest).await;
        }
    }

    async fn fetch_once(&self, max: usize, request: Request) -> Result<Answer, Failure> {
        let OpenAnswer { status, response, _turn } = self.open(request).await?;
        let headers = response.headers().clone();
        let mut body = BytesMut::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Failure::after_reaching(HttpError::transport(error)))?;
            if body.len() + piece.len() > max {
                return Err(Failure::after_reaching(HttpError::TooLong { max }));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// Like [`HttpClient::fetch`], but leaves the body of a success to be read in pieces.
    pub async fn stream(
        &self,
        build: impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync,
    ) -> Result<OpenAnswer, HttpError> {
        let mut attempts = Attempts::new(Repeat::Safe);
        loop {
            let request = self.request(build(&self.client), &mut attempts)?;
            let result = self.open(request).await;
            let head = result.as_ref().map(|answer| (answer.status, answer.response.headers()));
            let Some(rest) = self.rest(&attempts, head) else {
                return result.map_err(|failure| failure.error);
            };
            tokio::time::sleep(rest).await;
        }
    }

    /// The request of one more attempt, if it may be sent at all.
    fn request(&self, builder: RequestBuilder, attempts: &mut Attempts) -> Result<Request, HttpError> {
        if let Some(name) = self.offline {
            return Err(HttpError::Offline(name));
        }
        let request = builder.build().map_err(HttpError::transport)?;
        if !self.destinations.allow(request.url()) {
            return Err(HttpError::elsewhere(request.url()));
        }
        attempts.count += 1;
        attempts.method = request.method().clone();
        request.url().host_str().unwrap_or_default().clone_into(&mut attempts.host);
        Ok(request)
    }

    /// Sends a request once and gives the answer as soon as its head is there.
    async fn open(&self, request: Request) -> Result<OpenAnswer, Failure> {
        let turn = self.turns.take().await;
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, self.client.execute(request)).await;
        let response = match sent {
            Ok(sent) => sent.map_err(|error| Failure {
                reached: !error.is_connect(),
                is_nobody: !self.was_answered.load(Ordering::Relaxed) && is_refused_here(&error),
                error: HttpError::transport(error),
            })?,
            Err(late) => {
                return Err(Failure::after_reaching(HttpError::Transport(late.to_string())));
            }
        };
        self.was_answered.store(true, Ordering::Relaxed);
        Ok(OpenAnswer { status: response.status(), response, _turn: turn })
    }

    /// How long to rest before another attempt; `None` if there is to be none. What came of an attempt that failed is
    /// logged here.
    fn rest(
        &self,
        attempts: &Attempts,
        result: Result<(StatusCode, &HeaderMap), &Failure>,
    ) -> Option<Duration> {
        let (asked, why) = match result {
            Ok((status, _)) if !is_passing(status) => return None,
            Ok((status, headers)) => (asked_rest(headers), status.to_string()),
            Err(failure) => (None, failure.error.to_string()),
        };
        let Attempts { count, ref method, ref host, .. } = *attempts;
        let elapsed_ms = attempts.begun.elapsed().as_millis() as u64;
        if count >= self.retry.attempts || !self.may_help(attempts.repeat, result) {
            tracing::debug!(%method, host, attempts = count, elapsed_ms, why, "a request has failed");
            return None;
        }
        let rest = self.retry.rest(count, asked, self.chance());
        let rest_ms = rest.as_millis() as u64;
        tracing::warn!(%method, host, attempts = count, elapsed_ms, rest_ms, why, "a request is sent again");
        Some(rest)
    }

    /// Whether a request that was not answered, or with a passing status, may succeed if it is sent again.
    fn may_help(&self, repeat: Repeat, result: Result<(StatusCode, &HeaderMap), &Failure>) -> bool {
        match result {
            // Busy servers say so before they begin; what a failing one did is not known.
            Ok((status, _)) => repeat == Repeat::Safe || is_refusal(status),
            Err(failure) if failure.error.is_final() => false,
            Err(failure) if repeat == Repeat::Unsafe && failure.reached => false,
            Err(failure) => self.retry.awaits_local || !failure.is_nobody,
        }
    }

    /// A number from 0 to 255, by chance; always 255 without a source of randomness.
    fn chance(&self) -> u8 {
        let mut byte = [u8::MAX];
        if let Some(entropy) = &self.entropy {
            entropy.fill(&mut byte);
        }
        byte[0]
    }
}

/// The attempts of one request.
struct Attempts {
    repeat: Repeat,
    begun: Instant,
    count: u32,
    method: Method,
    host: String,
}

impl Attempts {
    fn new(repeat: Repeat) -> Self {
        Self { repeat, begun: Instant::now(), count: 0, method: Method::GET, host: String::new() }
    }
}

/// An attempt without an answer, and whether the server may have seen the request.
struct Failure {
    reached: bool,
    /// Whether there is nobody at a port of this machine, and never was.
    is_nobody: bool,
    error: HttpError,
}

impl Failure {
    fn after_reaching(error: HttpError) -> Self {
        Self { reached: true, is_nobody: false, error }
    }
}

/// Why a redirect was not followed: it leads to this host.
#[derive(Debug, thiserror::Error)]
#[error("a redirect leads to {0}")]
struct Refused(String);

fn follow(allowed: &Destinations, redirect: Attempt<'_>) -> reqwest::redirect::Action {
    if !allowed.allow(redirect.url()) {
        let host = redirect.url().host_str().unwrap_or_default().to_owned();
        return redirect.error(Refused(host));
    }
    if redirect.previous().len() > REDIRECTS_MAX {
        return redirect.error("too many redirects");
    }
    redirect.follow()
}

/// Whether this machine itself has refused the connection.
fn is_refused_here(error: &reqwest::Error) -> bool {
    let is_here = error.url().and_then(reqwest::Url::host_str).is_some_and(is_this_machine);
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    is_here && causes.any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

/// Whether the server refused before it began.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Whether a status may be another one next time.
fn is_passing(status: StatusCode) -> bool {
    let is_busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    is_busy || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// `Retry-After` in seconds, if it is there.
fn asked_rest(headers: &HeaderMap) -> Option<Duration> {
    let secs = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_and_keep_to_what_the_server_asks() {
        let policy = RetryPolicy::default();
        let millis = |attempt, asked: Option<u64>| {
            policy.rest(attempt, asked.map(Duration::from_secs), 255).as_millis()
        };
        assert_eq!([1, 2, 3, 4].map(|attempt| millis(attempt, None)), [500, 1000, 2000, 4000]);
        assert_eq!((millis(1, Some(3)), millis(4, Some(3)), millis(1, Some(3600))), (3000, 4000, 10_000));
        assert_eq!(policy.rest(1, None, 0).as_millis(), 250);
        assert_eq!(policy.rest(1, Some(Duration::from_secs(1)), 0).as_millis(), 1000);
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = BearerToken::new("hf_not-for-eyes").unwrap();
        assert_eq!(format!("{token:?}"), "BearerToken(..)");
        assert!(BearerToken::new("with space").is_none() && BearerToken::new("").is_none());
    }
}
