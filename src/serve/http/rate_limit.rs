//! [`RateLimiter`]: how many requests callers may send, at a time and a second, and how fast credentials can be guessed.
//!
//! A limit of 0 means no limit, and costs nothing. A request over a limit is answered "slow down" (S3: 503 `SlowDown`; the
//! Hub: 429), and published clients do so by themselves. Answers to wrong credentials are held back, the longer the more there
//! were from one address: guessing is slow whatever the number of connections, and other addresses do not wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::auth::AccessKeyId;

/// Addresses whose failures are remembered, at some 100 bytes each; of more, the oldest are forgotten.
const ADDRESSES_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// This many failures in a row are answered at once: a client with an old credential is not an attacker.
const FAILURES_FREE: u32 = 50;

/// The longest that an answer is held back.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// A limit of requests; 0 means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second; those of one second may come all at once.
    pub requests_per_sec: u32,
    /// Requests at a time.
    pub concurrent: u32,
}

/// All limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// For all callers together.
    pub all: RateLimit,
    /// For each access key.
    pub key: RateLimit,
    /// Wrong credentials answered a second, for each address; 0 for no limit.
    pub failures_per_sec: u32,
}

/// A request is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The requests of one caller, or of all callers.
#[derive(Debug, Default)]
struct Meter {
    /// When the next request would come if they came evenly; `None` before the first.
    due: Option<Instant>,
    running: u32,
}

impl RateLimit {
    fn is_none(self) -> bool {
        self == Self::default()
    }

    fn take(self, meter: &mut Meter, now: Instant) -> Result<(), Busy> {
        if self.concurrent > 0 && meter.running >= self.concurrent {
            return Err(Busy);
        }
        if self.requests_per_sec > 0 {
            let step = Duration::from_secs(1) / self.requests_per_sec;
            let due = meter.due.map_or(now, |due| due.max(now)) + step;
            if due > now + Duration::from_secs(1) {
                return Err(Busy);
            }
            meter.due = Some(due);
        }
        meter.running += 1;
        Ok(())
    }
}

/// Applies the limits.
pub struct RateLimiter {
    limits: RateLimits,
    all: Mutex<Meter>,
    keys: Mutex<HashMap<AccessKeyId, Meter>>,
    failures: Mutex<LruCache<IpAddr, Instant>>,
}

/// Counts as running until it is dropped.
pub struct Permit {
    /// The limiter that it is given back to; `None` if there is no limit.
    of: Option<(Arc<RateLimiter>, Option<AccessKeyId>)>,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RateLimiter {
    /// A limiter with these limits.
    pub fn new(limits: RateLimits) -> Self {
        let failures = Mutex::new(LruCache::new(ADDRESSES_MAX));
        Self { limits, all: Mutex::default(), keys: Mutex::default(), failures }
    }

    /// Takes a permit under the limit of all callers together.
    pub(super) fn admit_request(self: &Arc<Self>) -> Result<Permit, Busy> {
        if self.limits.all.is_none() {
            return Ok(Permit { of: None });
        }
        self.limits.all.take(&mut lock(&self.all), Instant::now())?;
        Ok(Permit { of: Some((Arc::clone(self), None)) })
    }

    /// Takes a permit under the limit of one access key.
    pub(super) fn admit_key(self: &Arc<Self>, key: &AccessKeyId) -> Result<Permit, Busy> {
        if self.limits.key.is_none() {
            return Ok(Permit { of: None });
        }
        let mut keys = lock(&self.keys);
        let meter = keys.entry(key.clone()).or_default();
        self.limits.key.take(meter, Instant::now())?;
        Ok(Permit { of: Some((Arc::clone(self), Some(key.clone()))) })
    }

    /// How long to hold back the answer to a wrong credential from this address.
    pub(super) fn delay(&self, from: IpAddr, now: Instant) -> Duration {
        if self.limits.failures_per_sec == 0 {
            return Duration::ZERO;
        }
        let step = Duration::from_secs(1) / self.limits.failures_per_sec;
        let mut failures = lock(&self.failures);
        let due = failures.get(&from).map_or(now, |due| (*due).max(now)) + step;
        failures.put(from, due);
        due.saturating_duration_since(now + step * FAILURES_FREE).min(DELAY_MAX)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        match &self.of {
            None => {}
            Some((limiter, None)) => lock(&limiter.all).running -= 1,
            Some((limiter, Some(key))) => {
                if let Some(meter) = lock(&limiter.keys).get_mut(key) {
                    meter.running -= 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> AccessKeyId {
        AccessKeyId::new(id).unwrap()
    }

    fn limiter(limits: RateLimits) -> Arc<RateLimiter> {
        Arc::new(RateLimiter::new(limits))
    }

    #[test]
    fn each_key_has_so_many_at_a_time_and_all_together_too() {
        let at_a_time = |concurrent| RateLimit { concurrent, ..RateLimit::default() };
        let limits = RateLimits { all: at_a_time(3), key: at_a_time(1), ..RateLimits::default() };
        let limiter = limiter(limits);
        let first = limiter.admit_key(&key("A")).unwrap();
        assert!(limiter.admit_key(&key("A")).is_err());
        assert!(limiter.admit_key(&key("B")).is_ok());
        drop(first);
        assert!(limiter.admit_key(&key("A")).is_ok());
        let three: Vec<_> = (0..3).map(|_| limiter.admit_request().unwrap()).collect();
        assert!(limiter.admit_request().is_err());
        drop(three);
        assert!(limiter.admit_request().is_ok());
    }

    #[test]
    fn a_second_has_so_many_requests() {
        let limit = RateLimit { requests_per_sec: 10, concurrent: 0 };
        let (mut meter, begin) = (Meter::default(), Instant::now());
        let taken = (0..100).filter(|_| limit.take(&mut meter, begin).is_ok()).count();
        assert_eq!(taken, 10);
        let later = begin + Duration::from_millis(500);
        let taken = (0..100).filter(|_| limit.take(&mut meter, later).is_ok()).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn guesses_from_one_address_come_slower_and_slower_and_others_do_not_wait() {
        let limiter = limiter(RateLimits { failures_per_sec: 10, ..RateLimits::default() });
        let (bad, good) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Instant::now();
        let delays: Vec<_> = (0..200).map(|_| limiter.delay(bad, now)).collect();
        assert!(delays[..50].iter().all(Duration::is_zero));
        assert_eq!(delays[59], Duration::from_secs(1));
        assert_eq!(delays[199], DELAY_MAX);
        assert!(limiter.delay(good, now).is_zero());
        assert!(limiter.delay(bad, now + Duration::from_mins(1)).is_zero(), "it is forgiven");
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let limiter = limiter(RateLimits::default());
        let all: Vec<_> = (0..1000)
            .map(|_| (limiter.admit_request().unwrap(), limiter.admit_key(&key("A")).unwrap()))
            .collect();
        assert_eq!((all.len(), lock(&limiter.keys).len()), (1000, 0));
    }
}
