//! [`LocalStore`]: the parts of a store on one machine, and who relies on what in it.

use std::path::Path;
use std::sync::Arc;

use super::index::{ChunkIndex, FjallIndex, IndexError, MemoryIndex};
use super::located::XorbRows;
use super::meta::{EmbeddedMeta, MetaError, MetaStore};
use super::pack::log::{PACK_BYTES_MAX, PackLog};
use super::pack::{LocalPacks, MemoryPacks, PackStore};
use super::pins::Pins;
use super::readers::Readers;

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
}

/// A store on this machine.
pub struct LocalStore {
    /// The truth.
    pub meta: Arc<dyn MetaStore>,
    /// The bytes.
    pub packs: Arc<PackLog>,
    /// Where chunks are.
    pub index: Arc<dyn ChunkIndex>,
    /// Where xorbs lie, cached.
    pub rows: XorbRows,
    /// What running uploads were promised.
    pub pins: Arc<Pins>,
    /// Who may still hold a file record.
    pub readers: Arc<Readers>,
    /// Whoever moves or removes xorbs and packs, or compares all of them, does so alone.
    pub(super) upkeep: tokio::sync::Mutex<()>,
}

impl LocalStore {
    /// Opens the store in `folder`, or makes it: `meta.redb`, `packs/` and `index/`. What was being written when the
    /// last process ended is cut off. Blocks.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let meta = EmbeddedMeta::open(&folder.join("meta.redb"))?;
        let packs = LocalPacks::open(&folder.join("packs"))?;
        let index = FjallIndex::open(&folder.join("index"))?;
        Self::assemble(Arc::new(meta), Arc::new(packs), Arc::new(index), PACK_BYTES_MAX)
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
        Ok(Self {
            rows: XorbRows::new(Arc::clone(&meta)),
            meta,
            packs,
            index,
            pins: Arc::default(),
            readers: Arc::default(),
            upkeep: tokio::sync::Mutex::default(),
        })
    }
}
