//! The body of a request, as a stream that fails if it is not what was signed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body as AxumBody, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use hmac::Mac as _;
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use s3s::{Body, S3Result, s3_error};
use sha2::{Digest as _, Sha256};

use super::chunked::Chunks;
use super::keys::{HmacSha256, is_signature};
use super::{Trailers, mismatch};
use crate::serve::s3::errors::{invalid_request, not_implemented};

/// SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// Why a body is refused.
#[derive(Debug, thiserror::Error)]
pub(in crate::serve::s3) enum BodyError {
    /// A signed chunk is too large to be held.
    #[error("a signed chunk of an aws-chunked body must not exceed 16 MiB")]
    ChunkTooLarge,
    /// It is not `aws-chunked`.
    #[error("the body is not well-formed aws-chunked content")]
    MalformedChunk,
    /// It ended before its last chunk.
    #[error("the aws-chunked body ended before its last chunk")]
    NoLastChunk,
    /// A chunk, or the trailers, are not what was signed.
    #[error("a chunk or the trailers are not what was signed")]
    ChunkSignature,
    /// There are more trailers than can be meant.
    #[error("the trailers are too large")]
    TrailersTooLarge,
    /// The whole is not what was signed.
    #[error("the body does not have the SHA-256 that was signed")]
    Sha256,
    /// It has more or fewer bytes than its head says.
    #[error("the body has another length than its head says")]
    Length,
    /// The connection failed.
    #[error("reading the body")]
    Connection(#[source] axum::Error),
}

/// What `x-amz-content-sha256` says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared<'h> {
    /// Its hash, in hexadecimal digits.
    Sha256(&'h str),
    /// Nothing.
    Unsigned,
    /// It comes in chunks that are not signed.
    UnsignedChunks,
    /// It comes in chunks that are each signed; the header's value.
    Chunks(&'h str),
}

impl<'h> Declared<'h> {
    pub(super) const UNSIGNED: &'static str = "UNSIGNED-PAYLOAD";
    const UNSIGNED_CHUNKS: &'static str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

    pub(super) fn parse(value: &'h str) -> S3Result<Self> {
        let is_hash = |value: &str| {
            value.len() == 64 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        match value {
            Self::UNSIGNED => Ok(Self::Unsigned),
            Self::UNSIGNED_CHUNKS => Ok(Self::UnsignedChunks),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Ok(Self::Chunks(value))
            }
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(not_implemented("Signing with AWS4-ECDSA-P256-SHA256"))
            }
            hash if is_hash(hash) => Ok(Self::Sha256(hash)),
            _ => Err(mismatch()),
        }
    }

    /// Whether trailers follow the body.
    pub(super) fn has_trailers(self) -> bool {
        self.as_str().ends_with("-TRAILER")
    }

    /// The header's value.
    pub(super) fn as_str(self) -> &'h str {
        match self {
            Self::Sha256(value) | Self::Chunks(value) => value,
            Self::Unsigned => Self::UNSIGNED,
            Self::UnsignedChunks => Self::UNSIGNED_CHUNKS,
        }
    }
}

/// How a body is signed.
pub(in crate::serve::s3) enum Signed {
    /// Not at all.
    Unsigned,
    /// Not at all, but its length must be known.
    Length,
    /// By its hash.
    Sha256([u8; 32]),
    /// It comes in chunks, signed ones if there is a signer.
    Chunks(Option<Box<ChunkSigner>>),
}

impl Signed {
    /// By a hash in hexadecimal digits.
    pub(super) fn sha256(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(hex, &mut hash).ok().map(|()| Self::Sha256(hash))
    }
}

/// Checks the signatures of chunks, each of which is made over the one before.
pub(in crate::serve::s3) struct ChunkSigner {
    mac: HmacSha256,
    date_time: String,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// `seed` is the signature of the request's head.
    pub(super) fn new(mac: HmacSha256, date_time: &str, scope: &str, seed: &str) -> Self {
        let [date_time, scope, previous] = [date_time, scope, seed].map(ToOwned::to_owned);
        Self { mac, date_time, scope, previous }
    }

