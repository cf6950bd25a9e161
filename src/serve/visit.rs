//! [`Visit`]: what becomes known of a request while it passes.
//!
//! The listener's layer puts one into every request; doors write down what they find out (which operation it is, who
//! calls, what for), and the layer reads it at the end, for the metrics and the audit log. Where a caller becomes known,
//! the limits of that caller are asked, so a door has one call to make for both. A request without a visit is a test's.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::Extensions;

use super::guard::{Busy, Guard, Permit};
use crate::auth::Credential;
use crate::model::tenant::{Tenant, TenantScope};

/// A request's notes. A request extension.
#[derive(Clone, Default)]
pub(super) struct Visit(Arc<Notes>);

#[derive(Default)]
struct Notes {
    operation: OnceLock<&'static str>,
    caller: OnceLock<Arc<Credential>>,
    target: OnceLock<(String, String)>,
    code: OnceLock<String>,
    guard: Option<Arc<Guard>>,
    wants_target: bool,
    /// Kept until the last byte of the answer has left.
    permit: Mutex<Option<Permit>>,
    tenant: TenantScope,
}

impl Visit {
    /// A visit whose caller is held to `guard`; `wants_target` if somebody will read what it is for.
    pub(super) fn new(guard: Arc<Guard>, wants_target: bool) -> Self {
        Self(Arc::new(Notes { guard: Some(guard), wants_target, ..Notes::default() }))
    }

    /// The request's.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Notes which operation it is.
    pub(super) fn is_for(&self, operation: &'static str) {
        let _ = self.0.operation.set(operation);
    }

    /// Notes the bucket and the object.
    pub(super) fn is_about(&self, bucket: &str, key: &str) {
        if self.0.wants_target {
            let _ = self.0.target.set((bucket.to_owned(), key.to_owned()));
        }
    }

    /// Notes the code of the error that it is answered.
    pub(super) fn ends_with(&self, code: &str) {
        let _ = self.0.code.set(code.to_owned());
    }

    /// Notes who calls, who has proved it; refuses if the caller has too much running, or asks too often. Asked again, it
    /// says the same.
    pub(super) fn comes_from(&self, caller: &Arc<Credential>) -> Result<(), Busy> {
        let notes = &self.0;
        let mut permit = notes.permit.lock().unwrap_or_else(PoisonError::into_inner);
        if permit.is_some() {
            return Ok(());
        }
        let _ = notes.caller.set(Arc::clone(caller));
        notes.tenant.is(Tenant::Key(caller.access_key_id.as_str().into()));
        if let Some(guard) = &notes.guard {
            *permit = Some(guard.admit(&caller.access_key_id)?);
        }
        Ok(())
    }

    /// Does the request's work for its tenant: anonymous, until it is known who calls.
    pub(super) async fn run<F: Future>(&self, work: F) -> F::Output {
        self.0.tenant.clone().run(work).await
    }

    /// The request runs no longer, though its answer is still to come.
    pub(super) fn ends_early(&self) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The operation; `-` if none was found out.
    pub(super) fn operation(&self) -> &'static str {
        self.0.operation.get().copied().unwrap_or("-")
    }

    /// Who has called.
    pub(super) fn caller(&self) -> Option<&Arc<Credential>> {
        self.0.caller.get()
    }

    /// The bucket and the object.
    pub(super) fn target(&self) -> Option<(&str, &str)> {
        self.0.target.get().map(|(bucket, key)| (bucket.as_str(), key.as_str()))
    }

    /// The code of the error.
    pub(super) fn code(&self) -> Option<&str> {
        self.0.code.get().map(String::as_str)
    }
}
