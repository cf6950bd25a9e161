//! Packs as objects, on memory, on a folder, and on object stores that fail.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::model::clock::{ManualClock, Timestamp};
use crate::store::pack::conformance;

/// An object store that several processes use, each with a data folder.
struct Place {
    store: Arc<InMemory>,
    folders: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { store: Arc::default(), folders: tempfile::tempdir().unwrap() }
    }

    /// Where a data folder has its pack files.
    fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.folders.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn open(&self, folder: &str, store_id: u64, has_packs: bool) -> Result<ObjectPacks, ObjectPacksError> {
        self.open_at(folder, store_id, has_packs, &Ambient::system())
    }

    fn open_at(
        &self,
        folder: &str,
        store_id: u64,
        has_packs: bool,
        ambient: &Ambient,
    ) -> Result<ObjectPacks, ObjectPacksError> {
        let store: Arc<dyn ObjectStore> = Arc::clone(&self.store) as _;
        let place = ObjectPlace { store, prefix: Path::from("p"), url: "memory:///p".to_owned() };
        ObjectPacks::open(place, &self.folder(folder), Owner { store_id, has_packs }, ambient)
    }

    fn names(&self) -> Vec<String> {
        let all = self.store.list(None).map_ok(|object| object.location.to_string());
        let mut names: Vec<_> = futures::executor::block_on(all.try_collect()).unwrap();
        names.sort();
        names
    }
}

fn put(packs: &ObjectPacks, number: u64) -> PackId {
    let id = PackId(packs.last_id().unwrap().0 + number);
    let mut writer = packs.create(id).unwrap();
    writer.append(b"pack").unwrap();
    writer.sync().unwrap();
    id
}

#[test]
fn objects_in_memory_conform() {
    conformance::all(|| ObjectPacks::over(Arc::new(InMemory::new()), Ambient::system().clock));
}

#[test]
fn each_start_numbers_packs_in_an_epoch_of_its_own() {
    let place = Place::new();
    let first = place.open("own", 7, false).unwrap();
    let mine = put(&first, 1);
    drop(first);
    let second = place.open("own", 7, true).unwrap();
    assert!(second.last_id().unwrap() > mine && !second.is_own(mine));
    assert_eq!(second.list().unwrap(), [(mine, 4)]);
    assert!(second.is_own(put(&second, 1)));
}

#[test]
fn epochs_that_were_deleted_are_not_given_out_again() {
    let place = Place::new();
    drop(place.open("own", 7, false).unwrap());
    let packs = place.open("own", 7, true).unwrap();
    let mine = put(&packs, 1);
    for name in place.names().into_iter().filter(|name| name.contains("epochs")) {
        futures::executor::block_on(place.store.delete(&Path::from(name))).unwrap();
    }
    // As one does whose data folder is gone, but for its metadata.
    let restored = place.open("restored", 7, true).unwrap();
    assert!(restored.last_id().unwrap() > mine);
}

#[test]
fn a_place_is_one_deployments() {
    let place = Place::new();
    put(&place.open("own", 7, false).unwrap(), 1);
    let before = place.names();
    let refused = |folder, id, has_packs| place.open(folder, id, has_packs).err().unwrap();
    assert!(matches!(refused("other", 8, false), ObjectPacksError::OtherStore { .. }));
    // The same metadata, of which this data folder does not know what has been done with it.
    assert!(matches!(refused("copy", 7, true), ObjectPacksError::Superseded { .. }));
    assert_eq!(place.names(), before, "nothing is touched");
    place.open("own", 7, true).unwrap();

    let empty = Place::new();
    assert!(matches!(empty.open("own", 7, true).err().unwrap(), ObjectPacksError::Empty { .. }));
    assert_eq!(empty.names(), [""; 0]);

    let marked = Place::new();
    put(&marked.open("own", 7, false).unwrap(), 1);
    futures::executor::block_on(marked.store.delete(&Path::from("p/STORE"))).unwrap();
    let unmarked = marked.open("own", 7, false).err().unwrap();
    assert!(matches!(unmarked, ObjectPacksError::Unmarked { .. }));
}

#[test]
fn a_crash_while_an_epoch_is_taken_does_not_lock_the_store_out() {
    let place = Place::new();
    put(&place.open("own", 7, false).unwrap(), 1);
    let path = place.folder("own").join(ELSEWHERE);
    let before = std::fs::read_to_string(&path).unwrap();
    place.open("own", 7, true).unwrap();
    // The epoch was taken, and the crash came before that was noted alone: both tokens are there.
    let after = std::fs::read_to_string(&path).unwrap();
    let both = format!("{before}{}", after.lines().nth(1).unwrap());
    std::fs::write(&path, both).unwrap();
    place.open("own", 7, true).unwrap();
}

#[test]
fn unknown_packs_of_others_are_deleted_a_day_after_they_were_written_and_not_before() {
    let (place, system) = (Place::new(), Ambient::system());
    let before = place.open("own", 7, false).unwrap();
    let (left, named) = (put(&before, 1), put(&before, 2));
    let clock = Arc::new(ManualClock::at(Timestamp(system.clock.now().0)));
    let ambient = Ambient { clock: Arc::clone(&clock) as _, ..system };
    let packs = place.open_at("own", 7, true, &ambient).unwrap();
    let mine = put(&packs, 1);
    let there = || packs.list().unwrap().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    packs.discard(&[left, mine]).unwrap();
    clock.advance_ms(23 * 3_600_000);
    packs.discard(&[left, mine]).unwrap();
    assert_eq!(there(), [left, named, mine], "another process may be about to name it");
    clock.advance_ms(2 * 3_600_000);
    packs.discard(&[left, mine]).unwrap();
    assert_eq!(there(), [named, mine], "what is this process's own only gc knows of");
}

#[test]
fn objects_in_a_folder_conform() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::all(|| {
        count.set(count.get() + 1);
        let folder = folder.path().join(count.get().to_string());
        std::fs::create_dir(&folder).unwrap();
        ObjectPacks::over(address::folder(&folder).unwrap(), Ambient::system().clock)
    });
}
