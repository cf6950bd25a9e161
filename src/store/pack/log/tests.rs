//! Who may write where, and what is left of those who gave up.

use super::super::MemoryPacks;
use super::*;
use crate::store::simulated::faults::{FailingPacks, Faults, Operation};

fn log(packs: &MemoryPacks, committed: &[PackRow]) -> Arc<PackLog> {
    Arc::new(PackLog::open(Arc::new(packs.clone()), committed, 64).unwrap())
}

fn append(log: &Arc<PackLog>, bytes: &[u8]) -> (PackLease, PackId, u64) {
    let mut lease = log.lease();
    let (id, offset) = lease.position().unwrap();
    lease.append(bytes).unwrap();
    (lease, id, offset)
}

#[test]
fn a_dropped_lease_leaves_nothing() {
    let packs = MemoryPacks::default();
    let log = log(&packs, &[]);
    append(&log, b"keep").0.commit().unwrap();
    drop(append(&log, b"throw away"));
    assert_eq!(packs.list().unwrap().iter().map(|(_, len)| *len).sum::<u64>(), 4);
    let (lease, id, offset) = append(&log, b"more");
    lease.commit().unwrap();
    assert_eq!(log.read(id, offset, 4).unwrap(), "more");
    assert_eq!(packs.list().unwrap().len(), 1);
}

#[test]
fn what_was_secured_stays_when_the_lease_is_dropped() {
    let packs = MemoryPacks::default();
    let log = log(&packs, &[]);
    let mut lease = log.lease();
    let mut places = Vec::new();
    for byte in 0..3 {
        places.push(lease.position().unwrap());
        lease.append(&[byte; 64]).unwrap();
    }
    let (filled, _) = places[0];
    lease.secure(filled).unwrap();
    lease.secure(places[2].0).unwrap();
    lease.append(b"throw away").unwrap();
    assert!(!log.retire(places[2].0), "it is leased");
    drop(lease);
    assert_eq!(packs.list().unwrap(), [(filled, 64), (places[2].0, 64)]);
    assert!(log.retire(places[2].0));
}

#[test]
fn writers_at_the_same_time_have_packs_of_their_own() {
    let packs = MemoryPacks::default();
    let log = log(&packs, &[]);
    let (one, first, _) = append(&log, b"one");
    let (two, second, _) = append(&log, b"two");
    assert_ne!(first, second);
    one.commit().unwrap();
    two.commit().unwrap();
}

#[test]
fn what_was_never_committed_is_gone_after_a_start() {
    let packs = MemoryPacks::default();
    let before = log(&packs, &[]);
    let (lease, id, _) = append(&before, b"committed");
    lease.commit().unwrap();
    append(&before, b"synced, not committed").0.commit().unwrap();
    let (torn, other, _) = append(&before, b"never synced");
    let (orphan, _, _) = append(&before, b"a pack of its own");
    std::mem::forget((torn, orphan));
    assert_eq!(other, id);
    let after = log(&packs, &[PackRow { id, committed_end: 9, live_bytes: 9 }]);
    assert_eq!(packs.list().unwrap(), [(id, 9)]);
    let (_, next, _) = append(&after, b"x");
    assert_eq!(next, id, "the pack goes on where it was cut");
}

#[test]
fn a_full_pack_is_left_for_a_new_one() {
    let packs = MemoryPacks::default();
    let committed = PackRow { id: PackId(7), committed_end: 64, live_bytes: 64 };
    let mut full = packs.create(PackId(7)).unwrap();
    full.append(&[0; 64]).unwrap();
    let log = log(&packs, &[committed]);
    let (lease, id, offset) = append(&log, b"x");
    lease.commit().unwrap();
    assert_eq!((id, offset), (PackId(8), 0));
}

#[test]
fn a_failed_sync_between_two_packs_takes_all_of_the_lease_back() {
    let packs = MemoryPacks::default();
    let faults = Arc::<Faults>::default();
    let failing = FailingPacks { inner: Arc::new(packs.clone()), faults: Arc::clone(&faults) };
    let log = Arc::new(PackLog::open(Arc::new(failing), &[], 64).unwrap());
    let (kept, first, _) = append(&log, b"keep");
    kept.commit().unwrap();
    let mut lease = log.lease();
    for _ in 0..2 {
        lease.position().unwrap();
        lease.append(&[1; 64]).unwrap();
    }
    // It has filled two packs, and synced the first of them.
    faults.fail(Operation::Sync, rustix::io::Errno::IO);
    assert!(lease.position().is_err());
    let failed = PackId(first.0 + 1);
    assert_eq!(faults.mend(), 1);
    drop(lease);
    assert_eq!(log.read(first, 0, 4).unwrap(), "keep");
    assert_eq!(packs.list().unwrap()[0], (first, 4), "what the lease had filled and synced is cut off again");
    let mut again = log.lease();
    for _ in 0..3 {
        assert_ne!(again.position().unwrap().0, failed, "a pack that failed to sync is not used again");
        again.append(&[2; 64]).unwrap();
    }
    again.commit().unwrap();
    assert!(log.retire(failed));
}

#[test]
fn only_packs_that_nobody_holds_are_retired() {
    let packs = MemoryPacks::default();
    let log = log(&packs, &[]);
    let (lease, id, _) = append(&log, b"frame");
    assert!(!log.retire(id), "it is leased");
    let hold = lease.commit().unwrap();
    assert!(!log.retire(id), "its frame has no row yet");
    drop(hold);
    assert!(log.retire(id));
    let (other, next, _) = append(&log, b"x");
    assert_ne!(next, id, "a retired pack gets no more frames");
    drop(other);
    assert!(log.retire(next), "what a dropped lease has written needs no row");
    log.delete(id).unwrap();
    assert_eq!(log.list().unwrap(), [(next, 0)]);
    assert!(log.delete(id).is_ok(), "a pass that was dropped may have deleted it");
}
