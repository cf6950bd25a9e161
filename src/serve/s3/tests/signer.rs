//! A client: signs requests as Signature Version 4 says. Source: IAM user guide, "Create a signed AWS API request".

use axum::body::Body;
use axum::http::Request;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::model::clock::Ambient;
use crate::serve::s3::encoding::{encode_url, query_pairs};

/// A key pair and what it signs for.
#[derive(Clone, Copy)]
pub(super) struct Signer {
    pub(super) access_key: &'static str,
    pub(super) secret_key: &'static str,
    pub(super) region: &'static str,
}

/// A signed request, with what is needed to sign its chunks.
pub(super) struct Signed {
    pub(super) request: Request<Body>,
    pub(super) signature: String,
    signer: Signer,
    time: String,
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(data).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

pub(super) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

impl Signer {
    fn scope(self, time: &str) -> String {
        format!("{}/{}/s3/aws4_request", &time[..8], self.region)
    }

    fn sign_text(self, time: &str, text: &str) -> String {
        let secret = format!("AWS4{}", self.secret_key);
        let key = [&time[..8], self.region, "s3", "aws4_request"]
            .into_iter()
            .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        hex::encode(hmac(&key, text.as_bytes()))
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
        let now = OffsetDateTime::from(std::time::SystemTime::from(Ambient::system().clock.now()));
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = now.format(format).unwrap();
        let mut signed: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        for (name, value) in [("host", "s3.test"), ("x-amz-date", &time), ("x-amz-content-sha256", payload)] {
            signed.push((name.to_owned(), value.to_owned()));
        }
        signed.sort();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: Vec<String> = signed
            .iter()
            .map(|(name, value)| {
                format!(
                    "{name}:{value}
"
                )
            })
            .collect();
        let lines = lines.concat();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs: Vec<String> = query_pairs(Some(query))
            .iter()
            .map(|(name, value)| format!("{}={}", encode_url(name), encode_url(value).replace('/', "%2F")))
            .collect();
        pairs.sort();
        let canonical = format!("{method}\n{path}\n{}\n{lines}\n{names}\n{payload}", pairs.join("&"));
        let scope = self.scope(&time);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let signature = self.sign_text(&time, &text);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        let mut request =
            Request::builder().method(method).uri(target).header("authorization", authorization);
        for (name, value) in signed {
            request = request.header(name, value);
        }
        Signed { request: request.body(body.into()).unwrap(), signature, signer: self, time }
    }
}

impl Signer {
    /// A presigned URL for `method` on `path`, good for a minute.
    pub(super) fn presign(self, method: &str, path: &str, more: &str) -> String {
        let now = OffsetDateTime::from(std::time::SystemTime::from(Ambient::system().clock.now()));
        let time = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap();
        let credential = format!("{}/{}", self.access_key, self.scope(&time)).replace('/', "%2F");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={time}&X-Amz-Expires=60\
             &X-Amz-SignedHeaders=host{more}"
        );
        let canonical = format!("{method}\n{path}\n{query}\nhost:s3.test\n\nhost\nUNSIGNED-PAYLOAD");
        let scope = self.scope(&time);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        format!("{path}?{query}&X-Amz-Signature={}", self.sign_text(&time, &text))
    }
}

impl Signed {
    /// The body of this request in signed chunks.
    pub(super) fn chunks(&self, chunks: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut previous) = (Vec::new(), self.signature.clone());
        for chunk in chunks.iter().chain([&&b""[..]]) {
            let scope = self.signer.scope(&self.time);
            let (empty, data) = (sha256_hex(b""), sha256_hex(chunk));
            let text =
                format!("AWS4-HMAC-SHA256-PAYLOAD\n{}\n{scope}\n{previous}\n{empty}\n{data}", self.time);
            previous = self.signer.sign_text(&self.time, &text);
            body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).into_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body
    }
}
