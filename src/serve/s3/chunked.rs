//! A look at `aws-chunked` bodies before s3s reads them, so that one request cannot make it hold gigabytes.
//!
//! s3s 0.14.1 holds a whole chunk before it passes it on, whatever length the chunk declares, and takes a body that
//! ends without its last chunk for complete. The Go SDK sends an unsigned body as one single chunk. So here unsigned
//! chunks are cut into what arrives (nothing is signed, so the cuts are free, and no byte is copied), signed ones
//! are held to a limit, and a body without an end is an error.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;

/// Largest signed chunk: s3s has to hold it whole to check its signature. SDKs send 8 KiB to 1 MiB.
const SIGNED_CHUNK_BYTES_MAX: u64 = 16 << 20;

/// Longest line with a chunk's size and signature; s3s's own limit.
const SIZE_LINE_BYTES_MAX: usize = 1024;

/// Why an `aws-chunked` body was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum FramingError {
    /// A signed chunk is too large to be held.
    #[error("{}", FramingError::TOO_LARGE)]
    TooLarge,
    /// It is not `aws-chunked`.
    #[error("{}", FramingError::MALFORMED)]
    Malformed,
    /// It ended before its last chunk.
    #[error("aws-chunked: the body ended before its last chunk")]
    Truncated,
    /// The connection failed.
    #[error("reading the body")]
    Connection(#[source] axum::Error),
}

impl FramingError {
    /// What [`FramingError::TooLarge`] says.
    pub(super) const TOO_LARGE: &'static str = "aws-chunked: a signed chunk must not exceed 16 MiB";
    /// What [`FramingError::Malformed`] says.
    pub(super) const MALFORMED: &'static str = "aws-chunked: malformed chunk";
}

/// Where in the framing the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the line with a chunk's size.
    Size,
    /// In a chunk's data, so many bytes before its end.
    Data(u64),
    /// In the line end behind a chunk's data.
    DataEnd { seen_cr: bool },
    /// Behind the last chunk's size: trailers, which s3s reads and limits.
    Trailers,
}

/// The framing of one body.
#[derive(Debug)]
struct Framing {
    signed: bool,
    at: At,
    line: Vec<u8>,
    out: VecDeque<Bytes>,
}

impl Framing {
    fn new(signed: bool) -> Self {
        Self { signed, at: At::Size, line: Vec::new(), out: VecDeque::new() }
    }

    /// Takes what has arrived; what goes on to s3s is then in `out`.
    fn feed(&mut self, mut input: Bytes) -> Result<(), FramingError> {
        while !input.is_empty() {
            match self.at {
                At::Size => self.feed_size_line(&mut input)?,
                At::Data(left) => self.feed_data(left, &mut input),
                At::DataEnd { seen_cr } => self.feed_data_end(seen_cr, &mut input)?,
                At::Trailers => self.out.push_back(std::mem::take(&mut input)),
            }
        }
        Ok(())
    }

    fn feed_size_line(&mut self, input: &mut Bytes) -> Result<(), FramingError> {
        let end = input.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let piece = input.split_to(end.unwrap_or(input.len()));
        if self.line.len() + piece.len() > SIZE_LINE_BYTES_MAX {
            return Err(FramingError::Malformed);
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(());
        }
        let line = Bytes::from(std::mem::take(&mut self.line));
        let size = parse_size(&line).ok_or(FramingError::Malformed)?;
        if self.signed && size > SIGNED_CHUNK_BYTES_MAX {
            return Err(FramingError::TooLarge);
        }
        if self.signed || size == 0 {
            self.out.push_back(line);
        }
        self.at = if size == 0 { At::Trailers } else { At::Data(size) };
        Ok(())
    }

    fn feed_data(&mut self, left: u64, input: &mut Bytes) {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let data = input.split_to(len);
        if self.signed {
            self.out.push_back(data);
        } else {
            let size_line = Bytes::from(format!("{len:x}\r\n"));
            self.out.extend([size_line, data, Bytes::from_static(b"\r\n")]);
        }
        let left = left - len as u64;
        self.at = if left == 0 { At::DataEnd { seen_cr: false } } else { At::Data(left) };
    }

