//! The trailers of a body.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;

/// Where the trailers of a body are, once the body has been read to its end.
#[derive(Debug, Clone, Default)]
pub(in crate::serve::s3) struct Trailers(Arc<Mutex<Option<HeaderMap>>>);

impl Trailers {
    /// Looks at the trailers, if they have come.
    pub(in crate::serve::s3) fn read<T>(&self, look: impl FnOnce(&HeaderMap) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Keeps what has come.
    pub(super) fn set(&self, trailers: HeaderMap) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(trailers);
    }
}
