//! [`Peers`]: all processes that rely on the same xorbs and packs, as gc sees them.
//!
//! A process alone asks itself ([`Alone`]). The nodes of a cluster are asked through their database
//! ([`crate::store::cluster`]), under the same rules:
//! * who has read a file record may go on to read what it names, until he leaves ([`crate::store::readers`]);
//! * what a running upload was promised stays ([`crate::store::pins`]); what is doomed is promised to nobody;
//! * a pack that somebody holds for frames without rows stays ([`crate::store::pack::log`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::located::XorbRows;
use super::meta::{Doom, MetaError, MetaStore};
use super::pack::PackId;
use super::pack::log::PackLog;
use super::pins::Pins;
use super::readers::Readers;
use crate::xet::hash::XorbHash;

/// What of a [`Doom`] nobody relies on, for as long as this lives, and until it is ended.
#[async_trait]
pub trait Doomed: Send {
    /// The xorbs.
    fn xorbs(&self) -> &[XorbHash];

    /// The packs; nobody will ever put a frame in them.
    fn packs(&self) -> &[PackId];

    /// Forgets where the xorbs were, and lets what is still there be relied on again.
    async fn end(self: Box<Self>) -> Result<(), MetaError>;
}

/// Everybody who may rely on xorbs and packs.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// How many xorbs or packs are best doomed together, and at most.
    fn doomed_together(&self) -> usize;

    /// How long those who do not answer are waited for at least, until they are taken for dead.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Begins an epoch of reading; answers what names the one that ends.
    async fn advance(&self, meta: &dyn MetaStore) -> Result<u64, MetaError>;

    /// Returns when everybody has left who had entered in that epoch or before.
    async fn wait(&self, meta: &dyn MetaStore, epoch: u64) -> Result<(), MetaError>;

    /// Dooms what nobody relies on.
    async fn doom(&self, meta: &Arc<dyn MetaStore>, doom: Doom) -> Result<Box<dyn Doomed>, MetaError>;
}

/// One process, whose own uploads and readers are all there are.
pub struct Alone {
    pub(super) pins: Arc<Pins>,
    pub(super) readers: Arc<Readers>,
    pub(super) packs: Arc<PackLog>,
    pub(super) rows: Arc<XorbRows>,
}

/// Doomed in this process.
struct DoomedHere {
    doomed: super::pins::Doomed,
    packs: Vec<PackId>,
    rows: Arc<XorbRows>,
}

#[async_trait]
impl Doomed for DoomedHere {
    fn xorbs(&self) -> &[XorbHash] {
        self.doomed.xorbs()
    }

    fn packs(&self) -> &[PackId] {
        &self.packs
    }

    async fn end(self: Box<Self>) -> Result<(), MetaError> {
        // Before they can be relied on again.
        self.rows.forget(self.doomed.xorbs());
        Ok(())
    }
}

#[async_trait]
impl Peers for Alone {
    fn doomed_together(&self) -> usize {
        100
    }

    async fn advance(&self, _meta: &dyn MetaStore) -> Result<u64, MetaError> {
        Ok(self.readers.advance())
    }

    async fn wait(&self, _meta: &dyn MetaStore, epoch: u64) -> Result<(), MetaError> {
        self.readers.wait(epoch).await;
        Ok(())
    }

    async fn doom(&self, _meta: &Arc<dyn MetaStore>, doom: Doom) -> Result<Box<dyn Doomed>, MetaError> {
        let doomed = self.pins.doom(doom.xorbs);
        let packs = doom.packs.into_iter().filter(|pack| self.packs.retire(*pack)).collect();
        Ok(Box::new(DoomedHere { doomed, packs, rows: Arc::clone(&self.rows) }))
    }
}