    fn feed_data_end(&mut self, seen_cr: bool, input: &mut Bytes) -> Result<(), FramingError> {
        let byte = input.split_to(1);
        self.at = match (seen_cr, byte[0]) {
            (false, b'\r') => At::DataEnd { seen_cr: true },
            (true, b'\n') => At::Size,
            _ => return Err(FramingError::Malformed),
        };
        if self.signed {
            self.out.push_back(byte);
        }
        Ok(())
    }

    fn end(&self) -> Result<(), FramingError> {
        if self.at == At::Trailers { Ok(()) } else { Err(FramingError::Truncated) }
    }
}

/// The size in a line like `1f4;chunk-signature=...\r\n`.
fn parse_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let digits = line.split_once(';').map_or(line, |(digits, _)| digits);
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    well_formed.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

/// An `aws-chunked` body whose framing is checked as it passes.
pub(super) struct CheckedChunks {
    body: axum::body::BodyDataStream,
    framing: Framing,
    done: bool,
}

impl CheckedChunks {
    /// Wraps a body; `signed` if its chunks carry signatures.
    pub(super) fn new(body: axum::body::Body, signed: bool) -> Self {
        Self { body: body.into_data_stream(), framing: Framing::new(signed), done: false }
    }
}

impl Stream for CheckedChunks {
    type Item = Result<Bytes, FramingError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.framing.out.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            let fed = match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(bytes)) => self.framing.feed(bytes),
                Some(Err(error)) => Err(FramingError::Connection(error)),
                None => {
                    self.done = true;
                    self.framing.end()
                }
            };
            if let Err(error) = fed {
                self.done = true;
                self.framing.out.clear();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(signed: bool, pieces: &[&[u8]]) -> Result<Vec<u8>, FramingError> {
        let mut framing = Framing::new(signed);
        for piece in pieces {
            framing.feed(Bytes::copy_from_slice(piece))?;
        }
        framing.end()?;
        Ok(framing.out.into_iter().flatten().collect())
    }

    #[test]
    fn a_signed_body_passes_unchanged_however_it_is_cut() {
        let body =
            b"3;chunk-signature=aa\r\nabc\r\n0;chunk-signature=bb\r\n\r\nx-amz-checksum-crc32:AAAAAA==\r\n";
        assert_eq!(pass(true, &[body]).unwrap(), body);
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(pass(true, &bytes).unwrap(), body);
    }

    #[test]
    fn an_unsigned_chunk_is_cut_into_what_arrives() {
        let pieces: [&[u8]; 3] = [b"6\r\nab", b"cd", b"ef\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"];
        let expected = b"2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        assert_eq!(pass(false, &pieces).unwrap(), expected);
    }

    #[test]
    fn a_signed_chunk_too_large_to_hold_is_refused() {
        let result = pass(true, &[b"1000001;chunk-signature=aa\r\n"]);
        assert!(matches!(result, Err(FramingError::TooLarge)));
    }

    #[test]
    fn an_unsigned_chunk_may_have_any_size() {
        let mut framing = Framing::new(false);
        framing.feed(Bytes::from_static(b"fffffffff\r\nabc")).unwrap();
        assert_eq!(framing.at, At::Data(0xf_ffff_ffff - 3));
    }

    #[test]
    fn a_body_without_its_last_chunk_is_truncated() {
        for body in [&b""[..], b"3\r\nabc\r\n", b"3\r\nab", b"3"] {
            assert!(matches!(pass(false, &[body]), Err(FramingError::Truncated)), "{body:?}");
        }
    }

    #[test]
    fn what_is_not_chunked_is_malformed() {
        for body in [&b"abc\r\n"[..1], b"zz\r\n", b"\r\n", b"+3\r\nabc\r\n", b"3\r\nabcd\r\n"] {
            let malformed = matches!(pass(false, &[body, b"\n"]), Err(FramingError::Malformed));
            assert!(malformed, "{body:?}");
        }
    }
}
