//! What every [`PackStore`] must do; each implementation's tests call [`all`].

use std::io;

use super::{PackId, PackStore};

/// Runs the whole suite; `open` gives an empty store.
pub fn all<S: PackStore>(open: impl Fn() -> S) {
    appended_bytes_read_back_after_a_sync(&open());
    reading_past_the_end_is_an_error(&open());
    truncating_takes_back_the_tail(&open());
    reopening_cuts_off_and_goes_on(&open());
    reopening_beyond_the_end_is_refused(&open());
    an_id_is_used_once(&open());
    packs_are_listed_by_id_and_deleted(&open());
}

fn appended_bytes_read_back_after_a_sync(store: &impl PackStore) {
    let mut writer = store.create(PackId(1)).unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    for _ in 0..4 {
        writer.append(&block).unwrap();
    }
    writer.sync().unwrap();
    assert_eq!(writer.len(), 2_800_000);
    assert_eq!(store.read(PackId(1), 700_000, 700_000).unwrap(), block);
    assert_eq!(store.read(PackId(1), 2_799_999, 1).unwrap(), block[699_999..]);
}

fn reading_past_the_end_is_an_error(store: &impl PackStore) {
    let mut writer = store.create(PackId(1)).unwrap();
    writer.append(b"abc").unwrap();
    writer.sync().unwrap();
    for (offset, len) in [(0, 4), (3, 1), (u64::MAX, 1)] {
        assert!(store.read(PackId(1), offset, len).is_err(), "{offset} {len}");
    }
    assert!(store.read(PackId(2), 0, 0).is_err());
}

fn truncating_takes_back_the_tail(store: &impl PackStore) {
    let mut writer = store.create(PackId(1)).unwrap();
    writer.append(b"keep").unwrap();
    writer.sync().unwrap();
    writer.append(b"throw away").unwrap();
    writer.truncate(4).unwrap();
    writer.append(b"!").unwrap();
    writer.sync().unwrap();
    assert_eq!(store.list().unwrap(), [(PackId(1), 5)]);
    assert_eq!(store.read(PackId(1), 0, 5).unwrap(), "keep!");
}

fn reopening_cuts_off_and_goes_on(store: &impl PackStore) {
    let mut writer = store.create(PackId(1)).unwrap();
    writer.append(b"committed|torn").unwrap();
    writer.sync().unwrap();
    drop(writer);
    let mut writer = store.reopen(PackId(1), 10).unwrap();
    assert_eq!((writer.id(), writer.len()), (PackId(1), 10));
    writer.append(b"next").unwrap();
    writer.sync().unwrap();
    assert_eq!(store.read(PackId(1), 0, 14).unwrap(), "committed|next");
}

fn reopening_beyond_the_end_is_refused(store: &impl PackStore) {
    store.create(PackId(1)).unwrap();
    assert!(store.reopen(PackId(1), 1).is_err());
    assert!(store.reopen(PackId(2), 0).is_err());
}

fn an_id_is_used_once(store: &impl PackStore) {
    store.create(PackId(1)).unwrap();
    let error = store.create(PackId(1)).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

fn packs_are_listed_by_id_and_deleted(store: &impl PackStore) {
    for id in [3, 0x10, 1] {
        store.create(PackId(id)).unwrap();
    }
    let ids = || store.list().unwrap().into_iter().map(|(id, _)| id.0).collect::<Vec<_>>();
    assert_eq!(ids(), [1, 3, 0x10]);
    store.delete(PackId(3)).unwrap();
    assert_eq!(ids(), [1, 0x10]);
    assert!(store.read(PackId(3), 0, 0).is_err());
    assert!(store.delete(PackId(3)).is_err());
}

#[test]
fn memory_packs_conform() {
    all(super::MemoryPacks::default);
}

#[test]
fn local_packs_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    all(|| {
        count.set(count.get() + 1);
        super::LocalPacks::open(&folder.path().join(count.get().to_string())).unwrap()
    });
}
