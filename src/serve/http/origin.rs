//! The scheme and host that the URLs in answers begin with.
//!
//! They must be those that the client uses: the published Hub client compares them with its endpoint. So they come from the
//! request, and from a proxy's headers only if the configuration trusts that proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use tower_http::set_header::SetResponseHeaderLayer;

use super::listener::OverTls;

/// Longest host that is accepted: a DNS name and a port.
const HOST_BYTES_MAX: usize = 253 + 6;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// `scheme://host[:port]` of a request, as the client wrote it. A request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Arc<str>);

impl Origin {
    /// The text, without `/` at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a request with these headers and extensions; `None` without a well-formed host.
    pub fn of(headers: &HeaderMap, extensions: &Extensions, trusted_proxies: &[IpAddr]) -> Option<Self> {
        let remote = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let is_trusted = remote.is_some_and(|remote| trusted_proxies.contains(&remote.to_canonical()));
        origin(headers, is_trusted, extensions.get::<OverTls>().is_some())
    }
}

/// Headers of every answer that does not set them itself. Stored objects come from any user, so a browser must take them for
/// what their type says, and must run nothing in them as if it were ours.
const ANSWERS_FOR_BROWSERS: [(HeaderName, &str); 2] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
];

/// Gives every request its [`Origin`], and refuses one without a well-formed host.
pub fn with_origin(router: Router, trusted_proxies: Vec<IpAddr>) -> Router {
    let router = ANSWERS_FOR_BROWSERS.into_iter().fold(router, |router, (name, value)| {
        router.layer(SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value)))
    });
    router.layer(from_fn_with_state(Arc::new(trusted_proxies), attach))
}

async fn attach(State(trusted): State<Arc<Vec<IpAddr>>>, mut request: Request, next: Next) -> Response {
    match Origin::of(request.headers(), request.extensions(), &trusted) {
        Some(origin) => {
            request.extensions_mut().insert(origin);
            next.run(request).await
        }
        None => (StatusCode::BAD_REQUEST, "the Host header is missing or malformed").into_response(),
    }
}

fn origin(headers: &HeaderMap, is_trusted: bool, over_tls: bool) -> Option<Origin> {
    let forwarded = |name| headers.get(name).filter(|_| is_trusted);
    let scheme = match forwarded(FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        None if over_tls => "https",
        _ => "http",
    };
    let host = forwarded(FORWARDED_HOST).or_else(|| headers.get(header::HOST))?.to_str().ok()?;
    let well_formed = (1..=HOST_BYTES_MAX).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    well_formed.then(|| Origin(format!("{scheme}://{host}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(HeaderName, &'static str)], is_trusted: bool) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        origin(&headers.collect(), is_trusted, false).map(|origin| origin.as_str().to_owned())
    }

    #[tokio::test]
    async fn answers_forbid_browsers_to_run_what_is_stored() {
        let router = with_origin(Router::new().fallback(async || "<script>"), Vec::new());
        let request = Request::builder().header(header::HOST, "hub").body(axum::body::Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.headers()[header::CONTENT_SECURITY_POLICY], "default-src 'none'; sandbox");
    }

    #[test]
    fn the_origin_is_what_the_client_uses_and_only_trusted_proxies_change_it() {
        let direct = [(header::HOST, "localhost:9001")];
        assert_eq!(of(&direct, false).unwrap(), "http://localhost:9001");
        let proxied =
            [(header::HOST, "10.0.0.1"), (FORWARDED_PROTO, "https"), (FORWARDED_HOST, "hub.example")];
        assert_eq!(of(&proxied, true).unwrap(), "https://hub.example");
        assert_eq!(of(&proxied, false).unwrap(), "http://10.0.0.1");
        for bad in ["", "a/b", "a b", "a@b", "a\"b"] {
            assert_eq!(of(&[(header::HOST, bad)], false), None, "{bad}");
        }
        assert_eq!(of(&[], false), None);
        assert_eq!(of(&[(header::HOST, "[::1]:9001")], false).unwrap(), "http://[::1]:9001");
    }
}
