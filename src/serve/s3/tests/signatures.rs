//! Signatures of all kinds of requests, checked by us and by s3s, which must agree.

use proptest::prelude::*;
use s3s::auth::SimpleAuth;
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Request, S3Response, S3Result};

use super::*;
use crate::serve::s3::encoding::encode_url;
use crate::serve::s3::handler::Handler;

/// Operations of nobody: what is authenticated is answered with 200, all else with an error.
struct Authenticated;

impl s3s::S3 for Authenticated {}

#[async_trait::async_trait]
impl S3Route for Authenticated {
    fn is_match(
        &self,
        _: &axum::http::Method,
        _: &axum::http::Uri,
        _: &HeaderMap,
        _: &mut axum::http::Extensions,
    ) -> bool {
        true
    }

    async fn call(&self, _: S3Request<s3s::Body>) -> S3Result<S3Response<s3s::Body>> {
        Ok(S3Response::new(s3s::Body::empty()))
    }
}

fn s3s_service() -> S3Service {
    let mut builder = S3ServiceBuilder::new(Authenticated);
    builder.set_auth(SimpleAuth::from_single(ADA.access_key, ADA.secret_key));
    builder.set_route(Authenticated);
    builder.build()
}

fn copy(request: &Request<Body>) -> Request<s3s::Body> {
    let mut copy = Request::new(s3s::Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

async fn s3s_accepts(request: &Request<Body>) -> bool {
    s3s_service().call(copy(request)).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

/// What a request may be like: a key, a parameter's value, a header's value, and characters that are not encoded.
fn requests() -> impl Strategy<Value = (String, String, String, String)> {
    (
        "[a-zA-Z0-9 /~%+ü*'&=:-]{1,12}",
        "[a-z0-9 /~%+ü&=;-]{0,8}",
        "[a-z0-9 ,;=-]{0,12}",
        "[!$'()*,;=:@&+]{0,3}",
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_s3s_accepts_we_accept_and_nothing_else((key, value, header, plain) in requests(), change in 0..5) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (key, value) = (encode_url(&key), encode_url(&value).replace('/', "%2F"));
        let target = format!("/bucket/{key}{plain}?prefix={value}&b=1&acl");
        let mut request = ADA.sign("GET", &target, &[("x-amz-meta-a", &header)], &sha256_hex(b""), "").request;
        let replace = |request: &mut Request<Body>, name: &'static str, value: &str| {
            request.headers_mut().insert(name, value.parse().unwrap());
        };
        match change {
            0 => *request.uri_mut() = format!("{target}&c=2").parse().unwrap(),
            1 => replace(&mut request, "x-amz-meta-a", &format!("{header}x")),
            // Spaces count once.
            2 => replace(&mut request, "x-amz-meta-a", &header.replace(' ', "  ")),
            3 => *request.method_mut() = "HEAD".parse().unwrap(),
            _ => {}
        }
        let ours = Handler::new(Arc::new(s3_api())).is_authenticated(&request);
        let theirs = runtime.block_on(s3s_accepts(&request));
        prop_assert_eq!(ours, theirs, "{} {:?}", target, header);
    }

    #[test]
    fn of_presigned_addresses_too((key, value, _, _) in requests(), change in 0..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let value = encode_url(&value).replace('/', "%2F");
        let path = format!("/bucket/{}", encode_url(&key));
        let url = ADA.presign("GET", &path, &format!("&prefix={value}"));
        let url = match change {
            0 => url.replace("Expires=60", "Expires=61"),
            1 => url.replace("prefix=", "suffix="),
            _ => url,
        };
        let request = Request::builder().uri(url).header("host", "s3.test").body(Body::empty()).unwrap();
        let ours = Handler::new(Arc::new(s3_api())).is_authenticated(&request);
        prop_assert_eq!(ours, runtime.block_on(s3s_accepts(&request)));
        prop_assert_eq!(ours, change == 2);
    }
}
