//! Bodies whose bytes are counted as they pass.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::access_log::Record;
use crate::store::metrics::Count;

/// The body of a request.
pub(super) struct ReceivedBody {
    pub(super) body: Body,
    pub(super) bytes: Arc<Count>,
}

impl http_body::Body for ReceivedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.bytes.add(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How many bytes the body of an answer must have to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedBytes {
    /// As many as the body holds, to its end.
    Unknown,
    /// This many.
    Known(u64),
}

impl ExpectedBytes {
    pub(super) fn of(method: &Method, response: &Response) -> Self {
        let status = response.status();
        let has_no_body =
            *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_no_body {
            return Self::Known(0);
        }
        let declared = response.headers().get(header::CONTENT_LENGTH);
        let declared = declared.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        declared.or(response.body().size_hint().exact()).map_or(Self::Unknown, Self::Known)
    }
}

/// The body of an answer. The record of its request is written when this is dropped: when the last byte has left, or the
/// client has.
pub(super) struct SentBody {
    pub(super) body: Body,
    pub(super) record: Record,
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            Poll::Ready(None) if self.record.expected == ExpectedBytes::Unknown => {
                self.record.expected = ExpectedBytes::Known(self.record.sent_bytes);
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
