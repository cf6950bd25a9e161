//! What every [`PackStore`] must do. `tests/packs.rs` runs it too, on object stores that are processes.

use std::io;

use super::{PackId, PackMedium, PackStore, PackWriter};

fn written(store: &impl PackStore, id: u64, bytes: &[u8]) -> Box<dyn PackWriter> {
    let mut writer = store.create(PackId(id)).unwrap();
    writer.append(bytes).unwrap();
    writer
}

/// Runs the whole suite; `open` gives an empty store.
pub(crate) fn all<S: PackStore>(open: impl Fn() -> S) {
    appended_bytes_read_back_after_a_sync(&open());
    reading_past_the_end_is_an_error(&open());
    an_id_is_used_once(&open());
    packs_are_listed_by_id_and_deleted(&open());
    what_is_taken_back_leaves_nothing(&open());
    match open().medium() {
        PackMedium::File => {
            truncating_takes_back_the_tail(&open());
            reopening_cuts_off_and_goes_on(&open());
            reopening_beyond_the_end_is_refused(&open());
        }
        PackMedium::Object => {
            a_synced_object_takes_nothing_more(&open());
            a_finished_object_is_there_when_its_sync_returns(&open());
        }
    }
}

fn appended_bytes_read_back_after_a_sync(store: &impl PackStore) {
    let mut writer = store.create(PackId(1)).unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    // More than two parts of an object.
    for _ in 0..30 {
        writer.append(&block).unwrap();
    }
    writer.sync().unwrap();
    assert_eq!(writer.len(), 21_000_000);
    for at in [0, 700_000, 7_700_000, 20_300_000] {
        assert_eq!(store.read(PackId(1), at, 700_000).unwrap(), block);
    }
    assert_eq!(store.read(PackId(1), 20_999_999, 1).unwrap(), block[699_999..]);
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
    written(store, 1, b"first").sync().unwrap();
    let again = store.create(PackId(1)).and_then(|mut writer| {
        writer.append(b"again")?;
        writer.sync()
    });
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(store.read(PackId(1), 0, 5).unwrap(), "first");
}

fn packs_are_listed_by_id_and_deleted(store: &impl PackStore) {
    for id in [3, 0x10, 1] {
        written(store, id, b"pack").sync().unwrap();
    }
    let ids = || store.list().unwrap().into_iter().map(|(id, len)| (id.0, len)).collect::<Vec<_>>();
    assert_eq!(ids(), [(1, 4), (3, 4), (0x10, 4)]);
    store.delete(PackId(3)).unwrap();
    assert_eq!(ids(), [(1, 4), (0x10, 4)]);
    assert_eq!(store.read(PackId(3), 0, 0).unwrap_err().kind(), io::ErrorKind::NotFound);
    // To delete what is gone is no error to an object store.
    assert!(store.medium() == PackMedium::Object || store.delete(PackId(3)).is_err());
}

fn what_is_taken_back_leaves_nothing(store: &impl PackStore) {
    let mut writer = written(store, 1, &vec![1; 10_000_000]);
    writer.truncate(0).unwrap();
    assert!(writer.is_empty());
    writer.append(b"kept").unwrap();
    writer.sync().unwrap();
    assert_eq!(store.list().unwrap(), [(PackId(1), 4)]);
    assert_eq!(store.read(PackId(1), 0, 4).unwrap(), "kept");
}

fn a_synced_object_takes_nothing_more(store: &impl PackStore) {
    let mut writer = written(store, 1, b"");
    writer.sync().unwrap();
    assert!(!writer.is_finished(), "there is nothing in it");
    writer.append(b"pack").unwrap();
    writer.sync().unwrap();
    assert!(writer.is_finished());
    assert!(writer.append(b"more").is_err() && writer.truncate(0).is_err());
    writer.sync().unwrap();
    assert_eq!(store.list().unwrap(), [(PackId(1), 4)]);
    assert!(store.reopen(PackId(1), 4).is_err());
}

fn a_finished_object_is_there_when_its_sync_returns(store: &impl PackStore) {
    for (id, len) in [(1, 3), (2, 8 << 20), (3, 20_000_000)] {
        let mut writer = written(store, id, &vec![7; len]);
        assert!(!writer.finish().unwrap());
        assert!(writer.truncate(0).is_err(), "it is on its way");
        writer.sync().unwrap();
        assert_eq!(store.read(PackId(id), len as u64 - 1, 1).unwrap(), [7][..]);
    }
}
