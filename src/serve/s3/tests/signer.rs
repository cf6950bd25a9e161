//! A client: makes signed requests and presigned URLs.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::Request;
use sha2::{Digest as _, Sha256};

use crate::model::clock::Ambient;

#[path = "../../../../tests/support/sign.rs"]
mod sign;

/// A key pair, and the region that it signs for.
#[derive(Clone, Copy)]
pub(super) struct Signer {
    pub(super) access_key: &'static str,
    pub(super) secret_key: &'static str,
    pub(super) region: &'static str,
}

/// A signed request, with what is needed to sign its chunks.
pub(super) struct Signed {
    pub(super) request: Request<Body>,
    signer: sign::Signer<'static>,
    signature: String,
    now: SystemTime,
}

pub(super) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

fn now() -> SystemTime {
    Ambient::system().clock.now().into()
}

impl Signer {
    fn of_support(self) -> sign::Signer<'static> {
        let Self { access_key, secret_key, region } = self;
        sign::Signer { access_key, secret_key, region }
    }

    /// Signs `method` on `target` with `headers`; `payload` is the value of `x-amz-content-sha256`.
    pub(super) fn sign(
        self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        payload: &str,
        body: impl Into<Body>,
    ) -> Signed {
        let now = now();
        let signed = self.of_support().sign(now, (method, target), headers, payload);
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let request = request.body(body.into()).unwrap();
        Signed { request, signer: self.of_support(), signature: signed.signature, now }
    }

    /// A presigned URL for `method` on `path`, valid for a minute; `more` is `&name=value` or empty.
    pub(super) fn presign(self, method: &str, path: &str, more: &str) -> String {
        let query = more.strip_prefix('&').map(|query| format!("?{query}"));
        self.of_support().presign(now(), method, &format!("{path}{}", query.unwrap_or_default()))
    }
}

impl Signed {
    /// The body of this request in signed chunks.
    pub(super) fn chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
        let time = self.request.headers()["x-amz-date"].to_str().unwrap();
        let scope = format!("{}/{}/s3/aws4_request", &time[..8], self.signer.region);
        let (mut body, mut previous) = (Vec::new(), self.signature.clone());
        for chunk in chunks.iter().chain([&&b""[..]]) {
            let (empty, data) = (sha256_hex(b""), sha256_hex(chunk));
            let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{time}\n{scope}\n{previous}\n{empty}\n{data}");
            previous = self.signer.sign_text(self.now, &text);
            body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).into_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body
    }
}
