//! [`PartFolder`]: the parts of running uploads in files, one a part: `{upload}/{number}-{file hash}.part`.
//!
//! A file is its version (one byte) and its fields (see [`versioned`]); its types are apart from those of the parts.
//! Before there were versions, the names had no ending and the bytes no version; such files are upgraded when the folder is
//! opened, one after the other: the new one is durable before the old one is removed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parts::KeptPart;
use crate::bucket::{FileHash, UploadId};
use crate::cas::remote::SentXorb;
use crate::model::file::{FileRecord, Term};
use crate::store::disk::rename_durably;
use crate::store::versioned::{self, StoredError};
use crate::xet::hash::{ChunkHash, XorbHash};
use crate::xet::xorb::{ChunkEntry, ChunkTable};

const WHAT: &str = "a part of a running upload";

/// The ending of a part's name.
const ENDING: &str = "part";

/// The ending of a part that is being written.
const UNFINISHED: &str = "new";

type Hash = [u8; 32];

#[derive(Serialize, Deserialize)]
struct PartV1<'v> {
    file: Hash,
    size: u64,
    terms: Vec<TermV1>,
    chunks: Vec<(Hash, u32)>,
    xorbs: Vec<XorbV1>,
    head: &'v [u8],
    tail: &'v [u8],
}

#[derive(Serialize, Deserialize)]
struct TermV1 {
    xorb: Hash,
    start: u32,
    end: u32,
    raw_bytes: u32,
}

#[derive(Serialize, Deserialize)]
struct XorbV1 {
    hash: Hash,
    /// The place of a xorb on this machine, which one that was sent does not have: written as 0, and never read.
    _pack: u64,
    _offset: u64,
    _frame_end: u64,
    /// Of each chunk its hash, and where its record and its bytes end.
    table: Vec<(Hash, u32, u32)>,
}

impl From<&Term> for TermV1 {
    fn from(Term { xorb, start, end, raw_bytes }: &Term) -> Self {
        Self { xorb: *xorb.as_bytes(), start: *start, end: *end, raw_bytes: *raw_bytes }
    }
}

impl From<TermV1> for Term {
    fn from(TermV1 { xorb, start, end, raw_bytes }: TermV1) -> Self {
        Self { xorb: XorbHash::from_bytes(xorb), start, end, raw_bytes }
    }
}

impl From<&SentXorb> for XorbV1 {
    fn from(SentXorb { hash, row: table }: &SentXorb) -> Self {
        let entry = |entry: &ChunkEntry| (*entry.hash.as_bytes(), entry.record_end, entry.raw_end);
        Self {
            hash: *hash.as_bytes(),
            _pack: 0,
            _offset: 0,
            _frame_end: 0,
            table: table.entries().iter().map(entry).collect(),
        }
    }
}

impl TryFrom<XorbV1> for SentXorb {
    type Error = StoredError;

    fn try_from(XorbV1 { hash, table, .. }: XorbV1) -> Result<Self, StoredError> {
        let entry = |(hash, record_end, raw_end)| ChunkEntry {
            hash: ChunkHash::from_bytes(hash),
            record_end,
            raw_end,
        };
        let table = ChunkTable::from_entries(table.into_iter().map(entry).collect());
        let table = table.map_err(|error| StoredError::damaged(WHAT, error))?;
        Ok(Self { hash: XorbHash::from_bytes(hash), row: table })
    }
}

fn encode(part: &KeptPart) -> Result<Vec<u8>, StoredError> {
    let KeptPart { record: FileRecord { hash, size, terms }, chunks, xorbs, head, tail } = part;
    let stored = PartV1 {
        file: *hash.as_bytes(),
        size: *size,
        terms: terms.iter().map(TermV1::from).collect(),
        chunks: chunks.iter().map(|(hash, len)| (*hash.as_bytes(), *len)).collect(),
        xorbs: xorbs.iter().map(XorbV1::from).collect(),
        head,
        tail,
    };
    versioned::encode(WHAT, 1, &stored)
}

fn decode(bytes: &[u8]) -> Result<KeptPart, StoredError> {
    let PartV1 { file, size, terms, chunks, xorbs, head, tail } = match versioned::split(WHAT, bytes)? {
        (1, fields) => versioned::decode(WHAT, fields)?,
        (version, _) => return Err(StoredError::unknown_version(WHAT, version, 1)),
    };
    let terms = terms.into_iter().map(Term::from).collect();
    Ok(KeptPart {
        record: FileRecord { hash: FileHash::from_bytes(file), size, terms },
        chunks: chunks.into_iter().map(|(hash, len)| (ChunkHash::from_bytes(hash), len)).collect(),
        xorbs: xorbs.into_iter().map(SentXorb::try_from).collect::<Result<_, _>>()?,
        head: head.to_vec(),
        tail: tail.to_vec(),
    })
}

/// Writes a file of a folder that is there; when this returns it survives a power cut.
fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename_durably(&unfinished, path)
}

/// What is in a folder; nothing if it is not there.
fn paths_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// The folder of kept parts.
pub(super) struct PartFolder(PathBuf);

