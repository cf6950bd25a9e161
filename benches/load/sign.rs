//! AWS Signature Version 4 of a request whose payload is not signed.
//!
//! Source: "Authenticating Requests: Using the Authorization Header" of the S3 API reference.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::{Failure, Target};

const REGION: &str = "us-east-1";
const SIGNED_HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// SHA-256's block, to which HMAC fills its key up.
const BLOCK_BYTES: usize = 64;

/// Signs for one credential at one moment, of which the server accepts 15 minutes.
#[derive(Clone)]
pub(crate) struct Signer {
    host: String,
    credential: String,
    scope: String,
    date: String,
    key: [u8; 32],
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let (mut inner, mut outer) = ([0x36; BLOCK_BYTES], [0x5c; BLOCK_BYTES]);
    for (at, byte) in key.iter().enumerate() {
        inner[at] ^= byte;
        outer[at] ^= byte;
    }
    let inside = Sha256::new().chain_update(inner).chain_update(text).finalize();
    Sha256::new().chain_update(outer).chain_update(inside).finalize().into()
}

impl Signer {
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        if target.secret_key.len() + 4 > BLOCK_BYTES {
            return Err("the secret is longer than this signer takes".into());
        }
        let layout = format_description!("[year][month][day]T[hour][minute][second]Z");
        let date = OffsetDateTime::now_utc().format(layout)?;
        let day = &date[..8];
        let mut key = hmac(format!("AWS4{}", target.secret_key).as_bytes(), day.as_bytes());
        for step in [REGION, "s3", "aws4_request"] {
            key = hmac(&key, step.as_bytes());
        }
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let credential = format!("{}/{scope}", target.access_key);
        Ok(Self { host: target.server.clone(), credential, scope, date, key })
    }

    /// The head of a request. Path and query are encoded already, and the query is in order.
    pub(crate) fn head(&self, method: &str, path: &str, query: &str, body_bytes: usize) -> String {
        let Self { host, credential, scope, date, .. } = self;
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{PAYLOAD}\nx-amz-date:{date}\n\n\
             {SIGNED_HEADERS}\n{PAYLOAD}"
        );
        let hashed = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
        let signature = hex::encode(hmac(&self.key, text.as_bytes()));
        let question = if query.is_empty() { "" } else { "?" };
        format!(
            "{method} {path}{question}{query} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {body_bytes}\r\n\
             x-amz-content-sha256: {PAYLOAD}\r\nx-amz-date: {date}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={credential},SignedHeaders={SIGNED_HEADERS},Signature={signature}\r\n\r\n"
        )
    }
}
