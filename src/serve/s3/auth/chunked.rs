//! `aws-chunked` bodies: their framing, the signatures of their chunks, and their trailers.
//!
//! Unsigned chunks are handed on as they arrive, however long they say they are: the Go SDK sends a body as one single
//! chunk. Signed ones have to be held whole until their signature is checked, so there is a limit to their size. A body
//! without an end is an error.
//!
//! Source: S3 API reference, "Transferring payload in multiple chunks" and "Signature calculations for trailing headers".

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures::Stream;
use sha2::{Digest as _, Sha256};

use super::Trailers;
use super::body::{BodyError, ChunkSigner};

/// Largest signed chunk. SDKs send 8 KiB to 1 MiB.
const SIGNED_CHUNK_BYTES_MAX: u64 = 16 << 20;

/// Longest line with a chunk's size and signature.
const SIZE_LINE_BYTES_MAX: usize = 1024;

/// Most bytes of all trailers, and most of them: far more than the two that are meant, a checksum and a signature.
const TRAILERS_BYTES_MAX: usize = 16 << 10;
const TRAILERS_MAX: usize = 100;

const TRAILER_SIGNATURE: HeaderName = HeaderName::from_static("x-amz-trailer-signature");

/// Where in the framing the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the line with a chunk's size.
    Size,
    /// In a chunk's data, this many bytes before its end.
    Data(u64),
    /// In the line end after a chunk's data.
    DataEnd { seen_cr: bool },
    /// After the last chunk's size.
    Trailers,
}

/// A chunk whose signature is to be checked when all of it is there.
#[derive(Default)]
struct HeldChunk {
    signature: String,
    hasher: Sha256,
    data: Vec<Bytes>,
}

/// The framing of one body.
struct Framing {
    signer: Option<Box<ChunkSigner>>,
    at: At,
    line: Vec<u8>,
    held: HeldChunk,
    trailers: Vec<u8>,
    out: VecDeque<Bytes>,
}

impl Framing {
    fn new(signer: Option<Box<ChunkSigner>>) -> Self {
        let (line, trailers, out) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { signer, at: At::Size, line, held: HeldChunk::default(), trailers, out }
    }

    /// Takes what has arrived; the content in it that can be relied on is then in `out`.
    fn feed(&mut self, mut input: Bytes) -> Result<(), BodyError> {
        while !input.is_empty() {
            match self.at {
                At::Size => self.feed_size_line(&mut input)?,
                At::Data(left) => self.feed_data(left, &mut input)?,
                At::DataEnd { seen_cr } => self.feed_data_end(seen_cr, &mut input)?,
                At::Trailers => {
                    if self.trailers.len() + input.len() > TRAILERS_BYTES_MAX {
                        return Err(BodyError::TrailersTooLarge);
                    }
                    self.trailers.extend_from_slice(&std::mem::take(&mut input));
                }
            }
        }
        Ok(())
    }

    fn feed_size_line(&mut self, input: &mut Bytes) -> Result<(), BodyError> {
        let end = input.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let piece = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + piece.len() > SIZE_LINE_BYTES_MAX {
            return Err(BodyError::MalformedChunk);
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let (size, extension) = parse_size(&line).ok_or(BodyError::MalformedChunk)?;
        if self.signer.is_some() {
            let signature = extension.strip_prefix("chunk-signature=").filter(|text| text.len() == 64);
            signature.ok_or(BodyError::MalformedChunk)?.clone_into(&mut self.held.signature);
            if size > SIGNED_CHUNK_BYTES_MAX {
                return Err(BodyError::ChunkTooLarge);
            }
        }
        if size == 0 {
            self.release()?;
        }
        self.at = if size == 0 { At::Trailers } else { At::Data(size) };
        Ok(())
    }

    fn feed_data(&mut self, left: u64, input: &mut Bytes) -> Result<(), BodyError> {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let data = input.split_to(len);
        if self.signer.is_some() {
            self.held.hasher.update(&data);
            self.held.data.push(data);
        } else {
            self.out.push_back(data);
        }
        let left = left - len as u64;
        if left == 0 {
            self.release()?;
        }
        self.at = if left == 0 { At::DataEnd { seen_cr: false } } else { At::Data(left) };
        Ok(())
    }

    /// Passes on a chunk that has arrived whole, if its signature is right.
    fn release(&mut self) -> Result<(), BodyError> {
        let Some(signer) = &mut self.signer else { return Ok(()) };
        let HeldChunk { signature, hasher, data } = std::mem::take(&mut self.held);
        signer.check_chunk(&hasher.finalize(), &signature)?;
        self.out.extend(data);
        Ok(())
    }

    fn feed_data_end(&mut self, seen_cr: bool, input: &mut Bytes) -> Result<(), BodyError> {
        let byte = input.split_to(1);
        self.at = match (seen_cr, byte[0]) {
            (false, b'\r') => At::DataEnd { seen_cr: true },
            (true, b'\n') => At::Size,
            _ => return Err(BodyError::MalformedChunk),
        };
        Ok(())
    }

    /// Ends the body: the trailers that it has come to, if any.
    fn end(&mut self) -> Result<Option<HeaderMap>, BodyError> {
        if self.at != At::Trailers {
            return Err(BodyError::NoLastChunk);
        }
        let (mut trailers, canonical) = parse_trailers(&self.trailers)?;
        let signature = trailers.remove(TRAILER_SIGNATURE);
        if let Some(signer) = &mut self.signer
            && (signature.is_some() || !trailers.is_empty())
        {
            let signature = signature.as_ref().and_then(|value| value.to_str().ok());
            signer.check_trailers(&canonical, signature.ok_or(BodyError::MalformedChunk)?)?;
        }
        Ok((!trailers.is_empty()).then_some(trailers))
    }
}

/// The size in a line like `1f4;chunk-signature=...\r\n`, and the text after the semicolon.
fn parse_size(line: &[u8]) -> Option<(u64, &str)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let (digits, extension) = line.split_once(';').unwrap_or((line, ""));
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then(|| u64::from_str_radix(digits, 16).ok()).flatten().map(|size| (size, extension))
}

