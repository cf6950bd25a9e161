//! [`Disk`]: files, of which only what was synced is sure to be there after the power was cut.
//!
//! What is lost, and what is not, as on a Linux file system:
//! * a write or a change of length is durable when its file was synced; before that it may have reached the disk
//!   whole, not at all, or in some of its sectors, and independently of those before it;
//! * a new or removed name is durable when the folder was synced;
//! * a sync that fails loses what it was to sync, although readers go on seeing it: the next sync reports success.
//!
//! A sector is written whole or not at all (redb relies on that for its header).

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A change of a file that is not durable yet.
#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::SetLen(len) => content.resize(*len, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }

    /// Some of its sectors only.
    fn apply_torn(&self, content: &mut Vec<u8>, rng: &mut Rng) {
        let Self::Write { offset, bytes } = self else {
            return self.apply(content);
        };
        let mut start = 0;
        while start < bytes.len() {
            let end = ((offset + start) / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
            let sector = &bytes[start..end.min(bytes.len())];
            if rng.roll(2) == 0 {
                Self::Write { offset: offset + start, bytes: sector.to_vec() }.apply(content);
            }
            start = end;
        }
    }
}

#[derive(Clone, Default)]
struct File {
    /// What readers see.
    seen: Vec<u8>,
    synced: Vec<u8>,
    /// On the way from the one to the other.
    changes: Vec<Change>,
}

impl File {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// As it would be found after a power cut.
    fn cut(&self, rng: &mut Rng) -> Self {
        let mut content = self.synced.clone();
        let count = self.changes.len() as u64;
        let (whole, torn) = match rng.roll(4) {
            0 => (0, false),
            1 => (count, false),
            2 => (rng.roll(count + 1), true),
            _ => {
                for change in &self.changes {
                    match rng.roll(3) {
                        0 => change.apply(&mut content),
                        1 => change.apply_torn(&mut content, rng),
                        _ => {}
                    }
                }
                (0, false)
            }
        };
        let (before, behind) = self.changes.split_at(whole as usize);
        for change in before {
            change.apply(&mut content);
        }
        if let Some(change) = behind.first().filter(|_| torn) {
            change.apply_torn(&mut content, rng);
        }
        Self { seen: content.clone(), synced: content, changes: Vec::new() }
    }
}

type Names = BTreeMap<String, usize>;

#[derive(Default)]
struct State {
    files: Vec<File>,
    names: Names,
    synced_names: Names,
    /// Names given or taken since the folder was synced; those of one change together.
    name_changes: Vec<Vec<(String, Option<usize>)>>,
    operations: u64,
    cut_at: Option<u64>,
    is_off: bool,
    failing_syncs: u64,
}

/// The disk; its operations fail once the power is off.
#[derive(Default)]
pub(crate) struct Disk(Mutex<State>);

