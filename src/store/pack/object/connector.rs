//! The HTTP client that `object_store` sends with: the one that everything else here uses, in place of a second copy of
//! the same crate with a second TLS library.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer may take this long to begin, and each piece of its body to come. A part of 8 MiB goes out within it over a
/// line of 2 Mbit/s.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// Connections that are kept open to one host.
const IDLE_CONNECTIONS: usize = 64;

/// Makes clients. They follow no redirects: requests are signed for one host.
#[derive(Debug, Default, Clone, Copy)]
pub struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("xetgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client =
            client.map_err(|error| object_store::Error::Generic { store: "HTTP", source: error.into() })?;
        Ok(HttpClient::new(Service(client)))
    }
}

#[derive(Debug)]
struct Service(reqwest::Client);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let url = head.uri.to_string().parse();
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, Unsendable(error)))?;
        let mut request = reqwest::Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        let response: http::Response<reqwest::Body> = self.0.execute(request).await.map_err(failed)?.into();
        let (mut head, body) = response.into_parts();
        // rclone's server sends the range that was asked for, says so, and calls it 200.
        if head.status == StatusCode::OK && head.headers.contains_key(CONTENT_RANGE) {
            head.status = StatusCode::PARTIAL_CONTENT;
        }
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body.map_err(failed))))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a URL: {0}")]
struct Unsendable(<reqwest::Url as std::str::FromStr>::Err);

/// What went wrong, for the one who decides whether to send again. The URL is dropped: it may be signed.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_decode() && error.source().is_none() {
        HttpErrorKind::Decode
    } else {
        // A connection that ended early, in the request or in the answer.
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}
