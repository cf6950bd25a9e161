//! CORS: which pages of other origins may use a bucket from a browser.
//!
//! A preflight is answered without authentication, because browsers send none; and every answer to a request that names
//! its origin carries the headers of the rule that matches. In both cases the rules are those of the one bucket that the
//! request means ([`S3Api::cors_bucket`]), never those of another account's bucket of the same name.
//!
//! Source: S3 user guide, "Using cross-origin resource sharing (CORS)"; Fetch standard, "CORS protocol".

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use s3s::{S3Result, s3_error};

use crate::bucket::{BucketError, BucketId, CorsRule};

use super::S3Api;
use super::errors::custom;

/// The methods that rules may allow.
pub(super) const METHODS: [&str; 5] = ["GET", "PUT", "HEAD", "POST", "DELETE"];

/// What the answers of a bucket depend on.
const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// Whether a text is what a pattern with at most one `*` stands for.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

/// What a page of another origin asks to do.
struct CorsRequest<'a> {
    origin: &'a str,
    method: &'a str,
    /// Names in lower case.
    headers: Vec<String>,
}

impl<'a> CorsRequest<'a> {
    /// Reads it; `None` if there is no origin. A request that is no preflight is for its own method.
    fn of(headers: &'a HeaderMap, own_method: Option<&'a Method>) -> S3Result<Option<Self>> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(origin) = text(ORIGIN).filter(|origin| !origin.is_empty()) else {
            return Ok(None);
        };
        let method = text(ACCESS_CONTROL_REQUEST_METHOD).or(own_method.map(Method::as_str));
        let method = method.filter(|method| own_method.is_some() || METHODS.contains(method));
        let method = method.ok_or_else(|| {
            s3_error!(InvalidRequest, "Invalid Access-Control-Request-Method: a preflight must name a method")
        })?;
        let names = text(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default().split(',');
        let names = names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty());
        Ok(Some(Self { origin, method, headers: names.collect() }))
    }

    fn is_granted_by(&self, rule: &CorsRule) -> bool {
        let allowed = |name: &String| {
            rule.allowed_headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
        };
        rule.allowed_origins.iter().any(|pattern| matches(pattern, self.origin))
            && rule.allowed_methods.iter().any(|method| method == self.method)
            && self.headers.iter().all(allowed)
    }

    /// The headers that say what a rule grants.
    fn answer(&self, rule: &CorsRule) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if rule.allowed_origins.iter().any(|pattern| pattern == "*") {
            set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            set(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
            set(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        set(ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods.join(", "));
        if !self.headers.is_empty() {
            set(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
        if !rule.expose_headers.is_empty() {
            set(ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose_headers.join(", "));
        }
        if let Some(secs) = rule.max_age_secs {
            set(ACCESS_CONTROL_MAX_AGE, &secs.to_string());
        }
        set(VARY, VARIES);
        headers
    }
}

/// The rules of a bucket, or `None` if there is no such bucket.
async fn rules_of(api: &S3Api, bucket: Option<&BucketId>) -> S3Result<Option<Vec<CorsRule>>> {
    let Some(bucket) = bucket else { return Ok(None) };
    match api.buckets.bucket_settings(bucket).await {
        Ok(settings) => Ok(Some(settings.cors)),
        Err(BucketError::NoSuchBucket(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Answers a preflight for a request to a bucket.
pub(super) async fn preflight(
    api: &S3Api,
    bucket: Option<&BucketId>,
    headers: &HeaderMap,
) -> S3Result<Response> {
    let no_origin = || {
        let message = "Insufficient information. Origin request header needed.";
        custom("BadRequest", StatusCode::BAD_REQUEST, message)
    };
    let cors = CorsRequest::of(headers, None)?.ok_or_else(no_origin)?;
    let forbidden = |message| custom("AccessForbidden", StatusCode::FORBIDDEN, message);
    let rules = rules_of(api, bucket).await?;
    let rules = rules.ok_or_else(|| forbidden("CORSResponse: Bucket not found"))?;
    if rules.is_empty() {
        return Err(forbidden("CORSResponse: CORS is not enabled for this bucket."));
    }
    let rule = rules.iter().find(|rule| cors.is_granted_by(rule)).ok_or_else(|| {
        forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, \
             request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted \
             by the resource's CORS spec.",
        )
    })?;
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = cors.answer(rule);
    Ok(response)
}

/// The headers for the answer to any other request to a bucket; none without an origin or a rule that matches.
pub(super) async fn headers(
    api: &S3Api,
    bucket: Option<&BucketId>,
    method: &Method,
    request: &HeaderMap,
) -> S3Result<HeaderMap> {
    let Ok(Some(cors)) = CorsRequest::of(request, Some(method)) else {
        return Ok(HeaderMap::new());
    };
    let rules = rules_of(api, bucket).await?.unwrap_or_default();
    let matching = rules.iter().find(|rule| cors.is_granted_by(rule));
    Ok(matching.map(|rule| cors.answer(rule)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [("*", "x"), ("*.b", "a.b"), ("a*", "a"), ("a*c", "ac"), ("a*c", "abbc")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("*.b", "a.b.c"), ("a*a", "a"), ("a*c", "0ac")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn origin_method_and_all_headers_must_be_allowed() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rule = CorsRule {
            allowed_origins: list(&["https://*.example"]),
            allowed_methods: list(&["GET", "PUT"]),
            allowed_headers: list(&["X-Amz-*", "content-type"]),
            ..CorsRule::default()
        };
        let granted = |origin, method, names| {
            let headers = headers(&[
                ("origin", origin),
                ("access-control-request-method", method),
                ("access-control-request-headers", names),
            ]);
            CorsRequest::of(&headers, None).unwrap().unwrap().is_granted_by(&rule)
        };
        assert!(granted("https://a.example", "PUT", "Content-Type, x-amz-date"));
        assert!(!granted("https://a.example", "PUT", "content-type, authorization"));
        assert!(!granted("https://a.example", "DELETE", ""));
        assert!(!granted("https://a.example.org", "PUT", ""));
    }

    #[test]
    fn a_preflight_must_name_a_method_that_there_is() {
        let method = |method| headers(&[("origin", "o"), ("access-control-request-method", method)]);
        assert!(CorsRequest::of(&method("GET"), None).is_ok());
        assert!(CorsRequest::of(&method("BREW"), None).is_err());
        assert!(CorsRequest::of(&headers(&[("origin", "o")]), None).is_err());
        assert!(CorsRequest::of(&HeaderMap::new(), None).unwrap().is_none());
    }
}
