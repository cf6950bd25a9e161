//! The store that a command works on: the data folder's own, or what the nodes of a cluster share.
//!
//! In a cluster a command is a node among others for as long as it runs. What moves or removes, or compares all there is, is
//! done under the lease that collecting nodes take, so it has to wait until none of them runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StoreError;
use crate::config::{ClusterGiven, Config, Mode};
use crate::gateway::backend::node;
use crate::gateway::data_folder::DataFolder;
use crate::gateway::lease_holder::LeaseHolder;
use crate::model::clock::Ambient;
use crate::store::joining::ClusterPlace;
use crate::store::local::LocalStore;
use crate::store::meta::MetaError;

/// A store that is open.
pub(super) struct Opened {
    pub(super) store: Arc<LocalStore>,
    /// In a cluster: how to be alone with it, and the node that this command is.
    node: Option<(LeaseHolder, JoinHandle<Result<(), MetaError>>)>,
    stop: CancellationToken,
}

impl Opened {
    /// Opens the store of the configured mode. Blocks.
    pub(super) fn open(
        config: &Config,
        vars: &[(String, String)],
        folder: &DataFolder,
        runtime: &Runtime,
    ) -> Result<Self, StoreError> {
        let (ambient, stop) = (Ambient::system(), CancellationToken::new());
        if config.mode != Mode::Cluster {
            let packs = config.packs.address(vars);
            let store = LocalStore::open(folder.path(), packs.as_ref(), &ambient)?;
            return Ok(Self { store: Arc::new(store), node: None, stop });
        }
        let ClusterGiven { database, packs, master_key } = config.cluster_given(vars)?;
        let silence = Duration::from_secs(config.cluster.silence_secs);
        let node = node(format!("{} (a command)", config.cluster.node_name()), &master_key, &ambient);
        let holder = LeaseHolder { name: node.name.clone(), silence, clock: Arc::clone(&ambient.clock) };
        let place = ClusterPlace { database: &database, packs: &packs, silence };
        let _inside = runtime.enter();
        let (store, member) = LocalStore::join(folder.path(), place, &node, &ambient)?;
        let living = runtime.spawn(member.live(stop.clone()));
        Ok(Self { store: Arc::new(store), node: Some((holder, living)), stop })
    }

    /// Does what others must not do at the same time.
    pub(super) async fn alone<T>(
        &self,
        lease: &str,
        work: impl AsyncFnOnce(Arc<LocalStore>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.node {
            None => work(Arc::clone(&self.store)).await,
            Some((holder, _)) => holder.once_held(lease, &self.store, work).await?,
        }
    }

    /// Whether others share it.
    pub(super) fn is_shared(&self) -> bool {
        self.node.is_some()
    }

    /// Leaves the cluster.
    pub(super) async fn close(self) {
        self.stop.cancel();
        if let Some((_, living)) = self.node {
            // Who cannot leave is taken for dead in a while.
            let _ = living.await;
        }
    }
}
