//! Packs as files of a folder: `packs/<id as 16 hexadecimal digits>.pack`.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::{NonZeroU64, NonZeroUsize};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use rustix::io::{Errno, ReadWriteFlags};

use super::{PackId, PackStore, PackWriter};
use crate::store::disk::is_out_of_files;

/// Small appends are gathered up to this size; larger ones go to the file as they are.
const WRITE_BUFFER_BYTES: usize = 64 << 10;

/// So often the disk is told to begin to write what it was given: a long upload's last sync then has little to wait for.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// Files kept open for reading; far below the usual limit of 1024 descriptors a process.
const OPEN_FILES_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A folder of pack files.
pub struct LocalPacks {
    folder: PathBuf,
    open: Mutex<LruCache<PackId, Arc<File>>>,
}

impl LocalPacks {
    /// Uses `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), open: Mutex::new(LruCache::new(OPEN_FILES_MAX)) })
    }

    fn path(&self, id: PackId) -> PathBuf {
        self.folder.join(format!("{id}.pack"))
    }

    /// A new name in a folder survives a power cut only when the folder itself was synced.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// The pack, if it is open for reading already.
    fn open_reader(&self, id: PackId) -> Option<Arc<File>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)
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
        open.put(id, Arc::clone(&file));
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
        let file = self.reader(id)?;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = offset.checked_add(bytes.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
            match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(len);
        Ok(Bytes::from(bytes))
    }

    fn read_now(&self, id: PackId, offset: u64, len: usize) -> Option<Bytes> {
        let file = self.open_reader(id)?;
        let mut bytes = vec![0; len];
        let mut whole = [io::IoSliceMut::new(&mut bytes)];
        // Short or refused: not all of it is in memory, or the file system cannot tell. A read that waits will say.
        let read = rustix::io::preadv2(&file, &mut whole, offset, ReadWriteFlags::NOWAIT).ok()?;
        (read == len).then(|| Bytes::from(bytes))
    }

    fn read_soon(&self, id: PackId, offset: u64, len: usize) {
        if let Ok(file) = self.reader(id) {
            // Only a hint; the read itself will tell of errors.
            let _ =
                rustix::fs::fadvise(&file, offset, NonZeroU64::new(len as u64), rustix::fs::Advice::WillNeed);
        }
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
        self.open.lock().unwrap_or_else(PoisonError::into_inner).pop(&id);
        self.sync_folder()
    }
}

struct LocalWriter {
    id: PackId,
    file: File,
    /// Bytes handed to the file.
    written: u64,
    /// Those of them that the disk was told to write.
    written_back: u64,
    /// Bytes on their way to it.
    buffer: Vec<u8>,
}

impl LocalWriter {
    fn new(id: PackId, file: File, len: u64) -> Self {
        Self { id, file, written: len, written_back: len, buffer: Vec::new() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Begins to write to the disk, if there is enough. Only a hint: nothing is durable before [`PackWriter::sync`].
    fn write_back(&mut self) {
        let waiting = self.written - self.written_back;
        if waiting >= WRITE_BACK_BYTES {
            // Linux starts to write dirty pages of a range it is told not to need; it drops only those that are clean,
            // and none of these is.
            let len = NonZeroU64::new(waiting);
            let _ = rustix::fs::fadvise(&self.file, self.written_back, len, rustix::fs::Advice::DontNeed);
            self.written_back = self.written;
        }
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
        if self.buffer.len() + bytes.len() <= WRITE_BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush()?;
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        self.write_back();
        Ok(())
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
        (self.written, self.written_back) = (len, len);
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

    #[test]
    fn with_more_packs_than_may_be_open_those_in_use_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let packs = LocalPacks::open(folder.path()).unwrap();
        let most = OPEN_FILES_MAX.get() as u64;
        let mut opened = 0;
        for id in 0..=most {
            packs.create(PackId(id)).unwrap();
            for read in [0, id] {
                let mut open = |path: &Path| {
                    opened += 1;
                    File::open(path)
                };
                packs.reader_by(PackId(read), &mut open).unwrap();
            }
        }
        assert_eq!(opened, most + 1, "pack 0 was read all along, and opened once");
    }
}