impl PartFolder {
    /// Takes a folder, which need not be there, and upgrades what an earlier build has left in it. Blocks.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        for upload in paths_in(&folder)? {
            let old = |path: &PathBuf| path.extension().is_none() && path.is_file();
            for path in paths_in(&upload)?.into_iter().filter(old) {
                let bytes = [&[1], fs::read(&path)?.as_slice()].concat();
                write_durable(&path.with_extension(ENDING), &bytes)?;
                fs::remove_file(&path)?;
            }
        }
        Ok(Self(folder))
    }

    fn of_upload(&self, upload: &UploadId) -> PathBuf {
        self.0.join(upload.as_str())
    }

    fn path(&self, upload: &UploadId, number: u16, file: &FileHash) -> PathBuf {
        self.of_upload(upload).join(format!("{number}-{file}.{ENDING}"))
    }

    /// Keeps a part; when this returns it survives a power cut. Blocks.
    pub(super) fn keep(&self, upload: &UploadId, number: u16, part: &KeptPart) -> io::Result<()> {
        let path = self.path(upload, number, &part.record.hash);
        fs::create_dir_all(self.of_upload(upload))?;
        write_durable(&path, &encode(part).map_err(io::Error::other)?)?;
        File::open(&self.0)?.sync_all()
    }

    /// A kept part. Blocks.
    pub(super) fn read(&self, upload: &UploadId, number: u16, file: &FileHash) -> io::Result<KeptPart> {
        let bytes = fs::read(self.path(upload, number, file))?;
        decode(&bytes).map_err(io::Error::other)
    }

    /// Forgets the parts of uploads begun before a time, in milliseconds since the epoch. Blocks.
    pub(super) fn remove_begun_before(&self, millis: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let upload = entry?.file_name().to_str().and_then(UploadId::parse);
            if let Some(upload) = upload.filter(|upload| upload.begun_at_millis() < millis) {
                self.remove(&upload);
            }
        }
        Ok(())
    }

    /// Forgets the parts of an upload that is over. Blocks.
    pub(super) fn remove(&self, upload: &UploadId) {
        let _ = fs::remove_dir_all(self.of_upload(upload));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stores/format-5/hub-uploads");
    const UPLOAD: &str = "000001a21aef4a536798d721d1bf5752";
    const NAME: &str = "1-28e4451ce93c843059ac9946826358dd910f1b81e1184cc357ef3e5fbc509f8f";
    const CONTENT: &[u8] = b"the first and only part";

    /// The folder of the release before, which held one part.
    fn previous_release() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let upload = folder.path().join(UPLOAD);
        fs::create_dir(&upload).unwrap();
        fs::copy(Path::new(EXAMPLE).join(UPLOAD).join(NAME), upload.join(NAME)).unwrap();
        (folder, upload)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = paths_in(folder)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    fn the_part(folder: &Path) -> KeptPart {
        let (_, file) = NAME.split_once('-').unwrap();
        let parts = PartFolder::open(folder.to_owned()).unwrap();
        parts.read(&UploadId::parse(UPLOAD).unwrap(), 1, &file.parse().unwrap()).unwrap()
    }

    #[test]
    fn parts_of_the_previous_release_are_upgraded_and_written_as_they_were() {
        let (folder, upload) = previous_release();
        let part = the_part(folder.path());
        assert_eq!((part.record.size, &part.head[..], &part.tail[..]), (23, CONTENT, CONTENT));
        assert_eq!((part.record.terms.len(), part.chunks.len(), part.xorbs.len()), (1, 1, 1));
        assert_eq!(names(&upload), [format!("{NAME}.{ENDING}")]);
        let old = fs::read(Path::new(EXAMPLE).join(UPLOAD).join(NAME)).unwrap();
        assert_eq!(encode(&part).unwrap(), [&[1], old.as_slice()].concat());
        assert_eq!(the_part(folder.path()), part);
    }

    #[test]
    fn a_power_cut_in_any_step_of_the_upgrade_leaves_the_part() {
        let (folder, _) = previous_release();
        let part = the_part(folder.path());
        let whole = encode(&part).unwrap();
        // Before the first, and after each of: written in part, written, named, with the old one removed.
        for (ending, bytes, keeps_old) in [
            (None, &whole[..], true),
            (Some(UNFINISHED), &whole[..9], true),
            (Some(UNFINISHED), &whole[..], true),
            (Some(ENDING), &whole[..], true),
            (Some(ENDING), &whole[..], false),
        ] {
            let (folder, upload) = previous_release();
            if let Some(ending) = ending {
                fs::write(upload.join(NAME).with_extension(ending), bytes).unwrap();
            }
            if !keeps_old {
                fs::remove_file(upload.join(NAME)).unwrap();
            }
            assert_eq!(the_part(folder.path()), part);
            let left = names(&upload);
            assert_eq!(left.iter().filter(|name| !name.ends_with(UNFINISHED)).count(), 1, "{left:?}");
        }
    }

    #[test]
    fn a_part_of_a_later_version_is_refused_by_name() {
        let (folder, _) = previous_release();
        let mut bytes = encode(&the_part(folder.path())).unwrap();
        bytes[0] = 2;
        assert!(matches!(decode(&bytes), Err(StoredError::Newer { found: 2, known: 1, .. })));
        bytes[0] = 1;
        bytes.pop();
        assert!(matches!(decode(&bytes), Err(StoredError::Damaged { .. })));
    }
}
