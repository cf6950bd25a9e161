//! Access to a CAS: where it is, and the token that opens it for a while.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::RemoteError;
use crate::cas::http::BearerToken;
use crate::model::clock::{Clock, Timestamp};

/// A token is replaced this long before it ends. Source: Xet specification, "CAS HTTP API", token issue.
const RENEW_BEFORE_MS: u64 = 30_000;

/// How far an access reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Reading files.
    Read,
    /// Also storing xorbs and registering files.
    Write,
}

/// Where a CAS is, and a token for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CasAccess {
    /// Base of its URLs, without a slash at the end.
    pub url: String,
    /// The token.
    pub token: BearerToken,
    /// Until when it opens.
    pub expires_at: Timestamp,
}

/// Gives access to a CAS: in practice, a Hub that is asked for a bucket's token.
#[async_trait]
pub trait AccessSource: Send + Sync + 'static {
    /// A new access.
    async fn access(&self, reach: Reach) -> Result<CasAccess, RemoteError>;
}

/// Keeps accesses until shortly before they end.
pub struct KeptAccess {
    source: Arc<dyn AccessSource>,
    clock: Arc<dyn Clock>,
    read: Mutex<Option<CasAccess>>,
    write: Mutex<Option<CasAccess>>,
}

impl KeptAccess {
    /// Asks `source` when there is none that is still good.
    pub fn new(source: Arc<dyn AccessSource>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, read: Mutex::default(), write: Mutex::default() }
    }

    /// An access that is good for a while. Anyone who comes while it is being renewed waits for it.
    pub async fn get(&self, reach: Reach) -> Result<CasAccess, RemoteError> {
        let mut kept = self.slot(reach).lock().await;
        let good_until = |access: &CasAccess| access.expires_at.0.saturating_sub(RENEW_BEFORE_MS);
        if let Some(access) = kept.as_ref().filter(|access| self.clock.now().0 < good_until(access)) {
            return Ok(access.clone());
        }
        let access = self.source.access(reach).await?;
        Ok(kept.insert(access).clone())
    }

    /// Forgets an access that was refused.
    pub async fn forget(&self, reach: Reach, refused: &CasAccess) {
        self.slot(reach).lock().await.take_if(|kept| kept == refused);
    }

    fn slot(&self, reach: Reach) -> &Mutex<Option<CasAccess>> {
        match reach {
            Reach::Read => &self.read,
            Reach::Write => &self.write,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::model::clock::ManualClock;

    struct Counting(AtomicU64);

    #[async_trait]
    impl AccessSource for Counting {
        async fn access(&self, _reach: Reach) -> Result<CasAccess, RemoteError> {
            let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let token = BearerToken::new(&format!("token-{count}")).unwrap();
            Ok(CasAccess { url: "http://h".into(), token, expires_at: Timestamp(count * 100_000) })
        }
    }

    #[tokio::test]
    async fn an_access_is_renewed_before_it_ends_and_when_it_was_refused() {
        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let kept = KeptAccess::new(Arc::new(Counting(AtomicU64::new(0))), Arc::clone(&clock) as _);
        let first = kept.get(Reach::Read).await.unwrap();
        clock.advance_ms(69_999);
        assert_eq!(kept.get(Reach::Read).await.unwrap(), first);
        clock.advance_ms(1);
        let second = kept.get(Reach::Read).await.unwrap();
        assert_ne!(second, first);
        kept.forget(Reach::Read, &first).await;
        assert_eq!(kept.get(Reach::Read).await.unwrap(), second, "another one was refused");
        kept.forget(Reach::Read, &second).await;
        assert_ne!(kept.get(Reach::Read).await.unwrap(), second);
    }
}
