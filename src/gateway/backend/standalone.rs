//! Standalone mode: metadata in `redb` in the data folder, and chunks in pack files beside it or in an object store.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Backend, Native, Resources, instance};
use crate::auth::cas_token::CasSigner;
use crate::auth::seal::MasterKey;
use crate::auth::{Accounts, Directory};
use crate::bucket::NativeBuckets;
use crate::config::{self, Config};
use crate::gateway::background::Background;
use crate::gateway::data_folder::BESIDE_STORE;
use crate::gateway::error::GatewayError;
use crate::serve::admin::Backups;
use crate::serve::http::metrics::Metrics;
use crate::store::local::LocalStore;
use crate::store::upkeep;

/// Opens the store in the data folder, and starts collecting garbage and scrubbing. Blocks.
pub(super) fn open(
    resources: &Resources<'_>,
    directory: Directory,
    background: &mut Background,
) -> Result<Backend, GatewayError> {
    let Resources { config, vars, folder, runtime, ambient } = resources;
    let directory = Arc::new(directory);
    let signer = CasSigner::load_or_create(folder.path(), Arc::clone(&directory), ambient)?;
    let master_key = match config::master_key_given(vars)? {
        Some(text) => MasterKey::of_text(&text)?,
        None => MasterKey::load_or_create(folder.path(), ambient)?,
    };
    let store = {
        // The store may start tasks.
        let _inside = runtime.enter();
        let packs = config.packs.address(vars);
        LocalStore::open(folder.path(), packs.as_ref(), ambient)
            .map_err(|error| GatewayError::Open { path: folder.path().to_owned(), error })?
    };
    let store = Arc::new(store);
    let cache = match config.packs.url {
        Some(_) => resources.cache().map_err(GatewayError::Cache)?,
        None => None,
    };
    let buckets = resources.native_buckets(&store, cache)?;
    let meta = Arc::clone(&store.meta);
    let accounts = Accounts::open(meta, directory, master_key, (*ambient).clone());
    let accounts = runtime.block_on(accounts)?;
    let (options, clock) = (config.upkeep(&resources.path("scrub-cursor")), Arc::clone(&ambient.clock));
    background.start(|stop| upkeep::run(Arc::clone(&store), clock, options, stop));
    let backups = config.backup.folder.clone().map(|to| Backups {
        store,
        data_dir: folder.path().to_owned(),
        folder: to,
        beside: &BESIDE_STORE,
    });
    Ok(Backend::native(config, buckets, Arc::new(accounts), signer, backups))
}

impl Backend {
    /// The backend on these buckets, whatever their metadata and packs are kept in.
    pub fn native(
        config: &Config,
        buckets: Arc<NativeBuckets>,
        accounts: Arc<Accounts>,
        signer: CasSigner,
        backups: Option<Backups>,
    ) -> Self {
        let store = Arc::clone(buckets.store());
        let metrics =
            Arc::new(Metrics::of_store(&instance(config), Arc::clone(&store), buckets.cache().cloned()));
        let directory = Arc::clone(accounts.directory());
        let xet = buckets.xet(config.cas_grace());
        let native = Some(Native { store, xet, accounts, signer, backups, leases: None });
        Self { buckets, buckets_of_keys: HashMap::new(), directory, native, metrics }
    }
}