/// Reads trailers, a line each; also as they are signed: by name, without the signature, a line feed after each.
fn parse_trailers(text: &[u8]) -> Result<(HeaderMap, Vec<u8>), BodyError> {
    let text = std::str::from_utf8(text).map_err(|_| BodyError::MalformedChunk)?;
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(BodyError::MalformedChunk)?;
        lines.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])));
        if lines.len() > TRAILERS_MAX {
            return Err(BodyError::TrailersTooLarge);
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut headers, mut canonical) = (HeaderMap::new(), Vec::new());
    for (name, value) in &lines {
        if name != TRAILER_SIGNATURE.as_str() {
            canonical.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        }
        let name = HeaderName::try_from(name).map_err(|_| BodyError::MalformedChunk)?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| BodyError::MalformedChunk)?);
    }
    Ok((headers, canonical))
}

/// The content of an `aws-chunked` body.
pub(super) struct Chunks {
    body: axum::body::BodyDataStream,
    framing: Framing,
    trailers: Trailers,
    done: bool,
}

impl Chunks {
    /// Of a body whose chunks are signed if there is a signer. Trailers go to `trailers`.
    pub(super) fn new(body: axum::body::Body, signer: Option<Box<ChunkSigner>>, trailers: Trailers) -> Self {
        Self { body: body.into_data_stream(), framing: Framing::new(signer), trailers, done: false }
    }