    /// Whether a chunk of this hash is signed so.
    pub(super) fn check_chunk(&mut self, hash: &[u8], signature: &str) -> Result<(), BodyError> {
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &format!("{EMPTY}\n{}", hex::encode(hash)), signature)
    }

    /// Whether trailers, in canonical form, are signed so.
    pub(super) fn check_trailers(&mut self, canonical: &[u8], signature: &str) -> Result<(), BodyError> {
        self.check("AWS4-HMAC-SHA256-TRAILER", &hex::encode(Sha256::digest(canonical)), signature)
    }

    fn check(&mut self, algorithm: &str, hashes: &str, signature: &str) -> Result<(), BodyError> {
        let text = [algorithm, &self.date_time, &self.scope, &self.previous, hashes].join("\n");
        if !is_signature(self.mac.clone().chain_update(text), signature.as_bytes()) {
            return Err(BodyError::ChunkSignature);
        }
        signature.clone_into(&mut self.previous);
        Ok(())
    }
}

/// A body to be read, and its trailers if there may be any. The head then says how long the content is, and no longer how
/// long its coding.
pub(in crate::serve::s3) fn open(
    signed: Signed,
    headers: &mut HeaderMap,
    body: AxumBody,
) -> S3Result<(Body, Option<Trailers>)> {
    let missing = |what: &str| s3_error!(MissingContentLength, "You must provide the {what} HTTP header.");
    let content_bytes = length_in(headers, DECODED_LENGTH);
    if headers.contains_key(DECODED_LENGTH) && content_bytes.is_none() {
        return Err(invalid_request("The header x-amz-decoded-content-length cannot be read."));
    }
    let length = length_in(headers, CONTENT_LENGTH.as_str()).or_else(|| body.size_hint().exact());
    match signed {
        Signed::Length if length.is_none() => Err(missing("Content-Length")),
        Signed::Unsigned | Signed::Length => Ok((Body::http_body_unsync(body), None)),
        Signed::Sha256(hash) => {
            let length = length.ok_or_else(|| missing("Content-Length"))?;
            let body = HashedBody::new(body.into_data_stream(), hash, length);
            Ok((Body::http_body_unsync(StreamBody::new(body.map_ok(Frame::data))), None))
        }
        Signed::Chunks(chunk_signer) => {
            let content_bytes = content_bytes.ok_or_else(|| missing(DECODED_LENGTH))?;
            if headers.contains_key(CONTENT_LENGTH) {
                headers.insert(CONTENT_LENGTH, content_bytes.into());
            }
            let trailers = Trailers::default();
            let body = Chunks::new(body, chunk_signer, trailers.clone());
            let body = Body::http_body_unsync(StreamBody::new(body.map_ok(Frame::data)));
            Ok((body, Some(trailers)))
        }
    }
}

fn length_in(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// A body whose hash was signed: its last bytes are given only if the whole is right.
struct HashedBody {
    body: BodyDataStream,
    /// `None` once the hash was compared.
    hasher: Option<Sha256>,
    expected: [u8; 32],
    left: u64,
    failed: bool,
}

impl HashedBody {
    fn new(body: BodyDataStream, expected: [u8; 32], length: u64) -> Self {
        Self { body, hasher: Some(Sha256::new()), expected, left: length, failed: false }
    }

    fn take(&mut self, bytes: &Bytes) -> Result<(), BodyError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(BodyError::Length)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.compare()
    }

    /// Compares the hash if all bytes are there.
    fn compare(&mut self) -> Result<(), BodyError> {
        let hasher = if self.left == 0 { self.hasher.take() } else { None };
        let is_right = hasher.is_none_or(|hasher| hasher.finalize()[..] == self.expected);
        if is_right { Ok(()) } else { Err(BodyError::Sha256) }
    }
}

impl Stream for HashedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let next = match ready!(Pin::new(&mut self.body).poll_next(cx)) {
            Some(Ok(bytes)) => self.take(&bytes).map(|()| Some(bytes)),
            Some(Err(error)) => Err(BodyError::Connection(error)),
            None if self.left > 0 => Err(BodyError::Length),
            None => self.compare().map(|()| None),
        };
        self.failed = next.is_err();
        Poll::Ready(next.transpose())
    }
}
