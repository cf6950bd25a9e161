//! Packs and metadata on a simulated [`Disk`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use redb::{DatabaseError, StorageBackend};

use super::Disk;
use crate::store::meta::Place;
use crate::store::pack::{PackId, PackStore, PackWriter};

/// What the metadata's file is called; packs have other names.
const META: &str = "meta.redb";

/// What a copy of it is called.
const META_COPY: &str = "meta.upgrade";

/// Bytes copied at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Packs on a simulated disk, with the syncs of [`crate::store::pack::LocalPacks`].
pub(crate) struct SimulatedPacks(pub(crate) Arc<Disk>);

fn name(id: PackId) -> String {
    format!("{id}.pack")
}

impl PackStore for SimulatedPacks {
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        let file = self.0.create(&name(id))?;
        self.0.sync_folder()?;
        Ok(Box::new(Writer { disk: Arc::clone(&self.0), id, file, len: 0 }))
    }

    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>> {
        let file = self.0.find(&name(id))?;
        if self.0.len(file)? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut writer = Writer { disk: Arc::clone(&self.0), id, file, len };
        writer.truncate(len)?;
        Ok(Box::new(writer))
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        self.0.read_at(self.0.find(&name(id))?, offset, &mut bytes)?;
        Ok(bytes.into())
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        let id = |name: &str| u64::from_str_radix(name.strip_suffix(".pack")?, 16).ok().map(PackId);
        let files = self.0.list()?;
        Ok(files.into_iter().filter_map(|(name, len)| Some((id(&name)?, len))).collect())
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        self.0.remove(&name(id))?;
        self.0.sync_folder()
    }
}

struct Writer {
    disk: Arc<Disk>,
    id: PackId,
    file: usize,
    len: u64,
}

impl PackWriter for Writer {
    fn id(&self) -> PackId {
        self.id
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(self.file, self.len, bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync(self.file)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.set_len(self.file, len)?;
        self.len = len;
        Ok(())
    }
}

/// Opens the metadata on a simulated disk. Like a file that redb has locked, it cannot be opened twice.
pub(crate) fn simulated_place(disk: &Arc<Disk>) -> Arc<dyn Place> {
    Arc::new(SimulatedPlace { disk: Arc::clone(disk), is_open: Arc::default() })
}

/// Puts metadata on a simulated disk, as if they had always been there.
pub(crate) fn keep_metadata(disk: &Disk, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(META)?;
    disk.write_at(file, 0, bytes)?;
    disk.sync(file)?;
    disk.sync_folder()
}

struct SimulatedPlace {
    disk: Arc<Disk>,
    is_open: Arc<AtomicBool>,
}

impl SimulatedPlace {
    fn backend(&self, file: usize) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        if self.is_open.swap(true, Ordering::SeqCst) {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        Ok(Box::new(Backend { disk: Arc::clone(&self.disk), file, is_open: Arc::clone(&self.is_open) }))
    }
}

impl Place for SimulatedPlace {
    fn open(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let file = match self.disk.find(META) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.disk.create(META)?;
                self.disk.sync_folder()?;
                file
            }
            found => found?,
        };
        self.backend(file)
    }

    fn open_copy(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        self.remove_copy()?;
        let original = self.disk.find(META)?;
        let len = self.disk.len(original)?;
        let copy = self.disk.create(META_COPY)?;
        let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
        while at < len {
            piece.truncate((len - at).min(PIECE_BYTES as u64) as usize);
            self.disk.read_at(original, at, &mut piece)?;
            self.disk.write_at(copy, at, &piece)?;
            at += piece.len() as u64;
        }
        self.backend(copy)
    }

    fn adopt_copy(&self) -> io::Result<()> {
        self.disk.sync(self.disk.find(META_COPY)?)?;
        self.disk.rename(META_COPY, META)?;
        self.disk.sync_folder()
    }

    fn remove_copy(&self) -> io::Result<()> {
        match self.disk.find(META_COPY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            found => found.and_then(|_| self.disk.remove(META_COPY)),
        }
    }
}

struct Backend {
    disk: Arc<Disk>,
    file: usize,
    is_open: Arc<AtomicBool>,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(META)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.disk.len(self.file)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(self.file, offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(self.file, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write_at(self.file, offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.is_open.store(false, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn simulated_packs_conform() {
    crate::store::pack::conformance::all(|| SimulatedPacks(Arc::default()));
}

#[tokio::test]
async fn simulated_metadata_conforms() {
    let open = || crate::store::meta::EmbeddedMeta::open_at(simulated_place(&Arc::default()));
    crate::store::meta::conformance::all(async || {
        Arc::new(open().unwrap()) as Arc<dyn crate::store::meta::MetaStore>
    })
    .await;
}