    fn take(&mut self, next: Option<Result<Bytes, axum::Error>>) -> Result<(), BodyError> {
        match next {
            Some(Ok(bytes)) => self.framing.feed(bytes),
            Some(Err(error)) => Err(BodyError::Connection(error)),
            None => {
                self.done = true;
                if let Some(trailers) = self.framing.end()? {
                    self.trailers.set(trailers);
                }
                Ok(())
            }
        }
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.framing.out.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            let next = ready!(Pin::new(&mut self.body).poll_next(cx));
            if let Err(error) = self.take(next) {
                self.done = true;
                self.framing.out.clear();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use hmac::KeyInit as _;

    use super::super::keys::HmacSha256;
    use super::*;

    /// The example of the S3 API reference, "Transferring payload in multiple chunks": its key, time and signatures.
    fn example_signer() -> Box<ChunkSigner> {
        let day = UNIX_EPOCH + Duration::from_hours(24 * 15_849);
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let key = aws_sigv4::sign::v4::generate_signing_key(secret, day, "us-east-1", "s3");
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let mac = HmacSha256::new_from_slice(key.as_ref()).unwrap();
        Box::new(ChunkSigner::new(mac, "20130524T000000Z", "20130524/us-east-1/s3/aws4_request", seed))
    }

    fn example() -> Vec<u8> {
        let chunk = |size: usize, signature: &str| {
            let mut chunk = format!("{size:x};chunk-signature={signature}\r\n").into_bytes();
            chunk.extend(vec![b'a'; size]);
            chunk.extend(b"\r\n");
            chunk
        };
        [
            chunk(65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ]
        .concat()
    }

    fn read(
        signer: Option<Box<ChunkSigner>>,
        pieces: &[&[u8]],
    ) -> Result<(Vec<u8>, Option<HeaderMap>), BodyError> {
        let mut framing = Framing::new(signer);
        for piece in pieces {
            framing.feed(Bytes::copy_from_slice(piece))?;
        }
        let trailers = framing.end()?;
        Ok((framing.out.into_iter().flatten().collect(), trailers))
    }

    #[test]
    fn signed_chunks_are_read_however_they_are_cut() {
        let body = example();
        let content = vec![b'a'; 65536 + 1024];
        assert_eq!(read(Some(example_signer()), &[&body]).unwrap().0, content);
        let cuts: Vec<&[u8]> = body.chunks(777).collect();
        assert_eq!(read(Some(example_signer()), &cuts).unwrap().0, content);
    }

    #[test]
    fn of_a_chunk_that_is_not_as_signed_nothing_is_given_out() {
        let mut body = example();
        body[66_000] = b'b';
        let mut framing = Framing::new(Some(example_signer()));
        let fed = framing.feed(body.into());
        assert!(matches!(fed, Err(BodyError::ChunkSignature)));
        assert_eq!(framing.out.iter().map(Bytes::len).sum::<usize>(), 65536, "the chunk before");
        let unsigned = read(Some(example_signer()), &[b"3\r\nabc\r\n0\r\n\r\n"]);
        assert!(matches!(unsigned, Err(BodyError::MalformedChunk)));
    }

    #[test]
    fn a_last_chunk_that_is_not_signed_is_no_end() {
        let body = String::from_utf8(example()).unwrap().replace("b6c6ea8a", "b6c6ea8b");
        assert!(matches!(read(Some(example_signer()), &[body.as_bytes()]), Err(BodyError::ChunkSignature)));
    }

    #[test]
    fn trailers_behind_signed_chunks_must_be_signed() {
        for (more, signature) in [
            ("x-amz-checksum-crc32:AAAAAA==\r\n", None),
            ("x-amz-trailer-signature:00\r\n", Some(())),
            ("x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:00\r\n", Some(())),
        ] {
            let body = [example(), more.as_bytes().to_vec()].concat();
            let error = read(Some(example_signer()), &[&body]).unwrap_err();
            let expected = if signature.is_some() { "trailers are not" } else { "not well-formed" };
            assert!(error.to_string().contains(expected), "{more:?}: {error}");
        }
    }

    #[test]
    fn an_unsigned_chunk_is_handed_on_as_it_arrives() {
        let pieces: [&[u8]; 3] = [b"6\r\nab", b"cd", b"ef\r\n0\r\nX-Amz-Checksum-CRC32: AAAAAA==\r\n\r\n"];
        let (content, trailers) = read(None, &pieces).unwrap();
        assert_eq!(content, b"abcdef");
        assert_eq!(trailers.unwrap()["x-amz-checksum-crc32"], "AAAAAA==");
        assert_eq!(read(None, &[b"0\r\n\r\n"]).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn a_signed_chunk_too_large_to_hold_is_refused() {
        let line = format!("1000001;chunk-signature={}\r\n", "a".repeat(64));
        assert!(matches!(read(Some(example_signer()), &[line.as_bytes()]), Err(BodyError::ChunkTooLarge)));
    }

    #[test]
    fn an_unsigned_chunk_may_have_any_size() {
        let mut framing = Framing::new(None);
        framing.feed(Bytes::from_static(b"fffffffff\r\nabc")).unwrap();
        assert_eq!(framing.at, At::Data(0xf_ffff_ffff - 3));
    }

    #[test]
    fn trailers_without_an_end_are_given_up() {
        let many = "x-a:b\r\n".repeat(TRAILERS_MAX + 1);
        let long = "x-a:b\r\n".repeat(TRAILERS_BYTES_MAX / 7 + 1);
        for trailers in [many, long] {
            let result = read(None, &[b"0\r\n", trailers.as_bytes()]);
            assert!(matches!(result, Err(BodyError::TrailersTooLarge)));
        }
    }

    #[test]
    fn a_body_without_its_last_chunk_has_no_end() {
        for body in [&b""[..], b"3\r\nabc\r\n", b"3\r\nab", b"3"] {
            assert!(matches!(read(None, &[body]), Err(BodyError::NoLastChunk)), "{body:?}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_malformed() {
        for body in [&b"abc\r\n"[..1], b"zz\r\n", b"\r\n", b"+3\r\nabc\r\n", b"3\r\nabcd\r\n", b"0\r\nx\r\n"]
        {
            let malformed = matches!(read(None, &[body, b"\n"]), Err(BodyError::MalformedChunk));
            assert!(malformed, "{body:?}");
        }
    }
}
