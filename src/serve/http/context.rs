//! [`RequestContext`]: what becomes known of a request while it is served.
//!
//! The listener's layer puts one into every request. The APIs write into it (which operation it is, who calls, which bucket
//! and key), and the layer reads it at the end, for the logs, the metrics and the traces. The call that notes the caller
//! also takes the caller's permit of the rate limit, so that no API can forget it. A request without a context is a test's.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::Extensions;

use super::rate_limit::{Busy, Permit, RateLimiter};
use crate::auth::Credential;
use crate::model::tenant::{Tenant, TenantScope};

/// What is known of a request. A request extension.
#[derive(Clone, Default)]
pub(in crate::serve) struct RequestContext(Arc<Inner>);

#[derive(Default)]
struct Inner {
    operation: OnceLock<&'static str>,
    caller: OnceLock<Arc<Credential>>,
    target: OnceLock<(String, String)>,
    error_code: OnceLock<String>,
    rate_limiter: Option<Arc<RateLimiter>>,
    keeps_target: bool,
    /// Kept until the last byte of the answer has left.
    permit: Mutex<Option<Permit>>,
    tenant: TenantScope,
}

impl RequestContext {
    /// The context of a request whose caller is held to the limits of `rate_limiter`. Bucket and key are kept only if
    /// `keeps_target`: nobody reads them without an audit log or traces.
    pub(in crate::serve) fn new(rate_limiter: Arc<RateLimiter>, keeps_target: bool) -> Self {
        Self(Arc::new(Inner { rate_limiter: Some(rate_limiter), keeps_target, ..Inner::default() }))
    }

    /// The context of the request that has these extensions.
    pub(in crate::serve) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Notes which operation it is. Like the other notes, it is kept as it was first.
    pub(in crate::serve) fn set_operation(&self, operation: &'static str) {
        let _ = self.0.operation.set(operation);
    }

    /// Notes the bucket and the key.
    pub(in crate::serve) fn set_target(&self, bucket: &str, key: &str) {
        if self.0.keeps_target {
            let _ = self.0.target.set((bucket.to_owned(), key.to_owned()));
        }
    }

    /// Notes the code of the error that is answered.
    pub(in crate::serve) fn set_error_code(&self, code: &str) {
        let _ = self.0.error_code.set(code.to_owned());
    }

    /// Notes the caller, whose credential has been checked, and takes the caller's permit of the rate limit. A second call
    /// changes nothing.
    pub(in crate::serve) fn admit(&self, caller: &Arc<Credential>) -> Result<(), Busy> {
        let inner = &self.0;
        let mut permit = inner.permit.lock().unwrap_or_else(PoisonError::into_inner);
        if permit.is_some() {
            return Ok(());
        }
        let _ = inner.caller.set(Arc::clone(caller));
        inner.tenant.is(Tenant::Key(caller.access_key_id.as_str().into()));
        if let Some(rate_limiter) = &inner.rate_limiter {
            *permit = Some(rate_limiter.admit_key(&caller.access_key_id)?);
        }
        Ok(())
    }

    /// Does the request's work for its tenant: the anonymous one, until the caller is known.
    pub(super) async fn run_for_tenant<F: Future>(&self, work: F) -> F::Output {
        self.0.tenant.clone().run(work).await
    }

    /// Gives the caller's permit back: the work is done, though the answer is still to be sent.
    pub(super) fn release_permit(&self) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The operation; `-` if it is not known.
    pub(super) fn operation(&self) -> &'static str {
        self.0.operation.get().copied().unwrap_or("-")
    }

    /// The caller, if the request has shown a good credential.
    pub(in crate::serve) fn caller(&self) -> Option<&Arc<Credential>> {
        self.0.caller.get()
    }

    /// The bucket and the key.
    pub(super) fn target(&self) -> Option<(&str, &str)> {
        self.0.target.get().map(|(bucket, key)| (bucket.as_str(), key.as_str()))
    }

    /// The code of the error.
    pub(super) fn error_code(&self) -> Option<&str> {
        self.0.error_code.get().map(String::as_str)
    }
}
