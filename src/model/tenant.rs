//! [`Tenant`]: for whom work is done, so that shared pools can be shared out.
//!
//! The listener's layer opens a [`TenantScope`] around each request, and authorization says who it is once the caller
//! has proved it. Whatever the request does asks [`Tenant::current`]. A task that is spawned leaves the scope: it is
//! given the tenant with [`Tenant::scope`].

use std::sync::{Arc, OnceLock};

/// For whom work is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Tenant {
    /// The process itself: upkeep, the command line, tests. No share limits it.
    #[default]
    Own,
    /// Callers that have not proved who they are, all together.
    Anonymous,
    /// The holder of an access key.
    Key(Arc<str>),
}

tokio::task_local! {
    static CURRENT: TenantScope;
}

/// A request's tenant, anonymous until [`TenantScope::is`] names it.
#[derive(Debug, Clone, Default)]
pub struct TenantScope(Arc<OnceLock<Tenant>>);

impl TenantScope {
    /// Names the tenant. The first name stays.
    pub fn is(&self, tenant: Tenant) {
        let _ = self.0.set(tenant);
    }

    /// Runs `work` in this scope.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

impl Tenant {
    /// The tenant of the scope that this runs in; [`Tenant::Own`] outside of any.
    pub fn current() -> Self {
        let named = CURRENT.try_with(|scope| scope.0.get().cloned().unwrap_or(Self::Anonymous));
        named.unwrap_or_default()
    }

    /// Runs `work` for this tenant.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let scope = TenantScope::default();
        scope.is(self);
        scope.run(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_for_the_tenant_of_its_scope() {
        assert_eq!(Tenant::current(), Tenant::Own);
        let scope = TenantScope::default();
        let named = scope.clone();
        scope
            .run(async move {
                assert_eq!(Tenant::current(), Tenant::Anonymous);
                named.is(Tenant::Key("AK".into()));
                named.is(Tenant::Anonymous);
                let tenant = Tenant::current();
                assert_eq!(tenant, Tenant::Key("AK".into()));
                let spawned = tokio::spawn(tenant.clone().scope(async { Tenant::current() }));
                assert_eq!(spawned.await.unwrap(), tenant);
            })
            .await;
    }
}
