//! Requests to the S3 API, signed with a key or not.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::Request;

use super::S3Request;

#[path = "../support/sign.rs"]
mod signer;

/// SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The request, signed with a key if there is one.
pub(crate) fn request(asked: &S3Request, key: Option<(&str, String)>) -> Request<Body> {
    let sent: Vec<_> = asked.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut request = Request::builder().method(asked.method).uri(&asked.target);
    for (name, value) in &sent {
        request = request.header(*name, *value);
    }
    if let Some((id, secret)) = key {
        let signer = signer::Signer { access_key: id, secret_key: &secret, region: "us-east-1" };
        let now = SystemTime::from(xetgate::model::clock::Ambient::system().clock.now());
        for (name, value) in signer.sign(now, (asked.method, &asked.target), &sent, EMPTY).headers {
            request = request.header(name, value);
        }
    } else {
        request = request.header("host", signer::HOST);
    }
    request.header("content-length", "0").body(Body::empty()).unwrap()
}
