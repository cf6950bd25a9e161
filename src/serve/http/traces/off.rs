//! What stands for traces in a build without them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::HeaderMap;
use tokio::runtime::Handle;

use super::Ended;
use crate::model::clock::Entropy;

/// The span that a request says it belongs to: not read in this build.
pub enum ParentSpan {}

/// There are none.
pub struct Traces(Infallible);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The feature is missing.
    #[error(
        "this build cannot send traces: it was built without the feature otlp. Remove [traces] from the configuration"
    )]
    NotBuilt,
}

impl Traces {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn to(_: &str, _: f64, _: Arc<dyn Entropy>, _: Handle) -> Result<Self, TracesError> {
        Err(TracesError::NotBuilt)
    }

    pub(in crate::serve::http) fn parent(&self, _: &HeaderMap) -> ParentSpan {
        match self.0 {}
    }

    pub(in crate::serve::http) fn request_ends(&self, _: &ParentSpan, _: &Ended<'_>) {
        match self.0 {}
    }

    /// Nothing waits.
    pub fn end(&self) {
        match self.0 {}
    }
}
