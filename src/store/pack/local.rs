//! Packs as files of a folder: `packs/<id as 16 hexadecimal digits>.pack`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{PackId, PackStore, PackWriter};
use crate::store::disk::is_out_of_files;

/// Appends are gathered up to this size: fewer system calls, and still small beside an upload's memory bound.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// Files kept open for reading; far below the usual limit of 1024 descriptors a process.
const OPEN_FILES_MAX: usize = 256;

/// A folder of pack files.
pub struct LocalPacks {
    folder: PathBuf,
    open: Mutex<HashMap<PackId, Arc<File>>>,
}

impl LocalPacks {
    /// Uses `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), open: Mutex::default() })
    }

    fn path(&self, id: PackId) -> PathBuf {
        self.folder.join(format!("{id}.pack"))
    }

    /// A new name in a folder survives a power cut only when the folder itself was synced.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn reader(&self, id: PackId) -> io::Result<Arc<File>> {
        self.reader_by(id, |path| File::open(path))
    }

    fn reader_by(
        &self,
        id: PackId,
        mut opened: impl FnMut(&Path) -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&id) {
            return Ok(Arc::clone(file));
        }
        let file = match opened(&self.path(id)) {
            // Those kept open are the ones to do without.
            Err(error) if is_out_of_files(&error) && !open.is_empty() => {
                open.clear();
                opened(&self.path(id))
            }
            file => file,
        };
        let file = Arc::new(file?);
        if open.len() >= OPEN_FILES_MAX {
            open.clear();
        }
        open.insert(id, Arc::clone(&file));
        Ok(file)
    }
}

impl PackStore for LocalPacks {
    fn create(&self, id: PackId) -> io::Result<Box<dyn PackWriter>> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(id))?;
        self.sync_folder()?;
        Ok(Box::new(LocalWriter::new(id, file, 0)))
    }

    fn reopen(&self, id: PackId, len: u64) -> io::Result<Box<dyn PackWriter>> {
        let file = OpenOptions::new().write(true).open(self.path(id))?;
        if file.metadata()?.len() < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the pack is shorter than its frames"));
        }
        let mut writer = LocalWriter::new(id, file, len);
        writer.truncate(len)?;
        Ok(Box::new(writer))
    }

    fn read(&self, id: PackId, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        self.reader(id)?.read_exact_at(&mut bytes, offset)?;
        Ok(Bytes::from(bytes))
    }

    fn list(&self) -> io::Result<Vec<(PackId, u64)>> {
        let mut packs = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".pack"));
            if let Some(id) = id.and_then(|id| u64::from_str_radix(id, 16).ok()) {
                packs.push((PackId(id), entry.metadata()?.len()));
            }
        }
        packs.sort_unstable();
        Ok(packs)
    }

    fn delete(&self, id: PackId) -> io::Result<()> {
        std::fs::remove_file(self.path(id))?;
        // Only now, for a reader may have opened it until then; an open file keeps its space.
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.sync_folder()
    }
}

struct LocalWriter {
    id: PackId,
    file: File,
    /// Bytes handed to the file.
    written: u64,
    /// Bytes on their way to it.
    buffer: Vec<u8>,
}

impl LocalWriter {
    fn new(id: PackId, file: File, len: u64) -> Self {
        Self { id, file, written: len, buffer: Vec::new() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl PackWriter for LocalWriter {
    fn id(&self) -> PackId {
        self.id
    }

    fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        // An idle writer waits in a pool, possibly one for each upload that once ran at the same time.
        self.buffer = Vec::new();
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.buffer = Vec::new();
        self.file.set_len(len)?;
        self.written = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn out_of_descriptors_it_does_without_those_it_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let packs = LocalPacks::open(folder.path()).unwrap();
        for id in [1, 2] {
            packs.create(PackId(id)).unwrap();
        }
        let kept = || packs.open.lock().unwrap().len();
        let mut refusals = 0;
        let mut short = |path: &Path| {
            refusals += 1;
            if refusals == 2 { File::open(path) } else { Err(Errno::MFILE.into()) }
        };
        let error = packs.reader_by(PackId(1), &mut short).unwrap_err();
        assert!(is_out_of_files(&error), "there is nothing to do without");
        packs.reader_by(PackId(1), &mut short).unwrap();
        packs.reader(PackId(1)).unwrap();
        let mut tries = 0;
        packs
            .reader_by(PackId(2), |path| {
                tries += 1;
                if tries == 2 { File::open(path) } else { Err(Errno::MFILE.into()) }
            })
            .unwrap();
        assert_eq!((tries, kept()), (2, 1), "the other one was closed for it");
    }
}
