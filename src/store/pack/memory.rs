//! Packs in memory, for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{PackId, PackStore, PackWriter};

type Packs = Arc<Mutex<BTreeMap<PackId, Vec<u8>>>>;

/// Packs that end with the process.
#[derive(Default, Clone)]
pub struct MemoryPacks {
    packs: Packs,
}

fn lock(packs: &Packs) -> MutexGuard<'_, BTreeMap<PackId, Vec<u8>>> {
    packs.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such pack")
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the pack is shorter than that")
}

impl PackStore for MemoryPacks {
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        let mut packs = lock(&self.packs);
        if packs.contains_key(&id) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        packs.insert(id, Vec::new());
        Ok(Box::new(MemoryWriter { id, len: 0, packs: Arc::clone(&self.packs) }))
    }

    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>> {
        let present = lock(&self.packs).get(&id).ok_or_else(missing)?.len() as u64;
        if present < len {
            return Err(too_short());
        }
        let mut writer = MemoryWriter { id, len, packs: Arc::clone(&self.packs) };
        writer.truncate(len)?;
        Ok(Box::new(writer))
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        let packs = lock(&self.packs);
        let pack = packs.get(&id).ok_or_else(missing)?;
        let start = usize::try_from(offset).map_err(|_| too_short())?;
        let end = start.checked_add(len).ok_or_else(too_short)?;
        pack.get(start..end).map(Bytes::copy_from_slice).ok_or_else(too_short)
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        Ok(lock(&self.packs).iter().map(|(id, pack)| (*id, pack.len() as u64)).collect())
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        lock(&self.packs).remove(&id).map(drop).ok_or_else(missing)
    }
}

struct MemoryWriter {
    id: PackId,
    len: u64,
    packs: Packs,
}

impl PackWriter for MemoryWriter {
    fn id(&self) -> PackId {
        self.id
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.packs).get_mut(&self.id).ok_or_else(missing)?.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        lock(&self.packs).get_mut(&self.id).ok_or_else(missing)?.truncate(len as usize);
        self.len = len;
        Ok(())
    }
}
