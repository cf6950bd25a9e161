//! AWS Signature Version 4 of a request whose payload is not signed, with the key and the signature of AWS's own code.
//!
//! The canonical form is written out here: for these few requests it is one line, and a general one would take as long as
//! the server that is measured. Source: "Authenticating Requests: Using the Authorization Header" of the S3 API reference.

use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::{Failure, Target};

const REGION: &str = "us-east-1";
const SIGNED_HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";
const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Signs for one credential at one moment, of which the server accepts 15 minutes.
#[derive(Clone)]
pub(crate) struct Signer {
    host: String,
    credential: String,
    scope: String,
    date: String,
    key: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let layout = format_description!("[year][month][day]T[hour][minute][second]Z");
        let now = OffsetDateTime::now_utc();
        let date = now.format(layout)?;
        let key = generate_signing_key(&target.secret_key, SystemTime::from(now), REGION, "s3");
        let key = key.as_ref().to_vec();
        let scope = format!("{}/{REGION}/s3/aws4_request", &date[..8]);
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
        let signature = calculate_signature(&self.key, text.as_bytes());
        let question = if query.is_empty() { "" } else { "?" };
        format!(
            "{method} {path}{question}{query} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {body_bytes}\r\n\
             x-amz-content-sha256: {PAYLOAD}\r\nx-amz-date: {date}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={credential},SignedHeaders={SIGNED_HEADERS},Signature={signature}\r\n\r\n"
        )
    }
}
