//! [`Place`]: where the bytes of the database are kept, and how another database takes the place of the present one.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{DatabaseError, StorageBackend};

use crate::store::disk::{remove_if_there, rename_durably};

/// Where the bytes of the database are kept. Beside them there may be a copy, which becomes the database when it is
/// adopted. At any moment, also after a power cut, the database is the one or the other, whole.
pub(crate) trait Place: Send + Sync + 'static {
    /// Opens the bytes; the first time, makes an empty database if there is none.
    fn open(&self) -> Result<Box<dyn StorageBackend>, DatabaseError>;

    /// Copies the bytes, which nobody has open, in place of an earlier copy; opens the copy.
    fn open_copy(&self) -> Result<Box<dyn StorageBackend>, DatabaseError>;

    /// Makes the copy, which nobody has open any more, the database. It is durable when this returns.
    fn adopt_copy(&self) -> io::Result<()>;

    /// Removes the copy, if there is one.
    fn remove_copy(&self) -> io::Result<()>;
}

/// A file.
pub(super) struct FilePlace {
    path: PathBuf,
    was_open: AtomicBool,
}

impl FilePlace {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), was_open: AtomicBool::new(false) }
    }

    fn copy(&self) -> PathBuf {
        self.path.with_extension("upgrade")
    }

    /// Makes an empty database under another name and gives it its own when it is whole: a file whose making was cut off
    /// is not one that redb opens. And redb does not sync the folder, without which a new file may be gone.
    fn make(&self) -> Result<(), DatabaseError> {
        let begun = self.path.with_extension("begun");
        remove_if_there(&begun)?;
        redb::Database::create(&begun)?.close()?;
        Ok(rename_durably(&begun, &self.path)?)
    }
}

fn open_file(path: &Path) -> Result<Box<dyn StorageBackend>, DatabaseError> {
    Ok(Box::new(FileBackend::new(File::options().read(true).write(true).open(path)?)?))
}

impl Place for FilePlace {
    /// Later than the first time, a file that is gone is an error: a disk that was taken away must not look like an empty
    /// store.
    fn open(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        if !self.was_open.load(Ordering::Relaxed) && !self.path.try_exists()? {
            self.make()?;
        }
        let opened = open_file(&self.path)?;
        self.was_open.store(true, Ordering::Relaxed);
        Ok(opened)
    }

    fn open_copy(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        self.remove_copy()?;
        fs::copy(&self.path, self.copy())?;
        open_file(&self.copy())
    }

    fn adopt_copy(&self) -> io::Result<()> {
        File::open(self.copy())?.sync_all()?;
        rename_durably(&self.copy(), &self.path)
    }

    fn remove_copy(&self) -> io::Result<()> {
        remove_if_there(&self.copy())
    }
}

/// Memory: what is in it is opened once, and is never of an older format.
pub(super) struct MemoryPlace(Mutex<Option<InMemoryBackend>>);

impl MemoryPlace {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(InMemoryBackend::new())))
    }
}

impl Place for MemoryPlace {
    fn open(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(memory.ok_or_else(|| io::Error::other("what was in memory is gone"))?))
    }

    fn open_copy(&self) -> Result<Box<dyn StorageBackend>, DatabaseError> {
        Err(io::Error::from(ErrorKind::Unsupported).into())
    }

    fn adopt_copy(&self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn remove_copy(&self) -> io::Result<()> {
        Ok(())
    }
}