fn off() -> io::Error {
    io::Error::other("the power is off")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation. One during which the power goes may have been done or not; it is never answered.
    fn operate<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        if state.is_off {
            return Err(off());
        }
        state.operations += 1;
        state.is_off = state.cut_at == Some(state.operations);
        let done = work(&mut state);
        if state.is_off { Err(off()) } else { done }
    }

    /// Operations so far: everything but reading.
    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the power go during an operation.
    pub(crate) fn cut_at(&self, operation: u64) {
        self.lock().cut_at = Some(operation);
    }

    /// Lets the next syncs of files fail, each losing what it was to sync.
    pub(crate) fn fail_syncs(&self, count: u64) {
        self.lock().failing_syncs = count;
    }

    /// The disk as it is found when the power is back; `seed` says what of the unsynced has reached it.
    pub(crate) fn power_cut(&self, seed: u64) -> Self {
        let mut state = self.lock();
        state.is_off = true;
        let mut rng = Rng(seed);
        let files = state.files.iter().map(|file| file.cut(&mut rng)).collect();
        let mut names = state.synced_names.clone();
        for changes in &state.name_changes {
            if rng.roll(2) == 0 {
                for (name, file) in changes {
                    name_as(&mut names, name, *file);
                }
            }
        }
        Self(Mutex::new(State { files, synced_names: names.clone(), names, ..State::default() }))
    }

    pub(super) fn create(&self, name: &str) -> io::Result<usize> {
        self.operate(|state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let file = state.files.len();
            state.files.push(File::default());
            state.change_names(vec![(name.to_owned(), Some(file))]);
            Ok(file)
        })
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.operate(|state| {
            if !state.names.contains_key(name) {
                return Err(missing());
            }
            state.change_names(vec![(name.to_owned(), None)]);
            Ok(())
        })
    }

    /// Gives a file another name, which may be another file's; all at once.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate(|state| {
            let file = state.names.get(from).copied().ok_or_else(missing)?;
            state.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
            Ok(())
        })
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.operate(|state| {
            if !state.is_off {
                state.synced_names = state.names.clone();
                state.name_changes.clear();
            }
            Ok(())
        })
    }

    pub(super) fn find(&self, name: &str) -> io::Result<usize> {
        self.read(|state| state.names.get(name).copied().ok_or_else(missing))
    }

    /// Names with the lengths of their files.
    pub(super) fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let len = |state: &State, file: usize| state.files[file].seen.len() as u64;
        self.read(|state| {
            Ok(state.names.iter().map(|(name, file)| (name.clone(), len(state, *file))).collect())
        })
    }

    fn read<T>(&self, work: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        let state = self.lock();
        if state.is_off { Err(off()) } else { work(&state) }
    }

    pub(super) fn len(&self, file: usize) -> io::Result<u64> {
        self.read(|state| Ok(state.files[file].seen.len() as u64))
    }

    pub(super) fn read_at(&self, file: usize, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read(|state| {
            let seen = &state.files[file].seen;
            let start = usize::try_from(offset).ok().filter(|start| *start <= seen.len());
            let bytes = start.and_then(|start| seen[start..].get(..out.len()));
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    pub(super) fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let write = Change::Write { offset: offset as usize, bytes: bytes.to_vec() };
        self.operate(|state| {
            state.files[file].change(write);
            Ok(())
        })
    }

    pub(super) fn set_len(&self, file: usize, len: u64) -> io::Result<()> {
        self.operate(|state| {
            state.files[file].change(Change::SetLen(len as usize));
            Ok(())
        })
    }

    pub(super) fn sync(&self, file: usize) -> io::Result<()> {
        self.operate(|state| {
            if state.is_off {
                return Ok(());
            }
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                state.files[file].changes.clear();
                return Err(rustix::io::Errno::IO.into());
            }
            state.files[file].sync();
            Ok(())
        })
    }
}

impl State {
    fn change_names(&mut self, changes: Vec<(String, Option<usize>)>) {
        for (name, file) in &changes {
            name_as(&mut self.names, name, *file);
        }
        self.name_changes.push(changes);
    }
}

fn name_as(names: &mut Names, name: &str, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name.to_owned(), file)),
        None => drop(names.remove(name)),
    }
}

/// `SplitMix64`: the same rolls for the same seed.
struct Rng(u64);

impl Rng {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &Disk, name: &str) -> Option<Vec<u8>> {
        let file = disk.find(name).ok()?;
        let mut bytes = vec![0; disk.len(file).unwrap() as usize];
        disk.read_at(file, 0, &mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_may() {
        let disk = Disk::default();
        let file = disk.create("f").unwrap();
        disk.sync_folder().unwrap();
        disk.write_at(file, 0, &[1; 2000]).unwrap();
        disk.sync(file).unwrap();
        disk.write_at(file, 0, &[2; 1000]).unwrap();
        disk.set_len(file, 1500).unwrap();
        disk.create("g").unwrap();
        let (mut found, mut names) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for seed in 0..200 {
            let after = disk.power_cut(seed);
            found.insert(content(&after, "f").unwrap());
            names.insert(content(&after, "g").is_some());
        }
        let torn = [vec![2; 512], vec![1; 1488]].concat();
        for expected in [vec![1; 2000], [vec![2; 1000], vec![1; 500]].concat(), torn] {
            assert!(found.contains(&expected));
        }
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_failed_sync_loses_what_readers_still_see() {
        let disk = Disk::default();
        let file = disk.create("f").unwrap();
        disk.sync_folder().unwrap();
        disk.write_at(file, 0, b"lost").unwrap();
        disk.fail_syncs(1);
        assert!(disk.sync(file).is_err());
        disk.write_at(file, 4, b"kept").unwrap();
        disk.sync(file).unwrap();
        assert_eq!(content(&disk, "f").unwrap(), b"lostkept");
        assert_eq!(content(&disk.power_cut(0), "f").unwrap(), b"\0\0\0\0kept");
    }
}
