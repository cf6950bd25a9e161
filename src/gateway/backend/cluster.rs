//! Cluster mode: metadata in PostgreSQL and chunks in an object store, both shared with other nodes.
//!
//! The data folder keeps only what this node can lose: its chunk index and its cache. So nothing is made here that others
//! would need: the master key and the root credential are given, and the key of the CAS API is derived from the first.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Backend, Resources, node};
use crate::auth::cas_token::CasSigner;
use crate::auth::seal::MasterKey;
use crate::auth::{Accounts, Directory};
use crate::config::ClusterGiven;
use crate::gateway::background::Background;
use crate::gateway::error::GatewayError;
use crate::gateway::lease_holder::{LeaseHolder, UPKEEP};
use crate::store::joining::ClusterPlace;
use crate::store::local::LocalStore;
use crate::store::meta::MetaError;
use crate::store::upkeep;

/// How often accounts are read again that other nodes may have changed.
const ACCOUNTS_EVERY: Duration = Duration::from_secs(1);

/// Joins the cluster. Blocks.
pub(super) fn open(
    resources: &Resources<'_>,
    ClusterGiven { database, packs, master_key: key }: &ClusterGiven,
    directory: Directory,
    background: &mut Background,
) -> Result<Backend, GatewayError> {
    let Resources { config, folder, runtime, ambient, .. } = resources;
    let master_key = MasterKey::of_text(key)?;
    let directory = Arc::new(directory);
    let signer = CasSigner::of_master_key(key, Arc::clone(&directory), Arc::clone(&ambient.clock));
    let node = node(config.cluster.node_name(), key, ambient);
    let silence = Duration::from_secs(config.cluster.silence_secs);
    let place = ClusterPlace { database, packs, silence };
    let (store, member) = {
        let _inside = runtime.enter();
        LocalStore::join(folder.path(), place, &node, ambient)
            .map_err(|error| GatewayError::Join { error })?
    };
    let store = Arc::new(store);
    let failed = background.failed().clone();
    background.start(|stop| async move {
        match tokio::spawn(member.live(stop)).await {
            Ok(Ok(())) => {}
            Ok(Err(MetaError::NodeEnded)) => failed.cancel(),
            Ok(Err(error)) => tracing::warn!(%error, "this node could not say that it leaves"),
            Err(panic) => {
                tracing::error!(%panic, "nobody can be told any more that this node lives: it ends");
                failed.cancel();
            }
        }
    });
    let buckets = resources.native_buckets(&store, resources.cache().map_err(GatewayError::Cache)?)?;
    let meta = Arc::clone(&store.meta);
    let accounts = Accounts::open(meta, directory, master_key, (*ambient).clone());
    let accounts = Arc::new(runtime.block_on(accounts)?);
    background.start(|stop| follow_accounts(Arc::clone(&accounts), stop));
    let (options, clock) = (config.upkeep(&resources.path("scrub-cursor")), Arc::clone(&ambient.clock));
    let holder = LeaseHolder { name: node.name, silence, clock: Arc::clone(&clock) };
    let collecting = holder.clone();
    background.start(|stop| async move {
        let work = |leased, stop| upkeep::run(leased, Arc::clone(&clock), options.clone(), stop);
        collecting.while_held(UPKEEP, &store, &stop, work).await;
    });
    let mut backend = Backend::native(config, buckets, accounts, signer, None);
    if let Some(native) = &mut backend.native {
        native.leases = Some(holder);
    }
    Ok(backend)
}

/// Takes over what other nodes have changed of accounts and keys.
async fn follow_accounts(accounts: Arc<Accounts>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(ACCOUNTS_EVERY)).await.is_some() {
        if let Err(error) = accounts.follow().await {
            tracing::debug!(%error, "accounts could not be read again");
        }
    }
}
