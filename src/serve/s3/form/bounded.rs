//! The file of a form, held to the length that its policy allows: the length is known only at its end.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;

use crate::bucket::BoxError;

/// The file has not the length that it may have.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutOfBounds {
    /// It ended before the least.
    #[error("the file is smaller than its policy allows")]
    TooSmall,
    /// It went beyond the most.
    #[error("the file is larger than its policy allows")]
    TooLarge,
}

/// A stream whose length must be in a range.
pub(super) struct Bounded {
    inner: multer::Field<'static>,
    allowed: RangeInclusive<u64>,
    seen: u64,
}

impl Bounded {
    /// Holds `inner` to a least and a most.
    pub(super) fn new(inner: multer::Field<'static>, (min, max): (u64, u64)) -> Self {
        Self { inner, allowed: min..=max, seen: 0 }
    }
}

impl Stream for Bounded {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(bytes))) => {
                self.seen += bytes.len() as u64;
                if self.seen > *self.allowed.end() {
                    return Poll::Ready(Some(Err(OutOfBounds::TooLarge.into())));
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) if self.seen < *self.allowed.start() => {
                // Told once; the stream has ended then.
                self.seen = *self.allowed.start();
                Poll::Ready(Some(Err(OutOfBounds::TooSmall.into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
