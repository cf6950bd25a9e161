//! Signs S3 requests by AWS's own code, for all tests. Signature Version 4, in headers or in the URL.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::{SigningParams, calculate_signature, generate_signing_key};

/// The host that all signed requests are for.
pub(crate) const HOST: &str = "s3.test";

/// How long a presigned URL is valid.
const PRESIGNED_LIFE: Duration = Duration::from_mins(1);

/// A key pair, and the region that it signs for.
#[derive(Clone, Copy)]
pub(crate) struct Signer<'k> {
    pub(crate) access_key: &'k str,
    pub(crate) secret_key: &'k str,
    pub(crate) region: &'k str,
}

/// The headers to add to a request, and the signature that is in one of them.
pub(crate) struct Signed {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) signature: String,
}

impl Signer<'_> {
    /// Signs a request for [`HOST`] with these headers; `payload` is the value of `x-amz-content-sha256`.
    pub(crate) fn sign(
        self,
        now: SystemTime,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        payload: &str,
    ) -> Signed {
        let mut settings = settings();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let body = SignableBody::Precomputed(payload.to_owned());
        let (instructions, signature) = self.run(now, settings, (method, target), headers, body);
        let added = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let host = ("host".to_owned(), HOST.to_owned());
        Signed { headers: added.chain([host]).collect(), signature }
    }

    /// A presigned URL, without scheme and host.
    pub(crate) fn presign(self, now: SystemTime, method: &str, target: &str) -> String {
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(PRESIGNED_LIFE);
        let body = SignableBody::UnsignedPayload;
        let (instructions, _) = self.run(now, settings, (method, target), &[], body);
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in instructions.params() {
            query.append_pair(name, value);
        }
        let joint = if target.contains('?') { '&' } else { '?' };
        format!("{target}{joint}{}", query.finish())
    }

    /// The signature of a text, such as that of a chunk.
    pub(crate) fn sign_text(self, now: SystemTime, text: &str) -> String {
        calculate_signature(self.key(now), text.as_bytes())
    }

    /// The signing key of a day.
    pub(crate) fn key(self, now: SystemTime) -> Vec<u8> {
        generate_signing_key(self.secret_key, now, self.region, "s3").as_ref().to_vec()
    }

    fn run(
        self,
        now: SystemTime,
        settings: SigningSettings,
        (method, target): (&str, &str),
        headers: &[(&str, &str)],
        body: SignableBody<'_>,
    ) -> (SigningInstructions, String) {
        let identity = Credentials::new(self.access_key, self.secret_key, None, None, "tests").into();
        let params = SigningParams::builder().identity(&identity).region(self.region).name("s3");
        let params = params.time(now).settings(settings).build().unwrap().into();
        let headers = headers.iter().copied().chain([("host", HOST)]);
        let request = SignableRequest::new(method, target, headers, body).unwrap();
        sign(request, &params).unwrap().into_parts()
    }
}

/// S3 signs paths as they are sent.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}
