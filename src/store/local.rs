//! [`LocalStore`]: the parts of a store on one machine, and who relies on what in it.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cluster::Learning;
use super::index::{ChunkIndex, FjallIndex, IndexError, MemoryIndex};
use super::located::XorbRows;
use super::meta::{EmbeddedMeta, Lease, MetaError, MetaStore};
use super::metrics::StoreMetrics;
use super::pack::log::{PACK_BYTES_MAX, PackLog};
use super::pack::object::{self, ObjectAddress, ObjectPacks, ObjectPacksError, Owner};
use super::pack::{LocalPacks, MemoryPacks, PackStore};
use super::peers::{Alone, Peers};
use super::pins::Pins;
use super::readers::Readers;
use crate::model::clock::Ambient;
use crate::store::disk::replace_file;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The metadata.
    #[error("opening the metadata: {0}")]
    Meta(#[from] MetaError),
    /// The packs.
    #[error("opening the packs: {0}")]
    Packs(#[from] std::io::Error),
    /// The chunk index.
    #[error("opening the chunk index: {0}")]
    Index(#[from] IndexError),
    /// The packs in an object store.
    #[error(transparent)]
    ObjectPacks(#[from] ObjectPacksError),
    /// The packs are not where they are looked for.
    #[error("the packs of this data folder are in {url}, not in files: set `packs.url`")]
    Elsewhere {
        /// Where they are.
        url: String,
    },
    /// The packs were filled under other metadata. To go on would delete them.
    #[error(
        "the packs in {0} belong to other metadata: meta.redb was lost or replaced; put the right one beside them"
    )]
    OtherStore(PathBuf),
}

/// A store on this machine, or this node's view of a shared one.
pub struct LocalStore {
    /// The truth.
    pub meta: Arc<dyn MetaStore>,
    /// The bytes.
    pub packs: Arc<PackLog>,
    /// Where chunks are.
    pub index: Arc<dyn ChunkIndex>,
    /// Where xorbs lie, cached.
    pub rows: Arc<XorbRows>,
    /// What running uploads were promised.
    pub pins: Arc<Pins>,
    /// Who may still hold a file record.
    pub readers: Arc<Readers>,
    /// Everybody who may rely on xorbs and packs.
    pub peers: Arc<dyn Peers>,
    /// What is learned of chunks that other nodes have written, where there are others.
    pub learning: Option<Arc<Learning>>,
    /// What was counted of the work of all of them.
    pub metrics: Arc<StoreMetrics>,
    /// Anyone who moves or removes xorbs and packs, or compares all of them, does so alone.
    pub(super) upkeep: Arc<tokio::sync::Mutex<()>>,
}

impl LocalStore {
    /// Opens the store in `folder`, or makes it: `meta.redb`, `packs/` and `index/`. The packs are in an object store if
    /// `packs` names one. What was being written when the last process ended is cut off. Blocks.
    pub fn open(folder: &Path, packs: Option<&ObjectAddress>, ambient: &Ambient) -> Result<Self, OpenError> {
        // Before anything is made.
        let place = packs.map(ObjectAddress::connect).transpose()?;
        let meta = EmbeddedMeta::open(&folder.join("meta.redb"))?;
        let id = meta.store_id(u64::from_le_bytes(ambient.random()));
        let store_id = futures::executor::block_on(id)?;
        let pack_folder = folder.join("packs");
        let packs: Arc<dyn PackStore> = if let Some(place) = place {
            make_folder(&pack_folder)?;
            let has_packs = !futures::executor::block_on(meta.packs())?.is_empty();
            Arc::new(ObjectPacks::open(place, &pack_folder, Owner { store_id, has_packs }, ambient)?)
        } else {
            let packs = LocalPacks::open(&pack_folder)?;
            if let Some(url) = object::elsewhere(&pack_folder)? {
                return Err(OpenError::Elsewhere { url });
            }
            check_store_id(&pack_folder, store_id)?;
            Arc::new(packs)
        };
        let index = FjallIndex::open_or_put_aside(&folder.join("index"))?;
        // The names of what was made survive a power cut from here on.
        File::open(folder)?.sync_all()?;
        Self::assemble(Arc::new(meta), packs, Arc::new(index), PACK_BYTES_MAX)
    }

    /// A store that ends with the process, for tests.
    pub fn in_memory() -> Result<Self, OpenError> {
        let (meta, packs) = (EmbeddedMeta::in_memory()?, MemoryPacks::default());
        Self::assemble(Arc::new(meta), Arc::new(packs), Arc::new(MemoryIndex::default()), PACK_BYTES_MAX)
    }

    /// Puts the parts of a store together; a pack is full at `pack_bytes_max`. Blocks.
    pub fn assemble(
        meta: Arc<dyn MetaStore>,
        packs: Arc<dyn PackStore>,
        index: Arc<dyn ChunkIndex>,
        pack_bytes_max: u64,
    ) -> Result<Self, OpenError> {
        // No runtime is needed: the embedded store answers at once.
        let committed = futures::executor::block_on(meta.packs())?;
        let packs = Arc::new(PackLog::open(packs, &committed, pack_bytes_max)?);
        Ok(Self::of(meta, packs, index))
    }

    /// The same store, as one sees it who holds this lease: what he writes is refused once he has lost it.
    #[must_use]
    pub fn under(&self, lease: &Lease) -> Self {
        Self {
            meta: self.meta.under(lease),
            packs: Arc::clone(&self.packs),
            index: Arc::clone(&self.index),
            rows: Arc::clone(&self.rows),
            pins: Arc::clone(&self.pins),
            readers: Arc::clone(&self.readers),
            peers: Arc::clone(&self.peers),
            learning: self.learning.clone(),
            metrics: Arc::clone(&self.metrics),
            upkeep: Arc::clone(&self.upkeep),
        }
    }

    /// A store of which nobody else relies on anything.
    pub(super) fn of(meta: Arc<dyn MetaStore>, packs: Arc<PackLog>, index: Arc<dyn ChunkIndex>) -> Self {
        let metrics = Arc::<StoreMetrics>::default();
        let rows = Arc::new(XorbRows::new(Arc::clone(&meta), Arc::clone(&metrics)));
        let (pins, readers) = (Arc::<Pins>::default(), Arc::<Readers>::default());
        let alone = Alone {
            pins: Arc::clone(&pins),
            readers: Arc::clone(&readers),
            packs: Arc::clone(&packs),
            rows: Arc::clone(&rows),
        };
        Self {
            peers: Arc::new(alone),
            learning: None,
            rows,
            metrics,
            meta,
            packs,
            index,
            pins,
            readers,
            upkeep: Arc::default(),
        }
    }
}

/// Makes a folder for its owner only, if it is not there.
fn make_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Checks that packs and metadata belong together, or marks new packs. Packs that metadata does not know are deleted
/// at start, so the wrong metadata would delete them all.
pub(super) fn check_store_id(packs: &Path, id: u64) -> Result<(), OpenError> {
    let (path, mark) = (packs.join("STORE"), format!("{id:016x}\n"));
    match fs::read_to_string(&path) {
        Ok(found) if found == mark => return Ok(()),
        Ok(_) => return Err(OpenError::OtherStore(packs.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(replace_file(&path, mark.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_not_opened_under_other_metadata() {
        let folder = tempfile::tempdir().unwrap();
        let open = || LocalStore::open(folder.path(), None, &Ambient::system());
        drop(open().unwrap());
        let pack = folder.path().join("packs/0000000000000007.pack");
        fs::write(&pack, b"chunks").unwrap();
        fs::rename(folder.path().join("meta.redb"), folder.path().join("lost.redb")).unwrap();
        assert!(matches!(open(), Err(OpenError::OtherStore(_))));
        assert!(pack.exists());
    }

    #[test]
    fn a_broken_index_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("index");
        fs::write(&index, b"not a folder").unwrap();
        LocalStore::open(folder.path(), None, &Ambient::system()).unwrap();
        assert!(index.is_dir() && folder.path().join("index.broken").exists());
    }
}
