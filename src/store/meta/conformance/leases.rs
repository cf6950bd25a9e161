//! Leases, and what is written under one.

use super::*;
use crate::store::meta::{HeldBy, Lease};

pub(super) async fn all(open: &impl AsyncFn() -> Store) {
    a_lease_is_held_by_one(open().await).await;
    what_is_written_under_a_lost_lease_is_refused(open().await).await;
}

async fn take(store: &Store, holder: &str, now: u64, until: u64) -> Result<Lease, HeldBy> {
    store.take_lease("gc", holder, Timestamp(now), Timestamp(until)).await.unwrap()
}

async fn a_lease_is_held_by_one(store: Store) {
    let first = take(&store, "one", 10, 20).await.unwrap();
    let held = HeldBy { holder: "one".to_owned(), until: Timestamp(20) };
    assert_eq!(take(&store, "two", 19, 40).await, Err(held));
    store.renew_lease(&first, Timestamp(30)).await.unwrap();
    assert!(take(&store, "two", 29, 40).await.is_err());
    let second = take(&store, "two", 30, 40).await.unwrap();
    assert_ne!(second.token, first.token);
    assert!(matches!(store.renew_lease(&first, Timestamp(99)).await, Err(MetaError::LeaseLost)));
    store.end_lease(&first).await.unwrap();
    assert!(take(&store, "three", 39, 50).await.is_err(), "only its holder ends a lease");
    store.end_lease(&second).await.unwrap();
    take(&store, "three", 31, 50).await.unwrap();
    let other = store.take_lease("scrub", "three", Timestamp(31), Timestamp(50)).await.unwrap();
    assert!(other.is_ok(), "leases of other names are others");
}

async fn what_is_written_under_a_lost_lease_is_refused(store: Store) {
    let bucket = bucket(&store).await;
    change(&store, &bucket, "k", put("x")).await.unwrap();
    change(&store, &bucket, "k", deletion()).await.unwrap();
    let idle = store.idle_xorbs(Timestamp(0), None, 10).await.unwrap();
    assert_eq!(idle.len(), 1);
    let lease = take(&store, "one", 10, 20).await.unwrap();
    let paused = store.under(&lease);
    let taken_over = take(&store, "two", 30, 40).await.unwrap();
    let refused = paused.remove_xorbs(idle.clone(), Timestamp(0)).await;
    assert!(matches!(refused, Err(MetaError::LeaseLost)));
    assert!(matches!(paused.forget_pack(PackId(1)).await, Err(MetaError::LeaseLost)));
    assert_eq!(paused.idle_xorbs(Timestamp(0), None, 10).await.unwrap(), idle, "it may read");
    let collector = store.under(&taken_over);
    assert_eq!(collector.remove_xorbs(idle, Timestamp(0)).await.unwrap().len(), 1);
    assert!(collector.forget_pack(PackId(1)).await.unwrap());
}
